//! One request into records of the bus: one resource each, within [`Sizes`], the tenant set, bad data left out.
//!
//! Pure, and done on the bytes: what is kept is as it was written, unknown fields included; nothing is decoded and
//! encoded anew. One walk proves that the request is sound and says what is in it; a resource that is kept whole is not
//! looked at again.

use std::borrow::Cow;

use bytes::Bytes;

use super::signal::Signal;
use super::survey::{self, Seen};
use super::tenant::{Foreign, Tenants};
use super::wire::{self, Fields, Malformed, Raw, Value, field_len, put_bytes, put_head};
use super::{
    metric,
    verdict::{Verdict, count, verdict},
};

/// How much the three lengths around a record may grow with it, in bytes.
const LENGTHS: usize = 12;

/// Greatest number of records that one request becomes.
const MAX_RECORDS: usize = 1 << 16;

/// How large values may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Of several spans, log records or metrics.
    pub batch: usize,
    /// Of one span or log record, with its resource and scope.
    pub alone: usize,
}

/// What became of a request.
#[derive(Debug, Default)]
pub struct Split {
    /// For the bus, in order.
    pub records: Vec<Part>,
    /// Log records, spans or data points in them.
    pub accepted: u64,
    /// Those left out.
    pub refused: u64,
    /// Why the first of them was left out; if some were too large, how many.
    pub reason: Option<String>,
    /// What was left out for its size.
    large: Large,
}

#[derive(Debug, Default)]
struct Large {
    count: u64,
    /// Bytes of the first, and how many it may have.
    first: (usize, usize),
}

/// Why a record is left out.
enum Left {
    For(String),
    /// It has so many bytes with its resource, and may have so many.
    Large(usize, usize),
}

/// One record of the bus.
#[derive(Debug, Clone)]
pub struct Part {
    /// Names the resource: the same in every process, for the same attributes.
    pub key: Bytes,
    /// An export request with one resource.
    pub value: Bytes,
}

impl Split {
    fn note(&mut self, taken: Result<(), Left>, count: u64) {
        match taken {
            Ok(()) => self.accepted += count,
            Err(Left::For(reason)) => {
                self.refused += count;
                self.reason.get_or_insert(reason);
            }
            Err(Left::Large(bytes, limit)) => {
                self.refused += count;
                if self.large.count == 0 {
                    self.large.first = (bytes, limit);
                }
                self.large.count += count;
            }
        }
    }

    /// Adds what was too large to the reason.
    fn finish(mut self, topic: &str) -> Self {
        let Large { count, first: (bytes, limit) } = self.large;
        if count > 0 {
            let large = format!(
                "{count} too large: the first has {bytes} bytes with its resource, more than the {limit} that {topic} \
                 takes in one record"
            );
            self.reason = Some(self.reason.map_or(large.clone(), |reason| format!("{reason}; {large}")));
        }
        self
    }
}

impl Sizes {
    /// On a topic that takes values of so many bytes.
    pub fn of(signal: Signal, topic: usize) -> Self {
        let batch = weir_proto::MAX_RECORD_BYTES.min(topic);
        // A metric can be split by its points, so none needs more.
        let alone = if signal == Signal::Metrics { batch } else { weir_proto::MAX_SINGLE_BYTES.min(topic) };
        Self { batch, alone }
    }
}

/// Why a request cannot be split.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// It is not what it should be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It names another tenant than its sender's.
    #[error(transparent)]
    Foreign(#[from] Foreign),
}

/// Splits an export request in protobuf.
///
/// Left out, and counted: spans whose ids are missing, zero or of the wrong length; log records whose ids are of the
/// wrong length (an id of zeros is taken as none, as OTLP says); metrics without a name or data; metrics with a name of
/// weir's own, of a sender that may not send for every tenant; and what is larger than `sizes` on its own (a metric is split by its points). So that the values together stay within a few times the
/// request, however it was made, what is repeated in each may be half of a batch, and there may be 65,536 values.
pub fn split(signal: Signal, request: &Bytes, tenants: &Tenants, sizes: Sizes) -> Result<Split, SplitError> {
    let (mut split, trusted) = (Split::default(), tenants.is_trusted());
    for field in Fields::of(request) {
        let field = field?;
        match field.value {
            Value::Bytes(resource) if field.number == 1 => {
                let seen = survey::of(signal, resource, trusted)?;
                if !whole(request, &field, &seen, tenants, sizes.batch, &mut split)? {
                    one_resource(signal, resource, tenants, sizes, &mut split)?;
                }
            }
            _ => wire::check_field(signal.request(), &field, 0)?,
        }
    }
    Ok(split.finish(signal.topic()))
}

