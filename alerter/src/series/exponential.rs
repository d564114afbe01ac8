//! One series of exponential histograms, kept as what came with each point.
//!
//! A value of a bucket counts as its geometric middle, held between the least and the greatest value that the point
//! names. The slots are those of durations: millionths of the metric's own unit, so a quantile is in that unit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use weir_calls::Hdr;
use weir_proto::otlp::metrics::v1::ExponentialHistogramDataPoint;

use super::buckets::{self, Classic, Totals};
use super::metrics::FRESH_MS;
use super::read::{Data, Labels};

/// Buckets of a point; programs send 160.
const BUCKETS: usize = 4096;
const MILLIONTHS: f64 = 1e6;

/// A point on its way in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exponential {
    unix_ms: i64,
    start_ms: i64,
    delta: bool,
    scale: i32,
    count: u64,
    sum: Option<f64>,
    bounds: (f64, f64),
    zero: u64,
    /// By index; the bucket of index `i` holds values above `2^(i / 2^scale)`, up to the next one's.
    buckets: BTreeMap<i64, u64>,
}

impl Exponential {
    /// `None` where there are values below zero, or more buckets than any program sends.
    pub(super) fn read(point: &ExponentialHistogramDataPoint, delta: bool) -> Option<Self> {
        let negative = point.negative.as_ref().is_some_and(|of| of.bucket_counts.iter().any(|count| *count > 0));
        let positive = point.positive.as_ref();
        let counts = positive.map_or(&[][..], |of| &of.bucket_counts);
        if negative || counts.len() > BUCKETS || !(-32..=32).contains(&point.scale) {
            return None;
        }
        let first = i64::from(positive.map_or(0, |of| of.offset));
        let held = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        Some(Self {
            unix_ms: (point.time_unix_nano / 1_000_000) as i64,
            start_ms: (point.start_time_unix_nano / 1_000_000) as i64,
            delta,
            scale: point.scale,
            count: point.count,
            sum: point.sum,
            bounds: (point.min.unwrap_or(0.0), point.max.unwrap_or(f64::INFINITY)),
            zero: point.zero_count,
            buckets: held.map(|(at, count)| (first + at as i64, *count)).collect(),
        })
    }

    /// The same at a scale that is no finer.
    fn coarser(&self, scale: i32) -> BTreeMap<i64, u64> {
        let by = (self.scale - scale).clamp(0, 63);
        let mut buckets = BTreeMap::new();
        for (index, count) in &self.buckets {
            let sum = buckets.entry(index >> by).or_insert(0_u64);
            *sum = sum.saturating_add(*count);
        }
        buckets
    }

    /// What came since the point before.
    fn since(&self, before: &Self) -> Self {
        let scale = self.scale.min(before.scale);
        let (mut buckets, were) = (self.coarser(scale), before.coarser(scale));
        for (index, count) in &mut buckets {
            *count = count.saturating_sub(were.get(index).copied().unwrap_or(0));
        }
        Self {
            scale,
            buckets,
            count: self.count.saturating_sub(before.count),
            sum: self.sum.zip(before.sum).map(|(sum, was)| (sum - was).max(0.0)),
            zero: self.zero.saturating_sub(before.zero),
            ..self.clone()
        }
    }

    fn to_hdr(&self) -> Hdr {
        let mut hdr = Hdr::default();
        let (least, greatest) = self.bounds;
        let millionths = |value: f64| (value.min(greatest).max(least) * MILLIONTHS).round() as u64;
        hdr.record_many(millionths(0.0), self.zero);
        for (index, count) in &self.buckets {
            let middle = ((*index as f64 + 0.5) * f64::from(-self.scale).exp2()).exp2();
            hdr.record_many(millionths(middle), *count);
        }
        if let Some(sum) = self.sum.filter(|_| hdr.count() > 0) {
            hdr.set_sum((sum * MILLIONTHS).round() as u64);
        }
        hdr
    }
}

