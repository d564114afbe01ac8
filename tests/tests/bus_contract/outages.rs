//! A broker that goes away and comes back, and a disk that is full.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use weir_bus::{Bus, Error, Event, Message, Options, Position};
use weir_tests::kafka::Kafka;
use weir_tests::{SmallDisk, skip};

use crate::site::*;

/// Time between two records.
const PACE: Duration = Duration::from_millis(7);
/// Of one record: in ten seconds more are sent than the producer's queue holds.
const BYTES: usize = 24_000;

/// How long Kafka is away: seconds in `WEIR_OUTAGE`, or ten, in which nothing happens that a minute does not do again.
fn outage() -> Duration {
    let seconds = std::env::var_os("WEIR_OUTAGE").map(|text| text.to_str().and_then(|text| text.parse().ok()));
    Duration::from_secs(seconds.map_or(10, |seconds| seconds.expect("WEIR_OUTAGE is a number of seconds")))
}

/// Each record of `away`, once, to `folded`, as the alerter does: records and positions at once, and anew after a failure.
async fn fold(bus: &Bus) -> Error {
    loop {
        let producer = match bus.transactional_producer("folder").await {
            Ok(producer) => producer,
            Err(Error::Closed) => return Error::Closed,
            Err(_) => continue,
        };
        let mut member = bus.group_consumer("folders", &["away"]).unwrap();
        while let Ok(event) = member.next(100, TICK).await {
            let Event::Batch(batch) = event else { continue };
            let records = batch.iter().map(|message| record("folded", "k", number(message).to_string())).collect();
            let mut positions = BTreeMap::new();
            for message in &batch {
                positions.insert(message.partition.clone(), message.offset + 1);
            }
            let positions: Vec<_> =
                positions.into_iter().map(|(partition, offset)| Position { partition, offset }).collect();
            if producer.commit(records, &member, &positions).await.is_err() {
                break;
            }
        }
    }
}

fn number(message: &Message) -> usize {
    text(message).split(' ').next().unwrap().parse().unwrap()
}

