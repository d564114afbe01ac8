//! The service graph: who called whom, how often, with how many errors, and how long it took.
//!
//! A call is a span whose parent is a span of another service, or a client and a server span that share an id, as
//! Zipkin's do. A client or producer span under which nothing of another service is found names the callee itself, in
//! its attributes: a database, a queue, or a service that sends no spans.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_proto::otlp::trace::v1::Span;
use weir_proto::otlp::trace::v1::span::SpanKind;
use weir_service::http::Problem;

use super::Api;
use super::find::{AROUND, duration};
use super::tree::is_callee;
use super::walk::{Stop, each_span};
use crate::api::params::Params;
use crate::schedule::{Budget, Caller};
use crate::search::MAX_GROUP_BYTES;
use crate::snapshot::{Needs, Snapshot};

/// Most spans that the graph is made of; the names of services are bounded as [`MAX_GROUP_BYTES`] says.
const MOST: usize = 200_000;

/// Attributes in which a caller names its callee, the best first, and what kind of callee they name.
const PEERS: [(&str, &str); 9] = [
    ("peer.service", "service"),
    ("service.peer.name", "service"),
    ("db.system.name", "database"),
    ("db.system", "database"),
    ("messaging.system", "messaging"),
    ("server.address", "host"),
    ("net.peer.name", "host"),
    ("network.peer.address", "host"),
    ("net.peer.ip", "host"),
];

/// Ids of a trace and a span of it, and whether it is the called side of a call.
type SpanId = (u128, u64, bool);

#[derive(Debug, Clone, Copy)]
struct Call {
    /// Its place among the names.
    service: u32,
    /// Id of its parent; 0 where it has none.
    parent: u64,
    /// It began in the time asked for.
    within: bool,
    is_error: bool,
    nanos: i64,
    /// The callee that its attributes name, among the names, and its kind's place in [`PEERS`].
    peer: Option<(u32, u8)>,
}

/// One edge.
#[derive(Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) parent: Arc<str>,
    pub(super) child: Arc<str>,
    /// What kind of callee attributes of the caller name, where the callee itself sent no span.
    pub(super) peer: Option<&'static str>,
    pub(super) calls: u64,
    errors: u64,
    p50: i64,
    p99: i64,
}

/// `{"dependencies":[{"parent","child","calls","errors","p50_ms","p99_ms"}]}`: for two services, the spans of the child
/// that began in `start` to `end` and whose parent is a span of the other that began at most an hour before `start`. Where
/// only the caller's span is here and names its callee, the edge has `"peer"`: `service`, `database`, `messaging` or
/// `host`, and its durations are the caller's. A span that came twice counts once; calls within a service do not count.
/// Of more than 200,000 spans the newest count, about, and the answer has `"truncated": true`.
pub(super) async fn dependencies(
    State(api): State<Api>,
    caller: Caller,
    params: Params,
) -> Result<Json<Value>, Problem> {
    let range = params.range()?;
    let (edges, whole) = edges(&api, caller, range).await?;
    let mut answer = json!({"dependencies": edges.iter().map(show).collect::<Vec<_>>()});
    if !whole {
        answer["truncated"] = true.into();
    }
    Ok(Json(answer))
}

/// The edges of this time by their names, and whether these are all.
pub(super) async fn edges(api: &Api, caller: Caller, range: (i64, i64)) -> Result<(Vec<Edge>, bool), Problem> {
    api.run(&api.dependencies, &caller, move |snapshot, budget| collect(snapshot, range, MOST, budget)).await
}

fn show(edge: &Edge) -> Value {
    let mut shown = json!({
        "parent": *edge.parent,
        "child": *edge.child,
        "calls": edge.calls,
        "errors": edge.errors,
        "p50_ms": edge.p50 as f64 / 1e6,
        "p99_ms": edge.p99 as f64 / 1e6,
    });
    if let Some(peer) = edge.peer {
        shown["peer"] = peer.into();
    }
    shown
}

/// Names of services, each once.
#[derive(Default)]
struct Names {
    numbers: HashMap<Arc<str>, u32>,
    listed: Vec<Arc<str>>,
    bytes: usize,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let (name, number) = (Arc::<str>::from(name), self.listed.len() as u32);
        self.bytes += name.len();
        self.numbers.insert(name.clone(), number);
        self.listed.push(name);
        number
    }
}

