//! Calls, rules and receivers that are wrong harm nobody else: memory is bounded, what is not taken is counted, and the
//! alerts of others are told as ever.
//!
//! The number of names of one tenant comes from `WEIR_E2E_NAMES`.

#![allow(clippy::unwrap_used, clippy::float_cmp, clippy::print_stdout, reason = "helpers of tests; counts are exact")]

use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};
use weir_proto::otlp::trace::v1::{Span, Status};
use weir_tests::otlp::spans_of;
use weir_tests::{Api, Webhook, Weir, number, until};

const PATIENCE: Duration = Duration::from_mins(1);
const SECOND: u64 = 1_000_000_000;
const YEAR_2100: u64 = 4_102_444_800 * SECOND;
/// Spans of one request.
const BATCH: u64 = 1_000;
/// The most memory, in MB, whatever the number of names is.
const MEMORY: u64 = 700;

const RULES: &str = r#"
groups:
  - name: everything
    interval: 1s
    rules:
      - {alert: Everything, expr: '{__name__=~".+"} > 0'}
      - {alert: Products, expr: '{__name__=~"weir.*"} * on () group_right () {__name__=~"weir.*"}'}
  - name: calls
    interval: 1s
    rules:
      - {alert: Failed, expr: 'sum by (tenant, interface) (increase(weir_calls_total{tenant="globex", outcome="error"}[5m])) > 0'}
"#;

/// Sends spans to a standalone weir.
struct Sender {
    client: reqwest::Client,
    url: String,
    ids: u64,
}

impl Sender {
    /// Calls of one tenant, by name, start and end, all failed.
    async fn send(&mut self, tenant: &str, calls: &[(String, u64, u64)]) {
        let spans = calls.iter().map(|(name, start, end)| {
            self.ids += 1;
            Span {
                trace_id: u128::from(self.ids).to_be_bytes().to_vec(),
                span_id: self.ids.to_be_bytes().to_vec(),
                name: name.clone(),
                kind: 2,
                start_time_unix_nano: *start,
                end_time_unix_nano: *end,
                status: Some(Status { code: 2, ..Status::default() }),
                ..Span::default()
            }
        });
        let body = spans_of(tenant, "api", spans.collect()).encode_to_vec();
        loop {
            let request = self.client.post(&self.url).header("content-type", "application/x-protobuf");
            let status = request.body(body.clone()).send().await.unwrap().status().as_u16();
            match status {
                200 => return,
                // It asks for a pause.
                429 | 503 => tokio::time::sleep(Duration::from_millis(100)).await,
                other => panic!("{other}"),
            }
        }
    }
}

fn now() -> u64 {
    weir_service::time::now_unix_nano_unsigned()
}

/// The sum of a metric over all of its series that have these labels.
async fn metric(api: &Api, name: &str, labels: &str) -> f64 {
    let (_, text) = api.text("/metrics").await.unwrap();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(labels));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

async fn until_metric(api: &Api, name: &str, labels: &str, least: f64, within: Duration) {
    let found = until(within, || async { (metric(api, name, labels).await >= least).then_some(()) }).await;
    assert!(found.is_some(), "{name} {labels} is {}, not {least}", metric(api, name, labels).await);
}

async fn until_told(webhook: &Webhook, interface: &str) {
    let is_told = || {
        let all = webhook.caught();
        let mut alerts = all.iter().filter_map(|body| body["alerts"].as_array()).flatten();
        alerts.any(|alert| alert["labels"]["interface"] == interface).then_some(())
    };
    let told = until(PATIENCE, || async { is_told() }).await;
    assert!(told.is_some(), "nobody is told of {interface}: {:?}", webhook.caught());
}

