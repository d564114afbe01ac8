//! Takes OTLP metrics into the store, under the names and with the series that Prometheus has for them.
//!
//! | OTLP | series |
//! |---|---|
//! | gauge, sum that falls | `name` |
//! | sum that only rises | `name_total` |
//! | histogram of explicit bounds | `name_bucket{le}`, `name_sum`, `name_count` |
//! | exponential histogram | `name`, whose samples are histograms as those of calls; `name_sum`, `name_count` |
//! | summary | `name{quantile}`, `name_sum`, `name_count` |
//!
//! An exponential histogram with values below zero is not taken, and counted; its sum and count are.
//!
//! A point that says that nothing was recorded ends its series at once, as a stale marker of Prometheus does.

use std::collections::BTreeMap;

use weir_proto::metric_name::{self, Shape};
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::common::v1::KeyValue;
use weir_proto::otlp::metrics::v1::{
    AggregationTemporality, DataPointFlags, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    SummaryDataPoint, metric::Data as Otlp, number_data_point::Value,
};

use super::exponential::Exponential;
use super::identity::{self, Stream};
use super::metrics::{Kind, Point};
use super::store::{Refused, Store};

/// How far a clock may be ahead that dates points of metrics: what comes before such a point's time is too old for a sum.
const SKEW_MS: i64 = 60_000;

/// The metric that points are of.
struct Of<'a> {
    name: String,
    stream: Stream,
    resource: &'a BTreeMap<String, String>,
    delta: bool,
    arrival_ms: i64,
}

/// What a point is, before its value.
struct Taken {
    labels: BTreeMap<String, String>,
    stream: Stream,
    at: Point,
    /// The point says that nothing was recorded.
    ends: bool,
}

impl Store {
    /// Takes the metrics of a record; `arrival_ms` bounds how far ahead a point may lie.
    pub fn add_metrics(&mut self, request: &ExportMetricsServiceRequest, arrival_ms: i64, refused: &mut Refused) {
        for of_resource in &request.resource_metrics {
            let attributes = of_resource.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
            let resource = identity::resource(attributes);
            let stream = Stream::of(attributes);
            for scope in &of_resource.scope_metrics {
                let stream = stream.scope(scope.scope.as_ref());
                for metric in &scope.metrics {
                    self.metric(metric, stream, &resource, arrival_ms, refused);
                }
            }
        }
    }

    fn metric(
        &mut self,
        metric: &Metric,
        stream: Stream,
        resource: &BTreeMap<String, String>,
        arrival_ms: i64,
        refused: &mut Refused,
    ) {
        let Some(data) = &metric.data else { return };
        let is_delta = |temporality: i32| temporality == AggregationTemporality::Delta as i32;
        let (shape, delta) = match data {
            Otlp::Gauge(_) => (Shape::Gauge, false),
            Otlp::Sum(sum) if sum.is_monotonic => (Shape::Counter, is_delta(sum.aggregation_temporality)),
            Otlp::Sum(sum) => (Shape::UpDown, is_delta(sum.aggregation_temporality)),
            Otlp::Histogram(histogram) => (Shape::Histogram, is_delta(histogram.aggregation_temporality)),
            Otlp::ExponentialHistogram(histogram) => (Shape::Histogram, is_delta(histogram.aggregation_temporality)),
            Otlp::Summary(_) => (Shape::Summary, false),
        };
        let stream = stream.part(metric.name.as_bytes()).part(metric.unit.as_bytes()).part(&[shape as u8]);
        let of = Of {
            name: metric_name::prometheus(&metric.name, &metric.unit, shape),
            stream,
            resource,
            delta,
            arrival_ms,
        };
        match data {
            Otlp::Gauge(gauge) => self.numbers_of(&of, &gauge.data_points, Kind::Gauge, refused),
            Otlp::Sum(sum) => {
                let kind = match (sum.is_monotonic, of.delta) {
                    (true, _) => Kind::Counter,
                    (false, true) => Kind::Level,
                    (false, false) => Kind::Gauge,
                };
                self.numbers_of(&of, &sum.data_points, kind, refused);
            }
            Otlp::Histogram(histogram) => {
                histogram.data_points.iter().for_each(|point| self.explicit(&of, point, refused));
            }
            Otlp::ExponentialHistogram(histogram) => {
                histogram.data_points.iter().for_each(|point| self.exponential(&of, point, refused));
            }
            Otlp::Summary(summary) => summary.data_points.iter().for_each(|point| self.summary(&of, point, refused)),
        }
    }

    /// Time, labels and stream of a point; `None` where it cannot be kept.
    fn taken(
        &self,
        of: &Of<'_>,
        attributes: &[KeyValue],
        (unix_nano, start_nano, flags): (u64, u64, u32),
        refused: &mut Refused,
    ) -> Option<Taken> {
        if unix_nano == 0 {
            refused.unsupported += 1;
            return None;
        }
        let unix_ms = millis(unix_nano);
        let newest = of.arrival_ms.saturating_add(SKEW_MS);
        if unix_ms > newest || unix_ms <= of.arrival_ms.saturating_sub(self.history_ms()) {
            refused.out_of_range += 1;
            return None;
        }
        let mut labels = of.resource.clone();
        identity::point(&mut labels, attributes);
        let at = Point { unix_ms, start_ms: millis(start_nano), value: 0.0, delta: of.delta, known: self.known() };
        let ends = flags & DataPointFlags::NoRecordedValueMask as u32 != 0;
        Some(Taken { labels, stream: of.stream.attributes(attributes), at, ends })
    }

