//! The loop over all files: visits those that grew in turn, sends, keeps positions.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::{AHashMap, AHashSet};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Producer};
use weir_proto::topic;
use weir_service::health::Part;
use weir_service::telemetry::whole;

use super::aftermath::{Before, Ends};
use super::checkpoint::{Checkpoint, Entry, Written};
use super::content::Content;
use super::delivery::Done;
use super::discover::Globs;
use super::identity::{self, Inode};
use super::ledger::{Ledger, Reason, Sources};
use super::missed::Missed;
use super::odd::Odd;
use super::tail::{Tail, Visit, buffer_size};
use super::turns::{Beyond, Next, Turns};
use super::watch::{GATHER, Watch};
use super::{follow, missed, pods};
use crate::Error;
use crate::encode::Batch;
use crate::encoding::Encoding;
use crate::kubernetes::Pods;
use crate::limits::{Bounds, Limits, Turn};
use crate::metrics::Metrics;
use crate::naming::Naming;
use crate::options::{FileOptions, Format, From, KubeletOptions, Multiline, Options};

/// Waits and bounds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often files are looked for where the file system gives no wake-ups.
    pub rescan: Duration,
    /// The same where it does, as a net behind them.
    pub rescan_behind: Duration,
    /// How long a batch waits for more lines.
    pub linger: Duration,
    /// How long a rotated file has to be still before its last line is taken without a newline, and it is closed; and
    /// how long a part waits for more of its line.
    pub grace: Duration,
    /// How long a group of lines waits for one more.
    pub group_wait: Duration,
    /// How often positions are written while they move, unless there are many.
    pub checkpoint: Duration,
    /// How long after a failure the bus is tried again.
    pub retry: Duration,
    /// How long what is over a tenant's rate waits before it is dropped, where it is to be.
    pub over_wait: Duration,
    /// Bytes in flight, of all files.
    pub in_flight: usize,
    /// Bytes that wait in batches of all files, before they are sent early.
    pub waiting: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rescan: Duration::from_secs(10),
            rescan_behind: Duration::from_mins(1),
            linger: Duration::from_millis(100),
            grace: Duration::from_secs(5),
            group_wait: Duration::from_secs(1),
            checkpoint: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            over_wait: Duration::from_secs(5),
            in_flight: Bounds::UNLIMITED.files,
            waiting: Bounds::UNLIMITED.waiting,
        }
    }
}

/// How long a source runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until it is told to stop.
    Stopped,
    /// Until every file that is there was read to its last newline and is durable.
    End,
}

/// Emptied buffers that are kept.
const POOL: usize = 8;
/// Bytes of positions that are written in a second while they move, unless that takes longer than this.
const KEPT_A_SECOND: f64 = 512.0 * 1024.0;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often what waits is told while nothing is read.
const TELL: Duration = Duration::from_secs(1);
/// So long it may keep others from its thread.
const SLICE: Duration = Duration::from_millis(1);
/// How often files are looked at that wait for time to pass.
const TICK: Duration = Duration::from_millis(100);

/// One entry of `collector.files`.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) globs: Arc<Globs>,
    pub(super) format: Format,
    pub(super) multiline: Arc<Multiline>,
    pub(super) encoding: Encoding,
    pub(super) from: From,
    /// Tells apart ways of reading by which other records would be made of the same bytes.
    pub(super) read_as: u32,
}

impl Group {
    fn new(files: &FileOptions, max_line: usize) -> Result<Self, Error> {
        let FileOptions { format, multiline, encoding, from, .. } = files;
        let way = format!("{} {format:?} {multiline:?} {encoding:?} {max_line}", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            globs: Arc::new(Globs::new(files)?),
            format: *format,
            multiline: Arc::new(multiline.clone()),
            encoding: *encoding,
            from: *from,
            read_as: crc32fast::hash(way.as_bytes()).max(1),
        })
    }
}

/// Files that are open. Of those that are deleted, and were not read to their end, there is nothing else.
#[derive(Debug, Default)]
pub struct Left(pub(super) AHashMap<Inode, Content>);

