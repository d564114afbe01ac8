//! How the pipeline before the rules is: without knowing it, an alert that is silent says little. Pure.

use std::time::Duration;

/// So long without a call is no data.
const QUIET: Duration = Duration::from_mins(5);

/// One of three states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipeline {
    /// Event time keeps up with the wall clock, and calls come.
    Healthy,
    /// Event time keeps up, but no call ended for five minutes: nobody calls, or nobody tells.
    NoData,
    /// Event time is behind, or not yet known: rules wait, nothing fires and nothing is resolved.
    Late,
}

impl Pipeline {
    /// From the event time up to which all calls are here, the end of the last call, and the wall clock, all in unix
    /// nanoseconds.
    pub fn of(watermark: Option<u64>, last_call: u64, now: u64, late_after: Duration) -> Self {
        let age = |time: u64| Duration::from_nanos(now.saturating_sub(time));
        match watermark {
            Some(watermark) if age(watermark) <= late_after => {
                if age(last_call) <= QUIET {
                    Self::Healthy
                } else {
                    Self::NoData
                }
            }
            _ => Self::Late,
        }
    }

    /// `healthy`, `no_data` or `late`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::NoData => "no_data",
            Self::Late => "late",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_states_are_told_apart() {
        let second = 1_000_000_000;
        let now = 1_700_000_000 * second;
        let of = |watermark, last_call| Pipeline::of(watermark, last_call, now, Duration::from_secs(30));
        assert_eq!(of(Some(now - 2 * second), now - 3 * second), Pipeline::Healthy);
        assert_eq!(of(Some(now - 2 * second), 0), Pipeline::NoData);
        assert_eq!(of(Some(now - 31 * second), now - 31 * second), Pipeline::Late);
        assert_eq!(of(None, 0), Pipeline::Late);
    }
}
