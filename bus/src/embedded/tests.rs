//! What the contract suite cannot see from outside. The contract itself is proved in `tests/`, on both brokers.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::Broker;
use crate::{Bus, Consumer, Error, Event, Message, Options, Partition, Position, Record};

async fn open(folder: &tempfile::TempDir) -> Bus {
    Bus::open(&Options::default(), folder.path()).await.unwrap()
}

fn record(topic: &str, key: &str, value: impl Into<Bytes>) -> Record {
    Record {
        topic: topic.into(),
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: value.into(),
        ..Record::default()
    }
}

fn start(topic: &str) -> Vec<Position> {
    (0..4).map(|n| Position { partition: Partition::new(topic, n), offset: 0 }).collect()
}

async fn read(consumer: &mut Consumer, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    while messages.len() < count {
        if let Event::Batch(batch) = consumer.next(1000, Duration::from_secs(10)).await.unwrap() {
            messages.extend(batch);
        }
    }
    messages
}

async fn assigned(consumer: &mut Consumer) -> Vec<Partition> {
    loop {
        match consumer.next(1, Duration::from_secs(10)).await.unwrap() {
            Event::Assigned(partitions) => return partitions,
            Event::Idle => panic!("nothing was assigned"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn given_records_past_their_age_then_who_opens_the_folder_to_read_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    Bus::open_to_read(&Options::default(), folder.path()).await.unwrap_err();
    assert!(!folder.path().join("bus").exists(), "it makes no broker");
    let partition = Partition::new("logs", 0);
    let mut offsets = Vec::new();
    let bus = open(&folder).await;
    let spec = crate::TopicSpec { retention: Some(Duration::from_millis(1)), ..bus.topic_spec("logs") };
    bus.ensure_topics(&[spec]).await.unwrap();
    let record = Record { partition: Some(0), ..record("logs", "k", "one") };
    bus.producer().unwrap().send(record).await.unwrap().await.unwrap();
    drop(bus);
    for to_read in [true, false] {
        let bus = if to_read {
            Bus::open_to_read(&Options::default(), folder.path()).await.unwrap()
        } else {
            open(&folder).await
        };
        // Twice as long as the broker takes to look.
        tokio::time::sleep(Duration::from_secs(2)).await;
        offsets.push(bus.offsets(&partition).await.unwrap());
    }
    assert_eq!(offsets, [(0, 1), (1, 1)]);
}

#[tokio::test]
async fn records_positions_and_topics_survive_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&folder).await;
    let producer = bus.producer().unwrap();
    let (partition, offset) = producer.send(record("logs", "k", "one")).await.unwrap().await.unwrap();
    assert_eq!(offset, 0);
    let mut member = bus.group_consumer("g", &["logs"]).unwrap();
    assert_eq!(assigned(&mut member).await.len(), 4);
    let position = Position { partition: partition.clone(), offset: 1 };
    member.commit(std::slice::from_ref(&position)).await.unwrap();
    drop((bus, producer, member));

    let bus = open(&folder).await;
    assert_eq!(bus.offsets(&partition).await.unwrap(), (0, 1));
    let (again, offset) = bus.producer().unwrap().send(record("logs", "k", "two")).await.unwrap().await.unwrap();
    assert_eq!((again, offset), (partition.clone(), 1));
    let mut member = bus.group_consumer("g", &["logs"]).unwrap();
    assigned(&mut member).await;
    assert_eq!(member.committed(&[partition]).await.unwrap(), [position]);
    assert_eq!(read(&mut member, 1).await[0].value, "two");
}

#[tokio::test]
async fn a_second_broker_in_the_same_folder_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let _bus = open(&folder).await;
    assert!(matches!(Bus::open(&Options::default(), folder.path()).await, Err(Error::Locked(_))));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bus"), "in the way").unwrap();
    let error = Bus::open(&Options::default(), folder.path()).await.unwrap_err();
    assert!(matches!(&error, Error::Storage { path, .. } if path.ends_with("bus")), "{error}");
}

