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
//! - Every queue is bounded: a producer whose broker is away makes its senders wait, and drops nothing. Whoever must
//!   end although the broker is away says so with [`Bus::give_up`]; what was not durable then is told to its sender.

mod embedded;
mod error;
mod handed;
mod kafka;
mod metrics;
mod murmur2;
mod null;
mod options;
mod record;
pub mod spool;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Metrics, Operation, Reads};
use opentelemetry::metrics::Meter;

pub use error::Error;
pub use handed::HandedOver;
pub use options::{Broker, Options, Retention};
pub use record::{Message, Partition, Position, Record};

/// Greatest record (value, key and headers, uncompressed) of a topic that is not made for larger ones:
/// [`weir_proto::MAX_RECORD_BYTES`] and a little, which Kafka's default takes.
pub const MAX_MESSAGE_BYTES: usize = 1_040_000;

/// The same of a topic that is made for large ones: [`weir_proto::MAX_SINGLE_BYTES`] and a little. With
/// [`BATCH_OVERHEAD`] it is 17 MiB.
pub const MAX_LARGE_MESSAGE_BYTES: usize = (17 << 20) - BATCH_OVERHEAD;

/// What a record may take beside its own bytes where Kafka measures it: the batch around it, and its lengths.
const BATCH_OVERHEAD: usize = 8 << 10;

/// About how much one [`Event::Batch`] holds at most, and one record more.
const MAX_BATCH_BYTES: usize = 16 << 20;

/// What came of [`Consumer::next`].
#[derive(Debug)]
pub enum Event {
    /// Partitions were given to this consumer: all that it has now. Reading goes on at their committed positions (the
    /// beginning where there is none), unless the owner seeks. Always comes before the first batch.
    Assigned(Vec<Partition>),
    /// All partitions were taken away, since the group deals them out anew; the next `Assigned` says what this member
    /// has then. What was read of them and not committed will be read again, here or elsewhere. A commit fails now.
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
    /// How long records are kept, since they were written; `None` is for ever, and on Kafka what its operator set.
    /// A broker looks about every second (embedded) or five minutes (Kafka, unless told otherwise).
    pub retention: Option<Duration>,
    /// Greatest size of one partition in bytes, as stored; the oldest records go first, about 1 MiB at a time. `None` is
    /// without limit, and on Kafka what its operator set.
    pub retention_bytes: Option<u64>,
    /// Greatest record (value, key and headers, uncompressed), at most [`MAX_LARGE_MESSAGE_BYTES`]; `None` is
    /// [`MAX_MESSAGE_BYTES`], and on Kafka what its operator set.
    pub max_message_bytes: Option<usize>,
    /// Whether, on Kafka, of the records of one key the newest alone need stay. The embedded broker keeps all, as long as
    /// the retention says.
    pub compacted: bool,
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
    /// Offset of the next record to be written. On Kafka the end of a transaction takes an offset too, so a group that
    /// has read all may be one behind.
    pub high: i64,
}

/// A bus that is open; cheap to clone. The embedded broker closes with the last of its handles: buses, producers and
/// consumers.
#[derive(Clone, Debug)]
pub struct Bus {
    options: Arc<Options>,
    broker: AnyBroker,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Debug)]
enum AnyBroker {
    Embedded(embedded::Broker),
    Kafka(kafka::Broker),
    Null,
}

/// Sends records; bounded queue; cheap to clone.
#[derive(Clone, Debug)]
pub struct Producer {
    inner: AnyProducer,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Debug)]
enum AnyProducer {
    Embedded(embedded::Producer),
    Kafka(kafka::Producer),
    Null(null::Producer),
}

/// Writes records and positions at once.
#[derive(Debug)]
pub struct TransactionalProducer {
    inner: AnyTransactionalProducer,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum AnyTransactionalProducer {
    Embedded(embedded::TransactionalProducer),
    Kafka(kafka::TransactionalProducer),
    Null,
}

/// Reads a group's share, or fixed partitions.
#[derive(Debug)]
pub struct Consumer {
    inner: AnyConsumer,
    reads: Arc<Reads>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum AnyConsumer {
    Embedded(embedded::Consumer),
    Kafka(kafka::Consumer),
    Null(null::Consumer),
}

/// Resolves when the record is durable, with its place. It may be dropped: the record is sent all the same.
pub type Delivery = futures::future::BoxFuture<'static, Result<(Partition, i64), Error>>;

impl Bus {
    /// Opens the bus. The embedded broker lies in `data_dir/bus`. Kafka that is away is no error: whoever uses it waits.
    pub async fn open(options: &Options, data_dir: &Path) -> Result<Self, Error> {
        Self::open_with(options, data_dir, embedded::Retain::AsTopicsSay).await
    }

