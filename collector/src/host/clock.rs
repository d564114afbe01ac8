//! How good the machine's clock is, as the kernel has it from what keeps it right: `weir.clock.*`.
//!
//! Event time is the machines' own: a clock that is off puts what happened into the wrong minute.

use crate::points::Points;

/// What the kernel says of its clock.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Clock {
    /// Whether something keeps it right.
    synchronized: bool,
    /// How far off it is taken to be, in seconds.
    offset: f64,
    /// How far off it may be at most, in seconds.
    most: f64,
}

impl Clock {
    /// From the fields of `struct timex`: the status, and the offset in micro- or nanoseconds, as the status says.
    fn of(state: libc::c_int, status: libc::c_int, offset: libc::c_long, most_micros: libc::c_long) -> Self {
        let unit = if status & libc::STA_NANO == 0 { 1e6 } else { 1e9 };
        Self {
            synchronized: status & libc::STA_UNSYNC == 0 && state != libc::TIME_ERROR,
            offset: offset as f64 / unit,
            most: most_micros as f64 / 1e6,
        }
    }
}

pub(super) fn measure(points: &mut Points) {
    let Some(clock) = read() else { return };
    points.gauge("weir.clock.synchronized", "", f64::from(u8::from(clock.synchronized)), &[]);
    points.gauge("weir.clock.offset", "s", clock.offset, &[]);
    points.gauge("weir.clock.error.limit", "s", clock.most, &[]);
}

/// Asks the kernel; needs no right, as it changes nothing.
#[allow(unsafe_code, reason = "no safe call of adjtimex is there")]
fn read() -> Option<Clock> {
    // SAFETY: all fields of `timex` are numbers, for which zeros are values; `modes` of 0 changes nothing.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is of a `timex` that lives through the call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then(|| Clock::of(state, timex.status, timex.offset, timex.maxerror))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_state_is_read_in_its_units() {
        let good = Clock::of(libc::TIME_OK, libc::STA_NANO, -2_000_000, 500_000);
        assert_eq!(good, Clock { synchronized: true, offset: -0.002, most: 0.5 });
        let in_micros = Clock::of(libc::TIME_OK, 0, 2_000, 500_000);
        assert_eq!(in_micros, Clock { synchronized: true, offset: 0.002, most: 0.5 });
        assert!(!Clock::of(libc::TIME_ERROR, 0, 0, 0).synchronized);
        assert!(!Clock::of(libc::TIME_OK, libc::STA_UNSYNC, 0, 0).synchronized);
        assert!(read().is_some());
    }
}
