//! Metric points for tests, in a store of their own.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use opentelemetry::metrics::MeterProvider as _;
use prost::Message as _;
use serde_json::Value;
use tower::ServiceExt as _;
use weir_bus::{Message, Partition};
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_proto::otlp::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use weir_proto::otlp::metrics::v1::metric::Data;
use weir_proto::otlp::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::topic;

use crate::ingest::Signal;
use crate::options::Search;
use crate::schedule::Scheduler;
use crate::store::Store;

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) fn pair(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Attribute::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| pair(key, value)).collect()
}

/// A point of a second.
pub(crate) fn double(second: u64, value: f64, attributes: &[(&str, &str)]) -> NumberDataPoint {
    NumberDataPoint {
        time_unix_nano: second * SECOND,
        value: Some(number_data_point::Value::AsDouble(value)),
        attributes: pairs(attributes),
        ..NumberDataPoint::default()
    }
}

/// The same of a whole number that counts since another second.
pub(crate) fn int(second: u64, since: u64, value: i64, attributes: &[(&str, &str)]) -> NumberDataPoint {
    let value = Some(number_data_point::Value::AsInt(value));
    NumberDataPoint { start_time_unix_nano: since * SECOND, value, ..double(second, 0.0, attributes) }
}

pub(crate) fn metric(name: &str, unit: &str, data: Data) -> Metric {
    let description = format!("what {name} is");
    Metric { name: name.into(), unit: unit.into(), description, data: Some(data), ..Metric::default() }
}

pub(crate) fn gauge(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, "1", Data::Gauge(Gauge { data_points }))
}

/// A cumulative sum that only grows.
pub(crate) fn counter(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, "By", Data::Sum(Sum { data_points, aggregation_temporality: 2, is_monotonic: true }))
}

/// A record of the bus with metrics of a resource.
pub(crate) fn message(offset: i64, resource: &[(&str, &str)], metrics: Vec<Metric>) -> Message {
    let scope = InstrumentationScope { name: "scope".into(), ..InstrumentationScope::default() };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes: pairs(resource), ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    };
    Message {
        partition: Partition::new(topic::METRICS, 0),
        offset,
        key: None,
        value: request.encode_to_vec().into(),
        headers: Vec::new(),
        timestamp_ms: 1_700_000_000_000,
    }
}

/// An empty store, and its folder.
pub(crate) fn empty() -> (tempfile::TempDir, Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let day = Duration::from_hours(24);
    let store = Store::open(folder.path().into(), Signal::Metrics, day, day).unwrap();
    (folder, Arc::new(store))
}

/// Status and body of a GET.
pub(crate) async fn get(store: &Arc<Store>, path: &str) -> (u16, Value) {
    let request = http::Request::get(path).body(Body::empty()).unwrap();
    let meter = opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test");
    let searches = Scheduler::new(&Search::default(), &meter);
    let response = super::routes(store.clone(), searches).open().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}
