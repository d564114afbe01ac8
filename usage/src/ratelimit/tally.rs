//! Metrics: what was decided by which limit, and what went wrong.
//!
//! A series is a limit of a file, never a value that a caller sent; where a file asks for values (`detailed_metric`,
//! `value_to_metric`), a bounded number of them has series of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::Mutex;

/// Values of callers that have series of their own.
const MAX_DETAILED: usize = 1000;

/// What was decided of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Within its limit, or without one.
    Ok,
    /// Over its limit.
    Over,
    /// Over a limit in shadow mode: passed.
    Shadow,
    /// The tenant's quota is exhausted.
    Quota,
    /// The store could not count, and `without_store` decided.
    WithoutStore,
}

impl Outcome {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Ok, "ok"),
        (Self::Over, "over_limit"),
        (Self::Shadow, "shadow"),
        (Self::Quota, "quota"),
        (Self::WithoutStore, "without_store"),
    ];
}

/// Counts of one limit, kept over reloads.
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; Outcome::ALL.len()]);

impl Tally {
    /// One decision more.
    pub(super) fn add(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Domain and path.
type Name = (String, String);

/// The counts of all limits; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Tallies(Arc<Mutex<Named>>);

#[derive(Debug, Default)]
struct Named {
    limits: BTreeMap<Name, Arc<Tally>>,
    /// Of values.
    detailed: BTreeMap<Name, Arc<Tally>>,
}

impl Tallies {
    /// The counts of a limit.
    pub(super) fn of(&self, domain: &str, path: &str) -> Arc<Tally> {
        self.0.lock().limits.entry((domain.to_owned(), path.to_owned())).or_default().clone()
    }

    /// The counts of one value of a limit; `None` where too many have some.
    pub(super) fn detailed(&self, domain: &str, path: String) -> Option<Arc<Tally>> {
        let mut named = self.0.lock();
        let name = (domain.to_owned(), path);
        if let Some(tally) = named.detailed.get(&name) {
            return Some(tally.clone());
        }
        (named.detailed.len() < MAX_DETAILED).then(|| named.detailed.entry(name).or_default().clone())
    }

    /// Forgets the counts of limits that are in no file any more.
    pub(super) fn forget(&self) {
        self.0.lock().limits.retain(|_, tally| Arc::strong_count(tally) > 1);
    }

    /// Shows them.
    pub(super) fn observe(&self, meter: &Meter) {
        let tallies = self.clone();
        // The instrument lives in the meter; nothing else is to be kept.
        let _ = meter
            .u64_observable_counter("weir_ratelimit_decisions")
            .with_unit("{decision}")
            .with_description("Descriptors that were decided, by domain and limit of the files and by outcome")
            .with_callback(move |observer| {
                let named = tallies.0.lock();
                for ((domain, path), tally) in named.limits.iter().chain(&named.detailed) {
                    for (outcome, name) in Outcome::ALL {
                        let count = tally.0[outcome as usize].load(Ordering::Relaxed);
                        if count > 0 {
                            let of = [("domain", domain.as_str()), ("limit", path.as_str()), ("outcome", name)];
                            observer.observe(count, &of.map(|(key, value)| KeyValue::new(key, value.to_owned())));
                        }
                    }
                }
            })
            .build();
    }
}

/// Counters of failures.
#[derive(Debug, Clone)]
pub(super) struct Failures {
    /// Requests for which the store could not count.
    pub(super) store: Counter<u64>,
    /// Files of limits that changed and cannot be used.
    pub(super) reloads: Counter<u64>,
    /// Requests that were refused, by reason.
    pub(super) refusals: Counter<u64>,
}

impl Failures {
    pub(super) fn new(meter: &Meter) -> Self {
        let counter = |name, unit, about| meter.u64_counter(name).with_unit(unit).with_description(about).build();
        Self {
            store: counter(
                "weir_ratelimit_store_failures",
                "{request}",
                "Requests for which the store could not count",
            ),
            reloads: counter("weir_ratelimit_reload_failures", "{reload}", "Changes of limits that could not be used"),
            refusals: counter("weir_ratelimit_refusals", "{request}", "Requests that got an error, by reason"),
        }
    }
}
