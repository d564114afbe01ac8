//! Checks a proof with nothing but its bytes and the public key.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;

use super::document::{self, Document, FaultKind, RangeProof, SourceProof};
use super::key::{KEY_BYTES, public_key};

/// Greatest document: a quarter of a million rows.
const MAX_BYTES: usize = 64 << 20;

const SIGNATURE_BYTES: usize = 64;

/// Where something is wrong: a range of offsets of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Topic of the spans.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The first offset.
    pub first_offset: i64,
    /// The offset behind the last.
    pub end_offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "offsets {} to {} of {}/{}",
            self.first_offset,
            self.end_offset,
            self.topic.escape_debug(),
            self.partition
        )
    }
}

/// Why a proof is invalid.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It is too large.
    #[error("the document has {0} bytes: a proof has at most {MAX_BYTES}")]
    TooLarge(usize),
    /// It is no JSON, or not of the shape of a proof: an unknown, missing or repeated field, or a value of another kind.
    #[error("the document is no proof: {0}")]
    Json(#[source] serde_json::Error),
    /// Another program's.
    #[error("`weir_usage_proof` is {0}: this version of weir reads {version}", version = document::VERSION)]
    Version(u64),
    /// A field is no lower-case hex of the right length.
    #[error("`{field}` is not {digits} lower-case hexadecimal digits")]
    Hex {
        /// Which.
        field: &'static str,
        /// Its length.
        digits: usize,
    },
    /// The expected key is none.
    #[error("the expected key is not 64 hexadecimal digits")]
    ExpectedKey,
    /// Somebody else signed it.
    #[error("the document has the key {found}, but {expected} is expected: it was signed by another weir, or forged")]
    OtherKey {
        /// What was asked for.
        expected: String,
        /// `public_key` of the document.
        found: String,
    },
    /// The document is not what was signed.
    #[error("the signature does not fit: the document was changed after it was signed")]
    Signature,
    /// The rows are not those of their hash.
    #[error("`rows_sha256` is not the SHA-256 of `rows`")]
    RowsHash,
    /// The window has no length.
    #[error("`window`: the end is not behind the start")]
    Window,
    /// A row is there twice, or out of order.
    #[error("row {index} does not follow the one before it in the order of tenant, service, interface")]
    RowOrder {
        /// Which, from 0.
        index: usize,
    },
    /// A fault was recorded when the usage was counted.
    #[error("{place}: {kind} found at {at}", kind = .kind.as_str())]
    Fault {
        /// Where.
        place: Place,
        /// What.
        kind: FaultKind,
        /// When.
        at: Timestamp,
    },
    /// A partition is there twice.
    #[error("{}/{partition} is there twice", topic.escape_debug())]
    SourceTwice {
        /// Topic of the spans.
        topic: String,
        /// Its partition.
        partition: i32,
    },
    /// A range ends before it begins.
    #[error("{0}: the range ends before it begins")]
    RangeOrder(Place),
    /// Offsets are missing before the range.
    #[error("{place}: a gap, the range before ends at {previous_end}")]
    Gap {
        /// The range.
        place: Place,
        /// Where the one before it ends.
        previous_end: i64,
    },
    /// Offsets were read twice.
    #[error("{place}: an overlap, the range before ends at {previous_end}")]
    Overlap {
        /// The range.
        place: Place,
        /// Where the one before it ends.
        previous_end: i64,
    },
    /// Spans went missing within a range.
    #[error("{place}: {spans} spans are not {counted} counted + {duplicates} duplicates + {rejected} rejected")]
    Unbalanced {
        /// The range.
        place: Place,
        /// Spans.
        spans: u64,
        /// Of these: counted.
        counted: u64,
        /// Of these: duplicates.
        duplicates: u64,
        /// Of these: rejected.
        rejected: u64,
    },
    /// More calls of the window than calls.
    #[error("{place}: {counted_in_window} calls of the window, but only {counted} counted")]
    InWindow {
        /// The range.
        place: Place,
        /// Calls of the window.
        counted_in_window: u64,
        /// Calls.
        counted: u64,
    },
    /// The rows are not what the ranges hold.
    #[error("the rows have {rows} calls, but {ranges} were counted in the window")]
    Calls {
        /// Sum of `calls` of the rows.
        rows: u128,
        /// Sum of `counted_in_window` of the ranges.
        ranges: u128,
    },
}

/// What a proof is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant.
    pub start: Timestamp,
    /// The instant behind the last.
    pub end: Timestamp,
}

/// What a valid proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Of which time.
    pub window: Window,
    /// Event time up to which all usage was counted. Where it is before the window's end, more may come.
    pub complete_until: Timestamp,
    /// When it was made.
    pub generated_at: Timestamp,
    /// Calls of all rows.
    pub calls: u128,
    /// How many rows.
    pub rows: usize,
    /// How many partitions.
    pub sources: usize,
    /// Who signed it, in hex.
    pub public_key: String,
    /// Whether that is who was expected. Without an expected key, a proof shows that it was not changed, but not whose it
    /// is.
    pub key_checked: bool,
}

impl Verified {
    /// Whether all usage of the window was counted when the proof was made.
    pub fn is_complete(&self) -> bool {
        self.complete_until >= self.window.end
    }
}