#[tokio::test]
async fn many_small_senders_share_a_sync() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&folder).await;
    let producer = bus.producer().unwrap();
    let mut deliveries = Vec::new();
    for n in 0..2_000 {
        deliveries.push(producer.send(record("t", &n.to_string(), n.to_string())).await.unwrap());
    }
    let places: BTreeSet<_> = futures::future::try_join_all(deliveries).await.unwrap().into_iter().collect();
    assert_eq!(places.len(), 2_000);
    let mut consumer = bus.consumer(&start("t")).unwrap();
    assert_eq!(read(&mut consumer, 2_000).await.len(), 2_000);
}

#[tokio::test]
async fn a_reader_waits_until_something_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&folder).await;
    bus.ensure_topics(&[bus.topic_spec("t")]).await.unwrap();
    let mut consumer = bus.consumer(&start("t")).unwrap();
    let reader = tokio::spawn(async move { read(&mut consumer, 1).await });
    tokio::task::yield_now().await;
    bus.producer().unwrap().send(record("t", "k", "late")).await.unwrap().await.unwrap();
    assert_eq!(reader.await.unwrap()[0].value, "late");
}

#[tokio::test]
async fn a_next_that_was_dropped_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&folder).await;
    let producer = bus.producer().unwrap();
    for n in 0..50 {
        drop(producer.send(record("t", "k", n.to_string())).await.unwrap());
    }
    producer.flush().await.unwrap();
    let mut consumer = bus.consumer(&start("t")).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 50 {
        tokio::select! {
            biased;
            event = consumer.next(3, Duration::from_secs(10)) => if let Event::Batch(batch) = event.unwrap() {
                seen.extend(batch.into_iter().map(|message| message.offset));
            },
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_damaged_size_or_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&folder).await;
    let producer = bus.producer().unwrap();
    for (topic, most) in [("t", crate::MAX_MESSAGE_BYTES), ("otlp_logs", crate::MAX_LARGE_MESSAGE_BYTES)] {
        assert_eq!(producer.limit(topic), Some(most));
        let large = producer.send(record(topic, "k", vec![0; most])).await;
        assert!(matches!(large.err(), Some(Error::TooLarge { .. })), "{topic}");
    }
    let named = producer.send(record("a b", "k", "")).await.unwrap().await;
    assert!(matches!(named, Err(Error::Options(_))));
    let nowhere = producer.send(Record { partition: Some(9), ..record("t", "k", "") }).await.unwrap().await;
    assert!(matches!(nowhere, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn a_topic_made_again_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&folder).await;
    let producer = bus.producer().unwrap();
    let (partition, _) = producer.send(record("t", "k", "old")).await.unwrap().await.unwrap();
    let mut member = bus.group_consumer("g", &["t"]).unwrap();
    assigned(&mut member).await;
    member.commit(&[Position { partition: partition.clone(), offset: 1 }]).await.unwrap();
    bus.delete_topic("t").await.unwrap();
    assert!(matches!(bus.partitions("t").await, Err(Error::Unknown(_))));
    producer.send(record("t", "k", "new")).await.unwrap().await.unwrap();
    assert_eq!(bus.offsets(&partition).await.unwrap(), (0, 1));
    assert_eq!(bus.lag("g", &["t"]).await.unwrap().iter().filter(|lag| lag.committed.is_some()).count(), 0);
    assert_eq!(read(&mut bus.consumer(&start("t")).unwrap(), 1).await[0].value, "new");
}

/// The newest journal of the store below this folder.
fn journal(folder: &tempfile::TempDir) -> std::path::PathBuf {
    let files = std::fs::read_dir(folder.path().join("bus/store")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "jnl")).max().unwrap()
}

