use futures::StreamExt as _;
use std::path::Path;

use bytes::Bytes;
use opentelemetry::metrics::MeterProvider as _;
use prost::Message as _;
use weir_bus::{Event, Partition, Position, Record};
use weir_proto::header;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::AnyValue;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

use super::*;
use crate::snapshot::Needs;

fn context(data_dir: &Path) -> Context {
    Context {
        data_dir: data_dir.into(),
        meter: opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test"),
        health: weir_service::health::Health::default(),
        auth: weir_service::auth::Auth::off(),
    }
}

fn record(body: &str) -> Record {
    let line = LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000,
        body: Some(AnyValue { value: Some(Value::StringValue(body.into())) }),
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: vec![line], ..ScopeLogs::default() }];
    let request =
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    Record { topic: topic::LOGS.into(), value: request.encode_to_vec().into(), ..Record::default() }
}

async fn send(bus: &Bus, body: &str) {
    let producer = bus.producer().unwrap();
    producer.send(Record { partition: Some(0), ..record(body) }).await.unwrap().await.unwrap();
}

type Running = tokio::task::JoinHandle<Result<(), Error>>;

async fn start(context: &Context, bus: &Bus) -> (Handle, CancellationToken, Running) {
    let room = Indexer::open(Options::default(), context.clone(), bus.clone()).await.unwrap();
    let (handle, stop) = (room.handle(), CancellationToken::new());
    (handle, stop.clone(), tokio::spawn(room.run(stop)))
}

fn bodies(handle: &Handle) -> Vec<String> {
    let candidates =
        handle.logs().snapshot(&crate::store::everything()).candidates(&Needs::Anything, i64::MIN, i64::MAX).unwrap();
    let mut bodies: Vec<String> = candidates
        .iter()
        .flat_map(|c| c.lines().unwrap().iter().map(|line| line.body.text().into_owned()).collect::<Vec<_>>())
        .collect();
    bodies.sort();
    bodies
}

