//! A broker that goes away and comes back, and a disk that is full.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use weir_bus::{Bus, Error, Options};
use weir_tests::kafka::Kafka;
use weir_tests::skip;

use crate::site::*;

/// Shorter than the minute that it may take in earnest; nothing in the bus counts the time.
const AWAY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_that_is_killed_while_records_are_sent_loses_nothing() {
    let name = "kafka_that_is_killed_while_records_are_sent_loses_nothing";
    let mut kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip(name, &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&with_short_sessions(kafka.options()), folder.path()).await.unwrap();
    bus.ensure_topics(&[bus.topic_spec("away")]).await.unwrap();
    let mut member = bus.group_consumer("readers", &["away"]).unwrap();
    assert_eq!(assigned(&mut member).await.len(), 4);

    let sender = tokio::spawn({
        let producer = bus.producer().unwrap();
        async move {
            let mut deliveries = Vec::new();
            for n in 0..2_000 {
                let record = record("away", &format!("key-{}", n % 8), n.to_string());
                deliveries.push(producer.send(record).await.unwrap());
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
            futures::future::try_join_all(deliveries).await.unwrap();
        }
    });
    let outage = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        kafka.kill().unwrap();
        tokio::time::sleep(AWAY).await;
        kafka.restart().await.unwrap();
    };
    let reader = async {
        let mut by_key: std::collections::BTreeMap<_, Vec<u32>> = std::collections::BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < 2_000 {
            for message in batch(&mut member).await {
                // A member that lost its session reads again what it had not committed.
                if seen.insert((message.partition.partition, message.offset)) {
                    by_key.entry(message.key.clone()).or_default().push(text(&message).parse().unwrap());
                }
            }
        }
        by_key
    };
    let ((), by_key) = tokio::join!(outage, reader);
    sender.await.unwrap();
    assert_eq!(by_key.values().map(Vec::len).sum::<usize>(), 2_000);
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "each key in order, once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_broker_goes_on_where_it_was_closed() {
    let site = Site::embedded();
    let mut sent = 0;
    for _ in 0..5 {
        let bus = site.open().await;
        assert!(matches!(Bus::open(&site.options, site.folder.path()).await, Err(Error::Locked(_))));
        send_all(&bus, (sent..sent + 500).map(|n| record("t", "k", n.to_string()))).await;
        sent += 500;
    }
    let bus = site.open().await;
    let numbers: Vec<_> =
        read(&mut bus.consumer(&beginning("t")).unwrap(), sent).await.iter().map(|m| text(m).to_owned()).collect();
    assert_eq!(numbers, (0..sent).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// A file system of 96 MB; unmounted when it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=96m", "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|mount| mount.status.success()).then(|| Self(folder))
    }

    /// Takes all that is left; gives the file.
    fn fill(&self) -> std::path::PathBuf {
        use std::io::Write;
        let path = self.0.path().join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [1 << 20, 4096] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_senders_wait_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        return skip("a_full_disk_makes_senders_wait_and_loses_nothing", "only root may mount a small disk");
    };
    let bus = Bus::open(&Options::default(), disk.path()).await.unwrap();
    let noise = |n: usize| {
        let mut state = n as u64 + 1;
        let mut bytes = format!("{n}/").into_bytes();
        bytes.resize_with(50_000, || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        });
        bytes
    };
    send_all(&bus, (0..100).map(|n| record("t", "k", noise(n)))).await;
    for round in 1..4 {
        let ballast = disk.fill();
        let producer = bus.producer().unwrap();
        let mut deliveries = Vec::new();
        for n in round * 100..(round + 1) * 100 {
            deliveries.push(producer.send(record("t", "k", noise(n))).await.unwrap());
        }
        let mut all = futures::future::try_join_all(deliveries);
        let early = tokio::time::timeout(Duration::from_secs(2), &mut all).await;
        assert!(early.is_err(), "a full disk cannot be durable");
        std::fs::remove_file(ballast).unwrap();
        tokio::time::timeout(PATIENCE, all).await.expect("it goes on when there is room").unwrap();
    }
    check(&bus, &noise).await;
    drop(bus);
    let bus = Bus::open(&Options::default(), disk.path()).await.unwrap();
    check(&bus, &noise).await;
}

async fn check(bus: &Bus, noise: &impl Fn(usize) -> Vec<u8>) {
    let messages = read_out(&mut bus.consumer(&beginning("t")).unwrap()).await;
    assert_eq!(messages.len(), 400);
    for (n, message) in messages.iter().enumerate() {
        assert!(message.value == noise(n), "record {n} at {} differs", message.offset);
    }
}
