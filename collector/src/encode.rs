//! `ExportLogsServiceRequest` in protobuf, written line by line from borrowed bytes.
//!
//! A batch holds one resource and one scope. Lengths of a log record are computed before it is written, so nothing is
//! moved and nothing is allocated for a line; the three outer lengths are only known at the end, and are written with the
//! resource into a space before the first record by [`Batch::finish`].

use bytes::Bytes;
use weir_proto::attribute;

use crate::decode::Stream;

/// One log record to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// Nanoseconds since the epoch; 0 where the line has no time.
    pub time_unix_nano: u64,
    /// When the collector read it, nanoseconds since the epoch.
    pub observed_time_unix_nano: u64,
    /// OTLP's number; 0 is unspecified.
    pub severity_number: u8,
    /// The line; becomes a bytes value with `weir.not_utf8` where it is not UTF-8.
    pub body: &'a [u8],
    /// The line is in no encoding that is known, even where it could be UTF-8.
    pub raw: bool,
    /// The body is UTF-8, as somebody has seen before.
    pub utf8: bool,
    /// Output of the container, as `log.iostream`.
    pub stream: Option<Stream>,
    /// Place of the line's first byte in its file, as `log.file.offset`.
    pub offset: u64,
    /// So many bytes of the line are not in `body`: sets `weir.truncated` where there are any.
    pub left_out: u64,
}

/// Log records of one resource; the buffer is kept from batch to batch.
#[derive(Debug, Default)]
pub struct Batch {
    /// Behind `head` bytes for what comes first; empty before the first record.
    records: Vec<u8>,
    head: usize,
    /// What the next batch needs for what comes first, as far as is known.
    next_head: usize,
    count: usize,
    left_out: u64,
    /// What the next batch is likely to need, in bytes.
    room: usize,
}

/// A resource and its lengths fit in here, as a rule; a pod may have more labels than that.
const HEAD: usize = 1024;

/// After a batch of this size the next one gets its room at once.
const BUSY: usize = 256 << 10;

/// A place between two records of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of the log records before it.
    pub bytes: usize,
    /// Number of log records before it.
    pub records: usize,
    /// Bytes that were left out of them.
    pub left_out: u64,
}

impl Mark {
    /// The same place, counted from an earlier one.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes - before.bytes,
            records: self.records - before.records,
            left_out: self.left_out - before.left_out,
        }
    }
}

impl Batch {
    /// Bytes of the log records so far; [`Self::finish`] adds the resource and at most 40 bytes.
    pub fn len(&self) -> usize {
        self.records.len().saturating_sub(self.head)
    }

    /// Nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of log records.
    pub fn count(&self) -> usize {
        self.count
    }

    /// About so many bytes of text are pushed next: an empty batch gets room for them at once.
    pub fn expect(&mut self, text: usize) {
        if self.records.is_empty() {
            self.room = self.room.max(HEAD + text + text / 8);
        }
    }

    /// Adds a log record.
    pub fn push(&mut self, record: &Record<'_>) {
        let utf8 = !record.raw && (record.utf8 || simdutf8::basic::from_utf8(record.body).is_ok());
        let value = field_len(record.body.len());
        let offset = OFFSET.len() + 2 + varint_len(record.offset);
        let mut length = 18 + field_len(value) + field_len(offset);
        length += if record.severity_number == 0 { 0 } else { 1 + varint_len(u64::from(record.severity_number)) };
        length += record.stream.map_or(0, |stream| iostream(stream).len());
        length += if utf8 { 0 } else { field_len(bool_attribute_len(attribute::NOT_UTF8)) };
        length += if record.left_out > 0 { field_len(bool_attribute_len(attribute::TRUNCATED)) } else { 0 };

        if self.records.is_empty() {
            self.records.reserve(self.room);
            self.head = self.next_head.max(HEAD);
            self.records.resize(self.head, 0);
        }
        let out = &mut self.records;
        out.reserve(length + 6);
        header(out, 2, length);
        fixed64(out, 1, record.time_unix_nano);
        if record.severity_number != 0 {
            out.push(2 << 3);
            varint(out, u64::from(record.severity_number));
        }
        header(out, 5, value);
        header(out, if utf8 { 1 } else { 7 }, record.body.len());
        out.extend_from_slice(record.body);
        header(out, 6, offset);
        out.extend_from_slice(OFFSET);
        out.extend_from_slice(&[1 + varint_len(record.offset) as u8, 3 << 3]);
        varint(out, record.offset);
        if let Some(stream) = record.stream {
            out.extend_from_slice(iostream(stream));
        }
        if !utf8 {
            bool_attribute(out, attribute::NOT_UTF8);
        }
        if record.left_out > 0 {
            bool_attribute(out, attribute::TRUNCATED);
        }
        fixed64(out, 11, record.observed_time_unix_nano);
        self.count += 1;
        self.left_out += record.left_out;
    }

