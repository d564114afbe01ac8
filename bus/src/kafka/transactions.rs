//! Records and positions at once.
//!
//! A transaction whose end is not known is asked after until it is: while no broker answers, [`commit`] waits. What
//! fails before its end is begun is aborted; if the abort cannot be carried out just then, the next call begins with it.
//! If its end is not begun after ten seconds though Kafka answers, the next call begins with a client of its own: where
//! the group's coordinator has left the cluster, librdkafka may wait for it for ever (its issues 5456 and 5511).
//! A transaction that was given up is not committed any more, unless that had begun. It is ended by the broker
//! ([`OPEN`] after its begin), or by the next producer of its id, whichever comes first; until then readers of committed
//! records stand before it, and its group is told no position.
//!
//! Kafka 4.3 itself may leave one open for good: where it is killed after it has promised a commit and before it has
//! written that to the partitions, and these have no other replica, it forgets them as it starts again (KAFKA-20734).
//! `kafka-transactions.sh find-hanging` shows such a one, and `abort` there ends it.
//!
//! [`commit`]: TransactionalProducer::commit

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::consumer::{is_away, list};
use super::context::{Context, Sent};
use super::{Broker, Consumer, is_fenced, kafka, producer};
use crate::{Error, Position, Record};

const TRY: Duration = Duration::from_secs(5);
/// How long a transaction may be open before the broker aborts it, in milliseconds: many times what one takes, and no
/// longer than readers may be held up by a process that is gone.
const OPEN: &str = "20000";
/// How long records and positions may take to be with Kafka, while it answers others.
const PREPARE: Duration = Duration::from_secs(10);
/// A client that was given up while it waits ends when any of its connections does, so idle ones are closed, after
/// milliseconds. No answer takes as long, as this counts the time that Kafka takes for one.
const IDLE: &str = "60000";

/// Writes records and positions at once.
pub(crate) struct TransactionalProducer {
    id: String,
    broker: Broker,
    /// None: the next call opens one.
    inner: Mutex<Option<Arc<Inner>>>,
}

struct Inner {
    /// Cancelled when nobody waits for this client any more.
    given_up: CancellationToken,
    client: ThreadedProducer<Context>,
    /// Held by the one transaction that may be open; true: one was begun and neither committed nor aborted.
    open: Mutex<bool>,
}

impl TransactionalProducer {
    pub(crate) async fn new(broker: &Broker, id: &str) -> Result<Self, Error> {
        let inner = Mutex::new(Some(open(broker, id).await?));
        Ok(Self { id: id.to_owned(), broker: broker.clone(), inner })
    }

    pub(crate) async fn commit(
        &self,
        records: Vec<Record>,
        consumer: &Consumer,
        positions: &[Position],
    ) -> Result<(), Error> {
        for record in &records {
            let bytes = crate::size(record);
            if bytes > crate::MAX_MESSAGE_BYTES {
                return Err(Error::TooLarge { topic: record.topic.to_string(), bytes });
            }
        }
        let (consumer, positions) = (consumer.check(positions)?, list(positions)?);
        let inner = self.inner().await?;
        let (end, mut ends) = oneshot::channel();
        let commit = self.broker.blocking({
            let inner = inner.clone();
            move || inner.commit(&records, consumer, &positions, end)
        });
        tokio::pin!(commit);
        loop {
            tokio::select! {
                biased;
                done = &mut commit => return done,
                () = tokio::time::sleep(PREPARE) => {}
            }
            if !self.broker.answers(TRY).await {
                continue;
            }
            ends.close();
            if ends.try_recv().is_ok() {
                return commit.await;
            }
            inner.given_up.cancel();
            *self.inner.lock() = None;
            return Err(Error::Aborted(format!("Kafka answers, but took no positions within {PREPARE:?}")));
        }
    }

    async fn inner(&self) -> Result<Arc<Inner>, Error> {
        if let Some(inner) = self.inner.lock().clone() {
            return Ok(inner);
        }
        let inner = open(&self.broker, &self.id).await?;
        Ok(self.inner.lock().insert(inner).clone())
    }
}

async fn open(broker: &Broker, id: &str) -> Result<Arc<Inner>, Error> {
    let mut config = broker.config(&[
        ("compression.type", "lz4"),
        ("partitioner", "murmur2_random"),
        ("message.max.bytes", "1048576"),
        ("queue.buffering.max.kbytes", "65536"),
        ("transaction.timeout.ms", OPEN),
        ("connections.max.idle.ms", IDLE),
    ]);
    config.set("transactional.id", id).set("linger.ms", "0");
    let (id, given_up) = (id.to_owned(), broker.0.given_up.child_token());
    let open = move || {
        let client: ThreadedProducer<Context> = config
            .create_with_context(Context::of("transactional producer"))
            .map_err(|error| kafka("opening a transactional producer", error))?;
        let inner = Inner { given_up, client, open: Mutex::new(false) };
        inner
            .retried(|client| client.init_transactions(TRY))
            .map_err(|error| kafka(&format!("transactional id {id}"), error))?;
        inner.client.context().works();
        Ok(Arc::new(inner))
    };
    broker.blocking(open).await
}

