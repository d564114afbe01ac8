//! Lines of one signal: in the head, and in one index for each window of event time.
//!
//! # What is promised
//! **Every line once.** A [`Snapshot`] has each line that was ingested exactly once: in the head, in a head that is being
//! sealed, or in a chunk; one lock changes a sealed head for its chunks. On disk a seal counts when its [`Manifest`] is in
//! place, which also holds the bus positions and origin marks of the moment at which the head was taken: chunks and
//! positions are one commit. Order of a seal: for each window add the chunks, each with the seal's number, and commit;
//! then write the manifest beside the old one, sync, rename, sync the folder. A crash before the rename leaves chunks of
//! the number behind the manifest's, which [`Store::open`] deletes before anything is read; a crash after it leaves
//! nothing to do. In both cases reading goes on at [`Store::position`].
//!
//! One caller ingests; seals, snapshots and retention may run beside it.

pub(crate) mod erase;
mod gaps;
mod manifest;
mod retention;
mod seal;
mod select;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use weir_bus::Message;
use weir_query::decode::Sources;
use weir_query::line::{Line, Source};
use weir_service::auth::Tenants;
use weir_service::telemetry::whole;

use self::gaps::Gaps;
pub use self::gaps::{Gap, Reason};
pub(crate) use self::manifest::FORMAT;
use self::manifest::Manifest;
pub use self::seal::{Sealed, Step};
use self::window::{View, Window};
use crate::Error;
use crate::fields::FieldList;
use crate::head::{Batch, Head};
use crate::ingest::{self, Fate, Marks, Signal};
use crate::metrics;
use crate::schedule::Budget;
use crate::snapshot::{Candidate, Counted, Exact, Lines as _, Needs, Snapshot};

/// Lines of one signal, on disk below one folder.
pub struct Store {
    root: PathBuf,
    signal: Signal,
    window: Duration,
    /// Windows behind now that lines are put into; older lines go into the oldest of them.
    back: i64,
    reading: Mutex<Reading>,
    state: RwLock<State>,
    sealing: Mutex<seal::Sealing>,
    indexed_until: AtomicI64,
    /// The positions of the last seal that counts.
    on_disk: Mutex<BTreeMap<i32, i64>>,
}

/// How far the bus was read into the head.
#[derive(Default)]
struct Reading {
    positions: BTreeMap<i32, i64>,
    /// By partition, the time of the last record, in milliseconds since the epoch.
    times: BTreeMap<i32, i64>,
    gaps: Arc<Gaps>,
    marks: Marks,
    sources: Sources,
    /// Something was read since the last seal.
    moved: bool,
}

/// What a snapshot is taken of.
#[derive(Default)]
struct State {
    head: Head,
    sealing: Head,
    views: Arc<Vec<View>>,
    gaps: Arc<Gaps>,
}

/// What came of [`Store::ingest`].
#[derive(Debug, Default)]
pub struct Ingested {
    /// Records that are behind the position now.
    pub records: usize,
    /// New lines, by source.
    pub batches: Vec<Arc<Vec<Line>>>,
    /// Lines of records that were partly read before, and were dropped.
    pub duplicates: usize,
    /// Records that were wholly read before.
    pub duplicate_records: usize,
    /// The record behind those cannot be read, and why: it is for the caller to keep it elsewhere, call
    /// [`Store::skip`], and go on behind it.
    pub poison: Option<String>,
}

/// Of a program that asks nobody.
#[cfg(test)]
pub(crate) fn everything() -> Tenants {
    weir_service::auth::Auth::off().everything().unwrap()
}

