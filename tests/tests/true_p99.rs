//! Quantiles and calls per second are those of what was sent, and alerts follow event time: through a bus that hangs
//! and a crash.
//!
//! The number of calls comes from `WEIR_E2E_SPANS`.

#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "helpers of tests; counts are exact")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use weir_tests::kafka::Kafka;
use weir_tests::{Api, Webhook, Weir, number, until};

const PATIENCE: Duration = Duration::from_mins(1);

/// An alert on calls of the last `range` that are slow for `hold`.
fn rule(range: &str, hold: &str) -> String {
    format!(
        "groups:
  - name: test
    interval: 1s
    rules:
      - alert: InterfaceSlow
        expr: histogram_quantile(0.99, sum by (service, interface) (rate(weir_call_duration_seconds[{range}]))) > 0.8
        for: {hold}
"
    )
}

/// Everything on free ports; the rule is told to `webhook` where there is one.
fn config(folder: &Path, alert: Option<(&Webhook, String)>, bus: &Value) -> Value {
    let mut config = json!({
        "listen": "127.0.0.1:0",
        "bus": bus,
        "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" } },
    });
    if let Some((webhook, rule)) = alert {
        let rules = folder.join("rules.yaml");
        std::fs::write(&rules, rule).unwrap();
        config["alerter"] = json!({
            "rules": [rules],
            "route": { "receiver": "ops", "group_by": ["alertname"], "group_interval": "1s" },
            "receivers": [{ "name": "ops", "webhook_configs": [{ "url": webhook.url() }] }],
        });
    }
    config
}

/// Sends to one interface until it is aborted, which ends the process with it.
fn calls(endpoint: &str, slow: bool, seed: u64) -> JoinHandle<anyhow::Result<Value>> {
    let mut words = format!(
        "spans --endpoint={endpoint} --spans=1000000 --rate=200 --interfaces=1 --tenants=acme --parallel=256 \
         --seed={seed}"
    );
    if slow {
        let _ = write!(words, " --slow-from=0s --slow-for=1h --slow-duration=1500ms");
    }
    tokio::spawn(async move { weir_tests::weir::load(&words.split(' ').collect::<Vec<_>>()).await })
}

async fn states(api: &Api) -> Vec<String> {
    let alerts = api.alerts().await.unwrap();
    alerts["alerts"].as_array().unwrap().iter().map(|alert| alert["state"].as_str().unwrap().to_owned()).collect()
}

async fn until_state(api: &Api, state: &str) {
    let found = until(PATIENCE, || async { states(api).await.iter().any(|s| s == state).then_some(()) }).await;
    assert!(found.is_some(), "no alert is {state}: {}", api.alerts().await.unwrap());
}

/// The value that Prometheus' JSON writes as text.
fn float(point: &Value) -> f64 {
    point[1].as_str().unwrap().parse().unwrap()
}

