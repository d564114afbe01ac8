//! How much memory is left. Pure: it reads no clock and no file.

use std::time::{Duration, Instant};

/// Memory in use is looked at this often while there is enough.
const LOOK: Duration = Duration::from_millis(100);

/// And this often where more is wanted than is left.
const SOON: Duration = Duration::from_millis(10);

/// Whoever is to ask again waits for so long, at least.
const STEP: Duration = Duration::from_millis(1);

/// What was seen last, and what is not seen yet.
#[derive(Debug)]
pub(super) struct Memory {
    /// So many bytes may be in use.
    mark: u64,
    seen: Option<(Instant, u64)>,
    /// What was given since.
    granted: u64,
    /// What nobody has taken yet, however long ago it was promised.
    promised: u64,
    gave_back: Option<Instant>,
}

/// Whether there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// When to ask again, if there is none.
    pub(super) full_until: Option<Instant>,
    /// What is free should be given back to the system.
    pub(super) give_back: bool,
}

impl Memory {
    /// An eighth of the limit is left free, for what is not asked for here.
    pub(super) fn new(limit: u64) -> Self {
        Self { mark: limit - limit / 8, seen: None, granted: 0, promised: 0, gave_back: None }
    }

    /// Grants so many bytes, if there is room for them.
    pub(super) fn grant(&mut self, now: Instant, bytes: u64, resident: impl FnOnce() -> u64) -> Answer {
        let within = |seen: (Instant, u64), time| now.saturating_duration_since(seen.0) < time;
        let is_full = |seen: (Instant, u64), granted| seen.1 + granted + self.promised + bytes > self.mark;
        let known = self.seen.filter(|&seen| within(seen, if is_full(seen, self.granted) { SOON } else { LOOK }));
        if known.is_none() {
            self.granted = 0;
        }
        let seen = known.unwrap_or_else(|| (now, resident()));
        self.seen = Some(seen);
        if !is_full(seen, self.granted) {
            self.granted += bytes;
            return Answer { full_until: None, give_back: false };
        }
        let give_back = self.gave_back.is_none_or(|at| now.saturating_duration_since(at) >= LOOK);
        if give_back {
            self.gave_back = Some(now);
        }
        Answer { full_until: Some((seen.0 + SOON).max(now + STEP)), give_back }
    }

    /// Promises so many bytes, if there is room for them.
    pub(super) fn promise(&mut self, now: Instant, bytes: u64, resident: impl FnOnce() -> u64) -> Answer {
        let answer = self.grant(now, bytes, resident);
        if answer.full_until.is_none() {
            self.granted -= bytes;
            self.promised += bytes;
        }
        answer
    }

    /// So many of the promised bytes are taken now, and so many never will be.
    pub(super) fn keep(&mut self, taken: u64, forgone: u64) {
        self.promised = self.promised.saturating_sub(taken + forgone);
        self.granted += taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_granted_counts_until_it_can_be_seen() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut memory = Memory::new(64);
        let mut looks = 0;
        let mut grant = |milliseconds, bytes, resident| {
            let look = || {
                looks += 1;
                resident
            };
            let answer = memory.grant(at(milliseconds), bytes, look);
            (answer.full_until, answer.give_back, looks)
        };
        // 56 may be in use.
        assert_eq!(grant(0, 20, 30), (None, false, 1));
        assert_eq!(grant(5, 6, 90), (None, false, 1));
        assert_eq!(grant(6, 1, 90), (Some(at(10)), true, 1));
        // It is looked at again: what was granted was not used.
        assert_eq!(grant(16, 1, 50), (None, false, 2));
        assert_eq!(grant(17, 6, 40), (Some(at(26)), false, 2));
        assert_eq!(grant(120, 6, 51), (Some(at(130)), true, 3));
        assert_eq!(grant(140, 0, 90), (None, false, 3));
    }

    #[test]
    fn what_was_promised_is_nobody_elses_however_long_it_takes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut memory = Memory::new(64);
        assert_eq!(memory.promise(at(0), 20, || 30).full_until, None);
        assert!(memory.grant(at(9), 7, || 30).full_until.is_some());
        memory.keep(15, 0);
        assert_eq!(memory.grant(at(10), 6, || 45).full_until, None);
        memory.keep(0, 5);
        assert_eq!(memory.grant(at(11), 11, || 45).full_until, None);
    }
}
