//! PromQL over whatever implements [`Read`]: pure, no I/O, no clock; the same data and time give the same answer.
//!
//! All of Prometheus 3 that is not experimental: selectors with `offset` and `@`, subqueries, all operators and
//! aggregations, and the functions of [`FUNCTIONS`]. What is experimental there, or new to us, is refused by
//! [`Query::parse`] by name, never ignored. `tests/scripts.rs` runs Prometheus' own scripts and lists what is left out.
//!
//! Where this differs from Prometheus:
//! * `rate` and `increase` over counters kept as increases are exact: the sum of what was added in `(t - range, t]`,
//!   over the range. Nothing is extrapolated, and the first increase of a new series counts. Over gauges they follow
//!   Prometheus' extrapolation.
//! * A counter's value is its running total, for as long as the store knows the series.
//! * A histogram sample is what ended within one second, not a running total; as an instant vector it is the latest.
//!   `histogram_quantile` takes the quantile of merged HDR histograms in seconds, and interpolates in classic `le`
//!   buckets as Prometheus does.
//! * Operations that Prometheus answers by silently dropping histograms are errors. A subquery is of numbers alone.
//! * There are no annotations beside an answer.
//!
//! What the parser, promql-parser 0.11, reads in another way than Prometheus:
//! * `smoothed` and `anchored`, keywords of experimental modifiers, are no names of metrics.
//! * Patterns are those of the crate regex: `\Q…\E` is refused, and `\d`, `\w`, `\s` take letters of all scripts.
//! * A string's `\xff` is the character U+00FF, not a byte, so that a label name that is not UTF-8 is taken.

mod aggregate;
mod binary;
mod buckets;
mod call;
mod date;
mod eval;
mod face;
mod functions;
mod lower;
mod math;
pub(crate) mod notation;
mod numeric;
mod over_time;
mod plan;
mod relabel;
#[cfg(test)]
pub(crate) mod tests;
mod threshold;
mod tokens;
mod value;
mod window;

pub use functions::{FUNCTIONS, Kind};
pub use threshold::Threshold;
pub use value::{Histogram, Number, Range, STALE, Sample, Value, is_stale};

use std::sync::OnceLock;

use ahash::AHashMap;
use eval::Evaluation;
use face::Evaluated;
use plan::Node;

use crate::series::read::{Labels, Matcher, Read};

/// How far an instant selector looks back for the latest sample, in milliseconds.
pub const LOOKBACK_MS: i64 = 300_000;
/// Points of one range query's series.
pub const MAX_STEPS: i64 = 11_000;
/// Series that one selector may take.
pub const MAX_SERIES: usize = 200_000;
/// Samples that one query may touch.
pub const MAX_SAMPLES: u64 = 50_000_000;
/// Points that one range query may give, of all series together.
pub const MAX_POINTS: u64 = 5_000_000;
/// Bytes of one query's text.
pub const MAX_QUERY_BYTES: usize = 16_384;
/// Nested expressions.
pub const MAX_DEPTH: usize = 100;

/// A query was refused, or could not be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not PromQL.
    #[error("not a valid expression: {0}")]
    Parse(String),
    /// PromQL that is not supported, by kind and name.
    #[error("{kind} `{name}` is not supported")]
    Unsupported {
        /// `function`, `aggregation`, `modifier`, …
        kind: &'static str,
        /// As it is written in the query.
        name: String,
    },
    /// An expression of another type was needed.
    #[error("{0}")]
    Type(String),
    /// Over a limit.
    #[error("the query is over the limit of {limit} {what}")]
    Limit {
        /// Of what there is too much.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// The data do not allow the operation: series that match more than once, a histogram where a number is needed.
    #[error("{0}")]
    Data(String),
}

/// A checked query.
#[derive(Debug, Clone)]
pub struct Query {
    text: String,
    plan: plan::Plan,
    /// Made when it is asked for.
    threshold: OnceLock<Option<Threshold>>,
}

