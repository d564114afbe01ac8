//! What an autoscaler is answered: the one value of a query, or why there is none. Pure.
//!
//! What is late, absent or ambiguous is an error and never a number: a scaler that takes an unknown value for 0 scales
//! down what is under load.

use std::time::Duration;

use crate::promql::{self, Number, Value};
use crate::series::read::Labels;

/// Bytes of a query that an error repeats.
const SHOWN: usize = 200;

/// Greatest size of a value. Both callers make thousandths of it, in 64 bits.
const MAX_VALUE: f64 = 9e15;

/// The value of a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) value: f64,
    /// Event time that it holds for, in unix milliseconds.
    pub(crate) time_ms: i64,
    /// Of the series that has it, less its name; none of a scalar.
    pub(crate) labels: Labels,
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// What was asked for cannot be asked for; the text names the key and says what would be right.
    #[error("{0}")]
    Wrong(String),
    /// A namespace whose tenant is unknown.
    #[error(
        "the namespace `{0}` belongs to no tenant, and with `auth` nobody sees what is not theirs: map it in \
         `collector.tenant.namespaces` of the alerter's configuration"
    )]
    Unmapped(String),
    /// Nothing is known yet.
    #[error(
        "event time is not known yet: what is on the bus is still being read, or a collector or partition has not said \
         how far it is; /api/v1/alerts says what is waited for"
    )]
    Unknown,
    /// Event time is too far behind the wall clock.
    #[error(
        "the data are late: event time is {} s behind the wall clock, more than `alerter.late_after` ({after:?}); \
         /api/v1/alerts says what is waited for",
        .behind.as_secs()
    )]
    Late {
        /// By so much.
        behind: Duration,
        /// What is allowed.
        after: Duration,
    },
    /// No series.
    #[error("there are no data: «{0}» finds no series; where that means 0, say so by `… or vector(0)`")]
    Absent(String),
    /// More than one.
    #[error("«{query}» gives {count} series, and one value is needed: aggregate them, such as by sum(…) or max(…)")]
    Several {
        /// The query.
        query: String,
        /// How many.
        count: usize,
    },
    /// A number that nothing can be scaled by.
    #[error("«{query}» is {value}, which is no number to scale by: divide by what is not 0, and measure what is there")]
    NotFinite {
        /// The query.
        query: String,
        /// `NaN`, `+Inf`, or what is too large.
        value: String,
    },
    /// A histogram.
    #[error("«{0}» is a histogram, and one value is needed: take histogram_quantile(0.99, …) of it")]
    Histogram(String),
    /// The evaluation failed.
    #[error("the query failed: {0}")]
    Query(#[from] promql::Error),
    /// It took too long.
    #[error("the query took longer than {0:?}")]
    Slow(Duration),
    /// Too many ask.
    #[error("too many streams are open: {0} at most")]
    Busy(usize),
}

/// The beginning of a query, for an error.
pub(super) fn shown(query: &str) -> String {
    if query.len() <= SHOWN {
        return query.to_owned();
    }
    let end = (0..=SHOWN).rev().find(|end| query.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &query[..end])
}

/// The event time that a query is evaluated at, in unix milliseconds: up to there everything is here. `watermark` and
/// `now` are in unix nanoseconds.
pub(super) fn evaluation_time(watermark: Option<u64>, now: u64, late_after: Duration) -> Result<i64, Unanswered> {
    let watermark = watermark.ok_or(Unanswered::Unknown)?;
    let behind = Duration::from_nanos(now.saturating_sub(watermark));
    if behind > late_after {
        return Err(Unanswered::Late { behind, after: late_after });
    }
    Ok((watermark / 1_000_000) as i64)
}

/// The one value that a query gave at a time.
pub(super) fn one(query: &str, value: Value, time_ms: i64) -> Result<Answer, Unanswered> {
    let query = || shown(query);
    let (value, labels) = match value {
        Value::Scalar(value) => (value, Labels::default()),
        Value::Vector(mut samples) => {
            let sample = samples.pop().ok_or_else(|| Unanswered::Absent(query()))?;
            if !samples.is_empty() {
                return Err(Unanswered::Several { query: query(), count: samples.len() + 1 });
            }
            let Number::Float(value) = sample.value else { return Err(Unanswered::Histogram(query())) };
            (value, sample.labels)
        }
        Value::Matrix(_) | Value::Text(_) => return Err(Unanswered::Wrong(no_instant(&query()))),
    };
    if !value.is_finite() || value.abs() > MAX_VALUE {
        return Err(Unanswered::NotFinite { query: query(), value: value.to_string() });
    }
    Ok(Answer { value, time_ms, labels })
}

/// What is wrong with a query of a range or a string.
pub(super) fn no_instant(query: &str) -> String {
    format!("query: «{query}» gives no value at one time: write an instant vector of one series, or a scalar")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Sample;

    fn vector(values: &[f64]) -> Value {
        let labels = |at: usize| [("pod".to_owned(), at.to_string())].into_iter().collect();
        let sample = |(at, value): (usize, &f64)| Sample { labels: labels(at), value: Number::Float(*value) };
        Value::Vector(values.iter().enumerate().map(sample).collect())
    }

    #[test]
    fn one_finite_number_is_the_value_and_all_else_is_an_error() {
        let value = |value| one("q", value, 5).map(|answer| answer.value);
        for (given, right) in [
            (Value::Scalar(0.0), Ok(0.0)),
            (Value::Scalar(-2.5), Ok(-2.5)),
            (vector(&[240.0]), Ok(240.0)),
            (vector(&[0.0]), Ok(0.0)),
            (vector(&[]), Err(Unanswered::Absent("q".to_owned()))),
            (vector(&[1.0, 2.0]), Err(Unanswered::Several { query: "q".to_owned(), count: 2 })),
            (vector(&[f64::NAN]), Err(Unanswered::NotFinite { query: "q".to_owned(), value: "NaN".to_owned() })),
            (
                Value::Scalar(f64::INFINITY),
                Err(Unanswered::NotFinite { query: "q".to_owned(), value: "inf".to_owned() }),
            ),
            (Value::Scalar(1e16), Err(Unanswered::NotFinite { query: "q".to_owned(), value: 1e16.to_string() })),
            (Value::Text("x".to_owned()), Err(Unanswered::Wrong(no_instant("q")))),
            (Value::Matrix(Vec::new()), Err(Unanswered::Wrong(no_instant("q")))),
        ] {
            let told = format!("{given:?}");
            assert_eq!(value(given), right, "{told}");
        }
    }

    #[test]
    fn a_query_is_evaluated_at_event_time_unless_that_is_unknown_or_late() {
        let second = 1_000_000_000;
        let (now, late_after) = (1_700_000_000 * second, Duration::from_secs(30));
        let at = |watermark| evaluation_time(watermark, now, late_after);
        assert_eq!(at(Some(now - 30 * second)), Ok(1_699_999_970_000));
        // A clock that is behind those of the senders is no lateness.
        assert_eq!(at(Some(now + second)), Ok(1_700_000_001_000));
        let behind = Duration::from_secs(31);
        assert_eq!(at(Some(now - 31 * second)), Err(Unanswered::Late { behind, after: late_after }));
        assert_eq!(at(None), Err(Unanswered::Unknown));
    }

    #[test]
    fn an_error_repeats_the_beginning_of_a_long_query_only() {
        assert_eq!(shown("up"), "up");
        assert_eq!(shown(&"字".repeat(100)), format!("{}…", "字".repeat(66)));
    }
}
