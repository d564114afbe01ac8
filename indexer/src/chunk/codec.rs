//! The bytes of a chunk: columns, so that the compression of the document store finds like beside like.
//!
//! Numbers are LEB128, signed ones zigzag, and most stand as the difference to the one before. Decoding checks every
//! length, so damaged bytes are an error and never more memory than they are long.

use std::sync::Arc;

use ahash::AHashMap;
use bytes::Bytes;
use prost::Message as _;
use weir_proto::otlp::common::v1::AnyValue;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_query::line::{Body, Line, LineId, Source};

use crate::Error;

const VERSION: u8 = 1;

/// The columns of `lines`, which all have the source of the first. No line makes an empty chunk.
pub fn encode(lines: &[&Line]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.iter().map(|line| line.body.len() + 32).sum());
    out.push(VERSION);
    put(&mut out, lines.len() as u64);
    let Some(first) = lines.first() else { return out };
    put_source(&mut out, &first.source);
    deltas(&mut out, lines.iter().map(|line| line.time));
    out.extend(lines.iter().map(|line| line.severity));
    dictionary(&mut out, lines.iter().map(|line| line.severity_text.as_str()));
    deltas(&mut out, lines.iter().map(|line| i64::from(line.id.partition)));
    deltas(&mut out, lines.iter().map(|line| line.id.offset));
    deltas(&mut out, lines.iter().map(|line| i64::from(line.id.index)));
    blobs(&mut out, lines.iter().map(|line| line.trace_id.as_ref()));
    blobs(&mut out, lines.iter().map(|line| line.span_id.as_ref()));
    out.extend(lines.iter().map(|line| match line.body {
        Body::Text(_) => 0,
        Body::Bytes(_) => 1,
        Body::Json(_) => 2,
    }));
    blobs(&mut out, lines.iter().map(|line| line.body.bytes()));
    put_attributes(&mut out, lines);
    out
}

/// The lines of a chunk, as they were given to [`encode`].
pub fn decode(bytes: &[u8]) -> Result<Vec<Line>, Error> {
    let mut input = Reader(bytes);
    if input.byte()? != VERSION {
        return Err(Error::Chunk("unknown version"));
    }
    let count = input.count()?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let source = Arc::new(input.source()?);
    let times = input.deltas(count)?;
    let severities = input.take(count)?;
    let texts = input.dictionary(count)?;
    let partitions = input.deltas(count)?;
    let offsets = input.deltas(count)?;
    let indices = input.deltas(count)?;
    let trace_ids = input.blobs(count)?;
    let span_ids = input.blobs(count)?;
    let kinds = input.take(count)?;
    let bodies = input.blobs(count)?;
    let attributes = input.attributes(count)?;
    let mut lines = Vec::with_capacity(count);
    for (i, attributes) in attributes.into_iter().enumerate() {
        let body = match kinds[i] {
            0 => Body::Text(text(bodies[i])?),
            1 => Body::Bytes(Bytes::copy_from_slice(bodies[i])),
            2 => Body::Json(text(bodies[i])?),
            _ => return Err(Error::Chunk("unknown kind of body")),
        };
        let id = LineId {
            partition: i32::try_from(partitions[i]).map_err(|_| Error::Chunk("partition out of range"))?,
            offset: offsets[i],
            index: u32::try_from(indices[i]).map_err(|_| Error::Chunk("line number out of range"))?,
        };
        lines.push(Line {
            id,
            time: times[i],
            severity: severities[i],
            severity_text: texts[i].clone(),
            body,
            trace_id: Bytes::copy_from_slice(trace_ids[i]),
            span_id: Bytes::copy_from_slice(span_ids[i]),
            attributes,
            source: source.clone(),
            span: None,
        });
    }
    Ok(lines)
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)) as u64);
}

fn put_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn deltas(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    let mut last = 0_i64;
    for number in numbers {
        put_signed(out, number.wrapping_sub(last));
        last = number;
    }
}

/// All lengths, then all bytes.
fn blobs<'a>(out: &mut Vec<u8>, blobs: impl Iterator<Item = &'a [u8]> + Clone) {
    for blob in blobs.clone() {
        put(out, blob.len() as u64);
    }
    for blob in blobs {
        out.extend_from_slice(blob);
    }
}

