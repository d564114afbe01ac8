//! The one thread that writes: group commit, transactions, positions, topics and retention.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::codec::PartId;
use super::codec::meta::{self, End};
use super::groups::Membership;
use super::producer::now_ms;
use super::retention::Marks;
use super::store::{Change, Store};
use super::topics::{PartState, Topic};
use super::{Retain, Shared};
use crate::metrics::Queued;
use crate::{Error, Options, Partition, Position, TopicSpec, murmur2};

/// A batch is closed at this size or count; what is still queued comes with the next.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_ITEMS: usize = 16_384;
const RETENTION_EVERY: Duration = Duration::from_secs(1);
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A record ready to be stored.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) topic: Arc<str>,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<Bytes>,
    pub(super) data: Bytes,
}

pub(super) enum Command {
    Send {
        record: Prepared,
        permit: OwnedSemaphorePermit,
        queued: Queued,
        reply: Reply<(Partition, i64)>,
    },
    Transaction {
        id: Arc<str>,
        epoch: u64,
        records: Vec<Prepared>,
        by: Membership,
        positions: Vec<Position>,
        permit: OwnedSemaphorePermit,
        reply: Reply<()>,
    },
    Commit {
        by: Membership,
        positions: Vec<Position>,
        reply: Reply<()>,
    },
    Publish {
        group: Arc<str>,
        positions: Vec<Position>,
        reply: Reply<()>,
    },
    Committed {
        group: Arc<str>,
        partitions: Vec<Partition>,
        reply: Reply<Vec<Position>>,
    },
    Ensure {
        topics: Vec<TopicSpec>,
        reply: Reply<()>,
    },
    Delete {
        name: String,
        reply: Reply<()>,
    },
    Flush {
        reply: Reply<()>,
    },
    Close,
}

/// What is said once the batch is durable.
enum Done {
    Sent(Reply<(Partition, i64)>, Partition, i64, OwnedSemaphorePermit, Queued),
    Plain(Reply<()>, Option<OwnedSemaphorePermit>),
}

