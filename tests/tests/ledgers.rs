//! What collectors report of themselves and of the pods of their node: where it is asked for, with the numbers that are
//! so, and each tenant its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../collector/src/kubernetes/tests/server.rs"]
#[allow(dead_code, reason = "the collector's own tests use all of it")]
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use weir_service::auth::{Role, tokens};
use weir_tests::{Api, Weir, client, until};

use server::Server;

const PATIENCE: Duration = Duration::from_mins(1);
const NODE: &str = "node-1";
const MAX_LINE: usize = 100;

/// The log file of a container in this namespace.
fn log(folder: &Path, namespace: &str) -> PathBuf {
    folder.join(format!("logs/ocr-1_{namespace}_main-{}.log", "ab".repeat(32)))
}

fn config(folder: &Path) -> Value {
    json!({
        "listen": "127.0.0.1:0",
        "auth": {"tokens": folder.join("tokens.yaml")},
        "collector": {
            "files": [{"include": [folder.join("logs/*.log")], "format": "plain"}],
            "otlp": {"grpc": null, "http": "127.0.0.1:0"},
            "gpu": null,
            "host": {"interval": "1s"},
            "kubernetes": {"kubeconfig": folder.join("kubeconfig"), "node": NODE},
            "tenant": {"namespaces": {"team-a": "acme", "team-b": "globex"}},
            "max_line": MAX_LINE,
        },
        "indexer": {"seal": {"age": "100ms"}},
        "usage": null, "reflow": null,
    })
}

/// What the series of an instant query are, by these labels, as the asker sees them: sorted, each with its value.
async fn told(api: &Api, query: &str, labels: &[&str]) -> Vec<(Vec<String>, f64)> {
    let series = api.promql(query, None).await.unwrap_or_default();
    let mut told: Vec<(Vec<String>, f64)> = series
        .iter()
        .map(|one| {
            let label = |name: &&str| one["metric"][*name].as_str().unwrap_or_default().to_owned();
            (labels.iter().map(label).collect(), one["value"][1].as_str().unwrap().parse().unwrap())
        })
        .collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    told
}