/// The callee that a caller names, and its kind's place in [`PEERS`].
fn peer(span: &Span) -> Option<(&str, u8)> {
    if span.kind != SpanKind::Client as i32 && span.kind != SpanKind::Producer as i32 {
        return None;
    }
    let text = |name: &str| {
        let pair = span.attributes.iter().find(|pair| pair.key == name)?;
        match pair.value.as_ref()?.value.as_ref()? {
            Attribute::StringValue(text) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        }
    };
    (0..).zip(PEERS).find_map(|(at, (name, _))| Some((text(name)?, at)))
}

/// The edges that at most `most` spans tell of, and whether these are all.
fn collect(
    snapshot: &dyn Snapshot,
    (start, end): (i64, i64),
    most: usize,
    budget: &Budget,
) -> Result<(Vec<Edge>, bool), Stop> {
    let mut spans: HashMap<SpanId, Call> = HashMap::new();
    let mut names = Names::default();
    let from = start.saturating_sub(AROUND);
    let walked = each_span(snapshot, &Needs::Anything, (from, end), budget, |line, span| {
        // Ids of another length are none.
        let number = |id: &[u8]| id.try_into().map(u64::from_be_bytes).ok();
        let trace = line.trace_id.as_ref().try_into().map(u128::from_be_bytes);
        let (Ok(trace), Some(id)) = (trace, number(&span.span_id)) else { return Ok(()) };
        let id = (trace, id, is_callee(&span));
        if names.bytes > MAX_GROUP_BYTES || (spans.len() >= most && !spans.contains_key(&id)) {
            return Err(Stop::Large("spans"));
        }
        let call = Call {
            service: names.number(&line.source.service),
            parent: number(&span.parent_span_id).unwrap_or(0),
            within: line.time >= start,
            is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
            nanos: duration(&span),
            peer: peer(&span).map(|(name, kind)| (names.number(name), kind)),
        };
        spans.insert(id, call);
        Ok(())
    });
    let whole = match walked {
        Ok(()) => true,
        Err(Stop::Large(_)) => false,
        Err(stop) => return Err(stop),
    };
    Ok((named(&names, durations(&spans)), whole))
}

