//! Jaeger's HTTP API, as its query service answers Jaeger's page and Grafana's data source: `GET /jaeger/api/services`,
//! `services/{service}/operations`, `operations`, `traces`, `traces/{trace_id}` and `dependencies`.
//!
//! Every answer is `{"data","total","limit","offset","errors"}`; an error has `"data": null` and its code and text in
//! `errors`. Times of parameters are microseconds since the epoch, but for those of dependencies, which are
//! milliseconds. A span passes where all that is asked for holds for it; a tag may be an attribute of the span, of one of
//! its events or links, or of its resource.

mod asked;
mod json;

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::{Value, json};
use weir_service::auth::Access;
use weir_service::http::{Parameter, Problem, Route, Routes};

use self::asked::Asked;
use super::fetch::{self, Spans};
use super::find::AROUND;
use super::{Api, MOST_BYTES, MOST_JSON, find, graph, services};
use crate::schedule::Caller;

/// What Jaeger calls a service that sends no name.
const UNNAMED: &str = "OTLPResourceNoServiceName";
/// Most ids of one request.
const MOST_IDS: usize = 100;

type Pairs = Query<Vec<(String, String)>>;
type Answer = Result<Response, Refused>;

/// A problem as Jaeger tells it.
struct Refused(Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let error = json!({"code": problem.status, "msg": problem.detail});
        let body = json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": [error]});
        // Its headers, as those that say when to come back.
        let mut response = problem.into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        let (parts, _) = response.into_parts();
        Response::from_parts(parts, body.to_string().into())
    }
}

pub(super) fn routes(api: &Api) -> Routes<()> {
    let get = |path, about, parameters: &[Parameter]| Route::get(path, Access::Read, about).takes(parameters);
    let service = ("service", "Name of the service");
    Routes::new()
        .on(get("/jaeger/api/services", "Jaeger: names of services", &[]), names)
        .on(get("/jaeger/api/services/{service}/operations", "Jaeger: operations of a service", &[]), of_service)
        .on(
            get(
                "/jaeger/api/operations",
                "Jaeger: operations of a service with their kinds",
                &[service, ("spanKind", "Only of this kind")],
            ),
            operations,
        )
        .on(get("/jaeger/api/traces", "Jaeger: traces by one of their spans", &asked::PARAMETERS), traces)
        .on(get("/jaeger/api/traces/{trace_id}", "Jaeger: a trace", &[]), trace)
        .on(
            get(
                "/jaeger/api/dependencies",
                "Jaeger: which service called which",
                &[("endTs", "Until when, in unix milliseconds"), ("lookback", "For how long, in milliseconds")],
            ),
            dependencies,
        )
        .with_state(api)
}

fn list(data: &[Value]) -> Response {
    let total = data.len();
    Json(json!({"data": data, "total": total, "limit": 0, "offset": 0, "errors": null})).into_response()
}

fn shown(service: &str) -> &str {
    if service.is_empty() { UNNAMED } else { service }
}

/// The name that the spans of a service have.
fn stored(service: &str) -> String {
    if service == UNNAMED { String::new() } else { service.to_owned() }
}

const ALWAYS: (i64, i64) = (i64::MIN, i64::MAX);

async fn names(State(api): State<Api>, caller: Caller) -> Answer {
    let found = services::operations(&api, caller, ALWAYS, None).await?;
    Ok(list(&found.keys().map(|service| shown(service).into()).collect::<Vec<_>>()))
}

async fn of_service(State(api): State<Api>, service: Result<Path<String>, PathRejection>, caller: Caller) -> Answer {
    let service = crate::api::params::in_path("service", service)?;
    let found = services::operations(&api, caller, ALWAYS, Some(stored(&service))).await?;
    let names: BTreeSet<&String> = found.values().flatten().map(|(name, _)| name).collect();
    Ok(list(&names.into_iter().map(|name| name.as_str().into()).collect::<Vec<_>>()))
}

