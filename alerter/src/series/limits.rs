//! How many series there may be: of all, and of one tenant, so that none takes the room of the others.

use ahash::AHashMap;

/// Why there is no room for a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// There are as many as there may be.
    Limit,
    /// The tenant has as many as it may have.
    Tenant,
}

/// The limits, and how many series there are.
#[derive(Debug)]
pub(super) struct Limits {
    limit: usize,
    per_tenant: usize,
    count: usize,
    /// Of each tenant that has any. What rules record without a tenant is nobody's.
    of: AHashMap<String, usize>,
}

impl Limits {
    /// At most so many of all, whoever has them.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, per_tenant: usize::MAX, count: 0, of: AHashMap::new() }
    }

    pub(super) fn set_per_tenant(&mut self, series: usize) {
        self.per_tenant = series;
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Adds series of a tenant. The last may be some more than one.
    pub(super) fn take(&mut self, tenant: &str, series: usize) -> Result<(), Over> {
        if self.count >= self.limit {
            return Err(Over::Limit);
        }
        if !tenant.is_empty() {
            let has = self.of.get_mut(tenant);
            if has.as_ref().map_or(0, |has| **has) >= self.per_tenant {
                return Err(Over::Tenant);
            }
            match has {
                Some(has) => *has += series,
                None => drop(self.of.insert(tenant.to_owned(), series)),
            }
        }
        self.count += series;
        Ok(())
    }

    /// Series of a tenant are no longer there.
    pub(super) fn give(&mut self, tenant: &str, series: usize) {
        self.count = self.count.saturating_sub(series);
        if let Some(has) = self.of.get_mut(tenant) {
            *has = has.saturating_sub(series);
            if *has == 0 {
                self.of.remove(tenant);
            }
        }
    }
}
