//! Topics that take only smaller records than weir makes: each line is there, and not again and again; and who sends a
//! larger one over OTLP is told so.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use weir_bus::{Bus, TopicSpec};
use weir_proto::topic;
use weir_tests::kafka::Kafka;
use weir_tests::{Api, Weir, skip, until};

const LINES: usize = 1500;
/// The first of them do not compress: Kafka does not take them in a batch of the usual size.
const HARD: usize = 600;

/// Text that does not compress, or one that does.
fn line(number: usize) -> String {
    let mut text = format!("{number:06} ");
    let mut state = number as u64 + 1;
    for _ in 0..160 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = if number < HARD { state >> 16 } else { 7 };
        write!(text, "{word:012x}").unwrap();
    }
    text.push('\n');
    text
}

/// Topics that were there before weir, of records of 200,000 bytes as Kafka measures them.
async fn make_topics(kafka: &Kafka, folder: &std::path::Path) {
    let bus = Bus::open(&kafka.options(), folder).await.unwrap();
    let spec = |name| TopicSpec { max_message_bytes: Some(200_000 - (8 << 10)), ..bus.topic_spec(name) };
    bus.ensure_topics(&[topic::LOGS, topic::SPANS].map(spec)).await.unwrap();
}

/// Sends these bodies as log records of one request, which each have a resource of their own or share one.
async fn export(url: &str, bodies: &[String], apart: bool) -> Value {
    let records: Vec<_> = bodies.iter().map(|body| json!({"body": {"stringValue": body}})).collect();
    let resource = |records: &[Value]| json!({"scopeLogs": [{"logRecords": records}]});
    let resources: Vec<_> = records.chunks(if apart { 1 } else { records.len() }).map(resource).collect();
    let request = reqwest::Client::new().post(format!("{url}/v1/logs")).header("content-type", "application/json");
    let answer = request.body(json!({"resourceLogs": resources}).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// How often each line is found.
async fn seen(api: &Api) -> Vec<u32> {
    let mut seen = vec![0; LINES];
    let each = |hit: serde_json::Value| {
        // Others came over OTLP.
        if let Ok(number) = hit["body"].as_str().unwrap().split(' ').next().unwrap().parse::<usize>() {
            seen[number] += 1;
        }
    };
    api.each("", each).await.unwrap();
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_only_small_records_has_every_line_and_does_not_get_them_for_ever() {
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("small_records", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    make_topics(&kafka, folder.path()).await;
    let file = folder.path().join("a.log");
    std::fs::write(&file, (0..LINES).map(line).collect::<String>()).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": { "broker": "kafka", "brokers": kafka.brokers() },
        "collector": { "files": [{ "include": [file] }], "otlp": { "grpc": null, "http": "127.0.0.1:0" }, "host": null },
    });
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let all = until(Duration::from_mins(1), || async {
        let (_, answer) = api.get("/api/v1/collector/sources", &[]).await.ok()?;
        let whole = answer["total"]["waiting"] == 0 && answer["total"]["acknowledged"].as_u64()? > 0;
        (whole && seen(&api).await.iter().all(|&times| times > 0)).then_some(())
    });
    assert!(all.await.is_some(), "lines are missing: {}", weir.stderr());
    // What is found is as new as a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = seen(&api).await;
    // What is in a batch behind one that failed may be there twice, once.
    assert!(before.iter().all(|&times| times <= 2), "a line is there {:?} times", before.iter().max());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(seen(&api).await == before, "they come again: {}", weir.stderr());

    // Smaller batches are made, and what alone is too large is told by number, limit and topic.
    let url = ready.otlp_http.unwrap();
    let hard: Vec<_> = (0..HARD).map(|number| format!("otlp {}", line(number))).collect();
    assert_eq!(export(&url, &hard, false).await, json!({}));
    let wide: String = (0..100).map(line).collect();
    for apart in [true, false] {
        let partial = export(&url, &[wide.clone(), "otlp kept".to_owned(), wide.clone()], apart).await;
        let told = partial["partialSuccess"]["errorMessage"].as_str().unwrap();
        assert_eq!(partial["partialSuccess"]["rejectedLogRecords"], "2");
        assert!(told.starts_with("2 too large: ") && told.contains("191792 that otlp_logs takes"), "{told}");
    }
    let otlp = async || Some(api.count("otlp").await.ok()?).filter(|count| *count == HARD as u64 + 2);
    assert!(until(Duration::from_secs(30), otlp).await.is_some(), "{:?}", api.count("otlp").await);
    assert!(weir.stop().await.unwrap().success());
}
