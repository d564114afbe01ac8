//! Times of the week, the month and the year, as Alertmanager's time intervals: pure, with the time as an argument.

use std::ops::RangeInclusive;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use serde::Deserialize;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Intervals with a name that routes refer to: an item of `time_intervals` and `mute_time_intervals`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedIntervals {
    /// Unique.
    pub name: String,
    /// A time is in it where it is in one of them.
    #[serde(default)]
    pub time_intervals: Vec<TimeInterval>,
}

/// An interval: a time is in it where every field that is there holds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct TimeInterval {
    /// Minutes of the day, the last not included.
    times: Option<Vec<(u16, u16)>>,
    /// From Sunday, 0.
    weekdays: Option<Vec<RangeInclusive<i32>>>,
    /// From 1; negative ones count from the end of the month.
    days_of_month: Option<Vec<RangeInclusive<i32>>>,
    months: Option<Vec<RangeInclusive<i32>>>,
    years: Option<Vec<RangeInclusive<i32>>>,
    zone: TimeZone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    times: Option<Vec<RawTimes>>,
    weekdays: Option<Vec<String>>,
    days_of_month: Option<Vec<String>>,
    months: Option<Vec<String>>,
    years: Option<Vec<String>>,
    location: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimes {
    start_time: String,
    end_time: String,
}

impl TryFrom<Raw> for TimeInterval {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let times = |times: Vec<RawTimes>| times.iter().map(RawTimes::minutes).collect::<Result<_, _>>();
        let zone = match raw.location.as_deref() {
            None | Some("") => TimeZone::UTC,
            Some("Local") => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| {
                format!("location: «{name}» is not a time zone that this machine knows, such as Asia/Shanghai")
            })?,
        };
        Ok(Self {
            times: raw.times.map(times).transpose()?,
            weekdays: ranges("weekdays", raw.weekdays, weekday)?,
            days_of_month: ranges("days_of_month", raw.days_of_month, day)?,
            months: ranges("months", raw.months, month)?,
            years: ranges("years", raw.years, |text| text.parse().ok())?,
            zone,
        })
    }
}

impl RawTimes {
    fn minutes(&self) -> Result<(u16, u16), String> {
        let minute = |key: &str, text: &str| {
            minute(text).ok_or_else(|| format!("{key}: «{text}» is not a time of the day such as 09:00, or 24:00"))
        };
        let (start, end) = (minute("start_time", &self.start_time)?, minute("end_time", &self.end_time)?);
        if start >= end {
            return Err(format!("times: start_time {} must be before end_time {}", self.start_time, self.end_time));
        }
        Ok((start, end))
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| -> Option<u16> {
        (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let whole = hours * 60 + minutes;
    (minutes < 60 && whole <= DAY_MINUTES).then_some(whole)
}

fn position(of: &[&str], name: &str) -> Option<i32> {
    let at = of.iter().position(|other| other.eq_ignore_ascii_case(name))?;
    i32::try_from(at).ok()
}

fn weekday(text: &str) -> Option<i32> {
    position(&WEEKDAYS, text)
}

fn day(text: &str) -> Option<i32> {
    text.parse().ok().filter(|day| *day != 0 && (-31..=31).contains(day))
}

fn month(text: &str) -> Option<i32> {
    let named = position(&MONTHS, text).map(|at| at + 1);
    named.or_else(|| text.parse().ok().filter(|month| (1..=12).contains(month)))
}

/// Texts such as `monday:friday` or `-3:-1`, or of one value.
fn ranges(
    key: &str,
    texts: Option<Vec<String>>,
    value: fn(&str) -> Option<i32>,
) -> Result<Option<Vec<RangeInclusive<i32>>>, String> {
    let range = |text: &String| {
        let lower = text.to_ascii_lowercase();
        let (start, end) = lower.split_once(':').unwrap_or((&lower, &lower));
        let (Some(start), Some(end)) = (value(start.trim()), value(end.trim())) else {
            return Err(format!("{key}: «{text}» is neither a value nor a range such as {}", example(key)));
        };
        // Days from the end of a month are compared as in a long one, so that a range holds in none or in some.
        let place = |day: i32| if key == "days_of_month" && day < 0 { 30 + day } else { day };
        if place(start) > place(end) || (key == "days_of_month" && start < 0 && end > 0) {
            return Err(format!("{key}: «{text}» ends before it starts"));
        }
        Ok(start..=end)
    };
    texts.map(|texts| texts.iter().map(range).collect()).transpose()
}

fn example(key: &str) -> &'static str {
    match key {
        "weekdays" => "monday:friday",
        "days_of_month" => "1:7 or -3:-1",
        "months" => "january:march or 1:3",
        _ => "2026:2028",
    }
}

impl TimeInterval {
    /// Whether a time is in it.
    pub(super) fn contains(&self, time: Timestamp) -> bool {
        let time = ZonedDateTime::new(time, self.zone.clone());
        let within = |ranges: &Option<Vec<RangeInclusive<i32>>>, value: i32| {
            ranges.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(&value)))
        };
        let minute = i32::from(time.hour()) * 60 + i32::from(time.minute());
        let is_time = |(start, end): &(u16, u16)| (i32::from(*start)..i32::from(*end)).contains(&minute);
        self.times.as_ref().is_none_or(|times| times.iter().any(is_time))
            && within(&self.weekdays, time.weekday().to_sunday_zero_offset().into())
            && self.days_of_month.as_ref().is_none_or(|ranges| ranges.iter().any(|range| is_day(range, &time)))
            && within(&self.months, time.month().into())
            && within(&self.years, time.year().into())
    }
}

