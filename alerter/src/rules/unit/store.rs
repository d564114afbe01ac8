//! The series of a unit test.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::super::Recorded;
use super::super::matching::{Compiled, compile};
use crate::series::read::{Data, Labels, MatchOp, Matcher, Read, Recording, Series};

/// Samples in unix milliseconds, by name and labels.
#[derive(Default)]
pub(super) struct Samples {
    by_name: BTreeMap<String, BTreeMap<Labels, Vec<(i64, f64)>>>,
    /// What is later is not seen: a rule does not look into the future.
    pub(super) until_ms: i64,
}

impl Samples {
    /// Adds samples, which replace those of the same times.
    pub(super) fn add(&mut self, labels: &Labels, samples: impl Iterator<Item = (i64, f64)>) {
        let name = labels["__name__"].to_owned();
        let series = self.by_name.entry(name).or_default().entry(labels.clone()).or_default();
        for sample in samples {
            if series.last().is_none_or(|last| last.0 < sample.0) {
                series.push(sample);
                continue;
            }
            let at = series.partition_point(|there| there.0 < sample.0);
            match series.get_mut(at).filter(|there| there.0 == sample.0) {
                Some(there) => *there = sample,
                None => series.insert(at, sample),
            }
        }
    }

    pub(super) fn record(&mut self, recorded: &[Recorded]) {
        for one in recorded {
            // A unit test loads no histograms, so that no rule of it makes one.
            if let Recording::Number(value) = one.value {
                self.add(&one.labels, std::iter::once((one.time_ms, value)));
            }
        }
    }
}

impl Read for Samples {
    fn each(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>) {
        let end_ms = end_ms.min(self.until_ms);
        let compiled: Vec<Compiled<'_>> = matchers.iter().map(compile).collect();
        let name = matchers.iter().find(|m| m.name == "__name__" && m.op == MatchOp::Equal).map(|m| &m.value);
        let families: Vec<_> = match name {
            Some(name) => self.by_name.get(name).into_iter().collect(),
            None => self.by_name.values().collect(),
        };
        for (labels, samples) in families.into_iter().flatten() {
            let from = samples.partition_point(|sample| sample.0 <= start_ms);
            let to = samples.partition_point(|sample| sample.0 <= end_ms).max(from);
            if from < to && compiled.iter().all(|matcher| matcher.accepts(labels)) {
                let data = Data::Gauge(samples[from..to].to_vec());
                if take(Series { labels: labels.clone(), data }).is_break() {
                    return;
                }
            }
        }
    }
}
