//! One request into records of the bus: one resource each, under the size limit, the tenant set, bad data left out.
//!
//! Pure, and done on the bytes: what is kept is copied as it was written, unknown fields included; nothing is decoded
//! and encoded anew.

use bytes::Bytes;

use super::metric;
use super::signal::Signal;
use super::tenant::Tenants;
use super::wire::{self, Fields, Malformed, field_len, put_bytes, put_head};

/// How much the three lengths around a record may grow with it, in bytes.
const LENGTHS: usize = 12;

/// Greatest number of records that one request becomes.
const MAX_RECORDS: usize = 1 << 16;

/// What became of a request.
#[derive(Debug, Default)]
pub struct Split {
    /// For the bus, in order.
    pub records: Vec<Part>,
    /// Log records, spans or data points in them.
    pub accepted: u64,
    /// Those left out.
    pub refused: u64,
    /// Why the first of them was left out.
    pub reason: Option<String>,
}

/// One record of the bus.
#[derive(Debug, Clone)]
pub struct Part {
    /// Names the resource: the same in every process, for the same attributes.
    pub key: Bytes,
    /// An export request with one resource.
    pub value: Bytes,
}

enum Verdict {
    Keep,
    /// Kept, written anew.
    Instead(Vec<u8>),
    Refuse(String),
}

impl Split {
    fn note(&mut self, taken: Result<(), String>, count: u64) {
        match taken {
            Ok(()) => self.accepted += count,
            Err(reason) => {
                self.refused += count;
                self.reason.get_or_insert(reason);
            }
        }
    }
}

/// Splits an export request in protobuf. `limit` is the greatest size of a value in bytes.
///
/// Left out, and counted: spans whose ids are missing, zero or of the wrong length; log records whose ids are of the
/// wrong length (an id of zeros is taken as none, as OTLP says); metrics without a name or data; and what is larger
/// than `limit` on its own (a metric is split by its points). So that the values together stay within a few times the
/// request, however it was made, what is repeated in each may be half of `limit`, and there may be 65,536 values.
pub fn split(signal: Signal, request: &[u8], tenants: &Tenants, limit: usize) -> Result<Split, Malformed> {
    wire::check(signal.request(), request)?;
    let mut split = Split::default();
    for resource in Fields::checked(request).filter(|field| field.number == 1) {
        one_resource(signal, resource.bytes(), tenants, limit, &mut split);
    }
    Ok(split)
}

fn one_resource(signal: Signal, bytes: &[u8], tenants: &Tenants, limit: usize, split: &mut Split) {
    let (mut resource, mut behind) = (Vec::new(), Vec::new());
    for field in Fields::checked(bytes) {
        match field.number {
            // Given twice, protobuf merges: the same as one behind the other.
            1 => resource.extend_from_slice(field.bytes()),
            2 => {}
            _ => behind.extend_from_slice(field.whole),
        }
    }
    if Fields::checked(bytes).all(|field| field.number != 2) {
        return;
    }
    let resource = tenants.assign(&resource);
    let mut head = Vec::with_capacity(field_len(resource.len()));
    put_bytes(&mut head, 1, &resource);
    let key = Bytes::from(format!("{:016x}", fnv1a(&resource)));
    let mut packer = Packer { key, head, behind, limit, scopes: Vec::new(), records: Vec::new(), count: 0 };
    for scope in Fields::checked(bytes).filter(|field| field.number == 2) {
        let mut scope_head = Vec::new();
        for field in Fields::checked(scope.bytes()).filter(|field| field.number != 2) {
            scope_head.extend_from_slice(field.whole);
        }
        let repeated = packer.alone(&scope_head, 0);
        for record in Fields::checked(scope.bytes()).filter(|field| field.number == 2) {
            let record = record.bytes();
            let count = count(signal, record);
            if repeated > limit / 2 {
                let reason = format!("resource and scope have {repeated} bytes, more than {}", limit / 2);
                split.note(Err(reason), count);
                continue;
            }
            match verdict(signal, record) {
                Verdict::Keep if signal == Signal::Metrics && packer.alone(&scope_head, record.len()) > limit => {
                    let room = limit.saturating_sub(packer.alone(&scope_head, 0) + LENGTHS);
                    let Some(pieces) = metric::pieces(record, room) else {
                        split.note(Err(format!("metric with more than {} bytes beside its points", room / 2)), count);
                        continue;
                    };
                    for piece in pieces {
                        let taken = packer.push(&scope_head, &piece, metric::points(&piece), split);
                        split.note(taken, metric::points(&piece));
                    }
                }
                Verdict::Keep => {
                    let taken = packer.push(&scope_head, record, count, split);
                    split.note(taken, count);
                }
                Verdict::Instead(record) => {
                    let taken = packer.push(&scope_head, &record, count, split);
                    split.note(taken, count);
                }
                Verdict::Refuse(reason) => split.note(Err(reason), count),
            }
        }
        packer.close_scope(&scope_head);
    }
    packer.flush(split);
}

