//! Fields that a span has of its own.

use std::borrow::Cow;
use std::time::Duration;

use weir_service::config::Span;

use crate::ast::Test;
use crate::line::OfSpan;

/// What a span has of its own. On a line that is none these names are those of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanField {
    Name,
    Kind,
    Status,
    StatusMessage,
    ParentSpanId,
    Interface,
    Duration,
    DurationMs,
    EndTimestamp,
}

/// What a span's own field must be.
#[derive(Debug, Clone)]
pub(crate) enum SpanTest {
    /// Its text passes, as of any field.
    Text(SpanField),
    /// Nanoseconds, both included.
    Duration(i64, i64),
    /// Nanoseconds since the epoch, both included.
    End(i64, i64),
    Never,
}

impl SpanField {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "name" => Self::Name,
            "kind" => Self::Kind,
            "status" => Self::Status,
            "status_message" => Self::StatusMessage,
            "parent_span_id" => Self::ParentSpanId,
            "interface" => Self::Interface,
            "duration" => Self::Duration,
            "duration_ms" => Self::DurationMs,
            "end_timestamp" => Self::EndTimestamp,
            _ => return None,
        })
    }

    /// The field's text; empty where the span has none.
    pub(crate) fn text(self, span: &OfSpan) -> Cow<'_, str> {
        match self {
            Self::Name => span.name.as_str().into(),
            Self::Kind => span.kind().into(),
            Self::Status => span.status().into(),
            Self::StatusMessage => span.status_message.as_str().into(),
            Self::ParentSpanId => hex::encode(&span.parent_span_id).into(),
            Self::Interface => span.interface.as_str().into(),
            Self::Duration => {
                let shown = |nanos: i64| Span(Duration::from_nanos(nanos.unsigned_abs())).to_string();
                span.duration().map_or_else(String::new, shown).into()
            }
            Self::DurationMs => {
                span.duration().map_or_else(String::new, |nanos| milliseconds(nanos).to_string()).into()
            }
            Self::EndTimestamp if span.end == 0 => "".into(),
            Self::EndTimestamp => weir_service::time::format(span.end).into(),
        }
    }
}

impl SpanTest {
    pub(crate) fn new(field: SpanField, test: &Test, now: i64) -> Self {
        let is_by_value = matches!(test, Test::Is(_) | Test::Range(..));
        let within = match field {
            SpanField::Duration | SpanField::DurationMs if is_by_value => test
                .interval(|text| duration(text).map(|nanos| (nanos, nanos)).ok_or(()))
                .map(|(low, high)| Self::Duration(low, high)),
            SpanField::EndTimestamp if is_by_value => {
                let read = |text: &str| weir_service::time::parse_stretch(text, now);
                test.interval(read).map_err(drop).map(|(low, high)| Self::End(low, high))
            }
            _ => Ok(Self::Text(field)),
        };
        within.unwrap_or(Self::Never)
    }

    /// Whether the span's field passes; what is asked of texts is for `is_there` to say.
    pub(crate) fn passes(&self, span: &OfSpan, is_there: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Text(field) => is_there(&field.text(span)),
            Self::Duration(low, high) => span.duration().is_some_and(|nanos| (*low..=*high).contains(&nanos)),
            Self::End(low, high) => span.end != 0 && (*low..=*high).contains(&span.end),
            Self::Never => false,
        }
    }
}

/// Nanoseconds as milliseconds.
pub(crate) fn milliseconds(nanos: i64) -> f64 {
    nanos as f64 / 1e6
}

/// A duration as a query writes it, in nanoseconds: a number of milliseconds (`250`), or with units (`1.5s`, `100ms`,
/// `1m30s`); `None` for other text.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let exact = |text: &str| i64::try_from(text.parse::<Span>().ok()?.0.as_nanos()).ok();
    let scaled = |number: &str, unit: i64| {
        let number = number.parse::<f64>().ok().filter(|number| number.is_finite())?;
        Some((number * unit as f64).round() as i64)
    };
    exact(text).or_else(|| scaled(text, 1_000_000)).or_else(|| {
        let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
        let unit = Some(unit).filter(|unit| unit.bytes().all(|byte| byte.is_ascii_alphabetic()))?;
        scaled(number, exact(&format!("1{unit}"))?)
    })
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn given_a_duration_with_or_without_units_then_it_is_read_and_other_text_is_not() {
        for (text, nanos) in [
            ("0", 0),
            ("250", 250_000_000),
            ("0.5", 500_000),
            ("-1", -1_000_000),
            ("100ms", 100_000_000),
            ("1.5s", 1_500_000_000),
            ("1m30s", 90_000_000_000),
            ("0.25us", 250),
            ("999999999w", i64::MAX),
        ] {
            assert_eq!(duration(text), Some(nanos), "{text}");
        }
        for text in ["", "fast", "s", "1.5m30s", "1 s", "1.5x", "nan", "inf", "1e400s", "infs", "显"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
