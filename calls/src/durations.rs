use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer, V2Serializer};

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

    /// Slots that hold something, by rising values: the least value in microseconds, the least above, and the count.
    pub fn slots(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.0.iter_recorded().map(|slot| {
            let greatest = slot.value_iterated_to();
            (self.0.lowest_equivalent(greatest), greatest.saturating_add(1), slot.count_at_value())
        })
    }

    /// As HdrHistogram's own tools read it: the compressed V2 encoding, in base64.
    pub fn to_base64(&self) -> Result<String, DurationsError> {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(&self.0, &mut bytes);
        written.map_err(|error| DurationsError::Encoding(error.to_string()))?;
        Ok(BASE64_STANDARD.encode(bytes))
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
    use crate::hdr::index;

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
            prop_assert_eq!(index(got), index(want), "{} for {}", got, want);
            prop_assert!(durations.slots().eq(all.slots()));
            let kept = Durations::from_bytes(&durations.to_bytes().unwrap()).unwrap();
            prop_assert_eq!(kept.count(), durations.count());
            prop_assert_eq!(kept.quantile(q), durations.quantile(q));
        }

        #[test]
        fn given_a_duration_then_its_slot_has_the_same_index_and_bounds_here(bits in 0..64_u32, value in any::<u64>()) {
            // Of every magnitude, from 0 to far beyond an hour.
            let value = value >> bits;
            let one = hdr(&[value]);
            let mut histogram = Histogram::<u64>::new(DIGITS).unwrap();
            histogram.record(value).unwrap();
            let (low, end, _) = one.slots().next().unwrap();
            prop_assert_eq!(histogram.lowest_equivalent(value), low);
            prop_assert_eq!(histogram.highest_equivalent(value).saturating_add(1), end);
            let at = histogram.iter_all().nth(index(value) as usize).unwrap();
            prop_assert_eq!((at.value_iterated_to(), at.count_at_value()), (histogram.highest_equivalent(value), 1));
        }

        #[test]
        fn given_the_form_of_hdrhistograms_tools_then_it_reads_back(
            values in prop::collection::vec(1_u64..7_200_000_000, 0..100),
        ) {
            let mut durations = Durations::new().unwrap();
            durations.add(&hdr(&values)).unwrap();
            let text = durations.to_base64().unwrap();
            prop_assert!(text.starts_with("HISTFAAA"), "as all of them begin: {}", text);
            let bytes = BASE64_STANDARD.decode(text).unwrap();
            let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            prop_assert_eq!(read, durations.0);
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
