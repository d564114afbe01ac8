//! Spans for tests, in a store of their own.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use opentelemetry::metrics::MeterProvider as _;
use prost::Message as _;
use serde_json::Value;
use tower::ServiceExt as _;
use weir_bus::{Message, Partition};
use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use weir_proto::topic;

use crate::ingest::Signal;
use crate::options::Search;
use crate::schedule::{Budget, Scheduler};
use crate::store::Store;

const SECOND: u64 = 1_000_000_000;

/// A span as a test makes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) service: &'static str,
    /// `SERVICE work` where there is none.
    pub(super) name: Option<&'static str>,
    pub(super) trace: u8,
    pub(super) id: u8,
    /// 0: none.
    pub(super) parent: u8,
    pub(super) kind: i32,
    pub(super) status: i32,
    /// When it began, since the epoch.
    pub(super) second: u64,
    /// How long it took.
    pub(super) seconds: u64,
    pub(super) attributes: &'static [(&'static str, &'static str)],
}

impl Default for Made {
    fn default() -> Self {
        Self {
            service: "front",
            name: None,
            trace: 1,
            id: 1,
            parent: 0,
            kind: 2,
            status: 0,
            second: 1000,
            seconds: 0,
            attributes: &[],
        }
    }
}

fn pair((key, value): (&str, &str)) -> KeyValue {
    let value = Some(AnyValue { value: Some(Attribute::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

impl Made {
    fn resource_spans(&self) -> ResourceSpans {
        let span = Span {
            trace_id: vec![self.trace; 16],
            span_id: vec![self.id; 8],
            parent_span_id: if self.parent == 0 { Vec::new() } else { vec![self.parent; 8] },
            name: self.name.map_or_else(|| format!("{} work", self.service), str::to_owned),
            kind: self.kind,
            start_time_unix_nano: self.second * SECOND,
            end_time_unix_nano: (self.second + self.seconds) * SECOND,
            attributes: self.attributes.iter().copied().map(pair).collect(),
            status: Some(Status { code: self.status, ..Status::default() }),
            ..Span::default()
        };
        ResourceSpans {
            resource: Some(Resource { attributes: vec![pair(("service.name", self.service))], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }
    }
}

/// A record with these spans.
pub(super) fn message(offset: i64, spans: &[Made]) -> Message {
    let request = ExportTraceServiceRequest { resource_spans: spans.iter().map(Made::resource_spans).collect() };
    Message {
        partition: Partition::new(topic::SPANS, 0),
        offset,
        key: None,
        value: request.encode_to_vec().into(),
        headers: Vec::new(),
        timestamp_ms: 1_700_000_000_000,
    }
}

/// An empty store of a signal, and its folder.
pub(super) fn empty(signal: Signal) -> (tempfile::TempDir, Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let day = Duration::from_hours(24);
    let store = Store::open(folder.path().into(), signal, day, day).unwrap();
    (folder, Arc::new(store))
}

/// A store with these records, all but the last of which are sealed.
pub(super) fn store(records: &[&[Made]]) -> (tempfile::TempDir, Arc<Store>) {
    let (folder, store) = empty(Signal::Spans);
    for (offset, spans) in records.iter().enumerate() {
        if offset > 0 {
            store.seal(1_700_000_000_000).unwrap();
        }
        store.ingest(&[message(offset as i64, spans)]);
    }
    (folder, store)
}

/// A budget that is not used up.
pub(super) fn far() -> Budget {
    Budget::within(Duration::from_mins(10))
}

/// Status and body of a GET, of a store of spans and no logs.
pub(super) async fn get(spans: &Arc<Store>, path: &str) -> (u16, Value) {
    let (_folder, logs) = empty(Signal::Logs);
    get_with(spans, &logs, path).await
}

/// Status and body of a GET, of a store of spans and one of logs.
pub(super) async fn get_with(spans: &Arc<Store>, logs: &Arc<Store>, path: &str) -> (u16, Value) {
    let (_folder, metrics) = empty(Signal::Metrics);
    get_of(spans, logs, &metrics, path).await
}

/// Status and body of a GET.
pub(super) async fn get_of(spans: &Arc<Store>, logs: &Arc<Store>, metrics: &Arc<Store>, path: &str) -> (u16, Value) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let meter = opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test");
    let searches = Scheduler::new(&Search::default(), &meter);
    let response =
        super::routes(spans.clone(), logs.clone(), metrics.clone(), searches).open().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}
