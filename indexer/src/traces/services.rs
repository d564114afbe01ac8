//! Who made spans, and who called whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use weir_proto::otlp::trace::v1::Span;
use weir_query::line::{self, Line};
use weir_service::auth::Tenants;
use weir_service::http::Problem;

use super::{Api, LONGEST};
use crate::Error;
use crate::api::params::Params;
use crate::ingest::span_of;
use crate::search::MAX_GROUP_BYTES;
use crate::snapshot::Needs;
use crate::store::Store;

/// Most spans that dependencies are made of, and most operations of an answer; their names, and those of services, are
/// bounded as [`MAX_GROUP_BYTES`] says.
const MOST: usize = 200_000;
const MOST_OPERATIONS: usize = 20_000;
/// How long before a span its parent may have begun.
const PARENT_BEFORE: i64 = 3_600_000_000_000;

/// Why a walk over spans broke off.
enum Stop {
    Late,
    Many,
}

/// Ids of a trace and a span of it.
type SpanId = (u128, u64);

struct Call {
    /// Its place among the names.
    service: u32,
    /// Id of its parent; 0 where it has none.
    parent: u64,
    /// It began in the time asked for.
    within: bool,
}

/// `{"services":[{"service","operations":[{"name","kind"}]}]}`: services with spans that began in `start` to `end`, and
/// the names of these spans, by name.
pub(super) async fn services(State(api): State<Api>, tenants: Tenants, params: Params) -> Result<Json<Value>, Problem> {
    let (start, end) = params.range()?;
    let service = params.text("service").map(str::to_owned);
    let needs = service.as_ref().map_or(Needs::Anything, |s| Needs::Field("service".to_owned(), s.to_lowercase()));
    let found = api.run(&api.services, move |store| {
        let (mut services, mut operations) = (BTreeMap::<String, BTreeSet<(String, &str)>>::new(), 0);
        let mut bytes = 0;
        each_span(store, &tenants, &needs, (start, end), |line, span| {
            if service.as_ref().is_none_or(|service| *service == line.source.service) {
                if !services.contains_key(&line.source.service) {
                    bytes += line.source.service.len();
                }
                let names = services.entry(line.source.service.clone()).or_default();
                let length = span.name.len();
                if names.insert((span.name, line::kind(span.kind))) {
                    operations += 1;
                    bytes += length;
                }
            }
            if operations > MOST_OPERATIONS || bytes > MAX_GROUP_BYTES { Err(Stop::Many) } else { Ok(()) }
        })
        .map(|done| done.map(|()| services))
    });
    let services = found
        .await?
        .map_err(|stop| refused(&stop, "operations, or more than 32 MiB of their names, since names hold ids"))?;
    let show = |(service, operations): (String, BTreeSet<(String, &str)>)| {
        let operations: Vec<Value> =
            operations.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
        json!({"service": service, "operations": operations})
    };
    Ok(Json(json!({"services": services.into_iter().map(show).collect::<Vec<_>>()})))
}

/// `{"dependencies":[{"parent","child","calls"}]}`: for two services, the spans of the child that began in `start` to
/// `end` and whose parent is a span of the other that began at most an hour before `start`. A span that came twice counts
/// once; calls within a service do not count. Of more than 200,000 spans the newest count, about, and the answer has
/// `"truncated": true`.
pub(super) async fn dependencies(
    State(api): State<Api>,
    tenants: Tenants,
    params: Params,
) -> Result<Json<Value>, Problem> {
    let (start, end) = params.range()?;
    let found = api.run(&api.dependencies, move |store| calls(store, &tenants, (start, end), MOST)).await?;
    let (calls, whole) = found.map_err(|stop| refused(&stop, "spans"))?;
    let show =
        |((parent, child), calls): ((String, String), u64)| json!({"parent": parent, "child": child, "calls": calls});
    let mut answer = json!({"dependencies": calls.into_iter().map(show).collect::<Vec<_>>()});
    if !whole {
        answer["truncated"] = true.into();
    }
    Ok(Json(answer))
}

