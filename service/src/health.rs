//! Readiness of a program's parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The parts of a program, each ready or not; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

/// One part; it is not ready until it says so.
#[derive(Clone, Debug)]
pub struct Part {
    name: String,
    health: Health,
}

impl Health {
    /// Adds a part, not ready: «starting».
    pub fn part(&self, name: &str) -> Part {
        let part = Part { name: name.to_owned(), health: self.clone() };
        part.not_ready("starting");
        part
    }

    /// The parts that are not ready, with the reason.
    pub fn waiting_for(&self) -> BTreeMap<String, String> {
        let parts = self.parts.lock();
        parts.iter().filter_map(|(name, reason)| Some((name.clone(), reason.clone()?))).collect()
    }
}

impl Part {
    /// This part does its work.
    pub fn ready(&self) {
        self.health.parts.lock().insert(self.name.clone(), None);
    }

    /// This part does not do its work now, and why.
    pub fn not_ready(&self, reason: &str) {
        self.health.parts.lock().insert(self.name.clone(), Some(reason.to_owned()));
    }
}
