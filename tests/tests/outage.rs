//! Kafka away under load of files and of OTLP: each line and each log is in the index once when it is back, and the
//! collector's memory did not grow with what came meanwhile.
//!
//! How long it is away comes from `WEIR_OUTAGE`, in seconds. Exports that find no room anywhere are not made here: they
//! are refused, which the collector's own tests show.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir_tests::kafka::Kafka;
use weir_tests::{Api, Weir, number, skip, until};

/// Lines a second, and exports a second.
const LINES: u64 = 500;
const EXPORTS: u64 = 20;
/// Logs in an export.
const LOGS: u64 = 10;
/// Of a line and of a log: of each kind more comes in ten seconds than may wait in memory for Kafka (32 MiB).
const LINE_BYTES: u64 = 8_000;
const LOG_BYTES: usize = 20_000;
/// What the collector may have in memory at any time, however long Kafka is away: what may be on its way there
/// (24 MiB), as it was read, as librdkafka copies it and as it is packed, and the program itself.
const PEAK: u64 = 144 << 20;
/// Bytes of files that come in a second; the spool packs what it holds.
const A_SECOND: u64 = LINES * LINE_BYTES;
/// Before and after the time without Kafka.
const AROUND: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn kafka_away_under_load_loses_nothing_and_memory_stays_flat() {
    let mut kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("kafka_away_under_load", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": { "broker": "kafka", "brokers": kafka.brokers() },
        "collector": {
            "files": [{ "include": [logs.join("*.log")], "format": "cri" }],
            "otlp": { "grpc": null, "http": "127.0.0.1:0", "spool": { "size": "8GB" } },
        },
        "indexer": { "seal": { "age": "2s", "size": "4MB" } },
    });
    let mut collector = Weir::new("collector", &folder.path().join("collector"), &config).unwrap();
    let mut indexer = Weir::new("indexer", &folder.path().join("indexer"), &config).unwrap();
    let ready = collector.start().await.unwrap();
    let (otlp, metrics) = (ready.otlp_http.unwrap(), Api::new(&ready.http).unwrap());
    let api = Api::new(&indexer.start().await.unwrap().http).unwrap();

    let away = Duration::from_secs(number("WEIR_OUTAGE", 10));
    let seconds = (AROUND + away + AROUND).as_secs();
    let (lines, exports) = (LINES * seconds, EXPORTS * seconds);
    let words = format!(
        "logs --dir={} --lines={lines} --rate={LINES} --files=5 --line-bytes={LINE_BYTES} --rotate-size=20000000",
        logs.display()
    );
    let files =
        tokio::spawn(async move { weir_tests::weir::load(&words.split(' ').collect::<Vec<_>>()).await.unwrap() });
    let sender = tokio::spawn(export(otlp, exports));

    tokio::time::sleep(AROUND).await;
    kafka.kill().unwrap();
    tokio::time::sleep(away).await;
    let (peak, behind) = (collector.peak().unwrap() >> 20, waiting(&metrics).await.unwrap());
    let (cpu, since) = (collector.cpu_time().unwrap().as_secs_f64(), Instant::now());
    kafka.restart().await.unwrap();
    let within = Duration::from_mins(2) + 2 * away;
    let in_step = until(within, || async { (waiting(&metrics).await? < A_SECOND).then_some(()) });
    in_step.await.expect("what came meanwhile is on Kafka");
    let (took, cpu) = (since.elapsed().as_secs_f64(), collector.cpu_time().unwrap().as_secs_f64() - cpu);
    let megabytes = behind as f64 / 1e6;
    eprintln!(
        "{megabytes:.0} MB waited, and were on Kafka {took:.1} s after it was started: {:.0} MB/s, {:.0} MB a CPU second",
        megabytes / took,
        megabytes / cpu
    );
    let report = files.await.unwrap();
    sender.await.unwrap();

    let all = lines + exports * LOGS;
    let arrived = until(within, || async { (api.count("").await.ok()? >= all).then_some(()) });
    if arrived.await.is_none() {
        // What is missing is told below.
        eprintln!("{:?} of {all} arrived within {within:?}", api.count("").await);
    }
    let (mut of_files, mut of_otlp) = (vec![0_u32; lines as usize], vec![0_u32; (exports * LOGS) as usize]);
    let mut checksum = 0_u64;
    let each = |hit: Value| {
        let body = hit["body"].as_str().unwrap();
        if let Some(rest) = body.strip_prefix("otlp ") {
            of_otlp[rest.split(' ').next().unwrap().parse::<usize>().unwrap()] += 1;
        } else {
            of_files[weir::load::lines::sequence(body).expect(body) as usize] += 1;
            checksum = checksum.wrapping_add(weir::load::logs::hash(body.as_bytes()));
        }
    };
    api.each("", each).await.unwrap();
    for (kind, seen) in [("lines", of_files), ("logs of OTLP", of_otlp)] {
        let wrong: Vec<_> = seen.iter().enumerate().filter(|(_, times)| **times != 1).take(10).collect();
        assert!(wrong.is_empty(), "of {} {kind} these are not there once (number, times): {wrong:?}", seen.len());
    }
    assert_eq!(report["checksum"], format!("{checksum:016x}"), "a line came back with other bytes");
    let later = collector.peak().unwrap() >> 20;
    let told = format!("{peak} MiB while Kafka was away, {later} MiB in all; {} MiB are stated", PEAK >> 20);
    eprintln!("{told}");
    assert!(later < PEAK >> 20, "{told}");
}

/// Bytes of files and of the spool that are not on Kafka.
async fn waiting(metrics: &Api) -> Option<u64> {
    let (_, text) = metrics.text("/metrics").await.ok()?;
    let of_these = ["weir_collector_source_waiting_bytes", "weir_collector_otlp_spool_bytes"];
    let lines = text.lines().filter(|line| of_these.iter().any(|name| line.starts_with(name)));
    lines.map(|line| line.rsplit(' ').next()?.parse::<f64>().ok().map(|bytes| bytes as u64)).sum()
}

/// Exports one after the other, each until it is acknowledged.
async fn export(url: String, exports: u64) {
    let client = reqwest::Client::new();
    let mut pace = tokio::time::interval(Duration::from_secs(1) / EXPORTS as u32);
    let fill = ".".repeat(LOG_BYTES);
    for export in 0..exports {
        pace.tick().await;
        let log = |log: u64| json!({ "body": { "stringValue": format!("otlp {} {fill}", export * LOGS + log) } });
        let logs: Vec<Value> = (0..LOGS).map(log).collect();
        let name = json!({ "key": "service.name", "value": { "stringValue": "ocr" } });
        let body = json!({ "resourceLogs": [{
            "resource": { "attributes": [name] },
            "scopeLogs": [{ "logRecords": logs }],
        }]});
        let taken = until(Duration::from_mins(1), || async {
            client.post(format!("{url}/v1/logs")).json(&body).send().await.ok()?.status().is_success().then_some(())
        });
        taken.await.expect("exports are taken at any time");
    }
}
