//! The embedded broker: durable, in this process, for a single machine.
//!
//! # What is promised
//! - One thread writes. It takes what has queued up, writes it as one batch, syncs, and only then shows it to readers
//!   and resolves its deliveries; so many small senders share one sync. A batch is there whole or not at all, whatever
//!   happens to the process.
//! - Records and positions of a transaction are in the same batch. Whether its producer and its member still are what
//!   they were is checked by the same thread; whoever is given a partition anew asks that thread for the committed
//!   position, and so sees every commit that was let through before.
//! - A disk that is full, or fails, keeps senders waiting: the store is opened anew and the same batch written again,
//!   at the same offsets, until it is durable.
//! - Deliveries of records that were queued when the last handle was dropped are waited for, unless the disk fails:
//!   then they end in [`Error::Closed`], as all that waits for a disk that fails does after [`crate::Bus::give_up`].
//! - What comes after a batch that was given up is not written either: there are no gaps.
//! - Should the writing thread panic, all that waits for it ends in [`Error::Closed`], and [`crate::Bus::broken`] says so.
//!
//! All that is committed lies in `data_dir/bus`; members of groups and ids of transactional producers live in memory,
//! as they cannot outlive the process.

pub(crate) mod codec;
mod consumer;
mod groups;
mod lock;
mod producer;
mod retention;
mod store;
mod topics;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) use self::consumer::Consumer;
use self::groups::Groups;
use self::lock::Lock;
pub(crate) use self::producer::{Producer, TransactionalProducer};
use self::store::Store;
use self::topics::Topics;
use self::writer::{Command, Writer};
use crate::{Error, Lag, Options, Partition, TopicSpec};

/// Bytes (stored form) that may wait for the disk.
const QUEUE_BYTES: u32 = 16 << 20;
/// What a queued record costs beside its bytes; so the queue is bounded in records too.
const QUEUE_RECORD: u32 = 256;
/// The name of the thread that writes.
const THREAD: &str = "weir-bus";

/// What becomes of records that are older than their topic keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retain {
    /// They are removed.
    AsTopicsSay,
    /// They stay.
    All,
}

/// An open broker; cheap to clone. The last handle, held by producers and consumers too, closes it.
#[derive(Clone)]
pub(crate) struct Broker(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    permits: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<Lock>>,
}

/// What handles, reads on their way, and the writing thread have in common.
struct Shared {
    /// `data_dir/bus`.
    folder: PathBuf,
    /// `None` while it is being opened anew, and after the end.
    store: RwLock<Option<Store>>,
    topics: Topics,
    groups: Mutex<Groups>,
    /// The newest producer of each transactional id.
    epochs: Mutex<HashMap<Arc<str>, u64>>,
    /// Something happened that a consumer may be waiting for.
    changed: Notify,
    /// The disk is full or fails just now.
    failing: AtomicBool,
    /// A disk that fails is waited for no longer.
    closing: AtomicBool,
    /// Cancelled when the writing thread panicked.
    broken: CancellationToken,
}

impl Broker {
    pub(crate) async fn open(options: &Options, data_dir: &Path, retain: Retain) -> Result<Self, Error> {
        let (folder, options) = (data_dir.join("bus"), options.clone());
        let open = move || Self::open_folder(folder, options, retain);
        tokio::task::spawn_blocking(open).await.map_err(|_| Error::Closed)?
    }

    fn open_folder(folder: PathBuf, options: Options, retain: Retain) -> Result<Self, Error> {
        if retain == Retain::All && !folder.join("store").is_dir() {
            return Err(Error::Storage {
                path: folder,
                reason: "no broker has written there".to_owned(),
                source: None,
            });
        }
        let lock = Lock::take(&folder)?;
        let failed = |error| store::storage(&folder, error);
        let store = Store::open(&folder.join("store")).map_err(failed)?;
        let (topics, state) = topics::load(&store).map_err(failed)?;
        let shared = Arc::new(Shared {
            folder: folder.clone(),
            store: RwLock::new(Some(store)),
            topics,
            groups: Mutex::default(),
            epochs: Mutex::default(),
            changed: Notify::new(),
            failing: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            broken: CancellationToken::new(),
        });
        let (commands, receiver) = mpsc::channel();
        let writer = Writer::new(shared.clone(), state, options, retain);
        let broken = shared.broken.clone().drop_guard();
        let run = move || {
            writer.run(&receiver);
            broken.disarm();
        };
        let thread = std::thread::Builder::new().name(THREAD.to_owned()).spawn(run);
        let thread = thread.map_err(|error| Error::Storage {
            path: folder,
            reason: format!("no thread: {error}"),
            source: Some(Box::new(error)),
        })?;
        Ok(Self(Arc::new(Inner {
            shared,
            commands,
            permits: Arc::new(Semaphore::new(QUEUE_BYTES as usize)),
            writer: Mutex::new(Some(thread)),
            lock: Mutex::new(Some(lock)),
        })))
    }