/// Takes a resource as it is, where all of it is kept and fits into one value: a slice of the request, or one copy with
/// another head where the tenant was not there. Says whether it did.
fn whole(
    request: &Bytes,
    field: &Raw<'_>,
    seen: &Seen,
    tenants: &Tenants,
    limit: usize,
    split: &mut Split,
) -> Result<bool, Foreign> {
    if !seen.is_kept || split.records.len() >= MAX_RECORDS {
        return Ok(false);
    }
    if seen.records == 0 {
        return Ok(true);
    }
    let bytes = field.bytes();
    let (before, rest) = bytes.split_at(seen.resource.start);
    let (own, behind) = rest.split_at(seen.resource.len());
    let resource = tenants.assign(Fields::checked(own).next().map_or(&[], |field| field.bytes()))?;
    let inner = field_len(resource.len()) + before.len() + behind.len();
    let is_same = matches!(resource, Cow::Borrowed(_));
    if if is_same { field.whole.len() } else { field_len(inner) } > limit {
        return Ok(false);
    }
    let value = if is_same {
        request.slice_ref(field.whole)
    } else {
        let mut value = Vec::with_capacity(field_len(inner));
        put_head(&mut value, 1, inner);
        put_bytes(&mut value, 1, &resource);
        value.extend_from_slice(before);
        value.extend_from_slice(behind);
        value.into()
    };
    split.records.push(Part { key: key_of(&resource), value });
    split.accepted += seen.count;
    Ok(true)
}

fn key_of(resource: &[u8]) -> Bytes {
    Bytes::from(format!("{:016x}", fnv1a(resource)))
}

fn one_resource(
    signal: Signal,
    bytes: &[u8],
    tenants: &Tenants,
    sizes: Sizes,
    split: &mut Split,
) -> Result<(), Foreign> {
    let (limit, trusted) = (sizes.batch, tenants.is_trusted());
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
        return Ok(());
    }
    let resource = tenants.assign(&resource)?;
    let mut head = Vec::with_capacity(field_len(resource.len()));
    put_bytes(&mut head, 1, &resource);
    let key = key_of(&resource);
    let mut packer = Packer { key, head, behind, sizes, scopes: Vec::new(), records: Vec::new(), count: 0 };
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
                split.note(Err(Left::For(reason)), count);
                continue;
            }
            match verdict(signal, record, trusted) {
                Verdict::Keep if signal == Signal::Metrics && packer.alone(&scope_head, record.len()) > limit => {
                    let room = limit.saturating_sub(packer.alone(&scope_head, 0) + LENGTHS);
                    let Some(pieces) = metric::pieces(record, room) else {
                        let reason = format!("metric with more than {} bytes beside its points", room / 2);
                        split.note(Err(Left::For(reason)), count);
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
                Verdict::Refuse(reason) => split.note(Err(Left::For(reason)), count),
            }
        }
        packer.close_scope(&scope_head);
    }
    packer.flush(split);
    Ok(())
}

/// Fills values up to the size of a batch; what is larger is alone in one.
struct Packer {
    key: Bytes,
    /// The field `resource`.
    head: Vec<u8>,
    /// What follows the scopes, such as the schema's address.
    behind: Vec<u8>,
    sizes: Sizes,
    /// Finished scopes, each a whole field.
    scopes: Vec<u8>,
    /// Records of the open scope, each a whole field.
    records: Vec<u8>,
    /// Of the open value.
    count: u64,
}

impl Packer {
    fn push(&mut self, scope: &[u8], record: &[u8], count: u64, split: &mut Split) -> Result<(), Left> {
        let size = field_len(record.len());
        let full = || Err(Left::For(format!("more than {MAX_RECORDS} resources in one request")));
        if self.count == 0 && split.records.len() >= MAX_RECORDS {
            return full();
        }
        if self.size(scope, size) > self.sizes.batch {
            let alone = self.alone(scope, record.len());
            if alone > self.sizes.alone {
                return Err(Left::Large(alone, self.sizes.alone));
            }
            self.close_scope(scope);
            self.flush(split);
            if alone > self.sizes.batch {
                if split.records.len() >= MAX_RECORDS {
                    return full();
                }
                split.records.push(Part { key: self.key.clone(), value: self.value_of(scope, record) });
                return Ok(());
            }
        }
        put_bytes(&mut self.records, 2, record);
        self.count += count.max(1);
        Ok(())
    }

    /// A value that holds this record and nothing else, written at once: it may be large.
    fn value_of(&self, scope: &[u8], record: &[u8]) -> Bytes {
        let scope_length = scope.len() + field_len(record.len());
        let inner = self.head.len() + field_len(scope_length) + self.behind.len();
        let mut value = Vec::with_capacity(field_len(inner));
        put_head(&mut value, 1, inner);
        value.extend_from_slice(&self.head);
        put_head(&mut value, 2, scope_length);
        value.extend_from_slice(scope);
        put_bytes(&mut value, 2, record);
        value.extend_from_slice(&self.behind);
        value.into()
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

/// FNV-1a: stable over processes and versions, as a key on the bus must be.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
