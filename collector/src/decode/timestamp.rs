/// Nanoseconds since the epoch of an RFC 3339 time (`2016-10-06T00:17:09.669794202Z`, or with `+08:00`); also with a
/// space for the `T`, and with `+0800` as Java's loggers write it.
///
/// At most nine digits of a fraction. `None` for anything else, for a day that is not in its month, and for times
/// before 1970 or too late for 64 bits.
pub fn unix_nano(text: &[u8]) -> Option<u64> {
    Clock::default().unix_nano(text)
}

/// Remembers the last second: lines that follow each other share it, and reading dates is a good part of reading a line.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    last: Option<([u8; 19], i64)>,
}

impl Clock {
    /// The same as [`unix_nano`].
    pub fn unix_nano(&mut self, text: &[u8]) -> Option<u64> {
        let (date, rest) = text.split_first_chunk::<19>()?;
        let seconds = match self.last {
            Some((last, seconds)) if last == *date => seconds,
            _ => seconds(date)?,
        };
        self.last = Some((*date, seconds));
        let (nanos, offset) = match <&[u8; 11]>::try_from(rest) {
            // As runtimes write it.
            Ok(&[b'.', ref first @ .., last, b'Z']) if first.iter().chain([&last]).all(u8::is_ascii_digit) => {
                (eight_digits(*first) * 10 + u64::from(last - b'0'), 0)
            }
            _ => {
                let (nanos, zone) = match rest.strip_prefix(b".") {
                    Some(rest) => fraction(rest)?,
                    None => (0, rest),
                };
                (nanos, offset(zone)?)
            }
        };
        u64::try_from(seconds - offset).ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
    }
}

/// The number that these digits are, two, then four, then eight at once.
fn eight_digits(digits: [u8; 8]) -> u64 {
    let ones = u64::from_le_bytes(digits) & 0x0F0F_0F0F_0F0F_0F0F;
    let twos = (ones * 10 + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_FFFF_0000_FFFF;
    (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF
}

/// Seconds since the epoch of a date and time of day, as if in UTC.
fn seconds(date: &[u8; 19]) -> Option<i64> {
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| date[at] != mark) || !matches!(date[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (digits(&date[..4])?, digits(&date[5..7])?, digits(&date[8..10])?);
    let (hour, minute, second) = (digits(&date[11..13])?, digits(&date[14..16])?, digits(&date[17..19])?);
    // 60 is a leap second; it reads as the second after it.
    if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, b| b.is_ascii_digit().then(|| value * 10 + i64::from(b - b'0')))
}

fn fraction(text: &[u8]) -> Option<(u64, &[u8])> {
    let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let (number, rest) = text.split_at(count);
    Some((digits(number)? as u64 * 10_u64.pow(9 - count as u32), rest))
}

/// Seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let seconds = hours * 3_600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01, counted in years that begin in March so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::{Clock, unix_nano};

    #[test]
    fn known_times_are_read_to_the_nanosecond() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2016-10-06T00:17:09.669794202Z", 1_475_713_029_669_794_202),
            ("2019-05-07T18:57:50.904275087+00:00", 1_557_255_470_904_275_087),
            ("2000-02-29T08:00:00.5+08:00", 951_782_400_500_000_000),
            ("2000-02-28 20:00:00.5-0400", 951_782_400_500_000_000),
            ("2000-02-29t00:00:00.5z", 951_782_400_500_000_000),
        ] {
            assert_eq!(unix_nano(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        // A clock that has read something else before says the same.
        let mut clock = Clock::default();
        for text in [
            "",
            "2016-10-06",
            "2023-02-29T00:00:00Z",
            "2016-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2016-10-06T00:17:09.Z",
            "2016-10-06T00:17:09.1234567890Z",
            "2016-10-06T00:17:09",
            "2016-10-06_00:17:09Z",
            "2016-10-06T00:17:09+08",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0Z",
            "9999-01-01T00:00:00Z",
        ] {
            assert_eq!(unix_nano(text.as_bytes()), None, "{text}");
            assert_eq!(clock.unix_nano(text.as_bytes()), None, "{text}");
            assert_eq!(clock.unix_nano(b"1970-01-01T00:00:01.5Z"), Some(1_500_000_000));
        }
    }
}
