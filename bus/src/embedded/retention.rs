//! Which records have lived long enough. Pure.
//!
//! A partition is cut into runs of about 1 MiB (stored) or a minute, whichever is shorter; a [`Mark`] tells where each
//! begins. Retention takes whole runs: a record goes when all of its run is older than the limit, and a partition
//! holds at most the limit in bytes, except that its newest run always stays.

use std::collections::VecDeque;

use super::codec::meta::{End, Mark, Topic};

const RUN_BYTES: u64 = 1 << 20;
const RUN_MS: i64 = 60_000;

/// The marks of what is left of one partition, oldest first.
#[derive(Debug, Default)]
pub(super) struct Marks(VecDeque<Mark>);

impl Marks {
    pub(super) fn new(marks: impl IntoIterator<Item = Mark>) -> Self {
        Self(marks.into_iter().collect())
    }

    /// Says that the record at `end.next` is about to be written; gives the mark to be kept if it begins a run.
    pub(super) fn append(&mut self, end: &End, now_ms: i64) -> Option<Mark> {
        let begins = self.0.back().is_none_or(|last| {
            end.bytes.saturating_sub(last.bytes) >= RUN_BYTES || now_ms.saturating_sub(last.appended_ms) >= RUN_MS
        });
        let mark = Mark { offset: end.next, appended_ms: now_ms, bytes: end.bytes };
        begins.then(|| {
            self.0.push_back(mark);
            mark
        })
    }

    /// The first offset that stays.
    pub(super) fn low(&self, end: &End, topic: &Topic, now_ms: i64) -> i64 {
        let mut low = end.low;
        for (i, mark) in self.0.iter().enumerate() {
            let next = self.0.get(i + 1);
            let last_ms = next.map_or(end.appended_ms, |next| next.appended_ms);
            let old = topic
                .retention_ms
                .is_some_and(|limit| now_ms.saturating_sub(last_ms) > i64::try_from(limit).unwrap_or(i64::MAX));
            let over = next.is_some()
                && topic.retention_bytes.is_some_and(|limit| end.bytes.saturating_sub(mark.bytes) > limit);
            if !old && !over {
                break;
            }
            low = low.max(next.map_or(end.next, |next| next.offset));
        }
        low
    }

    /// Forgets the runs before `low`, and gives their offsets.
    pub(super) fn forget(&mut self, low: i64, end: &End) -> Vec<i64> {
        let mut gone = Vec::new();
        while let Some(first) = self.0.front() {
            if self.0.get(1).map_or(end.next, |next| next.offset) > low {
                break;
            }
            gone.push(first.offset);
            self.0.pop_front();
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(retention_ms: Option<u64>, retention_bytes: Option<u64>) -> Topic {
        Topic { id: 0, partitions: 1, retention_ms, retention_bytes, max_message_bytes: None }
    }

    /// Ten records of 512 KiB, one second apart: five runs.
    fn filled() -> (Marks, End) {
        let (mut marks, mut end) = (Marks::default(), End::default());
        for second in 0..10 {
            marks.append(&end, second * 1000);
            end = End { next: end.next + 1, bytes: end.bytes + RUN_BYTES / 2, appended_ms: second * 1000, ..end };
        }
        assert_eq!(marks.0.len(), 5);
        (marks, end)
    }

    #[test]
    fn without_limits_everything_stays() {
        let (marks, end) = filled();
        assert_eq!(marks.low(&end, &topic(None, None), i64::MAX), 0);
    }

    #[test]
    fn old_runs_go_and_an_idle_partition_empties() {
        let (marks, end) = filled();
        // At 10.5 s with 5 s: the run of seconds 4 and 5 ends where the next begins, at 6 s.
        assert_eq!(marks.low(&end, &topic(Some(5_000), None), 10_500), 4);
        assert_eq!(marks.low(&end, &topic(Some(5_000), None), 20_000), 10);
    }

    #[test]
    fn the_oldest_runs_go_by_size_and_the_newest_stays() {
        let (mut marks, mut end) = filled();
        assert_eq!(marks.low(&end, &topic(None, Some(2 * RUN_BYTES)), 0), 6);
        assert_eq!(marks.low(&end, &topic(None, Some(0)), 0), 8);
        end.low = 6;
        assert_eq!(marks.forget(6, &end), [0, 2, 4]);
        assert_eq!(marks.low(&end, &topic(None, Some(2 * RUN_BYTES)), 0), 6);
        assert_eq!(marks.forget(10, &end), [6, 8]);
    }
}
