//! A bounded queue on disk before a bus that may be away: what is in it is as good as sent.
//!
//! # What is promised
//! - [`Spool::append`] is done when the records are synced to disk: they survive kill -9 and a power cut. Appends that
//!   come together share one sync. One that does not fit, because of the limit or of the disk, is refused whole, and
//!   nothing that was taken before suffers.
//! - [`Spool::drain`] sends what is there to a producer, oldest first, and removes it once the bus says that it is
//!   durable. So a crash sends some records again, at most those of the batches on their way: at least once.
//! - Order: while [`Spool::is_empty`] says no, what is appended comes behind all that is there. Whoever sends past the
//!   spool only while it is empty keeps the order of each key.
//! - Every record has a checksum and a number. What cannot be read is told by file and place, counted, and copied to
//!   the folder `damaged` of the spool (up to 64 MiB); all else goes on. So is a record that the bus never takes.
//!
//! Plain files of frames (see `frame`) rather than the embedded broker's store: a queue needs no index, a byte that
//! turned bad costs one record and not a database, and what is drained is given back by removing a file.
//!
//! The embedded broker needs none of it, as it lies in the same process and on the same disk: there is no spool before
//! it, unless one was left by an earlier run, which is drained.

mod frame;
mod reader;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::reader::{Batch, Reader};
use self::segment::{Folder, Segment, Step, Walk};
use self::writer::{Command, Writer};
use crate::{AnyBroker, Bus, Delivery, Error, Producer, Record};

/// Appends that wait for the disk; more wait for them.
const QUEUE: usize = 256;
/// Batches on their way to the bus at once, and about how many bytes; of a batch with large records, that alone.
const FLIGHT: usize = 4;
const FLIGHT_BYTES: usize = 12 << 20;
/// Before what the bus did not take is sent again.
const RETRY: Duration = Duration::from_secs(1);

/// A spool that is open; cheap to clone.
#[derive(Clone)]
pub struct Spool {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// A record for the spool.
pub struct Spooled {
    /// The record.
    pub record: Record,
    /// Where it was given to the bus already, which did not say yet that it is durable: then it is sent again only if
    /// this fails, or the process ends before.
    pub delivery: Option<Delivery>,
}

/// Why nothing was put in the spool.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// There is no room, in the spool or on the disk.
    #[error("the spool is full")]
    Full,
    /// The disk fails.
    #[error("the spool cannot be written")]
    Failed(#[source] Arc<io::Error>),
    /// One of the records can never be sent.
    #[error(transparent)]
    Record(Arc<Error>),
    /// The thread that writes is gone, which is a bug.
    #[error("the spool is closed")]
    Closed,
}

/// How a spool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Records that are not on the bus yet.
    pub records: u64,
    /// Bytes on disk, drained ones of files that are not drained wholly among them.
    pub bytes: u64,
    /// Greatest number of bytes.
    pub limit: u64,
    /// Age of the oldest record; nothing where there is none.
    pub oldest: Duration,
    /// The last append found no room, and none came since.
    pub is_full: bool,
    /// Places that could not be read, since the start.
    pub damaged: u64,
    /// Records that were lost with them, or that the bus never takes, since the start.
    pub lost: u64,
}

pub(crate) struct Shared {
    folder: Folder,
    limit: u64,
    state: Mutex<State>,
    /// There is something to drain.
    more: Notify,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// Number of the next record.
    next: u64,
    /// Number of the first record that is not durable on the bus.
    drained: u64,
    bytes: u64,
    /// When the oldest record was spooled, about.
    oldest_ms: u64,
    is_full: bool,
    /// Of records that the bus has and did not answer for, by number.
    on_their_way: HashMap<u64, Delivery>,
    damaged: u64,
    lost: u64,
    /// Damage up to here (file and place) was told, and losses before this number: reading again is no news.
    told: Option<(u64, u64)>,
    /// A file that could not be read to its end: nothing more is written to it.
    given_up: Option<u64>,
    told_lost: u64,
}

impl Spool {
    /// Opens the spool in `folder`, of at most `limit` bytes. `None` where there is nothing to do for one: the limit is
    /// `None`, or the bus lies in this process, and nothing was left there by an earlier run. What was left without a
    /// limit is drained, and nothing put behind it.
    pub async fn open(bus: &Bus, folder: &Path, limit: Option<u64>) -> Result<Option<Self>, Error> {
        let (folder, is_wanted) = (folder.to_owned(), limit.is_some() && matches!(bus.broker, AnyBroker::Kafka(_)));
        let opening = tokio::task::spawn_blocking(move || {
            let is_left = || Folder(folder.clone()).segments().is_ok_and(|left| !left.is_empty());
            if is_wanted || is_left() { Self::open_folder(&folder, limit.unwrap_or(0)).map(Some) } else { Ok(None) }
        });
        opening.await.map_err(|_| Error::Closed)?
    }

