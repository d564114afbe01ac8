//! The rows of a report over time: hours, or days and months of a time zone. Pure.

use jiff::tz::TimeZone;

use super::pieces::{HOUR_SECONDS, hour_of};
use crate::quota::period::Per;

/// Most stretches of one report.
const MOST: usize = 10_000;

/// How a report is cut over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Hours of UTC.
    Hour,
    /// Days of the time zone.
    Day,
    /// Months of the time zone.
    Month,
    /// Not at all.
    Total,
}

/// Why a report cannot be cut so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// Usage is kept by the hour of UTC.
    #[error(
        "a day or month of this time zone begins in the middle of an hour of UTC, and usage is kept by whole hours: \
         use a time zone that is whole hours from UTC, or step=hour"
    )]
    Uneven,
    /// More rows than anybody reads.
    #[error("more than {MOST} hours, days or months: use a larger step, or a shorter time")]
    TooMany,
    /// Beyond what a calendar has.
    #[error("the time is out of range")]
    OutOfRange,
}

impl std::str::FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "hour" => Ok(Self::Hour),
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            "total" => Ok(Self::Total),
            other => Err(format!("`{other}` is no step: use hour, day, month or total")),
        }
    }
}

/// `[start, end)` widened to whole hours.
pub fn whole_hours(start: i64, end: i64) -> (i64, i64) {
    (hour_of(start), hour_of(end.saturating_add(HOUR_SECONDS - 1)))
}

/// The stretches of `[start, end)`, which are whole hours in unix seconds; the first and the last may be cut short.
pub fn of(start: i64, end: i64, step: Step, zone: &TimeZone) -> Result<Vec<(i64, i64)>, BucketError> {
    let mut stretches = Vec::new();
    let mut at = start;
    while at < end {
        if stretches.len() >= MOST {
            return Err(BucketError::TooMany);
        }
        let next = match step {
            Step::Total => end,
            Step::Hour => at.saturating_add(HOUR_SECONDS),
            Step::Day | Step::Month => after(at, step, zone)?,
        };
        let next = next.min(end);
        stretches.push((at, next));
        at = next;
    }
    Ok(stretches)
}

/// Start of the day or month of the zone that a time lies in.
pub fn start_of(second: i64, step: Step, zone: &TimeZone) -> Result<i64, BucketError> {
    whole(per(step).around(second, zone).start_unix)
}

/// Start of the day or month of the zone behind that.
pub fn after(second: i64, step: Step, zone: &TimeZone) -> Result<i64, BucketError> {
    let end = whole(per(step).around(second, zone).end_unix)?;
    if end > second { Ok(end) } else { Err(BucketError::OutOfRange) }
}

fn per(step: Step) -> Per {
    if step == Step::Month { Per::Month } else { Per::Day }
}

fn whole(second: i64) -> Result<i64, BucketError> {
    if hour_of(second) == second { Ok(second) } else { Err(BucketError::Uneven) }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn given_a_zone_then_days_and_months_are_its_own() {
        let zone = |name| TimeZone::get(name).unwrap();
        let lengths = |start, end, step, name| {
            let stretches = of(at(start), at(end), step, &zone(name)).unwrap();
            stretches.iter().map(|(start, end)| (end - start) / HOUR_SECONDS).collect::<Vec<_>>()
        };
        let (start, end) = ("2026-10-01T00:00:00Z", "2026-10-03T00:00:00Z");
        assert_eq!(lengths(start, end, Step::Day, "UTC"), [24, 24]);
        assert_eq!(lengths(start, end, Step::Day, "Asia/Shanghai"), [16, 24, 8]);
        assert_eq!(lengths(start, end, Step::Total, "Asia/Shanghai"), [48]);
        assert_eq!(lengths(start, end, Step::Hour, "UTC").len(), 48);
        assert_eq!(lengths("2026-09-30T16:00:00Z", "2026-10-31T16:00:00Z", Step::Month, "Asia/Shanghai"), [31 * 24]);
        // A day that has 25 hours.
        assert_eq!(lengths("2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z", Step::Day, "Europe/Berlin"), [25, 24]);
    }

    #[test]
    fn given_what_cannot_be_exact_then_it_is_refused() {
        let (start, end) = (at("2026-10-01T00:00:00Z"), at("2026-10-03T00:00:00Z"));
        let kolkata = TimeZone::get("Asia/Kolkata").unwrap();
        assert_eq!(of(start, end, Step::Day, &kolkata), Err(BucketError::Uneven));
        assert!(of(start, end, Step::Hour, &kolkata).is_ok() && of(start, end, Step::Total, &kolkata).is_ok());
        assert_eq!(of(0, end, Step::Hour, &TimeZone::UTC), Err(BucketError::TooMany));
        assert_eq!(whole_hours(start + 1, end - 1), (start, end));
        assert_eq!(whole_hours(start, end), (start, end));
    }
}
