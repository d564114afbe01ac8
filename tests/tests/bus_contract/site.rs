//! Where a case runs: a bus that can be opened again and again, and topics of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use weir_bus::{Bus, Consumer, Event, Message, Options, Partition, Position, Record};
use weir_tests::kafka::Kafka;

/// How long a case waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// A broker.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) options: Options,
    _kafka: Option<Arc<Kafka>>,
}

impl Site {
    pub(crate) fn embedded() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), options: Options::default(), _kafka: None }
    }

    /// `None` where there is no Kafka to be had, and this was said.
    pub(crate) async fn kafka(name: &str) -> Option<Self> {
        match Kafka::shared().await {
            Ok(kafka) => {
                let options = with_short_sessions(kafka.options());
                Some(Self { folder: tempfile::tempdir().unwrap(), options, _kafka: Some(kafka) })
            }
            Err(error) => {
                weir_tests::skip(name, &format!("{error:#}"));
                None
            }
        }
    }

    pub(crate) async fn open(&self) -> Bus {
        Bus::open(&self.options, self.folder.path()).await.unwrap()
    }

    /// A bus and a fresh topic of four partitions.
    pub(crate) async fn with_topic(&self, name: &str) -> (Bus, String) {
        let (bus, topic) = (self.open().await, unique(name));
        bus.ensure_topics(&[bus.topic_spec(&topic)]).await.unwrap();
        (bus, topic)
    }
}

/// A member that is lost is missed soon.
pub(crate) fn with_short_sessions(mut options: Options) -> Options {
    for (key, value) in [("session.timeout.ms", "2000"), ("heartbeat.interval.ms", "300")] {
        options.properties.insert(key.to_owned(), value.to_owned());
    }
    options
}

pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn record(topic: &str, key: &str, value: impl Into<Bytes>) -> Record {
    let key = Some(Bytes::copy_from_slice(key.as_bytes()));
    Record { topic: topic.into(), key, value: value.into(), ..Record::default() }
}

pub(crate) fn beginning(topic: &str) -> Vec<Position> {
    (0..4).map(|n| Position { partition: Partition::new(topic, n), offset: 0 }).collect()
}

/// Sends all, and waits until all are durable.
pub(crate) async fn send_all(bus: &Bus, records: impl IntoIterator<Item = Record>) -> Vec<(Partition, i64)> {
    let producer = bus.producer().unwrap();
    let mut deliveries = Vec::new();
    for record in records {
        deliveries.push(producer.send(record).await.unwrap());
    }
    futures::future::try_join_all(deliveries).await.unwrap()
}

/// The next batch; all else is passed over.
pub(crate) async fn batch(consumer: &mut Consumer) -> Vec<Message> {
    batch_within(consumer, PATIENCE).await
}

pub(crate) async fn batch_within(consumer: &mut Consumer, patience: Duration) -> Vec<Message> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Event::Batch(batch) = consumer.next(1000, TICK).await.unwrap() {
            return batch;
        }
    }
    panic!("nothing came");
}

/// At least so many messages.
pub(crate) async fn read(consumer: &mut Consumer, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    while messages.len() < count {
        messages.extend(batch(consumer).await);
    }
    messages
}

/// All that there is, until nothing comes for two seconds.
pub(crate) async fn read_out(consumer: &mut Consumer) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(2) {
        if let Event::Batch(batch) = consumer.next(1000, TICK).await.unwrap() {
            messages.extend(batch);
            quiet = Instant::now();
        }
    }
    messages
}

pub(crate) async fn assigned(consumer: &mut Consumer) -> Vec<Partition> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Event::Assigned(partitions) = consumer.next(1, TICK).await.unwrap() {
            return partitions;
        }
    }
    panic!("nothing was assigned");
}

pub(crate) fn text(message: &Message) -> &str {
    std::str::from_utf8(&message.value).unwrap()
}