    pub(crate) fn open_folder(path: &Path, limit: u64) -> Result<Self, Error> {
        let failed = |path: PathBuf| {
            move |error: io::Error| Error::Storage {
                path,
                reason: format!("the spool: {error}; make it readable and writable, or move it away"),
                source: Some(Box::new(error)),
            }
        };
        std::fs::create_dir_all(path).map_err(failed(path.to_owned()))?;
        let folder = Folder(path.to_owned());
        let state = recover(&folder).map_err(failed(path.to_owned()))?;
        if state.next > state.drained {
            let (records, bytes) = (state.next - state.drained, state.bytes);
            tracing::info!(folder = %path.display(), records, bytes, "the spool holds what an earlier run has left");
        }
        let shared = Arc::new(Shared { folder, limit, state: Mutex::new(state), more: Notify::new() });
        let (commands, receiver) = mpsc::channel(QUEUE);
        let writer = Writer::new(shared.clone());
        let thread = std::thread::Builder::new().name("weir-spool".to_owned()).spawn(move || writer.run(receiver));
        thread.map_err(failed(path.to_owned()))?;
        Ok(Self { shared, commands })
    }

    /// Done when all of the records are on disk, behind those that are there; or none of them is.
    pub async fn append(&self, records: Vec<Spooled>) -> Result<(), Refused> {
        if records.is_empty() {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Append { records, reply }).await.map_err(|_| Refused::Closed)?;
        answer.await.map_err(|_| Refused::Closed)?
    }

    /// Whether all that was ever in it is durable on the bus.
    pub fn is_empty(&self) -> bool {
        let state = self.shared.state.lock();
        state.next == state.drained
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        let state = self.shared.state.lock();
        let records = state.next - state.drained;
        let age = if records > 0 { now_ms().saturating_sub(state.oldest_ms) } else { 0 };
        Status {
            records,
            bytes: state.bytes,
            limit: self.shared.limit,
            oldest: Duration::from_millis(age),
            is_full: state.is_full,
            damaged: state.damaged,
            lost: state.lost,
        }
    }