    /// The same to read what is there: the embedded broker removes nothing, whatever its age, and a folder without one
    /// is [`Error::Storage`].
    pub async fn open_to_read(options: &Options, data_dir: &Path) -> Result<Self, Error> {
        Self::open_with(options, data_dir, embedded::Retain::All).await
    }

    async fn open_with(options: &Options, data_dir: &Path, retain: embedded::Retain) -> Result<Self, Error> {
        let tried = options.clone();
        tokio::task::spawn_blocking(move || tried.check()).await.map_err(|_| Error::Closed)??;
        let metrics = Arc::<Metrics>::default();
        let broker = match options.broker {
            Broker::Embedded => {
                let broker = embedded::Broker::open(options, data_dir, retain).await?;
                metrics.ask_ends(broker.ends());
                AnyBroker::Embedded(broker)
            }
            Broker::Kafka => AnyBroker::Kafka(kafka::Broker::open(options)),
            Broker::Null => AnyBroker::Null,
        };
        Ok(Self { options: Arc::new(options.clone()), broker, metrics })
    }

    /// Shows through `meter`, from now on, what this bus and all that comes of it send, receive and have queued, by
    /// topic, and how far its consumers are behind.
    #[must_use]
    pub fn measured(self, meter: &Meter) -> Self {
        self.metrics.show(meter);
        self
    }

    /// Whether the broker answers within this time; the embedded one does unless its disk is full or fails.
    pub async fn answers(&self, within: Duration) -> bool {
        match &self.broker {
            AnyBroker::Embedded(broker) => broker.answers(),
            AnyBroker::Kafka(broker) => broker.answers(within).await,
            AnyBroker::Null => true,
        }
    }

