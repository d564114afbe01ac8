//! The bus: topics of ordered partitions, between weir's rooms. The only crate that knows Kafka.
//!
//! Two brokers stand behind one interface: **Kafka** ([`Broker::Kafka`]) and the **embedded** one
//! ([`Broker::Embedded`]), durable and in-process, for a single machine. One contract suite holds them to the same
//! behaviour (`tests/tests/bus_contract.rs`). A third, [`Broker::Null`], takes everything and keeps nothing: the floor
//! of benchmarks.
//!
//! # What is promised
//! - Records of one key, sent by one [`Producer`], lie in one partition in the order in which they were sent.
//! - A [`Delivery`] resolves when the record is durable: acknowledged by all in-sync replicas, or synced to disk.
//! - A [`Position`] names the *next* record to be read. It is committed after the effect of what lies before it is
//!   durable; a crash in between replays from the last committed position.
//! - A transaction ([`TransactionalProducer::commit`]) makes its records and its positions visible together or not at
//!   all, and a producer that was replaced by a newer one of the same id is fenced.
//! - Every queue is bounded: a producer whose broker is away makes its senders wait, and drops nothing.

mod error;
mod options;
mod record;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use error::Error;
pub use options::{Broker, Options};
pub use record::{Message, Partition, Position, Record};

/// What came of [`Consumer::next`].
#[derive(Debug)]
pub enum Event {
    /// Partitions were given to this consumer; reading goes on at their committed positions (the beginning where there
    /// is none), unless the owner seeks. Always comes before the first batch.
    Assigned(Vec<Partition>),
    /// Partitions were taken away; what was read of them and not committed will be read by another.
    Revoked(Vec<Partition>),
    /// Messages, in order within each partition.
    Batch(Vec<Message>),
    /// Nothing came within the time given.
    Idle,
}

/// A topic that should be there.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Number of partitions; an existing topic with fewer is grown, one with more is left as it is.
    pub partitions: i32,
    /// Copies, on Kafka; -1 is the broker's default. The embedded broker has one.
    pub replication: i32,
    /// How long records are kept; `None` is for ever.
    pub retention: Option<Duration>,
    /// Greatest size of one partition in bytes; the oldest records go first. `None` is without limit.
    pub retention_bytes: Option<u64>,
}

/// How far a group is behind in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Which.
    pub partition: Partition,
    /// Next offset that the group will read; `None` if it never committed.
    pub committed: Option<i64>,
    /// First offset that is still there.
    pub low: i64,
    /// Offset of the next record to be written.
    pub high: i64,
}

/// A bus that is open; cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    options: Arc<Options>,
}

/// Sends records; bounded queue; cheap to clone.
#[derive(Clone, Debug)]
pub struct Producer {}

/// Writes records and positions at once.
#[derive(Debug)]
pub struct TransactionalProducer {}

/// Reads a group's share, or fixed partitions.
#[derive(Debug)]
pub struct Consumer {}

/// Resolves when the record is durable, with its place.
pub type Delivery = futures::future::BoxFuture<'static, Result<(Partition, i64), Error>>;

impl Bus {
    /// Opens the bus. The embedded broker lies in `data_dir/bus`. Kafka that is away is no error: whoever uses it waits.
    pub async fn open(options: &Options, _data_dir: &Path) -> Result<Self, Error> {
        Ok(Self { options: Arc::new(options.clone()) })
    }

    /// A producer.
    pub fn producer(&self) -> Result<Producer, Error> {
        unimplemented!()
    }

    /// A producer of transactions; opening one fences the one that had this id before.
    pub async fn transactional_producer(&self, _id: &str) -> Result<TransactionalProducer, Error> {
        unimplemented!()
    }

    /// A share of `topics`, as a member of `group`. Reads committed records only. The first event is `Assigned`.
    pub fn group_consumer(&self, _group: &str, _topics: &[&str]) -> Result<Consumer, Error> {
        unimplemented!()
    }

    /// Fixed partitions, from these positions; an offset before the first that is left starts there. Reads committed
    /// records only. There is no `Assigned` event.
    pub fn consumer(&self, _positions: &[Position]) -> Result<Consumer, Error> {
        unimplemented!()
    }

    /// What weir asks of a topic that it makes: the partitions and copies of [`Options`], kept for ever.
    pub fn topic_spec(&self, name: &str) -> TopicSpec {
        TopicSpec {
            name: name.to_owned(),
            partitions: self.options.partitions,
            replication: self.options.replication,
            retention: None,
            retention_bytes: None,
        }
    }

    /// Makes the topics that are not there, grows the ones with fewer partitions, and sets retention.
    pub async fn ensure_topics(&self, _topics: &[TopicSpec]) -> Result<(), Error> {
        unimplemented!()
    }

    /// Removes a topic and all that it holds.
    pub async fn delete_topic(&self, _name: &str) -> Result<(), Error> {
        unimplemented!()
    }

    /// Number of partitions of a topic; [`Error::Unknown`] where there is no such topic.
    pub async fn partitions(&self, _topic: &str) -> Result<i32, Error> {
        unimplemented!()
    }

    /// First offset that is there, and the offset of the next record to be written.
    pub async fn offsets(&self, _partition: &Partition) -> Result<(i64, i64), Error> {
        unimplemented!()
    }

    /// How far a group is behind, for every partition of these topics.
    pub async fn lag(&self, _group: &str, _topics: &[&str]) -> Result<Vec<Lag>, Error> {
        unimplemented!()
    }
}

impl Producer {
    /// Puts a record in the queue; waits while it is full. Records of one key lie in the order of the calls. The outer
    /// future is done when the record is queued, the [`Delivery`] when it is durable.
    pub async fn send(&self, _record: Record) -> Result<Delivery, Error> {
        unimplemented!()
    }

    /// Waits until all that was sent is durable or failed.
    pub async fn flush(&self) -> Result<(), Error> {
        unimplemented!()
    }
}

impl TransactionalProducer {
    /// Makes `records` and `positions` (of `consumer`, a member of a group) visible at once, durably, or not at all.
    pub async fn commit(&self, _records: Vec<Record>, _consumer: &Consumer, _positions: &[Position]) -> Result<(), Error> {
        unimplemented!()
    }
}

impl Consumer {
    /// Waits up to `wait` for something to happen. A batch holds at most `max` messages (and about 16 MiB). Safe to
    /// drop before it is done.
    pub async fn next(&mut self, _max: usize, _wait: Duration) -> Result<Event, Error> {
        unimplemented!()
    }

    /// Reads on from this position.
    pub async fn seek(&mut self, _position: &Position) -> Result<(), Error> {
        unimplemented!()
    }

    /// Commits positions for the group, durably.
    pub async fn commit(&self, _positions: &[Position]) -> Result<(), Error> {
        unimplemented!()
    }

    /// The group's committed positions of these partitions; those never committed are left out.
    pub async fn committed(&self, _partitions: &[Partition]) -> Result<Vec<Position>, Error> {
        unimplemented!()
    }
}
