//! Reads out of an `ExportTraceServiceRequest` what the fold needs, and skips the rest.
//!
//! Nothing is copied. A record that is cut short or is no such message is an error and gives nothing, whatever came
//! before the fault; what is skipped is not looked into.

use weir_calls::attributes::Value;
use weir_calls::{Attributes, Status};
use weir_proto::attribute;
use weir_proto::otlp::trace::v1::span::SpanKind;

/// The bytes are no `ExportTraceServiceRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ExportTraceServiceRequest: {0}")]
pub struct Undecodable(&'static str);

type Result<T> = std::result::Result<T, Undecodable>;

/// A span of kind SERVER or CONSUMER.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Call<'a> {
    pub(super) trace_id: &'a [u8],
    pub(super) span_id: &'a [u8],
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) error: bool,
    /// The parts of the interface's name.
    pub(super) interface: [&'a str; 3],
    /// Request and response bytes, input and output tokens.
    pub(super) sums: [u64; 4],
    /// Values that were not understood, by reason.
    pub(super) unread: [u8; 4],
}

/// The spans of one resource.
#[derive(Debug)]
pub(super) struct Resource<'a> {
    pub(super) tenant: &'a str,
    pub(super) service: &'a str,
    pub(super) calls: Vec<Call<'a>>,
    /// Spans of other kinds, and the greatest end of any span.
    pub(super) others: u64,
    pub(super) latest: u64,
}

/// Reads a record's value.
pub(super) fn read(value: &[u8]) -> Result<Vec<Resource<'_>>> {
    let mut resources = Vec::new();
    let mut fields = Fields(value);
    while let Some((field, value)) = fields.next()? {
        if field == 1 {
            resources.push(resource(value.bytes()?)?);
        }
    }
    Ok(resources)
}

fn resource(bytes: &[u8]) -> Result<Resource<'_>> {
    let mut into = Resource { tenant: "", service: "", calls: Vec::new(), others: 0, latest: 0 };
    let mut fields = Fields(bytes);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => {
                let mut own = Fields(value.bytes()?);
                while let Some((field, value)) = own.next()? {
                    if field == 1 {
                        let (key, value) = attribute(value.bytes()?)?;
                        if let Value::Text(text) = value {
                            if key == attribute::TENANT.as_bytes() && into.tenant.is_empty() {
                                into.tenant = text;
                            } else if key == b"service.name" && into.service.is_empty() {
                                into.service = text;
                            }
                        }
                    }
                }
            }
            2 => {
                let mut scope = Fields(value.bytes()?);
                while let Some((field, value)) = scope.next()? {
                    if field == 2 {
                        span(value.bytes()?, &mut into)?;
                    }
                }
            }
            _ => {}
        }
    }
    if into.tenant.is_empty() {
        into.tenant = "default";
    }
    if into.service.is_empty() {
        into.service = "unknown_service";
    }
    Ok(into)
}

fn span<'a>(bytes: &'a [u8], into: &mut Resource<'a>) -> Result<()> {
    let (mut call, mut kind, mut has_attributes) = (Call::default(), 0, false);
    let (mut name, mut status) = ("", Status::Unset);
    let mut fields = Fields(bytes);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => call.trace_id = value.bytes()?,
            2 => call.span_id = value.bytes()?,
            5 => name = value.text()?,
            6 => kind = value.number()?,
            7 => call.start = value.number()?,
            8 => call.end = value.number()?,
            9 => has_attributes = true,
            15 => {
                let mut own = Fields(value.bytes()?);
                while let Some((field, value)) = own.next()? {
                    if field == 3 {
                        status = Status::from(value.number()?);
                    }
                }
            }
            _ => {}
        }
    }
    into.latest = into.latest.max(call.end);
    if kind != SpanKind::Server as u64 && kind != SpanKind::Consumer as u64 {
        into.others += 1;
        return Ok(());
    }
    let mut attributes = Attributes::default();
    if has_attributes {
        let mut fields = Fields(bytes);
        while let Some((field, value)) = fields.next()? {
            if field == 9 {
                let (key, value) = attribute(value.bytes()?)?;
                attributes.take(key, value);
            }
        }
        call.sums = attributes.sums();
        call.unread = attributes.unread();
    }
    call.error = attributes.is_error(status);
    call.interface = attributes.interface(name);
    into.calls.push(call);
    Ok(())
}

/// Key and value; only a string value is held to be UTF-8.
fn attribute(bytes: &[u8]) -> Result<(&[u8], Value<'_>)> {
    let (mut key, mut value) = (&b""[..], Value::Other);
    let mut fields = Fields(bytes);
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => key = wire.bytes()?,
            2 => {
                let mut any = Fields(wire.bytes()?);
                while let Some((field, wire)) = any.next()? {
                    value = match field {
                        1 => Value::Text(wire.text()?),
                        3 => Value::Int(wire.number()? as i64),
                        4 => Value::Double(f64::from_bits(wire.number()?)),
                        _ => Value::Other,
                    };
                }
            }
            _ => {}
        }
    }
    Ok((key, value))
}

/// The fields of a message, one after the other.
struct Fields<'a>(&'a [u8]);

#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    #[inline]
    fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => {
                let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(Undecodable("cut short"))?;
                self.0 = rest;
                Wire::Number(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Undecodable("cut short"))?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Undecodable("cut short"))?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            5 => {
                let (bytes, rest) = self.0.split_first_chunk::<4>().ok_or(Undecodable("cut short"))?;
                self.0 = rest;
                Wire::Number(u64::from(u32::from_le_bytes(*bytes)))
            }
            _ => return Err(Undecodable("a wire type that it does not have")),
        };
        match tag >> 3 {
            0 => Err(Undecodable("a field of number 0")),
            field => Ok(Some((field, value))),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for at in 0..10 {
            let Some((&byte, rest)) = self.0.split_first() else { return Err(Undecodable("cut short")) };
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Undecodable("a number that does not end"))
    }
}

impl<'a> Wire<'a> {
    #[inline]
    fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(Undecodable("a number where bytes belong")),
        }
    }

    #[inline]
    fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Undecodable("text that is not UTF-8"))
    }

    #[inline]
    fn number(self) -> Result<u64> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) => Err(Undecodable("bytes where a number belongs")),
        }
    }
}
