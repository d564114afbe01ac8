//! OTLP/JSON into OTLP protobuf, straight from the text: no tree of values, no structs in between.
//!
//! As OTLP says: ids are hex, 64-bit integers are strings or numbers, unknown fields are ignored, `null` is a field
//! left out. More than it says, since senders do so: protobuf's own field names (`resource_logs`), names of enumerated
//! values with and without their prefix (`STATUS_CODE_OK`, `OK`), any number as a string, base64 of both alphabets
//! with or without padding. Nesting is bounded by the JSON reader at 128.

use std::cell::Cell;
use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};

use crate::otlp::Signal;
use crate::otlp::schema::{Field, Kind, Message};
use crate::otlp::wire::{Malformed, put_bytes, put_varint};

/// A request that was written as JSON.
#[derive(Debug)]
pub struct Request {
    /// The same in protobuf. What it holds is not checked further: see [`crate::otlp::split`].
    pub protobuf: Vec<u8>,
    /// The first object that has not even an empty list of what it is there to hold. Where the request holds nothing at
    /// all, this is why: a name was mistaken, and what was meant would be lost in silence.
    pub lacking: Option<Lacking>,
}

/// An object without its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacking {
    /// Message that the object is.
    pub message: &'static str,
    /// Field, under its JSON name.
    pub list: &'static str,
}

/// Reads a request.
pub fn read(signal: Signal, json: &[u8]) -> Result<Request, Malformed> {
    let mut protobuf = Vec::with_capacity(json.len() / 2);
    let lacking = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(json);
    Fields { message: signal.request(), out: &mut protobuf, lacking: &lacking }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(Request { protobuf, lacking: lacking.get() })
}

/// The list that a message is there to hold; `ScopeLogs` is sent empty by those that filter logs.
fn list_of(message: &str) -> Option<&'static str> {
    match message {
        "ExportLogsServiceRequest" => Some("resourceLogs"),
        "ResourceLogs" => Some("scopeLogs"),
        "ExportTraceServiceRequest" => Some("resourceSpans"),
        "ResourceSpans" => Some("scopeSpans"),
        "ScopeSpans" => Some("spans"),
        "ExportMetricsServiceRequest" => Some("resourceMetrics"),
        "ResourceMetrics" => Some("scopeMetrics"),
        "ScopeMetrics" => Some("metrics"),
        "Gauge" | "Sum" | "Histogram" | "ExponentialHistogram" | "Summary" => Some("dataPoints"),
        _ => None,
    }
}

/// The fields of a message, from an object.
struct Fields<'a> {
    message: &'static Message,
    out: &'a mut Vec<u8>,
    lacking: &'a Cell<Option<Lacking>>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut missing = list_of(self.message.name);
        while let Some(found) = map.next_key_seed(Name(self.message))? {
            let Some(field) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            missing = missing.filter(|list| *list != field.name);
            map.next_value_seed(Content { field, inside: false, out: self.out, lacking: self.lacking })?;
        }
        if let Some(list) = missing
            && self.lacking.get().is_none()
        {
            self.lacking.set(Some(Lacking { message: self.message.name, list }));
        }
        Ok(())
    }
}

/// A field by its name.
struct Name(&'static Message);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.by_name(name))
    }
}

