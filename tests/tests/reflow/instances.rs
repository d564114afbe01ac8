//! Instances share out the partitions and one store: each row is in one file of all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use weir_bus::{Bus, Record};
use weir_proto::otlp::trace::v1::Span;
use weir_proto::topic;
use weir_tests::kafka::Kafka;
use weir_tests::otlp::spans_of;
use weir_tests::{Api, Weir, number, skip, until};

use super::dataset::{Dataset, check_clean};

const PATIENCE: Duration = Duration::from_mins(1);
/// Spans of one record.
const BATCH: usize = 20;

/// A record of one of many sources, so that all partitions have some; `ids` are counted.
fn record(rng: &mut Xoshiro256PlusPlus, ids: &mut BTreeMap<String, u64>) -> Record {
    let end = u64::try_from(weir_service::time::now_unix_nano()).unwrap();
    let mut span = || {
        let id = rng.random::<[u8; 8]>().to_vec();
        ids.insert(hex::encode(&id), 1);
        let trace_id = rng.random::<[u8; 16]>().to_vec();
        let (start_time_unix_nano, end_time_unix_nano) = (end - 1_000_000, end);
        Span { trace_id, span_id: id, name: "call".into(), start_time_unix_nano, end_time_unix_nano, ..Span::default() }
    };
    let request = spans_of("acme", "chat", (0..BATCH).map(|_| span()).collect());
    Record {
        topic: Arc::from(topic::SPANS),
        key: Some(format!("source-{}", rng.random_range(0..64_u32)).into()),
        value: request.encode_to_vec().into(),
        ..Record::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_two_instances_of_which_one_is_killed_then_each_row_is_in_one_file_of_both() {
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("instances of reflow on Kafka", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("captures.yaml"), folder.path().join("store"));
    let capture = json!({
        "name": "calls", "tenants": ["*"], "fields": { "span": "span_id" }, "from": "beginning",
        "roll": { "rows": 150, "age": "1s" },
    });
    std::fs::write(&file, json!({ "captures": [capture] }).to_string()).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": { "broker": "kafka", "brokers": kafka.brokers() },
        "reflow": { "captures": [file], "store": store },
    });
    let mut instances: Vec<Weir> =
        ["one", "two"].map(|name| Weir::new("reflow", &folder.path().join(name), &config).unwrap()).into();
    let ready = instances[0].start().await.unwrap();
    instances[1].start().await.unwrap();

    let bus = Bus::open(&kafka.options(), folder.path()).await.unwrap();
    let producer = bus.producer().unwrap();
    let (kills, mut rng) = (number("WEIR_E2E_KILLS", 3), Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1)));
    let mut ids = BTreeMap::new();
    for _ in 0..=kills {
        let end = tokio::time::Instant::now() + Duration::from_millis(rng.random_range(1_000..4_000));
        while tokio::time::Instant::now() < end {
            producer.send(record(&mut rng, &mut ids)).await.unwrap().await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The first goes on, so that it can be asked.
        instances[1].kill().unwrap();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..1_000))).await;
        instances[1].start().await.unwrap();
    }
    let api = Api::new(&ready.http).unwrap();
    let wanted = ids.len() as u64;
    let rows = || async { Some(api.get("/api/v1/captures/calls", &[]).await.ok()?.1["rows"].as_u64().unwrap_or(0)) };
    let all = until(PATIENCE, || async { rows().await.filter(|rows| *rows >= wanted) }).await;
    assert!(all.is_some(), "{:?} of {wanted} rows came", rows().await);
    for instance in &mut instances {
        assert!(instance.stop().await.unwrap().success());
        check_clean(&instance.data_dir());
    }
    let calls = Dataset::read(&store.join("calls"));
    assert!(calls.count("span") == ids, "{} rows of {wanted} spans", calls.rows.len());
    let writers = |file: &serde_json::Value| file["name"].as_str().unwrap().split('-').nth(1).unwrap()[..8].to_owned();
    let files = calls.manifest["files"].as_array().unwrap();
    let writers: std::collections::BTreeSet<String> = files.iter().map(writers).collect();
    assert_eq!(writers.len(), 2, "both wrote");
    eprintln!("{kills} kills: {wanted} rows in {} files of both instances", calls.files);
}
