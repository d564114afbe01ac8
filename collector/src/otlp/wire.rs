//! Protobuf on the wire, without making anything of it: fields are borrowed ranges, and [`check`] proves that a whole
//! message can be read by whoever generates code from OTLP's `.proto` files.

use super::schema::{Field, Kind, Message};

/// How deep messages may lie in each other, counted from the request. Readers made by prost stop at 100.
pub(super) const MAX_DEPTH: usize = 80;

/// Why bytes are no OTLP request.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The bytes end inside a field.
    #[error("not protobuf: it ends inside a field")]
    Truncated,
    /// A tag, length or number that protobuf does not have.
    #[error("not protobuf: a tag or number that cannot be")]
    Varint,
    /// A field written as another type than OTLP's.
    #[error("`{field}` of {message} is not written as OTLP says")]
    WireType {
        /// Message.
        message: &'static str,
        /// Field, under its JSON name.
        field: &'static str,
    },
    /// Text that is not UTF-8.
    #[error("`{field}` of {message} is not UTF-8")]
    Utf8 {
        /// Message.
        message: &'static str,
        /// Field, under its JSON name.
        field: &'static str,
    },
    /// A JSON request that holds nothing, though not by an empty list.
    #[error("there is nothing in it: an object ({message}) has no `{list}`")]
    Lacking {
        /// Message.
        message: &'static str,
        /// Field, under its JSON name.
        list: &'static str,
    },
    /// Values in values, too deep.
    #[error("messages lie more than {MAX_DEPTH} deep in each other")]
    Deep,
    /// Not JSON, or not of OTLP's shape; line and column are the cause's.
    #[error("not OTLP/JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// A field as it lies there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
    /// With its tag.
    pub(crate) whole: &'a [u8],
}

/// A field's value, by wire type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Varint,
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Raw<'a> {
    /// The content of a length-delimited field; nothing of another.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        if let Value::Bytes(bytes) = self.value { bytes } else { &[] }
    }
}

/// The fields of a message, one by one.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The fields of a message that [`check`] has passed; what it would have refused ends it.
    pub(crate) fn checked(message: &'a [u8]) -> impl Iterator<Item = Raw<'a>> {
        Self(message).map_while(Result::ok)
    }

    #[inline]
    fn read(&mut self) -> Result<Raw<'a>, Malformed> {
        let start = self.0;
        let tag = u32::try_from(varint(&mut self.0)?).map_err(|_| Malformed::Varint)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed::Varint);
        }
        let value = match tag & 7 {
            0 => {
                varint(&mut self.0)?;
                Value::Varint
            }
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).map_err(|_| Malformed::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            // Groups: OTLP never had any.
            _ => return Err(Malformed::Varint),
        };
        Ok(Raw { number, value, whole: &start[..start.len() - self.0.len()] })
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Raw<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Reads a varint off the front; nearly all of OTLP's have one byte or two.
#[inline]
fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    match *bytes {
        [one, rest @ ..] if *one < 0x80 => {
            *bytes = rest;
            Ok(u64::from(*one))
        }
        [low, high, rest @ ..] if *high < 0x80 => {
            *bytes = rest;
            Ok(u64::from(*high) << 7 | u64::from(low & 0x7f))
        }
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        if index == 9 && *byte > 1 {
            return Err(Malformed::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
    }
    Err(if bytes.len() < 10 { Malformed::Truncated } else { Malformed::Varint })
}

/// Whether the bytes are such a message, to the last nested one. Unknown fields pass, as protobuf wants. `depth` is how
/// deep the message lies in the request, which is at 0.
pub(crate) fn check(message: &'static Message, bytes: &[u8], depth: usize) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed::Deep);
    }
    for raw in Fields::of(bytes) {
        check_field(message, &raw?, depth)?;
    }
    Ok(())
}

/// Whether a field of such a message is as it should be.
#[inline]
pub(crate) fn check_field(message: &'static Message, raw: &Raw<'_>, depth: usize) -> Result<(), Malformed> {
    let Some(field) = message.by_number(raw.number) else { return Ok(()) };
    match (field.kind, raw.value) {
        (Kind::Nested(inner), Value::Bytes(bytes)) => check(inner, bytes, depth + 1),
        (Kind::String, Value::Bytes(bytes)) => {
            // Most text is ASCII, which is seen faster.
            if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
                Ok(())
            } else {
                Err(Malformed::Utf8 { message: message.name, field: field.name })
            }
        }
        (Kind::Bytes | Kind::Id, Value::Bytes(_))
        | (Kind::Double | Kind::Fixed64 | Kind::Sfixed64, Value::Fixed64)
        | (Kind::Fixed32, Value::Fixed32) => Ok(()),
        (kind, Value::Varint) if is_varint(kind) => Ok(()),
        (kind, Value::Bytes(packed)) if field.repeated => check_packed(message, field, kind, packed),
        _ => Err(Malformed::WireType { message: message.name, field: field.name }),
    }
}

fn check_packed(
    message: &'static Message,
    field: &'static Field,
    kind: Kind,
    mut packed: &[u8],
) -> Result<(), Malformed> {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 if packed.len().is_multiple_of(8) => Ok(()),
        kind if is_varint(kind) => {
            while !packed.is_empty() {
                varint(&mut packed)?;
            }
            Ok(())
        }
        _ => Err(Malformed::WireType { message: message.name, field: field.name }),
    }
}

const fn is_varint(kind: Kind) -> bool {
    matches!(kind, Kind::Bool | Kind::Int64 | Kind::Uint64 | Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Enum(_))
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a length-delimited field.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_head(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends tag and length of a length-delimited field.
pub(crate) fn put_head(out: &mut Vec<u8>, number: u32, length: usize) {
    put_varint(out, u64::from(number << 3 | 2));
    put_varint(out, length as u64);
}

/// Size of a length-delimited field of a number below 16, with its tag.
pub(crate) const fn field_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}
