//! Durations and sizes as users write them in this section.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

const AGE: &str = "a duration such as 12h, 7d or 1h30m, or null";
const SIZE: &str = "a size such as 500MB, 50GB or 1GiB, or null";

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Text {
    Number(u64),
    Text(String),
}

/// A duration with its units, or null.
pub(super) fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        None => Ok(None),
        Some(text) => {
            humantime::parse_duration(&text).map(Some).map_err(|_| D::Error::custom(format!("«{text}» is not {AGE}")))
        }
    }
}

/// A number of bytes, or text with a unit, or null.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Option::<Text>::deserialize(deserializer).map_err(|_| D::Error::custom(format!("should be {SIZE}")))? {
        None => Ok(None),
        Some(Text::Number(bytes)) => Ok(Some(bytes)),
        Some(Text::Text(text)) => {
            parse(&text).map(Some).ok_or_else(|| D::Error::custom(format!("«{text}» is not {SIZE}")))
        }
    }
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(end);
    let exponent = |letter: Option<char>| "kmgt".find(letter?.to_ascii_lowercase()).map(|at| at as u32 + 1);
    let unit = unit.trim_start().to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" | "b" => 1,
        _ => match unit.strip_suffix("ib") {
            Some(letter) if letter.len() == 1 => 1024_u64.pow(exponent(letter.chars().next())?),
            _ => match unit.strip_suffix('b') {
                Some(letter) if letter.len() == 1 => 1000_u64.pow(exponent(letter.chars().next())?),
                _ => return None,
            },
        },
    };
    count.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_elsewhere_in_the_configuration() {
        for (text, bytes) in [("4096", 4096), ("64MB", 64_000_000), ("1MiB", 1 << 20), ("50 GB", 50_000_000_000)] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for wrong in ["", "MB", "-1", "1.5MB", "7 bananas", "99999999999TB", "1 iB", "3é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
