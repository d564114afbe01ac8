//! What a metric keeps of the values it saw.

use datasketches::hll::{HllSketch, HllType};
use sketches_ddsketch::{Config, DDSketch};

use super::value::Scalar;

/// 4096 registers: 1.6% of error, at most 4 KiB; few values are counted exactly.
const LOG_REGISTERS: u8 = 12;

/// Count, sum, least, greatest, and sum of squares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) squares: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// Quantiles within 1% of their value.
pub(super) struct Quantiles(DDSketch);

/// About how many different values there are.
pub(super) struct Distinct(Option<HllSketch>);

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Moments {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// Of the population.
    pub(super) fn variance(&self) -> Option<f64> {
        let mean = self.mean()?;
        Some((self.squares / self.count as f64 - mean * mean).max(0.0))
    }
}

impl Quantiles {
    /// About the bytes that one takes.
    pub(super) const BYTES: usize = 32 << 10;

    pub(super) fn new() -> Self {
        Self(DDSketch::new(Config::defaults()))
    }

    pub(super) fn add(&mut self, value: f64) {
        self.0.add(value);
    }

    pub(super) fn at(&self, percent: f64) -> Option<f64> {
        self.0.quantile(percent / 100.0).ok().flatten()
    }
}

impl Distinct {
    /// The bytes that one takes at most.
    pub(super) const BYTES: usize = 4096;

    pub(super) fn new() -> Self {
        Self(HllSketch::new(LOG_REGISTERS, HllType::Hll8).ok())
    }

    pub(super) fn add(&mut self, value: &Scalar) {
        let Some(sketch) = &mut self.0 else { return };
        match value {
            Scalar::Bool(value) => sketch.update(value),
            Scalar::Int(value) | Scalar::Time(value) => sketch.update(value),
            // The same number, however it came, is one.
            Scalar::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => sketch.update(*value as i64),
            Scalar::Float(value) => sketch.update(value.to_bits()),
            Scalar::Text(text) => sketch.update(text),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |sketch| sketch.estimate().round() as u64)
    }
}
