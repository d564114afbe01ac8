//! Chinese resident identity numbers (GB 11643).

use super::bytes::{digit_at, word_after};
use super::digits::{Chain, Group, decimal_before, is_inside_identifier};

/// First two digits: the codes of provinces (GB/T 2260), those of Hong Kong, Macau and Taiwan, and foreigners' 91.
const PROVINCES: [u8; 36] = [
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63,
    64, 65, 71, 81, 82, 83, 91,
];

/// The identity number that begins with a run of the chain: 18 characters with the right check digit, or the 15 digits
/// of before 1999, which have none.
pub(super) fn find(bytes: &[u8], chain: &Chain, run: usize) -> Option<(usize, usize)> {
    let count = match chain.length(run) {
        15 | 17 | 18 => 1,
        6 if chain.is_grouped(run + 1, &[8, 4]) || chain.is_grouped(run + 1, &[8, 3]) => 3,
        _ => return None,
    };
    let group = chain.group(run, count);
    if decimal_before(bytes, group.start).is_some() {
        return None;
    }
    match group.digits.len() {
        15 => short(bytes, &group),
        17 => {
            let end = group.end + check_x(&bytes[group.end..])?;
            let closed = !word_after(bytes, end) && digit_at(bytes, end).is_none();
            (closed && is_valid(group.digits, 10)).then_some((group.start, end))
        }
        18 => is_valid(&group.digits[..17], group.digits[17]).then_some((group.start, group.end)),
        _ => None,
    }
}

fn short(bytes: &[u8], group: &Group<'_>) -> Option<(usize, usize)> {
    let digits = group.digits;
    let valid = is_province(digits) && is_date(1900 + number(&digits[6..8]), &digits[8..12]);
    (valid && !is_inside_identifier(bytes, group.start, group.end)).then_some((group.start, group.end))
}

/// Bytes of the check character X, in any case and width.
fn check_x(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'X' | b'x', ..] => Some(1),
        [0xEF, 0xBC, 0xB8, ..] | [0xEF, 0xBD, 0x98, ..] => Some(3),
        _ => None,
    }
}

/// ISO 7064, MOD 11-2 over the first 17 digits; 10 is written X.
fn is_valid(digits: &[u8], check: u8) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(*digit) * weight).sum();
    let year = number(&digits[6..10]);
    (12 - sum % 11) % 11 == u32::from(check)
        && is_province(digits)
        && (1900..2100).contains(&year)
        && is_date(year, &digits[10..14])
}

fn is_province(digits: &[u8]) -> bool {
    PROVINCES.contains(&(digits[0] * 10 + digits[1]))
}

fn is_date(year: u32, month_and_day: &[u8]) -> bool {
    let (month, day) = (number(&month_and_day[..2]), number(&month_and_day[2..]));
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 0,
    };
    (1..=days).contains(&day)
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number, digit| number * 10 + u32::from(*digit))
}
