//! Records of the bus, OTLP export requests of metrics, into runs.
//!
//! A record has one resource, and its points its tenant, as log records have. Points without a time are of the record's
//! arrival. The series is what a point's resource, scope, metric (name, unit, kind) and attributes are, whatever the order
//! of these; OTLP knows one point of a series at a time, so of several the first is kept.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;
use weir_bus::Message;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::KeyValue;
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_proto::otlp::metrics::v1::metric::Data;
use weir_proto::otlp::metrics::v1::{AggregationTemporality, DataPointFlags, NumberDataPoint, number_data_point};
use weir_query::decode::{self, Sources};
use weir_query::line::{Body, Line, LineId};

use super::merge;
use super::run::{self, Kind, Meta, Point, Value};
use crate::chunk::OPAQUE;
use crate::ingest::Unreadable;

/// Most bytes of a metric's name, with which a record is refused, and of its unit and its description, which are cut:
/// each line has them.
pub(crate) const MOST_TEXT: usize = 1024;
/// Most memory of a record's lines and their sources, about, with more of which it is refused: a point of two bytes may
/// take thousands.
pub(crate) const MOST_MEMORY: usize = 64 << 20;

/// Points of one series of a metric, as they came.
struct Series {
    labels: Vec<(String, Attribute)>,
    /// Place in the record of its first point.
    index: u32,
    points: Vec<Point>,
}

/// The points of a record, as runs.
pub(crate) fn points(message: &Message, sources: &mut Sources) -> Result<Vec<Line>, Unreadable> {
    let (mut lines, mut memory, mut count) = (Vec::new(), 0, 0);
    for of_resource in ExportMetricsServiceRequest::decode(message.value.clone())?.resource_metrics {
        let resource = of_resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        for of_scope in of_resource.scope_metrics {
            let source = sources.get(resource.clone(), of_scope.scope);
            memory += source.memory();
            for metric in of_scope.metrics {
                if metric.name.len() > MOST_TEXT {
                    return Err(Unreadable::Name(metric.name.len()));
                }
                let Some(data) = metric.data else { continue };
                let (unit, description) = (cut(metric.unit), cut(metric.description));
                let meta = Meta { kind: kind_of(&data), unit, description }.bytes();
                for Series { labels, index, mut points } in by_series(data, message.timestamp_ms, &mut count) {
                    let like = Line {
                        id: LineId { partition: message.partition.partition, offset: message.offset, index },
                        time: 0,
                        severity: 0,
                        severity_text: String::new(),
                        body: Body::Text(metric.name.clone()),
                        trace_id: Bytes::new(),
                        span_id: Bytes::new(),
                        attributes: labels,
                        source: source.clone(),
                        span: None,
                    };
                    merge::each_once(&mut points);
                    // Windows are for what merges lines before a seal.
                    for line in merge::runs(&like, &meta, &points, run::SPAN) {
                        memory += line.memory();
                        if memory > MOST_MEMORY {
                            return Err(Unreadable::Memory);
                        }
                        lines.push(line);
                    }
                }
            }
            if memory > MOST_MEMORY {
                return Err(Unreadable::Memory);
            }
        }
    }
    Ok(lines)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MOST_TEXT));
    text
}

/// The points of a metric by their attributes; `count` is of points of the record by now.
fn by_series(data: Data, arrival_ms: i64, count: &mut u32) -> Vec<Series> {
    let mut list: Vec<Series> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize, ahash::RandomState> = HashMap::default();
    let mut key = Vec::new();
    each_point(data, arrival_ms, &mut |attributes, point| {
        let mut labels = decode::attributes(attributes);
        // What a run is, is not for a sender to say.
        labels.retain(|(key, _)| key != OPAQUE);
        labels.sort_by(|(a, _), (b, _)| a.cmp(b));
        key.clear();
        merge::put_labels(&mut key, &labels);
        if let Some(place) = places.get(&key) {
            list[*place].points.push(point);
        } else {
            places.insert(key.clone(), list.len());
            list.push(Series { labels, index: *count, points: vec![point] });
        }
        *count = count.saturating_add(1);
    });
    list
}

