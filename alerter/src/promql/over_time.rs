//! Functions of the samples of one series in a range of time.

use std::sync::Arc;

use super::Error;
use super::numeric::{Mean, Sum, Variance, quantile, regression};
use super::value::{Histogram, Number};
use super::window::{Counted, Samples, Window};
use crate::series::read::Recording;
use weir_calls::Hdr;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Avg,
    Changes,
    Count,
    Delta,
    Deriv,
    Idelta,
    Increase,
    Irate,
    Last,
    Max,
    Min,
    PredictLinear,
    Present,
    Quantile,
    Rate,
    Resets,
    Stddev,
    Stdvar,
    Sum,
}

impl Over {
    /// Whether counters that are kept as increases have it without a look at each of their totals.
    pub(super) fn is_exact(self) -> bool {
        matches!(self, Self::Rate | Self::Increase | Self::Delta | Self::Irate | Self::Idelta)
    }
}

/// What a function makes of one series at `time_ms`; `None` where it has no value. `parameter` is its scalar, where it
/// has one.
pub(super) fn over(function: Over, window: &Window<'_>, parameter: f64, time_ms: i64) -> Result<Option<Number>, Error> {
    let values = match &window.samples {
        Samples::Gauge(values) => values,
        Samples::Counter(counted) => return Ok(of_counter(function, counted, window, parameter, time_ms)),
        Samples::Histogram(slots) => return of_histograms(function, slots, window),
        Samples::Recorded(samples) => return of_recorded(function, samples),
    };
    Ok(of_floats(function, values, window, parameter, time_ms).map(Number::Float))
}

/// Counters that are kept as increases: sums of them are exact, all else is seen on the running total.
fn of_counter(
    function: Over,
    counted: &Counted<'_>,
    window: &Window<'_>,
    parameter: f64,
    time_ms: i64,
) -> Option<Number> {
    if counted.totals.is_empty() && !counted.lasts {
        return None;
    }
    let value = match function {
        Over::Rate => Some(counted.increase / (window.range_ms as f64 / 1000.0)),
        Over::Increase | Over::Delta => Some(counted.increase),
        Over::Irate | Over::Idelta if counted.lasts => {
            // The total is known every second.
            let second = window.end_ms.div_euclid(1000);
            let last = counted.totals.last().filter(|last| last.0 == second);
            let before = |last: &(i64, f64)| match counted.totals {
                [.., before, _] => last.1 - before.1,
                _ => counted.increase,
            };
            Some(last.map_or(0.0, before))
        }
        _ => {
            let held;
            let totals = match counted.held(window.end_ms) {
                Some((ms, total)) => {
                    held = [(ms, total)];
                    held.to_vec()
                }
                None => counted.totals.iter().map(|&(second, total)| (second.saturating_mul(1000), total)).collect(),
            };
            of_floats(function, &totals, window, parameter, time_ms)
        }
    };
    value.map(Number::Float)
}

fn of_histograms(function: Over, slots: &[(i64, Arc<Hdr>)], window: &Window<'_>) -> Result<Option<Number>, Error> {
    let Some(last) = slots.last() else { return Ok(None) };
    Ok(Some(match function {
        Over::Rate | Over::Increase | Over::Sum | Over::Avg => {
            let mut merged = Hdr::default();
            for slot in slots {
                merged.merge(&slot.1);
            }
            let scale = match function {
                Over::Rate => 1000.0 / window.range_ms as f64,
                Over::Avg => 1.0 / slots.len() as f64,
                _ => 1.0,
            };
            Number::Histogram(Histogram { hdr: Arc::new(merged), scale })
        }
        Over::Last => Number::Histogram(Histogram { hdr: last.1.clone(), scale: 1.0 }),
        Over::Count => Number::Float(slots.len() as f64),
        Over::Present => Number::Float(1.0),
        _ => return Err(Error::Data("this function takes numbers, not histograms".to_owned())),
    }))
}

