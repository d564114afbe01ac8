//! An export that was acknowledged arrives, though Kafka is away and the collector is killed meanwhile.
//!
//! The machine is not switched off here, so this does not prove that what was said to be durable had left the page
//! cache.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use weir_bus::spool::{Refused, Spool, Spooled};
use weir_bus::{Broker, Bus, Options, Record};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::topic;
use weir_tests::kafka::Kafka;
use weir_tests::{Api, SmallDisk, Weir, messages, skip, until};

const LINES: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_while_kafka_was_away_arrives_though_the_collector_is_killed() {
    let mut kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("what_was_acknowledged_while_kafka_was_away", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let [http, otlp] = free_ports();
    let config = json!({
        "listen": http.to_string(),
        "bus": { "broker": "kafka", "brokers": kafka.brokers() },
        "collector": { "otlp": { "grpc": null, "http": otlp.to_string() } },
    });
    let mut collector = Weir::new("collector", folder.path(), &config).unwrap();
    collector.start().await.unwrap();
    // It sets up TLS for all clients, though none uses it here.
    let api = Api::new(&format!("http://{http}")).unwrap();
    let sender = Sender { client: reqwest::Client::new(), url: format!("http://{otlp}/v1/logs") };

    sender.send(0..50).await;
    kafka.kill().unwrap();
    // The bus goes away beneath a collector that had it, and was never there for the two that start after it.
    sender.send(50..150).await;
    assert!(spooled(&api).await > 0.0);
    collector.kill().unwrap();
    collector.spawn().unwrap();
    sender.send(150..250).await;
    assert!(spooled(&api).await >= 200.0, "what an earlier process took is still there");
    collector.kill().unwrap();
    collector.spawn().unwrap();
    sender.send(250..300).await;

    kafka.restart().await.unwrap();
    sender.send(300..LINES).await;
    let drained = until(Duration::from_mins(1), || async { (spooled(&api).await == 0.0).then_some(()) });
    drained.await.expect("the spool drains by itself");
    assert!(collector.stop().await.unwrap().success());

    let numbers = on_the_bus(&kafka).await;
    let mut last = None;
    let mut seen = HashMap::<u64, u32>::new();
    for number in numbers {
        *seen.entry(number).or_default() += 1;
        if seen[&number] == 1 {
            assert!(last < Some(number), "{number} came first after {last:?}");
            last = Some(number);
        }
    }
    let lost: Vec<_> = (0..LINES).filter(|number| !seen.contains_key(number)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing_that_was_taken() {
    let name = "a_full_disk_refuses_and_loses_nothing_that_was_taken";
    let Some(disk) = SmallDisk::mount(16) else { return skip(name, "only root may mount a small disk") };
    // Nothing listens there.
    let brokers = Some("127.0.0.1:1".to_owned());
    let bus = Bus::open(&Options { broker: Broker::Kafka, brokers, ..Options::default() }, disk.path()).await.unwrap();
    let path = disk.path().join("spool");
    let open = || async { Spool::open(&bus, &path, Some(1 << 30)).await.unwrap().unwrap() };
    let spool = open().await;
    let append = |number: u64| {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(number);
        let value: Vec<u8> = std::iter::repeat_with(|| rng.random()).take(50_000).collect();
        let record = Record { topic: topic::LOGS.into(), value: value.into(), ..Record::default() };
        spool.append(vec![Spooled { record, delivery: None }])
    };
    let mut taken = 0;
    for round in [4, 2, 1] {
        let ballast = disk.path().join("ballast");
        std::fs::write(&ballast, vec![1; round << 20]).unwrap();
        loop {
            match append(taken).await {
                Ok(()) => taken += 1,
                Err(Refused::Full) => break,
                Err(refused) => panic!("{refused}"),
            }
            assert!(taken < 1_000, "a full disk is noticed");
        }
        assert!(spool.status().is_full);
        std::fs::remove_file(&ballast).unwrap();
        append(taken).await.unwrap_or_else(|refused| panic!("with {round} MiB of room again: {refused}"));
        taken += 1;
        assert!(!spool.status().is_full);
    }
    assert_eq!(spool.status().records, taken);
    let status = open().await.status();
    assert_eq!((status.records, status.damaged, status.lost), (taken, 0, 0));
}

/// Exports of one line each: one at a time, as a sender that waits for its answers.
struct Sender {
    client: reqwest::Client,
    url: String,
}

impl Sender {
    /// Tries again only what was not acknowledged.
    async fn send(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
            let body = json!({ "resourceLogs": [{
                "resource": { "attributes": [attribute("service.name", "ocr")] },
                "scopeLogs": [{ "logRecords": [{ "body": { "stringValue": number.to_string() } }] }],
            }]});
            let taken = until(Duration::from_mins(1), || async {
                let answer = self.client.post(&self.url).json(&body).send().await.ok()?;
                answer.status().is_success().then_some(())
            });
            taken.await.expect("exports are taken at any time");
        }
    }
}

/// Bus records in the spool, as its metrics tell.
async fn spooled(api: &Api) -> f64 {
    let told = until(Duration::from_secs(30), || async {
        let (_, text) = api.text("/metrics").await.ok()?;
        let line = text.lines().find(|line| line.starts_with("weir_collector_otlp_spool_records"))?;
        line.rsplit(' ').next()?.parse().ok()
    });
    told.await.expect("the spool tells of itself")
}

async fn on_the_bus(kafka: &Kafka) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&kafka.options(), folder.path()).await.unwrap();
    let mut numbers = Vec::new();
    for message in messages(&bus, topic::LOGS).await.unwrap() {
        let request: ExportLogsServiceRequest = prost::Message::decode(message.value).unwrap();
        let records = request.resource_logs.iter().flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records);
        for record in records {
            use weir_proto::otlp::common::v1::any_value::Value;
            let Some(Value::StringValue(text)) = record.body.as_ref().and_then(|body| body.value.as_ref()) else {
                panic!("{record:?}")
            };
            numbers.push(text.parse().unwrap());
        }
    }
    numbers
}

/// Addresses that stay the same over restarts.
fn free_ports() -> [SocketAddr; 2] {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // Both are held until both are known, or they might be the same.
    [bind(), bind()].map(|listener| listener.local_addr().unwrap())
}
