//! What the value of a field must be.

use std::cmp::Ordering;
use std::net::IpAddr;

use ahash::AHashSet;
use regex::Regex;

use super::near::Near;
use crate::ast::{Bound, Test};
use crate::error::CompileError;
use crate::fields::Kind;
use crate::fuzzy::Fuzzy;
use crate::number::{Decimal, canonical};
use crate::pattern;
use crate::words::words;

/// What the value of a field must be.
#[derive(Debug, Clone)]
pub(crate) enum ValueTest {
    /// Any of these: texts in lowercase, and of those that are numbers what they are listed as.
    AnyOf {
        texts: AHashSet<Box<str>>,
        numbers: AHashSet<Box<str>>,
        networks: Vec<Network>,
    },
    Expression(Regex),
    Fuzzy(Fuzzy),
    /// These words near each other in it.
    Near(Near),
    Exists,
    Range(End, End),
}

/// One end of a range, read once.
#[derive(Debug, Clone)]
pub(crate) struct End {
    of: Option<Place>,
    /// With the place itself.
    with: bool,
}

/// Where a text stands among others: numbers, addresses, and texts are each in an order of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Number(Decimal),
    Address(IpAddr),
    Text(String),
}

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl ValueTest {
    pub(crate) fn new(test: &Test, size: usize) -> Result<Self, CompileError> {
        Ok(match test {
            Test::Is(text) | Test::Near(text, 0) => Self::any_of([text.as_str()]),
            Test::Near(text, distance) => match Near::of(words(text), *distance)? {
                Some(near) => Self::Near(near),
                None => Self::any_of([text.as_str()]),
            },
            Test::Glob(pattern) => Self::Expression(pattern::glob(pattern, true, size)?),
            Test::Regex(expression) => Self::Expression(pattern::whole_value(expression, size)?),
            Test::Fuzzy(text, edits) => Self::Fuzzy(Fuzzy::new(&text.to_lowercase(), *edits)),
            Test::Exists => Self::Exists,
            Test::Range(low, high) => Self::Range(End::new(low), End::new(high)),
        })
    }

    pub(crate) fn any_of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut texts, mut numbers, mut networks) = (AHashSet::new(), AHashSet::new(), Vec::new());
        for value in values {
            texts.insert(value.to_lowercase().into_boxed_str());
            numbers.extend(canonical(value).map(String::into_boxed_str));
            networks.extend(Network::read(value));
        }
        Self::AnyOf { texts, numbers, networks }
    }

    /// Whether a value passes, by its text and what it is.
    pub(crate) fn passes(&self, text: &str, kind: Kind) -> bool {
        match self {
            Self::AnyOf { texts, numbers, networks } => {
                let lower = lowercase(text);
                texts.contains(&*lower)
                    || (kind.is_number() && numbers.contains(text))
                    || (!networks.is_empty() && networks.iter().any(|network| network.holds(text)))
            }
            Self::Expression(pattern) => pattern.is_match(text),
            Self::Fuzzy(fuzzy) => fuzzy.is_match(&text.to_lowercase()),
            Self::Near(near) => near.is_in(text),
            Self::Exists => true,
            Self::Range(low, high) => {
                let place = Place::of(text);
                low.allows(&place, Ordering::Greater) && high.allows(&place, Ordering::Less)
            }
        }
    }

    /// Whether a text that is not there where it is empty passes: what asks for the empty text asks that it is not.
    pub(crate) fn is_there(&self, text: &str) -> bool {
        match self {
            Self::AnyOf { texts, .. } if text.is_empty() => texts.contains(""),
            _ => !text.is_empty() && self.passes(text, Kind::Text),
        }
    }

    /// Least and greatest of the whole numbers of 64 bits that pass, where all between them do: of a range of numbers. The
    /// least is above the greatest where none passes.
    pub(crate) fn ints(&self) -> Option<(i64, i64)> {
        let Self::Range(low, high) = self else { return None };
        let (least, most) = (low.least()?, high.most()?);
        let none = (i64::MAX, i64::MIN);
        if least > i128::from(i64::MAX) || most < i128::from(i64::MIN) || least > most {
            return Some(none);
        }
        let within = |number: i128| number.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Some((within(least), within(most)))
    }

    /// Whether no number from `low` to `high` passes; texts of numbers.
    pub(crate) fn excludes(&self, low: &str, high: &str) -> bool {
        let (Some(least), Some(most)) = (Decimal::read(low), Decimal::read(high)) else { return false };
        match self {
            Self::Range(from, until) => {
                !from.allows(&Place::Number(most), Ordering::Greater)
                    || !until.allows(&Place::Number(least), Ordering::Less)
            }
            Self::AnyOf { texts, networks, .. } => {
                networks.is_empty()
                    && texts.iter().all(|text| Decimal::read(text).is_none_or(|number| number < least || number > most))
            }
            _ => false,
        }
    }
}

fn lowercase(text: &str) -> std::borrow::Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        text.into()
    } else {
        text.to_lowercase().into()
    }
}

impl End {
    fn new(bound: &Bound) -> Self {
        match bound {
            Bound::Open => Self { of: None, with: true },
            Bound::Including(text) => Self { of: Some(Place::of(text)), with: true },
            Bound::Excluding(text) => Self { of: Some(Place::of(text)), with: false },
        }
    }

    /// The least whole number behind it, where it is the first end of a range of numbers.
    fn least(&self) -> Option<i128> {
        match &self.of {
            None => Some(i64::MIN.into()),
            Some(Place::Number(number)) => {
                let (floor, is_whole) = number.floor();
                Some(floor + i128::from(!is_whole || !self.with))
            }
            Some(_) => None,
        }
    }

    /// The greatest whole number before it, where it is the last end of a range of numbers.
    fn most(&self) -> Option<i128> {
        match &self.of {
            None => Some(i64::MAX.into()),
            Some(Place::Number(number)) => {
                let (floor, is_whole) = number.floor();
                Some(floor - i128::from(is_whole && !self.with))
            }
            Some(_) => None,
        }
    }

    fn allows(&self, place: &Place, side: Ordering) -> bool {
        let Some(end) = &self.of else { return true };
        // A number is never in a range of words, nor a word in a range of numbers.
        place.compare(end).is_some_and(|order| order == side || (self.with && order == Ordering::Equal))
    }
}

impl Place {
    fn of(text: &str) -> Self {
        if let Some(number) = Decimal::read(text) {
            return Self::Number(number);
        }
        text.parse().map_or_else(|_| Self::Text(text.to_lowercase()), Self::Address)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Some(a.cmp(b)),
            (Self::Address(a), Self::Address(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

impl Network {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
    }

    fn holds(&self, text: &str) -> bool {
        match (self.address, text.parse()) {
            (IpAddr::V4(block), Ok(IpAddr::V4(one))) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                block.to_bits() & mask == one.to_bits() & mask
            }
            (IpAddr::V6(block), Ok(IpAddr::V6(one))) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                block.to_bits() & mask == one.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// The texts under which a value that equals `text` is listed (in lowercase; numbers as [`canonical`] has them); `None`
/// where these are too many to be named.
pub fn listed(text: &str) -> Option<Vec<String>> {
    if Network::read(text).is_some() {
        return None;
    }
    let lower = text.to_lowercase();
    let number = canonical(text).filter(|number| *number != lower);
    Some(std::iter::once(lower).chain(number).collect())
}