    /// Resolves if the broker in this process can never be used again, which is a bug of it: all that is asked of it is
    /// [`Error::Closed`] from then on, and only a new start helps. Does not keep the bus open.
    pub fn broken(&self) -> impl Future<Output = ()> + Send + 'static {
        let broken = match &self.broker {
            AnyBroker::Embedded(broker) => Some(broker.broken()),
            AnyBroker::Kafka(_) | AnyBroker::Null => None,
        };
        async move {
            match broken {
                Some(broken) => broken.await,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends all waiting for a broker that does not answer, now and from now on, for this bus and all that comes of it:
    /// sends, deliveries, commits and admin calls are [`Error::Closed`] instead. What was on its way may have become
    /// durable all the same; a transaction is there whole or not at all, and the group's position says which.
    pub fn give_up(&self) {
        match &self.broker {
            AnyBroker::Embedded(broker) => broker.give_up(),
            AnyBroker::Kafka(broker) => broker.give_up(),
            AnyBroker::Null => {}
        }
    }

    /// What producers of this bus have sent to a topic.
    pub fn handed_over(&self, topic: &str) -> HandedOver {
        self.metrics.handed_over(topic)
    }

    /// Compares what was sent to a topic with what is there: of one that was made anew, what was sent before is void.
    pub async fn compare_handed_over(&self, topic: &str) -> Result<(), Error> {
        let count = self.partitions(topic).await?;
        for partition in self.handed_over(topic).ends.into_keys() {
            let high =
                if partition < count { Some(self.offsets(&Partition::new(topic, partition)).await?.1) } else { None };
            self.metrics.ends_at(topic, partition, high);
        }
        Ok(())
    }

    /// A producer.
    pub fn producer(&self) -> Result<Producer, Error> {
        self.producer_of(usize::MAX)
    }

    /// A producer with at most so many bytes on their way, one record at least. The embedded broker's producers share
    /// one queue, and this changes nothing.
    pub fn producer_of(&self, bytes: usize) -> Result<Producer, Error> {
        let inner = match &self.broker {
            AnyBroker::Embedded(broker) => AnyProducer::Embedded(broker.producer()),
            AnyBroker::Kafka(broker) => AnyProducer::Kafka(kafka::Producer::new(broker.clone(), bytes)?),
            AnyBroker::Null => AnyProducer::Null(null::Producer::default()),
        };
        Ok(Producer { inner, metrics: self.metrics.clone() })
    }

    /// A producer of transactions; opening one fences the one that had this id before.
    pub async fn transactional_producer(&self, id: &str) -> Result<TransactionalProducer, Error> {
        let inner = match &self.broker {
            AnyBroker::Embedded(broker) => AnyTransactionalProducer::Embedded(broker.transactional_producer(id)),
            AnyBroker::Kafka(broker) => {
                AnyTransactionalProducer::Kafka(kafka::TransactionalProducer::new(broker, id).await?)
            }
            AnyBroker::Null => AnyTransactionalProducer::Null,
        };
        Ok(TransactionalProducer { inner, metrics: self.metrics.clone() })
    }

    /// A share of `topics`, as a member of `group`. Reads committed records only. The first event is `Assigned`. It is
    /// a member until it is dropped.
    pub fn group_consumer(&self, group: &str, topics: &[&str]) -> Result<Consumer, Error> {
        let reads = self.metrics.reader(Some(group));
        let inner = match &self.broker {
            AnyBroker::Embedded(broker) => {
                AnyConsumer::Embedded(embedded::Consumer::member(broker.clone(), group, topics))
            }
            AnyBroker::Kafka(broker) => {
                AnyConsumer::Kafka(kafka::Consumer::member(broker, group, topics, reads.clone())?)
            }
            AnyBroker::Null => AnyConsumer::Null(null::Consumer::member()),
        };
        Ok(Consumer { inner, reads, metrics: self.metrics.clone() })
    }

    /// Fixed partitions, from these positions; an offset before the first that is left, or after the last, starts
    /// there. Reads committed records only. There is no `Assigned` event. It has no group: [`Consumer::commit`] and
    /// [`Consumer::committed`] are [`Error::Options`].
    pub fn consumer(&self, positions: &[Position]) -> Result<Consumer, Error> {
        self.consumer_of(positions, usize::MAX)
    }

    /// The same that fetches at most about so many bytes ahead, for those who read many partitions apart. The embedded
    /// broker's consumers fetch nothing ahead, and this changes nothing.
    pub fn consumer_of(&self, positions: &[Position], bytes: usize) -> Result<Consumer, Error> {
        let reads = self.metrics.reader(None);
        reads.assigned(positions.iter().map(|position| &position.partition));
        for position in positions {
            reads.next(position);
        }
        let inner = match &self.broker {
            AnyBroker::Embedded(broker) => AnyConsumer::Embedded(embedded::Consumer::fixed(broker.clone(), positions)),
            AnyBroker::Kafka(broker) => {
                AnyConsumer::Kafka(kafka::Consumer::fixed(broker, positions, bytes, reads.clone())?)
            }
            AnyBroker::Null => AnyConsumer::Null(null::Consumer::fixed(positions)),
        };
        Ok(Consumer { inner, reads, metrics: self.metrics.clone() })
    }

    /// Whether other processes can be on it too.
    pub fn is_shared(&self) -> bool {
        matches!(self.broker, AnyBroker::Kafka(_))
    }

    /// What weir asks of a topic that it makes: the partitions, copies and retention of [`Options`].
    pub fn topic_spec(&self, name: &str) -> TopicSpec {
        self.options.topic_spec(name)
    }

    /// Makes the topics that are not there, and grows the ones with fewer partitions. Retention and the greatest record
    /// are set as a topic is made; on one that is there the embedded broker sets them anew, and Kafka's stay what its
    /// operator made of them: see [`Producer::limit`].
    pub async fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        match &self.broker {
            AnyBroker::Embedded(broker) => broker.ensure_topics(topics).await,
            AnyBroker::Kafka(broker) => broker.ensure_topics(topics).await,
            AnyBroker::Null => Ok(()),
        }
    }

    /// Removes a topic and all that it holds, committed positions included.
    pub async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        match &self.broker {
            AnyBroker::Embedded(broker) => broker.delete_topic(name).await,
            AnyBroker::Kafka(broker) => broker.delete_topic(name).await,
            AnyBroker::Null => Ok(()),
        }
    }

