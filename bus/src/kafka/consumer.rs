//! A group's share, or fixed partitions, through librdkafka's stream consumer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::context::Context;
use super::{ADMIN_TIMEOUT, Broker, kafka};
use crate::metrics::Reads;
use crate::{Error, Event, MAX_BATCH_BYTES, Message, Partition, Position};

/// The group's name that librdkafka wants even of a consumer that joins none.
const NO_GROUP: &str = "weir-reader";
/// What a consumer fetches ahead, at most.
const AHEAD_BYTES: usize = 16 << 20;

/// Reads a group's share, or fixed partitions.
pub(crate) struct Consumer {
    broker: Broker,
    /// `None` only while it is dropped.
    client: Option<Arc<StreamConsumer<Context>>>,
    group: Option<Arc<str>>,
    /// What the owner was told that it has, and where it reads on; `None` is the committed position.
    assigned: HashMap<Partition, Option<i64>>,
    /// librdkafka is to be told of `assigned` before it is asked for more.
    moved: bool,
    /// A message that librdkafka gave together with a rebalance, which comes before it.
    held: Option<Message>,
    /// One name for each topic, shared by all messages.
    topics: HashMap<String, Arc<str>>,
}

pub(super) fn config(group: &str) -> [(&str, &str); 12] {
    [
        ("group.id", group),
        ("isolation.level", "read_committed"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "earliest"),
        // Eager: all is revoked before it is dealt out anew, as the interface says.
        ("partition.assignment.strategy", "range"),
        ("session.timeout.ms", "10000"),
        // A batch that is larger than these, as one of a large record is, is fetched all the same: Kafka gives the first
        // of what is asked for whole (KIP-74), and librdkafka asks for another partition first each time.
        ("fetch.message.max.bytes", "2097152"),
        ("fetch.max.bytes", "8388608"),
        ("fetch.wait.max.ms", "100"),
        // How soon a topic that is made later is seen.
        ("topic.metadata.refresh.interval.ms", "5000"),
        // How often it hears how far it may read: see `Context::stats`.
        ("statistics.interval.ms", "5000"),
    ]
}

impl Consumer {
    pub(crate) fn member(broker: &Broker, group: &str, topics: &[&str], reads: Arc<Reads>) -> Result<Self, Error> {
        let consumer = Self::new(broker, group, Some(Arc::from(group)), AHEAD_BYTES, reads)?;
        consumer.client()?.subscribe(topics).map_err(|error| kafka("joining a group", error))?;
        Ok(consumer)
    }

    pub(crate) fn fixed(
        broker: &Broker,
        positions: &[Position],
        ahead_bytes: usize,
        reads: Arc<Reads>,
    ) -> Result<Self, Error> {
        let mut consumer = Self::new(broker, NO_GROUP, None, ahead_bytes, reads)?;
        for position in positions {
            consumer.assigned.insert(position.partition.clone(), Some(position.offset));
        }
        consumer.client()?.assign(&list(positions)?).map_err(|error| kafka("reading partitions", error))?;
        Ok(consumer)
    }

    fn new(
        broker: &Broker,
        group: &str,
        member: Option<Arc<str>>,
        ahead_bytes: usize,
        reads: Arc<Reads>,
    ) -> Result<Self, Error> {
        // librdkafka's timer lives on the runtime, and creating it elsewhere would panic.
        tokio::runtime::Handle::try_current().map_err(|_| Error::Closed)?;
        let ahead_kbytes = (ahead_bytes.min(AHEAD_BYTES) >> 10).max(1).to_string();
        let config = config(group).into_iter().chain([("queued.max.messages.kbytes", ahead_kbytes.as_str())]);
        let config: Vec<_> = config.collect();
        let client = Some(Arc::new(broker.client(&config, Context::of_reader(reads))?));
        let (assigned, topics) = (HashMap::new(), HashMap::new());
        Ok(Self { broker: broker.clone(), client, group: member, assigned, moved: false, held: None, topics })
    }

    fn client(&self) -> Result<Arc<StreamConsumer<Context>>, Error> {
        self.client.clone().ok_or(Error::Closed)
    }

