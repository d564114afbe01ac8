//! What rules recorded at a time, seen by the rules after them before it is in the store.

use std::collections::BTreeMap;

use super::matching::{Compiled, compile};
use crate::series::read::{Data, Labels, MatchOp, Matcher, Read, Recording, Series};

/// A sample that a rule made; its value may be [`STALE`](crate::series::read::STALE), which ends the series.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The name among them.
    pub labels: Labels,
    /// Event time in unix milliseconds.
    pub time_ms: i64,
    /// The value.
    pub value: Recording,
}

pub(super) struct Overlay<'a> {
    inner: &'a dyn Read,
    by_name: BTreeMap<String, Vec<Recorded>>,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(inner: &'a dyn Read) -> Self {
        Self { inner, by_name: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, recorded: &[Recorded]) {
        for one in recorded {
            let name = one.labels["__name__"].to_owned();
            self.by_name.entry(name).or_default().push(one.clone());
        }
    }
}

impl Read for Overlay<'_> {
    fn select(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<Series> {
        let mut series = self.inner.select(matchers, start_ms, end_ms);
        let name = matchers.iter().find(|m| m.name == "__name__" && m.op == MatchOp::Equal).map(|m| &m.value);
        let candidates: Vec<&Recorded> = match name {
            Some(name) => self.by_name.get(name).into_iter().flatten().collect(),
            None => self.by_name.values().flatten().collect(),
        };
        if candidates.is_empty() {
            return series;
        }
        let compiled: Vec<Compiled<'_>> = matchers.iter().map(compile).collect();
        let mut at: BTreeMap<Labels, usize> = series.iter().enumerate().map(|(i, s)| (s.labels.clone(), i)).collect();
        for one in candidates {
            let inside = one.time_ms > start_ms && one.time_ms <= end_ms;
            if !inside || !compiled.iter().all(|matcher| matcher.accepts(&one.labels)) {
                continue;
            }
            if let Some(&i) = at.get(&one.labels) {
                match (&mut series[i].data, &one.value) {
                    (Data::Gauge(samples), Recording::Number(value))
                        if samples.last().is_none_or(|last| last.0 < one.time_ms) =>
                    {
                        samples.push((one.time_ms, *value));
                    }
                    (Data::Recorded(samples), value) if samples.last().is_none_or(|last| last.0 < one.time_ms) => {
                        samples.push((one.time_ms, value.clone()));
                    }
                    _ => {}
                }
            } else {
                at.insert(one.labels.clone(), series.len());
                let data = match &one.value {
                    Recording::Number(value) => Data::Gauge(vec![(one.time_ms, *value)]),
                    histogram @ Recording::Histogram(..) => Data::Recorded(vec![(one.time_ms, histogram.clone())]),
                };
                series.push(Series { labels: one.labels.clone(), data });
            }
        }
        series
    }
}
