//! What senders hold: they compress, wait for room in the queue, and hand over.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::writer::{Command, Prepared};
use super::{Broker, Consumer, QUEUE_BYTES, QUEUE_RECORD, codec};
use crate::metrics::Queued;
use crate::{Delivery, Error, MAX_LARGE_MESSAGE_BYTES, MAX_MESSAGE_BYTES, Position, Record};

/// Sends records.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    broker: Broker,
}

/// Writes records and positions at once.
#[derive(Debug)]
pub(crate) struct TransactionalProducer {
    broker: Broker,
    id: Arc<str>,
    epoch: u64,
}

impl Producer {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker }
    }

    pub(crate) async fn send(&self, record: Record, queued: Queued) -> Result<Delivery, Error> {
        let most = self.broker.limit(&record.topic);
        let record = prepare(record, most)?;
        let permit = self.broker.room_for(record.cost()).await?;
        let (reply, answer) = oneshot::channel();
        let command = Command::Send { record, permit, queued, reply };
        self.broker.0.commands.send(command).map_err(|_| Error::Closed)?;
        Ok(Box::pin(async move { answer.await.map_err(|_| Error::Closed)? }))
    }

    pub(crate) fn limit(&self, topic: &str) -> usize {
        self.broker.limit(topic)
    }

    pub(crate) async fn flush(&self) -> Result<(), Error> {
        self.broker.ask(|reply| Command::Flush { reply }).await
    }
}

impl TransactionalProducer {
    pub(super) fn new(broker: Broker, id: &str) -> Self {
        let id: Arc<str> = Arc::from(id);
        let epoch = {
            let mut epochs = broker.0.shared.epochs.lock();
            let epoch = epochs.entry(id.clone()).or_default();
            *epoch += 1;
            *epoch
        };
        Self { broker, id, epoch }
    }

    pub(crate) async fn commit(
        &self,
        records: Vec<Record>,
        consumer: &Consumer,
        positions: &[Position],
    ) -> Result<(), Error> {
        let by = consumer.membership()?;
        let records =
            records.into_iter().map(|record| prepare(record, MAX_MESSAGE_BYTES)).collect::<Result<Vec<_>, _>>()?;
        let cost = records.iter().map(|record| u64::from(record.cost())).sum::<u64>().min(u64::from(QUEUE_BYTES));
        let permit = self.broker.room_for(cost as u32).await?;
        let (id, epoch, positions) = (self.id.clone(), self.epoch, positions.to_vec());
        self.broker.ask(|reply| Command::Transaction { id, epoch, records, by, positions, permit, reply }).await
    }
}

impl Broker {
    async fn room_for(&self, cost: u32) -> Result<OwnedSemaphorePermit, Error> {
        self.0.permits.clone().acquire_many_owned(cost).await.map_err(|_| Error::Closed)
    }

    /// Greatest record of a topic.
    fn limit(&self, topic: &str) -> usize {
        self.0.shared.topics.largest(topic).map_or(MAX_MESSAGE_BYTES, |most| most.min(MAX_LARGE_MESSAGE_BYTES))
    }
}

impl Prepared {
    fn cost(&self) -> u32 {
        (self.data.len() as u32).saturating_add(QUEUE_RECORD).min(QUEUE_BYTES)
    }
}

fn prepare(record: Record, most: usize) -> Result<Prepared, Error> {
    let bytes = crate::size(&record);
    if bytes > most {
        return Err(Error::TooLarge { topic: record.topic.to_string(), bytes });
    }
    let timestamp_ms = record.timestamp_ms.unwrap_or_else(now_ms);
    let data = codec::encode(&record, timestamp_ms);
    Ok(Prepared { topic: record.topic, partition: record.partition, key: record.key, data })
}

/// Milliseconds since the epoch.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
