//! The spans of a trace by its id: whole, in pages, or of several traces at once.
//!
//! A span that came twice is one. A client and a server span may share an id, as Zipkin's do, and are two: what tells
//! spans apart is their [`Key`].

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use weir_proto::otlp::trace::v1::Span;
use weir_query::line::{Line, Source};

use super::walk::{Stop, each_span, lines};
use crate::ingest::span_of;
use crate::schedule::Budget;
use crate::snapshot::{Needs, Snapshot};

/// A span with its source.
pub(super) type SourcedSpan = (Arc<Source>, Span);

/// What a span is known by within its trace, which is also its place in it: start (nanoseconds since the epoch), span
/// id, kind, tenant, service.
pub(super) type Key = (i64, Vec<u8>, i32, String, String);

/// Spans of one trace in order, each once.
pub(super) type Spans = BTreeMap<Key, SourcedSpan>;

/// Which spans of a trace.
#[derive(Debug)]
pub(super) struct Asked {
    /// Most spans.
    pub(super) limit: usize,
    /// Most bytes of spans, as protobuf. One span is there, however large.
    pub(super) bytes: usize,
    /// Those behind this one.
    pub(super) after: Option<Key>,
}

/// A page of a trace.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) spans: Spans,
    /// There are spans behind these.
    pub(super) more: bool,
}

pub(super) fn key(line: &Line, span: &Span) -> Key {
    (line.time, span.span_id.clone(), span.kind, line.source.tenant.clone(), line.source.service.clone())
}

/// What a chunk with spans of this trace holds.
pub(super) fn needs(trace_id: &[u8]) -> Needs {
    Needs::Field("trace_id".to_owned(), hex::encode(trace_id))
}

/// One page of a trace, by start. Chunks behind the page are not read.
pub(super) fn page(snapshot: &dyn Snapshot, trace_id: &[u8], asked: &Asked, budget: &Budget) -> Result<Page, Stop> {
    let from = asked.after.as_ref().map_or(i64::MIN, |(time, ..)| *time);
    let mut candidates = snapshot.candidates(&needs(trace_id), from, i64::MAX)?;
    candidates.sort_by_key(|candidate| candidate.min_time());
    let (mut spans, mut bytes) = (Spans::new(), 0);
    // The first span that found no room: none behind it is on the page.
    let mut cut: Option<Key> = None;
    for candidate in candidates {
        let is_behind = |time: i64| cut.as_ref().is_some_and(|(cut, ..)| time > *cut);
        if is_behind(candidate.min_time()) {
            break;
        }
        for line in lines(&candidate, budget)?.iter().filter(|line| line.trace_id == trace_id && line.time >= from) {
            if cut.as_ref().is_some_and(|(cut, ..)| line.time > *cut) {
                continue;
            }
            let Some(span) = span_of(line) else { continue };
            let key = key(line, &span);
            let is_before = asked.after.as_ref().is_some_and(|after| key <= *after);
            if is_before || cut.as_ref().is_some_and(|cut| key >= *cut) {
                continue;
            }
            let length = span.encoded_len();
            if spans.insert(key, (line.source.clone(), span)).is_none() {
                bytes += length;
            }
            while spans.len() > asked.limit || (bytes > asked.bytes && spans.len() > 1) {
                let Some((key, (_, span))) = spans.pop_last() else { break };
                bytes = bytes.saturating_sub(span.encoded_len());
                cut = Some(key);
            }
        }
    }
    Ok(Page { spans, more: cut.is_some() })
}

/// The spans of several traces that began in the time given, by trace id, until they take `most` bytes; the second is
/// whether all of them are there.
pub(super) fn traces(
    snapshot: &dyn Snapshot,
    ids: &[Bytes],
    range: (i64, i64),
    most: usize,
    budget: &Budget,
) -> Result<(BTreeMap<Bytes, Spans>, bool), Stop> {
    let mut found: BTreeMap<Bytes, Spans> = ids.iter().map(|id| (id.clone(), Spans::new())).collect();
    let (mut bytes, mut is_whole) = (0_usize, true);
    let needs = Needs::Any(ids.iter().map(|id| needs(id)).collect());
    each_span(snapshot, &needs, range, budget, |line, span| {
        let Some(spans) = found.get_mut(&line.trace_id) else { return Ok(()) };
        let length = span.encoded_len();
        if bytes + length > most {
            is_whole = false;
        } else if spans.insert(key(line, &span), (line.source.clone(), span)).is_none() {
            bytes += length;
        }
        Ok(())
    })?;
    Ok((found, is_whole))
}

/// A [`Key`] as a cursor, which is opaque to its reader.
pub(super) fn cursor(key: &Key) -> String {
    hex::encode(serde_json::to_vec(key).unwrap_or_default())
}

/// The [`Key`] of a cursor; `None` of other text.
pub(super) fn read_cursor(text: &str) -> Option<Key> {
    serde_json::from_slice(&hex::decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::everything;
    use crate::traces::testing::{Made, far, store};

    fn names(page: &Page) -> Vec<String> {
        page.spans.values().map(|(_, span)| span.name.clone()).collect()
    }

    fn asked(limit: usize, bytes: usize, after: Option<Key>) -> Asked {
        Asked { limit, bytes, after }
    }

    #[test]
    fn given_a_client_and_a_server_span_of_one_id_then_both_are_there_and_what_came_twice_is_once() {
        let client = Made { service: "front", id: 2, kind: 3, ..Made::default() };
        let server = Made { service: "back", id: 2, kind: 2, ..Made::default() };
        let (_folder, store) = store(&[&[client, server], &[server]]);
        let snapshot = store.snapshot(&everything());
        let page = page(snapshot.as_ref(), &[1; 16], &asked(10, 1 << 20, None), &far()).unwrap();
        assert_eq!(names(&page), ["back work", "front work"]);
        assert!(!page.more);
    }

    #[test]
    fn given_a_trace_in_pages_then_each_span_is_on_one_of_them_in_order() {
        let spans: Vec<Made> =
            (1..=9).map(|n| Made { id: n, second: 1000 + u64::from(n / 3), ..Made::default() }).collect();
        let (_folder, store) = store(&[&spans[..5], &spans[3..], &spans[..2]]);
        let snapshot = store.snapshot(&everything());
        for (limit, bytes) in [(2, 1 << 20), (100, 1)] {
            let (mut ids, mut after) = (Vec::new(), None);
            loop {
                let page = page(snapshot.as_ref(), &[1; 16], &asked(limit, bytes, after), &far()).unwrap();
                ids.extend(page.spans.values().map(|(_, span)| span.span_id[0]));
                if !page.more {
                    break;
                }
                let last = page.spans.last_key_value().map(|(key, _)| cursor(key)).unwrap();
                after = Some(read_cursor(&last).unwrap());
            }
            assert_eq!(ids, (1..=9).collect::<Vec<u8>>(), "{limit} spans, {bytes} bytes");
        }
    }
}
