//! What holds while nothing goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use weir_bus::{Consumer, Error, Event, Partition, Position, Record};

use crate::site::*;

fn noise(seed: u64, length: usize) -> Bytes {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    (0..length).map(|_| random.random::<u8>()).collect::<Vec<_>>().into()
}

pub(crate) async fn records_of_one_key_keep_their_order(site: &Site) {
    let (bus, topic) = site.with_topic("order").await;
    let records = (0..4_000).map(|n| record(&topic, &format!("key-{}", n % 20), n.to_string()));
    send_all(&bus, records).await;
    let mut by_key: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for message in read(&mut bus.consumer(&beginning(&topic)).unwrap(), 4_000).await {
        by_key.entry(message.key.clone()).or_default().push(text(&message).parse().unwrap());
    }
    assert_eq!(by_key.len(), 20);
    assert!(by_key.values().all(|numbers| numbers.len() == 200 && numbers.is_sorted()));
}

pub(crate) async fn ten_thousand_small_records_arrive_once(site: &Site) {
    let (bus, topic) = site.with_topic("small").await;
    let places = send_all(&bus, (0..10_000).map(|n| record(&topic, &n.to_string(), n.to_string()))).await;
    assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 10_000);
    let messages = read(&mut bus.consumer(&beginning(&topic)).unwrap(), 10_000).await;
    assert_eq!(messages.len(), 10_000);
    assert_eq!(messages.iter().map(text).collect::<BTreeSet<_>>().len(), 10_000);
}

pub(crate) async fn records_of_a_megabyte_come_back_byte_for_byte(site: &Site) {
    let (bus, topic) = site.with_topic("large").await;
    send_all(&bus, (0..40).map(|n| record(&topic, "k", noise(n, 1_000_000)))).await;
    let messages = read(&mut bus.consumer(&beginning(&topic)).unwrap(), 40).await;
    assert_eq!(messages.len(), 40);
    for (n, message) in messages.iter().enumerate() {
        assert!(message.value == noise(n as u64, 1_000_000), "record {n} differs");
    }
    let larger = bus.producer().unwrap().send(record(&topic, "k", noise(0, 1_100_000))).await;
    assert!(matches!(larger.err(), Some(Error::TooLarge { .. })));
}

pub(crate) async fn records_of_sixteen_mebibytes_come_back_among_small_ones(site: &Site) {
    let (bus, topic) = (site.open().await, unique("largest"));
    let largest = weir_bus::MAX_LARGE_MESSAGE_BYTES;
    let spec = weir_bus::TopicSpec { max_message_bytes: Some(largest), ..bus.topic_spec(&topic) };
    bus.ensure_topics(std::slice::from_ref(&spec)).await.unwrap();
    let producer = bus.producer().unwrap();
    assert_eq!(until_limit(&producer, &topic).await, largest);
    // In every partition, so that none waits for another; the last as large as there is, with its key.
    let lengths = [10, 16 << 20, 20, 1_000_000, 9_000_000, 30, largest - 1];
    let value = |partition: i32, n: usize| noise(partition as u64 * 10 + n as u64, lengths[n]);
    let on = |partition| {
        (0..lengths.len()).map(move |n| Record { partition: Some(partition), ..record("", "k", value(partition, n)) })
    };
    let records = (0..4).flat_map(on).map(|record| Record { topic: topic.as_str().into(), ..record });
    send_all(&bus, records).await;
    let mut consumer = bus.consumer(&beginning(&topic)).unwrap();
    let (mut seen, mut count) = ([0; 4], 0);
    while count < 4 * lengths.len() {
        let batch = batch(&mut consumer).await;
        assert!(batch.iter().map(|message| message.value.len()).sum::<usize>() < 34 << 20, "a batch is bounded");
        for message in batch {
            let partition = message.partition.partition;
            let n = std::mem::replace(&mut seen[partition as usize], message.offset as usize + 1);
            assert_eq!(message.offset as usize, n, "in order");
            assert!(message.value == value(partition, n), "record {n} of {partition} differs");
            count += 1;
        }
    }
    let larger = producer.send(record(&topic, "k", noise(0, largest))).await;
    assert!(matches!(larger.err(), Some(Error::TooLarge { .. })));
}

