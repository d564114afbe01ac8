//! What is wrong is refused with a reason or cut with a mark, and nothing else suffers: no panic, no loss beside it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use weir_tests::{Api, Weir, until};

const PATIENCE: Duration = Duration::from_mins(1);

fn config(logs: &Path) -> Value {
    json!({
        "listen": "127.0.0.1:0",
        "collector": {
            "files": [{ "include": [logs.join("*.log")] }],
            "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" },
        },
    })
}

fn cri(text: &[u8]) -> Vec<u8> {
    [b"2026-11-24T08:00:00.000000001Z stdout F ", text, b"\n"].concat()
}

async fn until_count(api: &Api, query: &str, count: u64) {
    let found = until(PATIENCE, || async { (api.count(query).await.ok()? >= count).then_some(()) }).await;
    assert!(found.is_some(), "{query}: {:?} instead of {count}", api.count(query).await);
    assert_eq!(api.count(query).await.unwrap(), count, "{query}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Http {
    client: reqwest::Client,
    url: String,
}

impl Http {
    async fn post(&self, signal: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Vec<u8>) {
        let mut request = self.client.post(format!("{}/v1/{signal}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// One whole request.
fn good() -> Value {
    json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{ "body": { "stringValue": "good neighbour" } }] }] }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_wrong_are_refused_and_others_arrive_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config(folder.path())).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let http = Http { client: reqwest::Client::new(), url: ready.otlp_http.unwrap() };
    let bomb = gzip(&vec![0; 512 << 20]);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes();
    let wrong = |text: &str| text.as_bytes().to_vec();
    let cases = [
        ("truncated protobuf", &[PROTOBUF][..], vec![0x0a, 0x20, 0x12, 0x1e], 400),
        ("no gzip", &[PROTOBUF, GZIP], wrong("plain"), 400),
        ("gzip that breaks off", &[PROTOBUF, GZIP], bomb[..1000].to_vec(), 413),
        ("a gzip bomb", &[PROTOBUF, GZIP], bomb, 413),
        ("a body over the limit", &[PROTOBUF], vec![0; 33 << 20], 413),
        ("JSON of the wrong shape", &[JSON], wrong(r#"{"resourceLogs": {"scopeLogs": 1}}"#), 400),
        ("no JSON", &[JSON], wrong("hello"), 400),
        ("JSON that breaks off", &[JSON], wrong(r#"{"resourceLogs": [{"#), 400),
        ("deep JSON", &[JSON], deep, 400),
        ("an unknown type", &[("content-type", "text/plain")], wrong("hello"), 415),
        ("an unknown encoding", &[JSON, ("content-encoding", "br")], wrong("{}"), 415),
    ];
    for (what, headers, body, expected) in cases {
        for signal in ["logs", "traces", "metrics"] {
            // Its field is unknown to the others, and unknown fields are left alone.
            if what == "JSON of the wrong shape" && signal != "logs" {
                continue;
            }
            let (status, answer) = http.post(signal, headers, body.clone()).await;
            let gzip_in_part = what == "gzip that breaks off" && status == 400;
            assert!(status == expected || gzip_in_part, "{what} as {signal}: {status}");
            assert!(answer.len() > 10, "{what} as {signal}: no reason is given");
        }
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    for _ in 0..300 {
        let mut body = vec![0; rng.random_range(0..2_000)];
        rng.fill_bytes(&mut body);
        let headers = [if rng.random() { PROTOBUF } else { JSON }];
        let (status, _) = http.post("traces", &headers, body).await;
        assert!(status == 200 || status == 400, "random bytes: {status}");
    }
    for (parameter, query) in [
        ("query", [("query", "(unclosed"), ("limit", "1")]),
        ("start", [("query", ""), ("start", "yesterday-ish")]),
        ("limit", [("query", ""), ("limit", "-1")]),
        ("order", [("query", ""), ("order", "sideways")]),
        ("cursor", [("query", ""), ("cursor", "@@@")]),
    ] {
        let (status, problem) = api.get("/api/v1/logs/search", &query).await.unwrap();
        assert_eq!((status, &problem["status"]), (400, &json!(400)), "{problem}");
        assert!(problem.to_string().contains(parameter), "{parameter} is not named: {problem}");
    }
    let (status, _) = http.post("logs", &[JSON], good().to_string().into_bytes()).await;
    assert_eq!(status, 200);
    until_count(&api, "\"good neighbour\"", 1).await;
    assert!(!weir.stderr().contains("panicked"), "{}", weir.stderr());
    assert!(weir.stop().await.unwrap().success(), "{}", weir.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_100_megabytes_is_cut_and_marked_and_its_neighbours_come_whole() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let long = vec![b'x'; 100 << 20];
    std::fs::write(logs.join("long.log"), [cri(b"before it"), cri(&long), cri(b"behind it")].concat()).unwrap();
    // The same in parts, as a runtime writes it.
    let mut parts = cri(b"before it");
    for _ in 0..20_000 {
        parts.extend_from_slice(b"2026-11-24T08:00:00.000000001Z stdout P ");
        parts.extend_from_slice(&long[..4_096]);
        parts.push(b'\n');
    }
    std::fs::write(logs.join("parts.log"), [parts, cri(b"its end"), cri(b"behind it")].concat()).unwrap();
    let strange = [cri(b"a\0b\0"), cri(b""), cri(b"\xff\xfe\0"), b"no prefix at all\n".to_vec(), cri(b"last")].concat();
    std::fs::write(logs.join("strange.log"), strange).unwrap();
    std::fs::write(logs.join("zeros.log"), [vec![0; 1 << 20], b"\n".to_vec(), cri(b"behind zeros")].concat()).unwrap();
    std::fs::create_dir(logs.join("folder.log")).unwrap();

    let mut config = config(&logs);
    config["collector"]["files"][0]["format"] = json!("cri");
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    until_count(&api, "\"before it\"", 2).await;
    until_count(&api, "\"behind it\"", 2).await;
    until_count(&api, "\"behind zeros\"", 1).await;
    until_count(&api, "resource.log.file.name:strange.log", 5).await;
    let cut = api.search("attributes.weir.truncated:true").await.unwrap();
    let mut of: Vec<_> = cut.iter().map(|hit| hit["resource"]["log.file.name"].as_str().unwrap()).collect();
    of.sort_unstable();
    of.dedup();
    assert!(of.contains(&"long.log") && of.contains(&"parts.log"), "{of:?}");
    for hit in &cut {
        let kept = hit["body"].as_str().unwrap().len();
        assert!((1..1_000_000).contains(&kept), "{kept} bytes are kept of a cut line");
    }
    let strange = api.search("resource.log.file.name:strange.log").await.unwrap();
    assert!(strange.iter().any(|hit| hit["body"] == "a\0b\0"), "{strange:?}");
    assert!(strange.iter().any(|hit| hit["body_bytes"] == "fffe00"), "{strange:?}");
    assert!(strange.iter().any(|hit| hit["body"] == "no prefix at all"), "{strange:?}");
    let (_, metrics) = api.text("/metrics").await.unwrap();
    assert!(metrics.lines().any(|line| line.contains("cut") && !line.starts_with('#') && !line.ends_with(" 0")));
    assert!(!weir.stderr().contains("panicked"), "{}", weir.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_turn_bad_or_vanish_leave_the_old_ones_at_work_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = |expr: &str| {
        format!("groups:\n  - name: test\n    interval: 1s\n    rules:\n      - alert: Always\n        expr: {expr}\n")
    };
    std::fs::write(rules.join("a.yaml"), rule("vector(1)")).unwrap();
    let mut config = config(&folder.path().join("logs"));
    config["alerter"] = json!({ "rules": [rules.join("*.yaml")] });
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let bad = || async {
        let (_, text) = api.text("/metrics").await.ok()?;
        text.lines().any(|line| line.starts_with("weir_rule_files_bad") && line.ends_with(" 1")).then_some(())
    };
    let names = || async {
        let (status, rules) = api.get("/api/v1/rules", &[]).await.ok()?;
        (status == 200 && rules.to_string().contains("Always")).then_some(rules)
    };
    assert!(until(PATIENCE, names).await.is_some());

    std::fs::write(rules.join("a.yaml"), rule("rate(oops[").replace("expr", "exrp")).unwrap();
    assert!(until(PATIENCE, bad).await.is_some(), "a typo is not told: {}", weir.stderr());
    assert!(weir.stderr().contains("a.yaml") && weir.stderr().contains("exrp"), "{}", weir.stderr());
    assert!(names().await.is_some(), "the old rules are gone");
    std::fs::write(rules.join("a.yaml"), rule("vector(2)")).unwrap();
    let taken = || async { names().await.filter(|rules| rules.to_string().contains("vector(2)")) };
    assert!(until(PATIENCE, taken).await.is_some(), "a mended file is not taken: {}", weir.stderr());

    std::fs::remove_dir_all(&rules).unwrap();
    assert!(until(PATIENCE, bad).await.is_some(), "a vanished folder is not told: {}", weir.stderr());
    assert!(taken().await.is_some(), "the old rules are gone with their folder");
    assert!(weir.stop().await.unwrap().success(), "{}", weir.stderr());
}
