//! Durations recorded one after the other, on their way into a message.

use weir_proto::v1;

use crate::hdr::{PRECISION_BITS, index};

/// More are counted by slot: these take as much room as the slots of a usual spread of durations.
const FEW: usize = 512;

/// What a [`crate::Hdr`] of the same values would be, where recording has to be fast: few values are kept as they come,
/// many as an array of counts.
#[derive(Debug, Default)]
pub struct Recorder {
    cells: Cells,
    sum: u64,
    min: u64,
    max: u64,
}

#[derive(Debug)]
enum Cells {
    /// The slots of the values, in the order in which they came.
    Few(Vec<u32>),
    /// Counts by slot.
    Many(Vec<u64>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Recorder {
    /// Adds one value in microseconds.
    pub fn record(&mut self, value: u64) {
        let is_first = matches!(&self.cells, Cells::Few(slots) if slots.is_empty());
        self.min = if is_first { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.sum = self.sum.saturating_add(value);
        let slot = index(value);
        match &mut self.cells {
            Cells::Few(slots) if slots.len() < FEW => slots.push(slot),
            Cells::Few(slots) => {
                let mut counts = Vec::new();
                slots.drain(..).chain([slot]).for_each(|slot| count(&mut counts, slot));
                self.cells = Cells::Many(counts);
            }
            Cells::Many(counts) => count(counts, slot),
        }
    }

    /// As it is written.
    pub fn into_message(self) -> v1::Hdr {
        let (index_steps, counts) = match self.cells {
            Cells::Few(mut slots) => {
                slots.sort_unstable();
                let runs = || slots.chunk_by(|one, other| one == other);
                (steps(runs().map(|run| run[0])), runs().map(|run| run.len() as u64).collect())
            }
            Cells::Many(counts) => {
                let taken = || (0_u32..).zip(&counts).filter(|(_, count)| **count > 0);
                (steps(taken().map(|(slot, _)| slot)), taken().map(|(_, count)| *count).collect())
            }
        };
        v1::Hdr { precision_bits: PRECISION_BITS, index_steps, counts, sum: self.sum, min: self.min, max: self.max }
    }
}

fn count(counts: &mut Vec<u64>, slot: u32) {
    let slot = slot as usize;
    if slot >= counts.len() {
        counts.resize(slot + 1, 0);
    }
    counts[slot] += 1;
}

fn steps(slots: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut last = 0;
    slots.map(|slot| slot - std::mem::replace(&mut last, slot)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Hdr;

    proptest! {
        #[test]
        fn given_few_values_or_many_then_the_message_is_that_of_a_histogram_of_them(
            values in prop::collection::vec(any::<u64>(), 0..20), spread in 0..40_u32, times in 1..100_usize,
        ) {
            let (mut recorder, mut hdr) = (Recorder::default(), Hdr::default());
            for value in values.iter().cycle().take(values.len() * times).map(|value| value >> spread) {
                recorder.record(value);
                hdr.record(value);
            }
            prop_assert_eq!(recorder.into_message(), hdr.to_message());
        }
    }
}
