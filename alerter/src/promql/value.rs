//! What queries give.

use std::sync::Arc;

use crate::series::read::{Labels, Recording};
use weir_calls::Hdr;

pub use crate::series::read::{STALE, is_stale};

/// A histogram of durations whose counts are multiplied by a factor: `1 / range` behind `rate`.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The durations in microseconds.
    pub hdr: Arc<Hdr>,
    /// What each count stands for.
    pub scale: f64,
}

impl Histogram {
    /// Values, as scaled.
    pub fn count(&self) -> f64 {
        self.hdr.count() as f64 * self.scale
    }

    /// Sum of the values in seconds, as scaled.
    pub fn sum(&self) -> f64 {
        self.hdr.sum() as f64 / 1e6 * self.scale
    }

    /// The quantile in seconds: NaN without values, infinite outside 0 to 1, as Prometheus has it.
    pub fn quantile(&self, q: f64) -> f64 {
        if q.is_nan() || self.hdr.count() == 0 {
            f64::NAN
        } else if q < 0.0 {
            f64::NEG_INFINITY
        } else if q > 1.0 {
            f64::INFINITY
        } else {
            self.hdr.quantile(q).map_or(f64::NAN, |micros| micros as f64 / 1e6)
        }
    }

    /// The part of the values between two numbers of seconds, a slot's values taken as spread evenly over it.
    pub fn fraction(&self, lower: f64, upper: f64) -> f64 {
        if lower.is_nan() || upper.is_nan() || self.hdr.count() == 0 {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        let (lower, upper) = (lower * 1e6, upper * 1e6);
        let within = |(low, end, count): (u64, u64, u64)| {
            let (low, end) = (low as f64, end as f64);
            count as f64 * ((upper.min(end) - lower.max(low)) / (end - low)).max(0.0)
        };
        self.hdr.slots().map(within).sum::<f64>() / self.hdr.count() as f64
    }

    /// The variance in square seconds, each value taken as the middle of its slot.
    pub fn variance(&self) -> f64 {
        let mean = self.hdr.sum() as f64 / 1e6 / self.hdr.count() as f64;
        let square = |(low, end, count): (u64, u64, u64)| {
            let middle = (low as f64 + end as f64) / 2e6;
            count as f64 * (middle - mean) * (middle - mean)
        };
        self.hdr.slots().map(square).sum::<f64>() / self.hdr.count() as f64
    }
}

/// A sample's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// A float.
    Float(f64),
    /// A histogram of durations.
    Histogram(Histogram),
}

impl From<&Recording> for Number {
    fn from(recording: &Recording) -> Self {
        match recording {
            Recording::Number(value) => Self::Float(*value),
            Recording::Histogram(hdr, scale) => Self::Histogram(Histogram { hdr: hdr.clone(), scale: *scale }),
        }
    }
}

impl From<Number> for Recording {
    fn from(number: Number) -> Self {
        match number {
            Number::Float(value) => Self::Number(value),
            Number::Histogram(Histogram { hdr, scale }) => Self::Histogram(hdr, scale),
        }
    }
}

/// One series at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: Number,
}

/// The answer at one time.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number without labels.
    Scalar(f64),
    /// Series that have a value at that time; no two have the same labels.
    Vector(Vec<Sample>),
    /// The samples of a range vector, in the order of their labels.
    Matrix(Vec<Range>),
    /// A string literal.
    Text(String),
}

/// One series over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// Its labels.
    pub labels: Labels,
    /// Unix milliseconds and the value, oldest first.
    pub points: Vec<(i64, Number)>,
}