impl std::fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaTransactions").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Inner {
    /// `end` is told before the transaction is ended; whoever listens no more has given it up.
    fn commit(
        &self,
        records: &[Record],
        consumer: Arc<StreamConsumer<Context>>,
        positions: &TopicPartitionList,
        end: oneshot::Sender<()>,
    ) -> Result<(), Error> {
        let mut open = self.open.lock();
        if *open {
            self.retried(|client| client.abort_transaction(TRY)).map_err(fenced_or_aborted)?;
            *open = false;
        }
        self.client.begin_transaction().map_err(fenced_or_aborted)?;
        *open = true;
        let prepared = self.send_all(records).and_then(|()| {
            if positions.count() > 0 {
                let group = consumer.group_metadata().ok_or(KafkaError::Canceled)?;
                // Whatever the call takes, the group's member must not wait for it to leave.
                drop(consumer);
                self.retried(|client| client.send_offsets_to_transaction(positions, &group, TRY))?;
            }
            end.send(()).map_err(|()| KafkaError::Canceled)
        });
        let result = prepared.and_then(|()| self.retried(|client| client.commit_transaction(TRY)));
        let Err(error) = result else {
            *open = false;
            self.client.context().works();
            return Ok(());
        };
        tracing::debug!(%error, "Kafka: transaction");
        match self.client.abort_transaction(TRY) {
            Ok(()) => *open = false,
            Err(error) => tracing::debug!(%error, "Kafka: aborting a transaction"),
        }
        Err(fenced_or_aborted(error))
    }

    /// Queues all records; whether they arrived is found when the transaction is committed.
    fn send_all(&self, records: &[Record]) -> Result<(), KafkaError> {
        // The transaction bounds itself; its records only need what every record on its way carries.
        let room = Arc::new(Semaphore::new(records.len().clamp(1, Semaphore::MAX_PERMITS)));
        for record in records {
            let (reply, _) = oneshot::channel();
            let permit = room.clone().try_acquire_owned().map_err(|_| KafkaError::Canceled)?;
            let mut sent = Box::new(Sent {
                topic: record.topic.clone(),
                bytes: 0,
                reply,
                _permit: permit,
                _turn: None,
                queued: None,
            });
            loop {
                let mut base: BaseRecord<'_, [u8], [u8], Box<Sent>> =
                    BaseRecord::with_opaque_to(&record.topic, sent).payload(&record.value);
                base.key = record.key.as_deref();
                base.partition = record.partition;
                base.timestamp = record.timestamp_ms;
                base.headers = producer::headers(record);
                match self.client.send(base) {
                    Ok(()) => break,
                    Err((error, base))
                        if error.rdkafka_error_code() == Some(Code::QueueFull) && !self.given_up.is_cancelled() =>
                    {
                        sent = base.delivery_opaque;
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    Err((error, _)) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Calls again while the answer is only that none came: librdkafka goes on where it was.
    fn retried(&self, call: impl Fn(&ThreadedProducer<Context>) -> Result<(), KafkaError>) -> Result<(), KafkaError> {
        loop {
            if self.given_up.is_cancelled() {
                return Err(KafkaError::Canceled);
            }
            let error = match call(&self.client) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let again = match &error {
                KafkaError::Transaction(error) => {
                    error.is_retriable() && !error.is_fatal() && !error.txn_requires_abort()
                }
                // `commit_transaction` flushes first, and that ran out of time.
                KafkaError::Flush(code) => is_away(*code) || *code == Code::OperationTimedOut,
                _ => false,
            };
            if !again || self.client.client().fatal_error().is_some() {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn fenced_or_aborted(error: KafkaError) -> Error {
    let context = "a transaction";
    match &error {
        _ if error.rdkafka_error_code().is_some_and(is_fenced) => Error::Fenced(format!("{context}: {error}")),
        KafkaError::Transaction(inner) if is_fenced(inner.code()) => Error::Fenced(format!("{context}: {inner}")),
        KafkaError::Transaction(inner) if inner.is_fatal() => kafka(context, error),
        _ => Error::Aborted(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::{MockCluster, MockCoordinator};

    use super::*;
    use crate::{Bus, Event, Options, Partition};

    #[test]
    fn a_transaction_goes_on_when_the_groups_coordinator_has_left_the_cluster() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let committed = runtime.block_on(async { tokio::time::timeout(TRY * 6, commit_without_coordinator()).await });
        // A call that hangs must not hold the test up.
        runtime.shutdown_background();
        committed.expect("it hangs").unwrap();
    }

    async fn commit_without_coordinator() -> Result<(), Error> {
        let kafka = MockCluster::new(2).unwrap();
        kafka.create_topic("in", 1, 2).unwrap();
        kafka.partition_leader("in", 0, Some(2)).unwrap();
        kafka.coordinator(MockCoordinator::Transaction("id".to_owned()), 2).unwrap();
        let coordinator = |broker| kafka.coordinator(MockCoordinator::Group("group".to_owned()), broker).unwrap();
        coordinator(1);
        let options = Options {
            broker: crate::Broker::Kafka,
            brokers: Some(kafka.bootstrap_servers()),
            // How soon a client sees who is in the cluster.
            properties: [("topic.metadata.refresh.interval.ms".to_owned(), "300".to_owned())].into(),
            ..Options::default()
        };
        let bus = Bus::open(&options, std::path::Path::new("")).await?;
        let mut member = bus.group_consumer("group", &["in"])?;
        while !matches!(member.next(1, TRY).await?, Event::Assigned(_)) {}
        let producer = bus.transactional_producer("id").await?;
        let record = || Record { topic: "in".into(), value: "v".into(), ..Record::default() };
        let position = |offset| [Position { partition: Partition::new("in", 0), offset }];
        producer.commit(vec![record()], &member, &position(0)).await?;

        kafka.broker_down(1).unwrap();
        coordinator(2);
        let hung = producer.commit(vec![record()], &member, &position(1)).await;
        assert!(matches!(hung, Ok(()) | Err(Error::Aborted(_))), "{hung:?}");
        producer.commit(vec![record()], &member, &position(1)).await
    }
}
