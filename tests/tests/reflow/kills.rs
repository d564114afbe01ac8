//! weir is killed again and again while it captures, and its store goes away and loses answers: each row is there once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::s3::S3;
use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use weir_bus::{Bus, Options, Partition};
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, any_value};
use weir_proto::topic;
use weir_tests::weir::Ready;
use weir_tests::{Api, Weir, messages, number, until};

use super::dataset::{Dataset, check_clean};
use super::spans::{Span, client, export, id, post};

const PATIENCE: Duration = Duration::from_mins(1);
const RATIO: f64 = 0.3;
const BUCKET: &str = "lake";
/// Rows of a file that is larger than what is sent to a bucket in one piece, and bytes of each.
const LARGE_ROWS: usize = 14;
const LARGE_BYTES: usize = 900_000;

const CAPTURES: [&str; 4] = ["calls", "traces", "same-traces", "pairs"];

fn captures() -> Value {
    let of = |name: &str, query: &str, more: Value| {
        let mut capture = json!({
            "name": name, "query": query, "tenants": ["acme"], "from": "beginning", "when_full": "wait",
            "fields": { "span": "span_id", "trace": "trace_id" },
        });
        capture.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        capture
    };
    let sample = json!({ "ratio": RATIO, "by": "trace" });
    json!({ "captures": [
        of("calls", "service:ocr", json!({ "roll": { "rows": 40, "age": "1s" } })),
        of("traces", "service:chat", json!({ "format": "jsonl", "roll": { "rows": 60, "age": "1s" }, "sample": sample })),
        of("same-traces", "service:chat", json!({ "roll": { "rows": 500, "age": "2s" }, "sample": sample })),
        // Of what each part says alone, nothing is taken.
        of("pairs", "service:pairs AND attributes.request:* AND attributes.answer:*", json!({
            "fields": { "span": "span_id", "request": "attributes.request", "answer": "attributes.answer" },
            "join": { "within": "10s" }, "roll": { "rows": 50, "age": "1s" },
        })),
        of("large", "service:large", json!({
            "fields": { "span": "span_id", "text": "attributes.text" }, "roll": { "rows": LARGE_ROWS, "age": "1h" },
        })),
    ]})
}

fn weir(folder: &Path, store: &str) -> Weir {
    let file = folder.join("captures.yaml");
    std::fs::write(&file, captures().to_string()).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": { "otlp": { "grpc": null, "http": "127.0.0.1:0" }, "host": null, "gpu": null },
        "reflow": { "captures": [file], "store": store },
    });
    Weir::new("standalone", &folder.join("weir"), &config).unwrap()
}

/// What was acknowledged.
#[derive(Debug, Default)]
struct Sent {
    calls: BTreeSet<String>,
    /// Spans of each trace.
    traces: BTreeMap<String, BTreeSet<String>>,
    /// Of calls whose parts came apart.
    pairs: BTreeSet<String>,
    /// Requests that were sent once more.
    again: u64,
}

