//! Calls whose times do not fit the rest, by service: they came after rules had seen their second, or the service's
//! clock is ahead.

use ahash::AHashMap;

/// Services told apart between two commits; the calls of more are counted under [`OTHERS`].
const SERVICES: usize = 200;
/// Where services beyond the limit are counted.
const OTHERS: &str = "other";

/// How many calls of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Odd {
    /// Ended before what rules had already been evaluated for.
    pub late: u64,
    /// Ended after they arrived.
    pub ahead: u64,
}

/// The counts by tenant and service.
#[derive(Debug, Default)]
pub struct Skew(AHashMap<(String, String), Odd>);

impl Skew {
    /// Adds calls of a service.
    pub fn add(&mut self, tenant: &str, service: &str, odd: Odd) {
        if odd == Odd::default() {
            return;
        }
        let mut key = (tenant.to_owned(), service.to_owned());
        if self.0.len() >= SERVICES && !self.0.contains_key(&key) {
            key = (OTHERS.to_owned(), OTHERS.to_owned());
        }
        let sum = self.0.entry(key).or_default();
        sum.late += odd.late;
        sum.ahead += odd.ahead;
    }

    /// The counts, which begin at zero again.
    pub fn drain(&mut self) -> impl Iterator<Item = ((String, String), Odd)> {
        self.0.drain()
    }
}
