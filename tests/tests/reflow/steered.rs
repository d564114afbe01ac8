//! Captures that are steered: by the durations of calls, by an alert, and by a number of rows a minute.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::Instant;
use weir_tests::weir::Ready;
use weir_tests::{Api, Weir, number, until};

use super::dataset::Dataset;
use super::spans::{Span, attributes, client, export, post};

const PATIENCE: Duration = Duration::from_secs(40);
const TICK: Duration = Duration::from_millis(100);

fn weir(folder: &Path, captures: &Value, rules: &Value) -> Weir {
    let (file, rule_file) = (folder.join("captures.yaml"), folder.join("rules.yaml"));
    std::fs::write(&file, json!({ "captures": captures }).to_string()).unwrap();
    std::fs::write(&rule_file, json!({ "groups": [{ "name": "g", "interval": "1s", "rules": rules }] }).to_string())
        .unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": { "otlp": { "grpc": null, "http": "127.0.0.1:0" }, "host": null, "gpu": null },
        "alerter": { "rules": [rule_file], "lateness": "1s" },
        "reflow": { "captures": [file] },
    });
    Weir::new("standalone", folder, &config).unwrap()
}

fn capture(name: &str, service: &str, sample: &Value) -> Value {
    json!({
        "name": name, "query": format!("service:{service}"), "tenants": ["acme"], "from": "beginning",
        "fields": { "span": "span_id", "kind": "attributes.of", "began": "timestamp" }, "sample": sample,
        "roll": { "rows": 1000, "age": "1s" },
    })
}

/// Sends calls that end now; of `slow` of them it says so, and they take ten times as long.
async fn calls(
    ready: &Ready,
    rng: &mut Xoshiro256PlusPlus,
    service: &str,
    count: usize,
    slow: f64,
) -> Vec<(Span, bool)> {
    let call = |rng: &mut Xoshiro256PlusPlus| {
        let is_slow = rng.random_bool(slow);
        let micros = rng.random_range(90_000..110_000) * if is_slow { 10 } else { 1 };
        let of = if is_slow { "slow" } else { "other" };
        (
            Span { attributes: attributes(&json!({ "of": of })), ..Span::new(rng, Duration::from_micros(micros)) },
            is_slow,
        )
    };
    let calls: Vec<(Span, bool)> = (0..count).map(|_| call(rng)).collect();
    let spans: Vec<Span> = calls.iter().map(|(span, _)| span.clone()).collect();
    let instance = rng.random_range(0..8);
    assert!(post(&client(), ready.otlp_http.as_ref().unwrap(), &[export(service, "acme", instance, &spans)]).await);
    calls
}

