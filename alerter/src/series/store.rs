//! All series, and how far event time has come. Pure: no I/O, no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use weir_calls::{Follows, Source};
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::metrics::v1::{
    AggregationTemporality, DataPointFlags, Histogram as OtlpHistogram, Metric, NumberDataPoint, metric::Data as Otlp,
    number_data_point::Value,
};
use weir_proto::v1;

use super::calls::{self, Calls};
use super::matching::{self, Patterns};
use super::metrics::{Kind, Numbers, Point};
use super::names::{self, Shape};
use super::read::{Labels, MatchOp, Matcher, Read, Series};

/// How far ahead of the watermark a point may lie.
const AHEAD_MS: i64 = 3_600_000;
/// How far a clock may be ahead that dates points of metrics: what comes before such a point's time is too old for a sum.
const SKEW_MS: i64 = 60_000;
/// Old points are dropped in steps.
const FORGET_MS: i64 = 10_000;

/// Points that were not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Of new series over the limit.
    pub over_limit: u64,
    /// Too old, far ahead of event time, or behind what its sum was last.
    pub out_of_range: u64,
    /// Of kinds that are not kept: exponential histograms and summaries, not a number, another kind than the series has.
    pub unsupported: u64,
}

/// All series.
#[derive(Debug)]
pub struct Store {
    history_ms: i64,
    limit: usize,
    calls: AHashMap<(String, String, String), Calls>,
    numbers: BTreeMap<String, AHashMap<Labels, Numbers>>,
    count: usize,
    sources: BTreeMap<(String, i32), Source>,
    /// What is older was dropped.
    forgotten_ms: i64,
    last_call_unix_nano: u64,
    patterns: Patterns,
}

impl Store {
    /// An empty store that keeps so much history of at most so many series.
    pub fn new(history_ms: i64, limit: usize) -> Self {
        Self {
            history_ms,
            limit,
            calls: AHashMap::new(),
            numbers: BTreeMap::new(),
            count: 0,
            sources: BTreeMap::new(),
            forgotten_ms: i64::MIN,
            last_call_unix_nano: 0,
            patterns: Patterns::default(),
        }
    }

    /// Takes a range of calls, if it was not seen before.
    pub fn add_calls(&mut self, range: &v1::CallDeltas, refused: &mut Refused) -> Follows {
        let key = (range.source_topic.clone(), range.source_partition);
        let known = self.sources.get(&key).copied();
        let follows = Source::follows(known.as_ref(), range);
        if follows == Follows::Overlap {
            return follows;
        }
        let source = Source::after(known.as_ref(), range);
        let watermark = source.watermark_unix_nano;
        self.sources.insert(key, source);
        let watermark_ms = (watermark / 1_000_000) as i64;
        let oldest = watermark_ms.saturating_sub(self.history_ms).div_euclid(1000);
        let newest = watermark_ms.saturating_add(AHEAD_MS).div_euclid(1000);
        for series in &range.series {
            let key = (series.tenant.clone(), series.service.clone(), series.interface.clone());
            if !self.calls.contains_key(&key) && self.count >= self.limit {
                refused.over_limit += series.slots.len() as u64;
                continue;
            }
            let count = &mut self.count;
            let calls = self.calls.entry(key).or_insert_with(|| {
                *count += Calls::SERIES;
                Calls::new(&series.tenant, &series.service, &series.interface)
            });
            for slot in &series.slots {
                let second = i64::try_from(slot.unix_seconds).unwrap_or(i64::MAX);
                if !(oldest..=newest).contains(&second) {
                    refused.out_of_range += 1;
                } else if calls.add(slot).is_err() {
                    refused.unsupported += 1;
                } else {
                    self.last_call_unix_nano =
                        self.last_call_unix_nano.max(watermark.min((slot.unix_seconds + 1) * 1_000_000_000));
                }
            }
        }
        self.forget(watermark_ms.saturating_sub(self.history_ms));
        follows
    }