/// Checks a document: that it was signed with its key, which is `key` (64 hexadecimal digits) where one is given, that its
/// rows add up to the calls that were counted in the ranges, and that no span of these is missing. Any bytes will do.
pub fn verify(document: &[u8], key: Option<&str>) -> Result<Verified, Invalid> {
    if document.len() > MAX_BYTES {
        return Err(Invalid::TooLarge(document.len()));
    }
    // The one reading refuses what is unknown, repeated or of another form; the other keeps what is signed as it stands.
    let proof: Document = serde_json::from_slice(document).map_err(Invalid::Json)?;
    let value: Value = serde_json::from_slice(document).map_err(Invalid::Json)?;
    if proof.weir_usage_proof != document::VERSION {
        return Err(Invalid::Version(proof.weir_usage_proof));
    }
    check_signature(&proof, value, key)?;
    let window = Window { start: time(proof.window.start), end: time(proof.window.end) };
    if window.start >= window.end {
        return Err(Invalid::Window);
    }
    if let Some(at) = proof.rows.windows(2).position(|pair| pair[0].name() >= pair[1].name()) {
        return Err(Invalid::RowOrder { index: at + 1 });
    }
    if let Some(fault) = proof.faults.first() {
        let place = Place {
            topic: fault.topic.clone(),
            partition: fault.partition,
            first_offset: fault.from_offset,
            end_offset: fault.to_offset,
        };
        return Err(Invalid::Fault { place, kind: fault.kind, at: time(fault.at_unix) });
    }
    check_sources(&proof.sources)?;
    let rows: u128 = proof.rows.iter().map(|row| u128::from(row.calls)).sum();
    let ranges = proof.sources.iter().flat_map(|source| &source.ranges);
    let ranges: u128 = ranges.map(|range| u128::from(range.counted_in_window)).sum();
    if rows != ranges {
        return Err(Invalid::Calls { rows, ranges });
    }
    Ok(Verified {
        window,
        complete_until: time(proof.complete_until),
        generated_at: time(proof.generated_at),
        calls: rows,
        rows: proof.rows.len(),
        sources: proof.sources.len(),
        public_key: proof.public_key,
        key_checked: key.is_some(),
    })
}

/// Of a time that was read as RFC 3339, so it is within range.
fn time(unix: i64) -> Timestamp {
    Timestamp::from_second(unix).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn check_signature(proof: &Document, mut value: Value, key: Option<&str>) -> Result<(), Invalid> {
    let found = lower_hex("public_key", &proof.public_key, KEY_BYTES)?;
    let signature = lower_hex("signature", proof.signature.as_deref().unwrap_or_default(), SIGNATURE_BYTES)?;
    if let Some(key) = key {
        let expected = public_key(key).ok_or(Invalid::ExpectedKey)?;
        if expected != proof.public_key {
            return Err(Invalid::OtherKey { expected, found: proof.public_key.clone() });
        }
    }
    let rows = serde_json_canonicalizer::to_vec(&value["rows"]).map_err(Invalid::Json)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("signature");
    }
    let signed = serde_json_canonicalizer::to_vec(&value).map_err(Invalid::Json)?;
    UnparsedPublicKey::new(&ED25519, &found).verify(&signed, &signature).map_err(|_| Invalid::Signature)?;
    if document::sha256(&rows) == proof.rows_sha256 { Ok(()) } else { Err(Invalid::RowsHash) }
}

/// Upper case would be another text for the same bytes.
fn lower_hex(field: &'static str, text: &str, bytes: usize) -> Result<Vec<u8>, Invalid> {
    let read = hex::decode(text).ok().filter(|read| read.len() == bytes && hex::encode(read) == text);
    read.ok_or(Invalid::Hex { field, digits: 2 * bytes })
}

fn check_sources(sources: &[SourceProof]) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    for source in sources {
        if !seen.insert((&source.topic, source.partition)) {
            return Err(Invalid::SourceTwice { topic: source.topic.clone(), partition: source.partition });
        }
        let mut previous_end = None;
        for range in &source.ranges {
            let place = || Place {
                topic: source.topic.clone(),
                partition: source.partition,
                first_offset: range.first_offset,
                end_offset: range.end_offset,
            };
            check_range(range, previous_end, place)?;
            previous_end = Some(range.end_offset);
        }
    }
    Ok(())
}

fn check_range(range: &RangeProof, previous_end: Option<i64>, place: impl Fn() -> Place) -> Result<(), Invalid> {
    let RangeProof { first_offset, end_offset, spans, counted, duplicates, rejected, counted_in_window, begins_anew } =
        *range;
    if end_offset < first_offset {
        return Err(Invalid::RangeOrder(place()));
    }
    match previous_end.filter(|_| !begins_anew) {
        Some(previous_end) if first_offset > previous_end => return Err(Invalid::Gap { place: place(), previous_end }),
        Some(previous_end) if first_offset < previous_end => {
            return Err(Invalid::Overlap { place: place(), previous_end });
        }
        _ => {}
    }
    let parts = [counted, duplicates, rejected].map(u128::from).iter().sum::<u128>();
    if u128::from(spans) != parts {
        return Err(Invalid::Unbalanced { place: place(), spans, counted, duplicates, rejected });
    }
    if counted_in_window > counted {
        return Err(Invalid::InWindow { place: place(), counted_in_window, counted });
    }
    Ok(())
}
