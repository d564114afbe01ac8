//! The proof of a window of usage: rows and the offset ranges that they were counted from, signed, and checked offline.
//!
//! ```json
//! {"weir_usage_proof": 1,
//!  "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"},
//!  "complete_until": "2026-01-02T00:10:00Z", "generated_at": "2026-01-02T00:10:05Z",
//!  "rows": [{"tenant": "acme", "service": "ocr", "interface": "POST /v1/ocr", "calls": 7, "errors": 1, …}],
//!  "rows_sha256": "…",
//!  "sources": [{"topic": "otlp_spans", "partition": 0, "ranges": [{"first_offset": 0, "end_offset": 9, "spans": 8,
//!      "counted": 7, "duplicates": 1, "rejected": 0, "counted_in_window": 7, "begins_anew": false}]}],
//!  "faults": [],
//!  "public_key": "…", "signature": "…"}
//! ```
//!
//! All fields but `signature` are signed: Ed25519 over the canonical JSON (RFC 8785) of the document without it.
//! `rows_sha256` is the SHA-256 of the canonical JSON of `rows`. So that no changed byte can go unnoticed, there is one way
//! to write each value: whole numbers up to 2^53 as numbers, greater ones as text (as numbers, many readers would round
//! them), keys and signatures in lower-case hex, times in whole seconds of UTC.

mod document;
mod key;
mod number;
mod pem;
#[cfg(test)]
mod tests;
mod verify;

pub use document::{DocumentError, Fault, FaultKind, Inputs, RangeProof, SourceProof, document};
pub use key::{Key, KeyError, public_key_of};
pub use verify::{Invalid, Place, Verified, Window, verify};
