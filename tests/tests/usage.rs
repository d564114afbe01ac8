//! A bill that reconciles: every hourly cell is what was called, whatever is killed on the way, and the proof says so.
//!
//! The number of calls comes from `WEIR_E2E_CALLS`, that of kills from `WEIR_E2E_KILLS`, the chance in them from
//! `WEIR_E2E_SEED`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use weir_bus::{Bus, Record};
use weir_proto::otlp::common::v1::any_value;
use weir_proto::otlp::trace::v1::{Span, Status};
use weir_proto::topic;
use weir_tests::kafka::Kafka;
use weir_tests::otlp::{attribute, spans_of, text};
use weir_tests::postgres::Postgres;
use weir_tests::{Api, SmallDisk, Weir, number, skip, until};
use weir_usage::cell::{Name, Sums};
use weir_usage::report::pieces;
use weir_usage::store::{Batch, CellKey, Store, StoreError, Window};

const HOUR: i64 = 3600;
const TENANTS: usize = 200;
const ROUTES: usize = 5;
/// Calls of one record.
const BATCH: usize = 100;
/// How late a call may come, in seconds.
const LATE: i64 = 600;
const PATIENCE: Duration = Duration::from_mins(3);

/// Tenant, service, interface, and start of the hour.
type Cell = (String, String, String, i64);
/// Calls, errors, input tokens, output tokens.
type Counts = [u64; 4];

/// Makes calls, and counts them itself.
struct Calls {
    rng: Xoshiro256PlusPlus,
    counts: BTreeMap<Cell, Counts>,
    /// When the calls of the next record end, about.
    at: i64,
}

impl Calls {
    fn new(seed: u64, at: i64) -> Self {
        Self { rng: Xoshiro256PlusPlus::seed_from_u64(seed), counts: BTreeMap::new(), at }
    }

    /// A record of one tenant: calls, of which some are late, and spans that are none.
    fn record(&mut self) -> Record {
        let tenant = format!("tenant-{}", self.rng.random_range(0..TENANTS));
        let service = ["chat", "ocr"][self.rng.random_range(0..2)];
        let mut spans = Vec::new();
        for _ in 0..BATCH {
            let late = if self.rng.random_bool(0.02) { self.rng.random_range(0..LATE) } else { 0 };
            let end = self.at - late;
            let route = format!("/v1/{}", self.rng.random_range(0..ROUTES));
            let tokens = [self.rng.random_range(0..2000_u64), self.rng.random_range(0..800)];
            let is_error = self.rng.random_bool(0.05);
            let cell = (tenant.clone(), service.to_owned(), format!("POST {route}"), end.div_euclid(HOUR) * HOUR);
            let counts = self.counts.entry(cell).or_default();
            for (to, more) in counts.iter_mut().zip([1, u64::from(is_error), tokens[0], tokens[1]]) {
                *to += more;
            }
            spans.push(self.span(&route, end, 2, is_error, tokens));
            if self.rng.random_bool(0.1) {
                // Its tokens are those of the call that it is a part of.
                spans.push(self.span("llm", end, 3, false, tokens));
            }
        }
        let request = spans_of(&tenant, service, spans);
        let key = format!("source-{}", self.rng.random_range(0..64_u32));
        Record {
            topic: Arc::from(topic::SPANS),
            key: Some(key.into()),
            value: request.encode_to_vec().into(),
            ..Record::default()
        }
    }

    fn span(&mut self, route: &str, end: i64, kind: i32, is_error: bool, [input, output]: [u64; 2]) -> Span {
        let end = end.unsigned_abs() * 1_000_000_000 + self.rng.random_range(0..1_000_000_000_u64);
        let whole = |key: &str, value: u64| attribute(key, any_value::Value::IntValue(value.try_into().unwrap()));
        Span {
            trace_id: self.rng.random::<[u8; 16]>().to_vec(),
            span_id: self.rng.random::<[u8; 8]>().to_vec(),
            name: route.to_owned(),
            kind,
            start_time_unix_nano: end - self.rng.random_range(1_000_000..900_000_000_u64),
            end_time_unix_nano: end,
            attributes: vec![
                text("http.request.method", "POST"),
                text("http.route", route),
                whole("gen_ai.usage.input_tokens", input),
                whole("gen_ai.usage.output_tokens", output),
            ],
            status: is_error.then(|| Status { code: 2, ..Status::default() }),
            ..Span::default()
        }
    }

