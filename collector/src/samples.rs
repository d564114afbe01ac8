//! Samples on their way to the bus: what is measured is worth less the older it is.
//!
//! **Delivery.** Nobody who measures ever waits. While the bus is away, samples wait in memory, up to a bound; beyond,
//! the oldest are dropped first and their points counted. A crash loses what was not on the bus.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use weir_bus::{Producer, Record};
use weir_proto::topic;
use weir_service::telemetry::whole;

use crate::limits::Bounds;
use crate::points::Points;

/// Records on their way to the broker at most.
const IN_FLIGHT: usize = 64;
/// How long the last ones are waited for.
const DRAIN: Duration = Duration::from_secs(2);

/// Takes samples from any thread; cheap to clone.
#[derive(Debug, Clone)]
pub struct Samples {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    woken: Notify,
    sent: Counter<u64>,
    dropped: Counter<u64>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    samples: VecDeque<Sample>,
    bytes: usize,
}

#[derive(Debug)]
struct Sample {
    source: &'static str,
    /// Points, or log records.
    count: u64,
    record: Record,
    /// When it was put here, in nanoseconds since the epoch.
    since: u64,
}

impl Samples {
    /// An empty queue, with its instruments.
    pub fn new(meter: &Meter) -> Self {
        Self::with_limit(meter, Bounds::UNLIMITED.samples)
    }

    /// The same, in which so many bytes wait at most.
    pub(crate) fn with_limit(meter: &Meter, limit: usize) -> Self {
        let counter = |name: &'static str, text: &'static str| {
            meter.u64_counter(name).with_unit("{point}").with_description(text).build()
        };
        Self {
            shared: Arc::new(Shared {
                waiting: Mutex::default(),
                woken: Notify::new(),
                sent: counter("weir_collector_sample_sent_points", "Metric points and events that are on the bus"),
                dropped: counter(
                    "weir_collector_sample_dropped_points",
                    "Metric points and events that had to make room, or that the bus did not take",
                ),
                limit,
            }),
        }
    }

    /// Puts points in the queue; `source` names who measured, `key` keeps one resource in order.
    pub fn points(&self, source: &'static str, key: &str, points: Points) {
        let count = points.count() as u64;
        if count > 0 {
            self.push(source, topic::METRICS, key, count, points.encode());
        }
    }

    /// Puts an export request of `count` points or log records in the queue.
    pub fn push(&self, source: &'static str, topic: &'static str, key: &str, count: u64, value: Bytes) {
        let record = Record {
            topic: topic.into(),
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value,
            ..Record::default()
        };
        if record.value.len() > weir_proto::MAX_RECORD_BYTES {
            tracing::error!(source, key, "more was measured than a record holds");
            self.drop_points(source, count);
            return;
        }
        let mut out = Vec::new();
        let since = weir_service::time::now_unix_nano_unsigned();
        {
            let mut waiting = self.shared.waiting.lock();
            waiting.bytes += record.value.len();
            waiting.samples.push_back(Sample { source, count, record, since });
            while waiting.bytes > self.shared.limit
                && waiting.samples.len() > 1
                && let Some(oldest) = waiting.samples.pop_front()
            {
                waiting.bytes = waiting.bytes.saturating_sub(oldest.record.value.len());
                out.push((oldest.source, oldest.count));
            }
        }
        self.shared.woken.notify_one();
        for (source, count) in out {
            self.drop_points(source, count);
        }
    }

    fn drop_points(&self, source: &'static str, count: u64) {
        self.shared.dropped.add(count, &[KeyValue::new("source", source)]);
    }

    /// When the oldest that waits was put here, in nanoseconds since the epoch.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.shared.waiting.lock().samples.front().map(|sample| sample.since)
    }

    /// Takes all that waits.
    #[cfg(test)]
    pub(crate) fn records(&self) -> Vec<Record> {
        std::iter::from_fn(|| self.pop()).map(|sample| sample.record).collect()
    }

    /// Takes all that waits, with its keys.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> Vec<(String, Bytes)> {
        let key = |record: &Record| String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        self.records().into_iter().map(|record| (key(&record), record.value)).collect()
    }

    /// How many hold this queue.
    #[cfg(test)]
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.shared)
    }

    fn pop(&self) -> Option<Sample> {
        let mut waiting = self.shared.waiting.lock();
        let sample = waiting.samples.pop_front()?;
        waiting.bytes = waiting.bytes.saturating_sub(sample.record.value.len());
        Some(sample)
    }

    /// Sends until it is stopped, and then what is left, for two seconds at most.
    pub async fn run(self, producer: Producer, stop: CancellationToken) {
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::pin!(deadline);
        let mut flight = FuturesUnordered::new();
        let mut failing = false;
        loop {
            while flight.len() < IN_FLIGHT
                && let Some(Sample { source, count, record, .. }) = self.pop()
            {
                let producer = producer.clone();
                flight.push(async move {
                    let sent = match producer.send(record).await {
                        Ok(delivery) => delivery.await.map(|_| ()),
                        Err(error) => Err(error),
                    };
                    (source, count, sent)
                });
            }
            if flight.is_empty() && stop.is_cancelled() {
                break;
            }
            tokio::select! {
                () = &mut deadline => break,
                Some((source, count, sent)) = flight.next(), if !flight.is_empty() => match sent {
                    Ok(()) => {
                        failing = false;
                        self.shared.sent.add(count, &[KeyValue::new("source", source)]);
                    }
                    Err(error) => {
                        self.drop_points(source, count);
                        if !std::mem::replace(&mut failing, true) {
                            tracing::warn!(error = %whole(&error), "the bus does not take samples");
                        }
                    }
                },
                () = self.shared.woken.notified(), if flight.len() < IN_FLIGHT => {}
                () = stop.cancelled(), if flight.is_empty() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_nobody_waits() {
        let samples = Samples::with_limit(&opentelemetry::global::meter("test"), 1000);
        for at in 0..10_u8 {
            samples.push("host", topic::METRICS, "k", 1, Bytes::from(vec![at; 300]));
        }
        let left: Vec<u8> = std::iter::from_fn(|| samples.pop()).map(|sample| sample.record.value[0]).collect();
        assert_eq!(left, [7, 8, 9]);
        assert_eq!(samples.shared.waiting.lock().bytes, 0);
    }

    #[tokio::test]
    async fn what_was_measured_is_on_the_bus_when_it_has_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let bus = weir_bus::Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
        bus.ensure_topics(&[bus.topic_spec(topic::METRICS)]).await.unwrap();
        let samples = Samples::new(&opentelemetry::global::meter("test"));
        for _ in 0..200 {
            samples.push("host", topic::METRICS, "k", 1, Bytes::from_static(b"x"));
        }
        let stop = CancellationToken::new();
        stop.cancel();
        samples.run(bus.producer().unwrap(), stop).await;
        let mut ends = 0;
        for partition in 0..bus.partitions(topic::METRICS).await.unwrap() {
            ends += bus.offsets(&weir_bus::Partition::new(topic::METRICS, partition)).await.unwrap().1;
        }
        assert_eq!(ends, 200);
    }
}
