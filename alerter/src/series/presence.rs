//! The collectors as series (`weir_collector_up`), so that rules can say that one is absent.

use std::collections::BTreeMap;

use super::progress::{Presence, Standing};
use super::read::{Labels, Recording, STALE};
use super::store::{Refused, Store};

/// What was shown last.
#[derive(Debug)]
pub(crate) struct CollectorSeries {
    /// Unix milliseconds of event time.
    time_ms: i64,
    up: BTreeMap<Labels, f64>,
}

impl Default for CollectorSeries {
    fn default() -> Self {
        Self { time_ms: i64::MIN, up: BTreeMap::new() }
    }
}

impl CollectorSeries {
    /// Whether a second of event time has begun since they were shown last.
    pub(crate) fn is_due(&self, until_ms: i64) -> bool {
        second(until_ms) > self.time_ms
    }

    /// Writes a sample of each collector, once a second of event time.
    pub(crate) fn show(&mut self, collectors: &[Standing], until_ms: i64, store: &mut Store) -> Refused {
        let mut refused = Refused::default();
        if !self.is_due(until_ms) {
            return refused;
        }
        let up = |standing: &Standing| if standing.state == Presence::Absent { 0.0 } else { 1.0 };
        let now: BTreeMap<Labels, f64> = collectors.iter().map(|standing| (labels(standing), up(standing))).collect();
        let gone = self.up.keys().filter(|labels| !now.contains_key(*labels)).map(|labels| (labels, STALE));
        for (labels, value) in now.iter().map(|(labels, value)| (labels, *value)).chain(gone) {
            store.record(labels, second(until_ms), &Recording::Number(value), &mut refused);
        }
        *self = Self { time_ms: second(until_ms), up: now };
        refused
    }
}

fn second(unix_ms: i64) -> i64 {
    unix_ms.div_euclid(1000).saturating_mul(1000)
}

fn labels(standing: &Standing) -> Labels {
    let labels = [("__name__", "weir_collector_up"), ("collector", &standing.id), ("host", &standing.host)];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
