//! Which of the lines that match are taken. Decisions by trace are the same on every instance and after a restart.

use std::time::Duration;

use ahash::AHashMap;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use weir_calls::alerts::State;
use weir_query::line::Line;
use weir_query::severity;

use crate::definition::{By, Sample};

/// OTLP's status of an error, and the least severity of one.
const STATUS_ERROR: i32 = 2;
const SEVERITY_ERROR: u8 = 17;
/// A rate is measured over this time.
const RATE_WINDOW: Duration = Duration::from_secs(20);
/// Interfaces whose rates are known at once; at more all are measured anew.
const MOST_INTERFACES: usize = 10_000;

/// What is known of calls and alerts.
pub trait Signals: Send + Sync {
    /// This quantile of the durations of an interface's calls in the last minutes, in microseconds.
    fn quantile(&self, tenant: &str, service: &str, interface: &str, q: f64) -> Option<u64>;
    /// Whether an alert of this name fires for a tenant at an event time in nanoseconds since the epoch.
    fn firing(&self, alert: &str, tenant: &str, at: i64) -> State;
    /// Up to which event time alerts are known.
    fn evaluated_until(&self) -> Option<i64>;
}

/// Why a line that matches is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Left {
    /// By chance.
    Ratio,
    /// There are more than the rows of a minute.
    Rate,
    /// It is no error.
    NoError,
    /// It was not slow.
    NotSlow,
    /// The alert does not fire.
    NotFiring,
    /// What decides is not known, or late.
    Unknown,
}

impl Left {
    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Rate => "rows_per_minute",
            Self::NoError => "no_error",
            Self::NotSlow => "not_slow",
            Self::NotFiring => "not_firing",
            Self::Unknown => "unknown",
        }
    }
}

/// Decides line by line for one capture.
#[derive(Debug)]
pub struct Sampler {
    sample: Sample,
    rate: Option<Rate>,
}

/// The rows of a minute, of one instance.
#[derive(Debug)]
struct Rate {
    /// Rows that may be taken now, and when that was.
    tokens: f64,
    at: Instant,
    /// Lines that came, by interface, in this window and in the one before.
    window: Instant,
    now: AHashMap<String, u32>,
    before: AHashMap<String, u32>,
}

impl Sampler {
    /// For a capture.
    pub fn new(sample: Sample) -> Self {
        Self { sample, rate: None }
    }

    /// Whether a line that matches is taken; among so many `instances` the rows of a minute are divided.
    pub fn takes(&mut self, line: &Line, signals: &dyn Signals, instances: i32, now: Instant) -> Result<(), Left> {
        if self.sample.errors_only && !is_error(line) {
            return Err(Left::NoError);
        }
        if let Some(quantile) = self.sample.slower_than {
            is_slower(line, signals, quantile.0)?;
        }
        if let Some(alert) = &self.sample.while_firing {
            match signals.firing(alert, &line.source.tenant, line.time) {
                State::Firing => {}
                State::NotFiring => return Err(Left::NotFiring),
                State::Unknown => return Err(Left::Unknown),
            }
        }
        // The chance of one line is the same for all conditions: of what one leaves, the next does not leave all.
        let chance = chance(line, self.sample.by);
        let ratio = self.sample.ratio.unwrap_or(1.0);
        if chance >= ratio {
            return Err(Left::Ratio);
        }
        match self.sample.rows_per_minute {
            Some(rows) => {
                let share = rows / f64::from(instances.max(1));
                let rate = self.rate.get_or_insert_with(|| Rate::new(share, now));
                if rate.takes(line, chance / ratio, share, now) { Ok(()) } else { Err(Left::Rate) }
            }
            None => Ok(()),
        }
    }
}

impl Rate {
    fn new(share: f64, now: Instant) -> Self {
        let (now_counts, before) = (AHashMap::new(), AHashMap::new());
        Self { tokens: (share / 60.0).max(1.0), at: now, window: now, now: now_counts, before }
    }

    /// Spreads the rows over the minute and over interfaces: with more lines than rows, each is taken with the chance that
    /// the live rate of its interface leaves; what is saved up is never more than ten seconds' worth.
    fn takes(&mut self, line: &Line, chance: f64, share: f64, now: Instant) -> bool {
        let per_second = share / 60.0;
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * per_second).min((per_second * 10.0).max(1.0));
        if now.saturating_duration_since(self.window) >= RATE_WINDOW || self.now.len() > MOST_INTERFACES {
            self.before = std::mem::take(&mut self.now);
            self.window = now;
        }
        let interface = line.span.as_ref().map_or(line.source.service.as_str(), |span| span.interface.as_str());
        match self.now.get_mut(interface) {
            Some(count) => *count = count.saturating_add(1),
            None => drop(self.now.insert(interface.to_owned(), 1)),
        }
        // Without a window before it, whoever comes first is taken, as far as the rows reach.
        if let Some(count) = self.before.get(interface) {
            let lines = f64::from(*count) / RATE_WINDOW.as_secs_f64();
            // A little more than its part, since another interface may not use its own.
            let part = per_second / self.before.len().max(1) as f64;
            if chance >= 1.2 * part / lines {
                return false;
            }
        }
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// Between 0 and 1, by the trace; by the place, where there is none.
fn chance(line: &Line, by: By) -> f64 {
    let mut hash = Sha256::new();
    if by == By::Trace && !line.trace_id.is_empty() {
        hash.update(&line.trace_id);
    } else {
        hash.update(line.id.partition.to_be_bytes());
        hash.update(line.id.offset.to_be_bytes());
        hash.update(line.id.index.to_be_bytes());
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    // 53 bits are what a number holds exactly.
    (u64::from_be_bytes(first) >> 11) as f64 / (1_u64 << 53) as f64
}

fn is_error(line: &Line) -> bool {
    match &line.span {
        Some(span) => span.status == STATUS_ERROR,
        None => severity::number(line) >= SEVERITY_ERROR,
    }
}

fn is_slower(line: &Line, signals: &dyn Signals, q: f64) -> Result<(), Left> {
    let span = line.span.as_ref().ok_or(Left::Unknown)?;
    let micros = u64::try_from(span.end.saturating_sub(span.start)).unwrap_or(0) / 1000;
    let source = &line.source;
    match signals.quantile(&source.tenant, &source.service, &span.interface, q) {
        Some(limit) if micros > limit => Ok(()),
        Some(_) => Err(Left::NotSlow),
        None => Err(Left::Unknown),
    }
}

#[cfg(test)]
mod tests;