    /// Number of partitions of a topic; [`Error::Unknown`] where there is no such topic.
    pub async fn partitions(&self, topic: &str) -> Result<i32, Error> {
        match &self.broker {
            AnyBroker::Embedded(broker) => broker.partitions(topic),
            AnyBroker::Kafka(broker) => broker.partitions(topic).await,
            AnyBroker::Null => Ok(self.options.partitions),
        }
    }

    /// First offset that is there, and the offset of the next record to be written.
    pub async fn offsets(&self, partition: &Partition) -> Result<(i64, i64), Error> {
        match &self.broker {
            AnyBroker::Embedded(broker) => broker.offsets(partition),
            AnyBroker::Kafka(broker) => broker.offsets(partition).await,
            AnyBroker::Null => Ok((0, 0)),
        }
    }

    /// How far a group is behind, for every partition of these topics.
    pub async fn lag(&self, group: &str, topics: &[&str]) -> Result<Vec<Lag>, Error> {
        match &self.broker {
            AnyBroker::Embedded(broker) => broker.lag(group, topics).await,
            AnyBroker::Kafka(broker) => broker.lag(group, topics).await,
            AnyBroker::Null => Ok(Vec::new()),
        }
    }

    /// Says how far a group has read that nobody is a member of, durably: for [`Bus::lag`] and the tools of the broker.
    pub async fn publish(&self, group: &str, positions: &[Position]) -> Result<(), Error> {
        match &self.broker {
            AnyBroker::Embedded(broker) => broker.publish(group, positions).await,
            AnyBroker::Kafka(broker) => broker.publish(group, positions).await,
            AnyBroker::Null => Ok(()),
        }
    }
}

impl Producer {
    /// Puts a record in the queue; waits while it is full. Records of one key lie in the order of the calls. The outer
    /// future is done when the record is queued, the [`Delivery`] when it is durable. A record that is larger than its
    /// topic takes is [`Error::TooLarge`], here or by its delivery. A topic that is not there is made
    /// with the partitions of [`Options`] (Kafka: if the broker allows it, with its own number).
    pub async fn send(&self, record: Record) -> Result<Delivery, Error> {
        let queued = self.metrics.queue(&record.topic, size(&record));
        match &self.inner {
            AnyProducer::Embedded(producer) => producer.send(record, queued).await,
            AnyProducer::Kafka(producer) => producer.send(record, queued).await,
            AnyProducer::Null(producer) => Ok(producer.send(record, queued)),
        }
    }

    /// Greatest record (value, key and headers, uncompressed) that a topic takes, as far as it is known; `None` where it
    /// is not known yet. Kafka is asked for it when the topic is ensured, and again, in the background, every five
    /// minutes and after a record was [`Error::TooLarge`]. What Kafka does not tell this client (no right to describe the
    /// topic's configuration) is [`MAX_MESSAGE_BYTES`].
    pub fn limit(&self, topic: &str) -> Option<usize> {
        match &self.inner {
            AnyProducer::Embedded(producer) => Some(producer.limit(topic)),
            AnyProducer::Kafka(producer) => producer.limit(topic),
            AnyProducer::Null(_) => Some(MAX_LARGE_MESSAGE_BYTES),
        }
    }

    /// [`Producer::limit`], with Kafka asked now.
    pub async fn read_limit(&self, topic: &str) -> Option<usize> {
        if let AnyProducer::Kafka(producer) = &self.inner {
            producer.read_limit(topic).await;
        }
        self.limit(topic)
    }

