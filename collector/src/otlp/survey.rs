//! The walk over one resource of a request: proves that it is sound, and says what is in it.

use std::ops::Range;

use super::schema::{Kind, Message};
use super::signal::Signal;
use super::verdict::{Verdict, count, is_kept_id, verdict};
use super::wire::{self, Fields, Malformed, Value};

/// What is in a resource and its scopes.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// All of it is kept as it is, and there is one field `resource` at most.
    pub(super) is_kept: bool,
    /// The place of the field `resource`, with its tag; empty if there is none.
    pub(super) resource: Range<usize>,
    /// Log records, spans or metrics.
    pub(super) records: u64,
    /// Log records, spans or data points.
    pub(super) count: u64,
}

/// Of `ResourceLogs`, `ResourceSpans` or `ResourceMetrics`, which are made alike; `trusted` is what [`verdict`] asks for.
pub(super) fn of(signal: Signal, bytes: &[u8], trusted: bool) -> Result<Seen, Malformed> {
    let outer = nested(signal.request(), 1);
    let scope = nested(outer, 2);
    let record = nested(scope, 2);
    let mut seen = Seen { is_kept: true, ..Seen::default() };
    let mut at = 0;
    for field in Fields::of(bytes) {
        let field = field?;
        match field.value {
            Value::Bytes(content) if field.number == 2 => {
                of_scope(signal, (scope, record), content, trusted, &mut seen)?;
            }
            _ => wire::check_field(outer, &field, 1)?,
        }
        if field.number == 1 {
            // Given twice, they have to be merged.
            seen.is_kept &= seen.resource.is_empty();
            seen.resource = at..at + field.whole.len();
        }
        at += field.whole.len();
    }
    Ok(seen)
}

fn of_scope(
    signal: Signal,
    (scope, record): (&'static Message, &'static Message),
    bytes: &[u8],
    trusted: bool,
    seen: &mut Seen,
) -> Result<(), Malformed> {
    for field in Fields::of(bytes) {
        let field = field?;
        match field.value {
            Value::Bytes(content) if field.number == 2 => {
                seen.records += 1;
                seen.is_kept &= is_kept(signal, record, content, trusted)?;
                seen.count += count(signal, content);
            }
            _ => wire::check_field(scope, &field, 2)?,
        }
    }
    Ok(())
}

fn is_kept(signal: Signal, message: &'static Message, record: &[u8], trusted: bool) -> Result<bool, Malformed> {
    if signal != Signal::Logs {
        wire::check(message, record, 3)?;
        return Ok(matches!(verdict(signal, record, trusted), Verdict::Keep));
    }
    // What the verdict on a log record would say, in the same walk.
    let mut is_kept = true;
    for field in Fields::of(record) {
        let field = field?;
        wire::check_field(message, &field, 3)?;
        is_kept &= is_kept_id(&field);
    }
    Ok(is_kept)
}

/// The message of a field that holds one, as these three do.
fn nested(message: &'static Message, number: u32) -> &'static Message {
    match message.by_number(number).map(|field| field.kind) {
        Some(Kind::Nested(inner)) => inner,
        _ => message,
    }
}