    pub(crate) async fn next(&mut self, max: usize, wait: Duration) -> Result<Event, Error> {
        let client = self.client()?;
        let deadline = Instant::now() + wait;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        loop {
            // A batch is handed over before the change that came after it.
            let event = if batch.is_empty() { client.context().events.lock().pop_front() } else { None };
            if let Some(event) = event {
                self.heard(&event);
                return Ok(event);
            }
            self.settle(&client)?;
            if client.context().events.lock().is_empty()
                && let Some(held) = self.held.take()
                && let Some(message) = self.admit(held)
            {
                bytes += message.value.len() + 64;
                batch.push(message);
            }
            let ready = client.context().events.lock().is_empty() && batch.len() < max && bytes < MAX_BATCH_BYTES;
            // Nothing is awaited once a message was taken: a dropped future loses nothing.
            let received = if batch.is_empty() {
                match tokio::time::timeout_at(deadline.min(Instant::now() + Duration::from_millis(100)), client.recv())
                    .await
                {
                    Ok(received) => Some(received),
                    // A rebalance wakes nobody, so it is looked for now and then.
                    Err(_) if Instant::now() < deadline => continue,
                    Err(_) if client.context().events.lock().is_empty() => return Ok(Event::Idle),
                    Err(_) => continue,
                }
            } else if ready {
                client.recv().now_or_never()
            } else {
                None
            };
            match received {
                Some(Ok(message)) => {
                    let message = self.own(&message);
                    if !client.context().events.lock().is_empty() {
                        self.held = Some(message);
                    } else if let Some(message) = self.admit(message) {
                        bytes += message.value.len() + 64;
                        batch.push(message);
                    }
                }
                Some(Err(error)) if batch.is_empty() => passing(error)?,
                // It comes again, or it has passed.
                Some(Err(error)) => tracing::debug!(%error, "Kafka: reading"),
                None => {
                    client.context().works();
                    return Ok(Event::Batch(batch));
                }
            }
        }
    }

    /// Keeps up with what the owner is told.
    fn heard(&mut self, event: &Event) {
        match event {
            Event::Assigned(partitions) => {
                self.assigned = partitions.iter().map(|partition| (partition.clone(), None)).collect();
                self.moved = true;
            }
            Event::Revoked(_) => {
                self.assigned.clear();
                self.moved = false;
            }
            Event::Batch(_) | Event::Idle => {}
        }
    }

    /// Begins to read where the owner wants to, with all that it said since it was told of its partitions: librdkafka
    /// aborts if partitions are assigned a second time before it has stopped reading them as they were assigned first.
    /// All are assigned, as its own seek fails on a partition that it has not begun to fetch.
    fn settle(&mut self, client: &StreamConsumer<Context>) -> Result<(), Error> {
        // A rebalance that has come since goes first; its event says so.
        if !self.moved || !client.context().events.lock().is_empty() {
            return Ok(());
        }
        let mut all = TopicPartitionList::with_capacity(self.assigned.len());
        for (partition, offset) in &self.assigned {
            let offset = offset.map_or(Offset::Invalid, Offset::Offset);
            let added = all.add_partition_offset(&partition.topic, partition.partition, offset);
            added.map_err(|error| kafka("a position", error))?;
        }
        client.assign(&all).map_err(|error| kafka("reading partitions", error))?;
        client.context().awaited.store(false, Ordering::Release);
        self.moved = false;
        Ok(())
    }

    /// The message, if its partition is this consumer's; reading goes on behind it.
    fn admit(&mut self, message: Message) -> Option<Message> {
        *self.assigned.get_mut(&message.partition)? = Some(message.offset + 1);
        Some(message)
    }

