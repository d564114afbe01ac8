//! Periods in which alerts fired, kept a while behind their end. Event time may leap over several of them, and an alert
//! holds only its last one: who publishes alerts takes the others from here.

use std::collections::VecDeque;

use weir_proto::v1;

use super::alert::{AlertLabels, RESOLVED_KEPT_MS};

/// Periods kept at most; the oldest go first.
const MAX_PERIODS: usize = 4096;

/// An alert of these labels fired in `[fired_at_ms, resolved_at_ms)`, event times in unix milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// The alert's.
    pub labels: AlertLabels,
    /// When it began to fire.
    pub fired_at_ms: i64,
    /// When it was resolved.
    pub resolved_at_ms: i64,
}

/// The periods that ended lately, in the order of their ends.
#[derive(Debug, Default)]
pub(super) struct Periods(VecDeque<Period>);

impl Periods {
    pub(super) fn add(&mut self, period: Period) {
        let oldest = period.resolved_at_ms - RESOLVED_KEPT_MS;
        while self.0.len() >= MAX_PERIODS || self.0.front().is_some_and(|first| first.resolved_at_ms < oldest) {
            self.0.pop_front();
        }
        self.0.push_back(period);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Period> {
        self.0.iter()
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = v1::AlertPeriod> {
        let nanos = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
        self.0.iter().map(move |period| v1::AlertPeriod {
            labels: (*period.labels).clone().into_iter().collect(),
            fired_at_unix_nano: nanos(period.fired_at_ms),
            resolved_at_unix_nano: nanos(period.resolved_at_ms),
        })
    }

    pub(super) fn restore(&mut self, messages: &[v1::AlertPeriod]) {
        for message in messages {
            self.add(Period {
                labels: AlertLabels::new(message.labels.clone().into_iter().collect()),
                fired_at_ms: (message.fired_at_unix_nano / 1_000_000) as i64,
                resolved_at_ms: (message.resolved_at_unix_nano / 1_000_000) as i64,
            });
        }
    }
}
