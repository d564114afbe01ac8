//! The file of prices: its shape, and what is wrong with it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;
use weir_service::config::{self, ConfigError};

use super::{Price, Rates, pattern::Pattern};
use crate::quota::period::Zone;

/// Longest rate, in digits before and behind the point.
const MAX_DIGITS: usize = 18;

const HOUR: i64 = 3600;

/// Why prices cannot be used; the text is one line for a user.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// The file cannot be read, is no YAML, or a key or value of it is wrong.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A date at which no price can begin.
    #[error("{}:{line}: `prices[{index}].from`: {message}", path.display())]
    From {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Which price, from 0.
        index: usize,
        /// What is wrong, and what would be right.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileYaml {
    currency: Currency,
    #[serde(default)]
    tz: Zone,
    prices: Vec<PriceYaml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceKeys {
    #[serde(default)]
    tenant: Pattern,
    #[serde(default)]
    service: Pattern,
    #[serde(default)]
    interface: Pattern,
    from: Option<Spanned<String>>,
    per_call: Option<Rate>,
    per_1k_input_tokens: Option<Rate>,
    per_1k_output_tokens: Option<Rate>,
    per_gpu_hour: Option<Rate>,
}

/// A price that gives a rate: one without any is free of charge by mistake.
#[derive(Deserialize)]
#[serde(try_from = "PriceKeys")]
struct PriceYaml(PriceKeys);

impl TryFrom<PriceKeys> for PriceYaml {
    type Error = &'static str;

    fn try_from(keys: PriceKeys) -> Result<Self, Self::Error> {
        let rates = [&keys.per_call, &keys.per_1k_input_tokens, &keys.per_1k_output_tokens, &keys.per_gpu_hour];
        if rates.iter().all(|rate| rate.is_none()) {
            return Err(
                "a price needs at least one of per_call, per_1k_input_tokens, per_1k_output_tokens, per_gpu_hour; \
                        \"0\" is free of charge",
            );
        }
        Ok(Self(keys))
    }
}

/// Three capital letters.
struct Currency(String);

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Ok(Self(text));
        }
        Err(D::Error::custom("should be a currency code of ISO 4217: three capital letters, such as CNY"))
    }
}

/// A decimal that is written as text.
#[derive(Clone, Copy)]
struct Rate(Decimal);

struct RateVisitor;

impl RateVisitor {
    fn refuse_number<E: Error>() -> E {
        E::custom("a rate stands in quotes, such as \"0.01\": as a number it could lose digits")
    }
}

impl Visitor<'_> for RateVisitor {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal in quotes, such as \"0.01\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Rate, E> {
        decimal(text).map(Rate).ok_or_else(|| {
            E::custom(format!(
                "should be a decimal of at most {MAX_DIGITS} digits in quotes, not negative, such as \"0.01\""
            ))
        })
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Rate, E> {
        Err(Self::refuse_number())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Rate, E> {
        Err(Self::refuse_number())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Rate, E> {
        Err(Self::refuse_number())
    }

    fn visit_unit<E: Error>(self) -> Result<Rate, E> {
        Err(E::invalid_type(Unexpected::Unit, &self))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only so is a number told from text that holds one.
        deserializer.deserialize_any(RateVisitor)
    }
}

/// Digits, with a point between two of them or without: no sign, exponent or separator.
fn decimal(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if !is_digits(whole) || !is_digits(fraction) || digits > MAX_DIGITS {
        return None;
    }
    Decimal::from_str_exact(text).ok()
}

/// Unix seconds at which a date begins.
fn midnight(date: &str, zone: &TimeZone) -> Result<i64, String> {
    // jiff reads other forms of a date too; one form is enough, and what is read is what is written.
    let parsed = date.parse::<Date>().ok().filter(|parsed| parsed.to_string() == date);
    let parsed = parsed.ok_or("should be a date, such as 2026-01-01")?;
    let begins = zone.to_timestamp(parsed.to_datetime(Time::midnight()));
    let begins = begins.map_err(|_| format!("the date {date} is out of range"))?.as_second();
    if begins.rem_euclid(HOUR) != 0 {
        let zone = zone.iana_name().unwrap_or("the time zone");
        return Err(format!(
            "{date} does not begin on a full hour of UTC in {zone}, but usage is kept by such hours: \
             choose a `tz` whose offset is a whole number of hours"
        ));
    }
    Ok(begins)
}

fn checked(yaml: FileYaml, path: &Path) -> Result<(String, Vec<Price>), PricesError> {
    let rate = |rate: Option<Rate>| rate.map_or(Decimal::ZERO, |rate| rate.0);
    let zone = yaml.tz.0;
    let prices = yaml.prices.into_iter().enumerate().map(|(index, PriceYaml(keys))| {
        let from = keys.from.as_ref().map(|from| {
            let line = from.referenced.line();
            midnight(&from.value, &zone).map_err(|message| PricesError::From {
                path: path.to_owned(),
                line,
                index,
                message,
            })
        });
        Ok(Price {
            tenant: keys.tenant,
            service: keys.service,
            interface: keys.interface,
            from: from.transpose()?,
            rates: Rates {
                call: rate(keys.per_call),
                thousand_input_tokens: rate(keys.per_1k_input_tokens),
                thousand_output_tokens: rate(keys.per_1k_output_tokens),
                gpu_hour: rate(keys.per_gpu_hour),
            },
        })
    });
    Ok((yaml.currency.0, prices.collect::<Result<_, PricesError>>()?))
}

pub(super) fn load(path: &Path) -> Result<(String, Vec<Price>), PricesError> {
    checked(config::load(Some(path))?, path)
}

pub(super) fn parse(text: &str) -> Result<(String, Vec<Price>), PricesError> {
    let path = Path::new("prices");
    checked(config::parse(text, path, HashMap::new())?, path)
}