fn is_day(range: &RangeInclusive<i32>, time: &ZonedDateTime) -> bool {
    let days = i32::from(time.days_in_month());
    let from_start = |day: i32| if day < 0 { days + day + 1 } else { day };
    let (start, end) = (from_start(*range.start()), from_start(*range.end()));
    start <= days && (start.max(-days)..=end.min(days)).contains(&i32::from(time.day()))
}

/// Whether a time is in one of the intervals.
pub(super) fn is_in(intervals: &[TimeInterval], unix_ms: i64) -> bool {
    let time = Timestamp::from_millisecond(unix_ms);
    time.is_ok_and(|time| intervals.iter().any(|interval| interval.contains(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(yaml: &str, time: &str) -> bool {
        let interval: TimeInterval = serde_saphyr::from_str(yaml).unwrap();
        super::is_in(&[interval], time.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn every_field_that_is_there_must_hold() {
        // 2026-02-28 is a Saturday, and the last day of its month.
        for (yaml, time, want) in [
            ("{}", "2026-02-28T12:00:00Z", true),
            ("{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-02-28T09:00:00Z", true),
            ("{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-02-28T16:59:59Z", true),
            ("{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-02-28T17:00:00Z", false),
            (
                "{times: [{start_time: '00:00', end_time: '01:00'}, {start_time: '23:00', end_time: '24:00'}]}",
                "2026-02-28T23:59:59Z",
                true,
            ),
            ("{times: []}", "2026-02-28T12:00:00Z", false),
            ("{weekdays: ['monday:friday']}", "2026-02-28T12:00:00Z", false),
            ("{weekdays: ['monday:friday', Saturday]}", "2026-02-28T12:00:00Z", true),
            ("{weekdays: [sunday]}", "2026-03-01T12:00:00Z", true),
            ("{days_of_month: ['-1']}", "2026-02-28T12:00:00Z", true),
            ("{days_of_month: ['-1']}", "2028-02-28T12:00:00Z", false),
            ("{days_of_month: ['-3:-2']}", "2026-02-28T12:00:00Z", false),
            ("{days_of_month: ['-3:-2']}", "2026-02-27T12:00:00Z", true),
            ("{days_of_month: ['20:-2']}", "2026-02-27T12:00:00Z", true),
            ("{days_of_month: ['1:31']}", "2026-02-28T12:00:00Z", true),
            ("{days_of_month: ['29:31']}", "2026-02-28T12:00:00Z", false),
            ("{days_of_month: ['-31:-28']}", "2026-02-01T12:00:00Z", true),
            ("{months: ['january:march']}", "2026-02-28T12:00:00Z", true),
            ("{months: ['3:12', february]}", "2026-02-28T12:00:00Z", true),
            ("{months: ['3']}", "2026-02-28T12:00:00Z", false),
            ("{years: ['2020:2025', '2027']}", "2026-02-28T12:00:00Z", false),
            ("{years: ['2026']}", "2026-02-28T12:00:00Z", true),
            ("{weekdays: [sunday], location: Asia/Shanghai}", "2026-02-28T16:00:00Z", true),
            ("{weekdays: [sunday], location: Asia/Shanghai}", "2026-02-28T15:59:59Z", false),
            ("{years: ['2027'], location: Asia/Shanghai}", "2026-12-31T16:00:00Z", true),
            // When clocks go back, an hour of the day is there twice.
            (
                "{times: [{start_time: '02:00', end_time: '03:00'}], location: Europe/Berlin}",
                "2026-10-25T00:30:00Z",
                true,
            ),
            (
                "{times: [{start_time: '02:00', end_time: '03:00'}], location: Europe/Berlin}",
                "2026-10-25T01:30:00Z",
                true,
            ),
            (
                "{times: [{start_time: '02:00', end_time: '03:00'}], location: Europe/Berlin}",
                "2026-10-25T02:00:00Z",
                false,
            ),
        ] {
            assert_eq!(is_in(yaml, time), want, "{yaml} at {time}");
        }
    }

    #[test]
    fn what_is_no_interval_says_what_is_wrong() {
        for (yaml, part) in [
            ("{times: [{start_time: '9:00', end_time: '17:00'}]}", "start_time: «9:00»"),
            ("{times: [{start_time: '09:00', end_time: '24:01'}]}", "end_time: «24:01»"),
            ("{times: [{start_time: '09:00', end_time: '09:00'}]}", "must be before"),
            ("{times: [{start_time: '09:00'}]}", "end_time"),
            ("{weekdays: [mon]}", "weekdays: «mon»"),
            ("{weekdays: ['friday:monday']}", "ends before it starts"),
            ("{days_of_month: ['0']}", "days_of_month: «0»"),
            ("{days_of_month: ['32']}", "days_of_month: «32»"),
            ("{days_of_month: ['-3:3']}", "ends before it starts"),
            ("{days_of_month: ['-1:-3']}", "ends before it starts"),
            ("{months: ['13']}", "months: «13»"),
            ("{years: ['2026:']}", "years: «2026:»"),
            ("{location: Mars/Olympus}", "location: «Mars/Olympus»"),
            ("{weekday: [monday]}", "weekday"),
        ] {
            let error = serde_saphyr::from_str::<TimeInterval>(yaml).unwrap_err().to_string();
            assert!(error.contains(part), "{yaml}: {error}");
        }
    }
}
