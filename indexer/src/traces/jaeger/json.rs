//! A trace as Jaeger's query service shows it: as OpenTelemetry's translator makes Jaeger's spans of OTLP's.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use weir_proto::otlp::common::v1::KeyValue;
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_proto::otlp::trace::v1::Span;
use weir_proto::otlp::trace::v1::span::{Event, Link};
use weir_query::fields;
use weir_query::line::{self, Source};

use super::super::fetch::Spans;
use super::shown;

/// Whole numbers beyond it are no longer exact in JavaScript, and are shown as text.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Attribute of a link that says what it is.
const REF_TYPE: &str = "opentracing.ref_type";

/// Adds a trace; spans behind `most` bytes of text are left out, with a warning, as where it is not whole already.
pub(super) fn trace(text: &mut String, id: &[u8], spans: &Spans, mut is_whole: bool, most: usize) {
    let id = trace_id(id);
    // A String takes what is written to it.
    let _ = write!(text, r#"{{"traceID":"{id}","spans":["#);
    let (mut numbers, mut processes): (HashMap<String, usize>, _) = (HashMap::new(), Vec::new());
    for (at, (source, span)) in spans.values().enumerate() {
        if text.len() > most {
            is_whole = false;
            break;
        }
        let process = process(source).to_string();
        let number = *numbers.entry(process).or_insert_with_key(|process| {
            processes.push(process.clone());
            processes.len()
        });
        text.push_str(if at > 0 { "," } else { "" });
        text.push_str(&show(&id, source, span, number).to_string());
    }
    text.push_str(r#"],"processes":{"#);
    for (at, process) in processes.iter().enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        let _ = write!(text, r#""p{}":{process}"#, at + 1);
    }
    let warnings = if is_whole { Value::Null } else { json!(["the trace is too large: some spans are left out"]) };
    let _ = write!(text, r#"}},"warnings":{warnings}}}"#);
}

/// As Jaeger writes an id: the upper half only where there is one.
fn trace_id(id: &[u8]) -> String {
    match id.split_at_checked(8) {
        Some((&[0, 0, 0, 0, 0, 0, 0, 0], low)) if low.len() == 8 => hex::encode(low),
        _ => hex::encode(id),
    }
}

fn process(source: &Source) -> Value {
    let others = source.resource.iter().filter(|(key, _)| key != "service.name");
    let tags: Vec<Value> = others.map(|(key, value)| tag(key, value)).collect();
    json!({"serviceName": shown(&source.service), "tags": tags})
}

fn show(trace: &str, source: &Source, span: &Span, process: usize) -> Value {
    let micros = |nanos: u64| nanos / 1000;
    let duration = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let parent = (!span.parent_span_id.is_empty()).then(|| reference("CHILD_OF", trace, &span.parent_span_id));
    let references: Vec<Value> = parent.into_iter().chain(span.links.iter().map(link)).collect();
    let mut shown = json!({
        "traceID": trace,
        "spanID": hex::encode(&span.span_id),
        "operationName": span.name,
        "references": references,
        "startTime": micros(span.start_time_unix_nano),
        "duration": micros(duration),
        "tags": tags(source, span),
        "logs": span.events.iter().map(log).collect::<Vec<_>>(),
        "processID": format!("p{process}"),
        "warnings": null,
    });
    // The trace flags of W3C.
    if span.flags & 0xff != 0 {
        shown["flags"] = (span.flags & 0xff).into();
    }
    shown
}

fn reference(kind: &str, trace: &str, span_id: &[u8]) -> Value {
    json!({"refType": kind, "traceID": trace, "spanID": hex::encode(span_id)})
}

fn link(link: &Link) -> Value {
    let is_parent = |pair: &KeyValue| {
        let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
        pair.key == REF_TYPE && matches!(value, Some(Attribute::StringValue(text)) if text == "child_of")
    };
    let kind = if link.attributes.iter().any(is_parent) { "CHILD_OF" } else { "FOLLOWS_FROM" };
    reference(kind, &trace_id(&link.trace_id), &link.span_id)
}

fn log(event: &Event) -> Value {
    let has_name = event.attributes.iter().any(|pair| pair.key == "event");
    let name = (!event.name.is_empty() && !has_name).then(|| text_tag("event", &event.name));
    let fields: Vec<Value> = name.into_iter().chain(attributes(&event.attributes)).collect();
    json!({"timestamp": event.time_unix_nano / 1000, "fields": fields})
}

fn tags(source: &Source, span: &Span) -> Vec<Value> {
    let mut tags = Vec::new();
    tags.extend(source.scope.iter().map(|(key, value)| tag(tag_of_scope(key), value)));
    tags.extend(attributes(&span.attributes));
    tags.extend(of_span(span).map(|(key, value)| tag(key, &value)));
    tags
}

/// The tag that a part of the scope is.
pub(super) fn tag_of_scope(key: &str) -> &str {
    match key {
        "name" => "otel.scope.name",
        "version" => "otel.scope.version",
        other => other,
    }
}

/// The tags that say what a span has beside its attributes.
pub(super) fn of_span(span: &Span) -> impl Iterator<Item = (&'static str, Attribute)> {
    let text = |text: &str| (!text.is_empty()).then(|| Attribute::StringValue(text.to_owned()));
    let (code, message) = span.status.as_ref().map_or((0, ""), |status| (status.code, status.message.as_str()));
    let code_name = match code {
        1 => "OK",
        2 => "ERROR",
        _ => "",
    };
    let tags = [
        ("span.kind", text(kind(line::kind(span.kind)))),
        ("otel.status_code", text(code_name)),
        ("error", (code == 2).then_some(Attribute::BoolValue(true))),
        ("otel.status_description", text(message)),
        ("w3c.tracestate", text(&span.trace_state)),
    ];
    tags.into_iter().filter_map(|(key, value)| Some((key, value?)))
}

/// A kind as Jaeger names it; the unspecified one is no name.
pub(super) fn kind(name: &str) -> &str {
    if name == "unspecified" { "" } else { name }
}

fn attributes(pairs: &[KeyValue]) -> impl Iterator<Item = Value> {
    pairs.iter().filter_map(|pair| Some(tag(&pair.key, pair.value.as_ref()?.value.as_ref()?)))
}

fn text_tag(key: &str, text: &str) -> Value {
    json!({"key": key, "type": "string", "value": text})
}

fn tag(key: &str, value: &Attribute) -> Value {
    let (kind, value): (&str, Value) = match value {
        Attribute::BoolValue(value) => ("bool", (*value).into()),
        Attribute::IntValue(value) if value.unsigned_abs() > MAX_SAFE_INTEGER => ("int64", value.to_string().into()),
        Attribute::IntValue(value) => ("int64", (*value).into()),
        Attribute::DoubleValue(_) => ("float64", fields::json(value)),
        Attribute::BytesValue(bytes) => ("binary", base64(bytes).into()),
        other => ("string", fields::text(other).into()),
    };
    json!({"key": key, "type": kind, "value": value})
}

/// With the standard alphabet, padded.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            text.push(if at > group.len() { '=' } else { char::from(ALPHABET[(bits >> shift & 63) as usize]) });
        }
    }
    text
}