/// Until that many lines are there, within ten seconds.
async fn until(handle: &Handle, count: usize) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while bodies(handle).len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_is_on_the_bus_is_searchable_once_and_after_a_restart_and_poison_is_kept_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    bus.ensure_topics(&[bus.topic_spec(topic::LOGS)]).await.unwrap();
    let producer = bus.producer().unwrap();
    let send = async |record| producer.send(record).await.unwrap().await.unwrap();

    send(Record { partition: Some(0), ..record("one") }).await;
    send(Record { partition: Some(0), value: Bytes::from_static(b"\xff\xff"), ..record("") }).await;
    send(Record { partition: Some(0), ..record("two") }).await;
    let room = Indexer::open(Options::default(), context.clone(), bus.clone()).await.unwrap();
    let (handle, stop) = (room.handle(), CancellationToken::new());
    let running = tokio::spawn(room.run(stop.clone()));
    until(&handle, 2).await;
    let mut live = std::pin::pin!(handle.live.follow(crate::store::everything()));
    send(record("three")).await;
    loop {
        let Some(crate::api::tail::Seen::Lines(lines)) = live.next().await else { panic!("no lines") };
        // What a snapshot has already may come to the tail a moment later.
        if lines[0].body.text() == "three" {
            break;
        }
        assert_eq!(lines[0].body.text(), "two");
    }
    until(&handle, 3).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(bodies(&handle), ["one", "three", "two"]);
    drop(handle);

    send(record("four")).await;
    let room = Indexer::open(Options::default(), context, bus.clone()).await.unwrap();
    let (handle, stop) = (room.handle(), CancellationToken::new());
    assert_eq!(bodies(&handle), ["one", "three", "two"], "sealed on the way out");
    let running = tokio::spawn(room.run(stop.clone()));
    until(&handle, 4).await;
    assert_eq!(bodies(&handle), ["four", "one", "three", "two"]);
    stop.cancel();
    running.await.unwrap().unwrap();

    let partitions = 0..bus.partitions(topic::DEAD_LETTERS).await.unwrap();
    let all: Vec<_> =
        partitions.map(|p| Position { partition: Partition::new(topic::DEAD_LETTERS, p), offset: 0 }).collect();
    let Event::Batch(dead) = bus.consumer(&all).unwrap().next(10, Duration::from_secs(10)).await.unwrap() else {
        panic!("no dead letter");
    };
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].value, Bytes::from_static(b"\xff\xff"));
    assert_eq!(dead[0].header(header::DEAD_POSITION).unwrap(), &Bytes::from(format!("{}/0/1", topic::LOGS)));
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_read_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let send = async |body: &str| send(&bus, body).await;
    let start = async || start(&context, &bus).await;
    bus.ensure_topics(&[bus.topic_spec(topic::LOGS)]).await.unwrap();
    send("one").await;
    send("two").await;
    let (handle, stop, running) = start().await;
    until(&handle, 2).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    drop(handle);

    bus.delete_topic(topic::LOGS).await.unwrap();
    bus.ensure_topics(&[bus.topic_spec(topic::LOGS)]).await.unwrap();
    let (handle, stop, running) = start().await;
    tokio::time::timeout(Duration::from_secs(10), async {
        while handle.logs().position(0) != Some(0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    send("three").await;
    until(&handle, 3).await;
    assert_eq!(
        (bodies(&handle), handle.logs().position(0)),
        (["one", "three", "two"].map(String::from).into(), Some(1))
    );
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// The gaps of the log lines, within ten seconds.
async fn gaps(handle: &Handle) -> Vec<crate::store::Gap> {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let gaps = handle.logs().snapshot(&crate::store::everything()).gaps(i64::MIN, i64::MAX);
            if gaps.iter().any(|gap| gap.before_ms.is_some()) {
                return gaps;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn given_a_topic_that_is_made_anew_while_it_is_read_then_it_is_read_from_its_start_and_the_gap_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let send = async |body: &str| send(&bus, body).await;
    let start = async || start(&context, &bus).await;
    bus.ensure_topics(&[bus.topic_spec(topic::LOGS)]).await.unwrap();
    send("one").await;
    send("two").await;
    let (handle, stop, running) = start().await;
    until(&handle, 2).await;
    bus.delete_topic(topic::LOGS).await.unwrap();
    bus.ensure_topics(&[bus.topic_spec(topic::LOGS)]).await.unwrap();
    send("three").await;
    until(&handle, 3).await;
    let found = gaps(&handle).await;
    assert_eq!((found.len(), found[0].reason(), found[0].records()), (1, crate::store::Reason::Remade, None));
    assert!(found[0].after_ms.is_some() && found[0].after_ms <= found[0].before_ms, "{found:?}");
    stop.cancel();
    running.await.unwrap().unwrap();
    drop(handle);

    let (handle, stop, running) = start().await;
    assert_eq!(gaps(&handle).await, found);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn given_records_that_the_bus_dropped_before_they_were_read_then_they_are_counted_and_shown_as_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let retention = weir_bus::Retention { size: Some(16 << 20), ..Default::default() };
    let options = weir_bus::Options { retention, partitions: 1, ..Default::default() };
    let bus = Bus::open(&options, folder.path()).await.unwrap();
    bus.ensure_topics(&[bus.topic_spec(topic::LOGS)]).await.unwrap();
    let send = async |body: &str| send(&bus, body).await;
    send("one").await;
    let start = async || start(&context, &bus).await;
    let (handle, stop, running) = start().await;
    until(&handle, 1).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    drop(handle);
    let partition = Partition::new(topic::LOGS, 0);
    let large = |n: u64| {
        let mut state = n + 1;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (state >> 59) as u8 % 26)
        };
        (0..900_000).map(next).collect::<String>()
    };
    let mut sent = 0;
    while bus.offsets(&partition).await.unwrap().0 < 2 {
        send(&large(sent)).await;
        sent += 1;
        assert!(sent < 200, "the bus drops nothing");
    }
    let (handle, stop, running) = start().await;
    let found = gaps(&handle).await;
    let (low, _) = bus.offsets(&partition).await.unwrap();
    let missed = found.iter().filter_map(crate::store::Gap::records).sum::<u64>();
    assert!(missed >= 1 && missed < low as u64 && found[0].from == 1, "{found:?}, {low}");
    let lag = async || bus.lag("weir-indexer", &[topic::LOGS]).await.unwrap()[0].committed;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(lag().await, handle.logs().position(0), "what is on disk is told to the bus");
}

#[tokio::test]
async fn peers_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let null = weir_bus::Options { broker: weir_bus::Broker::Null, ..Default::default() };
    let bus = Bus::open(&null, folder.path()).await.unwrap();
    let options = Options { peers: vec!["other:7401".into()], ..Options::default() };
    let refused = Indexer::open(options, context(folder.path()), bus).await;
    assert!(refused.err().unwrap().to_string().contains("indexer.peers"));
}

#[tokio::test]
async fn a_partition_that_is_not_there_is_told_by_its_key_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let context = context(folder.path());
    let bus = Bus::open(&weir_bus::Options::default(), folder.path()).await.unwrap();
    let options = Options { partitions: crate::Partitions::List(vec![0, 99]), ..Options::default() };
    let room = Indexer::open(options, context.clone(), bus.clone()).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(room.run(stop.clone()));
    let told = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let waiting = context.health.waiting_for();
            if let Some(reason) = waiting.get("indexer logs").filter(|reason| *reason != "starting") {
                return reason.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    stop.cancel();
    running.await.unwrap().unwrap();
    let last = bus.partitions(topic::LOGS).await.unwrap() - 1;
    let want = format!("indexer.partitions: otlp_logs has no partition 99; its first is 0 and its last is {last}");
    assert!(told.ends_with(&want), "{told}");
}
