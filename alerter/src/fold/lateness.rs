//! How late calls come: how long after its end a call was received. Rules wait for so long.

use std::collections::VecDeque;
use std::time::Duration;

/// The most, and the least, that is learned. What comes later still was held back, which is waited for by its collector.
const MOST: Duration = Duration::from_secs(30);
const LEAST: Duration = Duration::from_secs(1);
/// What is looked back at, in minutes.
const MINUTES: usize = 10;
/// Fewer calls say nothing: what was in force stays.
const ENOUGH: u64 = 100;
const MINUTE: u64 = 60_000_000_000;

/// Bounds of the counts, in milliseconds; the first and the last are [`LEAST`] and [`MOST`].
const BOUNDS: [u64; 14] =
    [1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 6_000, 8_000, 10_000, 12_000, 15_000, 20_000, 25_000, 30_000];

/// How long rules wait for calls that are late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lateness {
    /// As long as 999 in a thousand calls of the last ten minutes took to come, from 1 s to 30 s.
    Learned,
    /// So long.
    Fixed(Duration),
}

/// What was seen of one partition.
#[derive(Debug)]
pub(super) struct Learner {
    lateness: Lateness,
    /// The newest last, each with its number since the epoch.
    minutes: VecDeque<(u64, [u64; BOUNDS.len()])>,
    in_force: Duration,
}

impl Learner {
    pub(super) fn new(lateness: Lateness) -> Self {
        let in_force = match lateness {
            Lateness::Learned => LEAST,
            Lateness::Fixed(fixed) => fixed,
        };
        Self { lateness, minutes: VecDeque::new(), in_force }
    }

    /// Goes on with what was in force.
    pub(super) fn restore(&mut self, nanos: u64) {
        if self.lateness == Lateness::Learned && nanos > 0 {
            self.in_force = Duration::from_nanos(nanos).clamp(LEAST, MOST);
        }
    }

    /// A call that ended at `end` came at `arrival`, both in nanoseconds since the epoch.
    pub(super) fn add(&mut self, arrival: u64, end: u64) {
        let late = arrival.saturating_sub(end).div_ceil(1_000_000);
        let bound = BOUNDS.partition_point(|bound| *bound < late);
        if bound == BOUNDS.len() {
            return;
        }
        let minute = arrival / MINUTE;
        // A record whose time is behind that of another counts with it.
        if self.minutes.back().is_none_or(|(newest, _)| *newest < minute) {
            self.minutes.push_back((minute, [0; BOUNDS.len()]));
            while self.minutes.front().is_some_and(|(oldest, _)| *oldest + (MINUTES as u64) <= minute) {
                self.minutes.pop_front();
            }
        }
        if let Some((_, counts)) = self.minutes.back_mut() {
            counts[bound] += 1;
        }
    }

    /// What is in force, in nanoseconds; learned anew where something came.
    pub(super) fn learn(&mut self) -> u64 {
        if self.lateness == Lateness::Learned {
            let mut counts = [0; BOUNDS.len()];
            for (_, of_minute) in &self.minutes {
                counts.iter_mut().zip(of_minute).for_each(|(sum, count)| *sum += count);
            }
            let all: u64 = counts.iter().sum();
            // 999 in a thousand, rounded up to whole calls.
            let (wanted, mut seen) = ((all * 999).div_ceil(1000), 0);
            let bound = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            if let Some(bound) = bound.filter(|_| all >= ENOUGH) {
                self.in_force = Duration::from_millis(BOUNDS[bound]);
            }
        }
        self.nanos()
    }

    /// What is in force, in nanoseconds.
    pub(super) fn nanos(&self) -> u64 {
        self.in_force.as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const T: u64 = 1_700_000_000 / 60 * 60 * SECOND;

    /// What is in force after so many calls each came at a second, so many milliseconds late; in milliseconds.
    fn learned(calls: &[(u64, u64, u64)]) -> Vec<u64> {
        let mut learner = Learner::new(Lateness::Learned);
        let after = |&(second, count, late): &(u64, u64, u64)| {
            let arrival = T + second * SECOND;
            (0..count).for_each(|_| learner.add(arrival, arrival - late * 1_000_000));
            learner.learn() / 1_000_000
        };
        calls.iter().map(after).collect()
    }

    #[test]
    fn given_calls_that_come_in_batches_of_five_seconds_then_so_long_is_waited() {
        let batch: Vec<_> = (0..5_000).step_by(10).map(|late| (5, 1, late + 40)).collect();
        assert_eq!(learned(&batch).last(), Some(&6_000));
    }

    #[test]
    fn given_few_calls_or_one_in_a_thousand_then_nothing_changes() {
        assert_eq!(learned(&[(0, 99, 9_000)]), [1_000]);
        assert_eq!(learned(&[(0, 1_000, 10), (0, 1, 9_000), (0, 1, 9_000)]), [1_000, 1_000, 10_000]);
    }

    #[test]
    fn given_ten_minutes_without_late_calls_then_less_is_waited_again() {
        let calls = [(0, 200, 3_900), (540, 200, 10), (599, 1, 10), (600, 1, 10)];
        assert_eq!(learned(&calls), [4_000, 4_000, 4_000, 1_000]);
    }

    #[test]
    fn given_what_an_outage_held_back_or_clocks_that_are_ahead_then_it_is_no_lateness() {
        assert_eq!(learned(&[(0, 200, 10), (300, 9_000, 60_000)]), [1_000, 1_000]);
        let mut learner = Learner::new(Lateness::Learned);
        (0..200).for_each(|_| learner.add(T, T + 500 * SECOND));
        assert_eq!(learner.learn(), SECOND);
    }

    #[test]
    fn given_a_restart_or_a_fixed_time_then_that_is_in_force() {
        let mut learner = Learner::new(Lateness::Learned);
        learner.restore(6 * SECOND);
        assert_eq!(learner.learn(), 6 * SECOND);
        let mut fixed = Learner::new(Lateness::Fixed(Duration::from_millis(200)));
        fixed.restore(6 * SECOND);
        (0..200).for_each(|_| fixed.add(T, T - 5 * SECOND));
        assert_eq!(fixed.learn(), SECOND / 5);
    }
}