impl Query {
    /// Reads and checks a query; everything that is not supported is refused here.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(Self { text: text.to_owned(), plan: lower::parse(text)?, threshold: OnceLock::new() })
    }

    /// Sets the step of subqueries that name none, in milliseconds; without it, that is a minute.
    pub fn set_resolution(&mut self, step_ms: i64) {
        self.plan.resolution_ms = step_ms;
    }

    /// Sets how far an instant selector looks back, in milliseconds; without it, that is [`LOOKBACK_MS`].
    pub fn set_lookback(&mut self, back_ms: i64) {
        let instant = self.plan.selectors.iter_mut().filter(|selector| selector.is_instant);
        instant.for_each(|selector| selector.back_ms = back_ms);
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where its top is a comparison with a number: what is compared, and with which.
    pub fn threshold(&self) -> Option<&Threshold> {
        self.threshold.get_or_init(|| threshold::of(&self.text)).as_ref()
    }

    /// What it gives.
    pub fn kind(&self) -> Kind {
        self.plan.root.kind()
    }

    /// The answer at one time, in unix milliseconds. A vector is in the order of its labels, or in that of its values
    /// where the query ends in `sort`, `sort_desc`, `topk` or `bottomk`.
    pub fn at(&self, read: &dyn Read, time_ms: i64) -> Result<Value, Error> {
        if let Node::Text(text) = &self.plan.root {
            return Ok(Value::Text(text.clone()));
        }
        let loaded = Evaluation::load(&self.plan, read, time_ms, time_ms)?;
        if let Node::Range(source) = &self.plan.root {
            return Ok(Value::Matrix(loaded.matrix(*source, time_ms)?));
        }
        Ok(match loaded.top(time_ms)? {
            Evaluated::Scalar(value) => Value::Scalar(value),
            Evaluated::Vector(items) => {
                let mut samples: Vec<Sample> = items.into_iter().map(face::Item::into_sample).collect();
                if !self.plan.root.is_ordered() {
                    samples.sort_by(|a, b| a.labels.cmp(&b.labels));
                }
                Value::Vector(samples)
            }
        })
    }

    /// The answers at `start_ms`, `start_ms + step_ms`, … up to `end_ms`, by series, in the order of their labels; a
    /// scalar is one series without labels. At most [`MAX_STEPS`] steps.
    pub fn range(&self, read: &dyn Read, start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Vec<Range>, Error> {
        if step_ms <= 0 {
            return Err(Error::Type("the step of a range query must be positive".to_owned()));
        }
        if end_ms < start_ms {
            return Err(Error::Type("the end of a range query must not be before its start".to_owned()));
        }
        if !matches!(self.kind(), Kind::Scalar | Kind::Vector) {
            let what = self.kind().name();
            return Err(Error::Type(format!("a range query is of a scalar or an instant vector, not of {what}")));
        }
        let span = end_ms.checked_sub(start_ms).unwrap_or(i64::MAX);
        if span / step_ms >= MAX_STEPS {
            return Err(Error::Limit { what: "points per series; use a longer step", limit: MAX_STEPS as u64 });
        }
        let loaded = Evaluation::load(&self.plan, read, start_ms, end_ms)?;
        let mut points = 0_u64;
        let mut series: AHashMap<Labels, Vec<(i64, Number)>> = AHashMap::new();
        for at in 0..=span / step_ms {
            let time = start_ms + at * step_ms;
            match loaded.top(time)? {
                Evaluated::Scalar(value) => {
                    series.entry(Labels::default()).or_default().push((time, Number::Float(value)));
                }
                Evaluated::Vector(items) => {
                    points += items.len() as u64;
                    if points > MAX_POINTS {
                        return Err(Error::Limit { what: "points", limit: MAX_POINTS });
                    }
                    for item in items {
                        series.entry(item.face.into_labels()).or_default().push((time, item.value));
                    }
                }
            }
        }
        let mut ranges: Vec<Range> = series.into_iter().map(|(labels, points)| Range { labels, points }).collect();
        ranges.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(ranges)
    }

    /// Of each selector, in the order in which they are written: its conditions, and how many milliseconds before the
    /// time of evaluation its samples may lie; 0 where only the latest sample counts, and the greatest number there is
    /// where `@` names a time.
    pub fn selectors(&self) -> impl Iterator<Item = (&[Matcher], i64)> {
        self.plan.selectors.iter().map(|selector| (selector.matchers.as_slice(), self.plan.back_ms(selector)))
    }
}

/// Reads and checks a query, and lays it out as Prometheus does.
pub fn pretty(text: &str) -> Result<String, Error> {
    lower::pretty(text)
}

/// Reads a single series selector, as `match[]` of Prometheus' API holds it.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, Error> {
    let query = Query::parse(text)?;
    match (&query.plan.root, query.plan.selectors.as_slice()) {
        (plan::Node::Selector(_), [selector]) => Ok(selector.matchers.clone()),
        _ => Err(Error::Type(format!("«{text}» is not a series selector"))),
    }
}
