//! How queries and rules read series, whatever holds them.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use weir_calls::Hdr;

pub use super::labels::Labels;

/// The sample that ends a series, as Prometheus writes it: a NaN of its own. A selector that finds it last finds
/// nothing.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a sample is [`STALE`]; any other NaN is a value.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// A sample that a rule records.
#[derive(Debug, Clone, PartialEq)]
pub enum Recording {
    /// A number, which may be [`STALE`].
    Number(f64),
    /// Durations in microseconds, and what each count stands for: `1 / range` behind `rate`.
    Histogram(Arc<Hdr>, f64),
}

impl Recording {
    /// Whether it ends the series.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Number(value) if is_stale(*value))
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(value) => value.fmt(f),
            Self::Histogram(hdr, scale) => write!(f, "histogram of {}", hdr.count() as f64 * scale),
        }
    }
}

/// What a series holds in the range asked for, oldest first.
#[derive(Debug, Clone)]
pub enum Data {
    /// A monotonic sum.
    Counter {
        /// The running total before the first of `deltas`.
        before: f64,
        /// Sample time in unix seconds and the increase in the second before it: what ended in `[s, s + 1)` has the
        /// sample time `s + 1`. Times rise; a second without an increase may be missing. An increase that is [`STALE`]
        /// is none: the series ended there, until the next one.
        deltas: Vec<(i64, f64)>,
        /// Whether the total is known at all times, as that of calls; else only where there is an increase, if of zero.
        lasts: bool,
    },
    /// Unix milliseconds and the value.
    Gauge(Vec<(i64, f64)>),
    /// Sample time in unix seconds and the durations, in microseconds, of what ended in the second before it.
    Histogram(Vec<(i64, Arc<Hdr>)>),
    /// Unix milliseconds, and the histograms that a rule recorded at these times: each holds all that it shows, and none
    /// is what came since the one before.
    Recorded(Vec<(i64, Recording)>),
}

/// One series.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its identity.
    pub labels: Labels,
    /// Its samples.
    pub data: Data,
}

/// How a matcher compares. Patterns are anchored at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Match,
    /// `!~`
    NoMatch,
}

/// A condition on one label; a label that is not there is as one that is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How.
    pub op: MatchOp,
    /// With what: text, or a regular expression.
    pub value: String,
}

/// A store of series that can be asked.
pub trait Read {
    /// Passes series whose labels satisfy all matchers to `take`, until it breaks: what selects everything is stopped at a
    /// limit, not in memory before. Their data are of the half-open time range `(start_ms, end_ms]` of sample times. A
    /// counter with a total but no increase in the range is there with empty `deltas`. A matcher whose pattern is no
    /// regular expression matches nothing.
    fn each(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>);

    /// All of them.
    fn select(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<Series> {
        let mut all = Vec::new();
        self.each(matchers, start_ms, end_ms, &mut |series| {
            all.push(series);
            ControlFlow::Continue(())
        });
        all
    }

    /// Whether nobody waits for answers any more: rules that are still to be evaluated are not.
    fn is_over(&self) -> bool {
        false
    }
}
