//! The critical path of a trace: the spans without which it would have ended sooner, and for how long each of them was
//! what the trace waited for.
//!
//! From the end of the trace back to its start, time belongs to the child that ended last before it, and where no child
//! runs, to the span itself (CRISP: Zhang et al., USENIX ATC 2022). Children are cut to their parent's time, so those
//! whose clock is ahead, and those that outlive it, take no more than the parent has. A trace with several roots, as
//! where parents are missing, is the path through all of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use weir_proto::otlp::trace::v1::Span;
use weir_service::http::Problem;
use weir_service::time;

use super::fetch::{self, Asked, SourcedSpan};
use super::{Api, MOST_BYTES, nanos, trace_id, tree, unknown};
use crate::schedule::Caller;

/// `{"trace_id","duration_ns","critical_path":[{"span_id","parent_span_id","service","name","kind","start","self_ns"}]}`,
/// by start; `self_ns` is the time on the path that is the span's own, in nanoseconds. Of a trace of more than 32 MiB the
/// first spans count, and the answer has `"truncated": true`.
pub(super) async fn critical_path(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    let id = trace_id(id)?;
    let asked = Asked { limit: usize::MAX, bytes: MOST_BYTES, after: None };
    let bytes = id.clone();
    let page = api.run(&api.traces, &caller, move |snapshot, budget| fetch::page(snapshot, &bytes, &asked, budget));
    let page = page.await?;
    if page.spans.is_empty() {
        return Err(unknown(&id));
    }
    let spans: Vec<&SourcedSpan> = page.spans.values().collect();
    let shown: Vec<Value> = path(&spans).into_iter().map(|(at, own)| show(spans[at], own)).collect();
    let (start, end) = extent(&spans);
    let mut answer =
        json!({"trace_id": hex::encode(&id), "duration_ns": end.saturating_sub(start), "critical_path": shown});
    if page.more {
        answer["truncated"] = true.into();
    }
    Ok(Json(answer))
}

fn show((source, span): &SourcedSpan, own: i64) -> Value {
    json!({
        "span_id": hex::encode(&span.span_id),
        "parent_span_id": hex::encode(&span.parent_span_id),
        "service": source.service,
        "name": span.name,
        "kind": weir_query::line::kind(span.kind),
        "start": time::format(nanos(span.start_time_unix_nano)),
        "self_ns": own,
    })
}

/// Start and end; a span that ends before it begins takes no time.
fn times(span: &Span) -> (i64, i64) {
    let start = nanos(span.start_time_unix_nano);
    (start, nanos(span.end_time_unix_nano).max(start))
}

/// The first start and the last end.
pub(super) fn extent(spans: &[&SourcedSpan]) -> (i64, i64) {
    let start = spans.iter().map(|(_, span)| times(span).0).min().unwrap_or(0);
    let end = spans.iter().map(|(_, span)| times(span).1).max().unwrap_or(0);
    (start, end)
}

/// A span whose children are being looked through, from its end to its start.
struct Frame {
    /// `None`: what lies above all roots.
    span: Option<usize>,
    low: i64,
    high: i64,
    /// Where the walk is by now.
    at: i64,
    /// How many of its children were looked at.
    seen: usize,
}

