//! A collector with more to do than its limits allow: it keeps to them, works on, ends when it is told to, and nothing is
//! lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use prost::Message as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::topic;
use weir_tests::kafka::Kafka;
use weir_tests::{Api, Weir, messages, skip, until};

/// Cores, and bytes: little more than the program takes by itself without optimization.
const CPU: f64 = 0.1;
const MEMORY: u64 = 96 << 20;
/// So long it is under load; long beside what it may save up.
const LOAD: Duration = Duration::from_secs(10);
/// More than it reads meanwhile, each of so many lines.
const FILES: u64 = 8;
const LINES: u64 = 30_000;
/// Exports that are made at once, and logs in each of them.
const SENDERS: u64 = 8;
const LOGS: u64 = 100;
/// Of a line, and of a log.
const LINE_BYTES: usize = 500;
const LOG_BYTES: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_under_full_load_keeps_to_its_limits_and_loses_nothing() {
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("a_collector_under_full_load", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::open(&kafka.options(), &folder.path().join("bus")).await.unwrap();
    let logs = folder.path().join("logs");
    write(&logs);
    let config = |cpu, memory| {
        json!({
            "listen": "127.0.0.1:0",
            "bus": { "broker": "kafka", "brokers": kafka.brokers() },
            "collector": {
                "files": [{ "include": [logs.join("*.log")], "format": "plain" }],
                "otlp": { "grpc": null, "http": "127.0.0.1:0" },
                "limits": { "cpu": cpu, "memory": memory },
            },
        })
    };
    let mut collector = Weir::new("collector", &folder.path().join("weir"), &config(Some(CPU), Some(MEMORY))).unwrap();
    let ready = collector.start().await.unwrap();
    let url = format!("{}/v1/logs", ready.otlp_http.unwrap());
    let api = Api::new(&ready.http).unwrap();

    let (start, used) = (Instant::now(), collector.cpu_time().unwrap());
    let enough = CancellationToken::new();
    let senders: Vec<_> =
        (0..SENDERS).map(|sender| tokio::spawn(export(url.clone(), sender, enough.clone()))).collect();
    tokio::time::sleep(LOAD).await;
    let used = collector.cpu_time().unwrap().saturating_sub(used);
    let cores = used.as_secs_f64() / start.elapsed().as_secs_f64();
    let peak = collector.peak().unwrap();
    let held = held(&api).await;
    // It is still held back: senders do not stop, and the files are hardly read to their ends.
    assert!(collector.stop().await.unwrap().success());
    enough.cancel();
    let mut acknowledged = Vec::new();
    for sender in senders {
        acknowledged.push(sender.await.unwrap());
    }
    let before = on_the_bus(&bus).await;
    let of_files = before.iter().filter(|text| text.starts_with("line ")).count() as u64;
    eprintln!(
        "{cores:.3} cores, {} MiB, held back for {held} s; {of_files} lines, exports of senders: {acknowledged:?}",
        peak >> 20
    );
    assert!(cores <= CPU * 1.2, "{cores} cores of {CPU}");
    assert!(peak <= MEMORY, "{peak} bytes of {MEMORY}");
    assert!(held > 0.0 && of_files > 0, "held back for {held} s, {of_files} lines");
    assert!(acknowledged.iter().all(|exports| *exports > 0), "every sender is served: {acknowledged:?}");

    // Without limits it reads the rest, which is what was held back.
    let mut collector = Weir::new("collector", &folder.path().join("weir"), &config(None, None)).unwrap();
    collector.start().await.unwrap();
    let lines = (0..FILES).flat_map(|file| (0..LINES).map(move |line| format!("line {file} {line} ")));
    let exported = (0..SENDERS).zip(acknowledged);
    let exported = exported.flat_map(|(sender, exports)| (0..exports * LOGS).map(move |log| (sender, log)));
    let all: Vec<_> = lines.chain(exported.map(|(sender, log)| format!("log {sender} {log} "))).collect();
    let arrived = until(Duration::from_mins(2), || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let there = on_the_bus(&bus).await;
        all.iter().all(|text| there.contains(text)).then_some(())
    });
    arrived.await.expect("every line, and every log of an export that was acknowledged, is on the bus");
    assert!(collector.stop().await.unwrap().success());
}

fn write(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let fill = ".".repeat(LINE_BYTES);
    for file in 0..FILES {
        let mut text = String::new();
        for line in 0..LINES {
            writeln!(text, "line {file} {line} {fill}").unwrap();
        }
        std::fs::write(folder.join(format!("{file}.log")), text).unwrap();
    }
}

/// Exports one after the other, each until it is acknowledged, as senders do; how many were.
async fn export(url: String, sender: u64, enough: CancellationToken) -> u64 {
    let client = reqwest::Client::new();
    let fill = ".".repeat(LOG_BYTES);
    let mut acknowledged = 0;
    loop {
        let log = |log: u64| {
            let text = format!("log {sender} {} {fill}", acknowledged * LOGS + log);
            json!({ "body": { "stringValue": text } })
        };
        let logs: Vec<_> = (0..LOGS).map(log).collect();
        let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": logs }] }] }).to_string();
        loop {
            let request = client.post(&url).header("content-type", "application/json").body(body.clone());
            match request.send().await {
                Ok(answer) if answer.status().is_success() => break,
                // Again, after a while.
                Ok(answer) => assert!([429, 503].contains(&answer.status().as_u16()), "{answer:?}"),
                Err(_) => {}
            }
            let wait = tokio::time::sleep(Duration::from_millis(300));
            tokio::select! { () = enough.cancelled() => return acknowledged, () = wait => {} }
        }
        acknowledged += 1;
    }
}

/// Seconds for which its CPU time held it back, as it tells.
async fn held(api: &Api) -> f64 {
    let (_, text) = api.text("/metrics").await.unwrap();
    let told = text.lines().find_map(|line| line.strip_prefix("weir_collector_limited_seconds_total{limit=\"cpu\"} "));
    told.expect("it tells for how long").parse().unwrap()
}

/// The beginnings of all logs that are on the bus, up to their last blank.
async fn on_the_bus(bus: &Bus) -> HashSet<String> {
    let mut texts = HashSet::new();
    for message in messages(bus, topic::LOGS).await.unwrap() {
        let request = ExportLogsServiceRequest::decode(message.value).unwrap();
        for record in request.resource_logs.iter().flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records) {
            let Some(Value::StringValue(text)) = record.body.as_ref().and_then(|body| body.value.as_ref()) else {
                panic!("{record:?}")
            };
            texts.insert(text[..=text.rfind(' ').expect("a blank")].to_owned());
        }
    }
    texts
}
