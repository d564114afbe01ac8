//! Which span of a trace called which.

use std::collections::HashMap;

use weir_proto::otlp::trace::v1::Span;
use weir_proto::otlp::trace::v1::span::SpanKind;

use super::fetch::SourcedSpan;

/// Whether it is the side of a call that is called.
pub(super) fn is_callee(span: &Span) -> bool {
    span.kind == SpanKind::Server as i32 || span.kind == SpanKind::Consumer as i32
}

/// For each span the place of its parent among them. Where a client and a server span share an id, the client is the
/// parent of the server, and the children of that id are those of the one whose service they have, else of the server.
/// Nobody is his own ancestor: of a circle, one span has no parent.
pub(super) fn parents(spans: &[&SourcedSpan]) -> Vec<Option<usize>> {
    let mut by_id: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (at, (_, span)) in spans.iter().enumerate() {
        by_id.entry(&span.span_id).or_default().push(at);
    }
    let of_id = |id: &[u8]| by_id.get(id).map(Vec::as_slice).unwrap_or_default().iter().copied();
    let parent = |at: usize| {
        let (source, span) = spans[at];
        if is_callee(span)
            && let Some(caller) = of_id(&span.span_id).find(|other| !is_callee(&spans[*other].1))
        {
            return Some(caller);
        }
        let among = || of_id(&span.parent_span_id).filter(|other| *other != at);
        let of_service = among().find(|other| spans[*other].0.service == source.service);
        of_service.or_else(|| among().find(|other| is_callee(&spans[*other].1))).or_else(|| among().next())
    };
    let mut parents: Vec<Option<usize>> = (0..spans.len()).map(parent).collect();
    break_circles(&mut parents);
    parents
}

fn break_circles(parents: &mut [Option<usize>]) {
    // In which walk towards the root a span was seen; 0: in none.
    let mut seen = vec![0_usize; parents.len()];
    for start in 0..parents.len() {
        let mut at = start;
        while seen[at] == 0 {
            seen[at] = start + 1;
            match parents[at] {
                Some(parent) if seen[parent] == start + 1 => parents[at] = None,
                Some(parent) => at = parent,
                None => {}
            }
        }
    }
}

/// The spans below each.
pub(super) fn children(parents: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); parents.len()];
    for (at, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(at);
        }
    }
    children
}
