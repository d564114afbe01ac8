//! Partitions of metrics that no collector of weir writes to: others' collectors do, and say nothing of how far they
//! are. Rules wait for what lies there and was not read, as for such partitions of spans. Pure: times are arguments.

use std::collections::BTreeMap;

use crate::fold::task::ON_ITS_WAY;

/// A partition to which nothing came for so long is not waited for.
const ACTIVE_MS: i64 = 5 * 60_000;

/// By number; times are of the wall clock, in unix milliseconds.
#[derive(Debug, Default)]
pub(super) struct Foreign(BTreeMap<i32, Place>);

#[derive(Debug)]
struct Place {
    /// When the newest record that was read was written.
    written_ms: i64,
    /// What was written until then has been read.
    read_ms: i64,
}

impl Foreign {
    /// A record that was written then has been read.
    pub(super) fn came(&mut self, partition: i32, written_ms: i64, wall_ms: i64) {
        let written_ms = written_ms.min(wall_ms);
        let place = self.0.entry(partition).or_insert(Place { written_ms, read_ms: written_ms });
        place.written_ms = place.written_ms.max(written_ms);
        place.read_ms = place.read_ms.max(written_ms);
    }

    /// All that lay there at this time has been read.
    pub(super) fn read(&mut self, partition: i32, wall_ms: i64) {
        if let Some(place) = self.0.get_mut(&partition) {
            place.read_ms = place.read_ms.max(wall_ms);
        }
    }

    /// Behind the last partition of which something was read.
    pub(super) fn end(&self) -> i32 {
        self.0.last_key_value().map_or(0, |(partition, _)| partition.saturating_add(1))
    }

    /// Those of these partitions that are waited for.
    pub(super) fn active(&self, of: &[i32], wall_ms: i64) -> Vec<i32> {
        let is_active = |partition: &&i32| self.0.get(partition).is_some_and(|place| place.is_active(wall_ms));
        of.iter().filter(is_active).copied().collect()
    }

    /// Event time in unix nanoseconds up to which everything of these partitions has been read; `None` where none of
    /// them is waited for.
    pub(super) fn complete(&self, of: &[i32], wall_ms: i64) -> Option<u64> {
        let places = of.iter().filter_map(|partition| self.0.get(partition)).filter(|place| place.is_active(wall_ms));
        let least = places.map(|place| place.read_ms).min()?;
        let complete = u64::try_from(least).unwrap_or(0).saturating_mul(1_000_000);
        Some(complete.saturating_sub(ON_ITS_WAY.as_nanos() as u64))
    }
}

impl Place {
    fn is_active(&self, wall_ms: i64) -> bool {
        wall_ms.saturating_sub(self.written_ms) < ACTIVE_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_records_that_wait_then_event_time_is_that_of_the_last_one_read_and_goes_on_when_all_was() {
        let mut foreign = Foreign::default();
        let complete =
            |foreign: &Foreign, of: &[i32], wall_ms| foreign.complete(of, wall_ms).map(|nano| nano / 1_000_000);
        assert_eq!((foreign.end(), foreign.complete(&[0, 1], 0)), (0, None));
        foreign.came(1, 100_000, 160_000);
        assert_eq!((foreign.end(), complete(&foreign, &[0, 1], 160_000)), (2, Some(99_500)));
        assert_eq!(complete(&foreign, &[0], 160_000), None, "a collector of weir writes to it");
        foreign.read(1, 161_000);
        foreign.came(1, 200_000, 162_000);
        assert_eq!(complete(&foreign, &[1], 162_000), Some(161_500), "what is of the future is of now");
        assert_eq!(foreign.active(&[0, 1], 162_000), [1]);
        assert_eq!(foreign.active(&[0, 1], 162_000 + ACTIVE_MS), [] as [i32; 0]);
        assert_eq!(foreign.complete(&[1], 162_000 + ACTIVE_MS), None, "nothing came for long");
    }
}