    pub(crate) fn answers(&self) -> bool {
        !self.0.shared.failing.load(Ordering::Acquire) && !self.0.shared.broken.is_cancelled()
    }

    pub(crate) fn broken(&self) -> impl Future<Output = ()> + Send + 'static {
        self.0.shared.broken.clone().cancelled_owned()
    }

    pub(crate) fn give_up(&self) {
        self.0.shared.closing.store(true, Ordering::Release);
        // Whoever waits for room in the queue is told at once.
        self.0.permits.close();
    }

    /// Tells the end of a partition for as long as the broker is open, without keeping it open.
    pub(crate) fn ends(&self) -> impl Fn(&Partition) -> Option<i64> + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.0.shared);
        move |partition| Some(shared.upgrade()?.topics.part(partition).ok()?.high())
    }

    pub(crate) fn producer(&self) -> Producer {
        Producer::new(self.clone())
    }

    pub(crate) fn transactional_producer(&self, id: &str) -> TransactionalProducer {
        TransactionalProducer::new(self.clone(), id)
    }

    pub(crate) async fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        let topics = topics.to_vec();
        self.ask(|reply| Command::Ensure { topics, reply }).await
    }

    pub(crate) async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.ask(|reply| Command::Delete { name, reply }).await
    }

    pub(crate) fn partitions(&self, topic: &str) -> Result<i32, Error> {
        match self.0.shared.topics.count(topic) {
            0 => Err(Error::Unknown(topic.to_owned())),
            count => Ok(count),
        }
    }

    pub(crate) fn offsets(&self, partition: &Partition) -> Result<(i64, i64), Error> {
        let part = self.0.shared.topics.part(partition)?;
        Ok((part.low(), part.high()))
    }

    pub(crate) async fn lag(&self, group: &str, topics: &[&str]) -> Result<Vec<Lag>, Error> {
        let mut partitions = Vec::new();
        for topic in topics {
            let name: Arc<str> = Arc::from(*topic);
            partitions.extend((0..self.partitions(topic)?).map(|n| Partition::new(name.clone(), n)));
        }
        let committed = self.committed(group, &partitions).await?;
        let lag = partitions.into_iter().map(|partition| {
            let (low, high) = self.offsets(&partition)?;
            let committed = committed.iter().find(|p| p.partition == partition).map(|p| p.offset);
            Ok(Lag { partition, committed, low, high })
        });
        lag.collect()
    }

    pub(crate) async fn publish(&self, group: &str, positions: &[crate::Position]) -> Result<(), Error> {
        let (group, positions) = (Arc::from(group), positions.to_vec());
        self.ask(|reply| Command::Publish { group, positions, reply }).await
    }

    async fn committed(&self, group: &str, partitions: &[Partition]) -> Result<Vec<crate::Position>, Error> {
        let (group, partitions) = (Arc::from(group), partitions.to_vec());
        self.ask(|reply| Command::Committed { group, partitions, reply }).await
    }

    /// Has the writing thread do something, and waits for it.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.0.commands.send(command(reply)).map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("folder", &self.0.shared.folder).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        // The thread is gone if this fails.
        let _ = self.commands.send(Command::Close);
        if let Some(thread) = self.writer.lock().take() {
            let _ = thread.join();
        }
        // Reads that are still on their way end first; then another may have the folder.
        *self.shared.store.write() = None;
        self.lock.lock().take();
    }
}
