use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};

use crate::Hdr;

/// Significant digits. Two make slots of the very bounds that `weir.v1.Hdr` has: 256 of one microsecond, then 128 for
/// each power of two.
const DIGITS: u8 = 2;

/// A histogram of durations in microseconds that many others are merged into, and that is kept as HDR histograms are
/// kept everywhere (the V2 encoding).
#[derive(Debug, Clone, PartialEq)]
pub struct Durations(Histogram<u64>);

/// Not the bytes of a histogram of durations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationsError {
    /// No histogram in the V2 encoding.
    #[error("not an HDR histogram in the V2 encoding: {0}")]
    Encoding(String),
    /// Of another precision, which cannot be merged without loss.
    #[error("histogram has {0} significant digits, expected {DIGITS}")]
    Digits(u8),
    /// A duration that no slot can hold.
    #[error("a duration cannot be recorded: {0}")]
    Record(String),
}

impl Durations {
    /// An empty one.
    pub fn new() -> Result<Self, DurationsError> {
        // Two digits are valid, so this cannot fail; a type of its own says so where it would.
        let histogram = Histogram::new(DIGITS).map_err(|error| DurationsError::Encoding(error.to_string()))?;
        Ok(Self(histogram))
    }

    /// Adds all of a histogram of the wire. Counts saturate.
    pub fn add(&mut self, other: &Hdr) -> Result<(), DurationsError> {
        for (low, _, count) in other.slots() {
            self.0.record_n(low, count).map_err(|error| DurationsError::Record(error.to_string()))?;
        }
        Ok(())
    }

    /// Adds all of another. Counts saturate.
    pub fn merge(&mut self, other: &Self) -> Result<(), DurationsError> {
        self.0.add(&other.0).map_err(|error| DurationsError::Record(error.to_string()))
    }

    /// Values recorded.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The duration in microseconds below which this part of all lie: the middle of the slot of that rank, at most 0.4%
    /// from the exact one. `None` where nothing was recorded.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        (self.count() > 0).then(|| self.0.median_equivalent(self.0.value_at_quantile(q)))
    }

    /// As it is kept.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DurationsError> {
        let mut bytes = Vec::new();
        let written = V2Serializer::new().serialize(&self.0, &mut bytes);
        written.map_err(|error| DurationsError::Encoding(error.to_string()))?;
        Ok(bytes)
    }

    /// Reads what [`Durations::to_bytes`] wrote.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, DurationsError> {
        let read = Deserializer::new().deserialize::<u64, _>(&mut bytes);
        let mut histogram = read.map_err(|error| DurationsError::Encoding(error.to_string()))?;
        // Or slower calls than it has seen so far could not be added.
        histogram.auto(true);
        if histogram.sigfig() != DIGITS {
            return Err(DurationsError::Digits(histogram.sigfig()));
        }
        Ok(Self(histogram))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hdr(values: &[u64]) -> Hdr {
        let mut hdr = Hdr::default();
        for value in values {
            hdr.record(*value);
        }
        hdr
    }

    proptest! {
        #[test]
        fn given_histograms_of_the_wire_then_slots_counts_and_quantiles_are_the_same_here(
            a in prop::collection::vec(0_u64..100_000_000_000, 1..200), b in prop::collection::vec(0_u64..5000, 0..200),
            q in 0.0..=1.0_f64,
        ) {
            let (one, other) = (hdr(&a), hdr(&b));
            let mut durations = Durations::new().unwrap();
            durations.add(&one).unwrap();
            let mut second = Durations::new().unwrap();
            second.add(&other).unwrap();
            durations.merge(&second).unwrap();
            let mut all = one.clone();
            all.merge(&other);
            prop_assert_eq!(durations.count(), all.count());
            let (got, want) = (durations.quantile(q).unwrap(), all.quantile(q).unwrap());
            prop_assert!(got.abs_diff(want) as f64 <= want as f64 / 128.0, "{got} for {want}");
            let kept = Durations::from_bytes(&durations.to_bytes().unwrap()).unwrap();
            prop_assert_eq!(kept.count(), durations.count());
            prop_assert_eq!(kept.quantile(q), durations.quantile(q));
        }

        #[test]
        fn given_one_that_was_kept_then_slower_calls_can_be_added(
            a in prop::collection::vec(0_u64..100, 0..20), b in prop::collection::vec(any::<u64>(), 1..20),
        ) {
            let mut kept = Durations::new().unwrap();
            kept.add(&hdr(&a)).unwrap();
            let mut one = Durations::from_bytes(&kept.to_bytes().unwrap()).unwrap();
            let mut other = one.clone();
            one.add(&hdr(&b)).unwrap();
            let mut second = Durations::new().unwrap();
            second.add(&hdr(&b)).unwrap();
            other.merge(&Durations::from_bytes(&second.to_bytes().unwrap()).unwrap()).unwrap();
            prop_assert_eq!(one.count(), (a.len() + b.len()) as u64);
            prop_assert_eq!(one.quantile(1.0), other.quantile(1.0));
        }

        #[test]
        fn given_any_bytes_then_they_are_refused_or_usable(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(durations) = Durations::from_bytes(&bytes) {
                durations.quantile(0.99);
            }
        }
    }
}
