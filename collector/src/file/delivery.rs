//! Batches on their way to the bus, and what comes back.

use std::sync::Arc;
use std::time::Instant;

use ahash::AHashMap;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use weir_bus::{Partition, Record};
use weir_proto::{Origin, header};
use weir_service::telemetry::whole;

use super::acks::Ticket;
use super::source::{Source, give_back};
use super::tail::Sealed;

/// What came of a record.
pub(super) enum Done {
    /// Of a batch of lines.
    Batch { tail: u64, ticket: Ticket, bytes: usize, path: String, result: Result<(Partition, i64), weir_bus::Error> },
    /// Of one that tells of a loss.
    Loss(Result<(), weir_bus::Error>),
    /// How far the bus has what was on its way when the last run ended.
    Found(AHashMap<String, u64>),
}

/// A record of a range of a file; those of one identity stay in order.
pub(super) fn record(topic: &Arc<str>, origin: &Origin, value: Bytes) -> Record {
    Record {
        topic: Arc::clone(topic),
        key: Some(Bytes::from(origin.identity.clone().into_bytes())),
        value,
        headers: vec![(header::ORIGIN.to_owned(), Bytes::from(origin.to_string().into_bytes()))],
        ..Record::default()
    }
}

impl Source {
    /// Sends what waits in a file's batch.
    pub(super) async fn flush(&mut self, id: u64, stop: &CancellationToken) {
        let Some(tail) = self.tails.get_mut(&id) else { return };
        tail.lingering = false;
        if tail.careful && tail.in_flight > 0 {
            return;
        }
        let before = tail.batch.len();
        tail.seal();
        self.waiting_bytes = self.waiting_bytes.saturating_sub(before - tail.batch.len());
        let sealed = std::mem::take(&mut tail.sealed);
        if tail.batch.is_empty() {
            give_back(&mut self.pool, &mut tail.batch);
        }
        for batch in sealed {
            self.send(id, batch, stop).await;
        }
    }

    pub(super) async fn send(&mut self, id: u64, sealed: Sealed, stop: &CancellationToken) {
        let Some(tail) = self.tails.get_mut(&id) else { return };
        if tail.failed.is_some() {
            return;
        }
        let origin = Origin { identity: tail.entry.identity.clone(), start: tail.acks.sent(), end: sealed.end };
        let ticket = match tail.acks.send(sealed.end) {
            Ok(ticket) => ticket,
            Err(misuse) => {
                tracing::error!(%origin, ?misuse, "a batch is out of order; it is read again");
                return self.fail(id);
            }
        };
        let bytes = sealed.value.len();
        let path = tail.entry.path.clone();
        let record = record(&self.topic, &origin, sealed.value);
        // Waits while the bus is full. When stopped, the batch is read again by the next run; none may pass it.
        let delivery = tokio::select! {
            biased;
            delivery = self.producer.send(record) => delivery,
            () = stop.cancelled() => return self.hold(id),
        };
        match delivery {
            Ok(delivery) => {
                tail.in_flight += 1;
                self.flight_bytes += bytes;
                self.metrics.sent.add(bytes as u64, &[]);
                self.flight.push(Box::pin(async move {
                    Done::Batch { tail: id, ticket, bytes, path, result: delivery.await }
                }));
            }
            Err(error) => {
                tracing::warn!(%origin, error = %whole(&error), "the bus did not take a batch");
                self.refused(id, &error, bytes);
            }
        }
    }

    pub(super) fn done(&mut self, done: Done) {
        let (id, ticket, bytes, path, result) = match done {
            Done::Batch { tail, ticket, bytes, path, result } => (tail, ticket, bytes, path, result),
            Done::Loss(result) => return self.told_loss(&result),
            Done::Found(reached) => return self.settle(&reached),
        };
        self.flight_bytes -= bytes;
        let tail = self.tails.get_mut(&id);
        match result {
            Ok((partition, offset)) => {
                if let Some(ends) = &mut self.ends {
                    let end = ends.entry(partition.partition).or_insert(0);
                    *end = (*end).max(offset + 1);
                }
                self.metrics.acknowledged.add(bytes as u64, &[]);
                let Some(tail) = tail else { return };
                tail.in_flight -= 1;
                self.moved = true;
                if let Err(misuse) = tail.acks.acknowledge(ticket) {
                    tracing::error!(?misuse, identity = tail.entry.identity, "an acknowledgement of nothing");
                }
                if tail.careful && tail.failed.is_none() {
                    tail.succeeded();
                    // What had to wait for this.
                    self.linger(id, Instant::now());
                    self.queue(id);
                }
            }
            Err(error) => {
                // At a stop, which says so itself, it is one of many.
                if matches!(error, weir_bus::Error::Closed) {
                    tracing::debug!(path, "a batch did not become durable before the stop");
                } else {
                    tracing::warn!(path, error = %whole(&error), "a batch did not become durable");
                }
                if let Some(tail) = tail {
                    tail.in_flight -= 1;
                    if !tail.acks.is_last(ticket) {
                        tail.entry.torn = true;
                        self.must_write = true;
                    }
                    self.refused(id, &error, bytes);
                }
            }
        }
    }

    /// Sends what waits in a file's batch then, unless that is to be done already or nothing waits.
    pub(super) fn linger(&mut self, id: u64, until: Instant) {
        if let Some(tail) = self.tails.get_mut(&id)
            && tail.waiting()
            && !tail.lingering
        {
            tail.lingering = true;
            self.lingering.push_back((until, id));
        }
    }

    /// The bus does not take a batch of so many bytes.
    fn refused(&mut self, id: u64, error: &weir_bus::Error, bytes: usize) {
        if let Some(tail) = self.tails.get_mut(&id)
            && let weir_bus::Error::TooLarge { .. } = error
        {
            tail.is_too_large(bytes);
        }
        self.fail(id);
    }

    fn fail(&mut self, id: u64) {
        self.metrics.failed.add(1, &[]);
        if let Some(tail) = self.tails.get_mut(&id) {
            tail.careful = true;
        }
        self.hold(id);
    }

    /// Leaves a file alone for a while; then it is read again from its last durable position.
    pub(super) fn hold(&mut self, id: u64) {
        if let Some(tail) = self.tails.get_mut(&id) {
            tail.failed = Some(Instant::now());
            self.timed.insert(id);
        }
    }
}
