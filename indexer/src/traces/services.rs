//! Who made spans, and who called whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Query, State};
use http::StatusCode;
use serde_json::{Value, json};
use weir_proto::otlp::trace::v1::Span;
use weir_service::http::Problem;

use super::{Api, LONGEST, kind};
use crate::Error;
use crate::api::params::Params;
use crate::ingest::span_of;
use crate::line::{Line, Source};
use crate::snapshot::Needs;
use crate::store::Store;

/// Most spans that dependencies are made of, and most operations of an answer.
const MOST: usize = 1_000_000;
const MOST_OPERATIONS: usize = 20_000;
/// How long before a span its parent may have begun.
const PARENT_BEFORE: i64 = 3_600_000_000_000;

type Pairs = Query<Vec<(String, String)>>;

/// Why a walk over spans broke off.
enum Stop {
    Late,
    Many,
}

/// A span by its place in a trace.
type SpanId = (Vec<u8>, Vec<u8>);

struct Call {
    service: Arc<Source>,
    parent: Vec<u8>,
    /// It began in the time asked for.
    within: bool,
}

/// `{"services":[{"service","operations":[{"name","kind"}]}]}`: services with spans that began in `start` to `end`, and
/// the names of these spans, by name.
pub(super) async fn services(State(api): State<Api>, Query(pairs): Pairs) -> Result<Json<Value>, Problem> {
    let params = Params::new(pairs, &["start", "end", "service"])?;
    let (start, end) = params.range()?;
    let service = params.text("service").map(str::to_owned);
    let needs = service.as_ref().map_or(Needs::Anything, |s| Needs::Field("service".to_owned(), s.to_lowercase()));
    let found = api.run(move |store| {
        let (mut services, mut operations) = (BTreeMap::<String, BTreeSet<(String, &str)>>::new(), 0);
        each_span(store, &needs, (start, end), |line, span| {
            if service.as_ref().is_none_or(|service| *service == line.source.service) {
                let names = services.entry(line.source.service.clone()).or_default();
                operations += usize::from(names.insert((span.name, kind(span.kind))));
            }
            if operations > MOST_OPERATIONS { Err(Stop::Many) } else { Ok(()) }
        })
        .map(|done| done.map(|()| services))
    });
    let services = found.await?.map_err(|stop| refused(&stop, "operations, since names hold ids"))?;
    let show = |(service, operations): (String, BTreeSet<(String, &str)>)| {
        let operations: Vec<Value> =
            operations.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
        json!({"service": service, "operations": operations})
    };
    Ok(Json(json!({"services": services.into_iter().map(show).collect::<Vec<_>>()})))
}

/// `{"dependencies":[{"parent","child","calls"}]}`: for two services, the spans of the child that began in `start` to
/// `end` and whose parent is a span of the other that began at most an hour before `start`. A span that came twice counts
/// once; calls within a service do not count.
pub(super) async fn dependencies(State(api): State<Api>, Query(pairs): Pairs) -> Result<Json<Value>, Problem> {
    let (start, end) = Params::new(pairs, &["start", "end"])?.range()?;
    let calls = api.run(move |store| calls(store, start, end)).await?.map_err(|stop| refused(&stop, "spans"))?;
    let show =
        |((parent, child), calls): ((String, String), u64)| json!({"parent": parent, "child": child, "calls": calls});
    Ok(Json(json!({"dependencies": calls.into_iter().map(show).collect::<Vec<_>>()})))
}

/// By parent and child.
type Calls = BTreeMap<(String, String), u64>;

fn calls(store: &Store, start: i64, end: i64) -> Result<Result<Calls, Stop>, Error> {
    let mut spans: HashMap<SpanId, Call> = HashMap::new();
    let walked = each_span(store, &Needs::Anything, (start.saturating_sub(PARENT_BEFORE), end), |line, span| {
        let call = Call { service: line.source.clone(), parent: span.parent_span_id, within: line.time >= start };
        spans.insert((span.trace_id, span.span_id), call);
        if spans.len() > MOST { Err(Stop::Many) } else { Ok(()) }
    })?;
    if let Err(stop) = walked {
        return Ok(Err(stop));
    }
    let mut calls = Calls::new();
    for ((trace, _), call) in spans.iter().filter(|(_, call)| call.within && !call.parent.is_empty()) {
        let parent = spans.get(&(trace.clone(), call.parent.clone())).map(|parent| &parent.service.service);
        if let Some(parent) = parent.filter(|parent| **parent != call.service.service) {
            *calls.entry((parent.clone(), call.service.service.clone())).or_default() += 1;
        }
    }
    Ok(Ok(calls))
}

/// Calls `each` with the spans that began in the time given, until it stops or the time for a search is over.
fn each_span(
    store: &Store,
    needs: &Needs,
    (start, end): (i64, i64),
    mut each: impl FnMut(&Line, Span) -> Result<(), Stop>,
) -> Result<Result<(), Stop>, Error> {
    let deadline = Instant::now() + LONGEST;
    for candidate in store.snapshot().candidates(needs, start, end)? {
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
        let response = super::super::router(store.clone()).oneshot(request).await.unwrap();
        serde_json::from_slice(&axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
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
        assert_eq!(get(&store, "/api/v1/dependencies?from=1").await["parameter"], "from");
    }
}