/// The places of the spans on the path, by start, with the nanoseconds of it that are their own.
fn path(spans: &[&SourcedSpan]) -> Vec<(usize, i64)> {
    let parents = tree::parents(spans);
    let mut roots: Vec<usize> = (0..spans.len()).filter(|at| parents[*at].is_none()).collect();
    let mut children = tree::children(&parents);
    let times: Vec<(i64, i64)> = spans.iter().map(|(_, span)| times(span)).collect();
    for list in children.iter_mut().chain([&mut roots]) {
        // Of those that end together the longest is what was waited for.
        list.sort_by_key(|at| (std::cmp::Reverse(times[*at].1), times[*at].0));
    }
    let (low, high) = extent(spans);
    let mut own: BTreeMap<usize, i64> = BTreeMap::new();
    let mut stack = vec![Frame { span: None, low, high, at: high, seen: 0 }];
    while let Some(frame) = stack.last_mut() {
        let below = frame.span.map_or(&roots, |span| &children[span]);
        let Some(child) = below.get(frame.seen).copied() else {
            if let Some(span) = frame.span {
                *own.entry(span).or_default() += frame.at - frame.low;
            }
            stack.pop();
            continue;
        };
        frame.seen += 1;
        let (low, high) = (times[child].0.max(frame.low), times[child].1.min(frame.high));
        // Nothing of it within its parent; or it still ran when what comes behind it on the path began.
        if low > high || high > frame.at {
            continue;
        }
        if let Some(span) = frame.span {
            *own.entry(span).or_default() += frame.at - high;
        }
        frame.at = low;
        stack.push(Frame { span: Some(child), low, high, at: high, seen: 0 });
    }
    own.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use weir_query::line::Source;

    use super::*;

    /// Id, parent (0: none), start, end.
    type Row = (u8, u8, u64, u64);

    fn spans(rows: &[Row]) -> Vec<SourcedSpan> {
        let span = |(id, parent, start, end): &Row| Span {
            span_id: vec![*id],
            parent_span_id: if *parent == 0 { Vec::new() } else { vec![*parent] },
            start_time_unix_nano: *start,
            end_time_unix_nano: *end,
            ..Span::default()
        };
        rows.iter().map(|row| (Arc::new(Source::default()), span(row))).collect()
    }

    fn told(rows: &[Row]) -> Vec<(u8, i64)> {
        let spans = spans(rows);
        let spans: Vec<_> = spans.iter().collect();
        path(&spans).into_iter().map(|(at, own)| (spans[at].1.span_id[0], own)).collect()
    }

    #[test]
    fn given_children_beside_each_other_then_the_one_that_ends_last_is_on_the_path() {
        assert_eq!(told(&[(1, 0, 0, 100), (2, 1, 10, 50), (3, 1, 20, 90)]), [(1, 30), (3, 70)]);
        assert_eq!(told(&[(1, 0, 0, 100), (2, 1, 10, 40), (3, 1, 50, 90)]), [(1, 30), (2, 30), (3, 40)]);
        assert_eq!(told(&[(1, 0, 0, 100), (2, 1, 0, 100), (3, 2, 0, 60)]), [(1, 0), (2, 40), (3, 60)]);
    }

    #[test]
    fn given_clocks_that_differ_and_parents_that_are_missing_then_no_time_counts_twice() {
        // Outlives its parent; begins before it; lies outside of it altogether.
        assert_eq!(told(&[(1, 0, 0, 100), (2, 1, 80, 150)]), [(1, 80), (2, 20)]);
        assert_eq!(told(&[(1, 0, 50, 100), (2, 1, 0, 60)]), [(1, 40), (2, 10)]);
        assert_eq!(told(&[(1, 0, 0, 100), (2, 1, 200, 300)]), [(1, 100)]);
        // A missing parent, a circle, a parent of itself, and a span that ends before it begins.
        assert_eq!(told(&[(1, 0, 0, 50), (2, 9, 60, 100)]), [(1, 50), (2, 40)]);
        assert_eq!(told(&[(1, 2, 0, 100), (2, 1, 0, 100)]).len(), 2);
        assert_eq!(told(&[(1, 1, 0, 100)]), [(1, 100)]);
        assert_eq!(told(&[(1, 0, 100, 0)]), [(1, 0)]);
    }

    proptest! {
        #[test]
        fn whatever_the_spans_say_the_path_is_no_longer_than_the_trace(
            rows in prop::collection::vec((1_u8..12, 0_u8..12, 0_u64..100, 0_u64..100), 1..30),
        ) {
            let spans = spans(&rows);
            let spans: Vec<_> = spans.iter().collect();
            let (start, end) = extent(&spans);
            let path = path(&spans);
            prop_assert!(!path.is_empty());
            prop_assert!(path.iter().all(|(_, own)| *own >= 0));
            prop_assert!(path.iter().map(|(_, own)| own).sum::<i64>() <= end - start, "{path:?}");
        }
    }
}
