//! What became of every byte: seen, acknowledged, waiting, or lost and why; kept over restarts.
//!
//! A source is a path, over all generations of its file. For each, `seen = acknowledged + waiting + lost`, in bytes of
//! files, newlines and prefixes counted in. The numbers of a generation come from its [`Entry`]; when nothing is kept of
//! it any more they are added up here. Lost is counted as far as the size of what is gone was known.

use std::collections::{BTreeMap, VecDeque};
use std::fs::Metadata;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::checkpoint::Entry;
use super::gone::Gone;
use super::totals::{self, Tenants};

/// Sources that are gone and are remembered one by one; those that were gone first are added up under [`OTHERS`].
const MAX_ENDED: usize = 1000;
/// Losses that wait to be told on the bus; those beyond are only counted.
const MAX_LOSSES: usize = 1000;
/// The source that stands for all that are not remembered one by one.
const OTHERS: &str = "(others)";

/// Why bytes will never be on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The file was deleted before it was read.
    Deleted,
    /// The same, while the collector was not running.
    DeletedWhileDown,
    /// The file was truncated or written anew before it was read, and no copy of it is there.
    Truncated,
    /// The compressed file that held it cannot be unpacked.
    Damaged,
    /// A line was longer than `max_line`: these bytes of it were left out. Its record says so by `weir.truncated`.
    OverLimit,
    /// Its tenant was over the rate that it is limited to, and what is over that is to be dropped.
    OverRate,
    /// The configuration does not name the file any more.
    NotConfigured,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Deleted,
        Self::DeletedWhileDown,
        Self::Truncated,
        Self::Damaged,
        Self::OverLimit,
        Self::OverRate,
        Self::NotConfigured,
    ];

    /// As it is written in metrics, records and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::DeletedWhileDown => "deleted_while_down",
            Self::Truncated => "truncated",
            Self::Damaged => "damaged",
            Self::OverLimit => "over_limit",
            Self::OverRate => "over_rate",
            Self::NotConfigured => "not_configured",
        }
    }
}

/// Bytes by the reason why they are lost.
pub type Lost = BTreeMap<Reason, u64>;

pub(super) fn add(lost: &mut Lost, more: impl IntoIterator<Item = (Reason, u64)>) {
    for (reason, bytes) in more.into_iter().filter(|(_, bytes)| *bytes > 0) {
        *lost.entry(reason).or_default() += bytes;
    }
}

/// Whether both tenants are known, and are not the same.
pub(super) fn is_another(one: &str, other: &str) -> bool {
    !one.is_empty() && !other.is_empty() && one != other
}

/// Bytes of a generation that are in records on the bus.
pub(super) fn acknowledged(entry: &Entry) -> u64 {
    entry.position.saturating_sub(entry.start).saturating_sub(entry.left_out + entry.over_rate)
}

/// Bytes of a generation that lie between those.
fn passed_over(entry: &Entry) -> [(Reason, u64); 2] {
    [(Reason::OverLimit, entry.left_out), (Reason::OverRate, entry.over_rate)]
}

/// Generations of a source of which nothing else is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    acknowledged: u64,
    lost: Lost,
    /// When it was added to last, nanoseconds since the epoch.
    changed: u64,
    /// Whose it was then.
    #[serde(default)]
    tenant: String,
    /// Whether it was another's before.
    #[serde(default)]
    is_of_several: bool,
}

/// A range of a generation that is lost, to be told on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Loss {
    pub(super) path: String,
    pub(super) target: String,
    pub(super) identity: String,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) reason: Reason,
    /// When it was found out, nanoseconds since the epoch.
    pub(super) at: u64,
}

/// What is kept beside the generations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(default)]
    ended: BTreeMap<String, Ended>,
    #[serde(default)]
    losses: VecDeque<Loss>,
    #[serde(default)]
    gone: Gone,
}

/// The numbers of all sources, as others see them.
#[derive(Debug, Default)]
struct Snapshot {
    files: Vec<Entry>,
    ended: Arc<Kept>,
    tenants: Arc<Tenants>,
}

/// How far every source is, for whoever asks; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sources(Arc<Mutex<Arc<Snapshot>>>);

/// One source's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The path that a glob found.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Whose it is; empty where that is not known any more, and of the sum of several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Whether some of its generations were another's.
    #[serde(skip)]
    pub(crate) is_of_several: bool,
    /// Generations of its file that are there, or are remembered.
    pub files: u64,
    /// Bytes that are or were known to be there.
    pub seen: u64,
    /// Bytes that are durable on the bus.
    pub acknowledged: u64,
    /// Bytes that are neither there nor lost yet.
    pub waiting: u64,
    /// How long the oldest of those that wait were seen to wait, at least; in seconds.
    pub waiting_seconds: u64,
    /// Bytes that will never be on the bus.
    pub lost: Lost,
}