    fn numbers_of(&mut self, of: &Of<'_>, points: &[NumberDataPoint], kind: Kind, refused: &mut Refused) {
        for point in points {
            let times = (point.time_unix_nano, point.start_time_unix_nano, point.flags);
            let Some(taken) = self.taken(of, &point.attributes, times, refused) else { continue };
            let value = match point.value {
                _ if taken.ends => {
                    self.end(&of.name, taken.labels, taken.stream, taken.at.unix_ms);
                    continue;
                }
                Some(Value::AsDouble(value)) => value,
                Some(Value::AsInt(value)) => value as f64,
                None => {
                    refused.unsupported += 1;
                    continue;
                }
            };
            self.number(&of.name, taken.labels, taken.stream, kind, Point { value, ..taken.at }, refused);
        }
    }

    fn explicit(&mut self, of: &Of<'_>, point: &HistogramDataPoint, refused: &mut Refused) {
        let times = (point.time_unix_nano, point.start_time_unix_nano, point.flags);
        let Some(taken) = self.taken(of, &point.attributes, times, refused) else { return };
        let buckets = format!("{}_bucket", of.name);
        if taken.ends {
            let (stream, at) = (taken.stream, taken.at.unix_ms);
            // The whole family is walked only where this ends something.
            if self.end_sums(of, taken) {
                self.end_all(&buckets, stream, at);
            }
            return;
        }
        let bounds = &point.explicit_bounds;
        if point.bucket_counts.len() != bounds.len() + 1 && !point.bucket_counts.is_empty() {
            refused.unsupported += 1;
            return;
        }
        let mut bucket = |le: String, count: u64, refused: &mut Refused| {
            let mut labels = taken.labels.clone();
            labels.insert("le".to_owned(), le);
            let point = Point { value: count as f64, ..taken.at };
            self.number(&buckets, labels, taken.stream, Kind::Counter, point, refused);
        };
        let mut below = 0_u64;
        for (at_most, count) in bounds.iter().map(ToString::to_string).zip(&point.bucket_counts) {
            below = below.saturating_add(*count);
            bucket(at_most, below, refused);
        }
        bucket("+Inf".to_owned(), point.count, refused);
        self.sums(of, taken, point.count, point.sum, refused);
    }

    fn exponential(&mut self, of: &Of<'_>, point: &ExponentialHistogramDataPoint, refused: &mut Refused) {
        let times = (point.time_unix_nano, point.start_time_unix_nano, point.flags);
        let Some(taken) = self.taken(of, &point.attributes, times, refused) else { return };
        if taken.ends {
            self.end(&of.name, taken.labels.clone(), taken.stream, taken.at.unix_ms);
            self.end_sums(of, taken);
            return;
        }
        match Exponential::read(point, of.delta) {
            Some(read) => self.histogram(&of.name, taken.labels.clone(), taken.stream, read, refused),
            None => refused.unsupported += 1,
        }
        self.sums(of, taken, point.count, point.sum, refused);
    }

    fn summary(&mut self, of: &Of<'_>, point: &SummaryDataPoint, refused: &mut Refused) {
        let times = (point.time_unix_nano, point.start_time_unix_nano, point.flags);
        let Some(taken) = self.taken(of, &point.attributes, times, refused) else { return };
        if taken.ends {
            let (stream, at) = (taken.stream, taken.at.unix_ms);
            if self.end_sums(of, taken) {
                self.end_all(&of.name, stream, at);
            }
            return;
        }
        for quantile in &point.quantile_values {
            let mut labels = taken.labels.clone();
            labels.insert("quantile".to_owned(), quantile.quantile.to_string());
            let value = Point { value: quantile.value, ..taken.at };
            self.number(&of.name, labels, taken.stream, Kind::Gauge, value, refused);
        }
        self.sums(of, taken, point.count, Some(point.sum), refused);
    }

    fn sums(&mut self, of: &Of<'_>, taken: Taken, count: u64, sum: Option<f64>, refused: &mut Refused) {
        let Taken { labels, stream, at, .. } = taken;
        let name = |suffix: &str| format!("{}_{suffix}", of.name);
        if let Some(value) = sum {
            self.number(&name("sum"), labels.clone(), stream, Kind::Counter, Point { value, ..at }, refused);
        }
        self.number(&name("count"), labels, stream, Kind::Counter, Point { value: count as f64, ..at }, refused);
    }

    /// False where both had ended before.
    fn end_sums(&mut self, of: &Of<'_>, taken: Taken) -> bool {
        let Taken { labels, stream, at, .. } = taken;
        let ended = self.end(&format!("{}_sum", of.name), labels.clone(), stream, at.unix_ms);
        self.end(&format!("{}_count", of.name), labels, stream, at.unix_ms) || ended
    }
}

fn millis(nano: u64) -> i64 {
    (nano / 1_000_000) as i64
}

#[cfg(test)]
mod tests;
