//! When the watermarks of quiet partitions may be carried on. Pure: the times are arguments.
//!
//! Nobody reads event time more precisely than rules are evaluated while there is something to evaluate: twice a second
//! while calls come anywhere, and at the first call after a rest at once, since the least watermark of all partitions
//! is what rules wait for. In a rest a second, later five, is near enough: an alert that ends because nobody calls any
//! more may end so much later, and usage closes its hours by the same watermark.

use std::time::Duration;

use tokio::time::Instant;

/// No watermark is carried on for so long after partitions were taken over, or the loop was held up a little…
const SETTLE: Duration = Duration::from_secs(3);
/// …or after the bus did not answer, or this program did not run: what was held back comes first.
const HELD: Duration = Duration::from_secs(10);
/// A turn of the loop takes a tenth of this.
const STALL: Duration = Duration::from_secs(1);
/// The bus is away when it takes longer to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How often watermarks are carried on while calls come…
pub(super) const QUIET: Duration = Duration::from_millis(500);
/// …when none came for so long, …
const RESTING: Duration = Duration::from_secs(5);
const AT_REST: Duration = Duration::from_secs(1);
/// …and when none came for longer.
const ASLEEP: Duration = Duration::from_mins(1);
const IN_SLEEP: Duration = Duration::from_secs(5);

/// The pace of idle watermarks.
#[derive(Debug)]
pub(super) struct Idle {
    /// When the loop last ran, by the clock that may stop with the machine, and by the wall clock in nanoseconds.
    ran: (Instant, u64),
    came: Instant,
    next: Instant,
    not_before: Instant,
}

impl Idle {
    pub(super) fn new(now: Instant, wall_nano: u64) -> Self {
        Self { ran: (now, wall_nano), came: now, next: now, not_before: now + SETTLE }
    }

    /// The loop runs. Where it did not run since the last time, because the bus did not answer, the process was stopped
    /// or the whole machine was, other parts of the program did not run either: what waits at their doors comes first.
    pub(super) fn turn(&mut self, now: Instant, wall_nano: u64) {
        let stood = now.duration_since(self.ran.0).max(Duration::from_nanos(wall_nano.saturating_sub(self.ran.1)));
        self.ran = (now, wall_nano);
        if stood > STALL {
            self.hold(now, if stood > PATIENCE { HELD } else { SETTLE });
        }
    }

    /// The loop was busy on purpose with partitions that it took over.
    pub(super) fn settle(&mut self, now: Instant, wall_nano: u64) {
        self.ran = (now, wall_nano);
        self.came = now;
        self.hold(now, SETTLE);
    }

    /// The bus did not answer.
    pub(super) fn away(&mut self, now: Instant) {
        self.hold(now, HELD);
    }

    fn hold(&mut self, now: Instant, pause: Duration) {
        self.not_before = self.not_before.max(now + pause);
    }

    /// Calls came, here or at another member of the group.
    pub(super) fn came(&mut self, now: Instant) {
        if now.duration_since(self.came) > RESTING {
            self.next = now;
        }
        self.came = now;
    }

    /// Whether watermarks are to be carried on now.
    pub(super) fn due(&self, now: Instant) -> bool {
        now >= self.next.max(self.not_before)
    }

    /// They were.
    pub(super) fn done(&mut self, now: Instant) {
        let rest = now.duration_since(self.came);
        let pause = if rest <= RESTING {
            QUIET
        } else if rest <= ASLEEP {
            AT_REST
        } else {
            IN_SLEEP
        };
        self.next = now + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_millis(100);

    struct Clock {
        now: Instant,
        wall: u64,
        idle: Idle,
    }

    impl Clock {
        fn new() -> Self {
            let (now, wall) = (Instant::now(), 1_700_000_000_000_000_000);
            Self { now, wall, idle: Idle::new(now, wall) }
        }

        /// The machine and the wall clock go on; then the loop runs.
        fn pass(&mut self, machine: Duration, wall: Duration) {
            self.now += machine;
            self.wall += wall.as_nanos() as u64;
            self.idle.turn(self.now, self.wall);
        }

        /// How often watermarks are carried on in this time.
        fn count(&mut self, seconds: u64) -> usize {
            let turns = seconds * 1000 / TURN.as_millis() as u64;
            let mut times = 0;
            for _ in 0..turns {
                self.pass(TURN, TURN);
                if self.idle.due(self.now) {
                    self.idle.done(self.now);
                    times += 1;
                }
            }
            times
        }
    }

    #[test]
    fn watermarks_go_on_less_often_in_a_rest_and_at_once_when_calls_come() {
        let mut clock = Clock::new();
        assert_eq!(clock.count(2), 0, "what was there before is read first");
        assert!((5..=7).contains(&clock.count(3)));
        clock.count(60);
        assert_eq!(clock.count(600), 120);
        clock.pass(TURN, TURN);
        assert!(!clock.idle.due(clock.now));
        clock.idle.came(clock.now);
        assert!(clock.idle.due(clock.now));
        assert!((9..=11).contains(&clock.count(5)));
    }

    #[test]
    fn after_the_process_or_the_machine_stood_still_what_waits_comes_first() {
        let minute = Duration::from_mins(1);
        // A stopped process; a paused machine, whose own clock stood still as well.
        for machine in [minute, TURN] {
            let mut clock = Clock::new();
            clock.count(10);
            clock.pass(machine, minute);
            assert_eq!(clock.count(9), 0, "{machine:?}");
            assert!(clock.count(3) > 0, "{machine:?}");
        }
        let mut clock = Clock::new();
        clock.count(10);
        clock.pass(Duration::from_millis(1500), Duration::from_millis(1500));
        assert_eq!(clock.count(2), 0);
        assert!(clock.count(2) > 0);
    }
}