impl Row {
    fn add(&mut self, entry: &Entry, now: u64) {
        self.is_of_several |= entry.is_of_several || is_another(&self.tenant, &entry.tenant);
        self.files += 1;
        self.tenant.clone_from(&entry.tenant);
        self.acknowledged += acknowledged(entry);
        self.waiting += entry.size.saturating_sub(entry.position);
        add(&mut self.lost, passed_over(entry));
        let waiting = entry.waiting_since.map_or(0, |since| now.saturating_sub(since) / 1_000_000_000);
        self.waiting_seconds = self.waiting_seconds.max(waiting);
    }

    /// Stands for many sources of which nothing else is known.
    pub(crate) fn is_of_others(&self) -> bool {
        self.path == OTHERS
    }

    /// Both, without a path.
    pub(crate) fn plus(mut self, other: &Self) -> Self {
        self.files += other.files;
        self.seen += other.seen;
        self.acknowledged += other.acknowledged;
        self.waiting += other.waiting;
        self.waiting_seconds = self.waiting_seconds.max(other.waiting_seconds);
        add(&mut self.lost, other.lost.clone());
        self
    }

    /// Nothing waits, and nothing was lost.
    pub(crate) fn is_complete(&self) -> bool {
        self.waiting == 0 && self.lost.is_empty()
    }

    fn sum(mut self) -> Self {
        self.seen = self.acknowledged + self.waiting + self.lost.values().sum::<u64>();
        self
    }
}

impl Sources {
    /// All sources, by path.
    pub fn rows(&self) -> Vec<Row> {
        let snapshot = Arc::clone(&self.0.lock());
        let now = weir_service::time::now_unix_nano() as u64;
        let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
        for entry in &snapshot.files {
            rows.entry(&entry.path).or_default().add(entry, now);
        }
        for (path, ended) in &snapshot.ended.ended {
            let row = rows.entry(path).or_default();
            row.is_of_several |= ended.is_of_several || is_another(&ended.tenant, &row.tenant);
            if row.files == 0 {
                row.tenant.clone_from(&ended.tenant);
            }
            row.acknowledged += ended.acknowledged;
            add(&mut row.lost, ended.lost.clone());
        }
        rows.into_iter().map(|(path, row)| Row { path: path.to_owned(), ..row }.sum()).collect()
    }

    /// What the files of each tenant come to, as it was last written.
    pub fn tenants(&self) -> Arc<Tenants> {
        Arc::clone(&self.0.lock().tenants)
    }
}

/// The books of a file source.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    kept: Arc<Kept>,
    tenants: Tenants,
    /// The same as it is on disk.
    written: Arc<Tenants>,
    sources: Sources,
    /// The oldest loss is on its way.
    telling: bool,
    /// When it was not taken.
    refused: Option<Instant>,
}

impl Ledger {
    pub(super) fn new(kept: Kept, tenants: Tenants) -> Self {
        Self { kept: Arc::new(kept), written: Arc::new(tenants.clone()), tenants, ..Self::default() }
    }

    /// So many bytes of a tenant's files were read.
    pub(super) fn read(&mut self, tenant: &str, bytes: u64) {
        totals::of(&mut self.tenants, tenant).read += bytes;
    }