/// Sends until the address is taken away. The three spans of a trace come in requests that lie apart, of different
/// instances.
async fn feed(otlp: watch::Receiver<Option<String>>, seed: u64) -> Sent {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (client, mut sent) = (client(), Sent::default());
    let mut later: BTreeMap<u64, Vec<Span>> = BTreeMap::new();
    let mut answers: BTreeMap<u64, Vec<(u32, Span)>> = BTreeMap::new();
    let mut last = String::new();
    for n in 0.. {
        let is_over = otlp.borrow().is_none();
        if is_over && later.is_empty() && answers.is_empty() {
            return sent;
        }
        let mut parts = answers.remove(&n).unwrap_or_default();
        for _ in 0..if is_over { 0 } else { 5 } {
            let part = |span: &Span, name: &str| Span {
                attributes: super::spans::attributes(&json!({ name: span.id })),
                ..span.clone()
            };
            let (instance, span) = (rng.random_range(0..8), Span::new(&mut rng, Duration::from_millis(5)));
            parts.push((instance, part(&span, "request")));
            answers.entry(n + rng.random_range(1..20)).or_default().push((instance, part(&span, "answer")));
            sent.pairs.insert(span.id);
        }
        let calls: Vec<Span> = (0..20).map(|_| Span::new(&mut rng, Duration::from_millis(5))).collect();
        for _ in 0..if is_over { 0 } else { 10 } {
            let first = Span::new(&mut rng, Duration::from_millis(5));
            let apart = [0, rng.random_range(1..6), rng.random_range(6..12)];
            for after in apart {
                later.entry(n + after).or_default().push(Span { id: id(&mut rng, 8), ..first.clone() });
            }
        }
        let chats = later.remove(&n).unwrap_or_default();
        let (half, rest) = chats.split_at(chats.len() / 2);
        let mut instance = || rng.random_range(0..8);
        let mut resources = vec![
            export("ocr", "acme", instance(), &calls),
            export("chat", "acme", instance(), half),
            export("chat", "acme", instance(), rest),
            export("ocr", "globex", instance(), &calls),
        ];
        resources.extend(parts.into_iter().map(|(instance, part)| export("pairs", "acme", instance, &[part])));
        loop {
            if let Some(address) = otlp.borrow().clone() {
                last = address;
            }
            if post(&client, &last, &resources).await {
                break;
            }
            sent.again += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sent.calls.extend(calls.into_iter().map(|span| span.id));
        for span in chats {
            sent.traces.entry(span.trace).or_default().insert(span.id);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    sent
}

/// Copies of each span of acme on the bus, by service, and the end of each partition.
async fn on_bus(data_dir: &Path) -> (BTreeMap<String, BTreeMap<String, u64>>, BTreeMap<String, i64>) {
    let bus = Bus::open(&Options::default(), data_dir).await.unwrap();
    let mut copies: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for message in messages(&bus, topic::SPANS).await.unwrap() {
        let request = ExportTraceServiceRequest::decode(&message.value[..]).unwrap();
        for resource in request.resource_spans {
            let names = resource.resource.unwrap().attributes;
            let name = |wanted: &str| {
                let found = names.iter().find(|pair| pair.key == wanted).unwrap().value.clone().unwrap();
                text(&found)
            };
            if name("weir.tenant") != "acme" {
                continue;
            }
            let service = copies.entry(name("service.name")).or_default();
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                *service.entry(hex::encode(&span.span_id)).or_default() += 1;
            }
        }
    }
    let mut ends = BTreeMap::new();
    for number in 0..bus.partitions(topic::SPANS).await.unwrap() {
        let partition = Partition::new(topic::SPANS, number);
        ends.insert(format!("{}/{number}", topic::SPANS), bus.offsets(&partition).await.unwrap().1);
    }
    (copies, ends)
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

async fn rows(api: &Api, capture: &str) -> Option<u64> {
    let (status, answer) = api.get(&format!("/api/v1/captures/{capture}"), &[]).await.ok()?;
    (status == 200).then(|| answer["rows"].as_u64())?
}

/// Kills weir while it is fed; then all is there, once. `store` is where datasets lie as files.
async fn survives(mut weir: Weir, store: &Path, mut s3: Option<&mut S3>) {
    let (seed, kills) = (number("WEIR_E2E_SEED", 1), number("WEIR_E2E_KILLS", 8));
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut ready = weir.start().await.unwrap();
    let (address, otlp) = watch::channel(ready.otlp_http.clone());
    let feeding = tokio::spawn(feed(otlp, rng.random()));
    for kill in 0..kills {
        if let Some(s3) = s3.as_deref_mut().filter(|_| kill == kills / 2) {
            is_away(s3, &ready).await;
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..2_500))).await;
        weir.kill().unwrap();
        if rng.random_bool(0.25) {
            // Once more, while it starts.
            weir.spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..700))).await;
            weir.kill().unwrap();
        }
        ready = weir.start().await.unwrap();
        address.send_replace(ready.otlp_http.clone());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    address.send_replace(None);
    let sent = feeding.await.unwrap();
    if let Some(s3) = &s3 {
        s3.lose_answers(0);
        send_large(&ready, &mut rng).await;
    }
    let api = Api::new(&ready.http).unwrap();
    let wanted = sent.calls.len() as u64;
    let all = until(PATIENCE, || async { rows(&api, "calls").await.filter(|rows| *rows >= wanted) }).await;
    assert!(all.is_some(), "{:?} of {wanted} rows came", rows(&api, "calls").await);
    let wanted = sent.pairs.len() as u64;
    let all = until(PATIENCE, || async { rows(&api, "pairs").await.filter(|rows| *rows >= wanted) }).await;
    assert!(all.is_some(), "{:?} of {wanted} pairs came", rows(&api, "pairs").await);
    assert!(weir.stop().await.unwrap().success());
    weir.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(weir.stop().await.unwrap().success());
    check_clean(&weir.data_dir());

    let (copies, ends) = on_bus(&weir.data_dir()).await;
    let [calls, traces, same, pairs] = CAPTURES.map(|name| Dataset::read(&store.join(name)));
    for dataset in [&calls, &traces, &same, &pairs] {
        let mut reached = dataset.manifest["positions"].clone();
        // Of calls that may have more parts, the position is that of the oldest.
        for (partition, open) in dataset.manifest["unfinished"].as_object().into_iter().flatten() {
            assert_eq!(reached[partition], open["parts"][0][0]);
            reached[partition] = open["through"].clone();
        }
        assert_eq!(reached, json!(ends), "it is behind");
    }
    assert!(sent.calls.iter().all(|id| copies["ocr"].contains_key(id)), "what was acknowledged is on the bus");
    assert!(calls.count("span") == copies["ocr"], "a row for each copy on the bus");
    let taken: BTreeSet<&str> = traces.rows.iter().map(|row| row["trace"].as_str().unwrap()).collect();
    let whole: BTreeMap<String, u64> =
        taken.iter().flat_map(|trace| &sent.traces[*trace]).map(|span| (span.clone(), copies["chat"][span])).collect();
    assert!(traces.count("span") == whole, "traces are whole");
    assert!(same.count("span") == whole, "another capture of the same ratio has the same traces");
    assert!(pairs.count("span").into_iter().eq(sent.pairs.iter().map(|id| (id.clone(), 1))), "a row of each call");
    assert!(pairs.rows.iter().all(|row| row["request"] == row["span"] && row["answer"] == row["span"]));
    let (count, all) = (taken.len() as f64, sent.traces.len() as f64);
    assert!((count - all * RATIO).abs() < 4.0 * (all * RATIO * (1.0 - RATIO)).sqrt(), "{count} of {all} traces");
    let rows = calls.rows.len();
    eprintln!(
        "{kills} kills, {} requests sent again: {} calls in {rows} rows and {} files, {count} of {all} traces in {} files, \
         {} pairs in {}",
        sent.again,
        sent.calls.len(),
        calls.files,
        traces.files,
        pairs.rows.len(),
        pairs.files
    );
}

