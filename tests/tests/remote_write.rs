//! A real Prometheus has the series that weir has: also when it was away for a while, and weir was killed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use weir_tests::prometheus::Prometheus;
use weir_tests::{Api, Weir, skip, until};

const PATIENCE: Duration = Duration::from_mins(1);
/// What is compared: calls, two metrics of OTLP, and what a rule and an alert record.
const ALL: &str = "{__name__=~\"weir_calls_total|queue_length|jobs_total|service:calls:rate10s|ALERTS\"}";
const RULES: &str = "groups:
  - name: test
    interval: 1s
    rules:
      - {record: 'service:calls:rate10s', expr: 'sum by (service) (rate(weir_calls_total[10s]))'}
      - {alert: Calls, expr: 'sum(rate(weir_calls_total[10s])) > 1'}
";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn post(client: &reqwest::Client, url: &str, body: &Value) {
    loop {
        let sent = client.post(url).json(body).timeout(Duration::from_secs(5)).send().await;
        if sent.is_ok_and(|answer| answer.status() == 200) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Twenty calls a second, a tenth of them errors, a gauge and a counter; each request until it is taken.
async fn feed(otlp: String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let resource = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "ocr" } }] });
    let started = now();
    for second in started.. {
        let wait =
            Duration::from_secs(second + 1).saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
        tokio::time::sleep(wait).await;
        let span = |n: u64| {
            let end = second * 1_000_000_000 + n * 50_000_000;
            json!({
                "traceId": format!("{second:032x}"), "spanId": format!("{:016x}", second * 100 + n), "kind": 2,
                "name": "read", "startTimeUnixNano": (end - (n + 1) * 10_000_000).to_string(),
                "endTimeUnixNano": end.to_string(), "status": { "code": if n.is_multiple_of(10) { 2 } else { 0 } },
            })
        };
        let spans: Vec<Value> = (0..20).map(span).collect();
        let spans = json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": spans }] }] });
        post(&client, &format!("{otlp}/v1/traces"), &spans).await;
        let point = |value: u64| {
            json!([{
                "timeUnixNano": (second * 1_000_000_000).to_string(),
                "startTimeUnixNano": (started * 1_000_000_000 - 1).to_string(), "asInt": value.to_string(),
            }])
        };
        let metrics = json!([
            { "name": "queue.length", "gauge": { "dataPoints": point(second % 7) } },
            { "name": "jobs", "sum": {
                "dataPoints": point((second - started) * 3 + 1), "aggregationTemporality": 2, "isMonotonic": true,
            } },
        ]);
        let metrics =
            json!({ "resourceMetrics": [{ "resource": resource, "scopeMetrics": [{ "metrics": metrics }] }] });
        post(&client, &format!("{otlp}/v1/metrics"), &metrics).await;
    }
}

type Samples = BTreeMap<String, BTreeMap<u64, String>>;

/// By labels, whole seconds and values.
fn samples(answer: &[Value]) -> Samples {
    let of = |series: &Value| {
        let points = series["values"].as_array().unwrap().iter();
        let points =
            points.map(|point| (point[0].as_f64().unwrap().round() as u64, point[1].as_str().unwrap().to_owned()));
        (series["metric"].to_string(), points.collect())
    };
    answer.iter().map(of).collect()
}

/// Waits until this is so at Prometheus.
async fn reaches(prometheus: &Api, query: &str) {
    let there = until(PATIENCE, || async { (!prometheus.promql(query, None).await.ok()?.is_empty()).then_some(()) });
    assert!(there.await.is_some(), "never so: {query}: {:?}", prometheus.promql(ALL, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_prometheus_that_was_away_and_a_weir_that_was_killed_then_both_have_the_same_samples() {
    let mut prometheus = match Prometheus::start() {
        Ok(prometheus) => prometheus,
        Err(error) => return skip("given_a_prometheus_that_was_away", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let mut config = json!({
        "listen": "127.0.0.1:0",
        "bus": { "broker": "embedded" },
        "collector": { "otlp": { "grpc": null, "http": "127.0.0.1:0" }, "host": null },
        "alerter": {
            "rules": [rules],
            "external_labels": { "replica": "a" },
            "remote_write": [
                { "url": format!("{}/prometheus/api/v1/write", prometheus.url()),
                  "queue_config": { "batch_send_deadline": "1s", "max_samples_per_send": 20, "max_backoff": "500ms" } },
                // One that is never there harms nobody.
                { "url": "http://127.0.0.1:1/api/v1/write" },
            ],
        },
    });
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let otlp = weir.start().await.unwrap().otlp_http.unwrap();
    config["collector"]["otlp"]["http"] = json!(otlp.trim_start_matches("http://"));
    let feeding = tokio::spawn(feed(otlp));
    let there = Api::new(&prometheus.url()).unwrap();
    reaches(&there, "weir_calls_total{outcome=\"ok\"} > 60").await;

    prometheus.stop().unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    prometheus.restart().unwrap();
    reaches(&there, "timestamp(weir_calls_total) > time() - 4").await;

    prometheus.stop().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    weir.kill().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    prometheus.restart().unwrap();
    let back = now();
    reaches(&there, &format!("timestamp(weir_calls_total) > {}", back + 5)).await;
    feeding.abort();

    let here = Api::new(&ready.http).unwrap();
    let (_, answer) = here.get("/prometheus/api/v1/query", &[("query", "min(timestamp(queue_length))")]).await.unwrap();
    assert_eq!(answer["status"], "success", "{answer}");
    let end = back + 4;
    let raw = there.promql(&format!("{ALL}[5m]"), Some(end as f64)).await.unwrap();
    let written = samples(&raw);
    let first = written.values().filter_map(|samples| samples.keys().next()).max().unwrap() + 1;
    let (start, stop) = (first.to_string(), end.to_string());
    let parameters = [("query", ALL), ("start", start.as_str()), ("end", stop.as_str()), ("step", "1")];
    let (status, mut answer) = here.get("/prometheus/api/v1/query_range", &parameters).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    for series in answer["data"]["result"].as_array_mut().unwrap() {
        series["metric"]["replica"] = json!("a");
    }
    let own = samples(answer["data"]["result"].as_array().unwrap());
    assert_eq!(own.len(), 6, "two of calls and one of each else: {own:?}");
    assert!(end - first > 15, "{first} to {end}");
    for (labels, samples) in &own {
        let written: BTreeMap<u64, String> = written
            .get(labels)
            .unwrap_or_else(|| panic!("Prometheus has no {labels}: {:?}", written.keys()))
            .range(first..=end)
            .map(|(time, value)| (*time, value.clone()))
            .collect();
        assert_eq!(samples, &written, "{labels}");
    }
    // Of the durations as many as of the calls.
    let all = "weir_call_duration_seconds_bucket{le=\"+Inf\"} - on() sum(weir_calls_total)";
    let difference = there.promql(all, Some(end as f64)).await.unwrap();
    assert_eq!(difference[0]["value"][1], "0", "{difference:?}");
    let median = "histogram_quantile(0.5, rate(weir_call_duration_seconds_bucket[10s]))";
    let median = there.promql(median, Some(end as f64)).await.unwrap();
    let median: f64 = median[0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!((0.05..=0.1).contains(&median), "10 to 200 ms: {median}");
    let (_, metrics) = here.text("/metrics").await.unwrap();
    let dropped =
        metrics.lines().find(|line| line.starts_with("weir_remote_write_dropped") && line.contains("refused"));
    assert_eq!(dropped, None, "{}", prometheus.log());
}
