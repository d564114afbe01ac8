//! Times as users write them: RFC 3339, dates, unix seconds, or relative (`now-15m`, `now-1d/d`).

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Unit};

use crate::config::Span;

const RIGHT: &str = "write RFC 3339 (2026-01-02T03:04:05Z), a date (2026-01-02), unix seconds (1767323045 or \
                     1767323045.678), or a time relative to now (now, now-15m, now-1h30m, now+5m, now-1d/d)";

/// Reads a time; `now_unix_nano` is what `now` means, and dates are UTC's. The error says what would be right.
pub fn parse(text: &str, now_unix_nano: i64) -> Result<i64, String> {
    parse_stretch(text, now_unix_nano).map(|(first, _)| first)
}

/// Reads a time as the first and the last nanosecond that it stands for: one, but for a date (`2026-01-02`), a month
/// (`2026-01`), an hour or minute (`2026-01-02T03:04`), and what is rounded to one (`now/d`, `2026-01-02||-1M/M`).
pub fn parse_stretch(text: &str, now_unix_nano: i64) -> Result<(i64, i64), String> {
    let text = text.trim();
    if text.len() > 64 {
        return Err(format!("too long for a time; {RIGHT}"));
    }
    let wrong = || format!("«{text}» is not a time; {RIGHT}");
    if let Some(changes) = text.strip_prefix("now") {
        return changed(now_unix_nano, changes).ok_or_else(wrong);
    }
    if let Some((anchor, changes)) = text.split_once("||") {
        let (first, _) = parse_stretch(anchor, now_unix_nano)?;
        return changed(first, changes).ok_or_else(wrong);
    }
    if let Some(stretch) = unit_of_calendar(text) {
        return Ok(stretch);
    }
    let nano = if let Some(nano) = unix_seconds(text) {
        nano
    } else if let Ok(timestamp) = text.parse::<Timestamp>() {
        timestamp.as_nanosecond()
    } else {
        let civil = text.contains('T').then(|| text.parse::<DateTime>().ok()).flatten();
        civil.and_then(|civil| TimeZone::UTC.to_timestamp(civil).ok()).ok_or_else(wrong)?.as_nanosecond()
    };
    let far = |_| format!("«{text}» is too far away: times lie between the years 1678 and 2262");
    i64::try_from(nano).map(|nano| (nano, nano)).map_err(far)
}

/// The time behind changes such as `-1d/d`: lengths that are added or taken away, and units that are rounded to.
fn changed(from: i64, changes: &str) -> Option<(i64, i64)> {
    let (mut first, mut last) = (from, from);
    let mut rest = changes;
    while !rest.is_empty() {
        let (sign, behind) = rest.split_at_checked(1)?;
        let (length, next) = behind.split_at(behind.find(['+', '-', '/']).unwrap_or(behind.len()));
        rest = next;
        if sign == "/" {
            (first, last) = rounded(first, length)?;
            continue;
        }
        let is_back = match sign {
            "-" => true,
            "+" => false,
            _ => return None,
        };
        first = moved(first, length, is_back)?;
        last = first;
    }
    Some((first, last))
}

fn moved(from: i64, length: &str, is_back: bool) -> Option<i64> {
    if let Ok(span) = length.parse::<Span>() {
        let nanos = i64::try_from(span.0.as_nanos()).ok()?;
        return if is_back { from.checked_sub(nanos) } else { from.checked_add(nanos) };
    }
    // Months and years, which are no length of time.
    let (number, unit) = length.split_at_checked(length.len().checked_sub(1)?)?;
    let number: i64 = if number.is_empty() { 1 } else { number.parse().ok().filter(|n| (0..=9_999).contains(n))? };
    let months = match unit {
        "M" => number,
        "y" => number * 12,
        _ => return None,
    };
    let time = civil(from)?;
    let span = months.months();
    let time = if is_back { time.checked_sub(span) } else { time.checked_add(span) };
    nanos(time.ok()?)
}

fn rounded(from: i64, unit: &str) -> Option<(i64, i64)> {
    let time = civil(from)?;
    let date = time.date();
    let (first, length) = match unit {
        "y" => (date.first_of_year().to_datetime(Time::midnight()), 1.year()),
        "M" => (date.first_of_month().to_datetime(Time::midnight()), 1.month()),
        "w" => {
            let monday = date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days()).ok()?;
            (monday.to_datetime(Time::midnight()), 1.week())
        }
        "d" => (date.to_datetime(Time::midnight()), 1.day()),
        "h" | "H" => (floor(time, Unit::Hour)?, 1.hour()),
        "m" => (floor(time, Unit::Minute)?, 1.minute()),
        "s" => (floor(time, Unit::Second)?, 1.second()),
        _ => return None,
    };
    stretch(first, length)
}

fn floor(time: DateTime, unit: Unit) -> Option<DateTime> {
    let round = jiff::civil::DateTimeRound::new().smallest(unit).mode(jiff::RoundMode::Floor);
    time.round(round).ok()
}

