//! What was sent to whom: the latest notifications, in memory and in a file, both bounded.
//!
//! A notification that is tried again is one entry, with the number of its attempts. Where several alerters share a bus,
//! one sends; the others know of what was taken, with the alerts that they know themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use weir_service::telemetry::whole;

use super::alert::Alert;
use crate::journal::Journal;

/// What is kept.
const MAX_ENTRIES: usize = 5_000;
const MAX_BYTES: usize = 4 << 20;
/// What an entry takes in memory beside its encoded bytes, about.
const ENTRY_BYTES: usize = 512;
/// What is kept of one notification: alerts, bytes of their labels, tenants of its alerts, and bytes of an error.
const MAX_ALERTS: usize = 50;
const MAX_LABEL_BYTES: usize = 8 << 10;
const MAX_TENANTS: usize = 100;
const MAX_ERROR_BYTES: usize = 500;

/// The label that says whose an alert is.
const TENANT: &str = "tenant";

/// One notification by one channel of a receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Of this alerter; rises by one with each.
    pub id: u64,
    /// When the last attempt ended, by the wall clock in unix milliseconds.
    pub time_ms: i64,
    /// What alerters know the channel and the group by.
    pub(super) name: String,
    /// Who was told.
    pub receiver: String,
    /// The kind of its channel, with a number behind the first of the kind: `webhook`, `webhook[1]`.
    pub integration: String,
    /// Labels that all its alerts have.
    pub group: BTreeMap<String, String>,
    /// Whether an alert of it fires.
    pub is_firing: bool,
    /// The first of its alerts.
    pub alerts: Vec<NotifiedAlert>,
    /// All of them.
    pub alerts_total: usize,
    /// Tenants of all its alerts; `None` is of an alert without one, or whose is not known.
    pub tenants: BTreeSet<Option<String>>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was not taken.
    pub error: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    /// How long the last attempt took; not known of another alerter's.
    pub duration_ms: Option<u64>,
}

/// An alert of a notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotifiedAlert {
    /// Its identity.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Whether it fires, or was resolved.
    pub is_firing: bool,
}

/// What came of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The receiver took it.
    Sent,
    /// It did not, and is asked again.
    Failed,
    /// It did not, and is not asked again before the group's next turn.
    Refused,
    /// It was not sent, since all of its alerts are silenced, inhibited or muted.
    Suppressed,
}

impl Outcome {
    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Suppressed => "suppressed",
        }
    }
}

impl Notification {
    /// Of alerts, without what says who was told.
    pub(crate) fn of(alerts: &[Alert], outcome: Outcome, time_ms: i64) -> Self {
        let bytes = |alert: &Alert| alert.labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let mut left = MAX_LABEL_BYTES;
        let fits = |alert: &&Alert| {
            let bytes = bytes(alert);
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        };
        let shown =
            |alert: &Alert| NotifiedAlert { labels: alert.labels.clone(), is_firing: alert.ends_at_ms.is_none() };
        let mut tenants: BTreeSet<Option<String>> = BTreeSet::new();
        for alert in alerts {
            let tenant = alert.labels.get(TENANT).filter(|tenant| !tenant.is_empty());
            // Of more than these, whose they are is not known.
            tenants.insert(tenant.filter(|_| tenants.len() < MAX_TENANTS).cloned());
        }
        Self {
            id: 0,
            time_ms,
            name: String::new(),
            receiver: String::new(),
            integration: String::new(),
            group: BTreeMap::new(),
            is_firing: alerts.iter().any(|alert| alert.ends_at_ms.is_none()),
            alerts: alerts.iter().take(MAX_ALERTS).take_while(fits).map(shown).collect(),
            alerts_total: alerts.len(),
            tenants,
            outcome,
            error: None,
            attempts: 1,
            duration_ms: None,
        }
    }

    /// With why it was not taken.
    pub(crate) fn because(mut self, why: &str) -> Self {
        self.error = Some(why[..why.floor_char_boundary(MAX_ERROR_BYTES)].to_owned());
        self
    }
}

/// The latest notifications; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct NotificationLog(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    /// By time and id.
    kept: BTreeMap<(i64, u64), Entry>,
    bytes: usize,
    next: u64,
    /// Those with a lower id are from before this start.
    began: u64,
    /// `None` keeps them in memory alone.
    journal: Option<Journal>,
}

#[derive(Debug)]
struct Entry {
    notification: Arc<Notification>,
    /// As it is written.
    record: Vec<u8>,
}