pub(crate) async fn a_topic_that_takes_less_says_so_and_keeps_what_it_has(site: &Site) {
    let (bus, topic) = (site.open().await, unique("least"));
    let spec = |most| weir_bus::TopicSpec { max_message_bytes: Some(most), ..bus.topic_spec(&topic) };
    bus.ensure_topics(&[spec(100_000)]).await.unwrap();
    let producer = bus.producer().unwrap();
    assert_eq!(until_limit(&producer, &topic).await, 100_000);
    send_all(&bus, [record(&topic, "k", noise(0, 99_000))]).await;
    let refused = async |length| {
        let sent = async { producer.send(record(&topic, "k", noise(1, length))).await?.await };
        matches!(sent.await, Err(Error::TooLarge { .. }))
    };
    assert!(refused(300_000).await && refused(2_000_000).await);
    // Many at once are not one batch that the topic does not take.
    send_all(&bus, (0..30).map(|n| record(&topic, "k", noise(n, 99_000)))).await;
    assert_eq!(read(&mut bus.consumer(&beginning(&topic)).unwrap(), 31).await.len(), 31);
}

/// What a topic takes, once that is known: a broker may have made it before all speak of it.
async fn until_limit(producer: &weir_bus::Producer, topic: &str) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(limit) = producer.limit(topic) {
            return limit;
        }
        assert!(Instant::now() < deadline, "the limit of {topic} stays unknown");
        tokio::time::sleep(TICK).await;
    }
}

pub(crate) async fn a_record_keeps_key_headers_and_time(site: &Site) {
    let (bus, topic) = site.with_topic("parts").await;
    let headers =
        vec![("a".to_owned(), Bytes::from("1")), ("a".to_owned(), Bytes::new()), ("b".to_owned(), "2".into())];
    // Kafka's retention goes by this time: a record of last year would be gone before it is read.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64 - 12_345;
    let sent = Record { headers: headers.clone(), timestamp_ms: Some(now), ..record(&topic, "k", "v") };
    send_all(&bus, [sent, Record { topic: topic.as_str().into(), partition: Some(2), ..Record::default() }]).await;
    let messages = read(&mut bus.consumer(&beginning(&topic)).unwrap(), 2).await;
    let full = messages.iter().find(|message| message.key.is_some()).unwrap();
    assert_eq!((full.key.as_deref(), &full.value[..]), (Some(&b"k"[..]), &b"v"[..]));
    assert_eq!((&full.headers, full.timestamp_ms), (&headers, now));
    let empty = messages.iter().find(|message| message.key.is_none()).unwrap();
    assert_eq!((empty.partition.partition, empty.value.len(), empty.headers.len()), (2, 0, 0));
}

pub(crate) async fn keys_choose_partitions_as_kafka_does(site: &Site) {
    let (bus, topic) = site.with_topic("keys").await;
    let places = send_all(&bus, ["21", "foobar", "abc"].map(|key| record(&topic, key, ""))).await;
    // murmur2 of these is -973932308, -790332482 and 479470107; without the sign bit, modulo 4.
    let want = [-973_932_308, -790_332_482, 479_470_107].map(|hash: i32| (hash & 0x7fff_ffff) % 4);
    assert_eq!(places.iter().map(|(partition, _)| partition.partition).collect::<Vec<_>>(), want);
}

pub(crate) async fn a_seek_right_after_the_assignment_counts(site: &Site) {
    let (bus, topic) = site.with_topic("seek").await;
    let (partition, _) = send_all(&bus, (0..10).map(|n| record(&topic, "k", n.to_string()))).await.remove(0);
    let mut member = bus.group_consumer(&unique("seekers"), &[&topic]).unwrap();
    assert_eq!(assigned(&mut member).await.len(), 4);
    member.seek(&Position { partition: partition.clone(), offset: 7 }).unwrap();
    assert_eq!(read(&mut member, 3).await.iter().map(text).collect::<Vec<_>>(), ["7", "8", "9"]);
    member.seek(&Position { partition: partition.clone(), offset: 2 }).unwrap();
    assert_eq!(read(&mut member, 8).await[0].offset, 2);
    let elsewhere = member.seek(&Position { partition: Partition::new("elsewhere", 0), offset: 0 });
    assert!(matches!(elsewhere, Err(Error::Unknown(_))));
}