async fn send(bus: Bus, count: usize) {
    let producer = bus.producer().unwrap();
    let mut deliveries = Vec::new();
    for n in 0..count {
        let record = record("away", &format!("key-{}", n % 8), format!("{n} {}", ".".repeat(BYTES)));
        deliveries.push(producer.send(record).await.unwrap());
        tokio::time::sleep(PACE).await;
    }
    futures::future::try_join_all(deliveries).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_that_is_killed_while_records_are_sent_loses_nothing() {
    let name = "kafka_that_is_killed_while_records_are_sent_loses_nothing";
    let mut kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip(name, &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&with_short_sessions(kafka.options()), folder.path()).await.unwrap();
    bus.ensure_topics(&["away", "folded"].map(|name| bus.topic_spec(name))).await.unwrap();
    let mut member = bus.group_consumer("readers", &["away"]).unwrap();
    assert_eq!(assigned(&mut member).await.len(), 4);

    let away = outage();
    let count = ((away + Duration::from_secs(4)).as_millis() / PACE.as_millis()) as usize;
    let sender = tokio::spawn(send(bus.clone(), count));
    let outage = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        kafka.kill().unwrap();
        tokio::time::sleep(away).await;
        kafka.restart().await.unwrap();
    };
    let reader = async {
        let mut by_key: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        while seen.len() < count {
            for message in batch_within(&mut member, PATIENCE + away).await {
                // A member that lost its session reads again what it had not committed.
                if seen.insert((message.partition.partition, message.offset)) {
                    by_key.entry(message.key.clone()).or_default().push(number(&message));
                }
            }
        }
        by_key
    };
    let folded = async {
        let mut consumer = bus.consumer(&beginning("folded")).unwrap();
        let mut folded = Vec::new();
        while folded.len() < count {
            folded.extend(batch_within(&mut consumer, PATIENCE + away).await.iter().map(number));
        }
        folded.extend(read_out(&mut consumer).await.iter().map(number));
        folded
    };
    let folded = async {
        tokio::select! {
            error = fold(&bus) => panic!("{error}"),
            folded = folded => folded,
        }
    };
    let ((), by_key, mut folded) = tokio::join!(outage, reader, folded);
    sender.await.unwrap();
    let want: Vec<_> = (0..count).collect();
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "each key in order");
    let mut all: Vec<_> = by_key.into_values().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, want, "each once");
    folded.sort_unstable();
    assert_eq!(folded, want, "each folded once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stops_while_kafka_is_away_goes_on_where_it_was() {
    let name = "whoever_stops_while_kafka_is_away_goes_on_where_it_was";
    let mut kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip(name, &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let options = with_short_sessions(kafka.options());
    let bus = Bus::open(&options, folder.path()).await.unwrap();
    bus.ensure_topics(&["in", "out"].map(|name| bus.topic_spec(name))).await.unwrap();
    let (partition, _) = send_all(&bus, (0..10).map(|n| record("in", "k", n.to_string()))).await.remove(0);
    let transactions = bus.transactional_producer("id").await.unwrap();
    let mut member = bus.group_consumer("group", &["in"]).unwrap();
    read(&mut member, 10).await;
    let at = |offset| [Position { partition: partition.clone(), offset }];
    transactions.commit(vec![record("out", "k", "before")], &member, &at(3)).await.unwrap();
    assert!(bus.answers(PATIENCE).await);
    // Kafka 4.3 that is killed before a commit is written to its partitions never writes it (KAFKA-20734). It is when
    // the position is told and the record is read.
    assert_eq!(member.committed(std::slice::from_ref(&partition)).await.unwrap(), at(3));
    assert_eq!(text(&read(&mut bus.consumer(&beginning("out")).unwrap(), 1).await[0]), "before");

    kafka.kill().unwrap();
    assert!(!bus.answers(Duration::from_secs(1)).await);
    let producer = bus.producer().unwrap();
    let delivery = producer.send(record("in", "k", "late")).await.unwrap();
    let (positions, later) = (at(7), at(5));
    let mut commits = Box::pin(futures::future::join3(
        transactions.commit(vec![record("out", "k", "during")], &member, &positions),
        member.commit(&later),
        delivery,
    ));
    // All of them wait for as long as nobody says otherwise.
    assert!(tokio::time::timeout(Duration::from_secs(2), &mut commits).await.is_err());
    bus.give_up();
    let (transaction, commit, delivery) = commits.await;
    for ended in [transaction, commit, delivery.map(|_| ())] {
        assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
    }
    drop((producer, transactions, member, bus));

    kafka.restart().await.unwrap();
    let bus = Bus::open(&options, folder.path()).await.unwrap();
    let transactions = bus.transactional_producer("id").await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let (member, committed) = loop {
        let mut member = bus.group_consumer("group", &["in"]).unwrap();
        assigned(&mut member).await;
        match member.committed(std::slice::from_ref(&partition)).await {
            Ok(committed) => break (member, committed),
            // A broker that has only just started may not answer: whoever reads begins anew, as a room does.
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
    };
    // The plain commit was on its way; the transaction is there whole or not at all, and it is not.
    assert!(committed == at(3) || committed == at(5), "{committed:?}");
    transactions.commit(vec![record("out", "k", "after")], &member, &at(10)).await.unwrap();
    let out = read_out(&mut bus.consumer(&beginning("out")).unwrap()).await;
    assert_eq!(out.iter().map(text).collect::<Vec<_>>(), ["before", "after"]);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_senders_wait_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(96) else {
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
        let ballast = disk.fill().unwrap();
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
    check(&bus, &noise, 400..=400).await;

    // Whoever must end while it is full is told what was not taken, and what was is there.
    assert!(bus.answers(TICK).await);
    let ballast = disk.fill().unwrap();
    let producer = bus.producer().unwrap();
    let mut deliveries = Vec::new();
    let failing = async {
        let mut n = 400;
        // The first may still find room.
        while bus.answers(TICK).await {
            deliveries.push(producer.send(record("t", "k", noise(n))).await.unwrap());
            n += 1;
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(PATIENCE, failing).await.expect("a full disk is noticed");
    let sent = 400 + deliveries.len();
    bus.give_up();
    let last = deliveries.pop().unwrap();
    let told = tokio::time::timeout(PATIENCE, last).await.expect("it is told");
    assert!(matches!(told, Err(Error::Closed)));
    assert!(matches!(producer.send(record("t", "k", "")).await.err(), Some(Error::Closed)));
    drop((producer, bus));
    std::fs::remove_file(ballast).unwrap();
    let bus = Bus::open(&Options::default(), disk.path()).await.unwrap();
    // Records that were given up on may be there all the same.
    check(&bus, &noise, 400..=sent).await;
}

async fn check(bus: &Bus, noise: &impl Fn(usize) -> Vec<u8>, count: RangeInclusive<usize>) {
    let messages = read_out(&mut bus.consumer(&beginning("t")).unwrap()).await;
    assert!(count.contains(&messages.len()), "{} are not {count:?}", messages.len());
    for (n, message) in messages.iter().enumerate() {
        assert!(message.value == noise(n), "record {n} at {} differs", message.offset);
    }
}
