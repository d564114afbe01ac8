//! What tenants with quotas have used of them: in memory, filled from the store and kept up by every batch that is
//! written, so that a gateway's question never waits for a database.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use jiff::tz::TimeZone;
use parking_lot::RwLock;
use weir_service::telemetry::whole;
use weir_service::time::now_unix_nano;

use super::file::{Limit, Limits};
use super::period::{Per, Period};
use crate::cell::Sums;
use crate::ratelimit::{Exhausted, Quotas};
use crate::report::pieces;
use crate::store::{Batch, Store, StoreError};

/// Quotas and what was used of them; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Meters(Arc<RwLock<Table>>);

#[derive(Debug, Default)]
struct Table {
    limits: Limits,
    /// What was used is to be read from the store: by the feed alone, between two batches, so that none is missed and
    /// none counts twice.
    is_void: bool,
    /// Days and months of the zones that limits are counted in.
    periods: Vec<Counted>,
}

/// One day or month, and what each tenant used in it.
#[derive(Debug)]
struct Counted {
    per: Per,
    zone: TimeZone,
    period: Period,
    used: AHashMap<String, Sums>,
}

/// A quota and how much of it is used.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The quota.
    pub limit: Limit,
    /// In its unit.
    pub used: u64,
    /// Unix seconds.
    pub resets_at: i64,
}

impl Reading {
    /// What is left, in its unit.
    pub fn remaining(&self) -> u64 {
        self.limit.limit.saturating_sub(self.used)
    }

    /// Used over limit.
    pub fn ratio(&self) -> f64 {
        self.used as f64 / self.limit.limit.max(1) as f64
    }
}

impl Counted {
    fn is_of(&self, per: Per, zone: &TimeZone) -> bool {
        self.per == per && self.zone.iana_name() == zone.iana_name()
    }
}

impl Table {
    fn readings(&self, tenant: &str, now: i64) -> Vec<Reading> {
        let reading = |limit: Limit| {
            let counted = self.periods.iter().find(|counted| counted.is_of(limit.per, &limit.zone));
            // A period that is over says nothing of the next.
            let current = counted.filter(|counted| now < counted.period.end_unix);
            let used = current.and_then(|counted| counted.used.get(tenant)).map_or(0, |sums| limit.used(sums));
            let period = current.map_or_else(|| limit.per.around(now, &limit.zone), |counted| counted.period);
            Reading { limit, used, resets_at: period.end_unix }
        };
        self.limits.of(tenant).into_iter().map(reading).collect()
    }
}

impl Meters {
    /// With these quotas, as yet unused.
    pub fn new(limits: Limits) -> Self {
        let meters = Self::default();
        meters.replace(limits);
        meters
    }

    /// Other quotas. What was used is read again before the next batch.
    fn replace(&self, limits: Limits) {
        let mut table = self.0.write();
        table.limits = limits;
        table.is_void = true;
    }

    /// Whether [`Meters::load`] is wanted.
    pub(crate) fn is_void(&self) -> bool {
        self.0.read().is_void
    }

    /// Reads from the store what was used in the days and months that it now is.
    pub(crate) async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let now = now_unix_nano() / 1_000_000_000;
        let mut periods: Vec<Counted> = Vec::new();
        let kinds = self.0.read().limits.periods();
        for (per, zone) in kinds {
            let period = per.around(now, &zone);
            periods.push(Counted { per, zone, period, used: AHashMap::new() });
        }
        if !periods.is_empty() {
            let picked = store.everyone().await?;
            let stretches: Vec<_> =
                periods.iter().map(|counted| pieces::of(counted.period.start_unix, counted.period.end_unix)).collect();
            for (counted, sums) in periods.iter_mut().zip(store.sums(&picked, &stretches).await?) {
                for (id, sums) in sums {
                    if let Some(name) = picked.name(id) {
                        counted.used.entry(name.tenant.clone()).or_default().add(&sums);
                    }
                }
            }
        }
        let mut table = self.0.write();
        table.periods = periods;
        table.is_void = false;
        Ok(())
    }

    /// Adds a batch that was written. A new day or month is read from the store.
    pub(crate) async fn add(&self, store: &Store, batch: &Batch) {
        let now = now_unix_nano() / 1_000_000_000;
        if self.0.read().periods.iter().any(|counted| now >= counted.period.end_unix) {
            // The store has this batch already.
            self.0.write().is_void = true;
            if let Err(error) = self.load(store).await {
                tracing::warn!(error = %whole(&error), "what is used of the new day's quotas cannot be read yet");
            }
            return;
        }
        let mut table = self.0.write();
        for counted in &mut table.periods {
            let Period { start_unix, end_unix } = counted.period;
            for (key, (sums, _)) in batch.cells.iter().filter(|(key, _)| (start_unix..end_unix).contains(&key.hour)) {
                match counted.used.get_mut(&key.name.tenant) {
                    Some(used) => used.add(sums),
                    None => drop(counted.used.insert(key.name.tenant.clone(), *sums)),
                }
            }
        }
    }

    /// A tenant's quotas and what it used of them.
    pub fn of(&self, tenant: &str, now_unix: i64) -> Vec<Reading> {
        self.0.read().readings(tenant, now_unix)
    }

    /// All tenants that used something in a period that counts, with what they used of their quotas.
    pub(crate) fn all(&self, now_unix: i64) -> Vec<(String, Vec<Reading>)> {
        let table = self.0.read();
        let used = table.periods.iter().flat_map(|counted| counted.used.keys());
        let tenants: std::collections::BTreeSet<&String> = used.collect();
        tenants.into_iter().map(|tenant| (tenant.clone(), table.readings(tenant, now_unix))).collect()
    }

    /// Takes changed quota files every `pause`; files that are wrong change nothing, and say so once.
    pub(crate) async fn follow(self, files: Vec<String>, pause: Duration) {
        let mut told = String::new();
        let files = Arc::new(files);
        let look = || {
            let files = files.clone();
            tokio::task::spawn_blocking(move || (stamps(&files), Limits::load(&files)))
        };
        let mut known = None;
        loop {
            let Ok((now, loaded)) = look().await else { return };
            let is_first = known.is_none();
            let is_changed = known.replace(now.clone()) != Some(now) && !is_first;
            if !is_changed {
                tokio::time::sleep(pause).await;
                continue;
            }
            match loaded {
                Ok(limits) => {
                    self.replace(limits);
                    told.clear();
                    tracing::info!("the quotas were read again");
                }
                Err(error) => {
                    let error = whole(&error).to_string();
                    if told != error {
                        tracing::error!(error, "the quota files cannot be used: the quotas before stay");
                        told = error;
                    }
                }
            }
        }
    }
}

/// What changes with the files: their contents, which are small.
fn stamps(files: &[String]) -> Vec<Option<Vec<u8>>> {
    super::file::paths(files).iter().map(|path| std::fs::read(path).ok()).collect()
}

impl Quotas for Meters {
    fn exhausted(&self, tenant: &str, now_unix: i64) -> Option<Exhausted> {
        let readings = self.of(tenant, now_unix).into_iter().filter(|reading| reading.used >= reading.limit.limit);
        // All that are used up have to be renewed before the next call.
        let last = readings.max_by_key(|reading| reading.resets_at)?;
        Some(Exhausted { limit: last.limit.limit, resets_at_unix: last.resets_at })
    }
}
