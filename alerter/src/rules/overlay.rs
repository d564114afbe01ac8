//! What rules recorded at a time, seen by the rules after them before it is in the store.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

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

impl Overlay<'_> {
    /// What was recorded in `(start_ms, end_ms]` under labels that satisfy the matchers, by these labels.
    fn recorded(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> BTreeMap<&Labels, Vec<&Recorded>> {
        let name = matchers.iter().find(|m| m.name == "__name__" && m.op == MatchOp::Equal).map(|m| &m.value);
        let candidates: Vec<&Recorded> = match name {
            Some(name) => self.by_name.get(name).into_iter().flatten().collect(),
            None => self.by_name.values().flatten().collect(),
        };
        let mut found: BTreeMap<&Labels, Vec<&Recorded>> = BTreeMap::new();
        if candidates.is_empty() {
            return found;
        }
        let compiled: Vec<Compiled<'_>> = matchers.iter().map(compile).collect();
        for one in candidates {
            let is_inside = one.time_ms > start_ms && one.time_ms <= end_ms;
            if is_inside && compiled.iter().all(|matcher| matcher.accepts(&one.labels)) {
                found.entry(&one.labels).or_default().push(one);
            }
        }
        found
    }
}

/// Adds what was recorded behind the last sample, where it is of the same kind.
fn extend(data: &mut Data, recorded: &[&Recorded]) {
    for one in recorded {
        match (&mut *data, &one.value) {
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
    }
}

impl Read for Overlay<'_> {
    fn is_over(&self) -> bool {
        self.inner.is_over()
    }

    fn each(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>) {
        let mut recorded = self.recorded(matchers, start_ms, end_ms);
        if recorded.is_empty() {
            return self.inner.each(matchers, start_ms, end_ms, take);
        }
        let mut flow = ControlFlow::Continue(());
        self.inner.each(matchers, start_ms, end_ms, &mut |mut series| {
            if let Some(recorded) = recorded.remove(&series.labels) {
                extend(&mut series.data, &recorded);
            }
            flow = take(series);
            flow
        });
        for (labels, recorded) in recorded {
            if flow.is_break() {
                return;
            }
            let mut data = match recorded.first().map(|one| &one.value) {
                Some(Recording::Histogram(..)) => Data::Recorded(Vec::new()),
                _ => Data::Gauge(Vec::new()),
            };
            extend(&mut data, &recorded);
            flow = take(Series { labels: labels.clone(), data });
        }
    }
}