    fn own(&mut self, message: &BorrowedMessage<'_>) -> Message {
        let topic = if let Some(topic) = self.topics.get(message.topic()) {
            topic.clone()
        } else {
            let topic: Arc<str> = Arc::from(message.topic());
            self.topics.insert(message.topic().to_owned(), topic.clone());
            topic
        };
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let value = |value: Option<&[u8]>| value.map_or_else(Bytes::new, Bytes::copy_from_slice);
            headers.iter().map(|header| (header.key.to_owned(), value(header.value))).collect()
        });
        Message {
            partition: Partition::new(topic, message.partition()),
            offset: message.offset(),
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map_or_else(Bytes::new, Bytes::copy_from_slice),
            headers,
            timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        }
    }

    /// Reads on there from the next call of [`Self::next`].
    pub(crate) fn seek(&mut self, to: &Position) -> Result<(), Error> {
        let Some(next) = self.assigned.get_mut(&to.partition) else {
            let (topic, n) = (&to.partition.topic, to.partition.partition);
            return Err(Error::Unknown(format!("{topic}/{n} is not read by this consumer")));
        };
        *next = Some(to.offset);
        self.moved = true;
        // It lies behind its partition's position still, and is fetched again.
        self.held = None;
        Ok(())
    }

    pub(crate) async fn commit(&self, positions: &[Position]) -> Result<(), Error> {
        let (client, positions) = (self.check(positions)?, list(positions)?);
        let given_up = self.broker.0.given_up.clone();
        let commit = move || {
            loop {
                match client.commit(&positions, CommitMode::Sync) {
                    Ok(()) => return Ok(()),
                    // The broker is away, or the coordinator moves: the owner waits, and loses nothing by it.
                    Err(error)
                        if error.rdkafka_error_code().is_some_and(is_away)
                            && !client.assignment_lost()
                            && !given_up.is_cancelled() =>
                    {
                        tracing::debug!(%error, "Kafka: committing");
                        std::thread::sleep(Duration::from_millis(200));
                    }
                    Err(error) => return Err(kafka("committing", error)),
                }
            }
        };
        self.broker.blocking(commit).await
    }

    pub(crate) async fn committed(&self, partitions: &[Partition]) -> Result<Vec<Position>, Error> {
        if self.group.is_none() {
            return Err(no_group());
        }
        let client = self.client()?;
        let partitions = partitions.to_vec();
        self.broker.blocking(move || committed(|list| client.committed_offsets(list, ADMIN_TIMEOUT), &partitions)).await
    }

    /// The client, if these partitions are this member's, as far as it knows.
    pub(super) fn check(&self, positions: &[Position]) -> Result<Arc<StreamConsumer<Context>>, Error> {
        let client = self.client()?;
        let group = self.group.as_ref().ok_or_else(no_group)?;
        let fenced = |why: &str| Err(Error::Fenced(format!("group {group}: {why}")));
        if client.context().events.lock().iter().any(|event| matches!(event, Event::Revoked(_))) {
            return fenced("partitions are dealt out anew");
        }
        for Position { partition, .. } in positions {
            if !self.assigned.contains_key(partition) {
                return fenced(&format!("{}/{} is not this member's", partition.topic, partition.partition));
            }
        }
        Ok(client)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            client.context().leaving.store(true, Ordering::Release);
            let leave = move || {
                // It would wait for this for ever.
                if client.context().awaited.load(Ordering::Acquire)
                    && let Err(error) = client.unassign()
                {
                    tracing::debug!(%error, "Kafka: leaving a group");
                }
                drop(client);
            };
            // Leaving a group asks the broker, and waits for it.
            let left = std::thread::Builder::new().name("weir-bus-leave".to_owned()).spawn(leave);
            if let Err(error) = left {
                tracing::debug!(%error, "Kafka: leaving a group");
            }
        }
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaConsumer").field("group", &self.group).finish_non_exhaustive()
    }
}

fn no_group() -> Error {
    Error::Options("a consumer of fixed partitions has no group to commit for".to_owned())
}

pub(super) fn list(positions: &[Position]) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for Position { partition, offset } in positions {
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset))
            .map_err(|error| kafka("a position", error))?;
    }
    Ok(list)
}

pub(super) fn committed(
    ask: impl FnOnce(TopicPartitionList) -> Result<TopicPartitionList, KafkaError>,
    partitions: &[Partition],
) -> Result<Vec<Position>, Error> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    let failed = |error| kafka("asking for committed positions", error);
    let list = ask(list).map_err(failed)?;
    let mut found = Vec::new();
    for partition in partitions {
        let Some(told) = list.find_partition(&partition.topic, partition.partition) else { continue };
        // An answer for this one that is none, while a transaction is not through: no position is something else.
        told.error().map_err(failed)?;
        if let Offset::Offset(offset) = told.offset() {
            found.push(Position { partition: partition.clone(), offset });
        }
    }
    Ok(found)
}

/// Errors that mean that no broker answers just now.
pub(super) fn is_away(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::WaitingForCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
    )
}

/// An error of reading that will not pass by itself.
fn passing(error: KafkaError) -> Result<(), Error> {
    let lasting = match &error {
        KafkaError::MessageConsumptionFatal(_) => true,
        other => matches!(
            other.rdkafka_error_code(),
            Some(
                Code::TopicAuthorizationFailed
                    | Code::GroupAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
                    | Code::InvalidSessionTimeout
            )
        ),
    };
    if lasting {
        return Err(kafka("reading", error));
    }
    tracing::debug!(%error, "Kafka: reading");
    Ok(())
}