impl Store {
    /// Opens the store in `root`, and undoes what a crash left half done. `keep` is how far back windows go at most.
    pub fn open(root: PathBuf, signal: Signal, window: Duration, keep: Duration) -> Result<Self, Error> {
        let folder = root.join(seal::WINDOWS);
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let manifest = Manifest::read(&root)?;
        let mut windows = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
            let entry = entry.map_err(Error::io(&folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.path().join("meta.json").exists() {
                fs::remove_dir_all(entry.path()).map_err(Error::io(entry.path()))?;
                continue;
            }
            let window = Window::open(entry.path())?;
            window.undo(manifest.seal + 1)?;
            windows.insert(name, window);
        }
        let reading = Reading {
            positions: manifest.positions.clone(),
            times: manifest.times.clone(),
            gaps: Arc::new(manifest.gaps.clone()),
            marks: manifest.marks.clone(),
            ..Reading::default()
        };
        let (on_disk, gaps) = (Mutex::new(manifest.positions.clone()), reading.gaps.clone());
        let views = Arc::new(windows.values().map(Window::view).collect());
        let back = (keep.as_secs() / window.as_secs().max(1) + 1).min(64) as i64;
        Ok(Self {
            root,
            signal,
            window,
            back,
            reading: Mutex::new(reading),
            state: RwLock::new(State { views, gaps, ..State::default() }),
            sealing: Mutex::new(seal::Sealing::new(manifest, windows)),
            indexed_until: AtomicI64::new(0),
            on_disk,
        })
    }

    /// Offset of the next record to be read of a partition; `None` if it was never read.
    pub fn position(&self, partition: i32) -> Option<i64> {
        self.reading.lock().positions.get(&partition).copied()
    }

    /// By partition, the offset of the first record that would be read again after a crash.
    pub fn on_disk(&self) -> BTreeMap<i32, i64> {
        self.on_disk.lock().clone()
    }

    /// Goes on at `offset` of a partition, since the bus has not what comes next: that is a gap.
    pub fn seek(&self, partition: i32, offset: i64) {
        let from = self.position(partition).unwrap_or(0);
        self.miss(partition, from, offset);
        self.reading.lock().positions.insert(partition, offset);
    }

    /// Of a partition comes `to` where `from` was to come, and what lies between cannot be read.
    pub fn miss(&self, partition: i32, from: i64, to: i64) {
        let mut reading = self.reading.lock();
        let after_ms = reading.times.get(&partition).copied();
        Arc::make_mut(&mut reading.gaps).add(Gap { partition, from, to, after_ms, before_ms: None });
        reading.moved = true;
        self.state.write().gaps = reading.gaps.clone();
    }

    /// Takes records in, up to the first that cannot be read; of metric points, up to where their lines take
    /// [`metrics::MOST_MEMORY`], and the caller goes on behind [`Ingested::records`]. The lines are in the next snapshot.
    pub fn ingest(&self, messages: &[Message]) -> Ingested {
        let mut reading = self.reading.lock();
        let mut done = Ingested::default();
        let mut by_source: Vec<(Arc<Source>, Vec<Line>)> = Vec::new();
        let mut memory = 0;
        for message in messages {
            if memory >= metrics::MOST_MEMORY {
                break;
            }
            let partition = message.partition.partition;
            let origin = ingest::origin(message);
            let from = match origin.as_ref().map_or(Fate::New, |origin| reading.marks.fate(partition, origin)) {
                Fate::Seen => {
                    reading.pass(message);
                    done.records += 1;
                    done.duplicate_records += 1;
                    continue;
                }
                Fate::From(from) => Some(from),
                Fate::New => None,
            };
            match ingest::decode(self.signal, message, from, &mut reading.sources) {
                Ok(decoded) => {
                    if self.signal == Signal::Metrics {
                        memory += decoded.lines.iter().map(Line::memory).sum::<usize>();
                    }
                    done.duplicates += decoded.duplicates;
                    for line in decoded.lines {
                        match by_source.iter_mut().rev().take(16).find(|(source, _)| Arc::ptr_eq(source, &line.source))
                        {
                            Some((_, lines)) => lines.push(line),
                            None => by_source.push((line.source.clone(), vec![line])),
                        }
                    }
                }
                Err(error) => {
                    done.poison = Some(error.to_string());
                    break;
                }
            }
            if let Some(origin) = &origin {
                reading.marks.advance(partition, origin, message.timestamp_ms);
            }
            reading.pass(message);
            done.records += 1;
        }
        let batches: Vec<_> = by_source.into_iter().filter_map(|(_, lines)| Batch::new(lines)).map(Arc::new).collect();
        done.batches = batches.iter().map(|batch| batch.shared().clone()).collect();
        // Still under the lock of `reading`: a seal takes the head and the positions of the same moment.
        let mut state = self.state.write();
        state.head.extend(batches);
        state.gaps = reading.gaps.clone();
        let is_large = self.signal == Signal::Metrics && state.head.has_grown();
        drop(state);
        if is_large {
            self.merge_head(&reading);
        }
        done
    }

    /// Merges the points of the head into fewer runs. Nothing is added meanwhile, since `reading` is locked.
    fn merge_head(&self, _reading: &Reading) {
        let head = self.state.read().head.clone();
        let lines = head.batches().iter().flat_map(|batch| batch.shared().iter());
        // As a seal has it, in whole seconds.
        let window = i64::try_from(self.window.as_secs().max(1)).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
        match metrics::merge(lines, window) {
            Ok(lines) => self.state.write().head = Head::merged(lines),
            Err(error) => tracing::error!(error = %whole(&error), "points of the head cannot be merged"),
        }
    }

    /// Goes on behind a record that cannot be read and is kept elsewhere.
    pub fn skip(&self, message: &Message) {
        let mut reading = self.reading.lock();
        reading.pass(message);
        self.state.write().gaps = reading.gaps.clone();
    }

    /// Memory that the head takes, without the part that is being sealed.
    pub fn head_bytes(&self) -> usize {
        self.state.read().head.bytes()
    }

    /// Whether something was read since the last seal was taken, or the last seal failed.
    pub fn wants_seal(&self) -> bool {
        self.reading.lock().moved || !self.state.read().sealing.is_empty()
    }

    /// Everything that reached the bus before `time` (nanoseconds since the epoch) was ingested.
    pub fn set_indexed_until(&self, time: i64) {
        self.indexed_until.fetch_max(time, Ordering::Relaxed);
    }

    /// One consistent moment of the data of these tenants; there is no other way to read.
    pub fn snapshot(&self, tenants: &Tenants) -> Arc<dyn Snapshot> {
        // Read before the state: what came before this time is in it.
        let indexed_until = self.indexed_until.load(Ordering::Relaxed);
        let state = self.state.read();
        Arc::new(Moment {
            head: state.head.clone(),
            sealing: state.sealing.clone(),
            views: state.views.clone(),
            tenants: tenants.clone(),
            indexed_until,
            gaps: state.gaps.clone(),
        })
    }
}

impl Reading {
    fn pass(&mut self, message: &Message) {
        let partition = message.partition.partition;
        self.positions.insert(partition, message.offset + 1);
        self.times.insert(partition, message.timestamp_ms);
        if self.gaps.waits(partition, message.offset) {
            Arc::make_mut(&mut self.gaps).passed(partition, message.offset, message.timestamp_ms);
        }
        self.moved = true;
    }
}

#[derive(Clone)]
struct Moment {
    head: Head,
    sealing: Head,
    views: Arc<Vec<View>>,
    /// Whose lines it has.
    tenants: Tenants,
    indexed_until: i64,
    gaps: Arc<Gaps>,
}

impl Moment {
    /// Batches whose times meet `[start, end)`, in the head or in the one that is being sealed.
    fn batches(&self, start: i64, end: i64) -> Vec<Candidate> {
        let batches = self.head.batches().iter().chain(self.sealing.batches());
        let within = batches.filter(|batch| batch.min_time() < end && batch.max_time() >= start);
        let within = within.filter(|batch| self.tenants.allows(Some(&batch.source().tenant)));
        within.map(|batch| batch.clone() as Candidate).collect()
    }
}

impl Snapshot for Moment {
    fn within(self: Arc<Self>, budget: &Budget) -> Arc<dyn Snapshot> {
        let views = Arc::new(self.views.iter().map(|view| view.within(budget)).collect());
        Arc::new(Self { views, ..self.as_ref().clone() })
    }

