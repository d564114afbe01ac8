//! The OTLP source: the pure halves (`split`, `json`), and real clients over loopback into the embedded bus (`server`,
//! `text`, `cors`, `tls`, `credentials`, `clients`).

mod clients;
mod cors;
mod credentials;
mod json;
pub(in crate::otlp) mod server;
mod split;
mod text;
mod tls;

use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span};

fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.to_owned())) }
}

type Attributes<'a> = &'a [(&'a str, &'a str)];

fn resource(attributes: Attributes<'_>) -> Resource {
    let pair = |(key, value): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    };
    Resource { attributes: attributes.iter().map(pair).collect(), ..Resource::default() }
}

fn line(body: &str) -> LogRecord {
    LogRecord { time_unix_nano: 1, body: Some(text(body)), ..LogRecord::default() }
}

fn logs(of: Vec<(Attributes<'_>, Vec<LogRecord>)>) -> ExportLogsServiceRequest {
    let one = |(attributes, log_records): (Attributes<'_>, _)| ResourceLogs {
        resource: Some(resource(attributes)),
        scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest { resource_logs: of.into_iter().map(one).collect() }
}

fn span(name: &str, trace_id: Vec<u8>, span_id: Vec<u8>) -> Span {
    Span { name: name.to_owned(), trace_id, span_id, ..Span::default() }
}

fn spans(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource = Some(resource(&[("service.name", "ocr")]));
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
    }
}

pub(in crate::otlp) fn bodies(request: &ExportLogsServiceRequest) -> Vec<String> {
    let records = request.resource_logs.iter().flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records);
    records.map(|record| string(record.body.as_ref())).collect()
}

fn string(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("not a string: {other:?}"),
    }
}

/// The tenants that a resource names: there should be one.
fn tenants(resource: Option<&Resource>) -> Vec<String> {
    let attributes = resource.map(|resource| resource.attributes.as_slice()).unwrap_or_default();
    attributes.iter().filter(|pair| pair.key == "weir.tenant").map(|pair| string(pair.value.as_ref())).collect()
}
