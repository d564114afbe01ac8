//! Reads out of an `ExportTraceServiceRequest` what the fold needs, and skips the rest.
//!
//! Nothing is copied. A record that is cut short or is no such message is an error and gives nothing, whatever came
//! before the fault; what is skipped is not looked into: neither what lies behind the kind and the end of spans of other
//! kinds, nor values of attributes that say nothing of a call.

use weir_calls::attributes::{Measures, Value};
use weir_calls::{Attributes, Status};
use weir_proto::attribute;
use weir_proto::otlp::trace::v1::span::SpanKind;

/// The bytes are no `ExportTraceServiceRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ExportTraceServiceRequest: {0}")]
pub struct Undecodable(&'static str);

type Result<T> = std::result::Result<T, Undecodable>;

/// Room is made for one call in so many bytes of spans.
const CALL_BYTES: usize = 256;

/// A span of kind SERVER or CONSUMER.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) trace_id: &'a [u8],
    pub(super) span_id: &'a [u8],
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) error: bool,
    /// The parts of the interface's name.
    pub(super) interface: [&'a str; 3],
    pub(super) measures: Measures,
}

/// The spans of one resource.
#[derive(Debug)]
pub(super) struct Resource<'a> {
    pub(super) tenant: &'a str,
    pub(super) service: &'a str,
    /// Namespace and name of the pod, where it is one.
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) calls: Vec<Call<'a>>,
    /// Spans of other kinds, and the greatest end of any span.
    pub(super) others: u64,
    pub(super) latest: u64,
}

/// The tag of a field of number `field`: its wire type is a varint, eight bytes, or bytes behind their length.
const fn varint(field: u64) -> u64 {
    field << 3
}
const fn fixed64(field: u64) -> u64 {
    field << 3 | 1
}
const fn bytes(field: u64) -> u64 {
    field << 3 | 2
}

/// Reads a record's value.
pub(super) fn read(value: &[u8]) -> Result<Vec<Resource<'_>>> {
    const RESOURCE_SPANS: u64 = bytes(1);
    let mut resources = Vec::new();
    let mut reader = Reader(value);
    while let Some(tag) = reader.tag()? {
        match tag {
            RESOURCE_SPANS => resources.push(resource(reader.bytes()?)?),
            other => reader.skip(other)?,
        }
    }
    Ok(resources)
}

fn resource(value: &[u8]) -> Result<Resource<'_>> {
    const RESOURCE: u64 = bytes(1);
    const SCOPE_SPANS: u64 = bytes(2);
    const SPAN: u64 = bytes(2);
    let mut into =
        Resource { tenant: "", service: "", namespace: "", pod: "", calls: Vec::new(), others: 0, latest: 0 };
    let mut reader = Reader(value);
    while let Some(tag) = reader.tag()? {
        match tag {
            RESOURCE => names(reader.bytes()?, &mut into)?,
            SCOPE_SPANS => {
                let mut scope = Reader(reader.bytes()?);
                into.calls.reserve(scope.0.len() / CALL_BYTES);
                while let Some(tag) = scope.tag()? {
                    match tag {
                        SPAN => span(scope.bytes()?, &mut into)?,
                        other => scope.skip(other)?,
                    }
                }
            }
            other => reader.skip(other)?,
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

/// Tenant, service and pod, of a resource's attributes.
fn names<'a>(resource: &'a [u8], into: &mut Resource<'a>) -> Result<()> {
    const ATTRIBUTE: u64 = bytes(1);
    let mut reader = Reader(resource);
    while let Some(tag) = reader.tag()? {
        if tag != ATTRIBUTE {
            reader.skip(tag)?;
            continue;
        }
        let (key, value) = key_and_value(reader.bytes()?)?;
        let name = match key {
            _ if key == attribute::TENANT.as_bytes() => &mut into.tenant,
            b"service.name" => &mut into.service,
            b"k8s.namespace.name" => &mut into.namespace,
            b"k8s.pod.name" => &mut into.pod,
            _ => continue,
        };
        if let (Value::Text(text), true) = (any_value(value)?, name.is_empty()) {
            *name = text;
        }
    }
    Ok(())
}

const TRACE_ID: u64 = bytes(1);
const SPAN_ID: u64 = bytes(2);
const NAME: u64 = bytes(5);
const KIND: u64 = varint(6);
const START: u64 = fixed64(7);
const END: u64 = fixed64(8);
const ATTRIBUTE: u64 = bytes(9);
const STATUS: u64 = bytes(15);

fn span<'a>(span: &'a [u8], into: &mut Resource<'a>) -> Result<()> {
    let (mut trace_id, mut span_id, mut name) = (&b""[..], &b""[..], &b""[..]);
    let (mut kind, mut start, mut end, mut status) = (0, 0, 0, &b""[..]);
    // The kind comes before the attributes, unless somebody writes a span in an order of their own.
    let (mut attributes, mut is_passed_over) = (None, false);
    let mut reader = Reader(span);
    while let Some(tag) = reader.tag()? {
        match tag {
            TRACE_ID => trace_id = reader.bytes()?,
            SPAN_ID => span_id = reader.bytes()?,
            NAME => name = reader.bytes()?,
            KIND => kind = reader.varint()?,
            START => start = reader.fixed64()?,
            END => {
                end = reader.fixed64()?;
                if kind != 0 && !is_call(kind) {
                    break;
                }
            }
            ATTRIBUTE if is_call(kind) => {
                read_attribute(reader.bytes()?, attributes.get_or_insert_with(Attributes::default))?;
            }
            ATTRIBUTE => {
                reader.bytes()?;
                is_passed_over = true;
            }
            STATUS => status = reader.bytes()?,
            other => reader.skip(other)?,
        }
    }
    into.latest = into.latest.max(end);
    if !is_call(kind) {
        into.others += 1;
        return Ok(());
    }
    if is_passed_over {
        read_attributes(span, attributes.insert(Attributes::default()))?;
    }
    let attributes = attributes.get_or_insert_with(Attributes::default);
    into.calls.push(Call {
        trace_id,
        span_id,
        start,
        end,
        error: attributes.is_error(status_code(status)?),
        interface: attributes.interface(text(name)?),
        measures: attributes.measures(end.saturating_sub(start) / 1000),
    });
    Ok(())
}

