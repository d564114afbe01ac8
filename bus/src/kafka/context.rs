//! What librdkafka tells while it works: lost and regained brokers, deliveries, rebalances.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, oneshot};

use super::kafka;
use crate::metrics::{Queued, Reads};
use crate::{Error, Event, Partition};

/// Of one client.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// Which of them: several lose a broker at once.
    client: &'static str,
    /// What keeps the broker away, as far as it was logged.
    trouble: Mutex<Option<Code>>,
    /// Rebalances that the owner was not told of yet.
    pub(super) events: Mutex<VecDeque<Event>>,
    /// Partitions were dealt out, and librdkafka waits to be told where they are read on.
    pub(super) awaited: AtomicBool,
    /// Nothing is read any more.
    pub(super) leaving: AtomicBool,
    /// Of a consumer: how far it has read, which is told how far it may.
    pub(super) reads: Option<Arc<Reads>>,
}

/// A record on its way.
pub(super) struct Sent {
    pub(super) topic: Arc<str>,
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<Result<(Partition, i64), Error>>,
    /// Its room in the queue.
    pub(super) _permit: OwnedSemaphorePermit,
    /// Where nothing may be in a batch with it: see [`super::producer`].
    pub(super) _turn: Option<OwnedMutexGuard<()>>,
    /// `None` in a transaction, whose end alone says whether its records are there.
    pub(super) queued: Option<Queued>,
}

impl Context {
    pub(super) fn of(client: &'static str) -> Self {
        Self { client, ..Self::default() }
    }

    /// Of a consumer.
    pub(super) fn of_reader(reads: Arc<Reads>) -> Self {
        Self { reads: Some(reads), ..Self::of("consumer") }
    }

    /// Something came from, or got to, a broker.
    pub(super) fn works(&self) {
        let mut trouble = self.trouble.lock();
        if trouble.take().is_some() {
            tracing::info!(client = self.client, "Kafka is back");
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Brokers that come and go are told of by `error`, once.
        let connection = matches!(facility, "FAIL" | "ERROR" | "REQTMOUT" | "GETSUBSCRIPTIONS");
        // The user's properties are given to clients of both kinds, and some are for one of them.
        let one_sided = facility == "CONFWARN";
        match level {
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => tracing::debug!(facility, "{message}"),
            _ if connection || one_sided => tracing::debug!(facility, "{message}"),
            RDKafkaLogLevel::Notice => tracing::info!(facility, "{message}"),
            _ => tracing::warn!(facility, "{message}"),
        }
    }

    /// As `statistics.interval.ms` wants it.
    fn stats(&self, statistics: Statistics) {
        let Some(reads) = &self.reads else { return };
        for topic in statistics.topics.values() {
            for (partition, found) in topic.partitions.iter().filter(|(_, found)| found.ls_offset >= 0) {
                reads.end(&Partition::new(topic.topic.as_str(), *partition), found.ls_offset);
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut trouble = self.trouble.lock();
        // A lost connection is followed by the word that all are down; one warning is enough.
        let away = |code| matches!(code, Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve);
        if trouble.is_none_or(|known| known != code && !(away(known) && away(code))) {
            *trouble = Some(code);
            tracing::warn!(client = self.client, %code, "Kafka: {reason}");
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let answer = match result {
            Ok(message) => {
                self.works();
                sent.queued.into_iter().for_each(|queued| queued.sent_to(message.partition(), message.offset()));
                Ok((Partition::new(sent.topic, message.partition()), message.offset()))
            }
            Err((error, _)) => Err(match error.rdkafka_error_code() {
                // The second: it would not fit into a segment of the topic.
                Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
                    Error::TooLarge { topic: sent.topic.to_string(), bytes: sent.bytes }
                }
                Some(Code::PurgeQueue | Code::PurgeInflight) => Error::Closed,
                _ => kafka(&format!("sending to {}", sent.topic), error.clone()),
            }),
        };
        // Whoever sent it may not care.
        let _ = sent.reply.send(answer);
    }
}

impl ConsumerContext for Context {
    /// Only tells of what is dealt out: the owner says first where it reads on (`Consumer::settle`).
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let dealt = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if dealt && !self.leaving.load(Ordering::Acquire) {
            self.awaited.store(true, Ordering::Release);
            self.events.lock().push_back(Event::Assigned(partitions(list)));
            return;
        }
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                self.events.lock().push_back(Event::Revoked(partitions(list)));
            }
            _ if dealt => {}
            other => tracing::warn!(code = %Code::from(other), "Kafka: rebalance failed"),
        }
        if let Err(error) = consumer.unassign() {
            tracing::warn!(%error, "Kafka: giving partitions back");
        }
        self.awaited.store(false, Ordering::Release);
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| Partition::new(element.topic(), element.partition())).collect()
}
