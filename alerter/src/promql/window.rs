//! Series as they are loaded, and the part of them that a selector sees at a time.

use std::sync::Arc;

use super::face::Face;
use super::value::{Histogram, Number, is_stale};
use crate::series::read::{Data, Labels, Recording, Series};
use weir_calls::Hdr;

/// One series for all times of a query.
pub(super) struct Loaded {
    pub(super) labels: Labels,
    data: LoadedData,
}

enum LoadedData {
    /// Seconds and the total behind each, so that any window's increase is one subtraction.
    Counter {
        before: f64,
        totals: Vec<(i64, f64)>,
        /// Seconds at which the series ended and did not go on within the same second.
        ends: Vec<(i64, ())>,
        lasts: bool,
    },
    Gauge(Vec<(i64, f64)>),
    Histogram(Vec<(i64, Arc<Hdr>)>),
    Recorded(Vec<(i64, Recording)>),
}

/// The samples of one series in `(end_ms - range_ms, end_ms]`.
pub(super) struct Window<'a> {
    pub(super) labels: &'a Labels,
    pub(super) samples: Samples<'a>,
    pub(super) end_ms: i64,
    pub(super) range_ms: i64,
}

pub(super) enum Samples<'a> {
    Counter(Counted<'a>),
    Gauge(&'a [(i64, f64)]),
    Histogram(&'a [(i64, Arc<Hdr>)]),
    Recorded(&'a [(i64, Recording)]),
}

/// A counter that is kept as its increases.
#[derive(Clone, Copy)]
pub(super) struct Counted<'a> {
    /// Unix seconds and running totals.
    pub(super) totals: &'a [(i64, f64)],
    /// The total at the end.
    pub(super) total: f64,
    /// What was added.
    pub(super) increase: f64,
    /// Whether there is a value although there may be no totals.
    pub(super) lasts: bool,
    /// Whether the series ended behind the last of the totals.
    pub(super) ended: bool,
}

fn up_to<T>(samples: &[(i64, T)], unit_ms: i64, end_ms: i64) -> usize {
    samples.partition_point(|sample| sample.0.saturating_mul(unit_ms) <= end_ms)
}

impl Loaded {
    /// A range selector never sees the markers of staleness.
    pub(super) fn new(series: Series, is_instant: bool) -> Self {
        let data = match series.data {
            Data::Counter { before, deltas: mut totals, lasts } => {
                let (mut total, mut ends) = (before, Vec::new());
                totals.retain_mut(|(second, value)| {
                    if is_stale(*value) {
                        ends.push((*second, ()));
                        return false;
                    }
                    ends.pop_if(|end| end.0 == *second);
                    total += *value;
                    *value = total;
                    true
                });
                LoadedData::Counter { before, totals, ends, lasts }
            }
            Data::Gauge(mut samples) => {
                if !is_instant {
                    samples.retain(|sample| !is_stale(sample.1));
                }
                LoadedData::Gauge(samples)
            }
            Data::Histogram(slots) => LoadedData::Histogram(slots),
            Data::Recorded(mut samples) => {
                if !is_instant {
                    samples.retain(|sample| !sample.1.is_end());
                }
                LoadedData::Recorded(samples)
            }
        };
        Self { labels: series.labels, data }
    }

    /// What a subquery made: unix milliseconds and values.
    pub(super) fn of_samples(face: Face, samples: Vec<(i64, f64)>) -> Self {
        Self { labels: face.into_labels(), data: LoadedData::Gauge(samples) }
    }

    pub(super) fn len(&self) -> usize {
        match &self.data {
            LoadedData::Counter { totals, .. } => totals.len(),
            LoadedData::Gauge(samples) => samples.len(),
            LoadedData::Histogram(slots) => slots.len(),
            LoadedData::Recorded(samples) => samples.len(),
        }
    }

    pub(super) fn window(&self, end_ms: i64, range_ms: i64) -> Window<'_> {
        let start_ms = end_ms.saturating_sub(range_ms);
        let samples = match &self.data {
            LoadedData::Counter { before, totals, ends, lasts } => {
                let (from, to) = (up_to(totals, 1000, start_ms), up_to(totals, 1000, end_ms));
                let total = |until: usize| until.checked_sub(1).map_or(*before, |last| totals[last].1);
                let (total, increase) = (total(to), total(to) - total(from));
                let end = up_to(ends, 1000, end_ms).checked_sub(1).map(|last| ends[last].0);
                let ended = end.is_some_and(|end| totals[..to].last().is_none_or(|last| last.0 <= end));
                Samples::Counter(Counted { totals: &totals[from..to], total, increase, lasts: *lasts, ended })
            }
            LoadedData::Gauge(values) => {
                let to = up_to(values, 1, end_ms);
                Samples::Gauge(&values[up_to(&values[..to], 1, start_ms)..to])
            }
            LoadedData::Histogram(slots) => {
                Samples::Histogram(&slots[up_to(slots, 1000, start_ms)..up_to(slots, 1000, end_ms)])
            }
            LoadedData::Recorded(samples) => {
                Samples::Recorded(&samples[up_to(samples, 1, start_ms)..up_to(samples, 1, end_ms)])
            }
        };
        Window { labels: &self.labels, samples, end_ms, range_ms }
    }
}

impl Window<'_> {
    pub(super) fn len(&self) -> usize {
        match &self.samples {
            Samples::Counter(_) => 1,
            Samples::Gauge(values) => values.len(),
            Samples::Histogram(slots) => slots.len(),
            Samples::Recorded(samples) => samples.len(),
        }
    }

    /// Whether there is no value.
    pub(super) fn is_empty(&self) -> bool {
        match &self.samples {
            Samples::Counter(counted) => counted.totals.is_empty() && counted.held(self.end_ms).is_none(),
            Samples::Gauge(values) => values.is_empty(),
            Samples::Histogram(slots) => slots.is_empty(),
            Samples::Recorded(samples) => samples.is_empty(),
        }
    }

    /// The latest value, as an instant selector finds it, and its time in unix milliseconds.
    pub(super) fn latest(&self) -> Option<(i64, Number)> {
        match &self.samples {
            Samples::Counter(counted) => counted.latest(self.end_ms).map(|(ms, total)| (ms, Number::Float(total))),
            Samples::Gauge(values) => {
                values.last().filter(|last| !is_stale(last.1)).map(|last| (last.0, Number::Float(last.1)))
            }
            // Where nothing came there is nothing to show.
            Samples::Histogram(slots) => slots.last().filter(|last| last.1.count() > 0).map(|last| {
                let histogram = Histogram { hdr: last.1.clone(), scale: 1.0 };
                (last.0.saturating_mul(1000), Number::Histogram(histogram))
            }),
            Samples::Recorded(samples) => {
                samples.last().filter(|last| !last.1.is_end()).map(|last| (last.0, Number::from(&last.1)))
            }
        }
    }

    /// All values with their times in unix milliseconds.
    pub(super) fn points(&self) -> Vec<(i64, Number)> {
        match &self.samples {
            Samples::Counter(counted) => {
                let held = counted.held(self.end_ms).map(|(ms, total)| (ms, Number::Float(total)));
                let totals = counted.totals.iter();
                totals.map(|&(second, total)| (second.saturating_mul(1000), Number::Float(total))).chain(held).collect()
            }
            Samples::Gauge(values) => values.iter().map(|&(ms, value)| (ms, Number::Float(value))).collect(),
            Samples::Histogram(slots) => {
                let of = |hdr: &Arc<Hdr>| Number::Histogram(Histogram { hdr: hdr.clone(), scale: 1.0 });
                slots.iter().map(|(second, hdr)| (second.saturating_mul(1000), of(hdr))).collect()
            }
            Samples::Recorded(samples) => samples.iter().map(|(ms, value)| (*ms, Number::from(value))).collect(),
        }
    }
}

impl Counted<'_> {
    /// The one sample of a total that is known at all times but did not change in the window. What was never added to
    /// is not there yet.
    #[allow(clippy::float_cmp, reason = "a total of nothing is exactly 0")]
    pub(super) fn held(&self, end_ms: i64) -> Option<(i64, f64)> {
        let is_held = self.totals.is_empty() && !self.ended && self.lasts && self.total != 0.0;
        is_held.then(|| (end_ms.div_euclid(1000).saturating_mul(1000), self.total))
    }

    fn latest(&self, end_ms: i64) -> Option<(i64, f64)> {
        if self.ended {
            return None;
        }
        let last = self.totals.last().map(|&(second, total)| (second.saturating_mul(1000), total));
        if self.lasts && last.is_some() {
            return Some((end_ms.div_euclid(1000).saturating_mul(1000), self.total));
        }
        last.or_else(|| self.held(end_ms))
    }
}
