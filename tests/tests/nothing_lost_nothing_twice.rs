//! Every line that was written is in the index exactly once, whenever and however often the programs on its way are
//! killed.
//!
//! Sizes come from `WEIR_E2E_LINES`, `WEIR_E2E_KILLS` and `WEIR_E2E_SEED`. The machine is not switched off here, so
//! this does not prove that what was said to be durable had left the page cache.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use weir_tests::kafka::Kafka;
use weir_tests::{Api, Weir, number, skip, until};

#[tokio::test(flavor = "multi_thread")]
async fn standalone_killed_at_random_moments_indexes_every_line_exactly_once() {
    let run = Run::new();
    let mut weir = Weir::new("standalone", &run.folder().join("weir"), &run.config(&json!({}))).unwrap();
    weir.start().await.unwrap();
    let load = run.load();
    let mut rng = run.rng();
    for _ in 0..run.kills {
        tokio::time::sleep(pause(&mut rng)).await;
        weir.kill().unwrap();
        weir.spawn().unwrap();
    }
    let ready = weir.ready().await.unwrap();
    run.check(&load.await.unwrap(), &ready.http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_kafka_and_indexer_killed_in_turn_index_every_line_exactly_once() {
    let mut kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("collector_kafka_and_indexer_killed_in_turn", &format!("{error:#}")),
    };
    let run = Run::new();
    let config = run.config(&json!({ "broker": "kafka", "brokers": kafka.brokers() }));
    let mut collector = Weir::new("collector", &run.folder().join("collector"), &config).unwrap();
    let mut indexer = Weir::new("indexer", &run.folder().join("indexer"), &config).unwrap();
    collector.start().await.unwrap();
    indexer.start().await.unwrap();
    let load = run.load();
    let mut rng = run.rng();
    for turn in 0..run.kills.max(3) {
        tokio::time::sleep(pause(&mut rng)).await;
        match turn % 3 {
            0 => {
                collector.kill().unwrap();
                tokio::time::sleep(pause(&mut rng) / 3).await;
                collector.spawn().unwrap();
            }
            1 => {
                kafka.kill().unwrap();
                tokio::time::sleep(pause(&mut rng) / 3).await;
                kafka.restart().await.unwrap();
            }
            _ => {
                indexer.kill().unwrap();
                tokio::time::sleep(pause(&mut rng) / 3).await;
                indexer.spawn().unwrap();
            }
        }
    }
    let ready = indexer.ready().await.unwrap();
    run.check(&load.await.unwrap(), &ready.http).await;
}

fn pause(rng: &mut Xoshiro256PlusPlus) -> Duration {
    Duration::from_millis(rng.random_range(200..3_000))
}

/// Numbered lines in rotated files, and the search for each of them.
struct Run {
    lines: u64,
    kills: u64,
    seed: u64,
    folder: tempfile::TempDir,
}

impl Run {
    fn new() -> Self {
        Self {
            lines: number("WEIR_E2E_LINES", 20_000),
            kills: number("WEIR_E2E_KILLS", 4),
            seed: number("WEIR_E2E_SEED", 1),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn logs(&self) -> PathBuf {
        self.folder().join("logs")
    }

    fn rng(&self) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(self.seed)
    }

    fn config(&self, bus: &Value) -> Value {
        json!({
            "listen": "127.0.0.1:0",
            "bus": bus,
            "collector": {
                "files": [{ "include": [self.logs().join("*.log")], "format": "cri" }],
                "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" },
            },
            "indexer": { "seal": { "age": "2s", "size": "4MB" } },
        })
    }

    /// Writes the lines; half of the kills, at least, fall into the time of writing.
    fn load(&self) -> JoinHandle<Value> {
        let rate = (self.lines / (self.kills * 2).max(5)).max(1);
        let words = format!(
            "logs --dir={} --lines={} --rate={rate} --files=20 --rotate-every=3s --seed={}",
            self.logs().display(),
            self.lines,
            self.seed
        );
        tokio::spawn(async move { weir_tests::weir::load(&words.split(' ').collect::<Vec<_>>()).await.unwrap() })
    }

    /// Each number that `report` tells of comes back once, with the bytes that were written.
    async fn check(&self, report: &Value, url: &str) {
        let lines = self.lines;
        assert_eq!(report["lines"], lines);
        let api = Api::new(url).unwrap();
        let within = Duration::from_secs(60 + lines / 2_000);
        until(within, || async { (api.count("").await.ok()? >= lines).then_some(()) }).await;
        let mut seen = vec![0_u32; usize::try_from(lines).unwrap()];
        let mut checksum = 0_u64;
        for hit in api.search("").await.unwrap() {
            let body = hit["body"].as_str().unwrap();
            let number = weir::load::lines::sequence(body);
            let number = number.unwrap_or_else(|| panic!("not a line that was written: {body}"));
            seen[usize::try_from(number).unwrap()] += 1;
            checksum = checksum.wrapping_add(weir::load::logs::hash(body.as_bytes()));
        }
        let such =
            |wrong: &dyn Fn(u32) -> bool| -> Vec<usize> { (0..seen.len()).filter(|n| wrong(seen[*n])).collect() };
        for (what, numbers) in [("lost", such(&|times| times == 0)), ("there twice", such(&|times| times > 1))] {
            let few = &numbers[..numbers.len().min(10)];
            assert!(numbers.is_empty(), "{} of {lines} lines are {what}, such as {few:?}", numbers.len());
        }
        assert_eq!(report["checksum"], format!("{checksum:016x}"), "a line came back with other bytes");
    }
}
