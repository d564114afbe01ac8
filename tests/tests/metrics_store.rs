//! Metric points from the collector to the search API: each once over kills, and in the dossier of a trace.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};
use weir_proto::otlp::trace::v1::Span;
use weir_service::time::{format, now_unix_nano, now_unix_nano_unsigned};
use weir_tests::otlp::{spans_of, text};
use weir_tests::{Api, Gpus, Weir, client, until};

const PATIENCE: Duration = Duration::from_mins(1);
/// Points that are sent one by one, and after how many of them weir is killed each time.
const POINTS: i64 = 60;
const KILLED_AFTER: i64 = 13;
/// Between two points: metrics are sealed every two seconds, so some seals lie between two kills.
const PAUSE: Duration = Duration::from_millis(250);
const UID: &str = "11111111-2222-3333-4444-000000000010";

fn config(gpus: &Gpus) -> Value {
    json!({
        "listen": "127.0.0.1:0",
        "collector": {
            "otlp": {"grpc": null, "http": "127.0.0.1:0"},
            "gpu": {"library": gpus.library(), "interval": "1s"},
            "host": {"root": gpus.root(), "interval": "1s"},
            "kubernetes": null,
            "tenant": {"namespaces": {"team-a": "acme"}},
        },
        "indexer": {"seal": {"age": "100ms"}},
        "alerter": null, "usage": null, "reflow": null,
    })
}

/// One point of a counter that has its number as its value.
fn point(number: i64, base: i64) -> Value {
    let point = json!({
        "timeUnixNano": (base + number * 1_000_000_000).to_string(), "startTimeUnixNano": base.to_string(),
        "asInt": number.to_string(),
    });
    let sum = json!({"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": true});
    let tenant = json!({"key": "weir.tenant", "value": {"stringValue": "acme"}});
    json!({"resourceMetrics": [{
        "resource": {"attributes": [tenant]},
        "scopeMetrics": [{"metrics": [{"name": "e2e.numbers", "sum": sum}]}],
    }]})
}

/// The series of an answer of one metric, and its values.
fn values(answer: &Value) -> Vec<i64> {
    let points = answer["series"][0]["points"].as_array();
    points.into_iter().flatten().filter_map(|point| point[1].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn given_kills_then_every_point_is_there_once_and_a_dossier_has_what_the_gpus_did() {
    let folder = tempfile::tempdir().unwrap();
    let mut gpus = Gpus::new(&folder.path().join("machine")).unwrap();
    gpus.process(10, "team-a", "ocr-1").unwrap();
    gpus.set("count", 2).set("gpu.0.process.0", "10 1000000");
    for gpu in 0..2 {
        gpus.set(&format!("gpu.{gpu}.uuid"), format!("GPU-{gpu}")).set(&format!("gpu.{gpu}.utilization.gpu"), 90);
        gpus.set(&format!("gpu.{gpu}.utilization.memory"), 10);
    }
    gpus.say().unwrap();
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config(&gpus)).unwrap();
    let mut ready = weir.start().await.unwrap();
    let sender = client().build().unwrap();
    let base = now_unix_nano() - POINTS * 1_000_000_000;
    for number in 0..POINTS {
        let url = format!("{}/v1/metrics", ready.otlp_http.as_deref().unwrap());
        let answer = sender.post(url).json(&point(number, base)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        tokio::time::sleep(PAUSE).await;
        if number % KILLED_AFTER == KILLED_AFTER - 1 {
            weir.kill().unwrap();
            ready = weir.start().await.unwrap();
        }
    }
    let api = Api::new(&ready.http).unwrap();
    let (start, end) = (format(base), format(base + POINTS * 1_000_000_000));
    let ask = |more: &'static [(&'static str, &'static str)]| {
        let asked = [("metric", "e2e.numbers"), ("start", &*start), ("end", &*end), ("wait_for", "5s")];
        let asked: Vec<_> = asked.into_iter().chain(more.iter().copied()).collect();
        let api = &api;
        async move { api.get("/api/v1/metrics/series", &asked).await.unwrap() }
    };
    let all: Vec<i64> = (0..POINTS).collect();
    let found = until(PATIENCE, || async { (values(&ask(&[]).await.1) == all).then_some(()) });
    found.await.unwrap_or_else(|| panic!("the points are not those that were sent"));
    let whole = |answer: &Value| {
        let steps = answer["series"][0]["points"].as_array().unwrap();
        steps.iter().map(|step| step[1].as_f64().unwrap() as i64).sum::<i64>()
    };
    let (_, increase) = ask(&[("step", "1h"), ("stat", "increase"), ("agg", "sum")]).await;
    let (_, count) = ask(&[("step", "1h"), ("stat", "count"), ("agg", "sum")]).await;
    assert_eq!((whole(&increase), whole(&count)), (POINTS - 1, POINTS), "{increase} {count}");
    let sealed = folder.path().join("weir/data/indexer/metrics/windows");
    assert!(std::fs::read_dir(sealed).unwrap().count() > 0, "nothing was sealed: the kills proved nothing");

    // A call of the pod, while its GPU is busy and has an error.
    gpus.set("event.0", "0 8 79").say().unwrap();
    let now = now_unix_nano_unsigned();
    let span = Span {
        trace_id: vec![7; 16],
        span_id: vec![8; 8],
        name: "POST /ocr".to_owned(),
        kind: 2,
        start_time_unix_nano: now,
        end_time_unix_nano: now + 1_000_000_000,
        ..Span::default()
    };
    let mut request = spans_of("acme", "ocr", vec![span]);
    let resource = request.resource_spans[0].resource.as_mut().unwrap();
    let machine = until(PATIENCE, || async {
        let (_, found) = api.get("/api/v1/metrics/search", &[("name", "hw.gpu.utilization")]).await.ok()?;
        let node = &found["metrics"][0]["labels"]["resource.host.name"][0];
        node.as_str().map(str::to_owned)
    });
    let Some(machine) = machine.await else {
        panic!("no GPU was measured: {:#}", api.get("/api/v1/metrics/search", &[]).await.unwrap().1)
    };
    resource.attributes.extend([text("k8s.pod.uid", UID), text("host.name", &machine)]);
    let url = format!("{}/v1/traces", ready.otlp_http.as_deref().unwrap());
    let post = sender.post(url).header("content-type", "application/x-protobuf").body(request.encode_to_vec());
    assert_eq!(post.send().await.unwrap().status(), 200);
    let path = format!("/api/v1/traces/{}/dossier", "07".repeat(16));
    let mut last = Value::Null;
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_whole(&last) {
        assert!(tokio::time::Instant::now() < end, "{last:#}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        last = api.get(&path, &[]).await.unwrap().1;
    }
}

/// Whether a dossier has the pod's samples, those of its GPU and of no other, and the error.
fn is_whole(dossier: &Value) -> bool {
    let Some(samples) = dossier["gpu_samples"].as_array() else { return false };
    let of = |metric: &str, tenant: &str| {
        samples.iter().any(|one| {
            one["metric"] == metric
                && one["tenant"] == tenant
                && one["attributes"]["hw.id"] == "GPU-0"
                && !one["points"].as_array().unwrap().is_empty()
        })
    };
    of("weir.gpu.memory.usage", "acme")
        && of("hw.gpu.utilization", "default")
        && of("weir.gpu.xid.errors", "default")
        && samples.iter().all(|one| one["attributes"]["hw.id"] == "GPU-0")
        && !dossier["gpu_events"].as_array().unwrap().is_empty()
}