/// `2026-01`, `2026-01-02`, `2026-01-02T03` and `2026-01-02T03:04`, all that they hold.
fn unit_of_calendar(text: &str) -> Option<(i64, i64)> {
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let is_like = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(a, b)| if b == b'0' { a.is_ascii_digit() } else { a == b })
    };
    match time {
        None if is_like(date, "0000-00") => {
            stretch(format!("{date}-01").parse::<Date>().ok()?.to_datetime(Time::midnight()), 1.month())
        }
        _ if !is_like(date, "0000-00-00") => None,
        None => stretch(date.parse::<Date>().ok()?.to_datetime(Time::midnight()), 1.day()),
        Some(time) if is_like(time, "00") => stretch(format!("{date}T{time}:00").parse().ok()?, 1.hour()),
        Some(time) if is_like(time, "00:00") => stretch(text.parse().ok()?, 1.minute()),
        Some(_) => None,
    }
}

fn stretch(first: DateTime, length: jiff::Span) -> Option<(i64, i64)> {
    Some((nanos(first)?, nanos(first.checked_add(length).ok()?)?.checked_sub(1)?))
}

fn civil(unix_nano: i64) -> Option<DateTime> {
    Some(TimeZone::UTC.to_datetime(Timestamp::from_nanosecond(i128::from(unix_nano)).ok()?))
}

fn nanos(time: DateTime) -> Option<i64> {
    i64::try_from(TimeZone::UTC.to_timestamp(time).ok()?.as_nanosecond()).ok()
}

/// Exact, where a float would lose nanoseconds; saturates, far outside the range of times.
fn unix_seconds(text: &str) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction: i128 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let whole = whole.parse::<i128>().unwrap_or(i128::MAX);
    let nano = whole.saturating_mul(1_000_000_000).saturating_add(fraction);
    Some(if negative { -nano } else { nano })
}

/// RFC 3339 in UTC with nanoseconds as they are needed: `2026-01-02T03:04:05.678Z`.
pub fn format(unix_nano: i64) -> String {
    // Every i64 of nanoseconds lies within jiff's range; the epoch stands in for what cannot be.
    Timestamp::from_nanosecond(i128::from(unix_nano)).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// Nanoseconds since the epoch, now.
pub fn now_unix_nano() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

/// Milliseconds since the epoch, now.
pub fn now_unix_ms() -> i64 {
    now_unix_nano() / 1_000_000
}

/// Nanoseconds, as messages have them.
pub fn now_unix_nano_unsigned() -> u64 {
    u64::try_from(now_unix_nano()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_767_323_045_000_000_000;
    const MINUTE: i64 = 60_000_000_000;

    #[test]
    fn each_way_of_writing_a_time_is_read() {
        assert_eq!(parse("2026-01-02T03:04:05Z", 0), Ok(NOW));
        assert_eq!(parse("2026-01-02T11:04:05+08:00", 0), Ok(NOW));
        assert_eq!(parse("1767323045", 0), Ok(NOW));
        assert_eq!(parse("1767323045.000000001", 0), Ok(NOW + 1));
        assert_eq!(parse("-1.5", 0), Ok(-1_500_000_000));
        assert_eq!(parse("now", NOW), Ok(NOW));
        assert_eq!(parse("now-15m", NOW), Ok(NOW - 15 * MINUTE));
        assert_eq!(parse("now-1h30m", NOW), Ok(NOW - 90 * MINUTE));
        assert_eq!(parse("now+5m", NOW), Ok(NOW + 5 * MINUTE));
        assert_eq!(parse("2026-01-02T03:04:05", 0), Ok(NOW));
    }

    #[test]
    fn a_date_and_what_is_rounded_stand_for_all_that_they_hold() {
        for (text, first, behind) in [
            ("2026-01-02", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"),
            ("2026-01", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("2026-01-02T03", "2026-01-02T03:00:00Z", "2026-01-02T04:00:00Z"),
            ("2026-01-02T03:04", "2026-01-02T03:04:00Z", "2026-01-02T03:05:00Z"),
            ("now/d", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"),
            ("now-1d/d", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("now/w", "2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"),
            ("now-1M/M", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("now/h", "2026-01-02T03:00:00Z", "2026-01-02T04:00:00Z"),
            ("2026-03-31||-1M/M", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2025-06-01||-1y/y", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
        ] {
            let nano = |text: &str| i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap();
            assert_eq!(parse_stretch(text, NOW), Ok((nano(first), nano(behind) - 1)), "{text}");
        }
        assert_eq!(parse_stretch("now-15m", NOW), Ok((NOW - 15 * MINUTE, NOW - 15 * MINUTE)));
    }

    #[test]
    fn what_is_no_time_is_told_what_would_be_right() {
        for text in [
            "",
            "yesterday",
            "now-",
            "now5m",
            "now-15",
            "2026-13",
            "2026-02-30",
            "1.2.3",
            "now-é",
            "now/x",
            "now/",
            "now-1d/d/",
        ] {
            assert!(parse(text, NOW).unwrap_err().contains("now-15m"), "{text}");
        }
        assert!(parse("99999999999999999999", NOW).unwrap_err().contains("too far away"));
    }

    proptest! {
        #[test]
        fn a_formatted_time_is_read_back(nano in any::<i64>()) {
            prop_assert_eq!(parse(&format(nano), 0), Ok(nano));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}", now in any::<i64>()) {
            let _ = parse(&text, now);
            let _ = parse(&format!("now-{text}"), now);
            let _ = parse(&format!("2026-01-02||{text}"), now);
        }
    }
}
