//! Intervals of time, fixed or of the calendar, in a time zone.

use jiff::civil::{Date, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan, ZonedDateTime};

/// Nanoseconds of a millisecond.
pub(crate) const MILLI: i64 = 1_000_000;

/// An interval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// So many nanoseconds, at least one millisecond.
    Fixed(i64),
    Calendar(Unit),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// How times are put into buckets.
#[derive(Debug, Clone)]
pub(crate) struct Rounding {
    pub(crate) step: Step,
    pub(crate) zone: TimeZone,
    /// Nanoseconds by which buckets begin later.
    pub(crate) offset: i64,
}

/// Nanoseconds of `30s`, `1h`, `-4d`; `ms`, `s`, `m`, `h`, `d`, and `w` for offsets.
pub(crate) fn fixed(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    let count: i64 = digits[..end].parse().ok()?;
    let unit = match &digits[end..] {
        "ms" => MILLI,
        "s" => 1000 * MILLI,
        "m" => 60_000 * MILLI,
        "h" => 3_600_000 * MILLI,
        "d" => 86_400_000 * MILLI,
        "w" => 7 * 86_400_000 * MILLI,
        _ => return None,
    };
    count.checked_mul(if text.starts_with('-') { -unit } else { unit })
}

/// `1d`, `day`, `1M` and their like.
pub(crate) fn calendar(text: &str) -> Option<Unit> {
    Some(match text {
        "minute" | "1m" => Unit::Minute,
        "hour" | "1h" => Unit::Hour,
        "day" | "1d" => Unit::Day,
        "week" | "1w" => Unit::Week,
        "month" | "1M" => Unit::Month,
        "quarter" | "1q" => Unit::Quarter,
        "year" | "1y" => Unit::Year,
        _ => return None,
    })
}

/// `UTC`, `+08:00`, `Asia/Shanghai`.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    if matches!(name, "UTC" | "Z" | "utc" | "GMT") {
        return Some(TimeZone::UTC);
    }
    if let Some(rest) = name.strip_prefix(['+', '-']) {
        let (hours, minutes) = rest.split_once(':').unwrap_or((rest.get(..2)?, rest.get(2..)?));
        let minutes = if minutes.is_empty() { 0 } else { minutes.parse::<i32>().ok()? };
        let seconds = hours.parse::<i32>().ok()?.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?;
        return Some(TimeZone::fixed(
            Offset::from_seconds(if name.starts_with('-') { -seconds } else { seconds }).ok()?,
        ));
    }
    TimeZone::get(name).ok()
}

impl Rounding {
    /// The start of the bucket that a time lies in.
    pub(crate) fn floor(&self, nanos: i64) -> i64 {
        let time = nanos.saturating_sub(self.offset);
        let floor = match self.step {
            Step::Fixed(step) => {
                let shift = self.shift(time);
                let local = time.saturating_add(shift);
                let start = local.saturating_sub(local.rem_euclid(step));
                let candidate = start.saturating_sub(shift);
                // The clock may have been put on or back since then.
                if step < 3_600_000 * MILLI || self.shift(candidate) == shift {
                    candidate
                } else {
                    self.instant(start).unwrap_or(candidate).min(time)
                }
            }
            Step::Calendar(unit) => self.floor_calendar(time, unit).unwrap_or(time),
        };
        floor.saturating_add(self.offset)
    }

    /// The start of the bucket behind one.
    pub(crate) fn next(&self, start: i64) -> i64 {
        match self.step {
            Step::Fixed(step) => {
                let next = start.saturating_add(step);
                let change =
                    self.shift(start.saturating_sub(self.offset)) - self.shift(next.saturating_sub(self.offset));
                let floor = if change == 0 { next } else { self.floor(next) };
                // A day whose clock is put back is longer than its step.
                if floor > start { floor } else { next.saturating_add(change.max(0)) }
            }
            Step::Calendar(unit) => self.next_calendar(start.saturating_sub(self.offset), unit).map_or_else(
                || start.saturating_add(86_400_000 * MILLI),
                |next| next.saturating_add(self.offset).max(start.saturating_add(1)),
            ),
        }
    }

    /// Nanoseconds by which the zone is ahead of UTC.
    fn shift(&self, time: i64) -> i64 {
        Timestamp::from_nanosecond(time.into())
            .map_or(0, |time| i64::from(self.zone.to_offset(time).seconds()) * 1000 * MILLI)
    }

    /// The instant at which the zone's clock shows this, in nanoseconds of it.
    fn instant(&self, shown: i64) -> Option<i64> {
        let shown = TimeZone::UTC.to_datetime(Timestamp::from_nanosecond(shown.into()).ok()?);
        i64::try_from(self.zone.to_timestamp(shown).ok()?.as_nanosecond()).ok()
    }

