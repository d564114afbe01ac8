//! What others send arrives: the OpenTelemetry SDK's exporters, the examples of OTLP, and producers on Kafka that know
//! nothing of weir.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{LogExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prost::Message as _;
use serde_json::{Value, json};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_tests::kafka::Kafka;
use weir_tests::weir::Ready;
use weir_tests::{Api, Weir, data, skip, until};

const PATIENCE: Duration = Duration::from_secs(30);

fn config() -> Value {
    json!({
        "listen": "127.0.0.1:0",
        "collector": { "otlp": { "grpc": "127.0.0.1:0", "http": "127.0.0.1:0" } },
    })
}

async fn standalone() -> (tempfile::TempDir, Weir, Ready, Api) {
    let folder = tempfile::tempdir().unwrap();
    let mut weir = Weir::new("standalone", folder.path(), &config()).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    (folder, weir, ready, api)
}

async fn until_hits(api: &Api, query: &str, least: usize) -> Vec<Value> {
    let found = until(PATIENCE, || async { api.search(query).await.ok().filter(|hits| hits.len() >= least) }).await;
    found.unwrap_or_else(|| panic!("nothing is found by {query}"))
}

/// The SDK's exporters over one protocol, which send each span and log at once.
fn sdk(ready: &Ready, protocol: Protocol) -> (SdkTracerProvider, SdkLoggerProvider) {
    let resource = Resource::builder()
        .with_service_name(format!("sdk-{protocol:?}").to_lowercase())
        .with_attribute(KeyValue::new("deployment.environment.name", "test"))
        .build();
    let (spans, logs) = if protocol == Protocol::Grpc {
        let endpoint = ready.otlp_grpc.clone().unwrap();
        (
            SpanExporter::builder().with_tonic().with_endpoint(&endpoint).build().unwrap(),
            LogExporter::builder().with_tonic().with_endpoint(&endpoint).build().unwrap(),
        )
    } else {
        let url = ready.otlp_http.clone().unwrap();
        let client = reqwest::Client::new();
        let (spans, logs) = (SpanExporter::builder().with_http(), LogExporter::builder().with_http());
        let (traces_url, logs_url) = (format!("{url}/v1/traces"), format!("{url}/v1/logs"));
        (
            spans.with_http_client(client.clone()).with_protocol(protocol).with_endpoint(traces_url).build().unwrap(),
            logs.with_http_client(client).with_protocol(protocol).with_endpoint(logs_url).build().unwrap(),
        )
    };
    (
        SdkTracerProvider::builder().with_simple_exporter(spans).with_resource(resource.clone()).build(),
        SdkLoggerProvider::builder().with_simple_exporter(logs).with_resource(resource).build(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spans_and_logs_of_the_opentelemetry_sdk_arrive_over_each_protocol() {
    let (_folder, _weir, ready, api) = standalone().await;
    for protocol in [Protocol::Grpc, Protocol::HttpBinary, Protocol::HttpJson] {
        let service = format!("sdk-{protocol:?}").to_lowercase();
        let (tracers, loggers) = sdk(&ready, protocol);
        let tracer = tracers.tracer("interop");
        let mut span = tracer
            .span_builder("识别 invoice")
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("http.request.method", "POST"), KeyValue::new("http.route", "/v1/ocr")])
            .start(&tracer);
        span.add_event("queued", vec![KeyValue::new("depth", 3)]);
        span.set_status(Status::error("no paper"));
        let context = span.span_context().clone();
        let below = Context::new().with_remote_span_context(context.clone());
        tracer.span_builder("decode").start_with_context(&tracer, &below).end();
        let logger = loggers.logger("interop");
        let mut record = logger.create_log_record();
        record.set_body(AnyValue::from("页面无法识别: page 7 is blank"));
        record.set_severity_number(Severity::Error);
        record.set_severity_text("ERROR");
        record.add_attribute("page", 7);
        record.set_trace_context(context.trace_id(), context.span_id(), None);
        logger.emit(record);
        span.end();
        tracers.shutdown().unwrap();
        loggers.shutdown().unwrap();

        let trace_id = context.trace_id().to_string();
        let query = format!("service:{service} AND severity:>=error AND attributes.page:7 AND 无法识别");
        let hits = until_hits(&api, &query, 1).await;
        assert_eq!(hits.len(), 1, "{hits:?}");
        assert_eq!(hits[0]["body"], "页面无法识别: page 7 is blank");
        assert_eq!((&hits[0]["trace_id"], &hits[0]["severity"]), (&json!(trace_id), &json!("ERROR")));
        assert_eq!(hits[0]["span_id"], context.span_id().to_string());
        assert_eq!(hits[0]["resource"]["deployment.environment.name"], "test");

        let path = format!("/api/v1/traces/{trace_id}");
        let whole = until(PATIENCE, || async {
            let (_, trace) = api.get(&path, &[]).await.ok()?;
            (trace["spans"].as_array()?.len() == 2).then_some(trace)
        });
        let trace = whole.await.unwrap_or_else(|| panic!("no whole trace over {protocol:?}"));
        let server = trace["spans"].as_array().unwrap().iter().find(|span| span["kind"] == "server").unwrap();
        assert_eq!((&server["name"], &server["service"]), (&json!("识别 invoice"), &json!(service)));
        assert_eq!(server["status"], json!({"code": "error", "message": "no paper"}));
        assert_eq!(server["events"][0]["attributes"]["depth"], 3);
    }
}

async fn post(url: &str, body: &Value) -> (u16, Value) {
    let client = reqwest::Client::new();
    let answer = client.post(url).header("content-type", "application/json").body(body.to_string());
    let answer = answer.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_otlp_arrive() {
    let Some(data) = data("the_examples_of_otlp_arrive") else { return };
    let (_folder, _weir, ready, api) = standalone().await;
    let url = ready.otlp_http.unwrap();
    for (file, signal) in
        [("trace.json", "traces"), ("logs.json", "logs"), ("events.json", "logs"), ("metrics.json", "metrics")]
    {
        let text = std::fs::read_to_string(data.join("otlp/opentelemetry-proto").join(file)).unwrap();
        let mut example: Value = serde_json::from_str(&text).unwrap();
        if signal == "metrics" {
            // Series begin two hours ago, the example ends in 2018.
            now(&mut example);
        }
        let (status, answer) = post(&format!("{url}/v1/{signal}"), &example).await;
        assert_eq!((status, &answer["partialSuccess"]), (200, &Value::Null), "{file}: {answer}");
    }
    let log = &until_hits(&api, "\"Example log record\"", 1).await[0];
    assert_eq!(log["trace_id"], "5b8efff798038103d269b633813fc60c");
    assert_eq!(log["attributes"]["string.attribute"], "some string");
    assert_eq!(log["attributes"]["map.attribute"]["some.map.key"], "some value");
    until_hits(&api, "attributes.event.attribute:\"some event attribute\"", 1).await;
    let (status, trace) = api.get("/api/v1/traces/5b8efff798038103d269b633813fc60c", &[]).await.unwrap();
    assert_eq!((status, &trace["spans"][0]["name"]), (200, &json!("I'm a server span")), "{trace}");
    let counter = until(PATIENCE, || async {
        let (status, labels) = api.get("/prometheus/api/v1/label/__name__/values", &[]).await.ok()?;
        let names: Vec<String> = serde_json::from_value(labels["data"].clone()).ok()?;
        (status == 200 && names.iter().any(|name| name.starts_with("my_counter"))).then_some(())
    });
    assert!(counter.await.is_some(), "my.counter is no series");
}

/// Moves all times to the present.
fn now(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(now),
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "timeUnixNano" => *value = weir_service::time::now_unix_nano().to_string().into(),
                    _ => now(value),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_foreign_producer_is_indexed() {
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("a_record_of_a_foreign_producer_is_indexed", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config["bus"] = json!({ "broker": "kafka", "brokers": kafka.brokers() });
    let mut indexer = Weir::new("indexer", folder.path(), &config).unwrap();
    let api = Api::new(&indexer.start().await.unwrap().http).unwrap();
    let request: ExportLogsServiceRequest = serde_json::from_value(json!({ "resourceLogs": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "foreign" } }] },
        "scopeLogs": [{ "logRecords": [{
            "timeUnixNano": "1795000000000000000",
            "body": { "stringValue": "来自别处的一行" },
        }] }],
    }] }))
    .unwrap();
    kafka.produce("otlp_logs", &request.encode_to_vec()).await.unwrap();
    kafka.produce("otlp_logs", b"no protobuf at all").await.unwrap();
    kafka.produce("otlp_logs", &request.encode_to_vec()).await.unwrap();
    let hits = until_hits(&api, "service:foreign AND 别处", 2).await;
    assert_eq!(hits.len(), 2, "{hits:?}");
    assert_eq!((&hits[0]["body"], &hits[0]["tenant"]), (&json!("来自别处的一行"), &json!("default")));
}