async fn operations(State(api): State<Api>, caller: Caller, Query(pairs): Pairs) -> Answer {
    let text = |name: &str| pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value);
    let Some(service) = text("service") else { return Err(asked::missing("service").into()) };
    let kind = text("spanKind").map(|kind| kind.to_ascii_lowercase());
    let found = services::operations(&api, caller, ALWAYS, Some(stored(service))).await?;
    let of_kind = |(_, of): &&(String, &str)| kind.as_ref().is_none_or(|kind| kind == of);
    let show = |(name, kind): &(String, &str)| json!({"name": name, "spanKind": json::kind(kind)});
    Ok(list(&found.values().flatten().filter(of_kind).map(show).collect::<Vec<_>>()))
}

async fn dependencies(State(api): State<Api>, caller: Caller, Query(pairs): Pairs) -> Answer {
    let range = asked::of_dependencies(&pairs)?;
    let (edges, _) = graph::edges(&api, caller, range).await?;
    let show = |edge: &graph::Edge| json!({"parent": shown(&edge.parent), "child": shown(&edge.child), "callCount": edge.calls});
    let data: Vec<Value> = edges.iter().map(show).collect();
    Ok(Json(json!({"data": data, "total": 0, "limit": 0, "offset": 0, "errors": null})).into_response())
}

async fn trace(State(api): State<Api>, id: Result<Path<String>, PathRejection>, caller: Caller) -> Answer {
    let id = asked::trace_id(&crate::api::params::in_path("trace_id", id)?)?;
    let (text, count) = by_id(&api, caller, vec![id]).await?;
    if count == 0 { Err(Problem::new(StatusCode::NOT_FOUND, "trace not found").into()) } else { Ok(text) }
}

async fn traces(State(api): State<Api>, caller: Caller, Query(pairs): Pairs) -> Answer {
    match asked::read(&pairs, weir_service::time::now_unix_nano())? {
        Asked::Ids(ids) => Ok(by_id(&api, caller, ids).await?.0),
        Asked::Search(asked) => {
            let text = api.run(&api.traces, &caller, move |snapshot, budget| {
                let (found, _) = find::find(snapshot, &asked, budget)?;
                let times = || found.iter().map(|found| found.hit.time);
                let range = times().min().zip(times().max()).unwrap_or_default();
                let range = (range.0.saturating_sub(AROUND), range.1.saturating_add(AROUND));
                let ids: Vec<Bytes> = found.into_iter().map(|found| found.rank.1).collect();
                let (mut spans, is_whole) = fetch::traces(snapshot, &ids, range, MOST_BYTES, budget)?;
                let in_order = ids.iter().filter_map(|id| Some((id.clone(), spans.remove(id)?))).collect();
                Ok(text(in_order, is_whole))
            });
            Ok(answer(text.await?))
        }
    }
}

/// The traces of these ids that are known, and how many they are.
async fn by_id(api: &Api, caller: Caller, mut ids: Vec<Bytes>) -> Result<(Response, usize), Problem> {
    ids.truncate(MOST_IDS);
    let found = api.run(&api.traces, &caller, move |snapshot, budget| {
        let (spans, is_whole) = fetch::traces(snapshot, &ids, ALWAYS, MOST_BYTES, budget)?;
        let known: Vec<(Bytes, Spans)> = spans.into_iter().filter(|(_, spans)| !spans.is_empty()).collect();
        let count = known.len();
        Ok((text(known, is_whole), count))
    });
    let (text, count) = found.await?;
    Ok((answer(text), count))
}

fn answer(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The traces as JSON; where some of their spans are left out, since they are too large, each has a warning.
fn text(traces: Vec<(Bytes, Spans)>, is_whole: bool) -> String {
    let mut text = String::from(r#"{"data":["#);
    for (at, (id, spans)) in traces.into_iter().filter(|(_, spans)| !spans.is_empty()).enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        json::trace(&mut text, &id, &spans, is_whole, MOST_JSON);
    }
    text.push_str(r#"],"total":0,"limit":0,"offset":0,"errors":null}"#);
    text
}

#[cfg(test)]
mod tests;
