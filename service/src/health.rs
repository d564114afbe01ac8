//! Readiness of a program's parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The parts of a program, each ready or not; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, State>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// It does its work, though something that it needs is away: until when, or at what cost, is in the text.
    Degraded(String),
    NotReady(String),
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
        self.those(|state| if let State::NotReady(reason) = state { Some(reason) } else { None })
    }

    /// The parts that work though something is away, with what that is.
    pub fn degraded(&self) -> BTreeMap<String, String> {
        self.those(|state| if let State::Degraded(reason) = state { Some(reason) } else { None })
    }

    fn those(&self, reason: impl Fn(&State) -> Option<&String>) -> BTreeMap<String, String> {
        let parts = self.parts.lock();
        parts.iter().filter_map(|(name, state)| Some((name.clone(), reason(state)?.clone()))).collect()
    }
}

impl Part {
    /// This part does its work.
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    /// This part does its work, though something that it needs is away.
    pub fn degraded(&self, reason: &str) {
        self.set(State::Degraded(reason.to_owned()));
    }

    /// This part does not do its work now, and why.
    pub fn not_ready(&self, reason: &str) {
        self.set(State::NotReady(reason.to_owned()));
    }

    fn set(&self, state: State) {
        self.health.parts.lock().insert(self.name.clone(), state);
    }
}
