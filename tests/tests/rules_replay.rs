//! `weir rules replay` tells of the alerts that the alerter told of, at the same event times, from what the bus holds.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use weir_tests::kafka::Kafka;
use weir_tests::{Api, Weir, until};

const PATIENCE: Duration = Duration::from_mins(1);

const RULES: &str = "
groups:
  - name: latency
    interval: 1s
    rules:
      - {record: 'interface:p99', expr: 'histogram_quantile(0.99, sum by (interface) (rate(weir_call_duration_seconds[3s])))'}
      - {alert: InterfaceSlow, expr: 'interface:p99 > 0.8', for: 1s, labels: {severity: page}}
      - {alert: NeverSlow, expr: 'interface:p99 > 1000'}
";

async fn calls(endpoint: &str, slow: bool, seed: u64) {
    let slow = if slow { " --slow-from=0s --slow-for=1h --slow-duration=1500ms" } else { "" };
    let words = format!(
        "spans --endpoint={endpoint} --spans=1400 --rate=200 --interfaces=1 --tenants=acme --parallel=256 \
         --seed={seed}{slow}"
    );
    weir_tests::weir::load(&words.split(' ').collect::<Vec<_>>()).await.unwrap();
}

/// Calls until rules are evaluated: what happened before, a replay sees and the alerter did not.
async fn evaluating(api: &Api, endpoint: &str) {
    calls(endpoint, false, 3).await;
    let found =
        until(PATIENCE, || async { api.alerts().await.ok()?["pipeline"]["evaluated_until"].as_str().map(drop) });
    found.await.unwrap_or_else(|| panic!("no rule was evaluated"));
}

/// What the alerter says of the alert, once it was resolved.
async fn resolved(api: &Api) -> Value {
    let found = until(PATIENCE, || async {
        let alerts = api.alerts().await.ok()?;
        let alert = alerts["alerts"].as_array()?.first()?.clone();
        (alert["state"] == "resolved").then_some(alert)
    });
    found.await.unwrap_or_else(|| panic!("no alert was resolved"))
}

fn replay(arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(weir_tests::weir::binary().unwrap());
    command.args(["rules", "replay"]).args(arguments).output().unwrap()
}

/// What the history lists, newest first: states and times.
async fn history(api: &Api) -> Vec<(String, Value)> {
    let asked = [("alertname", "InterfaceSlow"), ("filter", "severity=\"page\"")];
    let (status, answer) = api.get("/api/v1/alerts/history", &asked).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    let transitions = answer["transitions"].as_array().unwrap().iter();
    transitions.map(|one| (one["state"].as_str().unwrap().to_owned(), one["time"].clone())).collect()
}

/// Compares an alert of a replay with what the alerter said, and gives the answer.
fn compare(output: &Output, live: &Value) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    compare_report(serde_json::from_slice(&output.stdout).unwrap(), live)
}

