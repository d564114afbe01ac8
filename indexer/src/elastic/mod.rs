//! Elasticsearch's API over the log records: what Grafana's data source and clients like Kibana ask.
//!
//! The index `weir-logs` holds every line; under the name of an index that `_bulk` was given are the lines that were
//! written to it. A name that no line was written to is answered with 404, unless `ignore_unavailable` is set.

mod catalog;
mod highlight;
mod hits;
mod indices;
mod request;
mod scroll;
mod search;
mod sort;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri};
use serde_json::{Value as Json, json};
use weir_query::Matcher;
use weir_query::ast::{Query, Test};
use weir_service::auth::Access;
use weir_service::elastic::{Fault, answer};
use weir_service::http::{Problem, Route, Routes};

use self::indices::Indices;
use self::request::{Params, Request};
use self::search::Plan;
use crate::api::Api;
use crate::query;
use crate::schedule::{Budget, Caller};
use crate::search::{Error, Selection};
use crate::snapshot::Snapshot;

/// Most searches of one `_msearch`.
const MAX_SEARCHES: usize = 100;

/// Paths below `/elastic/` that read.
pub(crate) fn routes() -> Routes<Api> {
    let about = |what: &'static str| move |path, method| Route { method, ..Route::get(path, Access::Read, what) };
    let mut routes = Routes::new();
    let search = about("Elasticsearch's API: log records that match, and aggregations over them");
    let count = about("Elasticsearch's API: how many log records match");
    let many = about("Elasticsearch's API: several searches");
    let caps = about("Elasticsearch's API: fields and their types");
    for method in [Method::GET, Method::POST] {
        for path in ["/elastic/_search", "/elastic/{index}/_search"] {
            routes = routes.on(search(path, method.clone()), search_one);
        }
        for path in ["/elastic/_count", "/elastic/{index}/_count"] {
            routes = routes.on(count(path, method.clone()), count_one);
        }
        for path in ["/elastic/_msearch", "/elastic/{index}/_msearch"] {
            routes = routes.on(many(path, method.clone()), search_many);
        }
        for path in ["/elastic/_field_caps", "/elastic/{index}/_field_caps"] {
            routes = routes.on(caps(path, method.clone()), catalog::field_caps);
        }
        routes = routes.on(search("/elastic/_search/scroll", method), scroll::next);
    }
    let ended = about("Elasticsearch's API: the end of a scroll, which holds nothing here");
    routes = routes.on(ended("/elastic/_search/scroll", Method::DELETE), scroll::end);
    let mapping = about("Elasticsearch's API: fields and their types, as a mapping");
    for path in ["/elastic/_mapping", "/elastic/{index}/_mapping", "/elastic/{index}/_mappings"] {
        routes = routes.on(mapping(path, Method::GET), catalog::mapping);
    }
    let listed = about("Elasticsearch's API: indices that documents were written to");
    for path in ["/elastic/_cat/indices", "/elastic/_cat/indices/{index}"] {
        routes = routes.on(listed(path, Method::GET), catalog::cat_indices);
    }
    routes
        .on(listed("/elastic/_resolve/index/{index}", Method::GET), catalog::resolve)
        .on(listed("/elastic/{index}", Method::GET), catalog::index)
}

/// The index of a path, where it has one.
type InPath = Result<Option<Path<String>>, PathRejection>;

fn index_of(path: InPath) -> Result<Option<String>, Fault> {
    path.map(|path| path.map(|Path(index)| index)).map_err(|rejection| Fault::argument(rejection.body_text()))
}

fn body_of(body: &Bytes) -> Result<Json, Fault> {
    if body.trim_ascii().is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| Fault::parsing(format!("the body is no JSON: {error}")))
}

fn shown(outcome: Result<Json, Fault>) -> Response {
    match outcome {
        Ok(body) => answer(StatusCode::OK, body),
        Err(fault) => fault.into_response(),
    }
}

/// Runs work on the store, in turn with other searches; errors are Elasticsearch's.
async fn run<T: Send + 'static>(
    api: &Api,
    caller: &Caller,
    asked: &Asked,
    work: impl FnOnce(&dyn Snapshot, &Selection) -> Result<Result<T, Fault>, Error> + Send + 'static,
) -> Result<T, Fault> {
    let place = api.searches.place(caller).map_err(|problem| fault_of(&problem))?;
    let done = api.run(caller, &place, asked.selection.clone(), work).await;
    done.map_err(|problem| fault_of(&problem))?
}