    fn total(&self) -> u64 {
        self.counts.values().map(|counts| counts[0]).sum()
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// All hourly rows of a window, by pages.
async fn cells(api: &Api, start: i64, end: i64) -> anyhow::Result<BTreeMap<Cell, Counts>> {
    let (mut cells, mut cursor) = (BTreeMap::new(), String::new());
    let (start, end) = (start.to_string(), end.to_string());
    loop {
        let mut query = vec![("start", start.as_str()), ("end", &end), ("step", "hour"), ("limit", "10000")];
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let (status, page) = api.get("/api/v1/usage", &query).await?;
        anyhow::ensure!(status == 200, "{status}: {page}");
        for row in page["rows"].as_array().unwrap() {
            let name = |key: &str| row[key].as_str().unwrap().to_owned();
            let start = name("start").parse::<jiff::Timestamp>()?.as_second();
            let counts = ["calls", "errors", "input_tokens", "output_tokens"].map(|key| row[key].as_u64().unwrap());
            cells.insert((name("tenant"), name("service"), name("interface"), start), counts);
        }
        page["next_cursor"].as_str().unwrap_or_default().clone_into(&mut cursor);
        if cursor.is_empty() {
            return Ok(cells);
        }
    }
}

async fn total(api: &Api, start: i64, end: i64) -> Option<u64> {
    let query = [("start", start.to_string()), ("end", end.to_string()), ("by", "tenant".to_owned())];
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (status, page) = api.get("/api/v1/usage", &query).await.ok()?;
    (status == 200).then(|| page["totals"]["calls"].as_u64())?
}

/// `weir usage verify`: whether it is proven, and what it says.
async fn verify(file: &Path, key: &str) -> (bool, String) {
    let mut command = tokio::process::Command::new(weir_tests::weir::binary().unwrap());
    let output = command.args(["usage", "verify", "--key", key]).arg(file).output().await.unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

async fn kafka() -> Option<Kafka> {
    match Kafka::start().await {
        Ok(kafka) => Some(kafka),
        Err(error) => {
            skip("usage over Kafka", &format!("{error:#}"));
            None
        }
    }
}

/// Calls through Kafka, the fold and usage, while each of them is killed again and again.
async fn reconciles(store: &str, database: Option<&mut Postgres>) {
    let Some(mut kafka) = kafka().await else { return };
    let calls_wanted = number("WEIR_E2E_CALLS", 40_000);
    let kills = number("WEIR_E2E_KILLS", 6);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1));
    let folder = tempfile::tempdir().unwrap();
    let bus = json!({ "broker": "kafka", "brokers": kafka.brokers() });
    let config = json!({ "listen": "127.0.0.1:0", "bus": bus, "usage": { "store": store } });
    let mut usage = Weir::new("usage", &folder.path().join("usage"), &config).unwrap();
    let mut alerter = Weir::new("alerter", &folder.path().join("alerter"), &config).unwrap();
    let mut ready = usage.start().await.unwrap();
    alerter.start().await.unwrap();

    let sender = Bus::open(&kafka.options(), folder.path()).await.unwrap();
    let producer = sender.producer().unwrap();
    let begin = now() / HOUR * HOUR - 2 * HOUR;
    let mut calls = Calls::new(rng.random(), begin + LATE);
    let records = calls_wanted.div_ceil(BATCH as u64);
    let step = (2 * HOUR - 2 * LATE) as f64 / records as f64;
    let mut last: Vec<Record> = Vec::new();
    let mut database = database;
    for n in 0..records {
        calls.at = begin + LATE + (n as f64 * step) as i64;
        let record = calls.record();
        if rng.random_bool(0.03) && !last.is_empty() {
            // Once more, as a sender does that missed the answer.
            let again = last[rng.random_range(0..last.len())].clone();
            drop(producer.send(again).await.unwrap());
        }
        last.push(record.clone());
        if last.len() > 50 {
            last.remove(0);
        }
        drop(producer.send(record).await.unwrap());
        if kills > 0 && n % records.div_ceil(kills) == records.div_ceil(kills) / 2 {
            match rng.random_range(0..if database.is_some() { 4 } else { 3 }) {
                0 => {
                    usage.kill().unwrap();
                    ready = usage.start().await.unwrap();
                }
                1 => {
                    alerter.kill().unwrap();
                    alerter.start().await.unwrap();
                }
                2 => {
                    kafka.kill().unwrap();
                    kafka.restart().await.unwrap();
                }
                _ => {
                    let database = database.as_mut().unwrap();
                    database.kill().unwrap();
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    database.restart().unwrap();
                }
            }
        }
    }
    producer.flush().await.unwrap();

    let api = Api::new(&ready.http).unwrap();
    let (start, end) = (begin - HOUR, begin + 4 * HOUR);
    let want = calls.total();
    let all = until(PATIENCE, || async { (total(&api, start, end).await? >= want).then_some(()) }).await;
    let got = cells(&api, start, end).await.unwrap();
    let sum: u64 = got.values().map(|counts| counts[0]).sum();
    assert!(all.is_some(), "{sum} of {want} calls came");
    let wrong = got.iter().find(|(cell, counts)| calls.counts.get(*cell) != Some(counts));
    assert!(wrong.is_none(), "{wrong:?} instead of {:?}", wrong.map(|(cell, _)| calls.counts.get(cell)));
    assert_eq!(got.len(), calls.counts.len());

    let (status, proof) =
        api.get("/api/v1/usage/proof", &[("start", &start.to_string()), ("end", &end.to_string())]).await.unwrap();
    assert_eq!(status, 200, "{proof}");
    let (_, key) = api.get("/api/v1/usage/key", &[]).await.unwrap();
    let key = key["public_key"].as_str().unwrap();
    let file = folder.path().join("proof.json");
    std::fs::write(&file, proof.to_string()).unwrap();
    let (is_proven, told) = verify(&file, key).await;
    assert!(is_proven && told.contains(&format!("{want} calls")), "{told}");
    let mut forged: Value = proof.clone();
    let calls_of_row = forged["rows"][0]["calls"].as_u64().unwrap();
    forged["rows"][0]["calls"] = (calls_of_row + 1).into();
    std::fs::write(&file, forged.to_string()).unwrap();
    let (is_proven, told) = verify(&file, key).await;
    assert!(!is_proven, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_kills_of_everything_then_every_cell_in_sqlite_is_what_was_called() {
    reconciles("sqlite", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_kills_of_everything_then_every_cell_in_postgresql_is_what_was_called() {
    match Postgres::start() {
        Ok(mut postgres) => reconciles(&postgres.address(), Some(&mut postgres)).await,
        Err(error) => skip("usage in PostgreSQL", &format!("{error:#}")),
    }
}

/// Calls of a tenant that end now, over OTLP.
async fn call(ready: &weir_tests::weir::Ready, tenant: &str, calls: usize) {
    let now = weir_service::time::now_unix_nano();
    let pair = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let span = |n: usize| {
        json!({ "traceId": format!("{:016x}{n:016x}", now), "spanId": format!("{:016x}", n + 1), "kind": 2,
            "name": "POST /v1/chat", "startTimeUnixNano": (now - 5_000_000).to_string(), "endTimeUnixNano": now.to_string() })
    };
    let spans: Vec<Value> = (0..calls).map(span).collect();
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": [pair("weir.tenant", tenant), pair("service.name", "chat")] },
        "scopeSpans": [{ "spans": spans }],
    }]});
    let url = format!("{}/v1/traces", ready.otlp_http.as_ref().unwrap());
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// What a gateway is told of a tenant's next call.
async fn next_call(ready: &weir_tests::weir::Ready, tenant: &str) -> (u16, Value) {
    let entries = json!([{ "key": "tenant", "value": tenant }]);
    let body = json!({ "domain": "gate", "descriptors": [{ "entries": entries }] });
    let answer = reqwest::Client::new().post(format!("{}/json", ready.http)).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_quota_then_it_blocks_once_it_is_used_and_is_a_series_that_a_rule_alerts_on() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = folder.path().join("quotas.yaml");
    std::fs::write(&quotas, "quotas: [{tenant: acme, per: day, calls: 10}, {tenant: '*', per: month, calls: 1000}]")
        .unwrap();
    let rules = folder.path().join("rules.yaml");
    let rule = "{alert: QuotaUsed, expr: 'weir_quota_used_ratio{quota=\"calls\", per=\"day\"} >= 1'}";
    std::fs::write(&rules, format!("groups: [{{name: g, interval: 1s, rules: [{rule}]}}]")).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" }, "host": null },
        "alerter": { "rules": [rules], "lateness": "1s" },
        "usage": { "quotas": [quotas] },
    });
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    call(&ready, "acme", 9).await;
    call(&ready, "globex", 20).await;
    let used = |tenant: &'static str, wanted: u64| {
        let api = &api;
        until(PATIENCE, move || async move {
            let (_, answer) = api.get(&format!("/api/v1/quotas/{tenant}"), &[]).await.ok()?;
            (answer["quotas"][0]["used"] == wanted).then_some(answer)
        })
    };
    let answer = used("acme", 9).await.unwrap();
    assert_eq!(
        (&answer["quotas"][0]["remaining"], &answer["quotas"][0]["per"]),
        (&json!(1), &json!("day")),
        "{answer}"
    );
    assert_eq!(used("globex", 20).await.unwrap()["quotas"].as_array().unwrap().len(), 1);
    assert_eq!(next_call(&ready, "acme").await.0, 200);

    call(&ready, "acme", 1).await;
    let refused = until(PATIENCE, || async {
        let (status, answer) = next_call(&ready, "acme").await;
        (status == 429).then_some(answer)
    });
    let answer = refused.await.unwrap();
    assert_eq!((&answer["overallCode"], &answer["statuses"][0]["code"]), (&json!("OVER_LIMIT"), &json!("OVER_LIMIT")));
    assert_eq!(next_call(&ready, "globex").await.0, 200, "nobody else's");
    let alert = until(PATIENCE, || async {
        // Event time goes on with calls.
        call(&ready, "globex", 1).await;
        let alerts = api.alerts().await.ok()?;
        let alerts = alerts["alerts"].as_array()?.clone();
        alerts.into_iter().find(|alert| alert["labels"]["alertname"] == "QuotaUsed" && alert["state"] == "firing")
    });
    let alert = alert.await.unwrap();
    assert_eq!(alert["labels"]["tenant"], "acme");

    weir.kill().unwrap();
    let ready = weir.start().await.unwrap();
    let still = until(PATIENCE, || async { (next_call(&ready, "acme").await.0 == 429).then_some(()) });
    assert!(still.await.is_some(), "what was used is known after a crash");
    std::fs::write(&quotas, "quotas: [{tenant: acme, per: day, calls: 100}]").unwrap();
    let more = until(PATIENCE, || async { (next_call(&ready, "acme").await.0 == 200).then_some(()) });
    assert!(more.await.is_some(), "a changed file is taken");
}