impl NotificationLog {
    /// Reads the file, if there is one. Does I/O: not for an async thread.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Nothing is decided by it: what a machine that dies has not written is no loss that a sync for each is worth.
        let (journal, records) = Journal::open::<Vec<u8>>(path, 2 * MAX_BYTES, false)?;
        let mut entries = Entries { journal: Some(journal), ..Entries::default() };
        // The last record of one counts.
        let read = records.iter().filter_map(|record| serde_json::from_slice::<Notification>(record).ok());
        let latest: BTreeMap<u64, Notification> = read.map(|one| (one.id, one)).collect();
        for (id, notification) in latest {
            entries.next = entries.next.max(id.saturating_add(1));
            entries.keep(notification);
        }
        entries.began = entries.next;
        Ok(Self(Arc::new(Mutex::new(entries))))
    }

    /// Adds a notification, or what another attempt of one came to. What is known already is left out. Does I/O: not
    /// for an async thread. Where that fails, it is only in memory.
    pub(crate) fn record(&self, mut notification: Notification) {
        let mut entries = self.0.lock();
        if entries.has(&notification.name, notification.time_ms) || entries.was_suppressed(&notification) {
            return;
        }
        let before = if notification.attempts > 1 { entries.latest(&notification.name) } else { None };
        let before = before.filter(|before| before.outcome == Outcome::Failed);
        notification.id = match before {
            Some(before) => {
                entries.remove((before.time_ms, before.id));
                before.id
            }
            None => entries.next,
        };
        entries.next = entries.next.max(notification.id + 1);
        let key = (notification.time_ms, notification.id);
        let record = entries.keep(notification);
        if !entries.kept.contains_key(&key) {
            // It is older than all that is kept.
            return;
        }
        let Entries { journal: Some(journal), kept, .. } = &mut *entries else { return };
        if let Err(error) = journal.append(&[record], kept.values().map(|entry| entry.record.clone())) {
            tracing::error!(error = %whole(&error), path = %journal.path().display(),
                "the log of notifications cannot be written; after a restart some of it may be missing");
        }
    }

    /// Those before a time and id, newest first, as long as `take` says so.
    pub(crate) fn visit(&self, before: Option<(i64, u64)>, mut take: impl FnMut(&Notification) -> bool) {
        let before = before.unwrap_or((i64::MAX, u64::MAX));
        let all: Vec<Arc<Notification>> =
            self.0.lock().kept.range(..before).rev().map(|(_, entry)| entry.notification.clone()).collect();
        for notification in &all {
            if !take(notification) {
                return;
            }
        }
    }
}

impl Entries {
    /// Whether there is one of a channel and group at a time.
    fn has(&self, name: &str, time_ms: i64) -> bool {
        self.kept.range((time_ms, 0)..=(time_ms, u64::MAX)).any(|(_, entry)| entry.notification.name == name)
    }

    /// Whether it was not sent, and the same was noted before this start: what a start finds silenced is no news.
    fn was_suppressed(&self, notification: &Notification) -> bool {
        let is_same = |before: &Notification| {
            let firing =
                |of: &Notification| of.alerts.iter().filter(|alert| alert.is_firing).cloned().collect::<Vec<_>>();
            before.id < self.began && before.outcome == Outcome::Suppressed && firing(before) == firing(notification)
        };
        notification.outcome == Outcome::Suppressed
            && self.latest(&notification.name).is_some_and(|before| is_same(&before))
    }

    /// The latest of a channel and group.
    fn latest(&self, name: &str) -> Option<Arc<Notification>> {
        let all = self.kept.values().rev().map(|entry| &entry.notification);
        all.into_iter().find(|one| one.name == name).cloned()
    }

    fn keep(&mut self, notification: Notification) -> Vec<u8> {
        let record = serde_json::to_vec(&notification).unwrap_or_default();
        let key = (notification.time_ms, notification.id);
        self.bytes += record.len() + ENTRY_BYTES;
        self.kept.insert(key, Entry { notification: Arc::new(notification), record: record.clone() });
        while self.kept.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.kept.first_key_value().map(|(key, _)| *key) else { break };
            self.remove(oldest);
        }
        record
    }

    fn remove(&mut self, key: (i64, u64)) {
        if let Some(entry) = self.kept.remove(&key) {
            self.bytes -= entry.record.len() + ENTRY_BYTES;
        }
    }
}

#[cfg(test)]
mod tests;