/// The distinct texts, then each line's place among them.
fn dictionary<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a str>) {
    let (mut places, mut ordinals) = (AHashMap::new(), Vec::new());
    let mut distinct = Vec::new();
    for text in texts {
        ordinals.push(*places.entry(text).or_insert_with(|| {
            distinct.push(text);
            distinct.len() as u64 - 1
        }));
    }
    put(out, distinct.len() as u64);
    for text in distinct {
        put_blob(out, text.as_bytes());
    }
    for ordinal in ordinals {
        put(out, ordinal);
    }
}

fn put_source(out: &mut Vec<u8>, source: &Source) {
    for text in [&source.tenant, &source.service, &source.scope] {
        put_blob(out, text.as_bytes());
    }
    put(out, source.resource.len() as u64);
    for (key, value) in &source.resource {
        put_blob(out, key.as_bytes());
        put_value(out, value, &mut 0);
    }
}

/// The number of attributes of each line, their keys by dictionary, then their values; integers as the difference to
/// the last one under the same key.
fn put_attributes(out: &mut Vec<u8>, lines: &[&Line]) {
    for line in lines {
        put(out, line.attributes.len() as u64);
    }
    dictionary(out, lines.iter().flat_map(|line| line.attributes.iter().map(|(key, _)| key.as_str())));
    let mut last = AHashMap::new();
    for (key, value) in lines.iter().flat_map(|line| &line.attributes) {
        put_value(out, value, last.entry(key.as_str()).or_insert(0));
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value, last: &mut i64) {
    match value {
        Value::StringValue(text) => {
            out.push(0);
            put_blob(out, text.as_bytes());
        }
        Value::BoolValue(flag) => out.push(1 + u8::from(*flag)),
        Value::IntValue(number) => {
            out.push(3);
            put_signed(out, number.wrapping_sub(*last));
            *last = *number;
        }
        Value::DoubleValue(number) => {
            out.push(4);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Value::BytesValue(bytes) => {
            out.push(5);
            put_blob(out, bytes);
        }
        other => {
            out.push(6);
            put_blob(out, &AnyValue { value: Some(other.clone()) }.encode_to_vec());
        }
    }
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Error::Chunk("text that is not UTF-8"))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Error::Chunk("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::Chunk("a number is too long"))
    }

    fn signed(&mut self) -> Result<i64, Error> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A number of things that take at least a byte each.
    fn count(&mut self) -> Result<usize, Error> {
        let count = self.number()?;
        if count > self.0.len() as u64 {
            return Err(Error::Chunk("it counts more than it holds"));
        }
        Ok(count as usize)
    }

    fn blob(&mut self) -> Result<&'a [u8], Error> {
        let length = self.count()?;
        self.take(length)
    }

    fn deltas(&mut self, count: usize) -> Result<Vec<i64>, Error> {
        let mut last = 0_i64;
        let mut next = || {
            last = last.wrapping_add(self.signed()?);
            Ok(last)
        };
        (0..count).map(|_| next()).collect()
    }

    fn blobs(&mut self, count: usize) -> Result<Vec<&'a [u8]>, Error> {
        let lengths = (0..count).map(|_| self.number()).collect::<Result<Vec<_>, _>>()?;
        lengths.into_iter().map(|n| self.take(usize::try_from(n).unwrap_or(usize::MAX))).collect()
    }

    fn dictionary(&mut self, count: usize) -> Result<Vec<String>, Error> {
        let distinct = self.count()?;
        let distinct = (0..distinct).map(|_| text(self.blob()?)).collect::<Result<Vec<_>, _>>()?;
        let mut next = || {
            let ordinal = usize::try_from(self.number()?).unwrap_or(usize::MAX);
            distinct.get(ordinal).cloned().ok_or(Error::Chunk("a text is missing"))
        };
        (0..count).map(|_| next()).collect()
    }

    fn source(&mut self) -> Result<Source, Error> {
        let (tenant, service, scope) = (text(self.blob()?)?, text(self.blob()?)?, text(self.blob()?)?);
        let count = self.count()?;
        let mut resource = Vec::with_capacity(count);
        for _ in 0..count {
            resource.push((text(self.blob()?)?, self.value(&mut 0)?));
        }
        Ok(Source { tenant, service, resource, scope })
    }

    fn attributes(&mut self, count: usize) -> Result<Vec<Vec<(String, Value)>>, Error> {
        let counts = (0..count).map(|_| self.number()).collect::<Result<Vec<_>, _>>()?;
        let total = counts.iter().try_fold(0_u64, |sum, n| sum.checked_add(*n)).unwrap_or(u64::MAX);
        if total > self.0.len() as u64 {
            return Err(Error::Chunk("it counts more than it holds"));
        }
        let mut keys = self.dictionary(total as usize)?.into_iter();
        let mut last: AHashMap<String, i64> = AHashMap::new();
        let mut lines = Vec::with_capacity(count);
        for count in counts {
            let mut attributes = Vec::with_capacity(count as usize);
            for key in keys.by_ref().take(count as usize) {
                let value = match last.get_mut(&key) {
                    Some(last) => self.value(last)?,
                    None => self.value(last.entry(key.clone()).or_insert(0))?,
                };
                attributes.push((key, value));
            }
            lines.push(attributes);
        }
        Ok(lines)
    }

    fn value(&mut self, last: &mut i64) -> Result<Value, Error> {
        Ok(match self.byte()? {
            0 => Value::StringValue(text(self.blob()?)?),
            1 => Value::BoolValue(false),
            2 => Value::BoolValue(true),
            3 => {
                *last = last.wrapping_add(self.signed()?);
                Value::IntValue(*last)
            }
            4 => {
                let bits = self.take(8)?.try_into().map_err(|_| Error::Chunk("it ends too early"))?;
                Value::DoubleValue(f64::from_bits(u64::from_le_bytes(bits)))
            }
            5 => Value::BytesValue(self.blob()?.to_vec()),
            6 => AnyValue::decode(self.blob()?)
                .ok()
                .and_then(|any| any.value)
                .ok_or(Error::Chunk("a value cannot be read"))?,
            _ => return Err(Error::Chunk("unknown kind of value")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_proto::otlp::common::v1::ArrayValue;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            ".{0,8}".prop_map(Value::StringValue),
            any::<bool>().prop_map(Value::BoolValue),
            any::<i64>().prop_map(Value::IntValue),
            (-1e9..1e9).prop_map(Value::DoubleValue),
            any::<[u8; 3]>().prop_map(|b| Value::BytesValue(b.to_vec())),
            any::<i64>().prop_map(|n| Value::ArrayValue(ArrayValue {
                values: vec![AnyValue { value: Some(Value::IntValue(n)) }]
            })),
        ]
    }

    fn body() -> impl Strategy<Value = Body> {
        prop_oneof![
            ".{0,30}".prop_map(Body::Text),
            any::<[u8; 5]>().prop_map(|b| Body::Bytes(b.to_vec().into())),
            Just(Body::Json("{}".into())),
        ]
    }

    fn attributes() -> impl Strategy<Value = Vec<(String, Value)>> {
        prop::collection::vec(("[a-d]{1,2}", value()), 0..4)
    }

    fn line() -> impl Strategy<Value = Line> {
        let ids = (any::<i32>(), any::<i64>(), any::<u32>());
        (ids, any::<i64>(), 0_u8..25, "[A-Z]{0,3}", body(), any::<bool>(), attributes()).prop_map(
            |((partition, offset, index), time, severity, severity_text, body, traced, attributes)| Line {
                id: LineId { partition, offset, index },
                time,
                severity,
                severity_text,
                body,
                trace_id: if traced { vec![7; 16].into() } else { Bytes::new() },
                span_id: if traced { vec![9; 8].into() } else { Bytes::new() },
                attributes,
                source: Arc::default(),
                span: None,
            },
        )
    }

    proptest! {
        #[test]
        fn lines_come_back_as_they_were(lines in prop::collection::vec(line(), 0..20), resource in attributes()) {
            let source = Arc::new(Source { tenant: "a".into(), service: "b".into(), resource, scope: "c".into() });
            let lines: Vec<Line> = lines.into_iter().map(|line| Line { source: source.clone(), ..line }).collect();
            let bytes = encode(&lines.iter().collect::<Vec<_>>());
            prop_assert_eq!(decode(&bytes).unwrap(), lines);
        }

        #[test]
        fn damaged_bytes_are_an_error_or_other_lines(lines in prop::collection::vec(line(), 1..5), at in any::<usize>(), to in any::<u8>()) {
            let mut bytes = encode(&lines.iter().collect::<Vec<_>>());
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = decode(&bytes);
            let _ = decode(&bytes[..at]);
        }
    }
}
