//! The bus's records, OTLP export requests in protobuf, into lines.

use std::sync::Arc;

use ahash::AHashMap;
use bytes::Bytes;
use prost::Message as _;
use weir_proto::attribute;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use weir_proto::otlp::logs::v1::LogRecord;
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::Span;

use crate::line::{Body, Line, LineId, OfSpan, Source};
use crate::{body, fields, interface};

/// A record of the bus: where it lies, and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Partition of its topic.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its own timestamp, in milliseconds since the epoch.
    pub arrival_ms: i64,
}

/// Sources that were seen, so that lines of one share it. At [`Sources::MOST`] or [`Sources::MOST_BYTES`] it forgets all
/// and begins anew.
#[derive(Debug, Default)]
pub struct Sources {
    by_bytes: AHashMap<Vec<u8>, Arc<Source>>,
    bytes: usize,
}

/// The lines of an `ExportLogsServiceRequest`, in order.
pub fn logs(value: Bytes, place: Place, sources: &mut Sources) -> Result<Vec<Line>, prost::DecodeError> {
    let mut lines = Vec::new();
    each_log_record(value, sources, |index, record, source| {
        lines.push(log_record(record, place.line(index), place.arrival_ms, source.clone()));
    })?;
    Ok(lines)
}

/// The lines of an `ExportTraceServiceRequest`, in order.
pub fn spans(value: Bytes, place: Place, sources: &mut Sources) -> Result<Vec<Line>, prost::DecodeError> {
    let mut lines = Vec::new();
    each_span(value, sources, |index, of, source| {
        lines.push(span(of, place.line(index), place.arrival_ms, source.clone()));
    })?;
    Ok(lines)
}

/// Calls `each` with the records of an `ExportLogsServiceRequest`: their places in it, from 0, and their sources. After an
/// error it was called with none.
pub fn each_log_record(
    value: Bytes,
    sources: &mut Sources,
    mut each: impl FnMut(u32, LogRecord, &Arc<Source>),
) -> Result<(), prost::DecodeError> {
    let mut index = 0;
    for of_resource in ExportLogsServiceRequest::decode(value)?.resource_logs {
        let resource = own(of_resource.resource);
        for of_scope in of_resource.scope_logs {
            let source = sources.get(resource.clone(), of_scope.scope);
            for record in of_scope.log_records {
                each(index, record, &source);
                index += 1;
            }
        }
    }
    Ok(())
}

/// Calls `each` with the spans of an `ExportTraceServiceRequest`: their places in it, from 0, and their sources. After an
/// error it was called with none.
pub fn each_span(
    value: Bytes,
    sources: &mut Sources,
    mut each: impl FnMut(u32, Span, &Arc<Source>),
) -> Result<(), prost::DecodeError> {
    let mut index = 0;
    for of_resource in ExportTraceServiceRequest::decode(value)?.resource_spans {
        let resource = own(of_resource.resource);
        for of_scope in of_resource.scope_spans {
            let source = sources.get(resource.clone(), of_scope.scope);
            for span in of_scope.spans {
                each(index, span, &source);
                index += 1;
            }
        }
    }
    Ok(())
}

fn own(resource: Option<Resource>) -> Vec<KeyValue> {
    resource.map(|resource| resource.attributes).unwrap_or_default()
}

impl Place {
    fn line(self, index: u32) -> LineId {
        LineId { partition: self.partition, offset: self.offset, index }
    }
}

impl Sources {
    /// Most sources that are remembered.
    pub const MOST: usize = 10_000;
    /// Most memory that they take.
    pub const MOST_BYTES: usize = 16 << 20;