/// A batch of calls of ever other interfaces, read up to `next`.
fn batch(next: u64) -> Batch {
    let mut batch = Batch::default();
    for n in 0..500 {
        let name = Name::new("acme", "chat", &format!("POST /v1/{next}/{n}"));
        let mut durations = weir_calls::Hdr::default();
        (0..50).for_each(|call| durations.record(call * call * 1000));
        batch.cells.insert(CellKey { hour: 0, name }, (Sums { calls: 50, ..Sums::default() }, durations));
    }
    let partition = weir_bus::Partition::new(topic::CALLS, 0);
    batch.positions.push(weir_bus::Position { partition, offset: i64::try_from(next).unwrap() });
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_full_disk_then_the_batch_waits_and_nothing_is_lost_or_counted_twice() {
    let name = "given_a_full_disk_then_the_batch_waits_and_nothing_is_lost_or_counted_twice";
    let Some(disk) = SmallDisk::mount(24) else { return skip(name, "only root may mount a small disk") };
    let store = Store::open("sqlite", &disk.path().join("usage")).await.unwrap();
    let mut state = store.state().await.unwrap();
    let mut written = 0;
    for round in 0..2 {
        let ballast = disk.fill().unwrap();
        let mut waiting = loop {
            let mut batch = batch(written + 1);
            match store.commit(&mut state, &mut batch).await {
                Ok(()) => written += 1,
                Err(StoreError::Database { .. }) => break batch,
                Err(error) => panic!("{error}"),
            }
            assert!(written < 200, "a full disk is noticed");
        };
        assert!(store.commit(&mut state, &mut waiting).await.is_err(), "and still in round {round}");
        std::fs::remove_file(&ballast).unwrap();
        store.commit(&mut state, &mut waiting).await.unwrap();
        written += 1;
    }
    let state = store.state().await.unwrap();
    assert_eq!(state.positions[0].offset, i64::try_from(written).unwrap());
    let everything = weir_service::auth::Auth::off().everything().unwrap();
    let picked = store.pick(&everything, Window::default()).await.unwrap();
    let sums = store.sums(&picked, &[pieces::of(0, HOUR)]).await.unwrap();
    let calls: u64 = sums[0].values().map(|sums| sums.calls).sum();
    assert_eq!(calls, written * 500 * 50);
}