/// One series.
#[derive(Debug)]
pub(super) struct Histograms {
    /// Unix milliseconds, and what came with the point.
    points: VecDeque<(i64, Arc<Hdr>)>,
    /// The last point of a cumulative one.
    last: Option<Exponential>,
    /// Of all values.
    buckets: Totals,
    /// Unix milliseconds at which the series ended last.
    ended_ms: i64,
}

impl Default for Histograms {
    fn default() -> Self {
        let buckets = Totals::new(buckets::values());
        Self { points: VecDeque::new(), last: None, buckets, ended_ms: i64::MIN }
    }
}

impl Histograms {
    /// The running totals of all values.
    pub(super) fn buckets(&self) -> &Totals {
        &self.buckets
    }

    /// Goes on from running totals of before.
    pub(super) fn carry_buckets(&mut self, labels: &Labels, mut total: impl FnMut(u64) -> u64) {
        let keys = self.buckets.keys(labels);
        self.buckets.carry(keys.map(&mut total));
    }

    /// The running totals at a time.
    pub(super) fn classic(&self, at_ms: i64) -> Classic {
        let later = self.points.iter().rev().take_while(|(time, _)| *time > at_ms);
        self.buckets.without(later.map(|(_, hdr)| &**hdr))
    }

    /// When the series ended, where that is in `(start_ms, end_ms]` and it did not go on until then.
    pub(super) fn ended(&self, start_ms: i64, end_ms: i64) -> Option<i64> {
        let at = self.ended_ms;
        let is_last = !self.points.iter().rev().any(|(time, _)| *time > at && *time <= end_ms);
        (start_ms < at && at <= end_ms && is_last).then_some(at)
    }

    /// Takes a point; `known` where it is in the totals that were carried here. One of the same time replaces: it was sent again. An older point of a cumulative one is of no use:
    /// then the answer is false.
    pub(super) fn add(&mut self, point: Exponential, known: bool) -> bool {
        let time = point.unix_ms;
        let came = if point.delta {
            point.to_hdr()
        } else {
            let came = match &self.last {
                Some(last) if time <= last.unix_ms => return time == last.unix_ms,
                Some(last) if point.count < last.count || point.start_ms > last.unix_ms => point.to_hdr(),
                Some(last) => point.since(last).to_hdr(),
                None if point.start_ms > 0 && time - point.start_ms <= FRESH_MS => point.to_hdr(),
                None => {
                    self.buckets.at_least(&point.to_hdr());
                    Hdr::default()
                }
            };
            self.last = Some(point);
            came
        };
        let at = self.points.partition_point(|(other, _)| *other < time);
        let there = self.points.get_mut(at).filter(|(other, _)| *other == time);
        if there.as_ref().is_none_or(|there| there.1.count() == 0) {
            self.buckets.add(&came, known);
        }
        match there {
            Some(there) => there.1 = Arc::new(came),
            None => self.points.insert(at, (time, Arc::new(came))),
        }
        true
    }

    /// The series ends at this time, until its next point: nothing came.
    /// False where it had ended before.
    pub(super) fn end(&mut self, unix_ms: i64) -> bool {
        let at = self.points.partition_point(|(time, _)| *time <= unix_ms);
        if at == 0 || self.ended_ms >= self.points[at - 1].0 {
            return false;
        }
        if self.points[at - 1].1.count() > 0 {
            self.points.insert(at, (unix_ms, Arc::default()));
        }
        self.ended_ms = unix_ms;
        true
    }

    /// Drops what is older; false when nothing is left.
    pub(super) fn forget(&mut self, before_ms: i64) -> bool {
        let old = self.points.partition_point(|(time, _)| *time < before_ms);
        self.points.drain(..old);
        !self.points.is_empty()
    }

    /// Whether there is a point at a time in `[start_ms, end_ms]`.
    pub(super) fn any(&self, start_ms: i64, end_ms: i64) -> bool {
        let at = self.points.partition_point(|(time, _)| *time < start_ms);
        self.points.get(at).is_some_and(|(time, _)| *time <= end_ms)
    }