/// Follows files; see the module's promises.
pub struct Source {
    pub(super) groups: Vec<Group>,
    pub(super) max_line: usize,
    pub(super) kubelet: KubeletOptions,
    pub(super) naming: Naming,
    /// Of pods whose files are or were followed.
    pub(super) pods: pods::Kept,
    pub(super) pod_changes: Option<tokio::sync::watch::Receiver<u64>>,
    pub(super) settings: Settings,
    pub(super) tails: AHashMap<u64, Tail>,
    pub(super) by_inode: AHashMap<Inode, u64>,
    /// Where a file lies or lay last.
    pub(super) by_target: AHashMap<PathBuf, u64>,
    /// Generations that no open file stands for: from the last run and not found yet, or closed.
    pub(super) known: AHashMap<Inode, Entry>,
    pub(super) closed: VecDeque<Inode>,
    /// When the closed ones were looked at.
    pub(super) closed_looked: Option<Instant>,
    pub(super) watch: Watch,
    /// Files that are not followed, since they seem to be copies of ones that are.
    pub(super) held: AHashSet<PathBuf>,
    /// Files before which more may have been, once others were visited.
    pub(super) missed: Vec<Missed>,
    /// Files to be visited before it can be told what others are: then those are looked at again.
    pub(super) awaited: AHashSet<u64>,
    /// What was said of paths.
    pub(super) odd: Odd,
    /// Files that are open, oldest first; ones that are gone may be among them.
    pub(super) open: VecDeque<u64>,
    pub(super) max_open: usize,
    pub(super) metrics: Metrics,
    /// Identities or breaks are new: nothing is sent before they are on disk.
    pub(super) must_write: bool,
    /// When the last look began, nanoseconds since the epoch; also that of the last run.
    pub(super) looked: Option<u64>,
    /// The last look of the last run, or the first of all. What came before that is not looked for.
    pub(super) began: Option<u64>,
    /// There was no checkpoint when it was opened.
    pub(super) first_start: bool,
    pub(super) timed: AHashSet<u64>,
    /// When groups of lines were ended last because of the time.
    pub(super) groups_ended: Option<Instant>,
    /// Nothing is read before this is cancelled; files are found and known from the start.
    reading: CancellationToken,
    /// Nothing is read while this holds back.
    turn: Turn,
    next: u64,
    /// To be queued as soon as is known how long they have.
    added: Vec<u64>,
    pub(super) turns: Turns,
    /// Files of which something is to be dropped, unless it is read before: see [`Turns::over`].
    pub(super) over: VecDeque<Beyond>,
    pub(super) lingering: VecDeque<(Instant, u64)>,
    pub(super) moved: bool,
    /// Nothing is on its way, and nothing will be.
    clean: bool,
    checkpoint: Checkpoint,
    /// Its size.
    pub(super) kept: usize,
    pub(super) ledger: Ledger,
    pub(super) producer: Producer,
    pub(super) bus: Bus,
    /// What the last run knew of the bus.
    pub(super) before: Before,
    /// Where the topic ends as far as is known; nothing is sent before it is.
    pub(super) ends: Option<Ends>,
    /// Generations of the last run that are gone, and of which more may be durable than was written down.
    pub(super) doubtful: Vec<Entry>,
    /// Generations of which the last run may have sent more than it wrote down, and how far they are to be read until
    /// that is known to be durable: until then the bus would be asked from where that run began to be unsure.
    pub(super) unsettled: AHashMap<String, Option<u64>>,
    /// The bus is being asked for them.
    pub(super) looking_up: bool,
    /// The bus was asked for those that are unsettled.
    pub(super) asked: bool,
    /// What the source before this one left open; until the first look.
    pub(super) left: Left,
    pub(super) topic: Arc<str>,
    health: Part,
    pub(super) flight: FuturesUnordered<BoxFuture<'static, Done>>,
    pub(super) flight_bytes: usize,
    pub(super) waiting_bytes: usize,
    pub(super) buffer: Vec<u8>,
    pub(super) pool: Vec<Batch>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("files", &self.tails.len()).finish_non_exhaustive()
    }
}