    fn candidates(&self, needs: &Needs, start: i64, end: i64) -> Result<Vec<Candidate>, Error> {
        if *needs == Needs::Nothing {
            return Ok(Vec::new());
        }
        let mut found = self.batches(start, end);
        for view in self.views.iter() {
            view.candidates(self.tenants.scope(), needs, start, end, &mut found)?;
        }
        found.sort_by_key(|candidate| std::cmp::Reverse(candidate.max_time()));
        Ok(found)
    }

    fn tally(
        &self,
        exact: Option<&Exact>,
        needs: &Needs,
        start: i64,
        end: i64,
        take: &mut dyn FnMut(&Counted) -> bool,
    ) -> Result<Vec<Candidate>, Error> {
        if *needs == Needs::Nothing {
            return Ok(Vec::new());
        }
        let mut found = self.batches(start, end);
        for view in self.views.iter() {
            view.tally(self.tenants.scope(), (exact, needs), (start, end), take, &mut found)?;
        }
        Ok(found)
    }

    fn fields(
        &self,
        exact: Option<&Exact>,
        needs: &Needs,
        start: i64,
        end: i64,
        found: &mut FieldList,
    ) -> Result<Vec<Candidate>, Error> {
        if *needs == Needs::Nothing {
            return Ok(Vec::new());
        }
        let mut rest = self.batches(start, end);
        for view in self.views.iter() {
            view.fields(self.tenants.scope(), (exact, needs), (start, end), found, &mut rest)?;
        }
        Ok(rest)
    }

    fn indexed_until(&self) -> i64 {
        self.indexed_until
    }

    fn gaps(&self, start: i64, end: i64) -> Vec<Gap> {
        self.gaps.within(start, end)
    }
}