fn kind_of(data: &Data) -> Kind {
    let is_delta = |temporality: i32| temporality == AggregationTemporality::Delta as i32;
    match data {
        Data::Gauge(_) => Kind::Gauge,
        Data::Sum(sum) => Kind::Sum { is_delta: is_delta(sum.aggregation_temporality), is_monotonic: sum.is_monotonic },
        Data::Histogram(histogram) => Kind::Histogram { is_delta: is_delta(histogram.aggregation_temporality) },
        Data::ExponentialHistogram(histogram) => {
            Kind::ExponentialHistogram { is_delta: is_delta(histogram.aggregation_temporality) }
        }
        Data::Summary(_) => Kind::Summary,
    }
}

/// Calls `each` with the attributes and value of each point.
fn each_point(data: Data, arrival_ms: i64, each: &mut dyn FnMut(Vec<KeyValue>, Point)) {
    let mut take = |attributes, time: [u64; 2], flags: u32, value| {
        let is_gap = flags & DataPointFlags::NoRecordedValueMask as u32 != 0;
        let start = i64::try_from(time[1]).unwrap_or(i64::MAX);
        let value = if is_gap { Value::Gap } else { value };
        each(attributes, Point { time: decode::time([time[0], 0], arrival_ms), start, value });
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

#[cfg(test)]
mod tests {
    use weir_proto::otlp::metrics::v1::{Gauge, Metric};

    use super::super::testing::{gauge, int, message};
    use super::*;

    fn lines(metrics: Vec<Metric>) -> Result<Vec<Line>, Unreadable> {
        points(&message(7, &[], metrics), &mut Sources::default())
    }

    #[test]
    fn given_a_long_description_and_very_many_empty_points_then_they_are_one_small_line() {
        let data_points = vec![NumberDataPoint::default(); 250_000];
        let description = "\u{e9}".repeat(200_000);
        let data = Some(Data::Gauge(Gauge { data_points }));
        let lines = lines(vec![Metric { description, data, ..gauge("g", Vec::new()) }]).unwrap();
        assert_eq!((lines.len(), run::of(&lines[0]).unwrap().points.len()), (1, 1));
        assert!((1000..3000).contains(&lines[0].memory()), "{} bytes", lines[0].memory());
    }

    #[test]
    fn points_of_a_series_are_one_run_with_the_id_of_the_first() {
        let (a, b) = ([("n", "a")], [("n", "b")]);
        let all = [int(20, 0, 1, &a), int(10, 0, 2, &b), int(10, 0, 3, &a), int(20, 0, 4, &a), int(7200, 0, 5, &b)];
        let lines = lines(vec![gauge("g", all[..1].to_vec()), gauge("h", all[1..].to_vec())]).unwrap();
        let show = |line: &Line| {
            let points = run::of(line).unwrap().points;
            (line.id.index, points.iter().map(|point| (point.time / 1_000_000_000, point.value)).collect::<Vec<_>>())
        };
        let of = |list: &[(i64, i64)]| list.iter().map(|(time, value)| (*time, Value::Int(*value))).collect::<Vec<_>>();
        let expected = [(0, of(&[(20, 1)])), (1, of(&[(10, 2)])), (1, of(&[(7200, 5)])), (2, of(&[(10, 3), (20, 4)]))];
        assert_eq!(lines.iter().map(show).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn given_a_name_that_is_too_long_or_more_lines_than_memory_then_the_record_is_refused() {
        let named = |length| lines(vec![gauge(&"n".repeat(length), vec![int(1, 0, 1, &[])])]);
        assert_eq!(named(MOST_TEXT).unwrap().len(), 1);
        assert!(matches!(named(MOST_TEXT + 1), Err(Unreadable::Name(1025))));
        // Each in an hour of its own, so that one series has so many lines.
        let points = (0..40_000).map(|at| int(at * 3600, 0, 1, &[])).collect();
        let many = Metric { description: "d".repeat(5000), ..gauge(&"n".repeat(MOST_TEXT), points) };
        assert!(matches!(lines(vec![many]), Err(Unreadable::Memory)));
    }
}
