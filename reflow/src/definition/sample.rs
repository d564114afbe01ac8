//! Which of the rows that match are taken.

use serde::{Deserialize, Serialize};

use super::Source;

/// Conditions; a row is taken where all that are given hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// This share of traces (or rows), by chance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// What the chance is of.
    #[serde(skip_serializing_if = "By::is_default")]
    pub by: By,
    /// At most so many of the whole capture, spread over the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_per_minute: Option<f64>,
    /// Spans that took longer than this share of the calls of their interface in the last minutes: `p99`, `p95`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slower_than: Option<Quantile>,
    /// While the alert of this name fires for the row's tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub while_firing: Option<String>,
    /// Spans with an error, and log records of severity error or above.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub errors_only: bool,
}

/// What a chance is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A trace is whole or absent, on every instance and in every capture of the same ratio. What has no trace is decided
    /// row by row.
    #[default]
    Trace,
    /// Each row by itself.
    Row,
}

impl By {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A quantile as users write it: `p99`, `p99.9`, `p50`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Quantile(pub f64);

impl TryFrom<String> for Quantile {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let percent: Option<f64> = text.strip_prefix('p').and_then(|number| number.parse().ok());
        match percent.filter(|percent| *percent > 0.0 && *percent < 100.0) {
            Some(percent) => Ok(Self(percent / 100.0)),
            None => Err(format!("`{}` is no quantile: use p50, p95, p99, p99.9 …", text.escape_debug())),
        }
    }
}

impl Serialize for Quantile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Undoes the division to the digit.
        serializer.collect_str(&format_args!("p{}", (self.0 * 1e12).round() / 1e10))
    }
}

impl Sample {
    /// Whether every row is taken.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self, source: Source) -> Result<(), String> {
        if self.ratio.is_some_and(|ratio| !(ratio > 0.0 && ratio <= 1.0)) {
            return Err("ratio: is above 0 and at most 1".to_owned());
        }
        if self.rows_per_minute.is_some_and(|rows| !(rows > 0.0 && rows <= 1e9)) {
            return Err("rows_per_minute: is above 0".to_owned());
        }
        if self.slower_than.is_some() && source == Source::Logs {
            return Err("slower_than: log records take no time: use `source: spans`".to_owned());
        }
        if self.while_firing.as_deref().is_some_and(str::is_empty) {
            return Err("while_firing: names an alert, as in `alert:` of its rule".to_owned());
        }
        Ok(())
    }
}