impl Source {
    /// Reads the checkpoint in `folder`, which is there and is this source's alone.
    pub fn open(
        options: &Options,
        settings: Settings,
        folder: &Path,
        bus: &Bus,
        naming: Naming,
        metrics: Metrics,
        health: Part,
    ) -> Result<Self, Error> {
        let checkpoint = Checkpoint::new(folder);
        let before = checkpoint.read()?;
        let first_start = before.is_none();
        let before = before.unwrap_or_default();
        let last_run = before.bus();
        let max_line = options.max_line.0 as usize;
        let groups = options.files.iter().map(|files| Group::new(files, max_line)).collect::<Result<_, _>>()?;
        let foreign = options.files.iter().any(|files| files.encoding != Encoding::Utf8);
        let reading = CancellationToken::new();
        reading.cancel();
        let turns = Turns::new(options.tenant.shares.clone(), settings.over_wait);
        let mut source = Self {
            groups,
            max_line,
            kubelet: options.kubelet,
            pod_changes: naming.pods().map(Pods::changes),
            naming,
            pods: before.pods,
            settings,
            tails: AHashMap::new(),
            by_inode: AHashMap::new(),
            by_target: AHashMap::new(),
            known: AHashMap::new(),
            closed: VecDeque::new(),
            closed_looked: None,
            watch: Watch::new(),
            held: AHashSet::new(),
            missed: Vec::new(),
            awaited: AHashSet::new(),
            odd: Odd::default(),
            open: VecDeque::new(),
            max_open: options.max_open_files,
            metrics,
            must_write: true,
            looked: before.looked,
            began: before.looked,
            first_start,
            timed: AHashSet::new(),
            groups_ended: None,
            reading,
            turn: Turn::default(),
            next: 0,
            added: Vec::new(),
            turns,
            over: VecDeque::new(),
            lingering: VecDeque::new(),
            moved: false,
            clean: false,
            checkpoint,
            kept: 0,
            ledger: Ledger::new(before.ledger, before.tenants),
            producer: bus.producer()?,
            bus: bus.clone(),
            before: last_run,
            ends: None,
            doubtful: Vec::new(),
            unsettled: AHashMap::new(),
            asked: false,
            left: Left::default(),
            looking_up: false,
            topic: topic::LOGS.into(),
            health,
            flight: FuturesUnordered::new(),
            flight_bytes: 0,
            waiting_bytes: 0,
            buffer: vec![0; buffer_size(max_line, foreign)],
            pool: Vec::new(),
        };
        for entry in before.files {
            if !source.before.clean && !entry.closed {
                source.unsettled.insert(entry.identity.clone(), None);
            }
            if entry.ended.is_some() {
                source.doubtful.push(entry);
                continue;
            }
            if entry.closed {
                source.closed.push_back(entry.inode());
            }
            if let Some(mut old) = source.known.insert(entry.inode(), entry) {
                // Its inode was used again.
                old.ended = Some(Reason::DeletedWhileDown);
                source.doubtful.push(old);
            }
        }
        Ok(source)
    }

    /// Tells through these how far every source is, as long as it runs and after.
    #[must_use]
    pub fn telling(mut self, sources: &Sources) -> Self {
        self.ledger.tell_through(sources);
        self
    }

    /// Reads only once `there` is cancelled: until then the topics may not be there. Files are found and known all the
    /// same, so that one that comes and is rotated away meanwhile is read afterwards.
    #[must_use]
    pub fn reading_after(mut self, there: CancellationToken) -> Self {
        self.reading = there;
        self
    }

    /// Goes on with what the source before it left open.
    #[must_use]
    pub fn holding(mut self, left: Left) -> Self {
        self.left = left;
        self
    }

    /// Reads only as these limits allow.
    #[must_use]
    pub(crate) fn within(mut self, limits: &Limits) -> Self {
        self.turn = limits.turn();
        self
    }

