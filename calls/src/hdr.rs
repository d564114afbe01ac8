//! Sparse high dynamic range histograms of durations in microseconds, as `weir.v1.Hdr` lays them out.
//!
//! A quantile is the middle of the slot that holds the value of that rank, held between the least and the greatest
//! value recorded: at most 0.4% from the exact one, and never above the true maximum.

use weir_proto::v1;

/// A slot is at most 2^-7 of its values wide.
pub const PRECISION_BITS: u32 = 8;
const HALF: u32 = 1 << (PRECISION_BITS - 1);

/// A histogram; merging is commutative and associative.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hdr {
    /// Index and count, by rising index; counts are never zero.
    slots: Vec<(u32, u64)>,
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

/// The message is no histogram of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HdrError {
    /// Another precision cannot be merged without loss.
    #[error("histogram has {0} precision bits, expected {PRECISION_BITS}")]
    Precision(u32),
    /// Indexes must rise, stay in range, and each have a count.
    #[error("histogram's slots are not in order or not in range")]
    Slots,
}

/// The slot of a value in microseconds.
pub fn index(value: u64) -> u32 {
    let k = (u64::BITS - value.leading_zeros()).saturating_sub(PRECISION_BITS);
    k * HALF + (value >> k) as u32
}

/// The middle of a slot, rounded down.
fn middle(index: u32) -> u64 {
    let k = (index / HALF).saturating_sub(1);
    let low = u64::from(index - k * HALF) << k;
    low + ((1_u64 << k) - 1) / 2
}

impl Hdr {
    /// Adds one value in microseconds.
    pub fn record(&mut self, value: u64) {
        self.record_many(value, 1);
    }

    /// Adds one value in microseconds so many times.
    pub fn record_many(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count = self.count.saturating_add(times);
        self.sum = self.sum.saturating_add(value.saturating_mul(times));
        self.add(index(value), times);
    }

    /// Says what the sum in microseconds is, where it is known better than from the values recorded.
    pub fn set_sum(&mut self, sum: u64) {
        self.sum = sum;
    }

    /// Adds all of another histogram.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        for &(index, count) in &other.slots {
            self.add(index, count);
        }
    }

    fn add(&mut self, index: u32, count: u64) {
        match self.slots.binary_search_by_key(&index, |slot| slot.0) {
            Ok(at) => self.slots[at].1 = self.slots[at].1.saturating_add(count),
            Err(at) => self.slots.insert(at, (index, count)),
        }
    }

    /// Slots that hold something, by rising values: the least value in microseconds, the least above, and the count.
    pub fn slots(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.slots.iter().map(|&(index, count)| {
            let k = (index / HALF).saturating_sub(1);
            let low = u64::from(index - k * HALF) << k;
            (low, low.saturating_add(1 << k), count)
        })
    }

    /// Values recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum in microseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The least and the greatest value in microseconds; `None` where nothing was recorded.
    pub fn bounds(&self) -> Option<(u64, u64)> {
        (self.count > 0).then_some((self.min, self.max))
    }

    /// The value in microseconds of rank `ceil(q * count)`; `None` where nothing was recorded or `q` is not in 0 to 1.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if self.count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut before = 0_u64;
        for &(index, count) in &self.slots {
            before = before.saturating_add(count);
            if before >= rank {
                return Some(middle(index).max(self.min).min(self.max));
            }
        }
        Some(self.max)
    }

    /// As it is written.
    pub fn to_message(&self) -> v1::Hdr {
        let mut last = 0;
        let steps = self.slots.iter().map(|&(index, _)| index - std::mem::replace(&mut last, index)).collect();
        v1::Hdr {
            precision_bits: PRECISION_BITS,
            index_steps: steps,
            counts: self.slots.iter().map(|slot| slot.1).collect(),
            sum: self.sum,
            min: self.min,
            max: self.max,
        }
    }

    /// Reads what [`Hdr::to_message`] wrote; anything else is an error, never a panic.
    pub fn from_message(message: &v1::Hdr) -> Result<Self, HdrError> {
        if message.precision_bits != PRECISION_BITS {
            return Err(HdrError::Precision(message.precision_bits));
        }
        if message.index_steps.len() != message.counts.len() || message.min > message.max {
            return Err(HdrError::Slots);
        }
        let mut hdr = Self { sum: message.sum, min: message.min, max: message.max, ..Self::default() };
        let mut last = 0_u32;
        for (at, (&step, &count)) in message.index_steps.iter().zip(&message.counts).enumerate() {
            last = last.checked_add(step).filter(|&i| i <= index(u64::MAX)).ok_or(HdrError::Slots)?;
            if count == 0 || (at > 0 && step == 0) {
                return Err(HdrError::Slots);
            }
            hdr.count = hdr.count.checked_add(count).ok_or(HdrError::Slots)?;
            hdr.slots.push((last, count));
        }
        Ok(hdr)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Hdr {
        let mut hdr = Hdr::default();
        for &value in values {
            hdr.record(value);
        }
        hdr
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_half_a_percent_of_the_exact_one(
            mut values in prop::collection::vec(0_u64..20_000_000_000, 1..400), q in 0.0..=1.0_f64,
        ) {
            let got = of(&values).quantile(q).unwrap();
            values.sort_unstable();
            let exact = values[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1];
            prop_assert!(got.abs_diff(exact) as f64 <= exact as f64 * 0.005, "{got} for {exact}");
            prop_assert!(got <= values[values.len() - 1]);
        }

        #[test]
        fn merging_is_as_recording_all_and_the_message_reads_back(
            a in prop::collection::vec(any::<u64>(), 0..100), b in prop::collection::vec(0_u64..5000, 0..100),
        ) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(&merged, &of(&[a, b].concat()));
            prop_assert_eq!(Hdr::from_message(&merged.to_message()), Ok(merged));
        }

        #[test]
        fn a_foreign_message_is_refused_or_usable(
            steps in prop::collection::vec(any::<u32>(), 0..5), counts in prop::collection::vec(any::<u64>(), 0..5),
        ) {
            let message = v1::Hdr { precision_bits: 8, index_steps: steps, counts, sum: 1, min: 0, max: u64::MAX };
            if let Ok(hdr) = Hdr::from_message(&message) {
                hdr.quantile(0.99);
            }
        }
    }
}