    /// Adds to its tenant's totals what is not in them of a generation.
    pub(super) fn counted<'a>(&mut self, entry: &'a mut Entry) -> &'a Entry {
        entry.counted = Some(totals::count(&mut self.tenants, entry));
        entry
    }

    pub(super) fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// The totals are on disk as they are.
    pub(super) fn wrote(&mut self) {
        if *self.written != self.tenants {
            self.written = Arc::new(self.tenants.clone());
        }
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    pub(super) fn tell_through(&mut self, sources: &Sources) {
        self.sources = sources.clone();
    }

    /// What others see from now on.
    pub(super) fn publish(&self, files: Vec<Entry>) {
        let (ended, tenants) = (Arc::clone(&self.kept), Arc::clone(&self.written));
        *self.sources.0.lock() = Arc::new(Snapshot { files, ended, tenants });
    }

    /// This generation is given up; what was not acknowledged is lost, for this reason, unless its file comes back.
    pub(super) fn end(&mut self, entry: &Entry, reason: Reason) {
        self.forget(entry, reason);
        Arc::make_mut(&mut self.kept).gone.keep(entry, reason);
    }

    /// The generation that was given up whose inode this is.
    pub(super) fn gone(&self, metadata: &Metadata) -> Option<Entry> {
        self.kept.gone.find(metadata).cloned()
    }

    /// The file of one that was given up is there again: what its source lost of it is not lost. What was told, and what
    /// is in the totals, stays. Returns what is left to be counted.
    pub(super) fn take_back(&mut self, entry: Entry) -> Entry {
        let lost = entry.size.saturating_sub(entry.position);
        let kept = Arc::make_mut(&mut self.kept);
        kept.gone.remove(&entry.identity);
        let path = if kept.ended.contains_key(&entry.path) { &entry.path } else { OTHERS };
        if let Some(ended) = kept.ended.get_mut(path)
            && let Some(reason) = entry.ended
            && let Some(bytes) = ended.lost.get_mut(&reason)
        {
            *bytes = bytes.saturating_sub(lost);
            ended.lost.retain(|_, bytes| *bytes > 0);
        }
        let mut on_its_way = self.telling;
        kept.losses.retain(|loss| {
            std::mem::take(&mut on_its_way)
                || (&loss.identity, loss.start, loss.end) != (&entry.identity, entry.position, entry.size)
        });
        let start = entry.position;
        Entry {
            start,
            left_out: 0,
            over_rate: 0,
            counted: None,
            waiting_since: None,
            closed: false,
            ended: None,
            ..entry
        }
    }

    /// Nothing is kept of this generation any more, since its file will not be there again.
    pub(super) fn forget(&mut self, entry: &Entry, reason: Reason) {
        totals::count(&mut self.tenants, entry);
        let ended = self.ended(entry);
        ended.acknowledged += acknowledged(entry);
        add(&mut ended.lost, passed_over(entry));
        self.lose(entry, entry.position, entry.size, reason);
        self.forget_some();
    }

    /// A range of a generation is lost.
    pub(super) fn lose(&mut self, entry: &Entry, start: u64, end: u64, reason: Reason) {
        if end <= start {
            return;
        }
        let path = &entry.path;
        tracing::warn!(path, bytes = end - start, reason = reason.name(), "a file, or a part of it, is lost");
        add(&mut self.ended(entry).lost, [(reason, end - start)]);
        add(&mut totals::of(&mut self.tenants, &entry.tenant).lost, [(reason, end - start)]);
        let kept = Arc::make_mut(&mut self.kept);
        if kept.losses.len() < MAX_LOSSES {
            kept.losses.push_back(Loss {
                path: path.clone(),
                target: entry.target.clone(),
                identity: entry.identity.clone(),
                start,
                end,
                reason,
                at: weir_service::time::now_unix_nano() as u64,
            });
        }
    }

    /// The oldest loss that is not told yet, unless one is on its way: they are told one after the other. One that was
    /// refused is told again after a while.
    pub(super) fn tell(&mut self, again: Duration) -> Option<Loss> {
        if self.telling || self.told_again(again).is_some_and(|at| at > Instant::now()) {
            return None;
        }
        let loss = self.kept.losses.front().cloned();
        self.telling = loss.is_some();
        loss
    }

    /// When a loss is told again that was refused.
    pub(super) fn told_again(&self, after: Duration) -> Option<Instant> {
        self.refused.map(|at| at + after)
    }

    /// The one that was on its way is durable on the bus, or has to be told again.
    pub(super) fn told(&mut self, durable: bool) {
        (self.telling, self.refused) = (false, (!durable).then(Instant::now));
        if durable {
            Arc::make_mut(&mut self.kept).losses.pop_front();
        }
    }

    fn ended(&mut self, entry: &Entry) -> &mut Ended {
        let ended = Arc::make_mut(&mut self.kept).ended.entry(entry.path.clone()).or_default();
        ended.changed = weir_service::time::now_unix_nano() as u64;
        ended.is_of_several |= entry.is_of_several || is_another(&ended.tenant, &entry.tenant);
        ended.tenant.clone_from(&entry.tenant);
        ended
    }

    fn forget_some(&mut self) {
        let ended = &mut Arc::make_mut(&mut self.kept).ended;
        while ended.len() > MAX_ENDED + 1 {
            let oldest = ended.iter().filter(|(path, _)| *path != OTHERS).min_by_key(|(_, ended)| ended.changed);
            let Some(gone) = oldest.map(|(path, _)| path.clone()).and_then(|path| ended.remove(&path)) else { return };
            let others = ended.entry(OTHERS.to_owned()).or_default();
            others.acknowledged += gone.acknowledged;
            add(&mut others.lost, gone.lost);
        }
    }
}
