//! Rules of configs/rules over what the collector says of GPUs: a burst of XIDs, and GPUs that are well.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "gpu_alerts/captures.rs"]
mod captures;

use std::path::{Path, PathBuf};
use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};
use weir_proto::otlp::trace::v1::{Span, Status};
use weir_tests::otlp::{spans_of, text};
use weir_tests::{Api, Gpus, Webhook, Weir, client, until};

const PATIENCE: Duration = Duration::from_mins(1);

fn rules(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/rules").join(name)
}

fn config(gpus: &Gpus, webhook: &str) -> Value {
    json!({
        "listen": "127.0.0.1:0",
        "collector": {
            "otlp": {"grpc": null, "http": "127.0.0.1:0"},
            "gpu": {"library": gpus.library(), "interval": "1s"},
            "host": {"root": gpus.root(), "interval": "1s"},
            "kubernetes": null,
            "tenant": {"namespaces": {"team-a": "acme", "team-b": "globex"}},
        },
        "indexer": null, "usage": null, "reflow": null,
        "alerter": {
            "rules": [rules("gpu.yaml"), rules("inference.yaml")],
            "lateness": "1s",
            "route": {"receiver": "ops", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
            "receivers": [{"name": "ops", "webhook_configs": [{"url": webhook}]}],
        },
    })
}

/// Calls of services, each from its own pod.
struct Callers {
    client: reqwest::Client,
    url: String,
    ids: u64,
}

impl Callers {
    /// Sends calls that end now.
    async fn call(&mut self, tenant: &str, service: &str, namespace: &str, slow: bool) {
        let now = weir_service::time::now_unix_nano_unsigned();
        let spans = (0..10).map(|_| {
            self.ids += 1;
            Span {
                trace_id: u128::from(self.ids).to_be_bytes().to_vec(),
                span_id: self.ids.to_be_bytes().to_vec(),
                name: format!("POST /{service}"),
                kind: 2,
                start_time_unix_nano: now - if slow { 2_000_000_000 } else { 50_000_000 },
                end_time_unix_nano: now,
                status: slow.then(|| Status { code: 2, ..Status::default() }),
                ..Span::default()
            }
        });
        let mut request = spans_of(tenant, service, spans.collect());
        let resource = request.resource_spans[0].resource.as_mut().unwrap();
        let pod = format!("{service}-1");
        resource.attributes.extend([text("k8s.namespace.name", namespace), text("k8s.pod.name", &pod)]);
        let post = self.client.post(format!("{}/v1/traces", self.url)).header("content-type", "application/x-protobuf");
        let answer = post.body(request.encode_to_vec()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

/// Alerts of a name that were told as firing, as their labels with their annotations.
fn told(webhook: &Webhook, name: &str) -> Vec<(Value, Value)> {
    let mut told: Vec<(Value, Value)> = Vec::new();
    for notification in webhook.caught() {
        for alert in notification["alerts"].as_array().unwrap() {
            let is_new = told.iter().all(|(labels, _)| *labels != alert["labels"]);
            if alert["labels"]["alertname"] == name && alert["status"] == "firing" && is_new {
                told.push((alert["labels"].clone(), alert["annotations"].clone()));
            }
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_burst_of_xids_then_one_page_names_what_is_on_the_gpu_and_what_it_explains_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut gpus = Gpus::new(&folder.path().join("machine")).unwrap();
    gpus.process(10, "team-a", "ocr-1").unwrap();
    gpus.process(11, "team-b", "asr-1").unwrap();
    gpus.set("count", 2);
    for (gpu, pid) in [(0, 10), (1, 11)] {
        gpus.set(&format!("gpu.{gpu}.uuid"), format!("GPU-{gpu}")).set(&format!("gpu.{gpu}.utilization.gpu"), 90);
        gpus.set(&format!("gpu.{gpu}.process.0"), format!("{pid} 1000000"));
    }
    gpus.say().unwrap();
    let webhook = Webhook::start().await.unwrap();
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config(&gpus, &webhook.url())).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let mut callers = Callers { client: client().build().unwrap(), url: ready.otlp_http.unwrap(), ids: 0 };
    for _ in 0..5 {
        callers.call("acme", "ocr", "team-a", false).await;
        callers.call("globex", "asr", "team-b", false).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let seen = until(PATIENCE, || async {
        let query = "count(weir_gpu_memory_usage_bytes) + count(weir_service_pod)";
        let (_, answer) = api.get("/prometheus/api/v1/query", &[("query", query)]).await.ok()?;
        (answer["data"]["result"][0]["value"][1] == "4").then_some(())
    });
    seen.await.unwrap_or_else(|| panic!("the pods are not known"));
    assert!(webhook.caught().is_empty(), "{:?}", webhook.caught());

    // Both services are slow and fail from now on; only one has a GPU that says why.
    for second in 0..25 {
        if second % 4 == 0 {
            gpus.set(&format!("event.{}", second / 4), "0 8 79").say().unwrap();
        }
        callers.call("acme", "ocr", "team-a", true).await;
        callers.call("globex", "asr", "team-b", true).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let is_told = until(PATIENCE, || async { (!told(&webhook, "SlowInterface").is_empty()).then_some(()) });
    is_told.await.unwrap_or_else(|| panic!("{:?}", webhook.caught()));

    let pages = told(&webhook, "GpuFailed");
    let [(labels, annotations)] = &pages[..] else { panic!("not one page: {pages:?}") };
    assert_eq!((&labels["hw_id"], &labels["severity"]), (&json!("GPU-0"), &json!("page")));
    assert_eq!(webhook.caught().iter().filter(|told| told["groupLabels"]["alertname"] == "GpuFailed").count(), 1);
    let summary = annotations["summary"].as_str().unwrap();
    assert!(summary.ends_with("has failed: restart the machine."), "{summary}");
    let (_, alerts) = api.get("/api/v1/alerts", &[]).await.unwrap();
    let alert = alerts["alerts"].as_array().unwrap().iter().find(|alert| alert["rule"] == "GpuFailed").unwrap();
    let description = alert["annotations"]["description"].as_str().unwrap();
    for part in ["XIDs within three minutes: 79.", "Pods: team-a/ocr-1 of acme.", " of acme ocr POST /ocr."] {
        assert!(description.contains(part), "{description}");
    }
    assert!(!description.contains("asr") && !description.contains("globex"), "{description}");
    for name in ["SlowInterface", "FailingInterface"] {
        for (labels, _) in told(&webhook, name) {
            assert_eq!(labels["service"], "asr", "{name}");
        }
    }
}
