//! How far a receiver has everything. The decisions are pure; the file is written by the sender.

use serde::{Deserialize, Serialize};

/// Up to where everything was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Event time in unix milliseconds.
    pub(super) sent_ms: i64,
    /// The window behind it, of which a part was taken.
    pub(super) open: Option<Open>,
}

/// A window that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    /// Its end in unix milliseconds.
    pub(super) until_ms: i64,
    /// Series with keys up to this one were taken.
    pub(super) through_key: u64,
}

/// What is to be sent next: all of `(after_ms, until_ms]`, of series with keys behind `through_key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) after_ms: i64,
    pub(super) until_ms: i64,
    pub(super) through_key: Option<u64>,
}

impl Position {
    /// A receiver that is new gets what comes from now on.
    pub(super) fn new(complete_ms: i64, step_ms: i64) -> Self {
        Self { sent_ms: complete_ms.div_euclid(step_ms).saturating_mul(step_ms), open: None }
    }

    /// The next window that is complete, as windows end at the multiples of `step_ms`.
    pub(super) fn next(&self, complete_ms: i64, step_ms: i64) -> Option<Window> {
        let step = self.sent_ms.div_euclid(step_ms).saturating_add(1).saturating_mul(step_ms);
        let until_ms = self.open.map_or(step, |open| open.until_ms);
        let through_key = self.open.map(|open| open.through_key);
        (until_ms <= complete_ms).then_some(Window { after_ms: self.sent_ms, until_ms, through_key })
    }

    /// Passes over what is not there any more, and says how many milliseconds of event time that is.
    pub(super) fn pass(&mut self, oldest_ms: i64, step_ms: i64) -> i64 {
        if self.sent_ms >= oldest_ms {
            return 0;
        }
        let steps = oldest_ms.saturating_add(step_ms - 1).div_euclid(step_ms);
        let passed = steps.saturating_mul(step_ms);
        let lost = passed.saturating_sub(self.sent_ms);
        *self = Self { sent_ms: passed, open: None };
        lost
    }

    /// Series up to this key were taken of a window.
    pub(super) fn took(&mut self, window: &Window, through_key: u64) {
        self.open = Some(Open { until_ms: window.until_ms, through_key });
    }

    /// All of a window was taken.
    pub(super) fn took_all(&mut self, window: &Window) {
        *self = Self { sent_ms: window.until_ms, open: None };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_each_other_and_one_that_was_begun_goes_on_behind_what_was_taken() {
        let mut position = Position::new(12_300, 5000);
        assert_eq!(position.next(14_999, 5000), None);
        let first = position.next(27_000, 5000).unwrap();
        assert_eq!(first, Window { after_ms: 10_000, until_ms: 15_000, through_key: None });
        position.took(&first, 7);
        let json = serde_json::to_string(&position).unwrap();
        let mut position: Position = serde_json::from_str(&json).unwrap();
        // Another length counts from the next window on.
        let rest = position.next(27_000, 2000).unwrap();
        assert_eq!(rest, Window { through_key: Some(7), ..first });
        position.took_all(&rest);
        let next = position.next(27_000, 2000).unwrap();
        assert_eq!(next, Window { after_ms: 15_000, until_ms: 16_000, through_key: None });
        assert_eq!(position.next(15_000, 2000), None, "event time fell behind it");
    }

    #[test]
    fn what_is_older_than_the_history_is_lost_and_said_to_be() {
        let mut position = Position { sent_ms: 10_000, open: Some(Open { until_ms: 15_000, through_key: 3 }) };
        assert_eq!(position.pass(10_000, 5000), 0);
        assert!(position.open.is_some());
        assert_eq!(position.pass(31_000, 5000), 25_000);
        assert_eq!(position, Position { sent_ms: 35_000, open: None });
    }
}
