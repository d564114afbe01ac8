//! The interfaces that are kept apart for each tenant.
//!
//! The limit is a tenant's, so it is held in one place for all partitions that are folded here. What other members of
//! the group let in is learned from the ranges that they write, half a second later; so while several of them meet a
//! tenant's first interfaces at once, more may be written than the limit. The store of series holds it for what it
//! shows. Which calls are `other` is decided once, by whoever folds them, and written: every reader of the ranges sees
//! the same, as often as it reads.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use parking_lot::Mutex;
use weir_proto::v1;

use super::OTHER;

/// Tenants whose interfaces are kept apart; all interfaces of one beyond are one.
const TENANTS: usize = 10_000;

/// What was let in so far; cheap to clone, and each clone sees what the others let in.
#[derive(Debug, Clone)]
pub struct Interfaces {
    per_tenant: usize,
    known: Arc<Mutex<AHashMap<String, AHashSet<String>>>>,
}

impl Interfaces {
    /// At most so many of each tenant.
    pub fn new(per_tenant: usize) -> Self {
        Self { per_tenant, known: Arc::default() }
    }

    /// How many of each tenant.
    pub fn per_tenant(&self) -> usize {
        self.per_tenant
    }

    /// Whether an interface is kept apart; a new one is where the tenant has room.
    pub fn admit(&self, tenant: &str, interface: &str) -> bool {
        let mut all = self.known.lock();
        let tenants = all.len();
        let known = match all.get_mut(tenant) {
            Some(known) => known,
            None if tenants >= TENANTS => return false,
            None => all.entry(tenant.to_owned()).or_default(),
        };
        known.contains(interface) || (known.len() < self.per_tenant && known.insert(interface.to_owned()))
    }

    /// Takes over what a range has, whoever wrote it.
    pub fn learn(&self, range: &v1::CallDeltas) {
        for series in range.series.iter().filter(|series| series.interface != OTHER) {
            self.admit(&series.tenant, &series.interface);
        }
    }
}
