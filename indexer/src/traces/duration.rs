//! Durations as people and Jaeger's users write them.

/// Nanoseconds of each unit.
const UNITS: [(&str, f64); 10] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
    ("d", 8.64e13),
    ("w", 6.048e14),
];

/// What would be right.
pub(super) const WANTED: &str = "a duration such as 100ms, 1.5s or 1m30s";

/// Nanoseconds of a duration: numbers with units, each with or without decimals; `None` of other text.
pub(super) fn read(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    let mut nanos = 0.0;
    loop {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == &behind[..unit])?;
        nanos += number.parse::<f64>().ok()? * scale;
        rest = &behind[unit..];
        if rest.is_empty() {
            // What is longer than there are nanoseconds becomes the longest.
            return Some(nanos.round() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn given_decimals_and_several_units_then_a_duration_is_read_and_other_text_is_not() {
        for (text, nanos) in [
            ("0", 0),
            ("0ms", 0),
            ("100ms", 100_000_000),
            ("1.5s", 1_500_000_000),
            ("1m30.5s", 90_500_000_000),
            ("1h2m", 3_720_000_000_000),
            ("4500ns", 4500),
            ("1.25µs", 1250),
            ("2d", 172_800_000_000_000),
            ("99999999999w", u64::MAX),
        ] {
            assert_eq!(read(text), Some(nanos), "{text}");
        }
        for text in ["", "5", "s", "1.5", "1.2.3s", "-1s", "1 s", "1x", "nan", "infs", ".s"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