fn is_call(kind: u64) -> bool {
    kind == SpanKind::Server as u64 || kind == SpanKind::Consumer as u64
}

/// All attributes of a span.
fn read_attributes<'a>(span: &'a [u8], into: &mut Attributes<'a>) -> Result<()> {
    let mut reader = Reader(span);
    while let Some(tag) = reader.tag()? {
        match tag {
            ATTRIBUTE => read_attribute(reader.bytes()?, into)?,
            other => reader.skip(other)?,
        }
    }
    Ok(())
}

fn read_attribute<'a>(attribute: &'a [u8], into: &mut Attributes<'a>) -> Result<()> {
    let (key, value) = key_and_value(attribute)?;
    into.take_with(key, || any_value(value))
}

/// The key, and the bytes of the value.
#[inline]
fn key_and_value(attribute: &[u8]) -> Result<(&[u8], &[u8])> {
    const KEY: u64 = bytes(1);
    const VALUE: u64 = bytes(2);
    let (mut key, mut value) = (&b""[..], &b""[..]);
    let mut reader = Reader(attribute);
    while let Some(tag) = reader.tag()? {
        match tag {
            KEY => key = reader.bytes()?,
            VALUE => value = reader.bytes()?,
            other => reader.skip(other)?,
        }
    }
    Ok((key, value))
}

fn any_value(value: &[u8]) -> Result<Value<'_>> {
    const STRING: u64 = bytes(1);
    const INT: u64 = varint(3);
    const DOUBLE: u64 = fixed64(4);
    let mut last = Value::Other;
    let mut reader = Reader(value);
    while let Some(tag) = reader.tag()? {
        last = match tag {
            STRING => Value::Text(text(reader.bytes()?)?),
            INT => Value::Int(reader.varint()? as i64),
            DOUBLE => Value::Double(f64::from_bits(reader.fixed64()?)),
            other => {
                reader.skip(other)?;
                Value::Other
            }
        };
    }
    Ok(last)
}

fn status_code(status: &[u8]) -> Result<Status> {
    const CODE: u64 = varint(3);
    let mut code = Status::Unset;
    let mut reader = Reader(status);
    while let Some(tag) = reader.tag()? {
        match tag {
            CODE => code = Status::from(reader.varint()?),
            other => reader.skip(other)?,
        }
    }
    Ok(code)
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Undecodable("text that is not UTF-8"))
}

/// What is left of a message. A field of a wire type that its number does not have is skipped, as one that is unknown.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Number and wire type of the next field; `None` at the end.
    #[inline]
    fn tag(&mut self) -> Result<Option<u64>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        match self.varint()? {
            0..8 => Err(Undecodable("a field of number 0")),
            tag => Ok(Some(tag)),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        match self.0 {
            [byte @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            [low, high @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64> {
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

    #[inline]
    fn fixed64(&mut self) -> Result<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(Undecodable("cut short"))?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.varint()?).map_err(|_| Undecodable("cut short"))?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Undecodable("cut short"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn skip(&mut self, tag: u64) -> Result<()> {
        match tag & 7 {
            0 => self.varint().map(drop),
            1 => self.fixed64().map(drop),
            2 => self.bytes().map(drop),
            5 => {
                self.0 = self.0.get(4..).ok_or(Undecodable("cut short"))?;
                Ok(())
            }
            _ => Err(Undecodable("a wire type that it does not have")),
        }
    }
}