/// By parent, child and kind of peer: the durations of the calls, and how many failed.
type Durations = BTreeMap<(u32, u32, Option<&'static str>), (Vec<i64>, u64)>;

fn durations(spans: &HashMap<SpanId, Call>) -> Durations {
    let mut edges = Durations::new();
    let mut answered: HashSet<SpanId> = HashSet::new();
    for ((trace, id, is_called), call) in spans {
        let Some((caller, parent)) = caller(spans, (*trace, *id, *is_called), call) else { continue };
        if parent.service == call.service {
            continue;
        }
        answered.insert(caller);
        if call.within {
            add(&mut edges, (parent.service, call.service, None), call);
        }
    }
    for (id, call) in spans.iter().filter(|(id, call)| call.within && !answered.contains(id)) {
        if let Some((peer, kind)) = call.peer.filter(|(peer, _)| *peer != call.service && !id.2) {
            let kind = PEERS.get(usize::from(kind)).map(|(_, kind)| *kind);
            add(&mut edges, (call.service, peer, kind), call);
        }
    }
    edges
}

fn add(edges: &mut Durations, edge: (u32, u32, Option<&'static str>), call: &Call) {
    let (durations, errors) = edges.entry(edge).or_default();
    durations.push(call.nanos);
    *errors += u64::from(call.is_error);
}

/// The span that a span was called by: the client of the same id, else its parent, of which the one of the same service
/// is preferred, and the called side.
fn caller(spans: &HashMap<SpanId, Call>, (trace, id, is_called): SpanId, call: &Call) -> Option<(SpanId, Call)> {
    let get = |id: SpanId| Some((id, *spans.get(&id)?));
    let shared = if is_called { get((trace, id, false)) } else { None };
    if shared.is_some() || call.parent == 0 || call.parent == id {
        return shared;
    }
    let parents = [get((trace, call.parent, true)), get((trace, call.parent, false))];
    let of_service = parents.into_iter().flatten().find(|(_, parent)| parent.service == call.service);
    of_service.or_else(|| parents.into_iter().flatten().next())
}

fn named(names: &Names, durations: Durations) -> Vec<Edge> {
    let name = |number: u32| names.listed.get(number as usize).cloned().unwrap_or_default();
    let mut edges: Vec<Edge> = durations
        .into_iter()
        .map(|((parent, child, peer), (mut durations, errors))| {
            durations.sort_unstable();
            // The nearest rank.
            let quantile = |percent: usize| {
                durations.get((durations.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
            };
            let (p50, p99, calls) = (quantile(50), quantile(99), durations.len() as u64);
            Edge { parent: name(parent), child: name(child), peer, calls, errors, p50, p99 }
        })
        .collect();
    edges.sort_by(|a, b| (&a.parent, &a.child, a.peer).cmp(&(&b.parent, &b.child, b.peer)));
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, everything};
    use crate::traces::testing::{Made, far, store};

    fn told(store: &Store, range: (i64, i64)) -> Vec<(String, String, Option<&'static str>, u64)> {
        let (edges, whole) = collect(store.snapshot(&everything()).as_ref(), range, 1000, &far()).unwrap();
        assert!(whole);
        edges.into_iter().map(|edge| (edge.parent.to_string(), edge.child.to_string(), edge.peer, edge.calls)).collect()
    }

    fn edge(parent: &str, child: &str, peer: Option<&'static str>) -> (String, String, Option<&'static str>, u64) {
        (parent.to_owned(), child.to_owned(), peer, 1)
    }

    const ALL: (i64, i64) = (0, i64::MAX);

    #[test]
    fn given_spans_of_two_services_then_who_called_whom_is_counted_once() {
        let spans = [
            Made { service: "gateway", id: 1, ..Made::default() },
            Made { service: "ocr", id: 2, parent: 1, second: 1001, ..Made::default() },
            // One within a service, and one whose parent is not there.
            Made { service: "ocr", id: 3, parent: 2, second: 1002, ..Made::default() },
            Made { service: "asr", id: 4, parent: 9, second: 1003, ..Made::default() },
            Made { service: "asr", id: 5, parent: 1, second: 5000, ..Made::default() },
        ];
        let (_folder, store) = store(&[&spans[..2], &spans[1..]]);
        assert_eq!(told(&store, ALL), [edge("gateway", "asr", None), edge("gateway", "ocr", None)]);
        let range = (1_001_000_000_000, 2_000_000_000_000);
        assert_eq!(told(&store, range), [edge("gateway", "ocr", None)]);
        let cut = collect(store.snapshot(&everything()).as_ref(), ALL, 4, &far()).unwrap();
        assert!(!cut.1, "what is cut says so");
    }

    #[test]
    fn given_a_client_and_a_server_that_share_an_id_then_they_are_one_edge() {
        let spans = [
            Made { service: "front", id: 1, kind: 2, ..Made::default() },
            Made { service: "front", id: 2, parent: 1, kind: 3, seconds: 3, ..Made::default() },
            Made { service: "back", id: 2, parent: 1, kind: 2, seconds: 2, status: 2, ..Made::default() },
            // Below the shared id: of the server's service.
            Made { service: "back", id: 3, parent: 2, kind: 1, ..Made::default() },
            Made { service: "store", id: 4, parent: 2, kind: 2, ..Made::default() },
        ];
        let (_folder, store) = store(&[&spans]);
        assert_eq!(told(&store, ALL), [edge("back", "store", None), edge("front", "back", None)]);
        let (edges, _) = collect(store.snapshot(&everything()).as_ref(), ALL, 1000, &far()).unwrap();
        assert_eq!((edges[1].errors, edges[1].p50, edges[1].p99), (1, 2_000_000_000, 2_000_000_000));
    }

    #[test]
    fn given_a_callee_without_spans_then_the_callers_attributes_name_it() {
        let client = |id, attributes| Made { service: "front", id, kind: 3, attributes, ..Made::default() };
        let spans = [
            client(1, &[("db.system", "postgresql"), ("server.address", "10.0.0.1")]),
            client(2, &[("server.address", "api.example.com")]),
            Made { kind: 4, ..client(3, &[("messaging.system", "kafka")]) },
            // Its callee is here, under another name; a server names nobody; and one that calls itself.
            client(4, &[("peer.service", "the-back")]),
            Made { service: "back", id: 5, parent: 4, kind: 2, ..Made::default() },
            Made { service: "back", id: 6, kind: 2, attributes: &[("peer.service", "front")], ..Made::default() },
            client(7, &[("peer.service", "front")]),
        ];
        let (_folder, store) = store(&[&spans]);
        let want = [
            edge("front", "api.example.com", Some("host")),
            edge("front", "back", None),
            edge("front", "kafka", Some("messaging")),
            edge("front", "postgresql", Some("database")),
        ];
        assert_eq!(told(&store, ALL), want);
    }
}