fn config(rules: &std::path::Path, hole: std::net::SocketAddr, webhook: &Webhook) -> Value {
    json!({
        "listen": "127.0.0.1:0",
        "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" } },
        "alerter": {
            "rules": [rules],
            "lateness": "1s",
            "route": {
                "receiver": "ops", "group_by": ["alertname", "interface"], "group_interval": "1s",
                "routes": [{ "receiver": "hung", "matchers": ["alertname=~\".+\""], "continue": true },
                           { "receiver": "ops", "matchers": ["alertname=Failed"] }],
            },
            "receivers": [
                { "name": "hung", "webhook_configs": [{ "url": format!("http://{hole}/") }] },
                { "name": "ops", "webhook_configs": [{ "url": webhook.url() }] },
            ],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn given_bad_times_countless_names_greedy_rules_and_a_receiver_that_hangs_then_alerts_of_others_are_told() {
    let names = number("WEIR_E2E_NAMES", 20_000).next_multiple_of(BATCH);
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    // It takes connections and never answers.
    let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook = Webhook::start().await.unwrap();
    let config = config(&rules, hole.local_addr().unwrap(), &webhook);
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let client = reqwest::Client::new();
    let mut sender = Sender { client, url: format!("{}/v1/traces", ready.otlp_http.unwrap()), ids: 0 };

    let good = |name: &str| vec![(name.to_owned(), now() - SECOND / 100, now())];
    sender.send("globex", &good("first")).await;
    until_told(&webhook, "first").await;

    let bad = |name: &str, start, end| (name.to_owned(), start, end);
    let wrong = [
        bad("ends before it starts", now(), now() - SECOND),
        bad("of 1970", SECOND, 2 * SECOND),
        bad("since 1970", SECOND, now()),
        bad("of 2100", YEAR_2100, YEAR_2100 + SECOND),
        bad("until 2100", now(), YEAR_2100),
        bad("until the end of time", 1, u64::MAX),
    ];
    sender.send("acme", &wrong).await;
    until_metric(&api, "weir_fold_calls_total", "result=\"rejected\"", 1.0, PATIENCE).await;
    until_metric(&api, "weir_series_refused_points_total", "reason=\"out_of_range\"", 4.0, PATIENCE).await;
    assert_eq!(metric(&api, "weir_fold_ahead_calls_total", "tenant=\"acme\"").await, 3.0);
    // What comes after it is neither late nor lost.
    sender.send("globex", &good("second")).await;
    until_told(&webhook, "second").await;
    assert_eq!(metric(&api, "weir_fold_late_calls_total", "tenant=\"globex\"").await, 0.0);
    let pipeline = &api.alerts().await.unwrap()["pipeline"];
    let event_time = weir_service::time::parse(pipeline["event_time"].as_str().unwrap(), 0).unwrap();
    assert!(event_time.unsigned_abs() < now() + SECOND, "{pipeline}");
    assert_ne!(pipeline["state"], "late", "{pipeline}");

    for batch in 0..names / BATCH {
        let name = |n: u64| format!("GET /files/{:016x}", (batch * BATCH + n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let calls: Vec<_> = (0..BATCH).map(|n| bad(&name(n), now() - SECOND / 100, now())).collect();
        sender.send("acme", &calls).await;
    }
    let within = PATIENCE + Duration::from_micros(names * 50);
    // All but the thousand that a tenant may have, some of which are those above.
    until_metric(&api, "weir_fold_overflowed_calls_total", "", (names - 1_000) as f64, within).await;
    let series = metric(&api, "weir_series{", "").await + metric(&api, "weir_series ", "").await;
    // An interface counts as all the series that it may be shown as.
    assert!(series > 1_000.0 && series < 20_000.0, "{series} series");
    assert!(metric(&api, "weir_rule_failures_total", "").await > 1.0, "rules that select too much fail");
    sender.send("globex", &good("third")).await;
    until_told(&webhook, "third").await;
    let (status, _) = api.get("/api/v1/rules", &[]).await.unwrap();
    assert_eq!(status, 200);
    let peak = weir.peak().unwrap() >> 20;
    println!("{names} names: {series} series, {peak} MB at the peak");
    assert!(peak < MEMORY, "{peak} MB");
    assert!(!weir.stderr().contains("panicked"), "{}", weir.stderr());
    drop(hole);
}