    /// Takes the gauges, sums and histograms of a record; `arrival_ms` bounds how far ahead a point may lie.
    pub fn add_metrics(&mut self, request: &ExportMetricsServiceRequest, arrival_ms: i64, refused: &mut Refused) {
        for of_resource in &request.resource_metrics {
            let resource = names::resource(of_resource.resource.as_ref().map_or(&[][..], |r| &r.attributes));
            for metric in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                let (points, delta, kind) = match &metric.data {
                    Some(Otlp::Gauge(gauge)) => (&gauge.data_points, false, Kind::Gauge),
                    Some(Otlp::Sum(sum)) => {
                        let delta = sum.aggregation_temporality == AggregationTemporality::Delta as i32;
                        (&sum.data_points, delta, if sum.is_monotonic { Kind::Counter } else { Kind::Gauge })
                    }
                    Some(Otlp::Histogram(histogram)) => {
                        self.histogram(metric, histogram, &resource, arrival_ms, refused);
                        continue;
                    }
                    Some(Otlp::ExponentialHistogram(h)) => {
                        refused.unsupported += h.data_points.len() as u64;
                        continue;
                    }
                    Some(Otlp::Summary(s)) => {
                        refused.unsupported += s.data_points.len() as u64;
                        continue;
                    }
                    None => continue,
                };
                let shape = match &metric.data {
                    Some(Otlp::Gauge(_)) => Shape::Gauge,
                    _ if kind == Kind::Counter => Shape::Counter,
                    _ => Shape::UpDown,
                };
                let name = names::metric(&metric.name, &metric.unit, shape);
                for point in points {
                    let Some(mut taken) = number(point) else {
                        refused.unsupported += 1;
                        continue;
                    };
                    taken.delta = delta;
                    if !self.is_in_range(taken.unix_ms, arrival_ms) {
                        refused.out_of_range += 1;
                        continue;
                    }
                    let mut labels = resource.clone();
                    names::point(&mut labels, &point.attributes);
                    self.number(&name, labels, kind, taken, refused);
                }
            }
        }
    }

    fn is_in_range(&self, unix_ms: i64, arrival_ms: i64) -> bool {
        unix_ms <= arrival_ms.saturating_add(SKEW_MS) && unix_ms > arrival_ms.saturating_sub(self.history_ms)
    }

    /// Takes a histogram of explicit bounds as Prometheus' classic series: `_bucket` by `le`, `_sum` and `_count`.
    fn histogram(
        &mut self,
        metric: &Metric,
        histogram: &OtlpHistogram,
        resource: &BTreeMap<String, String>,
        arrival_ms: i64,
        refused: &mut Refused,
    ) {
        let name = names::metric(&metric.name, &metric.unit, Shape::Histogram);
        let delta = histogram.aggregation_temporality == AggregationTemporality::Delta as i32;
        for point in &histogram.data_points {
            let bounds = &point.explicit_bounds;
            let whole = point.bucket_counts.len() == bounds.len() + 1 || point.bucket_counts.is_empty();
            if !whole || has_no_value(point.flags, point.time_unix_nano) {
                refused.unsupported += 1;
                continue;
            }
            let at = Point {
                unix_ms: millis(point.time_unix_nano),
                start_ms: millis(point.start_time_unix_nano),
                value: 0.0,
                delta,
            };
            if !self.is_in_range(at.unix_ms, arrival_ms) {
                refused.out_of_range += 1;
                continue;
            }
            let mut labels = resource.clone();
            names::point(&mut labels, &point.attributes);
            let mut below = 0_u64;
            for (at_most, count) in bounds.iter().map(ToString::to_string).zip(&point.bucket_counts) {
                below = below.saturating_add(*count);
                let mut labels = labels.clone();
                labels.insert("le".to_owned(), at_most);
                let bucket = Point { value: below as f64, ..at };
                self.number(&format!("{name}_bucket"), labels, Kind::Counter, bucket, refused);
            }
            let all = Point { value: point.count as f64, ..at };
            let mut of_all = labels.clone();
            of_all.insert("le".to_owned(), "+Inf".to_owned());
            self.number(&format!("{name}_bucket"), of_all, Kind::Counter, all, refused);
            self.number(&format!("{name}_count"), labels.clone(), Kind::Counter, all, refused);
            if let Some(value) = point.sum {
                self.number(&format!("{name}_sum"), labels, Kind::Counter, Point { value, ..at }, refused);
            }
        }
    }

    /// Writes a sample of a recording rule; `labels` hold the name.
    pub fn record(&mut self, labels: &Labels, unix_ms: i64, value: f64, refused: &mut Refused) {
        let mut labels = BTreeMap::clone(labels);
        let Some(name) = labels.remove("__name__") else { return };
        let point = Point { unix_ms, start_ms: 0, value, delta: false };
        self.number(&name, labels, Kind::Gauge, point, refused);
    }

    fn number(
        &mut self,
        name: &str,
        mut labels: BTreeMap<String, String>,
        kind: Kind,
        point: Point,
        refused: &mut Refused,
    ) {
        if !self.numbers.contains_key(name) {
            self.numbers.insert(name.to_owned(), AHashMap::new());
        }
        let Some(family) = self.numbers.get_mut(name) else { return };
        labels.insert("__name__".to_owned(), name.to_owned());
        let numbers = match family.get_mut(&labels) {
            Some(numbers) => numbers,
            None if self.count >= self.limit => {
                refused.over_limit += 1;
                return;
            }
            None => {
                self.count += 1;
                family.entry(Arc::new(labels)).or_insert_with(|| Numbers::new(kind))
            }
        };
        if numbers.kind() != kind {
            refused.unsupported += 1;
        } else if !numbers.add(point) {
            refused.out_of_range += 1;
        }
    }

    fn forget(&mut self, before_ms: i64) {
        if before_ms < self.forgotten_ms.saturating_add(FORGET_MS) {
            return;
        }
        self.forgotten_ms = before_ms;
        self.calls.retain(|_, calls| calls.forget(before_ms.div_euclid(1000)));
        self.numbers.retain(|_, family| {
            family.retain(|_, numbers| numbers.forget(before_ms));
            !family.is_empty()
        });
        self.count = Calls::SERIES * self.calls.len() + self.numbers.values().map(|family| family.len()).sum::<usize>();
    }

    /// Event time in unix nanoseconds up to which all calls of these partitions are here, the least of them; `None`
    /// while one of them was not heard of, the end of time where there are none.
    pub fn watermark(&self, topic: &str, partitions: &[i32]) -> Option<u64> {
        let of = |partition: &i32| Some(self.sources.get(&(topic.to_owned(), *partition))?.watermark_unix_nano);
        partitions.iter().map(of).try_fold(u64::MAX, |least, one| Some(least.min(one?)))
    }

    /// Behind the last span of a partition whose calls are here.
    pub fn end_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        self.sources.get(&(topic.to_owned(), partition)).map(|source| source.end_offset)
    }

    /// The end of the last second, at most the watermark, in which a call ended; zero where there was none.
    pub fn last_call_unix_nano(&self) -> u64 {
        self.last_call_unix_nano
    }

    /// Series kept.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no series is kept.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The labels of all series that satisfy the matchers, whatever their times.
    pub fn labels(&self, matchers: &[Matcher]) -> Vec<Labels> {
        let mut found = Vec::new();
        self.visit(matchers, |labels, _| found.push(labels.clone()));
        found
    }

    /// The same of series that have a sample between two times in unix milliseconds, both of them included.
    pub fn labels_between(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<Labels> {
        let mut found = Vec::new();
        self.visit(matchers, |labels, series| {
            let there = match series {
                Found::Calls(calls, _) => calls.any(start_ms, end_ms),
                Found::Numbers(numbers) => numbers.any(start_ms, end_ms),
            };
            if there {
                found.push(labels.clone());
            }
        });
        found
    }

    /// Name and kind (`gauge`, `counter`, `histogram`) of every metric of which a series has such labels.
    pub fn kinds(&self, sees: &dyn Fn(&Labels) -> bool) -> BTreeMap<String, &'static str> {
        let mut kinds: BTreeMap<String, &'static str> = BTreeMap::new();
        for (_, labels) in self.calls.values().flat_map(Calls::faces).filter(|(_, labels)| sees(labels)) {
            if let Some((name, kind, _)) =
                calls::HELP.iter().find(|(name, _, _)| labels.get("__name__").is_some_and(|n| n == name))
            {
                kinds.insert((*name).to_owned(), kind);
            }
        }
        for (name, family) in &self.numbers {
            if let Some((_, numbers)) = family.iter().find(|(labels, _)| sees(labels)) {
                kinds.insert(name.clone(), if numbers.kind() == Kind::Gauge { "gauge" } else { "counter" });
            }
        }
        kinds
    }

    fn visit<'a>(&'a self, matchers: &[Matcher], mut take: impl FnMut(&'a Labels, Found<'a>)) {
        let conditions = self.patterns.compile(matchers);
        let name = matchers.iter().find(|m| m.name == "__name__" && m.op == MatchOp::Equal).map(|m| m.value.as_str());
        if name.is_none_or(|name| calls::HELP.iter().any(|(own, _, _)| *own == name)) {
            for calls in self.calls.values() {
                for (face, labels) in calls.faces().filter(|(_, labels)| matching::all(&conditions, labels)) {
                    take(labels, Found::Calls(calls, face));
                }
            }
        }
        let families: Vec<_> = match name {
            Some(name) => self.numbers.get(name).into_iter().collect(),
            None => self.numbers.values().collect(),
        };
        for (labels, numbers) in families.into_iter().flatten() {
            if matching::all(&conditions, labels) {
                take(labels, Found::Numbers(numbers));
            }
        }
    }
}

