//! Erasure by query: who may, what goes, and what stays through kills.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use weir_service::auth::{Role, tokens};
use weir_tests::{Api, Weir, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends twenty lines with the numbers from `first` on, as this writer's tenant.
async fn send(otlp: &str, token: &str, first: u32) {
    let line = |n: u32| json!({"body": {"stringValue": format!("line {n} of {}", n % 10)}});
    let lines: Vec<Value> = (first..first + 20).map(line).collect();
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": lines}]}]});
    let request = weir_tests::client().build().unwrap().post(format!("{otlp}/v1/logs")).bearer_auth(token).json(&logs);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

async fn erase(http: &str, token: &str, what: &str, query: &[(&str, &str)]) -> (u16, Value) {
    let url = reqwest::Url::parse_with_params(&format!("{http}/api/v1/{what}/erase"), query).unwrap();
    let answer = weir_tests::client().build().unwrap().post(url).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

fn config(tokens: &Path) -> Value {
    json!({
        "listen": "127.0.0.1:0",
        "auth": { "tokens": tokens },
        "collector": { "otlp": { "grpc": null, "http": "127.0.0.1:0" } },
        "indexer": { "seal": { "age": "1s" } },
    })
}

#[tokio::test]
async fn given_an_admin_of_a_tenant_then_an_erasure_takes_that_tenants_lines_and_nothing_else_through_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.yaml");
    let make = |name: &str, tenants: &str, role| {
        let tenants: Vec<_> = tenants.split(',').map(str::to_owned).collect();
        tokens::add(&file, name, role, &tenants, None).unwrap()
    };
    let writers = ["acme", "globex"].map(|tenant| make(&format!("{tenant}-writer"), tenant, Role::Writer));
    let (viewer, operator) = (make("v", "acme,globex", Role::Viewer), make("o", "acme", Role::Operator));
    let (admin, root) = (make("a", "acme", Role::Admin), make("r", "*", Role::Admin));
    let mut weir = Weir::new("standalone", folder.path(), &config(&file)).unwrap();
    let ready = weir.start().await.unwrap();
    for writer in &writers {
        send(ready.otlp_http.as_ref().unwrap(), writer, 0).await;
    }
    let api = Api::new(&ready.http).unwrap();
    let count = async |api: &Api, token: &str, query: &str| api.with_token(token).count(query).await.unwrap();
    let there = || async { (count(&api, &viewer, "*").await == 40).then_some(()) };
    until(PATIENCE, there).await.unwrap();

    let odd = [("query", "\"of 7\" OR \"of 9\"")];
    for (token, what) in [(&operator, "logs"), (&viewer, "logs"), (&writers[0], "logs"), (&operator, "traces")] {
        let (status, answer) = erase(&ready.http, token, what, &odd).await;
        assert_eq!(status, 403, "{answer}");
    }
    let (status, answer) = erase(&ready.http, &admin, "logs", &[]).await;
    assert!(status == 400 && answer["detail"].as_str().unwrap().contains("`query` is missing"), "{answer}");
    let (status, answer) = erase(&ready.http, &admin, "logs", &[("query", "*"), ("tenant", "globex")]).await;
    assert_eq!(status, 403, "{answer}");
    let (status, answer) = erase(&ready.http, &admin, "logs", &[odd[0], ("dry_run", "true")]).await;
    assert_eq!((status, &answer["matching"]), (200, &4.into()), "{answer}");
    assert_eq!(count(&api, &viewer, "*").await, 40);

    let (status, report) = erase(&ready.http, &admin, "logs", &odd).await;
    assert_eq!((status, &report["erased"], &report["windows"]), (200, &4.into(), &1.into()), "{report}");
    assert_eq!(count(&api, &viewer, "*").await, 36, "invisible at once");
    assert_eq!((count(&api, &viewer, "tenant:acme").await, count(&api, &viewer, odd[0].1).await), (16, 4));
    send(ready.otlp_http.as_ref().unwrap(), &writers[0], 20).await;
    let there = || async { (count(&api, &viewer, "*").await == 56).then_some(()) };
    until(PATIENCE, there).await.expect("what comes later stays");
    weir.kill().unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let there = || async { (count(&api, &viewer, "*").await >= 56).then_some(()) };
    until(PATIENCE, there).await.unwrap();
    assert_eq!((count(&api, &viewer, "*").await, count(&api, &viewer, odd[0].1).await), (56, 8));

    // Everything, by who may see everything: all but the audit, which tells of it.
    let (_, report) = erase(&ready.http, &root, "logs", &[("query", "*"), ("dry_run", "true")]).await;
    assert_eq!(report["matching"], 56, "{report}");
    let (status, report) = erase(&ready.http, &root, "logs", &[("query", "*")]).await;
    assert_eq!((status, &report["erased"]), (200, &56.into()), "{report}");
    assert_eq!(count(&api, &viewer, "*").await, 0);
    let told = || async { (count(&api, &root, "tenant:weir AND erase").await >= 2).then_some(()) };
    until(PATIENCE, told).await.expect("the audit tells who erased what");
}
