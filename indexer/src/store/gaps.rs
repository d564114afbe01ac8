//! What was on the bus, or may have been, and is not in the store: so that answers can say so.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Most gaps that are remembered; the oldest are forgotten first.
const MOST: usize = 1000;

/// Records of one partition that were never read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Partition of the topic.
    pub partition: i32,
    /// Offset at which reading would have gone on.
    pub from: i64,
    /// Offset at which it went on.
    pub to: i64,
    /// Time of the last record before it, in milliseconds since the epoch; `None` where nothing is known of it.
    pub after_ms: Option<i64>,
    /// Time of the first record behind it; `None` as long as there is none.
    pub before_ms: Option<i64>,
}

/// Why records were not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The bus dropped them before, by its retention.
    Dropped,
    /// The topic was removed and made anew: its offsets began again, and what it held last is not known.
    Remade,
}

impl Gap {
    /// Why there is a gap.
    pub fn reason(&self) -> Reason {
        if self.to > self.from { Reason::Dropped } else { Reason::Remade }
    }

    /// How many records are missing; `None` where nobody knows.
    pub fn records(&self) -> Option<u64> {
        match self.reason() {
            Reason::Dropped => Some(self.to.abs_diff(self.from)),
            Reason::Remade => None,
        }
    }

    fn ends_with(&self, partition: i32, offset: i64) -> bool {
        self.before_ms.is_none() && self.partition == partition && offset >= self.to
    }

    /// Whether records that arrived in `[start, end)` (nanoseconds since the epoch) may be missing.
    pub fn meets(&self, start: i64, end: i64) -> bool {
        let nanos = |ms: i64| ms.saturating_mul(1_000_000);
        self.after_ms.is_none_or(|after| nanos(after) < end)
            && self.before_ms.is_none_or(|before| nanos(before) >= start)
    }
}

/// The gaps of a store, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Gaps(VecDeque<Gap>);

impl Gaps {
    /// One that begins where one begins that has no end yet is the same, seen again.
    pub(super) fn add(&mut self, gap: Gap) {
        let same =
            |known: &Gap| known.before_ms.is_none() && (known.partition, known.from) == (gap.partition, gap.from);
        self.0.retain(|known| !same(known));
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(gap);
    }

    /// Whether a record ends a gap.
    pub(super) fn waits(&self, partition: i32, offset: i64) -> bool {
        self.0.iter().any(|gap| gap.ends_with(partition, offset))
    }

    /// A record was read.
    pub(super) fn passed(&mut self, partition: i32, offset: i64, time_ms: i64) {
        for gap in self.0.iter_mut().filter(|gap| gap.ends_with(partition, offset)) {
            gap.before_ms = Some(time_ms);
        }
    }

    /// Forgets what ended before `time_ms`: no line of that time is kept.
    pub(super) fn forget(&mut self, time_ms: i64) {
        self.0.retain(|gap| gap.before_ms.is_none_or(|before| before >= time_ms));
    }

    /// Those in which records that arrived in `[start, end)` may be missing.
    pub(super) fn within(&self, start: i64, end: i64) -> Vec<Gap> {
        self.0.iter().filter(|gap| gap.meets(start, end)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn gap(from: i64, to: i64, after_ms: i64) -> Gap {
        Gap { partition: 0, from, to, after_ms: Some(after_ms), before_ms: None }
    }

    #[test]
    fn a_gap_ends_with_the_first_record_behind_it() {
        let mut gaps = Gaps::default();
        gaps.add(gap(10, 20, 100));
        assert_eq!(gaps.within(500 * MS, 600 * MS).len(), 1, "nothing came since");
        gaps.add(gap(10, 20, 100));
        assert_eq!(gaps.within(500 * MS, 600 * MS).len(), 1, "seen twice, as after a crash");
        gaps.passed(1, 30, 150);
        gaps.passed(0, 9, 120);
        gaps.passed(0, 20, 200);
        gaps.passed(0, 21, 300);
        let found = gaps.within(150 * MS, 160 * MS);
        assert_eq!((found[0].before_ms, found[0].records(), found[0].reason()), (Some(200), Some(10), Reason::Dropped));
        assert!(gaps.within(201 * MS, i64::MAX).is_empty() && gaps.within(i64::MIN, 100 * MS).is_empty());
        gaps.forget(200);
        assert_eq!(gaps.within(i64::MIN, i64::MAX).len(), 1);
        gaps.forget(201);
        assert_eq!(gaps, Gaps::default());
    }

    #[test]
    fn a_topic_made_anew_is_a_gap_of_unknown_size() {
        let mut gaps = Gaps::default();
        gaps.add(gap(10, 0, 100));
        gaps.passed(0, 0, 150);
        let found = gaps.within(i64::MIN, i64::MAX);
        assert_eq!((found[0].before_ms, found[0].records(), found[0].reason()), (Some(150), None, Reason::Remade));
    }

    #[test]
    fn the_newest_gaps_are_kept() {
        let mut gaps = Gaps::default();
        (0..2000).for_each(|n| gaps.add(gap(10 * n, 10 * n + 1, n)));
        let kept = gaps.within(i64::MIN, i64::MAX);
        assert_eq!((kept.len(), kept[0].from), (MOST, 10_000));
    }
}
