//! Durations as Prometheus writes them.

use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, Error, Visitor};

const UNITS: [(&str, i64); 7] = [
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a duration such as `1h30m`, `90s`, `500ms` or `0` into milliseconds: units from `y` to `ms`, each at most once,
/// the greater first. `None` where it is none, or is over 292 million years.
pub fn parse_duration(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut total = 0_i64;
    let mut rest = text;
    let mut units = UNITS.as_slice();
    while !rest.is_empty() {
        let digits = rest.bytes().position(|b| !b.is_ascii_digit())?;
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let letters = rest.bytes().position(|b| !b.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = rest.get(..letters)?;
        let at = units.iter().position(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(units[at].1)?)?;
        units = &units[at + 1..];
        rest = rest.get(letters..)?;
    }
    (!text.is_empty()).then_some(total)
}

/// A duration of milliseconds as it is written: `1h30m`.
pub(super) fn show(ms: i64) -> String {
    let mut shown = String::new();
    let mut rest = ms;
    for (name, unit) in UNITS {
        // Years and weeks only where they are all there is to say.
        let is_odd = matches!(name, "y" | "w") && rest % unit != 0;
        if rest >= unit && !is_odd {
            let _ = write!(shown, "{}{name}", rest / unit);
            rest %= unit;
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

/// Milliseconds, read from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Millis(pub(super) i64);

struct MillisVisitor;

impl Visitor<'_> for MillisVisitor {
    type Value = Millis;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 30s, 5m or 1h30m")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Millis, E> {
        parse_duration(text)
            .map(Millis)
            .ok_or_else(|| E::custom(format!("«{text}» is not a duration such as 30s, 5m or 1h30m")))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Millis, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Millis, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MillisVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        assert_eq!(parse_duration("1h30m"), Some(5_400_000));
        assert_eq!(parse_duration("0"), Some(0));
        assert_eq!(parse_duration("1y2w3d4h5m6s7ms"), Some(33_019_506_007));
        for wrong in ["", "1", "m", "-1s", "1m1h", "1s1s", "1.5s", "1x", "99999999999999999999s", "9999999999y", "1é"]
        {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_read() {
        for text in ["1h30m", "90d", "1y", "2w", "1ms", "1d12h", "5m"] {
            assert_eq!(parse_duration(text).map(show).as_deref(), Some(text));
        }
        assert_eq!(show(0), "0s");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9ywdhms.é-]{0,20}") {
            let _ = parse_duration(&text);
        }
    }
}
