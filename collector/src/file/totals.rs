//! What the files of each tenant come to: bytes read, acknowledged and lost, added up when they are.
//!
//! The rows of a ledger belong to paths. They are forgotten, added up under another path, or become another tenant's, so
//! a sum over them rises and falls. Here every byte is counted once, for the tenant that its file was of then; what was
//! counted as lost stays so where its file comes back, since others take a sum that falls for one that begins anew. Totals
//! are written with the positions, and others see them as they were written: after a crash they go on from there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checkpoint::Entry;
use super::ledger::{self, Lost, Reason};

/// Tenants whose totals are kept at most; where there are more, those that stood still the longest are forgotten.
const MAX_TENANTS: usize = 1000;

/// The totals of each tenant, by its name.
pub type Tenants = BTreeMap<String, Totals>;

/// What the files of one tenant come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Since when all of it is counted, nanoseconds since the epoch. Sums only grow from then on.
    pub since: u64,
    /// When it was added to last, nanoseconds since the epoch.
    pub changed: u64,
    /// Bytes read from files; those that were read again are counted again.
    pub read: u64,
    /// Bytes that are durable on the bus.
    pub acknowledged: u64,
    /// Bytes that will never be on the bus.
    pub lost: Lost,
}

impl Totals {
    /// Adds another's; the sums are then as old as the younger of both.
    pub(crate) fn add(&mut self, other: &Self) {
        self.since = self.since.max(other.since);
        self.changed = self.changed.max(other.changed);
        self.read += other.read;
        self.acknowledged += other.acknowledged;
        ledger::add(&mut self.lost, other.lost.clone());
    }
}

/// What of a generation is in its tenant's totals already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counted {
    acknowledged: u64,
    left_out: u64,
    over_rate: u64,
}

impl Counted {
    /// All that a generation has come to.
    pub(super) fn all_of(entry: &Entry) -> Self {
        Self { acknowledged: ledger::acknowledged(entry), left_out: entry.left_out, over_rate: entry.over_rate }
    }
}

/// The totals of one tenant, to be added to.
pub(super) fn of<'a>(tenants: &'a mut Tenants, tenant: &str) -> &'a mut Totals {
    if !tenants.contains_key(tenant)
        && tenants.len() >= MAX_TENANTS
        && let Some(oldest) = tenants.iter().min_by_key(|(_, totals)| totals.changed).map(|(name, _)| name.clone())
    {
        tenants.remove(&oldest);
    }
    let now = weir_service::time::now_unix_nano_unsigned();
    let totals = tenants.entry(tenant.to_owned()).or_insert_with(|| Totals { since: now, ..Totals::default() });
    totals.changed = now;
    totals
}

/// Adds what a generation came to since it was counted last; gives what is counted of it from now on.
pub(super) fn count(tenants: &mut Tenants, entry: &Entry) -> Counted {
    let (before, now) = (entry.counted.unwrap_or_default(), Counted::all_of(entry));
    let now = Counted {
        acknowledged: now.acknowledged.max(before.acknowledged),
        left_out: now.left_out.max(before.left_out),
        over_rate: now.over_rate.max(before.over_rate),
    };
    if now != before {
        let totals = of(tenants, &entry.tenant);
        totals.acknowledged += now.acknowledged - before.acknowledged;
        let lost =
            [(Reason::OverLimit, now.left_out - before.left_out), (Reason::OverRate, now.over_rate - before.over_rate)];
        ledger::add(&mut totals.lost, lost);
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_that_stood_still_the_longest_make_room() {
        let mut tenants = Tenants::new();
        for at in 0..MAX_TENANTS {
            of(&mut tenants, &format!("t{at}")).read += 1;
        }
        of(&mut tenants, "t0").read += 1;
        of(&mut tenants, "new").read += 1;
        assert_eq!(tenants.len(), MAX_TENANTS);
        assert!(tenants["t0"].read == 2 && !tenants.contains_key("t1") && tenants["new"].since > 0);
    }
}