/// By parent and child.
type Calls = BTreeMap<(String, String), u64>;

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

/// The calls that at most `most` spans tell of, and whether these are all.
fn calls(
    store: &Store,
    tenants: &Tenants,
    (start, end): (i64, i64),
    most: usize,
) -> Result<Result<(Calls, bool), Stop>, Error> {
    let mut spans: HashMap<SpanId, Call> = HashMap::new();
    let mut names = Names::default();
    let from = start.saturating_sub(PARENT_BEFORE);
    let walked = each_span(store, tenants, &Needs::Anything, (from, end), |line, span| {
        // Ids of another length are none.
        let number = |id: &[u8]| id.try_into().map(u64::from_be_bytes).ok();
        let trace = line.trace_id.as_ref().try_into().map(u128::from_be_bytes);
        let (Ok(trace), Some(id)) = (trace, number(&span.span_id)) else { return Ok(()) };
        let parent = number(&span.parent_span_id).unwrap_or(0);
        let service = names.number(&line.source.service);
        if names.bytes > MAX_GROUP_BYTES || (spans.len() >= most && !spans.contains_key(&(trace, id))) {
            return Err(Stop::Many);
        }
        spans.insert((trace, id), Call { service, parent, within: line.time >= start });
        Ok(())
    })?;
    let mut whole = match walked {
        Ok(()) => true,
        Err(Stop::Many) => false,
        Err(Stop::Late) => return Ok(Err(Stop::Late)),
    };
    let mut numbers = BTreeMap::<(u32, u32), u64>::new();
    for ((trace, _), call) in spans.iter().filter(|(_, call)| call.within && call.parent != 0) {
        let parent = spans.get(&(*trace, call.parent)).map(|parent| parent.service);
        if let Some(parent) = parent.filter(|parent| *parent != call.service) {
            *numbers.entry((parent, call.service)).or_default() += 1;
        }
    }
    let (mut calls, mut bytes) = (Calls::new(), 0);
    for ((parent, child), count) in numbers {
        let name = |number: u32| names.listed.get(number as usize).map(ToString::to_string).unwrap_or_default();
        let pair = (name(parent), name(child));
        bytes += pair.0.len() + pair.1.len();
        if bytes > MAX_GROUP_BYTES {
            whole = false;
            break;
        }
        calls.insert(pair, count);
    }
    Ok(Ok((calls, whole)))
}

/// Calls `each` with the spans that began in the time given, until it stops or the time for a search is over.
fn each_span(
    store: &Store,
    tenants: &Tenants,
    needs: &Needs,
    (start, end): (i64, i64),
    mut each: impl FnMut(&Line, Span) -> Result<(), Stop>,
) -> Result<Result<(), Stop>, Error> {
    let deadline = Instant::now() + LONGEST;
    for candidate in store.snapshot(tenants).candidates(needs, start, end)? {
        if Instant::now() > deadline {
            return Ok(Err(Stop::Late));
        }
        for line in candidate.lines()?.iter().filter(|line| (start..end).contains(&line.time)) {
            if let Some(Err(stop)) = span_of(line).map(|span| each(line, span)) {
                return Ok(Err(stop));
            }
        }
    }
    Ok(Ok(()))
}

