//! Unit tests of rules, in files as `promtool test rules` reads them, with its verdicts.
//!
//! Rules are evaluated at every `evaluation_interval` from the start of a test, whatever the interval of their group,
//! and an expression sees no sample later than the last of these evaluations. Where this differs from promtool: a NaN
//! that is expected is found, a rule file that is named but not there is an error, and native histograms (`{{…}}`) are
//! refused.

mod failure;
mod file;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use failure::{Fired, TestFailure, TestName};
use file::{ExpressionTest, File, Test};
use store::Samples;

use super::duration::show;
use super::{Evaluator, EvaluatorOptions, RuleSet, load_files};
use crate::promql::{self, Number, Query, Value, notation};
use crate::series::read::Labels;

/// A test that needs more evaluations is a mistake.
const MAX_EVALUATIONS: i64 = 10_000_000;

/// Runs the tests of a file, and gives their number. Reads files: not for an async thread.
pub fn test_file(path: &Path) -> Result<usize, Vec<TestFailure>> {
    let file = File::read(path).map_err(|error| vec![TestFailure::File(error)])?;
    let mut rules = load_files(&file.globs(path)).map_err(|errors| vec![TestFailure::Rules(errors)])?;
    let order = |name: &String| file.group_eval_order.iter().position(|other| other == name).unwrap_or(0);
    rules.groups.sort_by_key(|group| order(&group.name));
    for rule in rules.groups.iter_mut().flat_map(|group| &mut group.rules).filter_map(Arc::get_mut) {
        rule.query.set_resolution(file.interval_ms());
    }
    let failures: Vec<TestFailure> = file.tests.iter().flat_map(|test| Run::new(&file, test).run(&rules)).collect();
    if failures.is_empty() { Ok(file.tests.len()) } else { Err(failures) }
}

/// One test on its way.
struct Run<'a> {
    file: &'a File,
    test: &'a Test,
    samples: Samples,
    failures: Vec<TestFailure>,
}

impl<'a> Run<'a> {
    fn new(file: &'a File, test: &'a Test) -> Self {
        Self { file, test, samples: Samples::default(), failures: Vec::new() }
    }

    fn name(&self) -> TestName {
        TestName(self.test.name.clone())
    }

    fn run(mut self, rules: &RuleSet) -> Vec<TestFailure> {
        let interval_ms = self.file.interval_ms();
        if self.test.last_ms() / interval_ms >= MAX_EVALUATIONS {
            return vec![TestFailure::Long { test: self.name(), limit: MAX_EVALUATIONS }];
        }
        self.load();
        if self.failures.is_empty() && self.evaluate(rules, interval_ms) {
            for expression in &self.test.expressions {
                if let Err(failure) = self.check(expression) {
                    self.failures.push(*failure);
                }
            }
        }
        self.failures
    }

    fn load(&mut self) {
        let (start_ms, step_ms) = (self.test.start_ms(), self.test.interval_ms(self.file.interval_ms()));
        for input in &self.test.input_series {
            let read =
                notation::labels(&input.series).and_then(|labels| Ok((labels, notation::values(&input.values)?)));
            match read {
                Ok((labels, values)) => {
                    let time = |at: i64| start_ms.saturating_add(at.saturating_mul(step_ms));
                    self.samples.add(&labels, values.into_iter().map(|(at, value)| (time(at), value)));
                }
                Err(source) => {
                    let series = input.series.clone();
                    self.failures.push(TestFailure::Series { test: self.name(), series, source });
                }
            }
        }
    }