    /// The end of what was pushed so far.
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.len(), records: self.count, left_out: self.left_out }
    }

    /// Forgets all records.
    pub fn clear(&mut self) {
        self.records.clear();
        (self.count, self.left_out) = (0, 0);
    }

    /// The whole request, under a resource made by [`resource`]; empties the batch.
    pub fn finish(&mut self, resource: &[u8]) -> Bytes {
        self.finish_to(self.mark(), resource)
    }

    /// The request of the records before `mark`; those behind it stay, and marks taken before are void.
    pub fn finish_to(&mut self, mark: Mark, resource: &[u8]) -> Bytes {
        let scope = mark.bytes.min(self.len());
        let outer = field_len(resource.len()) + field_len(scope);
        let mut head = Vec::with_capacity(resource.len() + 40);
        header(&mut head, 1, outer);
        header(&mut head, 1, resource.len());
        head.extend_from_slice(resource);
        header(&mut head, 2, scope);
        let place = self.head;
        // Lengths may take some bytes more the next time.
        self.next_head = head.len() + 8;
        self.room = if scope >= BUSY { place + scope + BUSY } else { 0 };
        let mut rest = Vec::new();
        if self.len() > scope {
            rest.reserve(self.room);
            rest.resize(place, 0);
            rest.extend_from_slice(&self.records[place + scope..]);
        }
        let mut whole = std::mem::replace(&mut self.records, rest);
        whole.truncate(place + scope);
        self.count = self.count.saturating_sub(mark.records);
        self.left_out = self.left_out.saturating_sub(mark.left_out);
        match place.checked_sub(head.len()) {
            Some(start) if whole.len() >= place => {
                whole[start..place].copy_from_slice(&head);
                Bytes::from(whole).slice(start..)
            }
            _ => {
                head.extend_from_slice(whole.get(place..).unwrap_or_default());
                head.into()
            }
        }
    }
}

/// Key and the value's tag of the attribute that every record has, [`attribute::FILE_OFFSET`].
const OFFSET: &[u8] = b"\x0A\x0Flog.file.offset\x12";

/// The attribute `log.iostream`, whole.
const fn iostream(stream: Stream) -> &'static [u8] {
    match stream {
        Stream::Stdout => b"\x32\x18\x0A\x0Clog.iostream\x12\x08\x0A\x06stdout",
        Stream::Stderr => b"\x32\x18\x0A\x0Clog.iostream\x12\x08\x0A\x06stderr",
    }
}

/// A resource of string attributes, encoded once for all batches of a source.
pub fn resource(attributes: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in attributes {
        string_attribute(&mut out, 1, name, value);
    }
    out
}

fn string_attribute(out: &mut Vec<u8>, field: u8, name: &str, value: &str) {
    header(out, field, string_attribute_len(name, value));
    key(out, name);
    header(out, 2, field_len(value.len()));
    header(out, 1, value.len());
    out.extend_from_slice(value.as_bytes());
}

fn bool_attribute(out: &mut Vec<u8>, name: &str) {
    header(out, 6, bool_attribute_len(name));
    key(out, name);
    header(out, 2, 2);
    out.extend_from_slice(&[2 << 3, 1]);
}

fn string_attribute_len(name: &str, value: &str) -> usize {
    field_len(name.len()) + field_len(field_len(value.len()))
}

