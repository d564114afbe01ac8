//! Records of the bus, OTLP export requests of metrics, into runs of one point each.
//!
//! A record has one resource, and its points its tenant, as log records have. Points without a time are of the record's
//! arrival. The series is what a point's resource, scope, metric (name, unit, kind) and attributes are, whatever the order
//! of these; OTLP knows one point of a series at a time, so of several the first is kept.

use prost::Message as _;
use weir_bus::Message;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::KeyValue;
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_proto::otlp::metrics::v1::metric::Data;
use weir_proto::otlp::metrics::v1::{
    AggregationTemporality, DataPointFlags, Metric, NumberDataPoint, number_data_point,
};
use weir_query::decode::{self, Sources};
use weir_query::line::{Body, Line, LineId};

use super::run::{self, Kind, Meta, Point, Value};
use crate::chunk::OPAQUE;

/// The points of a record, each as a line: a run of one.
pub(crate) fn points(message: &Message, sources: &mut Sources) -> Result<Vec<Line>, prost::DecodeError> {
    let mut lines = Vec::new();
    let arrival_ms = message.timestamp_ms;
    for of_resource in ExportMetricsServiceRequest::decode(message.value.clone())?.resource_metrics {
        let resource = of_resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        for of_scope in of_resource.scope_metrics {
            let source = sources.get(resource.clone(), of_scope.scope);
            for metric in of_scope.metrics {
                each_point(metric, arrival_ms, &mut |name, meta, attributes, point| {
                    let index = u32::try_from(lines.len()).unwrap_or(u32::MAX);
                    let id = LineId { partition: message.partition.partition, offset: message.offset, index };
                    let mut attributes = decode::attributes(attributes);
                    // What a run is, is not for a sender to say.
                    attributes.retain(|(key, _)| key != OPAQUE);
                    attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
                    attributes.push((OPAQUE.to_owned(), Attribute::BytesValue(run::encode(meta, &[point]))));
                    lines.push(Line {
                        id,
                        time: point.time,
                        severity: 0,
                        severity_text: String::new(),
                        body: Body::Text(name.to_owned()),
                        trace_id: bytes::Bytes::new(),
                        span_id: bytes::Bytes::new(),
                        attributes,
                        source: source.clone(),
                        span: None,
                    });
                });
            }
        }
    }
    Ok(lines)
}

/// Takes the metric's name, what its runs begin with, and the attributes and value of a point.
type Each<'a> = dyn FnMut(&str, &[u8], Vec<KeyValue>, Point) + 'a;

/// Calls `each` with the metric's name, what its runs begin with, and the attributes and value of each point.
fn each_point(metric: Metric, arrival_ms: i64, each: &mut Each<'_>) {
    let Some(data) = metric.data else { return };
    let is_delta = |temporality: i32| temporality == AggregationTemporality::Delta as i32;
    let kind = match &data {
        Data::Gauge(_) => Kind::Gauge,
        Data::Sum(sum) => Kind::Sum { is_delta: is_delta(sum.aggregation_temporality), is_monotonic: sum.is_monotonic },
        Data::Histogram(histogram) => Kind::Histogram { is_delta: is_delta(histogram.aggregation_temporality) },
        Data::ExponentialHistogram(histogram) => {
            Kind::ExponentialHistogram { is_delta: is_delta(histogram.aggregation_temporality) }
        }
        Data::Summary(_) => Kind::Summary,
    };
    let meta = Meta { kind, unit: metric.unit, description: metric.description }.bytes();
    let mut take = |attributes, time: [u64; 2], flags: u32, value| {
        let is_gap = flags & DataPointFlags::NoRecordedValueMask as u32 != 0;
        let start = i64::try_from(time[1]).unwrap_or(i64::MAX);
        let value = if is_gap { Value::Gap } else { value };
        let point = Point { time: decode::time([time[0], 0], arrival_ms), start, value };
        each(&metric.name, &meta, attributes, point);
    };
    match data {
        Data::Gauge(gauge) => {
            for point in gauge.data_points {
                let (time, value) = ([point.time_unix_nano, point.start_time_unix_nano], number(&point));
                take(point.attributes, time, point.flags, value);
            }
        }
        Data::Sum(sum) => {
            for point in sum.data_points {
                let (time, value) = ([point.time_unix_nano, point.start_time_unix_nano], number(&point));
                take(point.attributes, time, point.flags, value);
            }
        }
        Data::Histogram(histogram) => {
            for point in histogram.data_points {
                let value = Value::Counted { count: point.count, sum: point.sum };
                take(point.attributes, [point.time_unix_nano, point.start_time_unix_nano], point.flags, value);
            }
        }
        Data::ExponentialHistogram(histogram) => {
            for point in histogram.data_points {
                let value = Value::Counted { count: point.count, sum: point.sum };
                take(point.attributes, [point.time_unix_nano, point.start_time_unix_nano], point.flags, value);
            }
        }
        Data::Summary(summary) => {
            for point in summary.data_points {
                let value = Value::Counted { count: point.count, sum: Some(point.sum) };
                take(point.attributes, [point.time_unix_nano, point.start_time_unix_nano], point.flags, value);
            }
        }
    }
}

fn number(point: &NumberDataPoint) -> Value {
    match point.value {
        Some(number_data_point::Value::AsInt(number)) => Value::Int(number),
        Some(number_data_point::Value::AsDouble(number)) => Value::Double(number),
        None => Value::Gap,
    }
}