fn fault_of(problem: &Problem) -> Fault {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (status, kind) = match status {
        StatusCode::UNPROCESSABLE_ENTITY => (StatusCode::BAD_REQUEST, "too_many_buckets_exception"),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            (StatusCode::TOO_MANY_REQUESTS, "es_rejected_execution_exception")
        }
        status => (status, "search_phase_execution_exception"),
    };
    let retry_after = problem.retry_after.map(u64::from);
    Fault { retry_after, ..Fault::new(status, kind, problem.detail.clone()) }
}

async fn search_one(State(api): State<Api>, index: InPath, caller: Caller, uri: Uri, body: Bytes) -> Response {
    let read = || -> Result<Plan, Fault> {
        let params = Params::of(&uri);
        let indices = Indices::read(index_of(index)?.as_deref().unwrap_or_default(), params.ignores_unavailable());
        Request::read(&body_of(&body)?, &params)?.plan(indices)
    };
    shown(match read() {
        Ok(plan) => search::answer(&api, &caller, plan).await,
        Err(fault) => Err(fault),
    })
}

async fn count_one(State(api): State<Api>, index: InPath, caller: Caller, uri: Uri, body: Bytes) -> Response {
    let read = || -> Result<(Indices, Asked), Fault> {
        let params = Params::of(&uri);
        let indices = Indices::read(index_of(index)?.as_deref().unwrap_or_default(), params.ignores_unavailable());
        let query = Request::read_count(&body_of(&body)?, &params)?;
        let asked = Asked::new(query, &indices)?;
        Ok((indices, asked))
    };
    let (indices, asked) = match read() {
        Ok(read) => read,
        Err(fault) => return fault.into_response(),
    };
    let counted = run(&api, &caller, &asked, move |snapshot, asked| {
        if let Err(fault) = indices.check(snapshot)? {
            return Ok(Err(fault));
        }
        crate::search::count(snapshot, asked).map(Ok)
    });
    shown(counted.await.map(|count| json!({"count": count, "_shards": shards()})))
}

async fn search_many(State(api): State<Api>, index: InPath, caller: Caller, uri: Uri, body: Bytes) -> Response {
    let began = Instant::now();
    let params = Params::of(&uri);
    let searches = index_of(index).and_then(|index| request::many(&body, index.as_deref(), &params));
    let searches = match searches {
        Ok(searches) => searches,
        Err(fault) => return fault.into_response(),
    };
    let mut responses = Vec::with_capacity(searches.len());
    for plan in searches {
        let outcome = match plan {
            Ok(plan) => search::answer(&api, &caller, plan).await,
            Err(fault) => Err(fault),
        };
        responses.push(match outcome {
            Ok(mut found) => {
                found["status"] = 200.into();
                found
            }
            Err(fault) => fault.body(),
        });
    }
    answer(StatusCode::OK, json!({"took": began.elapsed().as_millis() as u64, "responses": responses}))
}

fn shards() -> Json {
    json!({"total": 1, "successful": 1, "skipped": 0, "failed": 0})
}

/// What lines are asked for, compiled; its budget is set when it runs.
#[derive(Debug, Clone)]
struct Asked {
    selection: Selection,
}

impl Asked {
    fn new(query: Query, indices: &Indices) -> Result<Self, Fault> {
        let query = indices.narrow(query);
        let now = weir_service::time::now_unix_nano();
        let matcher = Matcher::new(&query, now).map_err(|error| Fault::argument(error.to_string()))?;
        let (start, end) = times(&query, now);
        let (needs, exact) = (query::needs(&query), query::exact(&without_times(&query)));
        // What the index counts is cut at the times by the search itself.
        let selection = Selection { matcher, needs, exact, start, end, budget: Budget::within(Duration::ZERO) };
        Ok(Self { selection })
    }
}

/// The times that a query is bound to: from the first on, before the second.
fn times(query: &Query, now: i64) -> (i64, i64) {
    let everything = (i64::MIN, i64::MAX);
    match query {
        Query::And(queries) => {
            queries.iter().map(|query| times(query, now)).fold(everything, |a, b| (a.0.max(b.0), a.1.min(b.1)))
        }
        Query::Field(name, test @ Test::Range(..)) if name == "timestamp" => {
            let within = test.interval(|text| weir_service::time::parse_stretch(text, now));
            within.map_or(everything, |(first, last)| (first, last.saturating_add(1)))
        }
        _ => everything,
    }
}

/// The query without the conditions that [`times`] has taken out of it.
fn without_times(query: &Query) -> Query {
    match query {
        Query::And(queries) => {
            let mut rest: Vec<_> = queries.iter().map(without_times).filter(|query| *query != Query::All).collect();
            match rest.len() {
                0 => Query::All,
                1 => rest.remove(0),
                _ => Query::And(rest),
            }
        }
        Query::Field(name, Test::Range(..)) if name == "timestamp" => Query::All,
        query => query.clone(),
    }
}