/// Waits until the answer is this.
async fn until_told(api: &Api, query: &str, labels: &[&str], right: &[(&[&str], f64)]) {
    let right: Vec<(Vec<String>, f64)> = right
        .iter()
        .map(|(labels, value)| (labels.iter().map(|label| (*label).to_owned()).collect(), *value))
        .collect();
    let is_so = until(PATIENCE, || async { (told(api, query, labels).await == right).then_some(()) });
    let is_so = is_so.await.is_some();
    assert!(is_so, "{query} is {:?}, not {right:?}", told(api, query, labels).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn given_files_and_pods_of_two_tenants_then_each_sees_its_own_ledger_and_limits_and_an_operator_all() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start().await;
    server.kubeconfig(&folder.join("kubeconfig"));
    fs::write(folder.join("token"), "one").unwrap();
    for (namespace, cpu) in [("team-a", "500m"), ("team-b", "2")] {
        let name = format!("{namespace}/ocr-1");
        server.create(NODE, &name, &json!({}), &json!({}));
        let resources = json!({"requests": {"cpu": cpu, "memory": "1Gi"}, "limits": {"nvidia.com/gpu": "1"}});
        let spec = json!({"containers": [{"name": "main", "resources": resources}]});
        server.run(&name, &spec, &json!({"phase": "Running"}));
    }
    fs::create_dir(folder.join("logs")).unwrap();
    // Of acme's line so much is left out; of globex's there is no end.
    fs::write(log(folder, "team-a"), format!("one\n{}\n", "x".repeat(MAX_LINE + 23))).unwrap();
    fs::write(log(folder, "team-b"), "one\nhalf").unwrap();
    let token = |name: &str, role, tenant: &str| {
        tokens::add(&folder.join("tokens.yaml"), name, role, &[tenant.to_owned()], None).unwrap()
    };
    let (root, acme) = (token("root", Role::Operator, "*"), token("acme", Role::Viewer, "acme"));
    let (globex_token, writer) = (token("globex", Role::Viewer, "globex"), token("writer", Role::Writer, "acme"));
    let mut weir = Weir::new("standalone", &folder.join("weir"), &config(folder)).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let [root, acme, globex] = [&root, &acme, &globex_token].map(|token| api.with_token(token));

    // A tenant does not say what weir measured.
    let point = json!({"timeUnixNano": "1", "asInt": "5"});
    let metric = |name: &str| json!({"name": name, "gauge": {"dataPoints": [point]}});
    let metrics = json!([metric("weir.gpu.time"), metric("app.queue")]);
    let sent = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]});
    let url = format!("{}/v1/metrics", ready.otlp_http.unwrap());
    let answer = client().build().unwrap().post(url).bearer_auth(writer).json(&sent).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "1", "{answer}");

    let acknowledged = "weir_collector_source_acknowledged_bytes_total > 0";
    let own: [(&[&str], f64); 2] = [(&["acme"], (4 + MAX_LINE + 1) as f64), (&["globex"], 4.0)];
    until_told(&acme, acknowledged, &["tenant"], &own[..1]).await;
    until_told(&globex, acknowledged, &["tenant"], &own[1..]).await;
    until_told(&root, acknowledged, &["tenant"], &own).await;
    let lost = r#"weir_collector_source_lost_bytes_total{service="weir-collector"} > 0"#;
    until_told(&root, lost, &["tenant", "reason"], &[(&["acme", "over_limit"], 23.0)]).await;
    until_told(&globex, "sum(weir_collector_source_lost_bytes_total)", &[], &[(&[], 0.0)]).await;
    // The half line is one of a file once it has waited for ten seconds.
    let (ocr, asr) = (log(folder, "team-a"), log(folder, "team-b"));
    let (ocr, asr) = (ocr.to_str().unwrap(), asr.to_str().unwrap());
    let waiting: (&[&str], f64) = (&["globex", asr], 4.0);
    until_told(&root, "weir_collector_file_waiting_bytes > 0", &["tenant", "log_file_path"], &[waiting]).await;
    until_told(&acme, "weir_collector_file_lost_bytes", &["log_file_path"], &[(&[ocr], 23.0)]).await;
    until_told(&globex, "weir_collector_file_lost_bytes", &["log_file_path"], &[]).await;

    // What is no tenant's is of the machine's: whoever sees that, sees it.
    let rejected = r#"weir_collector_otlp_rejected_total{signal="metrics"}"#;
    until_told(&root, rejected, &["tenant"], &[(&["default"], 1.0)]).await;
    until_told(&acme, rejected, &[], &[]).await;
    let version: (&[&str], f64) = (&[env!("CARGO_PKG_VERSION")], 1.0);
    until_told(&root, "count by (service_version) (weir_collector_uptime_seconds)", &["service_version"], &[version])
        .await;

    let of_pod = ["tenant", "k8s_namespace_name", "k8s_pod_name", "k8s_container_name", "k8s_node_name"];
    let cpu = "k8s_container_cpu_request_desired";
    let ours: (&[&str], f64) = (&["acme", "team-a", "ocr-1", "main", NODE], 0.5);
    let theirs: (&[&str], f64) = (&["globex", "team-b", "ocr-1", "main", NODE], 2.0);
    until_told(&acme, cpu, &of_pod, &[ours]).await;
    until_told(&root, cpu, &of_pod, &[ours, theirs]).await;
    let gpus = r#"weir_k8s_container_resource_limit{weir_k8s_resource_name="nvidia.com/gpu"}"#;
    until_told(&globex, gpus, &["tenant"], &[(&["globex"], 1.0)]).await;
    let running = r#"k8s_pod_status_phase{k8s_pod_status_phase="Running"} == 1"#;
    until_told(&root, running, &["tenant"], &[(&["acme"], 1.0), (&["globex"], 1.0)]).await;

    // The same where points are kept.
    let asked = [("metric", "weir.collector.source.lost,k8s.container.memory.request.desired"), ("wait_for", "5s")];
    let (status, found) = acme.get("/api/v1/metrics/series", &asked).await.unwrap();
    let series = found["series"].as_array().unwrap();
    assert!(status == 200 && series.iter().all(|one| one["tenant"] == "acme"), "{found:#}");
    let last = |metric: &str, (part, key): (&str, &str), value: &str| {
        let one = series.iter().find(|one| one["metric"] == metric && one[part][key] == value)?;
        one["points"].as_array()?.last()?[1].as_f64()
    };
    let (lost, memory) = ("weir.collector.source.lost", "k8s.container.memory.request.desired");
    assert_eq!(last(lost, ("attributes", "reason"), "over_limit"), Some(23.0), "{found:#}");
    assert!(last(lost, ("resource", "service.version"), env!("CARGO_PKG_VERSION")).is_some(), "{found:#}");
    assert_eq!(last(memory, ("resource", "k8s.pod.name"), "ocr-1"), Some(1_073_741_824.0), "{found:#}");

    // Sums go on over a restart.
    assert!(weir.stop().await.unwrap().success());
    fs::write(log(folder, "team-b"), "one\nhalf and whole\n").unwrap();
    let ready = weir.start().await.unwrap();
    let globex = Api::new(&ready.http).unwrap().with_token(&globex_token);
    until_told(&globex, acknowledged, &["tenant"], &[(&["globex"], 19.0)]).await;
}
