//! Spans of calls of models, as the collector writes them to the bus, and the plainest loop that decodes them.

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode};

use super::text;
use crate::{Ready, Work};

pub(super) const SERVICES: usize = 20;
pub(super) const TENANTS: usize = 4;
/// Spans of one record: about a megabyte.
pub(super) const SPANS: usize = 480;
const MODELS: [&str; 4] = ["qwen-max", "qwen-vl-ocr", "deepseek-v3", "glm-4-air"];
const START_NANOS: u64 = 1_700_000_000_000_000_000;

/// One record of the bus for each service of each tenant.
pub(super) fn records() -> Vec<Vec<u8>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    (0..SERVICES * TENANTS).map(|number| record(&mut rng, number % TENANTS, number / TENANTS)).collect()
}

/// How many records a run reads.
pub(super) fn count(smoke: bool) -> usize {
    if smoke { 40 } else { 1200 }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn string(text: impl Into<String>) -> Value {
    Value::StringValue(text.into())
}

fn record(rng: &mut Xoshiro256PlusPlus, tenant: usize, service: usize) -> Vec<u8> {
    let attributes = vec![
        attribute("weir.tenant", string(format!("tenant-{tenant}"))),
        attribute("service.name", string(format!("service-{service:02}"))),
        attribute("k8s.pod.name", string(format!("service-{service:02}-7d9c5b8f6-x2k{tenant}p"))),
        attribute("host.name", string(format!("gpu-node-{:02}", service % 8))),
    ];
    let mut trace_id = Vec::new();
    let spans = (0..SPANS).map(|at| {
        // Four spans are one trace.
        if at % 4 == 0 {
            trace_id = rng.random::<[u8; 16]>().to_vec();
        }
        span(rng, trace_id.clone(), at)
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn messages(role: &str, content: &str) -> Value {
    string(json!([{"role": role, "parts": [{"type": "text", "content": content}]}]).to_string())
}

fn span(rng: &mut Xoshiro256PlusPlus, trace_id: Vec<u8>, at: usize) -> Span {
    let is_error = rng.random_bool(0.02);
    let model = MODELS[rng.random_range(0..MODELS.len())];
    let mut question = text::chat(rng, 500);
    if rng.random_bool(0.05) {
        question.push_str(&text::personal(rng));
    }
    let attributes = vec![
        attribute("gen_ai.operation.name", string("chat")),
        attribute("gen_ai.provider.name", string("vllm")),
        attribute("gen_ai.request.model", string(model)),
        attribute("gen_ai.response.id", string(format!("chatcmpl-{:032x}", rng.random::<u128>()))),
        attribute("gen_ai.request.temperature", Value::DoubleValue(0.7)),
        attribute("gen_ai.usage.input_tokens", Value::IntValue(rng.random_range(10..4000))),
        attribute("gen_ai.usage.output_tokens", Value::IntValue(rng.random_range(10..1000))),
        attribute("http.request.method", string("POST")),
        attribute("http.route", string("/v1/chat/completions")),
        attribute("http.response.status_code", Value::IntValue(if is_error { 500 } else { 200 })),
        attribute("user.id", string(format!("user-{:05}", rng.random_range(0..20_000)))),
        attribute("gen_ai.input.messages", messages("user", &question)),
        attribute("gen_ai.output.messages", messages("assistant", &text::chat(rng, 700))),
    ];
    // Most are short, and a few take many times as long.
    let nanos = (2e8 / rng.random_range(0.01..1.0_f64)) as u64;
    let start = START_NANOS + at as u64 * 1_000_000;
    let code = if is_error { StatusCode::Error } else { StatusCode::Unset } as i32;
    let message = if is_error { "upstream timed out" } else { "" }.to_owned();
    let status = Some(Status { code, message });
    Span {
        trace_id,
        span_id: rng.random::<[u8; 8]>().to_vec(),
        parent_span_id: rng.random::<[u8; 8]>().to_vec(),
        name: format!("chat {model}"),
        kind: if at.is_multiple_of(4) { SpanKind::Server } else { SpanKind::Client } as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start + nanos,
        attributes,
        status,
        ..Span::default()
    }
}

/// Decodes the records of a run and does nothing with them.
#[allow(clippy::unnecessary_wraps, reason = "what makes a case")]
pub(crate) fn floor(smoke: bool) -> anyhow::Result<Ready> {
    let records = records();
    let count = count(smoke);
    Ok(Box::new(move || {
        let mut bytes = 0;
        for record in records.iter().cycle().take(count) {
            bytes += record.len() as u64;
            std::hint::black_box(ExportTraceServiceRequest::decode(record.as_slice())?);
        }
        Ok(Work { records: (count * SPANS) as u64, bytes, more: serde_json::Map::new() })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_that_the_bus_takes_and_a_span_has_about_two_kilobytes() {
        for record in records().iter().take(4) {
            assert!(record.len() < weir_proto::MAX_RECORD_BYTES, "{}", record.len());
            assert!((1_800..2_200).contains(&(record.len() / SPANS)), "{}", record.len() / SPANS);
        }
    }
}