    /// The source of this resource and scope, the same as before where it is remembered.
    pub fn get(&mut self, resource: Vec<KeyValue>, scope: Option<InstrumentationScope>) -> Arc<Source> {
        let scope = scope.unwrap_or_default();
        let mut key = Vec::new();
        // A Vec takes all that is written to it.
        let _ = scope.encode_length_delimited(&mut key);
        for pair in &resource {
            key.push(0);
            let _ = pair.encode_length_delimited(&mut key);
        }
        if let Some(source) = self.by_bytes.get(&key) {
            return source.clone();
        }
        if self.by_bytes.len() >= Self::MOST || self.bytes >= Self::MOST_BYTES {
            self.by_bytes.clear();
            self.bytes = 0;
        }
        let resource = attributes(resource);
        let text = |name: &str| resource.iter().find(|(key, _)| key == name).map(|(_, value)| fields::text(value));
        let source = Arc::new(Source {
            tenant: text(attribute::TENANT).filter(|t| !t.is_empty()).unwrap_or_else(|| "default".to_owned()),
            service: text("service.name").unwrap_or_default(),
            resource,
            scope: of_scope(scope),
        });
        self.bytes += key.len() + source.memory();
        self.by_bytes.insert(key, source.clone());
        source
    }
}

fn of_scope(scope: InstrumentationScope) -> Vec<(String, Value)> {
    let named = [("name", scope.name), ("version", scope.version)].into_iter().filter(|(_, text)| !text.is_empty());
    let named = named.map(|(key, text)| (key.to_owned(), Value::StringValue(text)));
    named.chain(attributes(scope.attributes)).collect()
}

/// A log record as a line; `arrival_ms` (since the epoch) is its time where it names none. What its body says as a JSON
/// object of severity, trace and span is the line's where the record says nothing of it.
pub fn log_record(record: LogRecord, id: LineId, arrival_ms: i64, source: Arc<Source>) -> Line {
    let mut line = Line {
        id,
        time: time([record.time_unix_nano, record.observed_time_unix_nano], arrival_ms),
        severity: u8::try_from(record.severity_number).ok().filter(|number| *number <= 24).unwrap_or(0),
        severity_text: record.severity_text,
        body: body_of(record.body),
        trace_id: record.trace_id.into(),
        span_id: record.span_id.into(),
        attributes: attributes(record.attributes),
        source,
        span: None,
    };
    body::fill(&mut line);
    line
}

/// A span as a line: its time is its start, else its end, else its arrival; its attributes are as they came, and its body
/// is empty, so that no bare word finds it. The rest of it is in [`Line::span`].
///
/// Its `interface` is, for kinds SERVER and CONSUMER, `http.request.method` and `http.route` with a space between, or
/// `rpc.service/rpc.method`, or the span's name: what call statistics call it as long as no configuration renames it.
/// For other kinds it is the span's name.
pub fn span(span: Span, id: LineId, arrival_ms: i64, source: Arc<Source>) -> Line {
    let interface = interface::of(&span);
    let (status, status_message) = span.status.map_or((0, String::new()), |status| (status.code, status.message));
    let of_span = OfSpan {
        kind: span.kind,
        status,
        status_message,
        parent_span_id: span.parent_span_id.into(),
        start: nanos(span.start_time_unix_nano),
        end: nanos(span.end_time_unix_nano),
        interface,
        dropped_attributes: span.dropped_attributes_count,
        events: span.events.into_iter().map(|event| (event.name, attributes(event.attributes))).collect(),
        name: span.name,
    };
    Line {
        id,
        time: time([span.start_time_unix_nano, span.end_time_unix_nano], arrival_ms),
        severity: 0,
        severity_text: String::new(),
        body: Body::Text(String::new()),
        trace_id: span.trace_id.into(),
        span_id: span.span_id.into(),
        attributes: attributes(span.attributes),
        source,
        span: Some(Box::new(of_span)),
    }
}

/// The first time (nanoseconds since the epoch) that is set, else the record's arrival. The greatest of all stays below the end of every search.
pub fn time(times: [u64; 2], arrival_ms: i64) -> i64 {
    let set = times.into_iter().find(|time| *time != 0);
    let time = set.map_or(arrival_ms.max(0).saturating_mul(1_000_000), nanos);
    time.min(i64::MAX - 1)
}

