//! The latest transitions of alerts, in memory and in a file, both bounded.
//!
//! A step's transitions are in the file, synced, before the state behind that step is written. A crash in between gives
//! them again at the next start; those that are there already are left out. The file is a [`Journal`] of
//! [`v1::AlertTransition`], written whole again when half of it is no longer kept.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use prost::Message as _;
use weir_proto::v1;
use weir_service::telemetry::whole;

use crate::journal::Journal;
use crate::rules::{AlertLabels, State, Transition};

/// What is kept.
const MAX_ENTRIES: usize = 20_000;
const MAX_BYTES: usize = 8 << 20;
/// What an entry takes in memory beside its encoded bytes, about.
const ENTRY_BYTES: usize = 256;

/// The latest transitions; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct History(Arc<Mutex<Entries>>);

/// A transition and its number, which rises by one with each.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) transition: Arc<Transition>,
    bytes: usize,
}

#[derive(Debug)]
struct Entries {
    /// Oldest first.
    kept: VecDeque<Entry>,
    bytes: usize,
    next: u64,
    journal: Journal,
    /// What may be given again: transitions up to the last time that was found at the start.
    found: Option<(i64, HashSet<Identity>)>,
}

type Identity = (i64, Option<State>, AlertLabels);

impl History {
    /// Reads the file, if there is one. Does I/O: not for an async thread.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (journal, found) = Journal::open(path, 2 * MAX_BYTES, true)?;
        let mut entries = Entries { kept: VecDeque::new(), bytes: 0, next: 0, journal, found: None };
        entries.restore(found);
        Ok(Self(Arc::new(Mutex::new(entries))))
    }

    /// Adds what a step changed, durably. Does I/O: not for an async thread. Where that fails, it is only in memory.
    pub(crate) fn append(&self, transitions: &[Transition]) {
        if transitions.is_empty() {
            return;
        }
        let mut entries = self.0.lock();
        if let Err(error) = entries.append(transitions) {
            tracing::error!(error = %whole(&error), path = %entries.journal.path().display(),
                "the history of alerts cannot be written; after a restart some of it may be missing");
        }
    }

    /// Those with a number before `before`, newest first, as long as `take` says so.
    pub(crate) fn visit(&self, before: Option<u64>, mut take: impl FnMut(&Entry) -> bool) {
        let entries: Vec<Entry> = {
            let entries = self.0.lock();
            let is_before = |entry: &&Entry| before.is_none_or(|before| entry.number < before);
            entries.kept.iter().rev().filter(is_before).cloned().collect()
        };
        for entry in &entries {
            if !take(entry) {
                return;
            }
        }
    }
}

impl Entries {
    fn restore(&mut self, found: Vec<v1::AlertTransition>) {
        for message in found {
            let size = message.encoded_len();
            self.next = message.number.max(self.next);
            if let Some(transition) = Transition::from_message(message) {
                self.keep(transition, size);
            }
        }
        let identities = self.kept.iter().map(|entry| identity(&entry.transition)).collect();
        let last_ms = self.kept.iter().map(|entry| entry.transition.time_ms).max();
        self.found = last_ms.map(|last_ms| (last_ms, identities));
    }

    fn keep(&mut self, transition: Transition, size: usize) {
        let entry = Entry { number: self.next, transition: Arc::new(transition), bytes: size + ENTRY_BYTES };
        self.next += 1;
        self.bytes += entry.bytes;
        self.kept.push_back(entry);
        while self.kept.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes;
        }
    }

    fn append(&mut self, transitions: &[Transition]) -> io::Result<()> {
        let mut messages = Vec::new();
        for transition in transitions {
            if self.is_known(transition) {
                continue;
            }
            let message = transition.to_message(self.next);
            self.keep(transition.clone(), message.encoded_len());
            messages.push(message);
        }
        self.journal.append(&messages, self.kept.iter().map(|entry| entry.transition.to_message(entry.number)))
    }

    fn is_known(&mut self, transition: &Transition) -> bool {
        let Some((last_ms, identities)) = &self.found else { return false };
        if transition.time_ms > *last_ms {
            self.found = None;
            return false;
        }
        identities.contains(&identity(transition))
    }
}

fn identity(transition: &Transition) -> Identity {
    (transition.time_ms, transition.state, transition.labels.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transition(time_ms: i64, state: Option<State>, name: &str) -> Transition {
        let labels = Arc::new([("alertname".to_owned(), name.to_owned())].into());
        let (annotations, group, rule) = (Arc::default(), "f;g".into(), name.to_owned());
        Transition { time_ms, state, labels, annotations, value: 1.5, active_at_ms: time_ms - 1, group, rule }
    }

    fn shown(history: &History, before: Option<u64>) -> Vec<(u64, i64, &'static str)> {
        let mut shown = Vec::new();
        history.visit(before, |entry| {
            shown.push((entry.number, entry.transition.time_ms, entry.transition.state_name()));
            true
        });
        shown
    }

    #[test]
    fn what_a_restart_gives_again_is_there_once_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let history = History::open(&path).unwrap();
        let [pending, firing] = [Some(State::Pending), Some(State::Firing)];
        history.append(&[transition(10, pending, "a"), transition(10, pending, "b")]);
        history.append(&[transition(20, firing, "a")]);
        let history = History::open(&path).unwrap();
        assert_eq!(shown(&history, None), [(2, 20, "firing"), (1, 10, "pending"), (0, 10, "pending")]);
        history.append(&[transition(20, firing, "a"), transition(20, None, "b")]);
        history.append(&[transition(30, Some(State::Resolved), "a")]);
        let again = History::open(&path).unwrap();
        assert_eq!(shown(&again, Some(4)), shown(&history, Some(4)));
        assert_eq!(shown(&again, None)[..2], [(4, 30, "resolved"), (3, 20, "inactive")]);
        again.visit(None, |entry| {
            assert_eq!(entry.transition.active_at_ms, entry.transition.time_ms - 1);
            false
        });
    }

    #[test]
    fn a_file_whose_end_is_damaged_keeps_what_is_before_it_and_grows_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        History::open(&path).unwrap().append(&[transition(10, None, "a"), transition(11, None, "a")]);
        let bytes = std::fs::read(&path).unwrap();
        for cut in 1..bytes.len() {
            std::fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
            let history = History::open(&path).unwrap();
            let before = shown(&history, None).len();
            assert!(before <= 1, "the last entry is cut");
            history.append(&[transition(12, None, "b")]);
            assert_eq!(shown(&History::open(&path).unwrap(), None).len(), before + 1, "cut by {cut}");
        }
    }

    #[test]
    fn memory_and_file_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let history = History::open(&path).unwrap();
        let long = "a".repeat(2000);
        for time_ms in 0..200 {
            let step: Vec<Transition> = (0..100).map(|_| transition(time_ms, None, &long)).collect();
            history.append(&step);
        }
        assert!(history.0.lock().bytes <= MAX_BYTES);
        let step: Vec<Transition> = (0..30_000).map(|_| transition(200, None, "b")).collect();
        history.append(&step);
        let kept = shown(&history, None);
        assert_eq!((kept.len(), kept[0].0), (MAX_ENTRIES, 49_999));
        assert!(std::fs::metadata(&path).unwrap().len() <= 3 * MAX_BYTES as u64);
        assert_eq!(shown(&History::open(&path).unwrap(), None), kept);
    }
}
