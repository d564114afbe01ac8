//! What the bus counts of itself, by topic, and how far its readers are behind.
//!
//! Counting is a few atomic additions; what is shown is read when somebody asks ([`crate::Bus::measured`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use parking_lot::{Mutex, RwLock};

use crate::handed::{Handed, HandedOver};
use crate::{Message, Partition, Position};

/// Topics, and partitions of readers, that are told apart; what goes beyond is summed up as `other`.
const MAX_TOPICS: usize = 64;
const MAX_PARTITIONS: usize = 1024;
const OTHER: &str = "other";

/// Tells the end of a partition at any time.
type EndOf = Box<dyn Fn(&Partition) -> Option<i64> + Send + Sync>;

/// Name, description, and where the number lies.
type Shown = (&'static str, &'static str, fn(&Topic) -> &AtomicU64);

/// Of one bus.
#[derive(Default)]
pub(crate) struct Metrics {
    topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    readers: Mutex<Vec<Weak<Reads>>>,
    /// Where the broker is at hand; else readers hear of the end while they read.
    end_of: OnceLock<EndOf>,
    pub(crate) errors: Errors,
}

/// What failed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Transaction,
    Read,
    Commit,
}

/// Calls that failed, by what was being done.
#[derive(Debug, Default)]
pub(crate) struct Errors([AtomicU64; 3]);

#[derive(Debug, Default)]
struct Topic {
    sent: Flow,
    received: Flow,
    queued: Flow,
    failed: AtomicU64,
    handed: Handed,
}

#[derive(Debug, Default)]
struct Flow {
    records: AtomicU64,
    bytes: AtomicU64,
}

/// A record that a sender has handed over and that is not durable yet. It has failed if it is dropped before it is.
#[derive(Debug)]
pub(crate) struct Queued {
    topic: Arc<Topic>,
    bytes: u64,
    number: u64,
    is_sent: bool,
    /// Partition and offset, where they are told.
    place: Option<(i32, i64)>,
}

/// How far one consumer has read.
#[derive(Debug)]
pub(crate) struct Reads {
    group: Arc<str>,
    at: Mutex<BTreeMap<Partition, At>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct At {
    /// Where it reads on, once that is known.
    next: Option<i64>,
    /// Behind the last record that it may read, as far as that was heard.
    end: Option<i64>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("errors", &self.errors).finish_non_exhaustive()
    }
}