fn spans(dataset: &Dataset) -> BTreeSet<String> {
    dataset.count("span").into_keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn given_rare_slow_calls_then_a_capture_of_those_above_p99_has_them_and_few_others() {
    let folder = tempfile::tempdir().unwrap();
    let captures = json!([capture("slow", "ocr", &json!({ "slower_than": "p99" }))]);
    let mut weir = weir(folder.path(), &captures, &json!([]));
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1));
    // Before so many calls are counted, nothing is known to be slow.
    calls(&ready, &mut rng, "ocr", 60, 0.0).await;
    let counted = until(PATIENCE, || async {
        let series = api.promql("sum(weir_calls_total{service=\"ocr\"})", None).await.ok()?;
        (series.first()?["value"][1] == "60").then_some(())
    });
    assert!(counted.await.is_some());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut sent = Vec::new();
    for _ in 0..100 {
        sent.extend(calls(&ready, &mut rng, "ocr", 40, 0.005).await);
        tokio::time::sleep(TICK).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(weir.stop().await.unwrap().success());

    let taken = spans(&Dataset::read(&weir.data_dir().join("datasets/slow")));
    let count = |slow: bool| {
        let of = sent.iter().filter(|(_, is_slow)| *is_slow == slow);
        (of.clone().filter(|(span, _)| taken.contains(&span.id)).count(), of.count())
    };
    let ((slow, all_slow), (others, all_others)) = (count(true), count(false));
    eprintln!("slower than p99: {slow} of {all_slow} planted calls, {others} of {all_others} others");
    assert!(all_slow > 5 && slow == all_slow, "{slow} of {all_slow} slow calls");
    assert!(others as f64 <= 0.01 * all_others as f64, "{others} of {all_others} others");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_an_alert_then_a_capture_while_it_fires_has_the_calls_of_that_event_time() {
    let folder = tempfile::tempdir().unwrap();
    let captures = json!([capture("firing", "chat", &json!({ "while_firing": "Slow" }))]);
    let median = "histogram_quantile(0.5, sum by (tenant, service) (rate(weir_call_duration_seconds[2s]))) > 0.5";
    let mut weir = weir(folder.path(), &captures, &json!([{ "alert": "Slow", "expr": median }]));
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1));
    let mut sent = Vec::new();
    for (slow, seconds) in [(0.0, 6), (1.0, 8), (0.0, 8)] {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            sent.extend(calls(&ready, &mut rng, "chat", 10, slow).await);
            tokio::time::sleep(TICK).await;
        }
    }
    let resolved = until(PATIENCE, || async {
        let alerts = api.alerts().await.ok()?["alerts"].as_array()?.clone();
        let alert = alerts.into_iter().find(|alert| alert["labels"]["alertname"] == "Slow")?;
        (alert["state"] == "resolved").then_some(alert)
    });
    let alert = resolved.await.unwrap_or_default();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(weir.stop().await.unwrap().success());
    let time = |key: &str| alert[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_nanosecond();
    let firing = time("fired_at")..time("resolved_at");

    let taken = spans(&Dataset::read(&weir.data_dir().join("datasets/firing")));
    let count = |within: bool| {
        let of = sent.iter().filter(|(span, _)| firing.contains(&i128::from(span.start)) == within);
        (of.clone().filter(|(span, _)| taken.contains(&span.id)).count(), of.count())
    };
    let ((within, all_within), (others, all_others)) = (count(true), count(false));
    eprintln!("while firing: {within} of {all_within} calls of that time, {others} of {all_others} others");
    assert!(all_within > 100 && all_others > 100, "{alert}");
    assert_eq!(within, all_within);
    assert!(others as f64 <= 0.01 * all_others as f64, "{others} of {all_others} others");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_rows_a_minute_then_about_so_many_are_taken_and_they_are_spread() {
    const ROWS_PER_MINUTE: f64 = 240.0;
    let folder = tempfile::tempdir().unwrap();
    let sample = json!({ "rows_per_minute": ROWS_PER_MINUTE });
    let captures = json!([capture("many", "ocr", &sample), capture("single", "chat", &sample)]);
    let mut weir = weir(folder.path(), &captures, &json!([]));
    let ready = weir.start().await.unwrap();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1));
    let seconds = number("WEIR_E2E_SECONDS", 30);
    let begin = super::spans::now();
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        calls(&ready, &mut rng, "ocr", 20, 0.0).await;
        // One process, which all its records have one partition of.
        let spans: Vec<Span> = (0..20).map(|_| Span::new(&mut rng, Duration::from_millis(5))).collect();
        assert!(post(&client(), ready.otlp_http.as_ref().unwrap(), &[export("chat", "acme", 0, &spans)]).await);
        tokio::time::sleep(TICK).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(weir.stop().await.unwrap().success());
    let wanted = ROWS_PER_MINUTE * seconds as f64 / 60.0;
    for name in ["many", "single"] {
        let dataset = Dataset::read(&weir.data_dir().join("datasets").join(name));
        let rows = dataset.rows.len() as f64;
        let mut by_time = [0_u32; 6];
        for row in &dataset.rows {
            let share = (row["began"].as_i64().unwrap() * 1000 - begin) as f64 / (seconds as f64 * 1e9);
            by_time[((share * 6.0).max(0.0) as usize).min(5)] += 1;
        }
        eprintln!("{name}: {rows} rows of {wanted} in {seconds} s, {by_time:?} in each sixth");
        assert!(rows <= 1.3 * wanted && rows >= 0.7 * wanted, "{name}: {rows} rows instead of {wanted}");
        assert!(by_time.iter().all(|rows| f64::from(*rows) > wanted / 6.0 * 0.3), "{name}: {by_time:?}");
    }
}