    /// Evaluates the rules up to the last time that is asked for, and checks alerts on the way; false where a rule
    /// failed.
    fn evaluate(&mut self, rules: &RuleSet, interval_ms: i64) -> bool {
        let start_ms = self.test.start_ms();
        let last_ms = self.test.last_ms() / interval_ms * interval_ms;
        // The tests of alerts, by the evaluation that they see.
        let mut due: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (at, alert) in self.test.alerts.iter().enumerate() {
            due.entry(alert.time_ms() / interval_ms * interval_ms).or_default().push(at);
        }
        let options = EvaluatorOptions {
            interval_ms,
            external_url: self.test.external_url.clone(),
            external_labels: self.test.external_labels.clone(),
            ..EvaluatorOptions::default()
        };
        let mut evaluator = Evaluator::new(rules.clone(), options);
        let mut time_ms = 0;
        while time_ms <= last_ms {
            let now_ms = start_ms.saturating_add(time_ms);
            self.samples.until_ms = now_ms;
            let step = evaluator.evaluate_all(&self.samples, now_ms);
            self.samples.record(&step.recorded);
            if step.failed > 0 {
                let failed = evaluator.failures().map(|(rule, error)| TestFailure::Rule {
                    test: self.name(),
                    rule: rule.to_owned(),
                    time_ms,
                    error: error.to_owned(),
                });
                let failed: Vec<TestFailure> = failed.collect();
                self.failures.extend(failed);
                return false;
            }
            for at in due.remove(&time_ms).unwrap_or_default() {
                self.alerts(&evaluator, at);
            }
            time_ms += interval_ms;
        }
        true
    }

    fn alerts(&mut self, evaluator: &Evaluator, at: usize) {
        let test = &self.test.alerts[at];
        let mut expected: Vec<Fired> = Vec::new();
        for alert in test.expected() {
            let mut labels = alert.exp_labels.clone().unwrap_or_default();
            labels.insert("alertname".to_owned(), test.alertname.clone());
            expected.push(Fired { labels, annotations: alert.exp_annotations.clone().unwrap_or_default() });
        }
        let fired = evaluator
            .firing(&test.alertname)
            .map(|alert| Fired { labels: (*alert.labels).clone(), annotations: (*alert.annotations).clone() });
        let mut got: Vec<Fired> = fired.collect();
        expected.sort();
        got.sort();
        if expected != got {
            self.failures.push(TestFailure::Alerts {
                test: self.name(),
                alertname: test.alertname.clone(),
                time_ms: test.time_ms(),
                expected,
                got,
            });
        }
    }

    fn check(&self, test: &ExpressionTest) -> Result<(), Box<TestFailure>> {
        let failed = |source: promql::Error| {
            let (expression, time_ms) = (test.expr.clone(), test.time_ms());
            Box::new(TestFailure::Expression { test: self.name(), expression, time_ms, source })
        };
        let mut query = Query::parse(&test.expr).map_err(failed)?;
        query.set_resolution(self.file.interval_ms());
        let time_ms = self.test.start_ms().saturating_add(test.time_ms());
        let mut got = query.at(&self.samples, time_ms).and_then(floats).map_err(failed)?;
        let mut expected = Vec::new();
        for sample in test.expected() {
            if let Some(histogram) = &sample.histogram {
                let name = histogram.clone();
                return Err(failed(promql::Error::Unsupported { kind: "histogram literal", name }));
            }
            expected.push((notation::labels(&sample.labels).map_err(failed)?, sample.value));
        }
        let order = |a: &(Labels, f64), b: &(Labels, f64)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
        expected.sort_by(order);
        got.sort_by(order);
        let is_same =
            |(a, b): (&(Labels, f64), &(Labels, f64))| a.0 == b.0 && is_equal(a.1, b.1, self.file.fuzzy_compare);
        if expected.len() == got.len() && expected.iter().zip(&got).all(is_same) {
            return Ok(());
        }
        let (expression, time_ms) = (test.expr.clone(), test.time_ms());
        Err(Box::new(TestFailure::Samples { test: self.name(), expression, time_ms, expected, got }))
    }
}

fn floats(value: Value) -> Result<Vec<(Labels, f64)>, promql::Error> {
    match value {
        Value::Scalar(value) => Ok(vec![(Labels::default(), value)]),
        Value::Vector(samples) => samples
            .into_iter()
            .map(|sample| match sample.value {
                Number::Float(value) => Ok((sample.labels, value)),
                Number::Histogram(_) => Err(promql::Error::Data("the result is a histogram".to_owned())),
            })
            .collect(),
        Value::Matrix(_) | Value::Text(_) => {
            Err(promql::Error::Type("the result is not an instant vector or a scalar".to_owned()))
        }
    }
}

/// Whether two values are the same, where `fuzzy` but for the last bit.
#[allow(clippy::float_cmp, reason = "that is the question")]
fn is_equal(a: f64, b: f64, fuzzy: bool) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (fuzzy && (a.next_up() == b || a.next_down() == b))
}