fn of<'a>(series: &'a [Value], interface: &Value) -> &'a Value {
    let same = |s: &&Value| ["service", "interface"].iter().all(|label| s["metric"][label] == interface[label]);
    series.iter().find(same).unwrap_or_else(|| panic!("nothing of {interface} in {series:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn quantiles_and_calls_per_second_are_those_of_what_was_sent() {
    let spans = number("WEIR_E2E_SPANS", 40_000) / 2;
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), None, &json!({ "broker": "embedded" }));
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let load = |tenant: &str, protocol: &str, endpoint: Option<String>, seed: u64| {
        let words = format!(
            "spans --endpoint={} --protocol={protocol} --spans={spans} --rate={} --tenants={tenant} \
             --distribution=tail --seed={seed}",
            endpoint.unwrap(),
            (spans / 5).max(1)
        );
        async move { weir_tests::weir::load(&words.split(' ').collect::<Vec<_>>()).await.unwrap() }
    };
    // Ids come from the seed, and calls of the same ids would be duplicates.
    let (grpc, http) =
        tokio::join!(load("acme", "grpc", ready.otlp_grpc, 1), load("globex", "http-json", ready.otlp_http, 2));
    let api = Api::new(&ready.http).unwrap();

    for (tenant, report) in [("acme", grpc), ("globex", http)] {
        assert_eq!((&report["refused"], &report["retries"]), (&json!(0), &json!(0)), "{report}");
        let seconds = report["per_second"].as_object().unwrap().keys().map(|second| second.parse::<i64>().unwrap());
        let (first, last) = seconds.fold((i64::MAX, 0), |(least, most), second| (least.min(second), most.max(second)));
        // What ended in second s has the sample time s + 1.
        let (start, end) = (first + 1, last + 1);
        let range = end - first + 10;
        let all = format!("sum(increase(weir_calls_total{{tenant=\"{tenant}\"}}[{range}s]))");
        let here = until(PATIENCE, || async {
            let found = api.promql(&all, Some(end as f64)).await.ok()?;
            (float(&found.first()?["value"]) >= spans as f64).then_some(())
        });
        assert!(here.await.is_some(), "not all came: {:?}", api.promql(&all, Some(end as f64)).await);

        let each = format!("sum by (service, interface) (increase(weir_calls_total{{tenant=\"{tenant}\"}}[1s]))");
        let (start, end_text) = (start.to_string(), end.to_string());
        let parameters =
            [("query", each.as_str()), ("start", start.as_str()), ("end", end_text.as_str()), ("step", "1")];
        let (status, slots) = api.get("/prometheus/api/v1/query_range", &parameters).await.unwrap();
        assert_eq!(status, 200, "{slots}");
        let slots = slots["data"]["result"].as_array().unwrap();
        let interfaces = report["interfaces"].as_array().unwrap();
        assert_eq!(slots.len(), interfaces.len());
        for interface in interfaces {
            let points = of(slots, interface)["values"].as_array().unwrap();
            for second in first..=last {
                let sent = interface["per_second"][second.to_string()].as_u64().unwrap_or(0);
                let point = points.iter().find(|point| point[0].as_f64() == Some((second + 1) as f64));
                assert_eq!(point.map_or(0.0, float), sent as f64, "calls in {second} of {interface}");
            }
        }
        for function in ["rate", "increase"] {
            let query = format!(
                "histogram_quantile(0.99, sum by (service, interface) \
                 ({function}(weir_call_duration_seconds{{tenant=\"{tenant}\"}}[{range}s])))"
            );
            let found = api.promql(&query, Some(end as f64)).await.unwrap();
            assert_eq!(found.len(), interfaces.len());
            for interface in interfaces {
                let exact = interface["nanoseconds"]["p99"].as_u64().unwrap() as f64 / 1e9;
                let p99 = float(&of(&found, interface)["value"]);
                assert!((p99 / exact - 1.0).abs() < 0.01, "{function}: {p99} s is not {exact} s of {interface}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_fires_stays_over_a_crash_untold_and_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let webhook = Webhook::start().await.unwrap();
    let mut config = config(folder.path(), Some((&webhook, rule("15s", "3s"))), &json!({ "broker": "embedded" }));
    // The same ports after the restart, so that the callers find it again.
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let address = ready.otlp_grpc.unwrap();
    config["collector"]["otlp"]["grpc"] = json!(address.trim_start_matches("http://"));
    let slow = calls(&address, true, 1);
    webhook.wait("firing", 1, PATIENCE).await.unwrap();
    // Notifications are at least once: one is told again where the crash comes before its being told is on disk.
    tokio::time::sleep(Duration::from_secs(1)).await;

    weir.kill().unwrap();
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    until_state(&api, "firing").await;
    // Rules have gone on over calls of after the restart.
    let restarted = api.alerts().await.unwrap()["pipeline"]["evaluated_until"].clone();
    let went_on = until(PATIENCE, || async {
        let until = api.alerts().await.ok()?["pipeline"]["evaluated_until"].clone();
        (until.is_string() && until != restarted).then_some(())
    });
    assert!(went_on.await.is_some(), "rules do not go on");
    until_state(&api, "firing").await;
    assert_eq!((webhook.count("firing"), webhook.count("resolved")), (1, 0), "{:?}", webhook.caught());

    slow.abort();
    let fast = calls(&address, false, 2);
    webhook.wait("resolved", 1, PATIENCE).await.unwrap();
    assert_eq!(webhook.count("firing"), 1, "{:?}", webhook.caught());
    fast.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_neither_fires_nor_resolves_while_the_bus_is_held_back() {
    // Longer than the rule's `for` and its range together.
    let hold = Duration::from_secs(15);
    let folder = tempfile::tempdir().unwrap();
    let webhook = Webhook::start().await.unwrap();
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return weir_tests::skip("an_alert_neither_fires_nor_resolves", &format!("{error:#}")),
    };
    let config = config(
        folder.path(),
        Some((&webhook, rule("3s", "10s"))),
        &json!({ "broker": "kafka", "brokers": kafka.brokers() }),
    );
    let mut collector = Weir::new("collector", &folder.path().join("collector"), &config).unwrap();
    let mut alerter = Weir::new("alerter", &folder.path().join("alerter"), &config).unwrap();
    let address = collector.start().await.unwrap().otlp_grpc.unwrap();
    let api = Api::new(&alerter.start().await.unwrap().http).unwrap();

    let slow = calls(&address, true, 1);
    until_state(&api, "pending").await;
    kafka.signal(Signal::STOP).unwrap();
    // That nothing happens can only be waited for.
    tokio::time::sleep(hold).await;
    let held = states(&api).await;
    assert_eq!((held, webhook.caught().len()), (vec!["pending".to_owned()], 0), "it fired on time alone");
    kafka.signal(Signal::CONT).unwrap();
    webhook.wait("firing", 1, PATIENCE).await.unwrap();

    kafka.signal(Signal::STOP).unwrap();
    slow.abort();
    tokio::time::sleep(hold).await;
    assert_eq!(states(&api).await, ["firing"]);
    assert_eq!(webhook.count("resolved"), 0, "it resolved on time alone: {:?}", webhook.caught());
    kafka.signal(Signal::CONT).unwrap();
    let fast = calls(&address, false, 2);
    webhook.wait("resolved", 1, PATIENCE).await.unwrap();
    fast.abort();
}

/// 200 slow calls a second, sent twice a second with the times at which they ended, each request until it is taken:
/// what an SDK does while its collector is away.
async fn steady(otlp: String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let mut every = tokio::time::interval(Duration::from_millis(500));
    let mut requests = tokio::task::JoinSet::new();
    for batch in 0_u64.. {
        let tick = every.tick().await;
        let now = weir_service::time::now_unix_nano() - i64::try_from(tick.elapsed().as_nanos()).unwrap();
        let span = |n: u64| {
            let end = now - i64::try_from(n).unwrap() * 5_000_000;
            json!({
                "traceId": format!("{batch:032x}"), "spanId": format!("{:016x}", batch * 100 + n + 1), "kind": 2,
                "name": "POST /v1", "startTimeUnixNano": (end - 1_500_000_000).to_string(),
                "endTimeUnixNano": end.to_string(),
            })
        };
        let spans: Vec<Value> = (0..100).map(span).collect();
        let service = json!([{ "key": "service.name", "value": { "stringValue": "ocr" } }]);
        let body = json!({ "resourceSpans": [{
            "resource": { "attributes": service }, "scopeSpans": [{ "spans": spans }],
        }] });
        let (client, url) = (client.clone(), format!("{otlp}/v1/traces"));
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

#[tokio::test(flavor = "multi_thread")]
async fn given_a_collector_that_stands_still_then_no_alert_fires_or_resolves_and_the_pipeline_says_who_is_late() {
    // Longer than the rules look back and wait together.
    let hold = Duration::from_secs(15);
    let folder = tempfile::tempdir().unwrap();
    let webhook = Webhook::start().await.unwrap();
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return weir_tests::skip("given_a_collector_that_stands_still", &format!("{error:#}")),
    };
    let dropped = "      - {alert: CallsDropped, expr: 'sum(rate(weir_calls_total[3s])) < 100', for: 3s}\n";
    let config = config(
        folder.path(),
        Some((&webhook, rule("3s", "1s") + dropped)),
        &json!({ "broker": "kafka", "brokers": kafka.brokers() }),
    );
    let mut collector = Weir::new("collector", &folder.path().join("collector"), &config).unwrap();
    let mut alerter = Weir::new("alerter", &folder.path().join("alerter"), &config).unwrap();
    let address = collector.start().await.unwrap().otlp_http.unwrap();
    let api = Api::new(&alerter.start().await.unwrap().http).unwrap();
    let slow = tokio::spawn(steady(address));
    webhook.wait("firing", 1, PATIENCE).await.unwrap();
    // Until the collector says how far it is, which it does not at once.
    let said = until(PATIENCE, || async {
        let (_, answer) = api.get("/prometheus/api/v1/query?query=weir_collector_up", &[]).await.ok()?;
        (answer["data"]["result"][0]["value"][1] == "1").then_some(())
    });
    assert!(said.await.is_some());
    tokio::time::sleep(Duration::from_secs(3)).await;

    let started = webhook.caught().len();
    collector.signal(Signal::STOP).unwrap();
    tokio::time::sleep(hold).await;
    let (_, answer) = api.get("/api/v1/alerts", &[]).await.unwrap();
    assert_eq!(answer["pipeline"]["late"][0]["state"], "late", "{answer}");
    collector.signal(Signal::CONT).unwrap();
    // What was held back comes, and is evaluated as if it had never been late.
    let caught_up = until(PATIENCE, || async {
        let (_, answer) = api.get("/api/v1/alerts", &[]).await.ok()?;
        let is_near = answer["pipeline"]["lag_seconds"].as_f64()? < 3.0;
        (is_near && answer["pipeline"]["late"] == json!([])).then_some(())
    });
    assert!(caught_up.await.is_some());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(states(&api).await, ["firing"], "{}", api.alerts().await.unwrap());
    assert_eq!(webhook.caught().len(), started, "{:?}", webhook.caught());
    slow.abort();
}
