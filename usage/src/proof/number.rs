//! Whole numbers and times in JSON, with one way to write each: `#[serde(with = "number")]`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// Greatest number below which a double holds every whole one (RFC 8785, appendix B); greater ones are text.
const MAX_NUMBER: u128 = 1 << 53;

fn is_number(value: i128) -> bool {
    value.unsigned_abs() <= MAX_NUMBER
}

pub(super) fn serialize<T: Copy + Into<i128>, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let value: i128 = (*value).into();
    match i64::try_from(value) {
        Ok(number) if is_number(value) => serializer.serialize_i64(number),
        _ => serializer.collect_str(&value),
    }
}

pub(super) fn deserialize<'de, T: TryFrom<i128>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(NumberVisitor(PhantomData))
}

struct NumberVisitor<T>(PhantomData<T>);

impl<T: TryFrom<i128>> NumberVisitor<T> {
    fn take<E: Error>(value: i128, is_text: bool) -> Result<T, E> {
        if is_number(value) == is_text {
            return Err(E::custom(format!("{value}: numbers up to 2^53 are numbers, greater ones are text")));
        }
        T::try_from(value).map_err(|_| E::custom(format!("{value} is out of range")))
    }
}

impl<T: TryFrom<i128>> Visitor<'_> for NumberVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Self::take(value.into(), false)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Self::take(value.into(), false)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        match text.parse::<i128>() {
            // No sign, zero or other digits before it.
            Ok(value) if value.to_string() == text => Self::take(value, true),
            _ => Err(E::custom("not a whole number")),
        }
    }
}

/// Seconds since the epoch as RFC 3339 in UTC: `#[serde(with = "number::time")]`.
pub(super) mod time {
    use jiff::Timestamp;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(in super::super) fn serialize<S: Serializer>(unix: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        let time =
            Timestamp::from_second(*unix).map_err(|_| S::Error::custom(format!("{unix} is beyond all calendars")))?;
        serializer.collect_str(&time)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<Timestamp>() {
            Ok(time) if time.subsec_nanosecond() == 0 && time.to_string() == text => Ok(time.as_second()),
            _ => Err(D::Error::custom("not a time such as 2026-01-01T00:00:00Z")),
        }
    }
}