    /// Points of sample times `(start_ms, end_ms]`, by the second that ends with them.
    pub(super) fn data(&self, start_ms: i64, end_ms: i64) -> Data {
        let second = |ms: i64| ms.div_euclid(1000) + i64::from(ms.rem_euclid(1000) > 0);
        let from = self.points.partition_point(|(time, _)| second(*time).saturating_mul(1000) <= start_ms);
        let to = self.points.partition_point(|(time, _)| second(*time).saturating_mul(1000) <= end_ms).max(from);
        let mut slots: Vec<(i64, Arc<Hdr>)> = Vec::with_capacity(to - from);
        for (time, came) in self.points.range(from..to) {
            match slots.last_mut().filter(|last| last.0 == second(*time)) {
                Some(last) => Arc::make_mut(&mut last.1).merge(came),
                None => slots.push((second(*time), came.clone())),
            }
        }
        Data::Histogram(slots)
    }
}

#[cfg(test)]
mod tests {
    use weir_proto::otlp::metrics::v1::exponential_histogram_data_point::Buckets;

    use super::*;

    /// Values in buckets of scale 0: index 0 holds (1, 2], index 1 (2, 4].
    fn point(seconds: u64, scale: i32, offset: i32, counts: &[u64], sum: f64) -> ExponentialHistogramDataPoint {
        ExponentialHistogramDataPoint {
            start_time_unix_nano: 1_000_000_000,
            time_unix_nano: seconds * 1_000_000_000,
            count: counts.iter().sum(),
            sum: Some(sum),
            scale,
            positive: Some(Buckets { offset, bucket_counts: counts.to_vec() }),
            ..ExponentialHistogramDataPoint::default()
        }
    }

    fn slots(histograms: &Histograms) -> Vec<(i64, u64, u64)> {
        let Data::Histogram(slots) = histograms.data(0, i64::MAX) else { panic!("no histogram") };
        slots.iter().map(|(second, hdr)| (*second, hdr.count(), hdr.sum())).collect()
    }

    #[test]
    fn given_cumulative_points_then_each_has_what_came_though_the_scale_falls_and_the_sum_restarts() {
        let mut histograms = Histograms::default();
        let mut add =
            |point: &ExponentialHistogramDataPoint| histograms.add(Exponential::read(point, false).unwrap(), false);
        assert!(add(&point(10, 1, 0, &[1, 1], 2.5)));
        assert!(add(&point(20, 0, 0, &[2, 3], 12.5)));
        assert!(add(&point(20, 0, 0, &[2, 3], 12.5)), "sent again");
        assert!(!add(&point(15, 0, 0, &[2, 3], 12.5)), "older");
        assert!(add(&point(30, 0, 0, &[1], 1.5)), "it began again");
        assert_eq!(slots(&histograms), [(10, 2, 2_500_000), (20, 3, 10_000_000), (30, 1, 1_500_000)]);
        let Data::Histogram(slots) = histograms.data(10_000, 20_000) else { panic!("no histogram") };
        let median = slots[0].1.quantile(0.5).unwrap() as f64 / 1e6;
        assert!((median - 2.828).abs() < 0.02, "the middle of (2, 4]: {median}");
    }

    #[test]
    fn given_deltas_then_a_quantile_is_not_above_the_greatest_value() {
        let mut histograms = Histograms::default();
        let mut one = point(10, 0, 3, &[4], 34.0);
        one.max = Some(8.5);
        one.zero_count = 1;
        assert!(histograms.add(Exponential::read(&one, true).unwrap(), false));
        let Data::Histogram(slots) = histograms.data(0, i64::MAX) else { panic!("no histogram") };
        let greatest = slots[0].1.quantile(1.0).unwrap();
        assert_eq!(slots[0].1.count(), 5);
        assert!((8_400_000..=8_500_000).contains(&greatest), "{greatest}");
        assert_eq!(slots[0].1.quantile(0.1), Some(0));
    }

    #[test]
    fn given_values_below_zero_then_the_point_is_not_read() {
        let mut one = point(10, 0, 0, &[1], 1.0);
        one.negative = Some(Buckets { offset: 0, bucket_counts: vec![1] });
        assert_eq!(Exponential::read(&one, true), None);
    }
}