pub(crate) async fn each_of_many_seeks_counts(site: &Site) {
    let (bus, topic) = site.with_topic("seeks").await;
    let to = |partition| Record { partition: Some(partition), ..record(&topic, "k", partition.to_string()) };
    send_all(&bus, (0..4).flat_map(|partition| [to(partition), to(partition), to(partition)])).await;
    let mut member = bus.group_consumer(&unique("seekers"), &[&topic]).unwrap();
    let partitions = assigned(&mut member).await;
    for offset in [0, 2, 1] {
        for partition in &partitions {
            member.seek(&Position { partition: partition.clone(), offset }).unwrap();
        }
        let messages = read(&mut member, 4 * (3 - offset as usize)).await;
        let (first, count) = (messages.iter().map(|message| message.offset).min(), messages.len());
        assert_eq!((first, count), (Some(offset), 4 * (3 - offset as usize)), "{messages:?}");
    }
}

pub(crate) async fn who_leaves_before_it_reads_leaves_all_to_the_others(site: &Site) {
    let (bus, topic) = site.with_topic("leave").await;
    send_all(&bus, (0..10).map(|n| record(&topic, &n.to_string(), "v"))).await;
    let group = unique("leavers");
    let mut first = bus.group_consumer(&group, &[&topic]).unwrap();
    assert_eq!(assigned(&mut first).await.len(), 4);
    drop(first);
    let mut second = bus.group_consumer(&group, &[&topic]).unwrap();
    assert_eq!(assigned(&mut second).await.len(), 4);
    assert_eq!(read(&mut second, 10).await.len(), 10);
}