/// What a rule recorded is of windows that overlap, so that no two of them can be added.
fn of_recorded(function: Over, samples: &[(i64, Recording)]) -> Result<Option<Number>, Error> {
    let Some(last) = samples.last() else { return Ok(None) };
    Ok(Some(match function {
        Over::Last => Number::from(&last.1),
        Over::Count => Number::Float(samples.len() as f64),
        Over::Present => Number::Float(1.0),
        _ => return Err(Error::Data("this function takes numbers, not histograms that a rule recorded".to_owned())),
    }))
}

fn of_floats(function: Over, samples: &[(i64, f64)], window: &Window<'_>, parameter: f64, time_ms: i64) -> Option<f64> {
    let &(_, last) = samples.last()?;
    let values = || samples.iter().map(|sample| sample.1);
    let pairs = || samples.windows(2).map(|pair| (pair[0].1, pair[1].1));
    Some(match function {
        Over::Rate => extrapolated(samples, window, true, true)?,
        Over::Increase => extrapolated(samples, window, true, false)?,
        Over::Delta => extrapolated(samples, window, false, false)?,
        Over::Irate | Over::Idelta => {
            let [.., (before_ms, before), (last_ms, last)] = samples else { return None };
            let seconds = last_ms.saturating_sub(*before_ms) as f64 / 1000.0;
            match function {
                _ if seconds <= 0.0 => return None,
                Over::Idelta => last - before,
                _ => (if last < before { *last } else { last - before }) / seconds,
            }
        }
        Over::Avg => {
            let mut mean = Mean::default();
            values().for_each(|value| mean.add(value));
            mean.mean()
        }
        Over::Sum => {
            let mut sum = Sum::default();
            values().for_each(|value| sum.add(value));
            sum.total()
        }
        // NaN is ignored as long as there is anything else.
        Over::Min => values().fold(f64::NAN, f64::min),
        Over::Max => values().fold(f64::NAN, f64::max),
        Over::Count => samples.len() as f64,
        Over::Last => last,
        Over::Present => 1.0,
        #[allow(clippy::float_cmp, reason = "any change counts")]
        Over::Changes => pairs().filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).count() as f64,
        Over::Resets => pairs().filter(|(a, b)| b < a).count() as f64,
        Over::Stdvar | Over::Stddev => {
            let mut variance = Variance::default();
            values().for_each(|value| variance.add(value));
            if function == Over::Stddev { variance.variance().sqrt() } else { variance.variance() }
        }
        Over::Quantile => quantile(parameter, &mut values().collect::<Vec<_>>()),
        Over::Deriv | Over::PredictLinear => {
            let [first, _, ..] = samples else { return None };
            let intercept_ms = if function == Over::Deriv { first.0 } else { time_ms };
            let (slope, intercept) = regression(samples.iter().copied(), intercept_ms);
            if function == Over::Deriv { slope } else { slope * parameter + intercept }
        }
    })
}

/// Prometheus' estimate of an increase, or a rate, from samples of a running total: `extrapolatedRate` in its
/// functions.go.
fn extrapolated(samples: &[(i64, f64)], window: &Window<'_>, is_counter: bool, is_rate: bool) -> Option<f64> {
    let (&(first_ms, first), &(last_ms, last)) = (samples.first()?, samples.last()?);
    if samples.len() < 2 || last_ms <= first_ms {
        return None;
    }
    let mut increase = last - first;
    if is_counter {
        for pair in samples.windows(2) {
            if pair[1].1 < pair[0].1 {
                increase += pair[0].1;
            }
        }
    }
    let sampled = last_ms.saturating_sub(first_ms) as f64 / 1000.0;
    let between = sampled / (samples.len() - 1) as f64;
    let start_ms = window.end_ms.saturating_sub(window.range_ms);
    let mut to_start = first_ms.saturating_sub(start_ms) as f64 / 1000.0;
    let mut to_end = window.end_ms.saturating_sub(last_ms) as f64 / 1000.0;
    let threshold = between * 1.1;
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    if is_counter && increase > 0.0 && first >= 0.0 {
        // A counter is never extrapolated to below zero.
        to_start = to_start.min(sampled * (first / increase));
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if is_rate {
        factor /= window.range_ms as f64 / 1000.0;
    }
    Some(increase * factor)
}
