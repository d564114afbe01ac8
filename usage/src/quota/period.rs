//! Days and months of a time zone, in full hours of UTC: what quotas are counted over.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

const HOUR: i64 = 3600;

/// What a quota is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// From midnight to midnight: 23 or 25 hours where the clocks change.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

/// One day or month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first second, since the epoch.
    pub start_unix: i64,
    /// The second behind its last, since the epoch: when a quota is renewed.
    pub end_unix: i64,
}

impl Per {
    /// The period that `now_unix`, in seconds since the epoch, lies in. Where [`full_hours`] accepts the zone, both of its
    /// ends are full hours of UTC. A time beyond the years that a calendar has here (-9998 to 9998) is taken as the nearest
    /// within.
    pub fn around(self, now_unix: i64, zone: &TimeZone) -> Period {
        let date = zone.to_datetime(within(now_unix)).date();
        let (first, next) = match self {
            Self::Day => (date, date.tomorrow()),
            Self::Month => (date.first_of_month(), date.last_of_month().tomorrow()),
        };
        let start_unix = begin(first, zone);
        Period { start_unix, end_unix: next.map_or(start_unix, |next| begin(next, zone)) }
    }

    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// So far from the ends of the calendar that the periods around are within it.
fn within(unix: i64) -> Timestamp {
    const YEARS_AT_THE_ENDS: i64 = 800 * 86_400;
    let (least, greatest) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let unix = unix.clamp(least + YEARS_AT_THE_ENDS, greatest - YEARS_AT_THE_ENDS);
    Timestamp::from_second(unix).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The first second of a date. Where its midnight is skipped, that is the second behind the gap; where it is repeated, the
/// first of the two.
fn begin(date: Date, zone: &TimeZone) -> i64 {
    let midnight = date.to_datetime(Time::midnight());
    // Out of range only at the ends of the calendar, which `within` keeps away from.
    zone.to_timestamp(midnight).unwrap_or(Timestamp::UNIX_EPOCH).as_second()
}

/// A time zone by its IANA name, as a key of a file; absent is UTC.
#[derive(Debug, Clone)]
pub(crate) struct Zone(pub(crate) TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        TimeZone::get(&name).map(Self).map_err(|_| {
            let name = name.escape_debug();
            D::Error::custom(format!(
                "`{name}` is no IANA time zone known here; right would be, for example, Asia/Shanghai"
            ))
        })
    }
}

/// Checks that days of the zone begin at full hours of UTC, which is what usage is kept by: from 2020 to 2100, by all the
/// changes of its clocks. The error says what is wrong and what would be right.
pub fn full_hours(zone: &TimeZone) -> Result<(), String> {
    const FROM: i64 = 1_577_836_800;
    const TO: i64 = 4_102_444_800;
    let from = Timestamp::from_second(FROM).unwrap_or(Timestamp::UNIX_EPOCH);
    let changes = zone.following(from).take_while(|change| change.timestamp().as_second() < TO);
    let mut offsets = std::iter::once(zone.to_offset(from)).chain(changes.map(|change| change.offset()));
    match offsets.find(|offset| i64::from(offset.seconds()) % HOUR != 0) {
        None => Ok(()),
        Some(offset) => Err(format!(
            "days of {} do not begin at full hours of UTC (its offset is {offset}), but usage is kept by such hours: \
             choose a zone whose offset is a whole number of hours",
            zone.iana_name().unwrap_or("this time zone"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unix(time: &str) -> i64 {
        time.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn given_a_time_then_its_day_and_month_begin_and_end_at_midnight_of_the_zone() {
        use Per::{Day, Month};
        for (per, zone, now, start, end, hours) in [
            (Day, "UTC", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", 24),
            (Day, "UTC", "2026-02-28T23:59:59Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z", 24),
            (Day, "Asia/Shanghai", "2026-01-01T15:59:59Z", "2025-12-31T16:00:00Z", "2026-01-01T16:00:00Z", 24),
            (Day, "Asia/Shanghai", "2026-01-01T16:00:00Z", "2026-01-01T16:00:00Z", "2026-01-02T16:00:00Z", 24),
            // The clocks go forward, and back.
            (Day, "America/New_York", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", 23),
            (Day, "America/New_York", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25),
            // In Havana they go forward at midnight: the day begins at one. Back they go from one to midnight: that is there
            // twice.
            (Day, "America/Havana", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z", 23),
            (Day, "America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", 25),
            (Month, "UTC", "2026-01-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", 744),
            (Month, "UTC", "2026-02-10T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", 672),
            (Month, "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z", 696),
            (Month, "UTC", "2100-02-28T12:00:00Z", "2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z", 672),
            (Month, "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z", 744),
            (Month, "Asia/Shanghai", "2026-01-31T16:00:00Z", "2026-01-31T16:00:00Z", "2026-02-28T16:00:00Z", 672),
            (Month, "America/New_York", "2026-03-15T00:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z", 743),
            (Month, "America/New_York", "2026-11-15T00:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z", 721),
        ] {
            let period = per.around(unix(now), &TimeZone::get(zone).unwrap());
            let want = Period { start_unix: unix(start), end_unix: unix(end) };
            assert_eq!(period, want, "{per} {zone} {now}");
            assert_eq!(period.end_unix - period.start_unix, hours * HOUR, "{per} {zone} {now}");
        }
    }

    #[test]
    fn given_zones_then_those_whose_days_begin_within_an_hour_of_utc_are_refused() {
        for (zone, want) in [
            ("UTC", None),
            ("Asia/Shanghai", None),
            ("America/New_York", None),
            ("Europe/Dublin", None),
            ("Asia/Kolkata", Some("05:30")),
            ("Asia/Kathmandu", Some("05:45")),
            ("Australia/Lord_Howe", Some("10:30")),
        ] {
            match (full_hours(&TimeZone::get(zone).unwrap()), want) {
                (Ok(()), None) => {}
                (Err(message), Some(offset)) => {
                    assert!(message.contains(zone), "{message}");
                    assert!(message.contains(offset) || zone.contains("Howe"), "{message}");
                }
                (got, _) => panic!("{zone}: {got:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn given_any_time_then_its_period_holds_it_and_ends_where_the_next_begins(
            now in prop_oneof![any::<i64>(), 0_i64..8_000_000_000],
            zone in prop::sample::select(vec!["UTC", "Asia/Shanghai", "America/New_York", "America/Havana", "Pacific/Apia"]),
            per in prop::sample::select(vec![Per::Day, Per::Month]),
        ) {
            let zone = TimeZone::get(zone).unwrap();
            let period = per.around(now, &zone);
            prop_assert!(period.start_unix < period.end_unix);
            if (0..8_000_000_000).contains(&now) {
                prop_assert!((period.start_unix..period.end_unix).contains(&now));
                prop_assert_eq!((period.start_unix % HOUR, period.end_unix % HOUR), (0, 0));
                prop_assert_eq!(per.around(period.end_unix, &zone).start_unix, period.end_unix);
                prop_assert_eq!(per.around(period.end_unix - 1, &zone), period);
            }
        }
    }
}