/// Values that no compression makes small.
async fn send_large(ready: &Ready, rng: &mut Xoshiro256PlusPlus) {
    let client = client();
    for _ in 0..LARGE_ROWS {
        let text: String = (0..LARGE_BYTES).map(|_| char::from(rng.random_range(b' '..b'~'))).collect();
        let text = text.replace(['\\', '"'], "x");
        let span =
            Span { attributes: super::spans::attributes(&json!({ "text": text })), ..Span::new(rng, Duration::ZERO) };
        assert!(post(&client, ready.otlp_http.as_ref().unwrap(), &[export("large", "acme", 0, &[span])]).await);
    }
}

/// The store is away for a while: weir stays ready, and what has nothing to do with it goes on.
async fn is_away(s3: &mut S3, ready: &Ready) {
    s3.stop().await;
    let api = Api::new(&ready.http).unwrap();
    let end = tokio::time::Instant::now() + Duration::from_secs(number("WEIR_OUTAGE", 6));
    let mut n = 0;
    while tokio::time::Instant::now() < end {
        n += 1;
        let pair = json!([{ "key": "service.name", "value": { "stringValue": "front" } }]);
        let record = json!({ "body": { "stringValue": format!("outage line {n} end") } });
        let body = json!({ "resourceLogs": [{ "resource": { "attributes": pair }, "scopeLogs": [{ "logRecords": [record] }] }] });
        let url = format!("{}/v1/logs", ready.otlp_http.as_ref().unwrap());
        assert_eq!(client().post(url).json(&body).send().await.unwrap().status(), 200);
        let query = format!("\"outage line {n} end\"");
        let found =
            until(Duration::from_secs(5), || async { api.count(&query).await.ok().filter(|count| *count == 1) });
        assert!(found.await.is_some(), "search is as ever");
        let (status, text) = api.text("/readyz").await.unwrap();
        assert_eq!(status, 200, "{text}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    s3.restart().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn given_kills_while_files_are_written_to_a_folder_then_each_row_is_in_one_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    survives(weir(folder.path(), store.to_str().unwrap()), &store, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_kills_and_an_outage_of_s3_then_each_row_is_in_one_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut s3 = S3::start(BUCKET).await.unwrap();
    s3.lose_answers(15);
    let weir = weir(folder.path(), &format!("s3://{BUCKET}/data/sets")).with_environment(s3.environment());
    let store = s3.folder().join("data/sets");
    survives(weir, &store, Some(&mut s3)).await;
    let large = Dataset::read(&store.join("large"));
    assert_eq!((large.rows.len(), large.files), (LARGE_ROWS, 1));
    let counts = s3.counts();
    let [puts, conditional, refused, multipart, lost] =
        [&counts.puts, &counts.conditional, &counts.refused, &counts.multipart, &counts.lost]
            .map(|count| count.load(std::sync::atomic::Ordering::Relaxed));
    eprintln!(
        "{puts} puts, {conditional} under a condition, {refused} refused, {multipart} in parts, {lost} answers lost"
    );
    assert!(conditional > 0 && multipart > 0 && lost > 0);
}