/// Fills values up to the limit.
struct Packer {
    key: Bytes,
    /// The field `resource`.
    head: Vec<u8>,
    /// What follows the scopes, such as the schema's address.
    behind: Vec<u8>,
    limit: usize,
    /// Finished scopes, each a whole field.
    scopes: Vec<u8>,
    /// Records of the open scope, each a whole field.
    records: Vec<u8>,
    /// Of the open value.
    count: u64,
}

impl Packer {
    fn push(&mut self, scope: &[u8], record: &[u8], count: u64, split: &mut Split) -> Result<(), String> {
        let size = field_len(record.len());
        if self.count == 0 && split.records.len() >= MAX_RECORDS {
            return Err(format!("more than {MAX_RECORDS} resources in one request"));
        }
        if self.size(scope, size) > self.limit {
            let alone = self.alone(scope, record.len());
            if alone > self.limit {
                return Err(format!("{alone} bytes with its resource, more than the {} of one record", self.limit));
            }
            self.close_scope(scope);
            self.flush(split);
        }
        put_bytes(&mut self.records, 2, record);
        self.count += count.max(1);
        Ok(())
    }

    /// Size of a value that holds this record and nothing else.
    fn alone(&self, scope: &[u8], record: usize) -> usize {
        field_len(self.head.len() + field_len(scope.len() + field_len(record)) + self.behind.len())
    }

    fn size(&self, scope: &[u8], more: usize) -> usize {
        let open = field_len(scope.len() + self.records.len() + more);
        field_len(self.head.len() + self.scopes.len() + open + self.behind.len())
    }

    fn close_scope(&mut self, scope: &[u8]) {
        if self.records.is_empty() {
            return;
        }
        put_head(&mut self.scopes, 2, scope.len() + self.records.len());
        self.scopes.extend_from_slice(scope);
        self.scopes.append(&mut self.records);
    }

    fn flush(&mut self, split: &mut Split) {
        if self.count == 0 {
            return;
        }
        let inner = self.head.len() + self.scopes.len() + self.behind.len();
        let mut value = Vec::with_capacity(field_len(inner));
        put_head(&mut value, 1, inner);
        value.extend_from_slice(&self.head);
        value.append(&mut self.scopes);
        value.extend_from_slice(&self.behind);
        self.count = 0;
        split.records.push(Part { key: self.key.clone(), value: value.into() });
    }
}

/// Log records and spans are one each; a metric is its data points.
fn count(signal: Signal, record: &[u8]) -> u64 {
    if signal == Signal::Metrics { metric::points(record) } else { 1 }
}

fn verdict(signal: Signal, record: &[u8]) -> Verdict {
    match signal {
        Signal::Logs => log_record(record),
        Signal::Traces => span(record).map_or(Verdict::Keep, Verdict::Refuse),
        Signal::Metrics if !metric::is_named(record) => Verdict::Refuse("metric without a name".to_owned()),
        Signal::Metrics if !metric::has_data(record) => Verdict::Refuse("metric without data".to_owned()),
        Signal::Metrics => Verdict::Keep,
    }
}

fn log_record(record: &[u8]) -> Verdict {
    let is_id = |number| matches!(number, 9 | 10);
    let mut zeros = false;
    for field in Fields::checked(record).filter(|field| is_id(field.number)) {
        let (name, length) = if field.number == 9 { ("trace_id", 16) } else { ("span_id", 8) };
        let id = field.bytes();
        if !id.is_empty() && id.len() != length {
            return Verdict::Refuse(wrong_length(name, id.len(), length));
        }
        zeros |= !id.is_empty() && all_zero(id);
    }
    if !zeros {
        return Verdict::Keep;
    }
    let kept = Fields::checked(record).filter(|field| !is_id(field.number) || !all_zero(field.bytes()));
    Verdict::Instead(kept.flat_map(|field| field.whole.iter().copied()).collect())
}

/// What is wrong with a span's ids.
fn span(record: &[u8]) -> Option<String> {
    let (mut trace, mut id): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::checked(record) {
        match field.number {
            1 => trace = field.bytes(),
            2 => id = field.bytes(),
            4 if !matches!(field.bytes().len(), 0 | 8) => {
                return Some(wrong_length("parent_span_id", field.bytes().len(), 8));
            }
            13 => {
                let of = |number| Fields::checked(field.bytes()).filter(move |field| field.number == number).last();
                let length = |number| of(number).map_or(0, |field| field.bytes().len());
                if length(1) != 16 {
                    return Some(wrong_length("trace_id of a link", length(1), 16));
                }
                if length(2) != 8 {
                    return Some(wrong_length("span_id of a link", length(2), 8));
                }
            }
            _ => {}
        }
    }
    for (name, id, length) in [("trace_id", trace, 16), ("span_id", id, 8)] {
        if id.len() != length {
            return Some(wrong_length(name, id.len(), length));
        }
        if all_zero(id) {
            return Some(format!("{name} is all zeros"));
        }
    }
    None
}

fn wrong_length(name: &str, length: usize, right: usize) -> String {
    format!("{name} has {length} bytes, not {right}")
}

fn all_zero(id: &[u8]) -> bool {
    id.iter().all(|byte| *byte == 0)
}

/// FNV-1a: stable over processes and versions, as a key on the bus must be.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