fn compare_report(report: Value, live: &Value) -> Value {
    let fired: Vec<&Value> =
        report["alerts"].as_array().unwrap().iter().filter(|alert| alert["fired_at"].is_string()).collect();
    let [alert] = &fired[..] else { panic!("not one alert: {report}") };
    assert_eq!(alert["labels"], live["labels"]);
    let [pending, fired, ended] = ["pending_at", "fired_at", "ended_at"].map(|key| &alert[key]);
    assert_eq!([pending, fired, ended], [&live["active_at"], &live["fired_at"], &live["resolved_at"]], "{report}");
    let greatest = alert["greatest_value"].as_f64().unwrap();
    assert!((1.4..1.6).contains(&greatest), "{greatest}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn given_the_folder_of_a_weir_that_has_stopped_then_the_alerts_are_those_that_it_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": null } },
        "alerter": { "rules": [rules] },
    });
    let place = folder.path().join("weir");
    let mut weir = Weir::new("standalone", &place, &config).unwrap();
    let ready = weir.start().await.unwrap();
    let endpoint = ready.otlp_grpc.unwrap();
    evaluating(&Api::new(&ready.http).unwrap(), &endpoint).await;
    calls(&endpoint, true, 1).await;
    calls(&endpoint, false, 2).await;
    let live = resolved(&Api::new(&ready.http).unwrap()).await;
    let url = format!("{}/api/v1/rules/replay?start=now-10m", ready.http);
    let answer = reqwest::Client::new().post(url).body(RULES).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    compare_report(serde_json::from_str(&answer.text().await.unwrap()).unwrap(), &live);

    let told = history(&Api::new(&ready.http).unwrap()).await;
    let states = ["resolved", "firing", "pending"].map(str::to_owned);
    let times = ["resolved_at", "fired_at", "active_at"].map(|key| live[key].clone());
    assert_eq!(told, states.into_iter().zip(times).collect::<Vec<_>>());
    weir.kill().unwrap();
    let mut weir = Weir::new("standalone", &place, &config).unwrap();
    let ready = weir.start().await.unwrap();
    assert_eq!(history(&Api::new(&ready.http).unwrap()).await, told, "after a crash");

    let file = place.join("weir.yaml");
    let data = weir.data_dir();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (rules, file, data) = (path(&rules), path(&file), path(&data));
    let asked = [rules.as_str(), "--config", &file, "--data-dir", &data, "--start", "now-10m"];
    let json: Vec<&str> = asked.iter().copied().chain(["--json"]).collect();
    let busy = replay(&json);
    assert_eq!(busy.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&busy.stderr).contains("in use by another weir"));

    assert!(weir.stop().await.unwrap().success());
    let report = compare(&replay(&json), &live);
    let [slow, never] = [&report["rules"][0], &report["rules"][1]];
    assert_eq!((&slow["firings"], &slow["pages"], &never["firings"]), (&json!(1), &json!(1), &json!(0)));
    assert!(slow["detection_seconds"]["mean"].as_f64().unwrap() >= 2.0, "`for` and the lateness: {slow}");
    let text = String::from_utf8(replay(&asked).stdout).unwrap();
    assert!(text.contains("InterfaceSlow {") && text.contains(", resolved ") && text.contains("NeverSlow"), "{text}");

    let refused = |arguments: &[&str], code: i32, says: &str| {
        let output = replay(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.contains(says)), (Some(code), true), "{arguments:?}: {told}");
    };
    refused(&[&rules, "--config", &file, "--data-dir", &data, "--start", "soon"], 2, "now-15m");
    refused(&[&rules, "--config", &file, "--data-dir", &data, "--start", "now", "--end", "now-1h"], 2, "after --start");
    refused(&[&rules, "--config", &rules, "--start", "now-1h"], 64, "groups");
    refused(&["/no/such.yaml", "--config", &file, "--start", "now-1h"], 1, "is not there");
    let before = ["--config", &file, "--data-dir", &data, "--start", "now-9h", "--end", "now-8h", &rules];
    refused(&before, 1, "holds nothing before");
    let nowhere = path(&folder.path().join("nowhere"));
    refused(&[&rules, "--data-dir", &nowhere, "--start", "now-1h"], 1, "no broker has written there");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_kafka_and_an_alerter_at_work_then_the_alerts_are_those_that_it_told_of() {
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return weir_tests::skip("given_kafka_and_an_alerter_at_work", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": { "broker": "kafka", "brokers": kafka.brokers() },
        "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": null } },
        "alerter": { "rules": [rules] },
    });
    let place = folder.path().join("alerter");
    let mut collector = Weir::new("collector", &folder.path().join("collector"), &config).unwrap();
    let mut alerter = Weir::new("alerter", &place, &config).unwrap();
    let endpoint = collector.start().await.unwrap().otlp_grpc.unwrap();
    let api = Api::new(&alerter.start().await.unwrap().http).unwrap();
    evaluating(&api, &endpoint).await;
    calls(&endpoint, true, 1).await;
    calls(&endpoint, false, 2).await;
    let live = resolved(&api).await;
    let (rules, file) = (rules.to_str().unwrap(), place.join("weir.yaml"));
    let output = replay(&[rules, "--config", file.to_str().unwrap(), "--start", "now-10m", "--json"]);
    compare(&output, &live);
}
