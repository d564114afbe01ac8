//! Series as they are written to others: samples in the order of time, histograms in classic buckets.
//!
//! | series | samples in a window `(after, until]` |
//! |---|---|
//! | gauge, what a rule records | all, at their own times |
//! | sum of OTLP | its running total at each point |
//! | calls, bytes, tokens | the running total at `until` |
//! | durations of calls, times of tokens | running totals at `until`: `_bucket{le}`, `_sum`, `_count` |
//! | exponential histogram | running totals at `until` where a point came: `_bucket{le}`; sum and count are sums of OTLP |
//!
//! A total is what is known when it is read, so a late increase is in the next total, and no total falls. One that begins
//! has a zero before it, without which a reader would not see its first increase.

use ahash::AHashMap;

use super::buckets::{self, Classic};
use super::feed::Shared;
use super::read::{Data, Labels, MatchOp, Matcher, Read as _, Recording, STALE, is_stale};
use super::{calls, identity};

/// One series in a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    /// A hash of the labels, the same in every process.
    pub(crate) key: u64,
    pub(crate) labels: Labels,
    pub(crate) samples: Samples,
}

/// Unix milliseconds and value, by rising time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Samples {
    /// [`STALE`] where the series ends.
    Numbers(Vec<(i64, f64)>),
    Histograms(Histograms),
}

/// Histograms in classic buckets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histograms {
    /// `None` where the series ends; each count stands for so many.
    pub(crate) samples: Vec<(i64, Option<(Classic, f64)>)>,
    pub(crate) bounds: &'static [f64],
    /// Sum and count are series of their own.
    pub(crate) buckets_alone: bool,
}

/// What was written in the windows before.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Running totals of calls in the last one: those that are not there any more end.
    calls: AHashMap<u64, (Labels, bool)>,
    /// The last total of each sum of OTLP.
    totals: AHashMap<u64, f64>,
}

/// A total is summed up anew for each window, and its last bits depend on the order: one that falls by no more than that
/// stays as it was, since readers would take it for a sum that began again.
const ROUNDING: f64 = 1e-9;

/// Lets no total fall by what is only rounding; the last one.
fn hold(values: &mut [(i64, f64)], mut last: Option<f64>) -> Option<f64> {
    for (_, value) in values.iter_mut().filter(|(_, value)| !is_stale(*value)) {
        *value = last.filter(|last| *value < *last && last - *value <= last * ROUNDING).unwrap_or(*value);
        last = Some(*value);
    }
    last
}

/// All series that have samples in the window, by their keys.
pub(crate) fn window(shared: &Shared, live: &mut Live, (after_ms, until_ms): (i64, i64)) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut totals, mut sums) = (AHashMap::new(), AHashMap::new());
    // The store is held for one name at a time.
    let names = shared.store.read().kinds(&|_| true);
    for name in names.into_keys() {
        let matcher = Matcher { name: "__name__".to_owned(), op: MatchOp::Equal, value: name };
        for series in shared.select(&[matcher], after_ms, until_ms) {
            let lasts = matches!(series.data, Data::Counter { lasts: true, .. });
            let is_sum = matches!(series.data, Data::Counter { lasts: false, .. });
            let key = identity::of_labels(&series.labels);
            let begins_ms = (!live.calls.contains_key(&key)).then_some(after_ms);
            let samples = of_data(series.data, begins_ms, until_ms).map(|mut samples| {
                if let (true, Samples::Numbers(values)) = (is_sum, &mut samples) {
                    sums.extend(hold(values, live.totals.get(&key).copied()).map(|last| (key, last)));
                }
                samples
            });
            if is_sum && let Some(last) = live.totals.get(&key) {
                // Also of a series without a point in this window.
                sums.entry(key).or_insert(*last);
            }
            if let Some(samples) = samples {
                if lasts {
                    totals.insert(key, (series.labels.clone(), false));
                }
                pieces.push(Piece { key, labels: series.labels, samples });
            }
        }
    }
    let store = shared.store.read();
    for calls in store.interfaces() {
        for ((labels, total), (_, before)) in calls.classic(until_ms).zip(calls.classic(after_ms)) {
            if total.count() == 0 {
                continue;
            }
            let key = identity::of_labels(labels);
            let is_new = before.count() == 0 && !live.calls.contains_key(&key);
            let begins = is_new.then_some((after_ms, Some((before, 1.0))));
            let samples = begins.into_iter().chain([(until_ms, Some((total, 1.0)))]).collect();
            totals.insert(key, (labels.clone(), true));
            pieces.push(of_calls(key, labels.clone(), samples));
        }
    }
    for (labels, histograms) in store.exponentials() {
        let samples = if let Some(ended_ms) = histograms.ended(after_ms, until_ms) {
            vec![(ended_ms, None)]
        } else if histograms.any(after_ms + 1, until_ms) {
            let before = histograms.classic(after_ms);
            let begins = (before.count() == 0).then_some((after_ms, Some((before, 1.0))));
            let total = (until_ms, Some((histograms.classic(until_ms), 1.0)));
            begins.into_iter().chain([total]).collect()
        } else {
            continue;
        };
        let of = Histograms { samples, bounds: buckets::values(), buckets_alone: true };
        let key = identity::of_labels(labels);
        pieces.push(Piece { key, labels: labels.clone(), samples: Samples::Histograms(of) });
    }
    drop(store);
    for (key, (labels, is_histogram)) in &live.calls {
        if !totals.contains_key(key) {
            pieces.push(if *is_histogram {
                of_calls(*key, labels.clone(), vec![(until_ms, None)])
            } else {
                Piece { key: *key, labels: labels.clone(), samples: Samples::Numbers(vec![(until_ms, STALE)]) }
            });
        }
    }
    *live = Live { calls: totals, totals: sums };
    pieces.sort_by_key(|piece| piece.key);
    pieces
}

