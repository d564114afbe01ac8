//! Rules over many series: CPU a round, beside Prometheus' own over the same.

use std::path::Path;

use serde_json::{Map, json};
use weir_alerter::rules::{Evaluator, EvaluatorOptions, load_files};
use weir_alerter::series::store::Store;
use weir_proto::otlp::metrics::v1::{AggregationTemporality, Histogram, HistogramDataPoint, Metric, Sum, metric};

use super::{OF_METRIC, START, STEP, attribute, feed, instance, points};
use crate::{Ready, Work};
use weir_proto::otlp::common::v1::any_value::Value;

/// Instances that one histogram is of, and its buckets: 200 series.
pub(super) const INSTANCES: usize = 10;
pub(super) const BUCKETS: usize = 20;

/// Rules, and how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) count: usize,
    expr: fn(usize) -> String,
}

impl Rules {
    /// `avg by (x) (rate(m[5m])) > N`, each over 100 series of its own.
    pub(super) fn counters(smoke: bool) -> Self {
        let expr = |at| format!("avg by (x) (rate(m{at}_total[5m])) > 1e9");
        Self { count: if smoke { 20 } else { 1000 }, expr }
    }

    /// `histogram_quantile` of rates, each over 200 series of its own.
    pub(super) fn histograms(smoke: bool) -> Self {
        let expr = |at| format!("histogram_quantile(0.99, sum by (le) (rate(b{at}_bucket[5m]))) > 1e9");
        Self { count: if smoke { 10 } else { 100 }, expr }
    }

    /// Writes the rule file.
    pub(super) fn write(self, file: &Path, interval: &str) -> anyhow::Result<()> {
        let rule = |at: usize| {
            let expr = (self.expr)(at);
            format!("  - {{alert: A{at}, expr: '{expr}', labels: {{severity: page}}}}\n")
        };
        let text = (0..self.count).map(rule).collect::<String>();
        Ok(std::fs::write(file, format!("groups:\n- name: g\n  interval: {interval}\n  rules:\n{text}"))?)
    }
}

/// The value of a counter so many seconds after it began.
pub(super) fn counted(seconds: u64, series: usize) -> f64 {
    (seconds * (1 + series as u64 % 7)) as f64
}

/// The counts of an instance's buckets, each of its own, and of all.
pub(super) fn bucket_counts(seconds: u64, series: usize) -> Vec<u64> {
    (0..BUCKETS as u64).map(|bucket| seconds * (1 + series as u64 % 7) * (1 + bucket % 5)).collect()
}

/// The upper bounds of all buckets but the last.
pub(super) fn bounds() -> Vec<f64> {
    (0..BUCKETS as i32 - 1).map(|bucket| 0.001 * 1.7_f64.powi(bucket)).collect()
}

/// 1,000 rules over 100 series each: rounds of ten seconds.
pub(crate) fn rules(smoke: bool) -> anyhow::Result<Ready> {
    run(Rules::counters(smoke), smoke, |at, seconds| {
        let sum = Sum {
            data_points: points(seconds, |series| counted(seconds - START, series)),
            aggregation_temporality: AggregationTemporality::Cumulative as i32,
            is_monotonic: true,
        };
        Metric { name: format!("m{at}"), data: Some(metric::Data::Sum(sum)), ..Metric::default() }
    })
}

/// 100 rules over 200 series of buckets each.
pub(crate) fn histograms(smoke: bool) -> anyhow::Result<Ready> {
    run(Rules::histograms(smoke), smoke, |at, seconds| {
        let point = |series: usize| {
            let bucket_counts = bucket_counts(seconds - START, series);
            HistogramDataPoint {
                attributes: vec![attribute("instance", Value::StringValue(instance(series)))],
                start_time_unix_nano: START * 1_000_000_000,
                time_unix_nano: seconds * 1_000_000_000,
                count: bucket_counts.iter().sum(),
                explicit_bounds: bounds(),
                bucket_counts,
                ..HistogramDataPoint::default()
            }
        };
        let histogram = Histogram {
            data_points: (0..INSTANCES).map(point).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative as i32,
        };
        Metric { name: format!("b{at}"), data: Some(metric::Data::Histogram(histogram)), ..Metric::default() }
    })
}

fn run(rules: Rules, smoke: bool, metric: impl Fn(usize, u64) -> Metric) -> anyhow::Result<Ready> {
    let (count, rounds) = (rules.count, if smoke { 2 } else { 20 });
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules.yaml");
    rules.write(&file, "10s")?;
    let rules = load_files(&[file.display().to_string()])?;
    let mut store = Store::new(7_200_000, 200_000);
    let last = START + 600;
    for seconds in (START..=last + rounds * STEP).step_by(STEP as usize) {
        feed(&mut store, seconds, (0..count).map(|at| metric(at, seconds)).collect())?;
    }
    anyhow::ensure!(store.len() >= count * OF_METRIC, "series are missing");
    let mut evaluator = Evaluator::new(rules, EvaluatorOptions::default());
    let at = move |round: u64| ((last + round * STEP) * 1000) as i64;
    evaluator.step(&store, at(0));
    Ok(Box::new(move || {
        let before = crate::cpu_seconds();
        for round in 1..=rounds {
            let step = evaluator.step(&store, at(round));
            let done = step.as_ref().is_some_and(|step| step.rules == count && step.failed == 0);
            anyhow::ensure!(done, "a round was not as it should be");
        }
        let mut more = Map::new();
        more.insert("series".to_owned(), json!(store.len()));
        more.insert("cpu_seconds_a_round".to_owned(), json!((crate::cpu_seconds() - before) / rounds as f64));
        Ok(Work { records: count as u64 * rounds, bytes: 0, more })
    }))
}