fn bool_attribute_len(name: &str) -> usize {
    field_len(name.len()) + field_len(2)
}

fn key(out: &mut Vec<u8>, name: &str) {
    header(out, 1, name.len());
    out.extend_from_slice(name.as_bytes());
}

/// Tag and length of a length-delimited field; numbers here are all below 16, so a tag is one byte.
fn header(out: &mut Vec<u8>, field: u8, length: usize) {
    out.push(field << 3 | 2);
    varint(out, length as u64);
}

fn fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    let mut whole = [field << 3 | 1; 9];
    whole[1..].copy_from_slice(&value.to_le_bytes());
    out.extend_from_slice(&whole);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Size of a length-delimited field with its tag.
fn field_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}

fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;
    use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
    use weir_proto::otlp::common::v1::any_value::Value;

    proptest! {
        #[test]
        fn prost_reads_what_was_meant(
            lines in prop::collection::vec((any::<Vec<u8>>(), any::<u64>(), any::<u64>(), 0_u8..25, any::<bool>(),
                0_u64..=i64::MAX as u64, prop::option::of(any::<bool>()), any::<bool>()), 1..20),
            wide in 0_usize..2 * HEAD,
            before in any::<prop::sample::Index>(),
        ) {
            let resource = resource(&[("weir.tenant", "default"), ("服务", &"x".repeat(wide))]);
            let mut batch = Batch::default();
            let before = before.index(lines.len());
            let mut mark = Mark::default();
            for (at, (body, time, observed, severity, truncated, offset, stream, raw)) in lines.iter().enumerate() {
                if at == before {
                    mark = batch.mark();
                }
                let stream = stream.map(|err| if err { Stream::Stderr } else { Stream::Stdout });
                batch.push(&Record { time_unix_nano: *time, observed_time_unix_nano: *observed,
                    severity_number: *severity, body, raw: *raw, utf8: std::str::from_utf8(body).is_ok() && offset % 2 == 0,
                    stream, offset: *offset, left_out: u64::from(*truncated) });
            }
            let mut records = Vec::new();
            for mark in [mark, batch.mark().since(mark)] {
                let bytes = batch.finish_to(mark, &resource);
                prop_assert!(bytes.len() <= mark.bytes + resource.len() + 40);
                let mut read = ExportLogsServiceRequest::decode(bytes).unwrap();
                prop_assert_eq!(read.resource_logs.len(), 1);
                let attributes = &read.resource_logs[0].resource.as_ref().unwrap().attributes;
                prop_assert_eq!(attributes[1].key.as_str(), "服务");
                records.append(&mut read.resource_logs[0].scope_logs[0].log_records);
            }
            prop_assert_eq!((batch.count(), batch.len()), (0, 0));
            prop_assert_eq!(records.len(), lines.len());
            for (record, (body, time, observed, severity, truncated, offset, stream, raw)) in records.iter().zip(&lines) {
                prop_assert_eq!((record.time_unix_nano, record.observed_time_unix_nano), (*time, *observed));
                prop_assert_eq!(record.severity_number, i32::from(*severity));
                let expected = match String::from_utf8(body.clone()) {
                    Ok(text) if !raw => Value::StringValue(text),
                    _ => Value::BytesValue(body.clone()),
                };
                let marked = matches!(expected, Value::BytesValue(_));
                prop_assert_eq!(record.body.as_ref().unwrap().value.as_ref(), Some(&expected));
                let find = |name: &str| record.attributes.iter().find(|a| a.key == name)
                    .and_then(|a| a.value.as_ref()?.value.clone());
                prop_assert_eq!(find("log.file.offset"), Some(Value::IntValue(*offset as i64)));
                prop_assert_eq!(find("weir.not_utf8"), marked.then_some(Value::BoolValue(true)));
                prop_assert_eq!(find("weir.truncated"), truncated.then_some(Value::BoolValue(true)));
                let name = stream.map(|err| Value::StringValue(if err { "stderr" } else { "stdout" }.into()));
                prop_assert_eq!(find("log.iostream"), name);
            }
        }
    }
}
