//! The idempotent producer: senders wait for room, librdkafka batches and retries.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::sync::{Semaphore, oneshot};

use super::context::{Context, Sent};
use super::{Broker, kafka};
use crate::metrics::Queued;
use crate::{Delivery, Error, Record};

/// Bytes (uncompressed) that may be on their way.
const QUEUE_BYTES: usize = 32 << 20;
/// What a queued record costs beside its bytes; so the queue is bounded in records too.
const QUEUE_RECORD: usize = 256;

/// librdkafka's own queue is a little larger than ours, so it is ours that makes senders wait.
const PROPERTIES: [(&str, &str); 12] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // One fewer than an idempotent producer may have: at five librdkafka's thread does not sleep until an answer comes,
    // but asks again and again whether the next may go. With four on their way and the fifth packed, it sleeps.
    ("max.in.flight.requests.per.connection", "4"),
    ("compression.type", "lz4"),
    // As Kafka's own clients, and the embedded broker, choose.
    ("partitioner", "murmur2_random"),
    ("linger.ms", "5"),
    // Less than a full batch of a file, which is then a batch of its own: where it waited for more to come, and no more
    // could be on its way, that thread asked again and again too.
    ("batch.size", "524288"),
    ("message.max.bytes", "1048576"),
    // Nothing is dropped while the broker is away.
    ("message.timeout.ms", "0"),
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "200000"),
    ("topic.metadata.propagation.max.ms", "10000"),
];

pub(super) type Client = ThreadedProducer<Context>;

/// Sends records.
#[derive(Clone)]
pub(crate) struct Producer(Arc<Inner>);

struct Inner {
    broker: Broker,
    client: RwLock<Client>,
    room: Arc<Semaphore>,
    /// Of the room when nothing is on its way.
    bytes: usize,
}

pub(super) fn client(broker: &Broker, context: Context) -> Result<Client, Error> {
    broker.config(&PROPERTIES).create_with_context(context).map_err(|error| kafka("opening a producer", error))
}

impl Producer {
    /// With at most so many bytes on their way, if that is less than the usual.
    pub(crate) fn new(broker: Broker, bytes: usize) -> Result<Self, Error> {
        let client = RwLock::new(client(&broker, Context::of("producer"))?);
        let bytes = bytes.clamp(1, QUEUE_BYTES);
        Ok(Self(Arc::new(Inner { broker, client, room: Arc::new(Semaphore::new(bytes)), bytes })))
    }

    pub(crate) async fn send(&self, record: Record, queued: Queued) -> Result<Delivery, Error> {
        self.0.broker.clone().or_given_up(self.send_and_wait(record, queued)).await
    }

    async fn send_and_wait(&self, record: Record, queued: Queued) -> Result<Delivery, Error> {
        let bytes = crate::size(&record);
        if bytes > crate::MAX_MESSAGE_BYTES {
            return Err(Error::TooLarge { topic: record.topic.to_string(), bytes });
        }
        let cost = (bytes + QUEUE_RECORD).min(self.0.bytes) as u32;
        let permit = self.0.room.clone().acquire_many_owned(cost).await.map_err(|_| Error::Closed)?;
        if self.0.broker.0.given_up.is_cancelled() {
            return Err(Error::Closed);
        }
        let (reply, answer) = oneshot::channel();
        let mut sent =
            Box::new(Sent { topic: record.topic.clone(), bytes, reply, _permit: permit, queued: Some(queued) });
        loop {
            let (error, back) = match enqueue(&self.0.client.read(), &record, sent) {
                Ok(()) => {
                    let broker = self.0.broker.clone();
                    let answer = async move { answer.await.map_err(|_| Error::Closed)? };
                    return Ok(Box::pin(async move { broker.or_given_up(answer).await }));
                }
                Err(refused) => refused,
            };
            sent = back;
            match error.rdkafka_error_code() {
                // Only where the user's properties make librdkafka's queue smaller than ours.
                Some(Code::QueueFull) => tokio::time::sleep(Duration::from_millis(2)).await,
                Some(Code::Fatal) => self.replace()?,
                Some(Code::MessageSizeTooLarge) => {
                    return Err(Error::TooLarge { topic: record.topic.to_string(), bytes });
                }
                _ => return Err(kafka(&format!("sending to {}", record.topic), error)),
            }
        }
    }

    /// An idempotent producer that can no longer keep its promise refuses all; a new one goes on. What was on its way
    /// has failed, and whoever sent it knows.
    fn replace(&self) -> Result<(), Error> {
        let mut held = self.0.client.write();
        if let Some((code, reason)) = held.client().fatal_error() {
            tracing::warn!(%code, "Kafka: the producer is opened anew: {reason}");
            *held = client(&self.0.broker, Context::of("producer"))?;
        }
        Ok(())
    }

    pub(crate) async fn flush(&self) -> Result<(), Error> {
        // All room is free when nothing is on its way.
        let all = async { self.0.room.acquire_many(self.0.bytes as u32).await.map_err(|_| Error::Closed) };
        self.0.broker.or_given_up(all).await.map(drop)
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaProducer").field("broker", &self.0.broker).finish_non_exhaustive()
    }
}

pub(super) fn headers(record: &Record) -> Option<OwnedHeaders> {
    (!record.headers.is_empty()).then(|| {
        record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(&value[..]) })
        })
    })
}

fn enqueue(client: &Client, record: &Record, sent: Box<Sent>) -> Result<(), (KafkaError, Box<Sent>)> {
    let mut base: BaseRecord<'_, [u8], [u8], Box<Sent>> =
        BaseRecord::with_opaque_to(&record.topic, sent).payload(&record.value);
    base.key = record.key.as_deref();
    base.partition = record.partition;
    base.timestamp = record.timestamp_ms;
    base.headers = headers(record);
    client.send(base).map_err(|(error, base)| (error, base.delivery_opaque))
}
