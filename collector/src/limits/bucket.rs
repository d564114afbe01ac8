//! How much CPU time is left. Pure: it reads no clock.

use std::time::{Duration, Instant};

/// So much time's worth of CPU may be taken at once.
const BURST: Duration = Duration::from_millis(150);

/// What was taken beyond is paid for so long, at most: a start, or what is not held back, is not paid for ever.
const DEBT: Duration = Duration::from_secs(10);

/// CPU time of the process as tokens, which come at the rate of its limit.
#[derive(Debug)]
pub(super) struct Bucket {
    cores: f64,
    /// Seconds of CPU time that may be taken.
    room: f64,
    /// When that was reckoned.
    at: Instant,
    /// What had been taken then.
    used: Duration,
}

impl Bucket {
    /// Full; the process has used so much so far.
    pub(super) fn new(cores: f64, now: Instant, used: Duration) -> Self {
        Self { cores, room: cores * BURST.as_secs_f64(), at: now, used }
    }

    /// When there is room again, if there is none now, and the process has used so much by now.
    pub(super) fn full_until(&mut self, now: Instant, used: Duration) -> Option<Instant> {
        let came = now.saturating_duration_since(self.at).as_secs_f64() * self.cores;
        let went = used.saturating_sub(self.used).as_secs_f64();
        let worth = |time: Duration| self.cores * time.as_secs_f64();
        self.room = (self.room + came - went).clamp(-worth(DEBT), worth(BURST));
        (self.at, self.used) = (self.at.max(now), self.used.max(used));
        // A little more, so that whoever waits for it does some work then.
        let lacking = worth(BURST) / 4.0 - self.room;
        (self.room <= 0.0).then(|| now + Duration::from_secs_f64(lacking / self.cores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_works_whenever_there_is_room_takes_what_the_limit_allows() {
        let start = Instant::now();
        let mut bucket = Bucket::new(0.2, start, Duration::ZERO);
        let (mut now, mut used, mut longest) = (start, Duration::ZERO, Duration::ZERO);
        while now - start < Duration::from_mins(1) {
            if let Some(until) = bucket.full_until(now, used) {
                longest = longest.max(until - now);
                now = until;
            } else {
                // On two cores at once.
                now += Duration::from_millis(3);
                used += Duration::from_millis(6);
            }
        }
        let cores = used.as_secs_f64() / (now - start).as_secs_f64();
        assert!((0.19..0.21).contains(&cores), "{cores}");
        assert!(longest < Duration::from_millis(150), "{longest:?}");
    }

    #[test]
    fn who_did_nothing_saves_up_little_and_a_debt_is_paid_for_some_seconds_at_most() {
        let start = Instant::now();
        let mut bucket = Bucket::new(0.5, start, Duration::ZERO);
        let hour = start + Duration::from_hours(1);
        assert_eq!(bucket.full_until(hour, Duration::ZERO), None);
        assert_eq!(bucket.full_until(hour, Duration::from_millis(70)), None);
        assert!(bucket.full_until(hour, Duration::from_millis(80)).is_some());
        let until = bucket.full_until(hour, Duration::from_hours(1)).unwrap();
        assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&(until - hour)), "{:?}", until - hour);
        assert_eq!(bucket.full_until(until, Duration::from_hours(1)), None);
    }
}
