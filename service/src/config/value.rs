//! Durations, sizes and addresses as users write them.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration as users write it: `30s`, `5m`, `1h30m`, `7d`, `500ms`. Units: `ns us ms s m h d w y`; `0` needs none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A size as users write it: a number of bytes, or with `KB`, `MB`, `GB`, `TB` (powers of 1000), `KiB`… or, as
/// Kubernetes writes them, `Ki`… (of 1024).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// An address to listen on as users write it: `host:port`, where the host is an IP address, or `localhost`, which is
/// 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

/// Text that is no [`Span`], [`Size`] or [`Address`]; it says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("«{text}» is not {wanted}")]
pub struct ValueError {
    text: String,
    wanted: &'static str,
}

const SPAN: &str = "a duration such as 500ms, 30s, 5m, 1h30m or 7d";
const SIZE: &str = "a size such as 4096, 64KB, 64MB, 50GB or 1MiB";
const ADDRESS: &str =
    "an address such as localhost:4317, 127.0.0.1:4317 or [::1]:4317; 0.0.0.0:4317 is all addresses of this machine";

const SPAN_UNITS: [(&str, u128); 9] = [
    ("y", 31_536_000_000_000_000),
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const SIZE_UNITS: [(&str, u64); 14] = [
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("Ki", 1 << 10),
    ("KiB", 1 << 10),
    ("Mi", 1 << 20),
    ("MiB", 1 << 20),
    ("Gi", 1 << 30),
    ("GiB", 1 << 30),
    ("Ti", 1 << 40),
    ("TiB", 1 << 40),
];

/// A number and the rest behind it.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    Some((text.get(..end)?.parse().ok()?, text.get(end..)?))
}

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let read = || {
            let mut rest = text.trim();
            if rest == "0" {
                return Some(Duration::ZERO);
            }
            let mut nanos: u128 = 0;
            loop {
                let (count, behind) = number(rest)?;
                let end = behind.bytes().position(|b| !b.is_ascii_alphabetic()).unwrap_or(behind.len());
                let (unit, next) = behind.split_at_checked(end)?;
                let (_, size) = SPAN_UNITS.iter().find(|(name, _)| *name == unit)?;
                nanos = nanos.checked_add(u128::from(count).checked_mul(*size)?)?;
                rest = next;
                if rest.is_empty() {
                    break;
                }
            }
            let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
            Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
        };
        read().map(Span).ok_or_else(|| ValueError { text: text.to_owned(), wanted: SPAN })
    }
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let read = || {
            let (count, unit) = number(text.trim())?;
            let (_, size) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))?;
            count.checked_mul(*size)
        };
        read().map(Size).ok_or_else(|| ValueError { text: text.to_owned(), wanted: SIZE })
    }
}

impl FromStr for Address {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let read = |text: &str| {
            let (host, port) = text.rsplit_once(':')?;
            if host.eq_ignore_ascii_case("localhost") {
                return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)));
            }
            text.parse().ok()
        };
        read(text.trim()).map(Address).ok_or_else(|| ValueError { text: text.to_owned(), wanted: ADDRESS })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in &SPAN_UNITS[2..] {
            if rest >= *size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = SIZE_UNITS
            .iter()
            .filter(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
            .max_by_key(|(_, size)| size)
            .unwrap_or(&SIZE_UNITS[1]);
        write!(f, "{}{}", self.0 / size, if unit.is_empty() { "B" } else { unit })
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SPAN)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Span, E> {
        if number == 0 { Ok(Span(Duration::ZERO)) } else { Err(E::invalid_type(Unexpected::Unsigned(number), &self)) }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Span, E> {
        if number == 0 { Ok(Span(Duration::ZERO)) } else { Err(E::invalid_type(Unexpected::Signed(number), &self)) }
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SIZE)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Size, E> {
        Ok(Size(number))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Size, E> {
        u64::try_from(number).map(Size).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

struct AddressVisitor;

impl Visitor<'_> for AddressVisitor {
    type Value = Address;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ADDRESS)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Address, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AddressVisitor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_users_write_them() {
        let seconds = |text: &str| text.parse::<Span>().map(|span| span.0.as_secs_f64());
        assert_eq!(seconds("30s"), Ok(30.0));
        assert_eq!(seconds("1h30m"), Ok(5400.0));
        assert_eq!(seconds("7d"), Ok(604_800.0));
        assert_eq!(seconds("1y"), Ok(31_536_000.0));
        assert_eq!(Span(Duration::from_hours(24 * 400)).to_string(), "400d");
        assert_eq!(seconds("500ms"), Ok(0.5));
        assert_eq!(seconds("0s"), Ok(0.0));
        assert_eq!(seconds("0"), Ok(0.0));
        for wrong in ["", "30", "s", "5 minutes", "-3s", "1.5s", "1hh", "99999999999999999999w", "3é"] {
            assert!(wrong.parse::<Span>().unwrap_err().to_string().ends_with(SPAN), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read_as_users_write_them() {
        let bytes = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("64MB"), Ok(64_000_000));
        assert_eq!((bytes("1MiB"), bytes("1Mi")), (Ok(1 << 20), Ok(1 << 20)));
        assert_eq!(bytes("50 GB"), Ok(50_000_000_000));
        assert_eq!(
            [50_000_000_000, 64 << 20, 1, 0].map(|bytes| Size(bytes).to_string()),
            ["50GB", "64MiB", "1B", "0B"]
        );
        for wrong in ["", "MB", "-1", "1.5MB", "7 bananas", "99999999999TB"] {
            assert!(wrong.parse::<Size>().unwrap_err().to_string().ends_with(SIZE), "{wrong}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_a_size_but_no_duration() {
        assert_eq!(serde_json::from_str::<Size>("4096").unwrap(), Size(4096));
        let error = serde_json::from_str::<Span>("30").unwrap_err().to_string();
        assert!(error.contains("expected a duration such as"), "{error}");
    }

    #[test]
    fn addresses_are_read_as_users_write_them() {
        let shown = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        for (text, address) in [
            ("127.0.0.1:4317", "127.0.0.1:4317"),
            ("localhost:4317", "127.0.0.1:4317"),
            ("[::1]:0", "[::1]:0"),
            (" 0.0.0.0:1", "0.0.0.0:1"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(address));
        }
        for wrong in ["", ":4317", "*:4317", "localhost", "localhost:", "localhost:65536", "4317", "::1:4317", "weir:1"]
        {
            let said = wrong.parse::<Address>().unwrap_err().to_string();
            assert_eq!(said, format!("«{wrong}» is not {ADDRESS}"));
        }
        let error = serde_json::from_str::<Address>("4317").unwrap_err().to_string();
        assert!(error.contains("expected an address such as localhost:4317"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(
            seconds: u64, nanos in 0u32..1_000_000_000, bytes: u64, ip: std::net::IpAddr, port: u16
        ) {
            let span = Span(Duration::new(seconds, nanos));
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
            prop_assert_eq!(Size(bytes).to_string().parse::<Size>(), Ok(Size(bytes)));
            let address = Address(SocketAddr::new(ip, port));
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Span>();
            let _ = text.parse::<Size>();
            let _ = text.parse::<Address>();
        }
    }
}