fn of_calls(key: u64, labels: Labels, samples: Vec<(i64, Option<(Classic, f64)>)>) -> Piece {
    let of = Histograms { samples, bounds: buckets::durations(), buckets_alone: false };
    Piece { key, labels, samples: Samples::Histograms(of) }
}

/// `None` where there is nothing to write; histograms of calls and of OTLP are read as totals instead. A running total
/// that was not written before begins with a zero at `begins_ms`.
fn of_data(data: Data, begins_ms: Option<i64>, until_ms: i64) -> Option<Samples> {
    match data {
        Data::Gauge(values) => (!values.is_empty()).then_some(Samples::Numbers(values)),
        Data::Counter { before, deltas, lasts: true } => {
            let total = before + deltas.iter().map(|delta| delta.1).sum::<f64>();
            let zero = begins_ms.filter(|_| before <= 0.0 && total > 0.0).map(|time_ms| (time_ms, 0.0));
            Some(Samples::Numbers(zero.into_iter().chain([(until_ms, total)]).collect()))
        }
        Data::Counter { before, deltas, lasts: false } => {
            let mut total = before;
            let mut samples: Vec<(i64, f64)> = Vec::with_capacity(deltas.len() + 1);
            for (second, delta) in deltas {
                let time_ms = second.saturating_mul(1000);
                if is_stale(delta) {
                    samples.push((time_ms, STALE));
                    continue;
                }
                if total <= 0.0 && delta > 0.0 && samples.last().is_none_or(|last| last.0 < time_ms - 1000) {
                    samples.push((time_ms - 1000, 0.0));
                }
                total += delta;
                samples.push((time_ms, total));
            }
            (!samples.is_empty()).then_some(Samples::Numbers(samples))
        }
        Data::Histogram(_) => None,
        Data::Recorded(recorded) if recorded.is_empty() => None,
        Data::Recorded(recorded) => {
            let of = |recording: &Recording| match recording {
                Recording::Histogram(hdr, scale) => Some((Classic::of(hdr, buckets::values()), *scale)),
                Recording::Number(_) => None,
            };
            let samples = recorded.iter().map(|(time, recording)| (*time, of(recording))).collect();
            Some(Samples::Histograms(Histograms { samples, bounds: buckets::values(), buckets_alone: false }))
        }
    }
}

/// What a metric is for: the text of `metadata` where there is one.
pub(crate) fn help(name: &str) -> &'static str {
    calls::HELP.iter().find(|(own, _, _)| *own == name).map_or("", |(_, _, help)| help)
}