pub(crate) async fn fixed_partitions_are_read_from_their_positions(site: &Site) {
    let (bus, topic) = site.with_topic("fixed").await;
    let (partition, _) = send_all(&bus, (0..10).map(|n| record(&topic, "k", n.to_string()))).await.remove(0);
    let from = |offset| [Position { partition: partition.clone(), offset }];
    let mut consumer = bus.consumer(&from(6)).unwrap();
    // No `Assigned` comes first.
    let first = loop {
        match consumer.next(2, TICK).await.unwrap() {
            Event::Batch(batch) => break batch,
            Event::Idle => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(first[0].offset == 6 && first.len() <= 2, "{first:?}");
    assert!(matches!(consumer.commit(&from(7)).await, Err(Error::Options(_))));
    // Beyond the end begins at the first that is left.
    assert_eq!(batch(&mut bus.consumer(&from(1_000)).unwrap()).await[0].offset, 0);
}

pub(crate) async fn two_members_share_and_older_commits_are_fenced(site: &Site) {
    let (bus, topic) = site.with_topic("share").await;
    let group = unique("sharers");
    let mut first = bus.group_consumer(&group, &[&topic]).unwrap();
    assert_eq!(assigned(&mut first).await.len(), 4);
    let mut second = bus.group_consumer(&group, &[&topic]).unwrap();

    let (mut had, mut have, mut other) = (None, None, None);
    let deadline = Instant::now() + PATIENCE;
    while have.as_ref().zip(other.as_ref()).is_none_or(|(a, b): (&Vec<_>, &Vec<_>)| a.len() + b.len() != 4) {
        assert!(Instant::now() < deadline, "not shared: {had:?} {have:?} {other:?}");
        let (a, b) = tokio::join!(first.next(10, TICK), second.next(10, TICK));
        match a.unwrap() {
            Event::Revoked(partitions) => {
                had = Some(partitions.clone());
                let late = [Position { partition: partitions[0].clone(), offset: 0 }];
                assert!(matches!(first.commit(&late).await, Err(Error::Fenced(_))));
            }
            Event::Assigned(partitions) => have = Some(partitions),
            _ => {}
        }
        if let Event::Assigned(partitions) = b.unwrap() {
            other = Some(partitions);
        }
    }
    let (have, other) = (have.unwrap(), other.unwrap());
    assert_eq!((had.unwrap().len(), have.len(), other.len()), (4, 2, 2));
    assert_eq!(have.iter().chain(&other).collect::<BTreeSet<_>>().len(), 4);

    // Each reads its own share, and may commit that alone.
    send_all(&bus, (0..100).map(|n| record(&topic, &n.to_string(), n.to_string()))).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 100 {
        assert!(Instant::now() < deadline + PATIENCE, "{} of 100 read", seen.len());
        let (a, b) = tokio::join!(first.next(100, TICK), second.next(100, TICK));
        for (event, share) in [(a.unwrap(), &have), (b.unwrap(), &other)] {
            if let Event::Batch(batch) = event {
                assert!(batch.iter().all(|message| share.contains(&message.partition)));
                seen.extend(batch.iter().map(|message| text(message).to_owned()));
            }
        }
    }
    let of = |partition: &Partition| [Position { partition: partition.clone(), offset: 1 }];
    first.commit(&of(&have[0])).await.unwrap();
    assert!(matches!(first.commit(&of(&other[0])).await, Err(Error::Fenced(_))));

    drop(second);
    let deadline = Instant::now() + PATIENCE;
    while assigned(&mut first).await.len() < 4 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(first.committed(&have[..1]).await.unwrap(), of(&have[0]));
}

pub(crate) async fn what_was_not_committed_is_read_again(site: &Site) {
    let (bus, topic) = site.with_topic("again").await;
    let group = unique("readers");
    let (partition, _) = send_all(&bus, (0..10).map(|n| record(&topic, "k", n.to_string()))).await.remove(0);
    let mut member = bus.group_consumer(&group, &[&topic]).unwrap();
    assert_eq!(read(&mut member, 10).await.len(), 10);
    member.commit(&[Position { partition, offset: 4 }]).await.unwrap();
    drop((member, bus));

    let bus = site.open().await;
    let mut member = bus.group_consumer(&group, &[&topic]).unwrap();
    let again = read(&mut member, 6).await;
    assert_eq!(again.iter().map(text).collect::<Vec<_>>(), ["4", "5", "6", "7", "8", "9"]);
}

pub(crate) async fn a_transaction_shows_records_and_positions_at_once(site: &Site) {
    let (bus, input) = site.with_topic("in").await;
    let output = unique("out");
    bus.ensure_topics(&[bus.topic_spec(&output)]).await.unwrap();
    let (partition, _) = send_all(&bus, [record(&input, "k", "x")]).await.remove(0);
    let producer = bus.transactional_producer(&unique("id")).await.unwrap();
    let mut member = bus.group_consumer(&unique("fold"), &[&input]).unwrap();
    read(&mut member, 1).await;
    for n in 0..3 {
        let records = (0..50).map(|i| record(&output, "k", format!("{n}/{i}"))).collect();
        let position = Position { partition: partition.clone(), offset: 1 };
        producer.commit(records, &member, std::slice::from_ref(&position)).await.unwrap();
        assert_eq!(member.committed(std::slice::from_ref(&partition)).await.unwrap(), [position]);
    }
    let messages = read(&mut bus.consumer(&beginning(&output)).unwrap(), 150).await;
    let want: Vec<_> = (0..3).flat_map(|n| (0..50).map(move |i| format!("{n}/{i}"))).collect();
    assert_eq!(messages.iter().map(text).collect::<Vec<_>>(), want);

    // A partition that is not the member's: nothing is visible, and the producer may go on.
    let foreign = [Position { partition: Partition::new(output.as_str(), 0), offset: 1 }];
    let refused = producer.commit(vec![record(&output, "k", "never")], &member, &foreign).await;
    assert!(matches!(refused, Err(Error::Fenced(_))), "{refused:?}");
    producer.commit(vec![record(&output, "k", "last")], &member, &[]).await.unwrap();
    let all = read_out(&mut bus.consumer(&beginning(&output)).unwrap()).await;
    assert_eq!((all.len(), text(&all[150])), (151, "last"));
}

pub(crate) async fn a_zombie_is_fenced(site: &Site) {
    let (bus, topic) = site.with_topic("zombie").await;
    let id = unique("id");
    let mut member = bus.group_consumer(&unique("group"), &[&topic]).unwrap();
    let partition = assigned(&mut member).await.remove(0);
    let positions = [Position { partition, offset: 0 }];
    let older = bus.transactional_producer(&id).await.unwrap();
    older.commit(vec![record(&topic, "k", "older")], &member, &positions).await.unwrap();
    let newer = bus.transactional_producer(&id).await.unwrap();
    let late = older.commit(vec![record(&topic, "k", "zombie")], &member, &positions).await;
    assert!(matches!(late, Err(Error::Fenced(_))), "{late:?}");
    newer.commit(vec![record(&topic, "k", "newer")], &member, &positions).await.unwrap();
    let all = read_out(&mut bus.consumer(&beginning(&topic)).unwrap()).await;
    assert_eq!(all.iter().map(text).collect::<Vec<_>>(), ["older", "newer"]);
}

pub(crate) async fn lag_and_offsets_tell_the_truth(site: &Site) {
    let (bus, topic) = site.with_topic("lag").await;
    let group = unique("laggards");
    let (partition, _) = send_all(&bus, (0..10).map(|n| record(&topic, "k", n.to_string()))).await.remove(0);
    assert_eq!(bus.offsets(&partition).await.unwrap(), (0, 10));
    let lag = bus.lag(&group, &[&topic]).await.unwrap();
    assert_eq!(lag.len(), 4);
    assert!(lag.iter().all(|lag| lag.committed.is_none() && lag.low == 0));
    let mut member = bus.group_consumer(&group, &[&topic]).unwrap();
    read(&mut member, 10).await;
    member.commit(&[Position { partition: partition.clone(), offset: 6 }]).await.unwrap();
    let lag = bus.lag(&group, &[&topic]).await.unwrap();
    let of = lag.iter().find(|lag| lag.partition == partition).unwrap();
    assert_eq!((of.committed, of.high), (Some(6), 10));
}

pub(crate) async fn published_positions_are_the_lag_of_a_group(site: &Site) {
    let (bus, topic) = site.with_topic("published").await;
    let group = unique("published");
    let (partition, _) = send_all(&bus, (0..10).map(|n| record(&topic, "k", n.to_string()))).await.remove(0);
    for offset in [7, 3] {
        bus.publish(&group, &[Position { partition: partition.clone(), offset }]).await.unwrap();
        let lag = bus.lag(&group, &[&topic]).await.unwrap();
        let committed = |partition| lag.iter().find(|lag| lag.partition == partition).unwrap().committed;
        assert_eq!(committed(partition.clone()), Some(offset));
        assert_eq!(lag.iter().filter(|lag| lag.committed.is_some()).count(), 1);
    }
}

pub(crate) async fn what_is_sent_and_read_is_counted(site: &Site) {
    let telemetry = weir_service::telemetry::Telemetry::detached().unwrap();
    let bus = site.open().await.measured(&telemetry.meter());
    let (topic, group) = (unique("counted"), unique("counters"));
    bus.ensure_topics(&[bus.topic_spec(&topic)]).await.unwrap();
    let (partition, _) = send_all(&bus, (0..100).map(|n| record(&topic, "k", format!("{n:04}")))).await.remove(0);
    let too_large = bus.producer().unwrap().send(record(&topic, "k", noise(0, 1_100_000))).await;
    assert!(too_large.is_err());
    let shown = |name: &str, labels: &str| {
        let line = format!("{name}{{{labels}}} ");
        telemetry.metrics().unwrap().lines().find_map(|shown| shown.strip_prefix(&line)?.parse::<i64>().ok())
    };
    let by_topic = |name: &str| shown(name, &format!("topic=\"{topic}\""));
    assert_eq!(by_topic("weir_bus_sent_records_total"), Some(100));
    assert_eq!(by_topic("weir_bus_sent_bytes_total"), Some(500));
    assert_eq!(by_topic("weir_bus_send_errors_total"), Some(1));
    assert_eq!(by_topic("weir_bus_queued_records"), Some(0));
    assert_eq!(by_topic("weir_bus_queued_bytes"), Some(0));

    // A reader that is behind is told by how much, once it has heard how far it may read.
    let mut member = bus.group_consumer(&group, &[&topic]).unwrap();
    let labels = format!("group=\"{group}\",partition=\"{}\",topic=\"{topic}\"", partition.partition);
    let mut count = 0;
    loop {
        if let Event::Batch(batch) = member.next(1, TICK).await.unwrap() {
            count += batch.len() as i64;
        }
        assert_eq!(by_topic("weir_bus_received_records_total").unwrap_or(0), count);
        match shown("weir_bus_consumer_lag", &labels) {
            Some(lag) if count > 0 => break assert_eq!(lag, 100 - count),
            _ => assert!(count < 100, "read to the end, and never told"),
        }
        tokio::time::sleep(TICK).await;
    }
}

pub(crate) async fn topics_are_made_grown_and_removed(site: &Site) {
    let (bus, topic) = site.with_topic("admin").await;
    assert_eq!(bus.partitions(&topic).await.unwrap(), 4);
    let wants = |partitions| weir_bus::TopicSpec { partitions, ..bus.topic_spec(&topic) };
    bus.ensure_topics(&[wants(2)]).await.unwrap();
    assert_eq!(bus.partitions(&topic).await.unwrap(), 4);
    bus.ensure_topics(&[wants(6)]).await.unwrap();
    assert_eq!(bus.partitions(&topic).await.unwrap(), 6);
    let kept = weir_bus::TopicSpec { retention: Some(Duration::from_hours(1)), ..wants(6) };
    bus.ensure_topics(std::slice::from_ref(&kept)).await.unwrap();
    bus.ensure_topics(&[kept]).await.unwrap();
    bus.delete_topic(&topic).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !matches!(bus.partitions(&topic).await, Err(Error::Unknown(_))) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(TICK).await;
    }
    assert!(matches!(bus.delete_topic(&topic).await, Err(Error::Unknown(_))));
}

pub(crate) async fn old_records_go_by_age(site: &Site) {
    let (bus, topic) = (site.open().await, unique("age"));
    let spec = weir_bus::TopicSpec { retention: Some(Duration::from_secs(2)), ..bus.topic_spec(&topic) };
    bus.ensure_topics(&[spec]).await.unwrap();
    let (partition, _) = send_all(&bus, (0..10).map(|n| record(&topic, "k", n.to_string()))).await.remove(0);
    assert_eq!(bus.offsets(&partition).await.unwrap(), (0, 10));
    until_low(&bus, &partition, 10).await;
    // What comes after keeps its place in the order, and a reader of the beginning finds it.
    send_all(&bus, [record(&topic, "k", "fresh")]).await;
    let fresh = batch(&mut bus.consumer(&beginning(&topic)).unwrap()).await.remove(0);
    assert_eq!((text(&fresh), fresh.offset), ("fresh", 10));
}

pub(crate) async fn old_records_go_by_size(site: &Site) {
    let (bus, topic) = (site.open().await, unique("size"));
    let spec = weir_bus::TopicSpec { retention_bytes: Some(2 << 20), ..bus.topic_spec(&topic) };
    bus.ensure_topics(&[spec]).await.unwrap();
    let records = (0..40).map(|n| record(&topic, "k", noise(n, 1_000_000)));
    let (partition, _) = send_all(&bus, records).await.remove(0);
    // Kafka keeps a segment more than the limit: 18 MiB here.
    let low = until_low(&bus, &partition, 18).await;
    assert!(low < 40, "the newest stay");
    let first = batch(&mut bus.consumer(&beginning(&topic)).unwrap()).await.remove(0);
    assert!(first.offset >= low && first.value == noise(first.offset as u64, 1_000_000));
}

async fn until_low(bus: &weir_bus::Bus, partition: &Partition, at_least: i64) -> i64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (low, high) = bus.offsets(partition).await.unwrap();
        if low >= at_least {
            return low;
        }
        assert!(Instant::now() < deadline, "still there: {low} of {high}");
        tokio::time::sleep(TICK).await;
    }
}

/// Used by nobody but the compiler: a consumer may be handed to another task.
#[allow(dead_code)]
fn a_consumer_may_move(consumer: Consumer) -> impl Send {
    consumer
}