async fn thirty(folder: &tempfile::TempDir) -> Partition {
    let bus = open(folder).await;
    let producer = bus.producer().unwrap();
    let mut partition = Partition::new("t", 0);
    for n in 0..30 {
        partition = producer.send(record("t", "k", format!("{n} {}", "x".repeat(100)))).await.unwrap().await.unwrap().0;
    }
    partition
}

#[tokio::test]
async fn a_torn_end_of_the_journal_takes_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let partition = thirty(&folder).await;
    // A crash within the next batch leaves a part of it: here the first bytes of a batch as they lie there already.
    let path = journal(&folder);
    let mut bytes = std::fs::read(&path).unwrap();
    let begun = bytes[..40].to_vec();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(end);
    bytes.extend(begun);
    std::fs::write(&path, bytes).unwrap();
    let bus = open(&folder).await;
    assert_eq!(bus.offsets(&partition).await.unwrap(), (0, 30));
    let (_, offset) = bus.producer().unwrap().send(record("t", "k", "next")).await.unwrap().await.unwrap();
    assert_eq!(offset, 30);
    assert_eq!(read(&mut bus.consumer(&start("t")).unwrap(), 31).await.len(), 31);
}

#[tokio::test]
async fn damage_within_the_journal_is_told_and_the_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    thirty(&folder).await;
    let path = journal(&folder);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(50).position(|window| window.iter().all(|byte| *byte == b'x')).unwrap();
    bytes[at + 20] = b'y';
    std::fs::write(&path, bytes).unwrap();
    let error = Bus::open(&Options::default(), folder.path()).await.unwrap_err();
    assert!(matches!(&error, Error::Storage { path, .. } if path.ends_with("bus")), "{error}");
}

#[tokio::test]
async fn what_comes_after_a_batch_that_was_given_up_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::open(&Options::default(), folder.path(), super::Retain::AsTopicsSay).await.unwrap();
    let producer = broker.producer();
    let metrics = std::sync::Arc::<crate::metrics::Metrics>::default();
    let send =
        async |value: &'static str| producer.send(record("t", "k", value), metrics.queue(&"t".into(), 1)).await?.await;
    let (partition, _) = send("one").await.unwrap();
    let shared = broker.0.shared.clone();
    shared.closing.store(true, Ordering::Release);
    let store = shared.store.write().take();
    assert!(matches!(send("two").await, Err(Error::Closed)));
    *shared.store.write() = store;
    assert!(matches!(send("three").await, Err(Error::Closed)));
    assert!(matches!(producer.flush().await, Err(Error::Closed)));
    drop((producer, broker, shared));
    assert_eq!(open(&folder).await.offsets(&partition).await.unwrap(), (0, 1));
}

/// Goes off where it is dropped by the thread that writes.
struct Grenade;

impl AsRef<[u8]> for Grenade {
    fn as_ref(&self) -> &[u8] {
        b"k"
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        assert!(std::thread::current().name() != Some(super::THREAD), "the writing thread panics, as it should here");
    }
}

#[tokio::test]
async fn a_writing_thread_that_panicked_is_told_to_all() {
    let folder = tempfile::tempdir().unwrap();
    let bus = open(&folder).await;
    let producer = bus.producer().unwrap();
    producer.send(record("t", "k", "one")).await.unwrap().await.unwrap();
    assert!(bus.answers(Duration::ZERO).await);
    let last = Record { key: Some(Bytes::from_owner(Grenade)), ..record("t", "", "two") };
    assert!(matches!(producer.send(last).await.unwrap().await, Err(Error::Closed)));
    bus.broken().await;
    assert!(!bus.answers(Duration::ZERO).await);
    assert!(matches!(producer.send(record("t", "k", "three")).await.err(), Some(Error::Closed)));
    assert!(matches!(bus.ensure_topics(&[bus.topic_spec("u")]).await, Err(Error::Closed)));
    drop((bus, producer));
    open(&folder).await.producer().unwrap().send(record("t", "k", "four")).await.unwrap().await.unwrap();
}
