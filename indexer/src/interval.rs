//! Buckets of a histogram: stretches of time of one length, in UTC or as the clock of a time zone has them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const DAY: i64 = 86_400_000_000_000;

/// How time is cut into buckets; each time lies in one.
#[derive(Debug, Clone)]
pub struct Interval {
    nanos: i64,
    zone: Option<TimeZone>,
    /// A stretch of time with one offset from UTC, which was asked for last: from, to (exclusive), nanoseconds.
    offset: (i64, i64, i64),
}

impl Interval {
    /// Of so many nanoseconds, counted from the epoch; at least one.
    pub fn of(nanos: i64) -> Self {
        Self { nanos: nanos.max(1), zone: None, offset: (0, 0, 0) }
    }

    /// The same by the clock of a zone: days begin at its midnight, however long they are, and hours where its hours do.
    #[must_use]
    pub fn in_zone(self, zone: TimeZone) -> Self {
        Self { zone: Some(zone), offset: (0, 0, 0), ..self }
    }

    /// Nanoseconds of a bucket, where the zone's clock is not put on or back.
    pub fn nanos(&self) -> i64 {
        self.nanos
    }

    /// Start of the bucket that a time lies in.
    pub fn start_of(&mut self, time: i64) -> i64 {
        let Some(zone) = self.zone.clone() else { return time - time.rem_euclid(self.nanos) };
        let offset = self.offset_at(&zone, time);
        let local = time.saturating_add(offset);
        let start = local - local.rem_euclid(self.nanos);
        let candidate = start.saturating_sub(offset);
        if self.offset_at(&zone, candidate) == offset || self.nanos < DAY / 24 {
            return candidate;
        }
        // The clock was put on or back since then.
        instant(&zone, start).unwrap_or(candidate).min(time)
    }

    fn offset_at(&mut self, zone: &TimeZone, time: i64) -> i64 {
        let (from, to, offset) = self.offset;
        if (from..to).contains(&time) {
            return offset;
        }
        let Ok(at) = Timestamp::from_nanosecond(i128::from(time)) else { return 0 };
        let offset = i64::from(zone.to_offset(at).seconds()) * 1_000_000_000;
        let nanos = |at: Timestamp| i64::try_from(at.as_nanosecond()).ok();
        // A transition is itself the first moment of what follows.
        let behind = Timestamp::from_nanosecond(i128::from(time) + 1).unwrap_or(at);
        let from = zone.preceding(behind).next().and_then(|before| nanos(before.timestamp()));
        let to = zone.following(at).next().and_then(|after| nanos(after.timestamp()));
        self.offset = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX), offset);
        offset
    }
}

/// The first instant at which the zone's clock shows this, or what it is put on to where it skips it.
fn instant(zone: &TimeZone, local: i64) -> Option<i64> {
    let shown: DateTime = TimeZone::UTC.to_datetime(Timestamp::from_nanosecond(i128::from(local)).ok()?);
    i64::try_from(zone.to_timestamp(shown).ok()?.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    fn time(text: &str) -> i64 {
        weir_service::time::parse(text, 0).unwrap()
    }

    /// Starts of the buckets from one time to another, with the minutes in each.
    fn minutes(nanos: i64, zone: &str, from: &str, to: &str) -> Vec<(String, i64)> {
        let mut interval = Interval::of(nanos).in_zone(TimeZone::get(zone).unwrap());
        let mut found = BTreeMap::new();
        for minute in (time(from)..time(to)).step_by(60_000_000_000) {
            *found.entry(interval.start_of(minute)).or_insert(0) += 1;
        }
        found.into_iter().map(|(start, minutes)| (weir_service::time::format(start), minutes)).collect()
    }

    #[test]
    fn days_begin_at_the_midnight_of_the_zone_and_are_as_long_as_they_are_there() {
        let days = |zone, from, to| minutes(DAY, zone, from, to);
        let start = |text: &str, minutes| (text.to_owned(), minutes);
        assert_eq!(
            days("Asia/Shanghai", "2026-01-01T16:00:00Z", "2026-01-03T16:00:00Z"),
            [start("2026-01-01T16:00:00Z", 1440), start("2026-01-02T16:00:00Z", 1440)]
        );
        // The clock of New York goes on an hour on 8 March, and back on 1 November.
        assert_eq!(
            days("America/New_York", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
            [start("2026-03-08T05:00:00Z", 23 * 60)]
        );
        assert_eq!(
            days("America/New_York", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
            [start("2026-11-01T04:00:00Z", 25 * 60)]
        );
        // Santiago's clock is put on at midnight: the day begins at one o'clock.
        let santiago = days("America/Santiago", "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z");
        assert_eq!(santiago, [start("2026-09-06T04:00:00Z", 23 * 60)]);
    }

    #[test]
    fn hours_are_those_of_the_zone_and_each_is_counted_once_where_the_clock_shows_it_twice() {
        let hours = minutes(HOUR, "America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T08:00:00Z");
        assert!(hours.len() == 4 && hours.iter().all(|(_, minutes)| *minutes == 60), "{hours:?}");
        let halves = minutes(12 * HOUR, "America/New_York", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
        assert_eq!(halves.iter().map(|(_, minutes)| *minutes).collect::<Vec<_>>(), [13 * 60, 12 * 60]);
        let kolkata = minutes(HOUR, "Asia/Kolkata", "2026-01-01T00:30:00Z", "2026-01-01T02:30:00Z");
        assert_eq!(kolkata.iter().map(|(_, minutes)| *minutes).collect::<Vec<_>>(), [60, 60]);
    }

    #[test]
    fn a_bucket_begins_at_or_before_all_times_in_it_at_the_ends_of_time_too() {
        let mut utc = Interval::of(HOUR);
        assert_eq!(utc.start_of(-1), -HOUR);
        let mut shanghai = Interval::of(DAY).in_zone(TimeZone::get("Asia/Shanghai").unwrap());
        assert!(shanghai.start_of(i64::MAX) < i64::MAX);
        assert_eq!(shanghai.start_of(0), -8 * HOUR);
    }
}