    fn local(&self, time: i64) -> Option<ZonedDateTime> {
        Some(ZonedDateTime::new(Timestamp::from_nanosecond(time.into()).ok()?, self.zone.clone()))
    }

    fn floor_calendar(&self, time: i64, unit: Unit) -> Option<i64> {
        if let Unit::Minute | Unit::Hour = unit {
            let step = if unit == Unit::Minute { 60_000 * MILLI } else { 3_600_000 * MILLI };
            let local = time.checked_add(self.shift(time))?;
            return time.checked_sub(local.rem_euclid(step));
        }
        self.start_of(first(self.local(time)?.date(), unit)?)
    }

    fn next_calendar(&self, start: i64, unit: Unit) -> Option<i64> {
        let date = self.local(start)?.date();
        let next = match unit {
            Unit::Minute => return start.checked_add(60_000 * MILLI),
            Unit::Hour => return start.checked_add(3_600_000 * MILLI),
            Unit::Day => date.checked_add(1.day()),
            Unit::Week => date.checked_add(1.week()),
            Unit::Month => date.checked_add(1.month()),
            Unit::Quarter => date.checked_add(3.months()),
            Unit::Year => date.checked_add(1.year()),
        };
        self.start_of(next.ok()?)
    }

    fn start_of(&self, date: Date) -> Option<i64> {
        i64::try_from(self.zone.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_nanosecond()).ok()
    }
}

/// The first day of the unit that a day lies in.
fn first(date: Date, unit: Unit) -> Option<Date> {
    match unit {
        Unit::Minute | Unit::Hour | Unit::Day => Some(date),
        Unit::Week => date.checked_sub(i64::from(date.weekday().since(Weekday::Monday)).days()).ok(),
        Unit::Month => Some(date.first_of_month()),
        Unit::Quarter => Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1).ok(),
        Unit::Year => Some(date.first_of_year()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        weir_service::elastic::date(text).unwrap()
    }

    #[test]
    fn buckets_begin_where_the_calendar_of_the_zone_says() {
        let shanghai = zone("Asia/Shanghai").unwrap();
        for (step, zone, offset, time, floor, next) in [
            (
                Step::Fixed(fixed("30s").unwrap()),
                TimeZone::UTC,
                0,
                "2026-01-01T00:00:59Z",
                "2026-01-01T00:00:30Z",
                "2026-01-01T00:01:00Z",
            ),
            (
                Step::Fixed(fixed("30d").unwrap()),
                TimeZone::UTC,
                fixed("-4d").unwrap(),
                "2015-01-11T12:00:00Z",
                "2015-01-01",
                "2015-01-31",
            ),
            (
                Step::Fixed(fixed("1d").unwrap()),
                shanghai.clone(),
                0,
                "2026-01-01T17:00:00Z",
                "2026-01-01T16:00:00Z",
                "2026-01-02T16:00:00Z",
            ),
            (
                Step::Calendar(Unit::Day),
                shanghai.clone(),
                0,
                "2026-01-01T15:59:00Z",
                "2025-12-31T16:00:00Z",
                "2026-01-01T16:00:00Z",
            ),
            // A day of 25 hours, and one of 23.
            (
                Step::Fixed(fixed("1d").unwrap()),
                zone("Europe/Berlin").unwrap(),
                0,
                "2026-10-25T22:30:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                Step::Fixed(fixed("1d").unwrap()),
                zone("Europe/Berlin").unwrap(),
                0,
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            // An hour of the clock that is there twice.
            (
                Step::Fixed(fixed("2h").unwrap()),
                zone("Europe/Berlin").unwrap(),
                0,
                "2026-10-25T00:30:00Z",
                "2026-10-25T00:00:00Z",
                "2026-10-25T01:00:00Z",
            ),
            (Step::Calendar(Unit::Week), TimeZone::UTC, 0, "2026-01-01", "2025-12-29", "2026-01-05"),
            (Step::Calendar(Unit::Month), TimeZone::UTC, 0, "2026-02-14", "2026-02-01", "2026-03-01"),
            (Step::Calendar(Unit::Quarter), TimeZone::UTC, 0, "2026-06-30", "2026-04-01", "2026-07-01"),
            (Step::Calendar(Unit::Year), TimeZone::UTC, 0, "1969-06-30", "1969-01-01", "1970-01-01"),
            (
                Step::Calendar(Unit::Hour),
                zone("+05:30").unwrap(),
                0,
                "2026-01-01T00:45:00Z",
                "2026-01-01T00:30:00Z",
                "2026-01-01T01:30:00Z",
            ),
        ] {
            let rounding = Rounding { step, zone, offset };
            assert_eq!(
                (rounding.floor(at(time)), rounding.next(at(floor))),
                (at(floor), at(next)),
                "{rounding:?} {time}"
            );
        }
    }
}