/// Times behind the greatest that there is become that.
fn nanos(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn body_of(value: Option<AnyValue>) -> Body {
    match value.and_then(|any| any.value) {
        None => Body::Text(String::new()),
        Some(Value::StringValue(text)) => Body::Text(text),
        Some(Value::BytesValue(bytes)) => {
            String::from_utf8(bytes).map_or_else(|error| Body::Bytes(error.into_bytes().into()), Body::Text)
        }
        Some(other) => Body::Json(fields::json(&other).to_string()),
    }
}

/// Attributes that have a value, in order.
pub fn attributes(pairs: Vec<KeyValue>) -> Vec<(String, Value)> {
    pairs.into_iter().filter_map(|pair| Some((pair.key, pair.value?.value?))).collect()
}

#[cfg(test)]
mod tests {
    use weir_proto::otlp::trace::v1::span::Event;
    use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Status};

    use super::*;

    #[test]
    fn sources_take_no_more_memory_than_they_should() {
        let mut sources = Sources::default();
        for n in 0..100 {
            let value = Some(AnyValue { value: Some(Value::StringValue(format!("{n}{}", "x".repeat(500_000)))) });
            sources.get(vec![KeyValue { key: "k".into(), value, ..KeyValue::default() }], None);
            assert!(sources.bytes < Sources::MOST_BYTES + (2 << 20));
        }
        assert!(sources.by_bytes.len() < 100);
    }

    fn pair(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
        KeyValue { key: key.into(), value, ..KeyValue::default() }
    }

    #[test]
    fn given_an_export_of_spans_then_each_is_a_line_with_what_it_has_of_its_own() {
        let span = |n: u8| Span {
            trace_id: vec![n; 16],
            span_id: vec![n; 8],
            parent_span_id: vec![9; 8],
            name: format!("step {n}"),
            kind: 2,
            start_time_unix_nano: 1_700_000_000_000_000_000,
            end_time_unix_nano: 1_700_000_000_250_000_000,
            attributes: vec![pair("http.request.method", "GET"), pair("http.route", "/ocr")],
            events: vec![Event { name: "retry".into(), attributes: vec![pair("n", "1")], ..Event::default() }],
            status: Some(Status { code: 2, message: "late".into() }),
            dropped_attributes_count: 3,
            ..Span::default()
        };
        let resource = Resource { attributes: vec![pair("service.name", "ocr")], ..Resource::default() };
        let scope_spans = |spans| ScopeSpans { spans, ..ScopeSpans::default() };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![scope_spans(vec![span(1)]), scope_spans(vec![span(2)])],
                ..ResourceSpans::default()
            }],
        };
        let place = Place { partition: 4, offset: 5, arrival_ms: 6 };
        let lines = spans(request.encode_to_vec().into(), place, &mut Sources::default()).unwrap();
        assert_eq!(lines.iter().map(|line| line.id.to_string()).collect::<Vec<_>>(), ["4-5-0", "4-5-1"]);
        let line = &lines[1];
        assert_eq!((line.time, line.source.service.as_str(), line.body.len()), (1_700_000_000_000_000_000, "ocr", 0));
        assert_eq!((line.attributes.len(), line.span_id.as_ref()), (2, &[2; 8][..]));
        let of_span = OfSpan {
            name: "step 2".into(),
            kind: 2,
            status: 2,
            status_message: "late".into(),
            parent_span_id: vec![9; 8].into(),
            start: 1_700_000_000_000_000_000,
            end: 1_700_000_000_250_000_000,
            interface: "GET /ocr".into(),
            dropped_attributes: 3,
            events: vec![("retry".into(), vec![("n".into(), Value::StringValue("1".into()))])],
        };
        assert_eq!(line.span.as_deref(), Some(&of_span));
    }

    #[test]
    fn given_bytes_that_are_no_export_then_they_are_an_error() {
        let place = Place { partition: 0, offset: 0, arrival_ms: 0 };
        assert!(spans(Bytes::from_static(&[0xff]), place, &mut Sources::default()).is_err());
        assert!(logs(Bytes::from_static(&[0xff]), place, &mut Sources::default()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let place = Place { partition: 0, offset: 0, arrival_ms: i64::MAX };
            let _ = spans(bytes.clone().into(), place, &mut Sources::default());
            let _ = logs(bytes.into(), place, &mut Sources::default());
        }
    }
}