    /// Sends what is there, and what comes, until cancelled. To be run once at a time. What the bus does not take is
    /// sent again, in order, for as long as it takes; but what is too large for it for ever is put aside.
    pub async fn drain(&self, producer: &Producer, stop: &CancellationToken) {
        loop {
            let error = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                error = self.send_all(producer) => error,
            };
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what is in the spool does not get to the bus yet"
            );
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Ends when the bus fails; then begins anew with the first record that is not durable.
    async fn send_all(&self, producer: &Producer) -> Error {
        match self.send_until_it_fails(producer).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn send_until_it_fails(&self, producer: &Producer) -> Result<std::convert::Infallible, Error> {
        let mut reader = Reader::new(self.shared.clone());
        let mut flight: VecDeque<Sent> = VecDeque::new();
        loop {
            if flight.len() < FLIGHT && flight.iter().map(|sent| sent.bytes).sum::<usize>() < FLIGHT_BYTES {
                let reading = tokio::task::spawn_blocking(move || {
                    let batch = reader.batch();
                    (reader, batch)
                });
                let (back, batch) = reading.await.map_err(|_| Error::Closed)?;
                reader = back;
                match batch {
                    Ok(Some(batch)) => {
                        flight.push_back(self.send(producer, batch).await?);
                        continue;
                    }
                    Ok(None) if flight.is_empty() => {
                        self.shared.more.notified().await;
                        continue;
                    }
                    Err(error) if flight.is_empty() => return Err(self.shared.unreadable(error)),
                    // What is on its way first, or it would be sent again.
                    Ok(None) | Err(_) => {}
                }
            }
            let Some(sent) = flight.pop_front() else { continue };
            self.shared.state.lock().oldest_ms = sent.oldest_ms;
            for (number, record, delivery) in sent.records {
                match delivery.await {
                    Ok(_) => {}
                    Err(error @ Error::TooLarge { .. }) => self.put_aside(number, &record, &error),
                    Err(error) => return Err(error),
                }
            }
            self.commands.send(Command::Drained(sent.end)).await.map_err(|_| Error::Closed)?;
        }
    }

    async fn send(&self, producer: &Producer, batch: Batch) -> Result<Sent, Error> {
        let bytes = batch.records.iter().map(|(_, record)| crate::size(record)).sum();
        let mut sent = Sent { records: Vec::new(), end: batch.end, oldest_ms: batch.oldest_ms, bytes };
        for (number, record) in batch.records {
            let on_its_way = self.shared.state.lock().on_their_way.remove(&number);
            let delivery = match on_its_way {
                Some(delivery) => Ok(delivery),
                None => producer.send(record.clone()).await,
            };
            match delivery {
                Ok(delivery) => sent.records.push((number, record, delivery)),
                Err(error @ Error::TooLarge { .. }) => self.put_aside(number, &record, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    fn put_aside(&self, number: u64, record: &Record, error: &Error) {
        let kept = self.shared.folder.put_aside(&format!("{number:020}.refused"), &record.value);
        tracing::error!(number, topic = %record.topic, ?kept, %error, "the bus never takes a record; the rest goes on");
        self.shared.lost(number..number + 1);
    }
}

/// A batch on its way.
struct Sent {
    records: Vec<(u64, Record, Delivery)>,
    end: u64,
    oldest_ms: u64,
    /// Of its records.
    bytes: usize,
}

impl Shared {
    /// Whether this place was not told yet.
    fn is_news(&self, first: u64, at: u64) -> bool {
        self.state.lock().told < Some((first, at))
    }

    /// Tells of a place that cannot be read, once.
    fn damaged(&self, first: u64, at: u64, bytes: u64, why: &str, kept: Result<PathBuf, String>) {
        if !self.is_news(first, at) {
            return;
        }
        {
            let mut state = self.state.lock();
            state.damaged += 1;
            state.told = Some((first, at));
        }
        let file = self.folder.path(first);
        let kept = kept.map_or_else(|why| format!("nowhere: {why}"), |path| path.display().to_string());
        tracing::error!(file = %file.display(), at, bytes, why, kept, "a part of the spool cannot be read; the rest goes on");
    }

    fn unreadable(&self, error: io::Error) -> Error {
        let reason = format!("the spool cannot be read now: {error}");
        Error::Storage { path: self.folder.0.clone(), reason, source: Some(Box::new(error)) }
    }

    /// Counts records that will never be on the bus, once.
    fn lost(&self, numbers: Range<u64>) {
        let mut state = self.state.lock();
        let count = numbers.end.saturating_sub(numbers.start.max(state.told_lost));
        state.told_lost = state.told_lost.max(numbers.end);
        state.lost += count;
        drop(state);
        if count > 0 {
            tracing::error!(records = count, first = numbers.start, "records of the spool are lost");
        }
    }
}

/// What is there after a start. A new file is begun, so an end that was not written whole stays as it is, and is told
/// of when it is read.
fn recover(folder: &Folder) -> io::Result<State> {
    let position = folder.position();
    let mut segments = VecDeque::from(folder.segments()?);
    let mut next = position.unwrap_or(0);
    let mut state = State::default();
    while let Some(last) = segments.back().copied() {
        let mut end = None;
        match File::open(folder.path(last.first)) {
            Ok(file) => {
                let mut walk = Walk::new(file, 0, last.length, last.first..u64::MAX);
                loop {
                    match walk.step() {
                        Ok(Step::Frame(frame, _)) => end = Some(frame.number + 1),
                        Ok(Step::Damage { .. }) => {}
                        Ok(Step::End) => break,
                        // It is met again when it is read.
                        Err(error) => {
                            tracing::warn!(%error, "a file of the spool cannot be read to its end");
                            break;
                        }
                    }
                }
            }
            Err(error) => return Err(error),
        }
        if let Some(end) = end {
            next = next.max(end);
            break;
        }
        // Its name would be the next file's too.
        segments.pop_back();
        if last.length == 0 {
            folder.remove(last.first)?;
        } else {
            let kept = folder.move_aside(last.first)?;
            state.damaged += 1;
            tracing::error!(kept = %kept.display(), "a file of the spool holds nothing that can be read; it was moved");
        }
        next = next.max(last.first);
    }
    // Files wholly before the position were drained; a crash came before they were removed.
    let drained = position.unwrap_or(0);
    while segments.get(1).is_some_and(|following| following.first <= drained)
        || (next <= drained && !segments.is_empty())
    {
        if let Some(segment) = segments.pop_front() {
            folder.remove(segment.first)?;
        }
    }
    state.drained = segments.front().map_or(next, |first| drained.max(first.first));
    state.bytes = segments.iter().map(|segment| segment.length).sum();
    state.next = next;
    state.oldest_ms = now_ms();
    state.segments = segments;
    Ok(state)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("folder", &self.shared.folder)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Spooled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spooled").field("record", &self.record).finish_non_exhaustive()
    }
}
