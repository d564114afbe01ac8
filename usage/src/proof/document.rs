//! What a proof says, and how it is written and signed.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::key::Key;
use super::number;
use crate::cell::{Name, Sums};

/// The format's version, in `weir_usage_proof`.
pub(super) const VERSION: u64 = 1;

/// What a proof is built from.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The window's first second, since the epoch.
    pub start_unix: i64,
    /// The second behind its last.
    pub end_unix: i64,
    /// What each name used in the window; each name once. Written in the order of the names.
    pub rows: Vec<(Name, Sums)>,
    /// What the rows were counted from; each partition once.
    pub sources: Vec<SourceProof>,
    /// What is wrong with the window's data; a proof with any is invalid.
    pub faults: Vec<Fault>,
    /// Event time up to which all usage is counted, in seconds since the epoch.
    pub complete_until_unix: i64,
    /// When the proof is made, in seconds since the epoch.
    pub generated_at_unix: i64,
}

/// One partition of a topic of spans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceProof {
    /// Topic of the spans.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Ranges that follow each other, from the first that holds calls of the window to the last.
    pub ranges: Vec<RangeProof>,
}

/// What became of the spans in offsets [`first_offset`, `end_offset`) of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeProof {
    /// The first offset.
    #[serde(with = "number")]
    pub first_offset: i64,
    /// The offset behind the last.
    #[serde(with = "number")]
    pub end_offset: i64,
    /// Spans that are calls: counted, duplicates and rejected ones together.
    #[serde(with = "number")]
    pub spans: u64,
    /// Those that were counted, in whatever hour.
    #[serde(with = "number")]
    pub counted: u64,
    /// Those that were seen before.
    #[serde(with = "number")]
    pub duplicates: u64,
    /// Those that cannot be counted.
    #[serde(with = "number")]
    pub rejected: u64,
    /// Those of `counted` that are calls of the window.
    #[serde(with = "number")]
    pub counted_in_window: u64,
    /// The topic was re-created: the range does not follow the one before it.
    pub begins_anew: bool,
}

/// Something wrong with what was read of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Topic of the spans.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// What.
    pub kind: FaultKind,
    /// The first offset that is concerned.
    #[serde(with = "number")]
    pub from_offset: i64,
    /// The offset behind the last.
    #[serde(with = "number")]
    pub to_offset: i64,
    /// When it was found.
    #[serde(with = "number::time")]
    pub at_unix: i64,
}

/// What can be wrong with a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultKind {
    /// Offsets were never seen: the range begins behind the end of the one before it.
    Gap,
    /// Offsets were read before: the range begins before the end of the one before it.
    Overlap,
    /// Spans are not the sum of counted, duplicates and rejected ones.
    Unbalanced,
}

impl FaultKind {
    /// As in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Overlap => "overlap",
            Self::Unbalanced => "unbalanced",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(with = "number")]
    pub(super) weir_usage_proof: u64,
    pub(super) window: Span,
    #[serde(with = "number::time")]
    pub(super) complete_until: i64,
    #[serde(with = "number::time")]
    pub(super) generated_at: i64,
    pub(super) rows: Vec<Row>,
    pub(super) rows_sha256: String,
    pub(super) sources: Vec<SourceProof>,
    pub(super) faults: Vec<Fault>,
    pub(super) public_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    #[serde(with = "number::time")]
    pub(super) start: i64,
    #[serde(with = "number::time")]
    pub(super) end: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) tenant: String,
    pub(super) service: String,
    pub(super) interface: String,
    #[serde(with = "number")]
    pub(super) calls: u64,
    #[serde(with = "number")]
    errors: u64,
    #[serde(with = "number")]
    request_bytes: u64,
    #[serde(with = "number")]
    response_bytes: u64,
    #[serde(with = "number")]
    input_tokens: u64,
    #[serde(with = "number")]
    output_tokens: u64,
    #[serde(with = "number")]
    gpu_micros: u64,
    #[serde(with = "number")]
    energy_millijoules: u64,
}

impl Row {
    fn new((name, sums): (Name, Sums)) -> Self {
        Self {
            tenant: name.tenant,
            service: name.service,
            interface: name.interface,
            calls: sums.calls,
            errors: sums.errors,
            request_bytes: sums.request_bytes,
            response_bytes: sums.response_bytes,
            input_tokens: sums.input_tokens,
            output_tokens: sums.output_tokens,
            gpu_micros: sums.gpu_micros,
            energy_millijoules: sums.energy_millijoules,
        }
    }

    pub(super) fn name(&self) -> (&str, &str, &str) {
        (&self.tenant, &self.service, &self.interface)
    }
}

/// Why a document cannot be written: a time of its inputs is beyond the year 9999.
#[derive(Debug, thiserror::Error)]
#[error("the proof cannot be written")]
pub struct DocumentError(#[from] serde_json::Error);

/// The signed document. It is written whatever the inputs say: what does not add up is found by [`verify`](super::verify).
pub fn document(inputs: Inputs, key: &Key) -> Result<Value, DocumentError> {
    let mut rows = inputs.rows;
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    let rows: Vec<_> = rows.into_iter().map(Row::new).collect();
    let document = Document {
        weir_usage_proof: VERSION,
        window: Span { start: inputs.start_unix, end: inputs.end_unix },
        complete_until: inputs.complete_until_unix,
        generated_at: inputs.generated_at_unix,
        rows_sha256: sha256(&serde_json_canonicalizer::to_vec(&rows)?),
        rows,
        sources: inputs.sources,
        faults: inputs.faults,
        public_key: key.public(),
        signature: None,
    };
    let mut document = serde_json::to_value(document)?;
    let signature = key.sign(&serde_json_canonicalizer::to_vec(&document)?);
    document["signature"] = Value::String(signature);
    Ok(document)
}

/// In hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
