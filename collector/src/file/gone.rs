//! Generations that were given up, for a while: a volume may be mounted late, a folder may be away, a glob may be mended.
//! One whose file is there again goes on where it was, and is not read a second time.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checkpoint::Entry;
use super::ledger::Reason;
use super::rotated::MAX_CLOSED;

/// How long they are remembered.
const KEPT: Duration = Duration::from_hours(24);

/// These generations, the ones that were given up first in front.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Gone(VecDeque<GivenUp>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct GivenUp {
    /// When it was given up, nanoseconds since the epoch.
    at: u64,
    /// As it was then; why is in [`Entry::ended`].
    entry: Entry,
}

/// Whether the file of what was given up for this reason may be there again.
pub(super) fn may_return(reason: Option<Reason>) -> bool {
    matches!(reason, Some(Reason::Deleted | Reason::DeletedWhileDown | Reason::NotConfigured))
}

impl Gone {
    /// Remembers one, if it could be told again.
    pub(super) fn keep(&mut self, entry: &Entry, reason: Reason) {
        if !may_return(Some(reason)) || entry.packed || entry.fingerprint.is_empty() {
            return;
        }
        let now = weir_service::time::now_unix_nano() as u64;
        let entry = Entry { ended: Some(reason), ..entry.clone() };
        self.0.retain(|given| given.entry.inode() != entry.inode());
        self.0.push_back(GivenUp { at: now, entry });
        while self.0.len() > MAX_CLOSED || self.0.front().is_some_and(|given| given.is_old(now)) {
            self.0.pop_front();
        }
    }

    /// The one whose inode this is.
    pub(super) fn find(&self, metadata: &Metadata) -> Option<&Entry> {
        let now = weir_service::time::now_unix_nano() as u64;
        let found = self.0.iter().rev().find(|given| given.entry.is_of(metadata))?;
        (!found.is_old(now)).then_some(&found.entry)
    }

    /// It is there again.
    pub(super) fn remove(&mut self, identity: &str) {
        self.0.retain(|given| given.entry.identity != identity);
    }
}

impl GivenUp {
    fn is_old(&self, now: u64) -> bool {
        u128::from(now.saturating_sub(self.at)) > KEPT.as_nanos()
    }
}
