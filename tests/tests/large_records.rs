//! Spans and log records that hold the prompts and completions of models, of several MB, travel whole.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::fmt::Write as _;
use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue, any_value};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};
use weir_tests::kafka::Kafka;
use weir_tests::weir::Ready;
use weir_tests::{Api, Weir, skip, until};

const PATIENCE: Duration = Duration::from_mins(1);
const TRACE: [u8; 16] = [7; 16];
const INPUT: &str = "gen_ai.input.messages";

/// Text of at least so many bytes, each part of it another.
fn prompt(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 64);
    let mut state = 1_u64;
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        write!(text, "识别 \"{:08x}\" and\nread on; ", state >> 32).unwrap();
    }
    text
}

fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }
}

fn now() -> u64 {
    u64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap()
}

/// A chat of which the model was told so much, with a small step in it.
fn spans(prompt: &str) -> ExportTraceServiceRequest {
    let input = KeyValue { key: INPUT.to_owned(), value: Some(text(prompt)), ..KeyValue::default() };
    let span = |id: u8, name: &str, attributes| Span {
        trace_id: TRACE.into(),
        span_id: vec![id; 8],
        name: name.to_owned(),
        start_time_unix_nano: now(),
        end_time_unix_nano: now(),
        attributes,
        ..Span::default()
    };
    let spans = vec![span(1, "chat", vec![input]), span(2, "step", Vec::new())];
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

fn log(body: &str) -> ExportLogsServiceRequest {
    let log_records = vec![LogRecord { time_unix_nano: now(), body: Some(text(body)), ..LogRecord::default() }];
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

/// Sends a request until it is taken; the body of the answer.
async fn send(ready: &Ready, signal: &str, body: Vec<u8>) -> Vec<u8> {
    let url = format!("{}/v1/{signal}", ready.otlp_http.as_deref().unwrap());
    let client = reqwest::Client::new();
    let taken = until(PATIENCE, || async {
        let request = client.post(&url).header("content-type", "application/x-protobuf").body(body.clone());
        let answer = request.send().await.ok()?;
        if answer.status() == 503 {
            return None; // Not yet, it says.
        }
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
        Some(answer.bytes().await.unwrap().to_vec())
    });
    taken.await.expect("the export is taken")
}

/// Spans of the trace, by name.
async fn trace(api: &Api) -> Option<Vec<Value>> {
    let (status, answer) = api.get(&format!("/api/v1/traces/{}", "07".repeat(16)), &[]).await.ok()?;
    assert!(answer["truncated"].is_null());
    let mut spans = answer["spans"].as_array().filter(|spans| status == 200 && spans.len() == 2)?.clone();
    spans.sort_by_key(|span| span["name"].to_string());
    Some(spans)
}

async fn come_back_whole(bus: Value) {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "bus": bus,
        "collector": { "otlp": { "grpc": null, "http": "127.0.0.1:0" }, "host": null },
    });
    let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
    let mut ready = weir.start().await.unwrap();
    let (input, body) = (prompt(4_000_000), prompt(15_000_000));
    // It sets up TLS for all clients, though none uses it here.
    let mut api = Api::new(&ready.http).unwrap();
    assert_eq!(send(&ready, "traces", spans(&input).encode_to_vec()).await, b"");
    assert_eq!(send(&ready, "logs", log(&body).encode_to_vec()).await, b"");
    // As it was read off the bus, and then off the disk.
    for place in ["head", "disk"] {
        let spans = until(PATIENCE, || trace(&api)).await.expect("the trace is there");
        assert_eq!(spans[1]["name"], "step");
        assert!(spans[0]["attributes"][INPUT] == *input, "{place}: another prompt came back");
        let hits = until(PATIENCE, || async { api.search("识别").await.ok().filter(|hits| !hits.is_empty()) }).await;
        let hits = hits.expect("the line is there");
        assert!(hits.len() == 1 && hits[0]["body"] == *body, "{place}: another line came back");
        assert!(weir.stop().await.unwrap().success());
        if place == "head" {
            ready = weir.start().await.unwrap();
            api = Api::new(&ready.http).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_of_megabytes_comes_back_whole() {
    come_back_whole(json!({ "broker": "embedded" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_of_megabytes_comes_back_whole_over_kafka() {
    let kafka = match Kafka::start().await {
        Ok(kafka) => kafka,
        Err(error) => return skip("a_prompt_of_megabytes_comes_back_whole_over_kafka", &format!("{error:#}")),
    };
    come_back_whole(json!({ "broker": "kafka", "brokers": kafka.brokers() })).await;
}
