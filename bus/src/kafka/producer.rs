//! The idempotent producer: senders wait for room, librdkafka batches and retries.
//!
//! librdkafka fills batches of one size, whatever a topic takes. On a topic that takes less than that, records go one
//! after the other, each when the one before is delivered, so that each is a batch of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::sync::{Mutex, Semaphore, oneshot};

use super::context::{Context, Sent};
use super::{Broker, kafka};
use crate::metrics::Queued;
use crate::{Delivery, Error, MAX_LARGE_MESSAGE_BYTES, MAX_MESSAGE_BYTES, Record};

/// Bytes (uncompressed) that may be on their way.
const QUEUE_BYTES: usize = 32 << 20;
/// What a queued record costs beside its bytes; so the queue is bounded in records too.
const QUEUE_RECORD: usize = 256;

/// Of librdkafka's batches, in bytes before they are compressed.
const BATCH_SIZE: (usize, &str) = (524_288, "524288");

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
    ("batch.size", BATCH_SIZE.1),
    // `MAX_LARGE_MESSAGE_BYTES` and what is around it: 17 MiB. A record larger than `batch.size` is a batch of its own.
    ("message.max.bytes", "17825792"),
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
    /// Held by the record that is on its way to a topic which takes less than a batch.
    turn: Arc<Mutex<()>>,
    /// Of a batch.
    batch: usize,
}

pub(super) fn client(broker: &Broker, context: Context) -> Result<Client, Error> {
    broker.config(&PROPERTIES).create_with_context(context).map_err(|error| kafka("opening a producer", error))
}

impl Producer {
    /// With at most so many bytes on their way, if that is less than the usual.
    pub(crate) fn new(broker: Broker, bytes: usize) -> Result<Self, Error> {
        let client = RwLock::new(client(&broker, Context::of("producer"))?);
        let bytes = bytes.clamp(1, QUEUE_BYTES);
        let batch = broker.0.options.properties.get("batch.size").and_then(|size| size.trim().parse().ok());
        let (room, turn, batch) = (Arc::new(Semaphore::new(bytes)), Arc::default(), batch.unwrap_or(BATCH_SIZE.0));
        Ok(Self(Arc::new(Inner { broker, client, room, bytes, turn, batch })))
    }

    pub(crate) async fn send(&self, record: Record, queued: Queued) -> Result<Delivery, Error> {
        self.0.broker.clone().or_given_up(self.send_and_wait(record, queued)).await
    }

    async fn send_and_wait(&self, record: Record, queued: Queued) -> Result<Delivery, Error> {
        let bytes = crate::size(&record);
        let usual = MAX_MESSAGE_BYTES.min(self.0.broker.0.own_limit);
        if bytes > usual && bytes > self.most(&record.topic) {
            return Err(Error::TooLarge { topic: record.topic.to_string(), bytes });
        }
        let cost = (bytes + QUEUE_RECORD).min(self.0.bytes) as u32;
        let permit = self.0.room.clone().acquire_many_owned(cost).await.map_err(|_| Error::Closed)?;
        let alone = self.0.broker.0.limits.known(&record.topic).is_some_and(|limit| limit < self.0.batch);
        let turn = if alone { Some(self.0.turn.clone().lock_owned().await) } else { None };
        if self.0.broker.0.given_up.is_cancelled() {
            return Err(Error::Closed);
        }
        let (reply, answer) = oneshot::channel();
        let mut sent = Box::new(Sent {
            topic: record.topic.clone(),
            bytes,
            reply,
            _permit: permit,
            _turn: turn,
            queued: Some(queued),
        });
        loop {
            let (error, back) = match enqueue(&self.0.client.read(), &record, sent) {
                Ok(()) => {
                    let (broker, topic) = (self.0.broker.clone(), record.topic);
                    let answer = async move { answer.await.map_err(|_| Error::Closed)? };
                    return Ok(Box::pin(async move {
                        let answer = broker.or_given_up(answer).await;
                        if let Err(Error::TooLarge { .. }) = answer {
                            broker.0.limits.doubt(&topic, Instant::now());
                        }
                        answer
                    }));
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

    pub(crate) fn limit(&self, topic: &str) -> Option<usize> {
        self.0.broker.limit(topic)
    }

    pub(crate) async fn read_limit(&self, topic: &str) {
        self.0.broker.read_limits(&[topic]).await;
    }

    /// Greatest record that is sent without asking whether the topic takes it: a batch of the usual size may be small
    /// enough once it is compressed, which the broker alone knows.
    fn most(&self, topic: &str) -> usize {
        self.limit(topic).unwrap_or(MAX_LARGE_MESSAGE_BYTES).max(MAX_MESSAGE_BYTES).min(self.0.broker.0.own_limit)
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
