//! A broker that takes only smaller records than weir makes: each line is there, and not again and again.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;
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

/// How often each line is found.
async fn seen(api: &Api) -> Vec<u32> {
    let mut seen = vec![0; LINES];
    let each = |hit: serde_json::Value| {
        seen[hit["body"].as_str().unwrap().split(' ').next().unwrap().parse::<usize>().unwrap()] += 1;
    };
    api.each("", each).await.unwrap();
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_only_small_records_has_every_line_and_does_not_get_them_for_ever() {
    let mut kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("small_records", &format!("{error:#}")),
    };
    kafka.configure("message.max.bytes=200000").unwrap();
    kafka.restart().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.log");
    std::fs::write(&file, (0..LINES).map(line).collect::<String>()).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": { "broker": "kafka", "brokers": kafka.brokers() },
        "collector": { "files": [{ "include": [file] }], "otlp": { "grpc": null, "http": null }, "host": null },
    });
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let api = Api::new(&weir.start().await.unwrap().http).unwrap();
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
    assert!(weir.stop().await.unwrap().success());
}