fn refused(stop: &Stop, what: &str) -> Problem {
    match stop {
        Stop::Late => Problem::new(StatusCode::GATEWAY_TIMEOUT, "it took too long: narrow `start` and `end`"),
        Stop::Many => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("too many {what}: narrow `start` and `end`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use prost::Message as _;
    use tower::ServiceExt as _;
    use weir_bus::{Message, Partition};
    use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
    use weir_proto::otlp::common::v1::any_value::Value as Attribute;
    use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
    use weir_proto::otlp::resource::v1::Resource;
    use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans};
    use weir_proto::topic;

    use super::*;
    use crate::ingest::Signal;
    use crate::store::everything;

    /// A span of `service` that began at a second, below a parent (0: none).
    fn message(offset: i64, service: &str, id: u8, parent: u8, second: u64) -> Message {
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![id; 8],
            parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
            name: format!("{service} work"),
            kind: 2,
            start_time_unix_nano: second * 1_000_000_000,
            ..Span::default()
        };
        let name = AnyValue { value: Some(Attribute::StringValue(service.into())) };
        let attributes = vec![KeyValue { key: "service.name".into(), value: Some(name), ..KeyValue::default() }];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes, ..Resource::default() }),
                scope_spans: vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            }],
        };
        Message {
            partition: Partition::new(topic::SPANS, 0),
            offset,
            key: None,
            value: request.encode_to_vec().into(),
            headers: Vec::new(),
            timestamp_ms: 1_700_000_000_000,
        }
    }

    async fn get(store: &Arc<Store>, path: &str) -> Value {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = super::super::routes(store.clone()).open().oneshot(request).await.unwrap();
        serde_json::from_slice(&axum::body::to_bytes(response.into_body(), 8 << 20).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn services_and_who_called_whom_are_told_of_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let day = Duration::from_hours(24);
        let store = Arc::new(Store::open(folder.path().into(), Signal::Spans, day, day).unwrap());
        store.ingest(&[message(0, "gateway", 1, 0, 1000), message(1, "ocr", 2, 1, 1001)]);
        store.seal(1_700_000_000_000).unwrap();
        // One that came twice, one within a service, one whose parent is not there.
        store.ingest(&[message(2, "ocr", 2, 1, 1001), message(3, "ocr", 3, 2, 1002), message(4, "asr", 4, 9, 1003)]);
        store.ingest(&[message(5, "asr", 5, 1, 5000)]);
        let call = |parent: &str, child: &str| json!({"parent": parent, "child": child, "calls": 1});
        let all = get(&store, "/api/v1/dependencies").await;
        assert_eq!(all, json!({"dependencies": [call("gateway", "asr"), call("gateway", "ocr")]}));
        let later = get(&store, "/api/v1/dependencies?start=1001&end=2000").await;
        assert_eq!(later, json!({"dependencies": [call("gateway", "ocr")]}));
        let services = get(&store, "/api/v1/services?end=1002").await;
        let service =
            |name: &str| json!({"service": name, "operations": [{"name": format!("{name} work"), "kind": "server"}]});
        assert_eq!(services, json!({"services": [service("gateway"), service("ocr")]}));
        let one = get(&store, "/api/v1/services?service=asr").await;
        assert_eq!(one, json!({"services": [service("asr")]}));
        let told = |most| calls(&store, &everything(), (0, i64::MAX), most).unwrap().ok().unwrap();
        assert_eq!((told(5).0.len(), told(5).1), (2, true), "one of the six came twice");
        assert!(!told(4).1, "what is cut says so");
    }

    #[tokio::test]
    async fn names_of_operations_are_bounded_by_their_bytes_too() {
        let folder = tempfile::tempdir().unwrap();
        let day = Duration::from_hours(24);
        let store = Arc::new(Store::open(folder.path().into(), Signal::Spans, day, day).unwrap());
        for n in 0..34 {
            store.ingest(&[message(n, "x".repeat(1 << 20).as_str(), 1, 0, 1000 + n as u64)]);
        }
        assert_eq!(get(&store, "/api/v1/services").await["services"].as_array().map(Vec::len), Some(1));
        for n in 0..34 {
            store.ingest(&[message(n, &format!("{n}{}", "x".repeat(1_000_000)), 1, 0, 1000)]);
        }
        let refused = get(&store, "/api/v1/services").await;
        assert!(refused["detail"].as_str().unwrap().contains("32 MiB"), "{refused}");
    }
}