/// The value of a field; `inside` a repeated field's array, one of its elements.
struct Content<'a> {
    field: &'static Field,
    inside: bool,
    out: &'a mut Vec<u8>,
    lacking: &'a Cell<Option<Lacking>>,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Content<'_> {
    fn is_array(&self) -> bool {
        self.field.repeated && !self.inside
    }

    fn tag(&mut self, wire: u32) {
        put_varint(self.out, u64::from(self.field.number << 3 | wire));
    }

    fn put_varint(&mut self, value: u64) {
        self.tag(0);
        put_varint(self.out, value);
    }

    fn put_fixed64(&mut self, value: u64) {
        self.tag(1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes an integer, where it fits the field.
    fn integer<E: de::Error>(mut self, value: i128) -> Result<(), E> {
        let field = self.field;
        let wrong = || E::custom(format_args!("{value} is out of range for `{}`", field.name));
        if self.is_array() {
            return Err(E::custom(format_args!("`{}` is an array", field.name)));
        }
        match field.kind {
            Kind::Double => self.put_fixed64((value as f64).to_bits()),
            Kind::Fixed64 => self.put_fixed64(u64::try_from(value).map_err(|_| wrong())?),
            Kind::Sfixed64 => self.put_fixed64(i64::try_from(value).map_err(|_| wrong())? as u64),
            Kind::Uint64 => self.put_varint(u64::try_from(value).map_err(|_| wrong())?),
            Kind::Int64 => self.put_varint(i64::try_from(value).map_err(|_| wrong())? as u64),
            Kind::Uint32 => self.put_varint(u64::from(u32::try_from(value).map_err(|_| wrong())?)),
            Kind::Int32 | Kind::Enum(_) => {
                self.put_varint(i64::from(i32::try_from(value).map_err(|_| wrong())?) as u64);
            }
            Kind::Sint32 => {
                let value = i32::try_from(value).map_err(|_| wrong())?;
                self.put_varint(u64::from(((value << 1) ^ (value >> 31)) as u32));
            }
            Kind::Fixed32 => {
                let value = u32::try_from(value).map_err(|_| wrong())?;
                self.tag(5);
                self.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::String | Kind::Bytes | Kind::Id | Kind::Bool | Kind::Nested(_) => {
                return Err(E::invalid_type(Unexpected::Other("number"), &self));
            }
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.field.kind {
            _ if self.is_array() => "an array",
            Kind::String => "a string",
            Kind::Bytes => "base64",
            Kind::Id => "hex",
            Kind::Bool => "true or false",
            Kind::Double => "a number",
            Kind::Enum(_) => "a number or a name",
            Kind::Nested(_) => "an object",
            _ => "an integer",
        };
        write!(f, "{what} for `{}`", self.field.name)
    }

    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        match self.field.kind {
            _ if !self.inside => Ok(()),
            Kind::Nested(_) => {
                self.tag(2);
                self.out.push(0);
                Ok(())
            }
            _ => Err(E::invalid_type(Unexpected::Unit, &self)),
        }
    }

    fn visit_bool<E: de::Error>(mut self, value: bool) -> Result<(), E> {
        if self.is_array() || !matches!(self.field.kind, Kind::Bool) {
            return Err(E::invalid_type(Unexpected::Bool(value), &self));
        }
        self.put_varint(u64::from(value));
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value))
    }

    fn visit_f64<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        if matches!(self.field.kind, Kind::Double) && !self.is_array() {
            self.put_fixed64(value.to_bits());
            return Ok(());
        }
        // Protobuf's JSON takes 1.0 and 1e3 for integers.
        if value.fract() == 0.0 && value.abs() < 1e19 {
            return self.integer(value as i128);
        }
        Err(E::invalid_type(Unexpected::Float(value), &self))
    }

    fn visit_str<E: de::Error>(mut self, text: &str) -> Result<(), E> {
        let wrong = |content: &Self| E::invalid_value(Unexpected::Str(text), content);
        if self.is_array() {
            return Err(E::invalid_type(Unexpected::Str(text), &self));
        }
        let number = self.field.number;
        match self.field.kind {
            Kind::String => put_bytes(self.out, number, text.as_bytes()),
            Kind::Bytes => {
                let bytes = BASE64.decode(standard_alphabet(text)).map_err(|_| wrong(&self))?;
                put_bytes(self.out, number, &bytes);
            }
            Kind::Id => put_bytes(self.out, number, &hex::decode(text).map_err(|_| wrong(&self))?),
            Kind::Double => {
                let value = match text {
                    "NaN" => f64::NAN,
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    _ => text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| wrong(&self))?,
                };
                self.put_fixed64(value.to_bits());
            }
            Kind::Bool | Kind::Nested(_) => return Err(E::invalid_type(Unexpected::Str(text), &self)),
            Kind::Enum(names) if names.number(text).is_some() => {
                return self.integer(names.number(text).unwrap_or_default() as i128);
            }
            _ => {
                let value = text.parse().map_err(|_| wrong(&self))?;
                return self.integer(value);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        if !self.is_array() {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        let Self { field, out, lacking, .. } = self;
        while array.next_element_seed(Content { field, inside: true, out: &mut *out, lacking })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let Kind::Nested(message) = self.field.kind else {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        };
        if self.is_array() {
            return Err(A::Error::invalid_type(Unexpected::Map, &self));
        }
        self.tag(2);
        let start = self.out.len();
        Fields { message, out: &mut *self.out, lacking: self.lacking }.visit_map(map)?;
        let mut length = Vec::with_capacity(5);
        put_varint(&mut length, (self.out.len() - start) as u64);
        self.out.splice(start..start, length);
        Ok(())
    }
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn standard_alphabet(text: &str) -> String {
    text.replace('-', "+").replace('_', "/")
}