enum Found<'a> {
    Calls(&'a Calls, usize),
    Numbers(&'a Numbers),
}

impl Store {
    /// As [`Read::select`], of those series whose labels are such.
    pub fn select_where(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
        sees: &dyn Fn(&Labels) -> bool,
    ) -> Vec<Series> {
        let mut series = Vec::new();
        self.visit(matchers, |labels, found| {
            if !sees(labels) {
                return;
            }
            let data = match found {
                Found::Calls(calls, face) => calls.data(face, start_ms, end_ms),
                Found::Numbers(numbers) => numbers.data(start_ms, end_ms),
            };
            series.push(Series { labels: labels.clone(), data });
        });
        series
    }
}

impl Read for Store {
    fn select(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<Series> {
        self.select_where(matchers, start_ms, end_ms, &|_| true)
    }
}

fn number(point: &NumberDataPoint) -> Option<Point> {
    let value = match point.value? {
        Value::AsDouble(value) => value,
        Value::AsInt(value) => value as f64,
    };
    if has_no_value(point.flags, point.time_unix_nano) {
        return None;
    }
    let (unix_ms, start_ms) = (millis(point.time_unix_nano), millis(point.start_time_unix_nano));
    Some(Point { unix_ms, start_ms, value, delta: false })
}

fn has_no_value(flags: u32, time_unix_nano: u64) -> bool {
    flags & DataPointFlags::NoRecordedValueMask as u32 != 0 || time_unix_nano == 0
}

fn millis(nano: u64) -> i64 {
    (nano / 1_000_000) as i64
}