impl Flow {
    fn add(&self, bytes: u64) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take(&self, bytes: u64) {
        self.records.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Ends are asked for with this from now on.
    pub(crate) fn ask_ends(&self, end_of: impl Fn(&Partition) -> Option<i64> + Send + Sync + 'static) {
        // Set once, when the bus is opened.
        let _ = self.end_of.set(Box::new(end_of));
    }

    fn topic(&self, name: &Arc<str>) -> Arc<Topic> {
        if let Some(topic) = self.topics.read().get(name) {
            return topic.clone();
        }
        let mut topics = self.topics.write();
        let name = if topics.len() < MAX_TOPICS { name.clone() } else { Arc::from(OTHER) };
        topics.entry(name).or_default().clone()
    }

    /// A record of this size goes into the queue.
    pub(crate) fn queue(&self, topic: &Arc<str>, bytes: usize) -> Queued {
        let (topic, bytes) = (self.topic(topic), bytes as u64);
        topic.queued.add(bytes);
        let number = topic.handed.begin();
        Queued { topic, bytes, number, is_sent: false, place: None }
    }

    /// What was sent to a topic.
    pub(crate) fn handed_over(&self, topic: &str) -> HandedOver {
        self.topics.read().get(topic).map(|topic| topic.handed.now()).unwrap_or_default()
    }

    /// A partition of a topic ends there, or is gone.
    pub(crate) fn ends_at(&self, topic: &str, partition: i32, high: Option<i64>) {
        if let Some(topic) = self.topics.read().get(topic) {
            topic.handed.ends_at(partition, high);
        }
    }

    /// Messages were handed to a reader.
    pub(crate) fn received(&self, messages: &[Message]) {
        for run in messages.chunk_by(|a, b| a.partition.topic == b.partition.topic) {
            let Some(first) = run.first() else { continue };
            let flow = self.topic(&first.partition.topic);
            let bytes: usize = run.iter().map(Message::size).sum();
            flow.received.records.fetch_add(run.len() as u64, Ordering::Relaxed);
            flow.received.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// A reader of `group`, or of none, that is shown until it is dropped.
    pub(crate) fn reader(&self, group: Option<&str>) -> Arc<Reads> {
        let reads = Arc::new(Reads { group: Arc::from(group.unwrap_or_default()), at: Mutex::default() });
        let mut readers = self.readers.lock();
        readers.retain(|reader| reader.strong_count() > 0);
        readers.push(Arc::downgrade(&reads));
        reads
    }

    /// By group, topic and partition, the records that the reader farthest behind has before it.
    fn lags(&self) -> BTreeMap<(Arc<str>, Partition), i64> {
        let readers: Vec<_> = self.readers.lock().iter().filter_map(Weak::upgrade).collect();
        let mut lags: BTreeMap<_, i64> = BTreeMap::new();
        for reader in readers {
            for (partition, at) in reader.at.lock().iter() {
                let end = self.end_of.get().and_then(|end_of| end_of(partition)).or(at.end);
                let Some((next, end)) = at.next.zip(end) else { continue };
                let lag = end.saturating_sub(next).max(0);
                let key = (reader.group.clone(), partition.clone());
                let key =
                    if lags.len() < MAX_PARTITIONS { key } else { (reader.group.clone(), Partition::new(OTHER, 0)) };
                let known = lags.entry(key).or_default();
                *known = lag.max(*known);
            }
        }
        lags
    }

    /// Shows all of it through `meter` for as long as the bus is there.
    pub(crate) fn show(self: &Arc<Self>, meter: &Meter) {
        let shown: [Shown; 5] = [
            ("weir_bus_sent_records", "Records that became durable", |topic| &topic.sent.records),
            ("weir_bus_sent", "Bytes of records that became durable, uncompressed", |topic| &topic.sent.bytes),
            ("weir_bus_received_records", "Records handed to readers", |topic| &topic.received.records),
            ("weir_bus_received", "Bytes of records handed to readers, uncompressed", |topic| &topic.received.bytes),
            ("weir_bus_send_errors", "Records that failed, or were given up, before they were durable", |topic| {
                &topic.failed
            }),
        ];
        for (name, text, of) in shown {
            let metrics = Arc::downgrade(self);
            let counter = meter.u64_observable_counter(name).with_description(text).with_unit(unit(name));
            counter
                .with_callback(move |out| each_topic(&metrics, of, |value, label| out.observe(value, label)))
                .build();
        }
        let queued: [Shown; 2] = [
            ("weir_bus_queued_records", "Records sent and not durable yet", |topic| &topic.queued.records),
            ("weir_bus_queued", "Bytes of records sent and not durable yet", |topic| &topic.queued.bytes),
        ];
        for (name, text, of) in queued {
            let metrics = Arc::downgrade(self);
            let gauge = meter.u64_observable_gauge(name).with_description(text).with_unit(unit(name));
            gauge.with_callback(move |out| each_topic(&metrics, of, |value, label| out.observe(value, label))).build();
        }
        let metrics = Arc::downgrade(self);
        let errors = meter.u64_observable_counter("weir_bus_errors").with_description("Calls of the bus that failed");
        errors
            .with_callback(move |out| {
                let Some(metrics) = metrics.upgrade() else { return };
                for (name, count) in ["transaction", "read", "commit"].into_iter().zip(&metrics.errors.0) {
                    out.observe(count.load(Ordering::Relaxed), &[KeyValue::new("operation", name)]);
                }
            })
            .build();
        let metrics = Arc::downgrade(self);
        let lag = meter.i64_observable_gauge("weir_bus_consumer_lag").with_description(
            "Records that a reader has before it, by group (empty: fixed partitions), topic and partition",
        );
        lag.with_callback(move |out| {
            let Some(metrics) = metrics.upgrade() else { return };
            for ((group, partition), lag) in metrics.lags() {
                let labels = [
                    KeyValue::new("group", group),
                    KeyValue::new("topic", partition.topic),
                    KeyValue::new("partition", i64::from(partition.partition)),
                ];
                out.observe(lag, &labels);
            }
        })
        .build();
    }
}

fn unit(name: &str) -> &'static str {
    if name.ends_with("_records") || name.ends_with("_errors") { "{record}" } else { "By" }
}

fn each_topic(metrics: &Weak<Metrics>, of: fn(&Topic) -> &AtomicU64, mut tell: impl FnMut(u64, &[KeyValue])) {
    let Some(metrics) = metrics.upgrade() else { return };
    for (name, topic) in metrics.topics.read().iter() {
        tell(of(topic).load(Ordering::Relaxed), &[KeyValue::new("topic", name.clone())]);
    }
}

impl Queued {
    /// It is durable, at this partition and offset.
    pub(crate) fn sent_to(mut self, partition: i32, offset: i64) {
        self.place = Some((partition, offset));
        self.sent();
    }

    /// It is durable.
    pub(crate) fn sent(mut self) {
        self.topic.sent.add(self.bytes);
        self.is_sent = true;
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.topic.queued.take(self.bytes);
        self.topic.handed.end(self.number, self.place);
        if !self.is_sent {
            self.topic.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Errors {
    pub(crate) fn count(&self, operation: Operation) {
        self.0[operation as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Reads {
    /// These partitions are read from now on, and no others.
    pub(crate) fn assigned<'a>(&self, partitions: impl IntoIterator<Item = &'a Partition>) {
        *self.at.lock() = partitions.into_iter().map(|partition| (partition.clone(), At::default())).collect();
    }

    /// Reading goes on there, if the partition is still read.
    pub(crate) fn next(&self, position: &Position) {
        if let Some(at) = self.at.lock().get_mut(&position.partition) {
            at.next = Some(position.offset);
        }
    }

    /// Reading goes on behind these messages.
    pub(crate) fn read(&self, messages: &[Message]) {
        let mut all = self.at.lock();
        for run in messages.chunk_by(|a, b| a.partition == b.partition) {
            if let Some(last) = run.last()
                && let Some(at) = all.get_mut(&last.partition)
            {
                at.next = Some(last.offset + 1);
            }
        }
    }

    /// Records may be read up to there.
    pub(crate) fn end(&self, partition: &Partition, end: i64) {
        if let Some(at) = self.at.lock().get_mut(partition) {
            at.end = Some(end);
        }
    }
}
