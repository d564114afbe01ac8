//! Numbers as texts, compared by value and exactly: 64-bit integers are no floats.

use std::cmp::Ordering;

/// Most digits of a number that is written with an exponent; longer ones are texts.
const MOST_DIGITS: usize = 400;

/// A decimal number: sign, digits before the point without leading zeros, digits behind it without trailing ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    is_negative: bool,
    whole: String,
    fraction: String,
}

impl Decimal {
    /// Reads `-12`, `+1.50`, `.5` and `2e3`; `None` for any other text, `inf` and `nan` included.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (is_negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (digits, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let (mut whole, mut fraction) = (whole.to_owned(), fraction.to_owned());
        shift(&mut whole, &mut fraction, exponent)?;
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let is_negative = is_negative && !(whole.is_empty() && fraction.is_empty());
        Some(Self { is_negative, whole, fraction })
    }

    /// The greatest whole number that is not above it, as far as it is one of 64 bits, and whether it is that number.
    pub(crate) fn floor(&self) -> (i128, bool) {
        const FAR: i128 = 1 << 100;
        let whole = if self.whole.is_empty() { 0 } else { self.whole.parse().unwrap_or(FAR).min(FAR) };
        let is_whole = self.fraction.is_empty();
        (if self.is_negative { -whole - i128::from(!is_whole) } else { whole }, is_whole)
    }

    /// As it is listed and shown: `0`, `-12`, `1.5`.
    pub(crate) fn text(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        let point = if self.fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{}", self.fraction)
    }
}

/// Moves the point.
fn shift(whole: &mut String, fraction: &mut String, exponent: i32) -> Option<()> {
    let by = exponent.unsigned_abs() as usize;
    if exponent != 0 && by + whole.len() + fraction.len() > MOST_DIGITS {
        return None;
    }
    if exponent > 0 {
        fraction.push_str(&"0".repeat(by.saturating_sub(fraction.len())));
        whole.extend(fraction.drain(..by));
    } else if exponent < 0 {
        whole.insert_str(0, &"0".repeat(by.saturating_sub(whole.len())));
        fraction.insert_str(0, &whole.split_off(whole.len() - by));
    }
    Some(())
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |a: &Self, b: &Self| {
            let whole = a.whole.len().cmp(&b.whole.len()).then_with(|| a.whole.cmp(&b.whole));
            whole.then_with(|| a.fraction.cmp(&b.fraction))
        };
        match (self.is_negative, other.is_negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A number's text as it is listed; `None` where the text is no number.
pub fn canonical(text: &str) -> Option<String> {
    Decimal::read(text).map(|number| number.text())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn given_ways_of_writing_a_number_then_there_is_one_text() {
        for (text, same) in [
            ("200.0", "200"),
            ("+007", "7"),
            ("-0.0", "0"),
            (".5", "0.5"),
            ("5.", "5"),
            ("2e3", "2000"),
            ("1.25e-2", "0.0125"),
            ("9007199254740993", "9007199254740993"),
            ("-1.50E1", "-15"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(same), "{text}");
        }
        for text in ["", "-", ".", "e3", "1e", "1e9999", "inf", "NaN", "0x10", "1.2.3", "1 ", "一"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_compare_as_integers(a in any::<i64>(), b in any::<i64>()) {
            let read = |number: i64| Decimal::read(&number.to_string()).unwrap();
            prop_assert_eq!(read(a).cmp(&read(b)), a.cmp(&b));
        }

        #[test]
        fn what_is_whole_of_a_number_is_its_floor(whole in any::<i64>(), tenths in 0_u8..10) {
            let floor = |text: &str| Decimal::read(text).unwrap().floor();
            let expected = i128::from(whole) - i128::from(whole < 0 && tenths > 0);
            prop_assert_eq!(floor(&format!("{whole}.{tenths}")), (expected, tenths == 0));
            prop_assert!(floor("-1e300").0 < i128::from(i64::MIN) && floor("1e300").0 > i128::from(i64::MAX));
        }

        #[test]
        fn floats_compare_as_floats(a in -1e12..1e12, b in -1e12..1e12) {
            let read = |number: f64| Decimal::read(&number.to_string()).unwrap();
            prop_assert_eq!(read(a).cmp(&read(b)), a.total_cmp(&b));
        }

        #[test]
        fn any_text_is_read_or_not(text in "[-+0-9.eE]{0,12}|.{0,8}") {
            if let Some(number) = Decimal::read(&text) {
                prop_assert_eq!(Decimal::read(&number.text()), Some(number));
            }
        }
    }
}
