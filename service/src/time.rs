//! Times as users write them: RFC 3339, unix seconds, or relative (`now-15m`).

use jiff::Timestamp;

use crate::config::Span;

const RIGHT: &str = "write RFC 3339 (2026-01-02T03:04:05Z), unix seconds (1767323045 or 1767323045.678), or a time \
                     relative to now (now, now-15m, now-1h30m, now+5m)";

/// Reads a time; `now_unix_nano` is what `now` means. The error says what would be right.
pub fn parse(text: &str, now_unix_nano: i64) -> Result<i64, String> {
    let text = text.trim();
    if text.len() > 64 {
        return Err(format!("too long for a time; {RIGHT}"));
    }
    if let Some(distance) = text.strip_prefix("now") {
        return relative(distance, now_unix_nano).ok_or_else(|| format!("«{text}» is not a time; {RIGHT}"));
    }
    let nano = if let Some(nano) = unix_seconds(text) {
        nano
    } else {
        let timestamp = text.parse::<Timestamp>().map_err(|_| format!("«{text}» is not a time; {RIGHT}"))?;
        timestamp.as_nanosecond()
    };
    i64::try_from(nano).map_err(|_| format!("«{text}» is too far away: times lie between the years 1678 and 2262"))
}

fn relative(distance: &str, now: i64) -> Option<i64> {
    if distance.is_empty() {
        return Some(now);
    }
    let span = |text: &str| i64::try_from(text.parse::<Span>().ok()?.0.as_nanos()).ok();
    if let Some(ago) = distance.strip_prefix('-') {
        now.checked_sub(span(ago)?)
    } else {
        now.checked_add(span(distance.strip_prefix('+')?)?)
    }
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
    }

    #[test]
    fn what_is_no_time_is_told_what_would_be_right() {
        for text in ["", "yesterday", "now-", "now5m", "now-15", "2026-01-02", "1.2.3", "now-é"] {
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
        }
    }
}