    /// Runs; reading files blocks the thread that it runs on. When stopped it waits a few seconds for what is in flight
    /// and writes its positions.
    pub async fn run(mut self, until: Until, stop: CancellationToken) -> Result<Left, Error> {
        let mut looked: Option<Instant> = None;
        let mut written = Instant::now();
        let mut ticked = Instant::now();
        let mut yielded = Instant::now();
        let mut told = Instant::now();
        while !stop.is_cancelled() {
            while let Some(Some(done)) = self.flight.next().now_or_never() {
                self.done(done);
            }
            let now = Instant::now();
            let structure = self.take_hints(now);
            let quiet = Duration::from_millis(if structure { 100 } else { 0 });
            if looked.is_none_or(|at| now - at >= if structure { quiet } else { self.rescan() }) {
                follow::look(&mut self, looked.is_none());
                self.pool.truncate(2);
                looked = Some(Instant::now());
            } else if structure {
                // Asked for again as soon as it is due.
                self.watch.again();
            }
            for id in std::mem::take(&mut self.added) {
                self.queue(id);
            }
            // What it finds is written with the positions.
            if now - ticked >= TICK || (self.moved && now - written >= self.pause()) {
                ticked = now;
                self.tick(now);
            }
            if self.reading.is_cancelled() && self.ends.is_some() && self.has_room() {
                self.drop_over(now);
            }
            if self.must_write || (self.moved && now - written >= self.pause()) {
                written = now;
                if let Err(error) = self.write() {
                    tracing::error!(error = %whole(&error), "positions cannot be written");
                    self.health.not_ready("positions cannot be written");
                    tokio::select! { () = stop.cancelled() => {} () = tokio::time::sleep(self.settings.retry) => {} }
                    continue;
                }
                self.health.ready();
            }
            while self.lingering.front().is_some_and(|&(due, _)| due <= now)
                || self.waiting_bytes > self.settings.waiting
            {
                let Some((_, id)) = self.lingering.pop_front() else { break };
                self.flush(id, &stop).await;
            }
            let reading = self.reading.is_cancelled() && (self.ends.is_some() || self.find_ends(&stop).await);
            if reading {
                self.look_up();
                self.tell_loss(&stop).await;
            }
            let mut allowed = None;
            let has_room = reading && self.has_room();
            if has_room && !self.turns.is_empty() {
                allowed = self.turn.held(now, !self.flight.is_empty());
            }
            if has_room && allowed.is_none() {
                match self.turns.next(now) {
                    Next::File(id) => {
                        self.visit(id, &stop).await;
                        // Each time costs two system calls, and may wake another thread.
                        if now - yielded >= SLICE {
                            tokio::task::yield_now().await;
                            yielded = Instant::now();
                        }
                        continue;
                    }
                    Next::At(at) => allowed = Some(at),
                    Next::Nobody => {}
                }
            }
            let tell = TELL.max(self.pause());
            if !self.turns.is_empty() && now - told >= tell {
                told = now;
                self.tell_what_waits();
            }
            let idle = self.turns.is_empty() && self.lingering.is_empty() && self.flight.is_empty();
            if until == Until::End && idle && self.timed.is_empty() {
                break;
            }
            // Also by what was found since.
            let structure = self.watch.is_asked();
            let mut due = looked.unwrap_or(now) + if structure { Duration::from_millis(100) } else { self.rescan() };
            due = due.min(self.lingering.front().map_or(due, |&(at, _)| at));
            due = due.min(allowed.unwrap_or(due));
            let drops = !self.over.is_empty() && reading && self.has_room();
            due = if drops { now } else { due };
            due = due.min(self.ledger.told_again(self.settings.retry).unwrap_or(due));
            due = if self.moved { due.min(written + self.pause()) } else { due };
            due = if self.turns.is_empty() { due } else { due.min(told + tell) };
            due = if self.timed.is_empty() { due } else { due.min(ticked + TICK) };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.reading.cancelled(), if !self.reading.is_cancelled() => {}
                Some(done) = self.flight.next(), if !self.flight.is_empty() => self.done(done),
                // Until what changed is taken, there is no further one.
                () = self.watch.woken(), if !structure => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep_until(due.into()) => {}
            }
            yielded = Instant::now();
        }
        self.drain().await
    }

    /// More may be on its way.
    fn has_room(&self) -> bool {
        self.flight_bytes < self.settings.in_flight
    }

    /// How often files are looked for though nothing was told of them.
    pub(super) fn rescan(&self) -> Duration {
        if self.watch.is_whole() { self.settings.rescan_behind } else { self.settings.rescan }
    }

    /// How often positions are written while they move, and groups of lines are ended that only time ends: where there
    /// are many files, the disk has other things to do.
    pub(super) fn pause(&self) -> Duration {
        let disk = Duration::from_secs_f64(self.kept as f64 / KEPT_A_SECOND).min(LONGEST_PAUSE);
        self.settings.checkpoint.max(disk)
    }

    pub(super) async fn drain(&mut self) -> Result<Left, Error> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while let Ok(Some(done)) = tokio::time::timeout_at(deadline, self.flight.next()).await {
            self.done(done);
        }
        for tail in self.tails.values_mut().filter(|tail| tail.in_flight == 0 && !tail.acks.has_gap()) {
            tail.entry.torn = false;
        }
        // Of others that ended the next run asks the bus how much of them there is.
        let ended = self.tails.extract_if(|_, tail| tail.entry.ended.is_some() && tail.in_flight == 0);
        for (_, mut tail) in ended.collect::<Vec<_>>() {
            let entry = tail.checkpoint();
            let reason = entry.ended.unwrap_or(Reason::Deleted);
            self.give_up(entry, reason);
        }
        // What is on its way no longer is all that will be known of files that are gone.
        self.clean = self.flight.is_empty() && self.doubtful.is_empty();
        self.write()?;
        let open = self.tails.drain().filter(|(_, tail)| tail.entry.ended.is_none() && tail.content.is_open());
        Ok(Left(open.map(|(_, tail)| (tail.entry.inode(), tail.content)).collect()))
    }

    /// Whether this file is one that is followed or remembered; its inode alone may be used again.
    pub(super) fn is_known(&self, metadata: &std::fs::Metadata) -> bool {
        let inode = identity::inode(metadata);
        let tail = self.by_inode.get(&inode).and_then(|id| self.tails.get(id));
        tail.map(|tail| &tail.entry).or_else(|| self.known.get(&inode)).is_some_and(|entry| entry.is_of(metadata))
    }

    /// Takes in a file; it is visited once its identity is on disk.
    pub(super) fn add(&mut self, tail: Tail) -> u64 {
        let id = self.next;
        self.next += 1;
        self.by_inode.insert(tail.entry.inode(), id);
        if tail.rotated.is_none() {
            self.by_target.insert(tail.target.clone(), id);
        } else {
            self.timed.insert(id);
        }
        let open = tail.content.is_open();
        self.tails.insert(id, tail);
        if open {
            self.opened(id);
        }
        self.must_write = true;
        self.added.push(id);
        id
    }

    /// Visits this file soon.
    pub(super) fn queue(&mut self, id: u64) {
        let Some(tail) = self.tails.get(&id).filter(|tail| !tail.queued) else { return };
        let due = self.due(tail);
        if let Some(tail) = self.tails.get_mut(&id) {
            tail.queued = true;
            self.turns.push(&tail.facts.tenant, id, due, tail.at_end || tail.recent);
        }
    }

    /// Visits these soon, and then looks again.
    pub(super) fn visit_first(&mut self, ids: &[u64]) {
        self.awaited.extend(ids);
        for id in ids {
            self.queue(*id);
        }
    }

    /// Queues what changed; whether files came or went.
    fn take_hints(&mut self, now: Instant) -> bool {
        let mut hints = self.watch.take(now);
        let mut grown: Vec<u64> = Vec::new();
        if hints.anything {
            grown.extend(self.tails.keys());
        } else if !hints.paths.is_empty() {
            let mut strange = false;
            for path in &hints.paths {
                match self.by_target.get(path) {
                    Some(id) => grown.push(*id),
                    None => strange = true,
                }
            }
            if strange {
                // A rotated file is written to under its new name.
                grown.extend(self.timed.iter());
            }
            if hints.paths.iter().any(|path| self.held.contains(path)) {
                // Whether it is a copy has to be seen again.
                hints.structure = true;
            }
        }
        for id in grown {
            self.queue(id);
        }
        hints.structure
    }

    pub(super) async fn visit(&mut self, id: u64, stop: &CancellationToken) {
        let Some(tail) = self.tails.get_mut(&id) else { return };
        tail.queued = false;
        if tail.failed.is_some() || tail.entry.ended.is_some() || (tail.careful && tail.in_flight > 0) {
            return;
        }
        if self.waits_for_pod(id) {
            return;
        }
        let Some(tail) = self.tails.get_mut(&id) else { return };
        tail.visited = true;
        if self.awaited.remove(&id) {
            self.watch.again();
        }
        match self.open_again(id) {
            Ok(true) => {}
            Ok(false) => return self.renew(id, false, stop).await,
            Err(error) => return self.unreadable(id, &error, stop).await,
        }
        let Some(tail) = self.tails.get_mut(&id) else { return };
        if tail.batch.is_empty()
            && let Some(batch) = self.pool.pop()
        {
            tail.batch = batch;
        }
        let before = tail.batch.len();
        let observed = weir_service::time::now_unix_nano() as u64;
        let visit = tail.visit(&mut self.buffer, observed);
        if let Ok(Visit::Read { bytes, .. }) = visit {
            self.turns.spent(&tail.facts.tenant, bytes);
        }
        self.metrics.count(&tail.entry.path, std::mem::take(&mut tail.assembler.counts));
        self.waiting_bytes = (self.waiting_bytes + tail.batch.len()).saturating_sub(before);
        let sealed = std::mem::take(&mut tail.sealed);
        if tail.batch.is_empty() {
            give_back(&mut self.pool, &mut tail.batch);
        }
        if tail.open_since.is_some() || tail.part_since.is_some() {
            self.timed.insert(id);
        }
        // Where wake-ups are gathered, the next lines come as late as this, and would be a second wake-up.
        let is_done = matches!(visit, Ok(Visit::Read { more: false, .. }));
        if !is_done {
            self.linger(id, Instant::now() + self.settings.linger);
        }
        let Some(tail) = self.tails.get_mut(&id) else { return };
        match visit {
            Ok(Visit::Read { bytes, more, cut }) => {
                tail.recent = false;
                if cut > 0 {
                    let entry = &tail.entry;
                    self.ledger.lose(entry, entry.size, entry.size + cut, Reason::Truncated);
                    self.must_write = true;
                }
                tail.outlook.saw(tail.entry.size, Instant::now());
                if bytes > 0 {
                    self.ledger.read(&tail.facts.tenant, bytes);
                    self.metrics.read.add(bytes, &[]);
                }
                if more {
                    self.queue(id);
                }
            }
            Ok(Visit::Begun) => {
                // While it was empty, it may have been written, copied and truncated again.
                missed::take_in_missed(self, &[id]);
                self.must_write = true;
                self.queue(id);
            }
            Ok(Visit::Changed) => self.renew(id, true, stop).await,
            Err(error) => self.unreadable(id, &error, stop).await,
        }
        for batch in sealed {
            self.send(id, batch, stop).await;
        }
        if is_done {
            self.flush(id, stop).await;
        }
    }

    pub(super) fn write(&mut self) -> Result<(), Error> {
        if self.must_write {
            self.keep_pods();
        }
        let entries = self.entries();
        if !self.unsettled.is_empty() {
            let waits = |entry: &&Entry| {
                let until = self.unsettled.get(&entry.identity);
                until.is_some_and(|until| until.is_none_or(|until| entry.position < until))
            };
            let names = entries.iter().filter(waits).map(|entry| &entry.identity);
            let waiting: AHashSet<String> = names.cloned().collect();
            self.unsettled.retain(|name, _| waiting.contains(name));
        }
        self.kept = self.checkpoint.write(&Written {
            looked: self.looked,
            at: weir_service::time::now_unix_nano() as u64,
            // Until what the last run left is looked up, it is looked for from there.
            ends: if self.doubtful.is_empty() && self.unsettled.is_empty() {
                self.ends.as_ref().unwrap_or(&self.before.ends)
            } else {
                &self.before.ends
            },
            clean: self.clean,
            pods: &self.pods,
            files: &entries,
            tenants: self.ledger.tenants(),
            ledger: self.ledger.kept(),
        })?;
        self.ledger.wrote();
        self.ledger.publish(entries);
        (self.must_write, self.moved) = (false, false);
        Ok(())
    }

    /// What is kept of all generations.
    fn entries(&mut self) -> Vec<Entry> {
        let ledger = &mut self.ledger;
        let others = self.known.values_mut().chain(&mut self.doubtful);
        let others: Vec<_> = others.map(|entry| ledger.counted(entry).clone()).collect();
        let tails = self.tails.values_mut().map(|tail| {
            let mut entry = tail.checkpoint();
            tail.entry.counted = ledger.counted(&mut entry).counted;
            entry
        });
        tails.chain(others).collect()
    }

    /// Tells others how far every source is.
    pub(super) fn publish(&mut self) {
        let entries = self.entries();
        self.ledger.publish(entries);
    }
}

/// Keeps an emptied buffer for the next file, or frees it: files that stand still hold none.
pub(super) fn give_back(pool: &mut Vec<Batch>, batch: &mut Batch) {
    let batch = std::mem::take(batch);
    if pool.len() < POOL {
        pool.push(batch);
    }
}