    /// Waits until all that was sent is durable or failed.
    pub async fn flush(&self) -> Result<(), Error> {
        match &self.inner {
            AnyProducer::Embedded(producer) => producer.flush().await,
            AnyProducer::Kafka(producer) => producer.flush().await,
            AnyProducer::Null(_) => Ok(()),
        }
    }
}

impl TransactionalProducer {
    /// Makes `records` and `positions` (of `consumer`, a member of a group) visible at once, durably, or not at all.
    /// No record may be larger than [`MAX_MESSAGE_BYTES`], whatever its topic takes.
    /// After [`Error::Fenced`] nothing is visible, and the consumer's next event (or another program) says why; after
    /// [`Error::Aborted`] nothing is visible and the same may be tried again. After [`Error::Closed`] (see
    /// [`Bus::give_up`]) the group's position says which of both it is.
    pub async fn commit(&self, records: Vec<Record>, consumer: &Consumer, positions: &[Position]) -> Result<(), Error> {
        let queued: Vec<_> = records.iter().map(|record| self.metrics.queue(&record.topic, size(record))).collect();
        let done = match (&self.inner, &consumer.inner) {
            (AnyTransactionalProducer::Embedded(producer), AnyConsumer::Embedded(consumer)) => {
                producer.commit(records, consumer, positions).await
            }
            (AnyTransactionalProducer::Kafka(producer), AnyConsumer::Kafka(consumer)) => {
                producer.commit(records, consumer, positions).await
            }
            (AnyTransactionalProducer::Null, AnyConsumer::Null(_)) => Ok(()),
            _ => Err(Error::Options("a transaction's producer and consumer are of two buses".to_owned())),
        };
        if done.is_ok() {
            queued.into_iter().for_each(metrics::Queued::sent);
        }
        done.inspect_err(|_| self.metrics.errors.count(Operation::Transaction))
    }
}

impl Consumer {
    /// Waits up to `wait` for something to happen. A batch holds at most `max` messages (and about 16 MiB, or one
    /// message more). Safe to drop before it is done.
    pub async fn next(&mut self, max: usize, wait: Duration) -> Result<Event, Error> {
        let event = match &mut self.inner {
            AnyConsumer::Embedded(consumer) => consumer.next(max, wait).await,
            AnyConsumer::Kafka(consumer) => consumer.next(max, wait).await,
            AnyConsumer::Null(consumer) => Ok(consumer.next(wait).await),
        };
        match &event {
            Ok(Event::Assigned(partitions)) => self.reads.assigned(partitions),
            Ok(Event::Revoked(_)) => self.reads.assigned([]),
            Ok(Event::Batch(messages)) => {
                self.metrics.received(messages);
                self.reads.read(messages);
            }
            Ok(Event::Idle) => {}
            Err(_) => self.metrics.errors.count(Operation::Read),
        }
        event
    }

    /// Reads on from this position; [`Error::Unknown`] if the partition is not this consumer's.
    pub fn seek(&mut self, position: &Position) -> Result<(), Error> {
        match &mut self.inner {
            AnyConsumer::Embedded(consumer) => consumer.seek(position),
            AnyConsumer::Kafka(consumer) => consumer.seek(position),
            AnyConsumer::Null(_) => Ok(()),
        }?;
        self.reads.next(position);
        Ok(())
    }

    /// Commits positions for the group, durably. [`Error::Fenced`] if a partition is no longer this member's.
    pub async fn commit(&self, positions: &[Position]) -> Result<(), Error> {
        let done = match &self.inner {
            AnyConsumer::Embedded(consumer) => consumer.commit(positions).await,
            AnyConsumer::Kafka(consumer) => consumer.commit(positions).await,
            AnyConsumer::Null(_) => Ok(()),
        };
        done.inspect_err(|_| self.metrics.errors.count(Operation::Commit))
    }

    /// The group's committed positions of these partitions; those never committed are left out.
    pub async fn committed(&self, partitions: &[Partition]) -> Result<Vec<Position>, Error> {
        match &self.inner {
            AnyConsumer::Embedded(consumer) => consumer.committed(partitions).await,
            AnyConsumer::Kafka(consumer) => consumer.committed(partitions).await,
            AnyConsumer::Null(_) => Ok(Vec::new()),
        }
    }
}

/// Bytes of a record as [`MAX_MESSAGE_BYTES`] counts them.
fn size(record: &Record) -> usize {
    bytes_of(record.key.as_ref(), &record.value, &record.headers)
}

fn bytes_of(key: Option<&bytes::Bytes>, value: &bytes::Bytes, headers: &[(String, bytes::Bytes)]) -> usize {
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    value.len() + key.map_or(0, bytes::Bytes::len) + headers
}
