//! How far a partition was read, as a time. Pure: times and offsets are arguments; times are nanoseconds since the epoch.
//!
//! What was on the bus when it was asked for its end was there before that moment. So once that end is passed, all that
//! came before the moment was read, whatever times the records bear: a producer's clock may be wrong.

use std::collections::VecDeque;

/// Looks that are kept while they are ahead of what was read; half a second apart, a quarter of an hour.
const LOOKS: usize = 1800;

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// When the bus was asked, and what its end was then; both rise, and no end was passed yet.
    ahead: VecDeque<(i64, i64)>,
    passed: Option<i64>,
    /// Time of the last record that was read.
    last: Option<i64>,
}

impl Progress {
    /// A record was read, at the time `now`. One that is dated ahead of it says nothing.
    pub(super) fn read(&mut self, record: i64, now: i64) {
        if record <= now {
            self.last = Some(record);
        }
    }

    /// The bus was asked at `asked` or before, and ended at `high`; what came before the time returned was read, of
    /// all that is before `position`. As long as no end was passed since the start, it is that of the last record.
    pub(super) fn until(&mut self, asked: i64, high: i64, position: i64) -> i64 {
        if self.ahead.back().is_some_and(|&(_, end)| end > high) {
            // The topic was made anew.
            self.ahead.clear();
        }
        if self.ahead.len() >= LOOKS || self.ahead.back().is_some_and(|&(_, end)| end == high) {
            self.ahead.pop_back();
        }
        self.ahead.push_back((asked, high));
        while let Some((asked, _)) = self.ahead.pop_front_if(|(_, end)| *end <= position) {
            self.passed = Some(asked);
        }
        self.passed.or(self.last).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_passed_once_all_is_read_that_was_there_at_it() {
        let mut progress = Progress::default();
        assert_eq!(progress.until(100, 0, 0), 100);
        assert_eq!(progress.until(200, 10, 4), 100);
        assert_eq!(progress.until(300, 20, 9), 100);
        assert_eq!(progress.until(400, 20, 10), 200);
        assert_eq!(progress.until(500, 30, 20), 400);
        assert_eq!(progress.until(600, 30, 30), 600);
    }

    #[test]
    fn a_record_dated_ahead_does_not_pass_what_waits() {
        let mut progress = Progress::default();
        progress.read(50, 90);
        progress.read(1000, 91);
        assert_eq!(progress.until(100, 10, 2), 50, "behind since the start");
        assert_eq!(progress.until(200, 10, 10), 200);
        progress.read(150, 201);
        progress.read(1000, 202);
        assert_eq!(progress.until(300, 20, 12), 200, "behind again");
    }

    #[test]
    fn a_topic_made_anew_is_passed_again() {
        let mut progress = Progress::default();
        progress.until(100, 90, 0);
        assert_eq!(progress.until(200, 5, 0), 0);
        assert_eq!(progress.until(300, 5, 5), 300);
    }

    #[test]
    fn looks_are_bounded_and_what_is_kept_of_them_still_holds() {
        let mut progress = Progress::default();
        for look in 1..=2 * LOOKS as i64 {
            progress.until(look, look, 0);
        }
        assert_eq!(progress.ahead.len(), LOOKS);
        let end = 2 * LOOKS as i64;
        assert_eq!(progress.until(end + 1, end, LOOKS as i64), LOOKS as i64 - 1);
        assert_eq!(progress.until(end + 2, end, end), end + 2);
    }
}
