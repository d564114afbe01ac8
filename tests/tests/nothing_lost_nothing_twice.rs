//! Every line that was written is in the index exactly once, whenever and however often weir is killed.
//!
//! Sizes come from `WEIR_E2E_LINES`, `WEIR_E2E_KILLS` and `WEIR_E2E_SEED`. The machine is not switched off here, so
//! this does not prove that what was said to be durable had left the page cache.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use weir_tests::{Api, Weir, number, until};

#[tokio::test(flavor = "multi_thread")]
async fn standalone_killed_at_random_moments_indexes_every_line_exactly_once() {
    let lines = number("WEIR_E2E_LINES", 20_000);
    let kills = number("WEIR_E2E_KILLS", 4);
    let seed = number("WEIR_E2E_SEED", 1);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": {
            "files": [{ "include": [logs.join("*.log")], "format": "cri" }],
            "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" },
        },
        "indexer": { "seal": { "age": "2s", "size": "4MB" } },
    });
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    weir.start().await.unwrap();

    // Half of the kills, at least, fall into the time of writing.
    let rate = (lines / (kills * 2).max(5)).max(1);
    let words = [
        "logs".to_owned(),
        format!("--dir={}", logs.display()),
        format!("--lines={lines}"),
        format!("--rate={rate}"),
        "--files=20".to_owned(),
        "--rotate-every=3s".to_owned(),
        format!("--seed={seed}"),
    ];
    let load = tokio::spawn(async move {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        weir_tests::weir::load(&words).await
    });
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(rng.random_range(200..3_000))).await;
        weir.kill().unwrap();
        weir.spawn().unwrap();
    }
    let ready = weir.ready().await.unwrap();
    let report = load.await.unwrap().unwrap();
    assert_eq!(report["lines"], lines);

    let api = Api::new(&ready.http).unwrap();
    let within = Duration::from_secs(60 + lines / 2_000);
    until(within, || async { (api.count("").await.ok()? >= lines).then_some(()) }).await;
    let mut seen = vec![0_u32; lines as usize];
    let mut checksum = 0_u64;
    for hit in api.search("").await.unwrap() {
        let body = hit["body"].as_str().unwrap();
        let number = weir::load::lines::sequence(body).unwrap_or_else(|| panic!("not a line that was written: {body}"));
        seen[usize::try_from(number).unwrap()] += 1;
        checksum = checksum.wrapping_add(weir::load::logs::hash(body.as_bytes()));
    }
    let lost: Vec<_> = (0..seen.len()).filter(|n| seen[*n] == 0).collect();
    let twice: Vec<_> = (0..seen.len()).filter(|n| seen[*n] > 1).collect();
    assert!(lost.is_empty(), "{} of {lines} lines lost, such as {:?}", lost.len(), &lost[..lost.len().min(10)]);
    assert!(
        twice.is_empty(),
        "{} of {lines} lines came twice, such as {:?}",
        twice.len(),
        &twice[..twice.len().min(10)]
    );
    assert_eq!(report["checksum"], format!("{checksum:016x}"), "a line came back with other bytes");
}
