//! Lag neither fires nor resolves: rules wait for metrics that are held back while spans flow, and for spans that come in
//! batches.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use weir_tests::kafka::Kafka;
use weir_tests::{Api, Webhook, Weir, skip, until};

const PATIENCE: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_millis(500);

const RULES: &str = r"
groups:
  - name: g
    interval: 1s
    rules:
      - {alert: Hot, expr: 'avg_over_time(hw_temperature_celsius[4s]) > 85', for: 2s}
      - {alert: NoTemperature, expr: 'absent(last_over_time(hw_temperature_celsius[4s]))'}
      - {alert: CallsDropped, expr: 'sum(rate(weir_calls_total[4s])) < 1', for: 2s}
";

/// Sends what `body` makes of a time in unix nanoseconds and a number, twice a second, each until it is taken.
async fn steady(url: String, body: fn(i64, u64) -> Value) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let mut every = tokio::time::interval(EVERY);
    let mut requests = tokio::task::JoinSet::new();
    for number in 1_u64.. {
        every.tick().await;
        let body = body(weir_service::time::now_unix_nano(), number);
        let (client, url) = (client.clone(), url.clone());
        requests.spawn(async move {
            loop {
                let sent = client.post(&url).json(&body).timeout(Duration::from_secs(5)).send().await;
                if sent.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
}

fn spans(now: i64, number: u64) -> Value {
    let span = |n: u64| {
        json!({
            "traceId": format!("{number:032x}"), "spanId": format!("{:016x}", number * 10 + n), "kind": 2, "name": "GET /",
            "startTimeUnixNano": (now - 1_000_000).to_string(), "endTimeUnixNano": now.to_string(),
        })
    };
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": (0..10).map(span).collect::<Vec<_>>() }] }] })
}

fn temperature(now: i64, _: u64) -> Value {
    let gauge = json!({ "dataPoints": [{ "timeUnixNano": now.to_string(), "asDouble": 91.0 }] });
    let metric = json!({ "name": "hw.temperature", "unit": "Cel", "gauge": gauge });
    json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [metric] }] }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn given_metrics_that_are_held_back_while_spans_flow_then_no_alert_fires_or_resolves() {
    // Longer than the rules look back and wait together.
    let hold = Duration::from_secs(15);
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("given_metrics_that_are_held_back", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let webhook = Webhook::start().await.unwrap();
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": { "broker": "kafka", "brokers": kafka.brokers() },
        "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" }, "host": null },
        "alerter": {
            "rules": [rules],
            "route": { "receiver": "ops", "group_by": ["alertname"], "group_interval": "1s" },
            "receivers": [{ "name": "ops", "webhook_configs": [{ "url": webhook.url() }] }],
        },
    });
    let role = |role, name: &str| Weir::new(role, &folder.path().join(name), &config).unwrap();
    let (mut of_spans, mut of_metrics) = (role("collector", "spans"), role("collector", "metrics"));
    let mut alerter = role("alerter", "alerter");
    let url = of_spans.start().await.unwrap().otlp_http.unwrap();
    let calling = tokio::spawn(steady(format!("{url}/v1/traces"), spans));
    let url = of_metrics.start().await.unwrap().otlp_http.unwrap();
    let measuring = tokio::spawn(steady(format!("{url}/v1/metrics"), temperature));
    // The same port after a restart, so that who sends finds it again.
    let mut again = config.clone();
    again["collector"]["otlp"]["http"] = json!(url.trim_start_matches("http://"));
    let api = Api::new(&alerter.start().await.unwrap().http).unwrap();
    let firing = || async {
        let alerts = api.alerts().await.ok()?;
        let firing = alerts["alerts"].as_array()?.iter().filter(|alert| alert["state"] == "firing");
        Some(firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let near = || async {
        let alerts = api.alerts().await.ok()?;
        let pipeline = &alerts["pipeline"];
        let is_near = pipeline["lag_seconds"].as_f64()? < 3.0 && pipeline["late"] == json!([]);
        (is_near && pipeline["state"] == "healthy" && firing().await? == ["Hot"]).then_some(())
    };
    assert!(until(PATIENCE, near).await.is_some(), "{}", api.alerts().await.unwrap());
    // Until both have said how far they are.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let told = webhook.caught().len();

    // It stands still, then is killed and returns.
    for is_killed in [false, true] {
        if is_killed {
            of_metrics.kill().unwrap();
        } else {
            of_metrics.signal(Signal::STOP).unwrap();
        }
        tokio::time::sleep(hold).await;
        let held = api.alerts().await.unwrap();
        assert_eq!(held["pipeline"]["late"].as_array().map(Vec::len), Some(1), "{held}");
        assert_eq!(firing().await.unwrap(), ["Hot"], "{held}");
        if is_killed {
            of_metrics = Weir::new("collector", &folder.path().join("metrics"), &again).unwrap();
            of_metrics.start().await.unwrap();
        } else {
            of_metrics.signal(Signal::CONT).unwrap();
        }
        assert!(until(PATIENCE, near).await.is_some(), "{}", api.alerts().await.unwrap());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(webhook.caught().len(), told, "killed: {is_killed}: {:?}", webhook.caught());
    }
    calling.abort();
    measuring.abort();
}

/// Calls that end every ten milliseconds, sent in batches of five seconds, as OpenTelemetry's SDKs do.
async fn batches(url: String) {
    const STEP: i64 = 10_000_000;
    let client = reqwest::Client::new();
    let mut every = tokio::time::interval(Duration::from_secs(5));
    let mut sent = weir_service::time::now_unix_nano() / STEP;
    loop {
        every.tick().await;
        let until = weir_service::time::now_unix_nano() / STEP;
        let span = |n: i64| {
            json!({
                "traceId": format!("{:032x}", n + 1), "spanId": format!("{:016x}", n + 1), "kind": 2, "name": "GET /",
                "startTimeUnixNano": (n * STEP - 1_000_000).to_string(), "endTimeUnixNano": (n * STEP).to_string(),
            })
        };
        let spans: Vec<Value> = (sent..until).map(span).collect();
        let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] });
        assert_eq!(client.post(&url).json(&body).send().await.unwrap().status(), 200);
        sent = until;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_spans_that_come_in_batches_of_five_seconds_then_rules_see_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    let seen = "{record: seen, expr: 'sum(rate(weir_calls_total[10s]))'}";
    std::fs::write(&rules, format!("groups: [{{name: g, interval: 1s, rules: [{seen}]}}]")).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" }, "host": null },
        "alerter": { "rules": [rules] },
    });
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let sending = tokio::spawn(batches(format!("{}/v1/traces", ready.otlp_http.unwrap())));
    // How late they come is learned of the first ones; what rules see of those is not whole.
    let evaluated = || async {
        let alerts = api.alerts().await.ok()?;
        weir_service::time::parse(alerts["pipeline"]["evaluated_until"].as_str()?, 0).ok()
    };
    let begun = weir_service::time::now_unix_nano() + 15_000_000_000;
    let end = begun + 20_000_000_000;
    let there = until(PATIENCE, || async { evaluated().await.filter(|until| *until >= end) }).await;
    assert!(there.is_some(), "{}", api.alerts().await.unwrap());
    let (start, end) = ((begun / 1_000_000_000).to_string(), (end / 1_000_000_000).to_string());
    let range = [("query", "seen"), ("start", &start), ("end", &end), ("step", "1")];
    let (_, answer) = api.get("/prometheus/api/v1/query_range", &range).await.unwrap();
    let values = answer["data"]["result"][0]["values"].as_array().unwrap();
    assert!(values.len() >= 20, "{answer}");
    assert!(values.iter().all(|value| value[1] == "100"), "{answer}");
    sending.abort();
}
