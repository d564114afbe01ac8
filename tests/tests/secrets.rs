//! What is secret of receivers stays so, in a running weir: log, API, metrics, and all that it keeps on disk.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use weir_tests::{Api, Weir, until};

const MARKER: &str = "m4rker-of-a-secret";
const PATIENCE: Duration = Duration::from_mins(1);

/// Every kind of receiver, with the marker in each of its secrets, at a port where nobody listens.
fn receivers() -> Value {
    let url = format!("http://u:{MARKER}@127.0.0.1:1/{MARKER}?access_token={MARKER}");
    let basic = json!({"basic_auth": {"username": "u", "password": MARKER}});
    let bearer = json!({"authorization": {"credentials": MARKER}});
    let proxy = json!({"bearer_token": MARKER, "proxy_url": format!("http://u:{MARKER}@127.0.0.1:1")});
    json!([{
        "name": "ops",
        "webhook_configs": [{"url": url, "http_config": basic}],
        "dingtalk_configs": [{"url": url, "secret": MARKER, "http_config": bearer}],
        "wecom_configs": [{"url": url, "http_config": proxy}],
        "feishu_configs": [{"url": url, "secret": MARKER}],
        "slack_configs": [{"api_url": url, "http_config": bearer}],
        "pagerduty_configs": [{"routing_key": MARKER, "url": url}],
        "alertmanager_configs": [{"url": url, "http_config": basic}],
        "email_configs": [{
            "to": "a@b.c", "from": "a@b.c", "smarthost": "127.0.0.1:1", "require_tls": false,
            "auth_username": "u", "auth_password": MARKER,
        }],
    }])
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_receiver_is_in_a_log_an_answer_or_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    let rule = "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: 'vector(1)'}]}]";
    std::fs::write(&rules, rule).unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": {"otlp": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"}},
        "alerter": {"rules": [rules], "route": {"receiver": "ops"}, "receivers": receivers()},
    });
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let kinds = ["webhook", "dingtalk", "wecom", "feishu", "slack", "pagerduty", "alertmanager", "email"];
    let all_failed = || async {
        let log = weir.stderr();
        let failed: BTreeSet<&str> = kinds
            .into_iter()
            .filter(|kind| log.lines().any(|line| line.contains("did not take a notification") && line.contains(kind)))
            .collect();
        (failed.len() == kinds.len()).then_some(())
    };
    assert!(until(PATIENCE, all_failed).await.is_some(), "not every kind was tried: {}", weir.stderr());
    for path in [
        "/api/v1/alerts",
        "/api/v1/alerts/history",
        "/api/v1/rules",
        "/api/v1/silences",
        "/api/v1/notifications",
        "/api/v1/status",
        "/prometheus/api/v1/alerts",
        "/prometheus/api/v1/rules",
        "/alertmanager/api/v2/alerts",
        "/alertmanager/api/v2/receivers",
        "/alertmanager/api/v2/status",
        "/metrics",
    ] {
        let (_, text) = api.text(path).await.unwrap();
        assert!(!text.contains(MARKER), "{path}: {text}");
    }
    let (_, answer) = api.get("/api/v1/notifications", &[("receiver", "ops")]).await.unwrap();
    let failed = answer["notifications"].as_array().unwrap().iter().filter(|one| one["outcome"] == "failed");
    let failed: BTreeSet<&str> = failed.map(|one| one["integration"].as_str().unwrap()).collect();
    assert_eq!(failed, BTreeSet::from(kinds), "{answer}");
    // The state of notifications is written at the end.
    assert!(weir.stop().await.unwrap().success(), "{}", weir.stderr());
    assert!(!weir.stderr().contains(MARKER), "{}", weir.stderr());
    let mut files = 0;
    for entry in walkdir::WalkDir::new(weir.data_dir()).into_iter().filter_map(Result::ok) {
        if entry.file_type().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            let shows = bytes.windows(MARKER.len()).any(|part| part == MARKER.as_bytes());
            assert!(!shows, "{}", entry.path().display());
            files += 1;
        }
    }
    assert!(files > 0);
}
