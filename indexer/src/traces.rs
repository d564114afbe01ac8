//! Traces over HTTP: `GET /api/v1/traces/{trace_id}` is a whole trace as it is known by now, `/api/v1/traces/search` the
//! traces with a span that passes, `/api/v1/services` who made spans, and `/api/v1/dependencies` who called whom.

mod search;
mod services;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::{StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use weir_proto::otlp::common::v1::KeyValue;
use weir_proto::otlp::trace::v1::Span;
use weir_query::fields;
use weir_query::line::{self, Source};
use weir_service::auth::{Access, Tenants};
use weir_service::http::{Parameter, Problem, Route, Routes};
use weir_service::telemetry::whole;
use weir_service::time;

use crate::Error;
use crate::api::params::{END, START, in_path};
use crate::store::{SourcedSpan, Store};

/// Requests that read the disk at once; others wait for at most [`LONGEST`].
const AT_ONCE: usize = 8;
/// The same of those that may hold much, each kind by itself so that a trace waits for no walk over all spans: whole
/// traces, and names of operations. Dependencies are found one after the other.
const LARGE_AT_ONCE: usize = 2;

/// Longest time of a search.
const LONGEST: Duration = Duration::from_secs(30);
/// Most bytes of a trace's spans, which one of the greatest size and others fit into: in memory they are several times
/// as much.
const MOST_BYTES: usize = 32 << 20;
/// Bytes of the JSON of a trace, about: the resource is in it with every span.
const MOST_JSON: usize = 64 << 20;

#[derive(Clone)]
struct Api {
    spans: Arc<Store>,
    places: Arc<Semaphore>,
    traces: Arc<Semaphore>,
    services: Arc<Semaphore>,
    dependencies: Arc<Semaphore>,
}

/// The paths under `/api/v1/traces`, and those of services.
pub(crate) fn routes(spans: Arc<Store>) -> Routes {
    let places = |count| Arc::new(Semaphore::new(count));
    let api = Api {
        spans,
        places: places(AT_ONCE),
        traces: places(LARGE_AT_ONCE),
        services: places(LARGE_AT_ONCE),
        dependencies: places(1),
    };
    let get = |path, about, parameters: &[Parameter]| Route::get(path, Access::Read, about).takes(parameters);
    let service = ("service", "Only of this service");
    Routes::new()
        .on(get("/api/v1/traces/search", "Traces by one of their spans", &search::PARAMETERS), search::search)
        .on(get("/api/v1/traces/{trace_id}", "All spans of a trace", &[]), trace)
        .on(get("/api/v1/services", "Services, and their operations", &[START, END, service]), services::services)
        .on(get("/api/v1/dependencies", "Which service called which", &[START, END]), services::dependencies)
        .with_state(&api)
}

/// Spans by start; a trace of more than 32 MiB, or 64 MiB of JSON, has `"truncated": true`. 400 where the id is none, 404
/// where no span of it is known.
async fn trace(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    tenants: Tenants,
) -> Result<impl IntoResponse, Problem> {
    let id = in_path("trace_id", id)?;
    let trace_id = hex::decode(&id)
        .ok()
        .filter(|bytes| bytes.len() == 16)
        .ok_or_else(|| Problem::parameter("trace_id", "a trace id is 32 hexadecimal digits"))?;
    let text = api.run(&api.traces, move |store| {
        let (spans, whole) = store.spans_of_trace(&tenants, &trace_id, MOST_BYTES)?;
        Ok((!spans.is_empty()).then(|| text(&trace_id, &spans, whole, MOST_JSON)))
    });
    let unknown = || Problem::new(StatusCode::NOT_FOUND, format!("no span of trace {id} is known"));
    Ok(([(header::CONTENT_TYPE, "application/json")], text.await?.ok_or_else(unknown)?))
}

/// A trace as JSON, one span after the other, until it is `most` bytes long.
fn text(trace_id: &[u8], spans: &[SourcedSpan], mut whole: bool, most: usize) -> String {
    let mut text = format!(r#"{{"trace_id":"{}","spans":["#, hex::encode(trace_id));
    for (at, (source, span)) in spans.iter().enumerate() {
        if text.len() > most {
            whole = false;
            break;
        }
        text.push_str(if at > 0 { "," } else { "" });
        text.push_str(&show(source, span).to_string());
    }
    text.push_str(if whole { "]}" } else { r#"],"truncated":true}"# });
    text
}

impl Api {
    /// Runs `work` on a blocking thread, in one of the places.
    async fn run<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let broken = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the spans cannot be read");
        let Ok(place) = tokio::time::timeout(LONGEST, places.clone().acquire_owned()).await else {
            return Err(Problem::busy("too many requests for spans at once: try again later", 5));
        };
        let place = place.map_err(|_| broken())?;
        let store = self.spans.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&store);
            drop(place);
            done
        });
        match done.await.map_err(Error::from).flatten() {
            Ok(done) => Ok(done),
            Err(error) => {
                tracing::error!(error = %whole(&error), "cannot read spans");
                Err(broken())
            }
        }
    }
}