#[derive(Default)]
struct Batch {
    change: Change,
    touched: BTreeSet<PartId>,
    done: Vec<Done>,
    bytes: usize,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    parts: HashMap<PartId, PartState>,
    /// Where records without a key go next.
    turns: HashMap<Arc<str>, i32>,
    /// What topics are made with that nobody asked for.
    options: Options,
    retain: Retain,
    batch: Batch,
    /// The disk was given up on: what comes after a batch that is not durable must not become so.
    over: Cell<bool>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        parts: HashMap<PartId, PartState>,
        options: Options,
        retain: Retain,
    ) -> Self {
        Self { shared, parts, turns: HashMap::new(), options, retain, batch: Batch::default(), over: Cell::new(false) }
    }

    /// Until [`Command::Close`], or until the disk is given up on: whoever waits then is told by its answer being dropped.
    pub(super) fn run(mut self, commands: &mpsc::Receiver<Command>) {
        let mut retention = Instant::now();
        loop {
            let wait = RETENTION_EVERY.saturating_sub(retention.elapsed());
            let mut next = match commands.recv_timeout(wait) {
                Ok(command) => Some(command),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            while let Some(command) = next {
                if matches!(command, Command::Close) {
                    self.write();
                    return;
                }
                self.take(command);
                let full = self.over.get() || self.batch.bytes >= BATCH_BYTES || self.batch.done.len() >= BATCH_ITEMS;
                next = if full { None } else { commands.try_recv().ok() };
            }
            self.write();
            if retention.elapsed() >= RETENTION_EVERY {
                if self.retain == Retain::AsTopicsSay {
                    self.remove_old();
                }
                retention = Instant::now();
            }
            if self.over.get() {
                return;
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Send { record, permit, queued, reply } => match self.place(&record) {
                Ok(id) => {
                    let offset = self.append(id, record.data);
                    let partition = Partition::new(record.topic, id.partition);
                    self.batch.done.push(Done::Sent(reply, partition, offset, permit, queued));
                }
                Err(error) => answer(reply, Err(error)),
            },
            Command::Transaction { id, epoch, records, by, positions, permit, reply } => {
                match self.transaction(&id, epoch, records, &by, &positions) {
                    Ok(()) => self.batch.done.push(Done::Plain(reply, Some(permit))),
                    Err(error) => answer(reply, Err(error)),
                }
            }
            Command::Commit { by, positions, reply } => match self.positions(&by, &positions) {
                Ok(()) => self.batch.done.push(Done::Plain(reply, None)),
                Err(error) => answer(reply, Err(error)),
            },
            Command::Publish { group, positions, reply } => match self.put_positions(&group, &positions) {
                Ok(()) => self.batch.done.push(Done::Plain(reply, None)),
                Err(error) => answer(reply, Err(error)),
            },
            Command::Flush { reply } => self.batch.done.push(Done::Plain(reply, None)),
            Command::Committed { group, partitions, reply } => {
                self.write();
                answer(reply, self.committed(&group, &partitions));
            }
            Command::Ensure { topics, reply } => {
                self.write();
                answer(reply, topics.iter().try_for_each(|spec| self.ensure(spec)));
            }
            Command::Delete { name, reply } => {
                self.write();
                answer(reply, self.delete(&name));
            }
            Command::Close => {}
        }
    }

    /// The partition that a record goes to; its topic is made if it is not there.
    fn place(&mut self, record: &Prepared) -> Result<PartId, Error> {
        let topic = if let Some(topic) = self.shared.topics.get(&record.topic) {
            topic
        } else {
            self.write();
            self.ensure(&self.options.topic_spec(&record.topic))?;
            self.shared.topics.get(&record.topic).ok_or_else(|| Error::Unknown(record.topic.to_string()))?
        };
        let count = topic.facts.partitions;
        let partition = match (record.partition, &record.key) {
            (Some(fixed), _) if (0..count).contains(&fixed) => fixed,
            (Some(fixed), _) => return Err(Error::Unknown(format!("{}/{fixed}", record.topic))),
            (None, Some(key)) => murmur2::partition(key, count),
            (None, None) => {
                let turn = self.turns.entry(record.topic.clone()).or_default();
                *turn = turn.wrapping_add(1) & i32::MAX;
                *turn % count
            }
        };
        Ok(PartId { topic: topic.facts.id, partition })
    }

    fn append(&mut self, id: PartId, data: Bytes) -> i64 {
        let Some(state) = self.parts.get_mut(&id) else { return 0 };
        let now = now_ms();
        if let Some(mark) = state.marks.append(&state.end, now) {
            self.batch.change.meta.push((meta::mark_key(id, mark.offset), Some(mark.encode())));
        }
        let offset = state.end.next;
        let end = &mut state.end;
        *end = End { next: offset + 1, bytes: end.bytes + data.len() as u64, appended_ms: now, ..*end };
        self.batch.bytes += data.len();
        self.batch.touched.insert(id);
        self.batch.change.records.push((id, offset, data));
        offset
    }

    fn transaction(
        &mut self,
        id: &Arc<str>,
        epoch: u64,
        records: Vec<Prepared>,
        by: &Membership,
        positions: &[Position],
    ) -> Result<(), Error> {
        // Topics are made before anything is appended: a batch must hold all of a transaction or nothing.
        let places = records.iter().map(|record| self.place(record)).collect::<Result<Vec<_>, _>>()?;
        if self.shared.epochs.lock().get(id) != Some(&epoch) {
            return Err(Error::Fenced(format!("a newer producer of {id} took over")));
        }
        self.positions(by, positions)?;
        for (place, record) in places.into_iter().zip(records) {
            self.append(place, record.data);
        }
        Ok(())
    }

    fn positions(&mut self, by: &Membership, positions: &[Position]) -> Result<(), Error> {
        self.shared.groups.lock().check(by, positions.iter().map(|position| &position.partition))?;
        self.put_positions(&by.group, positions)
    }

    fn put_positions(&mut self, group: &str, positions: &[Position]) -> Result<(), Error> {
        let mut puts = Vec::with_capacity(positions.len());
        for position in positions {
            let part = self.shared.topics.part(&position.partition)?;
            puts.push((meta::position_key(group, part.id), Some(position.offset.to_le_bytes().to_vec())));
        }
        self.batch.change.meta.extend(puts);
        Ok(())
    }

    fn committed(&self, group: &str, partitions: &[Partition]) -> Result<Vec<Position>, Error> {
        let mut committed = Vec::new();
        for partition in partitions {
            let Ok(part) = self.shared.topics.part(partition) else { continue };
            let key = meta::position_key(group, part.id);
            let value = self.until_done("cannot be read", |store| store.get(&key))?;
            if let Some(offset) = value.and_then(|value| <[u8; 8]>::try_from(value.as_ref()).ok()) {
                committed.push(Position { partition: partition.clone(), offset: i64::from_le_bytes(offset) });
            }
        }
        Ok(committed)
    }

    /// Makes what was taken durable, shows it, and says so.
    fn write(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        if self.over.get() {
            return;
        }
        for id in &batch.touched {
            if let Some(state) = self.parts.get(id) {
                batch.change.meta.push((meta::end_key(*id), Some(state.end.encode())));
            }
        }
        if !(batch.change.records.is_empty() && batch.change.meta.is_empty()) {
            if self.until_done("cannot be written", |store| store.apply(&batch.change)).is_err() {
                return;
            }
            for id in &batch.touched {
                if let Some(state) = self.parts.get(id) {
                    state.part.publish(&state.end);
                }
            }
            if !batch.touched.is_empty() {
                self.shared.changed.notify_waiters();
            }
        }
        for done in batch.done {
            match done {
                Done::Sent(reply, partition, offset, _permit, queued) => {
                    queued.sent_to(partition.partition, offset);
                    answer(reply, Ok((partition, offset)));
                }
                Done::Plain(reply, _permit) => answer(reply, Ok(())),
            }
        }
    }

    /// Does something with the store, opening it anew until that works or the broker is closed.
    fn until_done<T>(&self, what: &str, action: impl Fn(&Store) -> fjall::Result<T>) -> Result<T, Error> {
        let (mut pause, most) = RETRY;
        let mut failed = false;
        while !self.over.get() {
            let result = match self.shared.store.read().as_ref() {
                Some(store) => action(store),
                None => Err(fjall::Error::Poisoned),
            };
            let error = match result {
                Ok(value) => {
                    if failed {
                        tracing::info!(folder = %self.shared.folder.display(), "the bus's store works again");
                        self.shared.failing.store(false, Ordering::Release);
                        self.shared.changed.notify_waiters();
                    }
                    return Ok(value);
                }
                Err(error) => error,
            };
            if !failed {
                let folder = self.shared.folder.display();
                tracing::warn!(%folder, %error, "the bus's store {what}; all senders wait");
                self.shared.failing.store(true, Ordering::Release);
                failed = true;
            }
            if self.shared.closing.load(Ordering::Acquire) {
                self.over.set(true);
                break;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(most);
            // After a failed write fjall refuses all others until it is opened again, and only one may be open.
            let mut store = self.shared.store.write();
            *store = None;
            match Store::open(&self.shared.folder.join("store")) {
                Ok(opened) => *store = Some(opened),
                Err(error) => tracing::debug!(%error, "the bus's store cannot be opened yet"),
            }
        }
        Err(Error::Closed)
    }

    fn ensure(&mut self, spec: &TopicSpec) -> Result<(), Error> {
        check_name(&spec.name)?;
        let retention_ms = spec.retention.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX - 1));
        let old = self.shared.topics.get(&spec.name);
        let partitions = spec.partitions.max(1).max(old.as_ref().map_or(0, |old| old.facts.partitions));
        let (id, next_id) = if let Some(old) = &old {
            (old.facts.id, None)
        } else {
            let next = self.until_done("cannot be read", |store| store.get(meta::NEXT_TOPIC))?;
            let id = next.and_then(|id| <[u8; 4]>::try_from(id.as_ref()).ok()).map_or(0, u32::from_le_bytes);
            (id, Some(id.wrapping_add(1)))
        };
        let facts = meta::Topic {
            id,
            partitions,
            retention_ms,
            retention_bytes: spec.retention_bytes,
            max_message_bytes: spec.max_message_bytes.map(|most| most as u64),
        };
        if old.as_ref().is_some_and(|old| old.facts == facts) {
            return Ok(());
        }
        let mut parts = old.map(|old| old.parts).unwrap_or_default();
        let have = parts.len() as i32;
        for partition in have..partitions {
            let id = PartId { topic: id, partition };
            self.until_done("cannot be written", |store| store.add(id))?;
            let state = PartState::new(id, End::default(), Marks::default());
            parts.push(state.part.clone());
            self.parts.insert(id, state);
        }
        let mut change = Change::default();
        change.meta.push((meta::topic_key(&spec.name), Some(facts.encode())));
        if let Some(next) = next_id {
            change.meta.push((meta::NEXT_TOPIC.to_vec(), Some(next.to_le_bytes().to_vec())));
        }
        self.until_done("cannot be written", |store| store.apply(&change))?;
        self.shared.topics.set(Arc::from(spec.name.as_str()), Topic { facts, parts });
        if have < partitions {
            self.dealt_out_anew(&spec.name);
        }
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), Error> {
        let topic = self.shared.topics.get(name).ok_or_else(|| Error::Unknown(name.to_owned()))?;
        let mut change = Change::default();
        change.meta.push((meta::topic_key(name), None));
        for part in &topic.parts {
            change.meta.push((meta::end_key(part.id), None));
            let marks = self.until_done("cannot be read", |store| store.scan(&meta::marks_prefix(part.id)))?;
            change.meta.extend(marks.into_iter().map(|(key, _)| (key.to_vec(), None)));
        }
        let positions = self.until_done("cannot be read", |store| store.scan(meta::POSITIONS))?;
        let of_topic = |key: &[u8]| meta::topic_of_position(key) == Some(topic.facts.id);
        change.meta.extend(positions.into_iter().filter(|(key, _)| of_topic(key)).map(|(key, _)| (key.to_vec(), None)));
        self.until_done("cannot be written", |store| store.apply(&change))?;
        self.shared.topics.remove(name);
        self.turns.remove(name);
        for part in &topic.parts {
            self.parts.remove(&part.id);
            self.until_done("cannot be written", |store| store.remove(part.id))?;
        }
        self.dealt_out_anew(name);
        Ok(())
    }

    fn dealt_out_anew(&self, topic: &str) {
        self.shared.groups.lock().topic_changed(topic, |topic| self.shared.topics.count(topic));
        self.shared.changed.notify_waiters();
    }

    /// Raises the first offset of each partition that has a limit, and gives back what lies below.
    fn remove_old(&mut self) {
        let now = now_ms();
        for topic in self.shared.topics.all() {
            for part in &topic.parts {
                let Some(state) = self.parts.get_mut(&part.id) else { continue };
                let low = state.marks.low(&state.end, &topic.facts, now);
                let raised = low > state.end.low;
                if raised {
                    state.end.low = low;
                    let gone = state.marks.forget(low, &state.end);
                    let meta = &mut self.batch.change.meta;
                    meta.extend(gone.into_iter().map(|offset| (meta::mark_key(part.id, offset), None)));
                    self.batch.touched.insert(part.id);
                    self.write();
                }
                let Some(state) = self.parts.get_mut(&part.id) else { continue };
                if raised || state.reclaim {
                    // Tables are written behind; the next round finds those that this one was too early for.
                    state.reclaim = raised;
                    let (low, all) = (state.end.low, raised && state.end.low == state.end.next);
                    let _ = self.until_done("cannot be cleaned", |store| store.reclaim(part.id, low, all));
                }
            }
        }
    }
}

/// Kafka's rule, so that a name is good on both.
fn check_name(name: &str) -> Result<(), Error> {
    let good = (1..=249).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if good { Ok(()) } else { Err(Error::Options(format!("{name:?} is no topic name: 1 to 249 of a-z A-Z 0-9 . _ -"))) }
}

/// Whoever asked may have gone; that is its own affair.
fn answer<T>(reply: Reply<T>, result: Result<T, Error>) {
    let _ = reply.send(result);
}