fn show(source: &Source, span: &Span) -> Value {
    let (start, end) = (nanos(span.start_time_unix_nano), nanos(span.end_time_unix_nano));
    let status = span.status.clone().unwrap_or_default();
    let resource: Map<String, Value> = source.resource.iter().map(|(key, v)| (key.clone(), fields::json(v))).collect();
    let event = |event: &weir_proto::otlp::trace::v1::span::Event| {
        json!({
            "time": time::format(nanos(event.time_unix_nano)),
            "name": event.name,
            "attributes": attributes(&event.attributes),
        })
    };
    let link = |link: &weir_proto::otlp::trace::v1::span::Link| {
        json!({
            "trace_id": hex::encode(&link.trace_id),
            "span_id": hex::encode(&link.span_id),
            "attributes": attributes(&link.attributes),
        })
    };
    json!({
        "span_id": hex::encode(&span.span_id),
        "parent_span_id": hex::encode(&span.parent_span_id),
        "name": span.name,
        "kind": line::kind(span.kind),
        "service": source.service,
        "tenant": source.tenant,
        "scope": source.scope,
        "start": time::format(start),
        "end": time::format(end),
        "duration_ns": end.saturating_sub(start).max(0),
        "status": {"code": line::status(status.code), "message": status.message},
        "attributes": attributes(&span.attributes),
        "resource": resource,
        "events": span.events.iter().map(event).collect::<Vec<_>>(),
        "links": span.links.iter().map(link).collect::<Vec<_>>(),
    })
}

fn attributes(pairs: &[KeyValue]) -> Map<String, Value> {
    let value = |pair: &KeyValue| Some(fields::json(pair.value.as_ref()?.value.as_ref()?));
    pairs.iter().map(|pair| (pair.key.clone(), value(pair).unwrap_or(Value::Null))).collect()
}

fn nanos(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Source, Span, Value, text};

    #[test]
    fn a_trace_is_one_text_of_json_and_is_cut_where_that_is_too_long() {
        let span = |n: u8| Span { span_id: vec![n; 8], name: "x".repeat(100), ..Span::default() };
        let spans: Vec<_> = (1..4).map(|n| (std::sync::Arc::new(Source::default()), span(n))).collect();
        let read = |whole, most| serde_json::from_str::<Value>(&text(&[10; 16], &spans, whole, most)).unwrap();
        let whole = read(true, 10_000);
        assert_eq!((&whole["trace_id"], &whole["truncated"]), (&"0a".repeat(16).into(), &Value::Null));
        assert_eq!(whole["spans"].as_array().map(Vec::len), Some(3));
        assert_eq!(whole["spans"][2]["span_id"], "03".repeat(8));
        let cut = read(true, 100);
        assert_eq!((cut["spans"].as_array().map(Vec::len), &cut["truncated"]), (Some(1), &true.into()));
        assert_eq!(read(false, 10_000)["truncated"], true);
    }
}
