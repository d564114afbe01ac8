//! Traces over HTTP: `GET /api/v1/traces/{trace_id}` is a whole trace as it is known by now, `…/critical_path` what it
//! waited for, `…/dossier` its spans, log records and samples of GPUs, `/api/v1/traces/search` the traces with a span that passes,
//! `/api/v1/services` who made spans, and `/api/v1/dependencies` who called whom. The same as Jaeger's clients ask for it
//! is under `/jaeger/api/` ([`jaeger`]).

mod critical;
mod dossier;
mod duration;
mod fetch;
mod find;
mod gpu;
mod graph;
mod jaeger;
#[cfg(test)]
mod query_tests;
mod search;
mod services;
#[cfg(test)]
mod testing;
mod tree;
mod walk;

use std::fmt::Write as _;
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
use weir_service::auth::Access;
use weir_service::http::{Parameter, Problem, Route, Routes};
use weir_service::time;

use self::fetch::Asked;
use self::walk::Stop;
use crate::api::params::{END, LIMIT, Params, START, in_path};
use crate::schedule::{Budget, Caller, Scheduler};
use crate::snapshot::Snapshot;
use crate::store::Store;

/// Requests at once of those that may hold much, each kind by itself so that a trace waits for no walk over all spans:
/// whole traces, and names of operations. Dependencies are found one after the other.
const LARGE_AT_ONCE: usize = 2;
/// The same of searches, which hold no more than a page.
const AT_ONCE: usize = 8;
/// Longest time that they wait for that.
const LONGEST: Duration = Duration::from_secs(30);

/// Most bytes of a trace's spans, which one of the greatest size and others fit into: in memory they are several times
/// as much.
const MOST_BYTES: usize = 32 << 20;
/// Bytes of the JSON of a trace, about: the resource is in it with every span.
const MOST_JSON: usize = 64 << 20;
/// Most spans of a page of a trace.
const MOST_SPANS: usize = 50_000;

#[derive(Clone)]
struct Api {
    spans: Arc<Store>,
    logs: Arc<Store>,
    metrics: Arc<Store>,
    searches: Scheduler,
    traces: Arc<Semaphore>,
    searching: Arc<Semaphore>,
    services: Arc<Semaphore>,
    dependencies: Arc<Semaphore>,
}

/// The paths under `/api/v1/traces`, those of services, and Jaeger's.
pub(crate) fn routes(spans: Arc<Store>, logs: Arc<Store>, metrics: Arc<Store>, searches: Scheduler) -> Routes {
    let places = |count| Arc::new(Semaphore::new(count));
    let api = Api {
        spans,
        logs,
        metrics,
        searches,
        traces: places(LARGE_AT_ONCE),
        searching: places(AT_ONCE),
        services: places(LARGE_AT_ONCE),
        dependencies: places(1),
    };
    let get = |path, about, parameters: &[Parameter]| Route::get(path, Access::Read, about).takes(parameters);
    let service = ("service", "Only of this service");
    let limit = ("limit", "How many spans a page has; all, where it is not given");
    let cursor = ("cursor", "`next_cursor` of the page before");
    Routes::new()
        .on(get("/api/v1/traces/search", "Traces by one of their spans", &search::PARAMETERS), search::search)
        .on(get("/api/v1/traces/{trace_id}", "All spans of a trace", &[limit, cursor]), trace)
        .on(
            get("/api/v1/traces/{trace_id}/critical_path", "The spans that a trace waited for", &[]),
            critical::critical_path,
        )
        .on(
            get(
                "/api/v1/traces/{trace_id}/dossier",
                "Spans and log records of a trace, its pods, and what their GPUs did",
                &[LIMIT],
            ),
            dossier::dossier,
        )
        .on(get("/api/v1/services", "Services, and their operations", &[START, END, service]), services::services)
        .on(get("/api/v1/dependencies", "Which service called which", &[START, END]), graph::dependencies)
        .with_state(&api)
        .merge(jaeger::routes(&api))
}

/// Spans by start: all of them, or with `limit` or `cursor` a page, which has `next_cursor` where more follow. A trace or
/// page of more than 32 MiB, or 64 MiB of JSON, ends early; a whole trace then has `"truncated": true` and `next_cursor`.
/// 400 where the id is none, 404 where no span of it is known.
async fn trace(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    caller: Caller,
    params: Params,
) -> Result<impl IntoResponse, Problem> {
    let id = trace_id(id)?;
    let is_paged = params.text("limit").is_some() || params.text("cursor").is_some();
    let limit = params.number("limit", if is_paged { 1000 } else { usize::MAX }, 1..=MOST_SPANS)?;
    let wrong = || Problem::parameter("cursor", "no such cursor: use the `next_cursor` of the page before, as it is");
    let after = params.text("cursor").map(|text| fetch::read_cursor(text).ok_or_else(wrong)).transpose()?;
    // Behind the last span lies nothing; a trace of which nothing is known is another matter.
    let may_be_empty = after.is_some();
    let asked = Asked { limit, bytes: MOST_BYTES, after };
    let bytes = id.clone();
    let text = api.run(&api.traces, &caller, move |snapshot, budget| {
        let page = fetch::page(snapshot, &bytes, &asked, budget)?;
        Ok((may_be_empty || !page.spans.is_empty()).then(|| text(&bytes, &page, is_paged, MOST_JSON)))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], text.await?.ok_or_else(|| unknown(&id))?))
}

/// The id of a trace in the path.
fn trace_id(id: Result<Path<String>, PathRejection>) -> Result<Vec<u8>, Problem> {
    let wrong = || Problem::parameter("trace_id", "a trace id is 32 hexadecimal digits");
    hex::decode(in_path("trace_id", id)?).ok().filter(|bytes| bytes.len() == 16).ok_or_else(wrong)
}

fn unknown(trace_id: &[u8]) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("no span of trace {} is known", hex::encode(trace_id)))
}

/// A trace as JSON, one span after the other, until it is `most` bytes long.
fn text(trace_id: &[u8], page: &fetch::Page, is_paged: bool, most: usize) -> String {
    let mut text = format!(r#"{{"trace_id":"{}","spans":["#, hex::encode(trace_id));
    let shown = append(&mut text, page.spans.values().map(|(source, span)| show(source, span)), most);
    let is_whole = shown == page.spans.len() && !page.more;
    text.push(']');
    let last = page.spans.keys().nth(shown.saturating_sub(1));
    let next = last.filter(|_| !is_whole).map(fetch::cursor);
    if let Some(next) = &next {
        // A String takes what is written to it.
        let _ = write!(text, r#","next_cursor":"{next}""#);
    } else if is_paged {
        text.push_str(r#","next_cursor":null"#);
    }
    text.push_str(if is_whole || is_paged { "}" } else { r#","truncated":true}"# });
    text
}

/// Adds values, with commas between them, until the text is `most` bytes long; says how many.
fn append(text: &mut String, values: impl Iterator<Item = Value>, most: usize) -> usize {
    let mut count = 0;
    for value in values {
        text.push_str(if count > 0 { "," } else { "" });
        text.push_str(&value.to_string());
        count += 1;
        if text.len() > most {
            break;
        }
    }
    count
}

impl Api {
    /// Runs `work` when it is the caller's turn, one of few at once of its kind.
    async fn run<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        caller: &Caller,
        work: impl FnOnce(&dyn Snapshot, &Budget) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.searches.place(caller)?;
        let Ok(Ok(_one)) = tokio::time::timeout(LONGEST, places.acquire()).await else {
            return Err(Problem::busy("too many requests for spans at once: try again later", 5));
        };
        let (store, tenants) = (self.spans.clone(), caller.tenants.clone());
        place.run(move |budget| work(store.snapshot(&tenants).within(budget).as_ref(), budget)).await
    }
}

fn show(source: &Source, span: &Span) -> Value {
    let (start, end) = (nanos(span.start_time_unix_nano), nanos(span.end_time_unix_nano));
    let status = span.status.clone().unwrap_or_default();
    let shown = |attributes: &[(String, weir_proto::otlp::common::v1::any_value::Value)]| -> Map<String, Value> {
        attributes.iter().map(|(key, value)| (key.clone(), fields::json(value))).collect()
    };
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
        "scope": source.scope_name(),
        "scope_attributes": shown(&source.scope),
        "start": time::format(start),
        "end": time::format(end),
        "duration_ns": end.saturating_sub(start).max(0),
        "status": {"code": line::status(status.code), "message": status.message},
        "attributes": attributes(&span.attributes),
        "resource": shown(&source.resource),
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
    use super::fetch::Page;
    use super::testing::{Made, get, store};
    use super::{Source, Span, Value, text};

    #[test]
    fn a_trace_is_one_text_of_json_and_is_cut_where_that_is_too_long() {
        let span = |n: u8| Span { span_id: vec![n; 8], name: "x".repeat(100), ..Span::default() };
        let key = |n: u8| (0, vec![n; 8], 0, String::new(), String::new());
        let spans = || (1..4).map(|n| (key(n), (std::sync::Arc::new(Source::default()), span(n)))).collect();
        let read = |more, most| {
            let page = Page { spans: spans(), more };
            serde_json::from_str::<Value>(&text(&[10; 16], &page, false, most)).unwrap()
        };
        let whole = read(false, 10_000);
        assert_eq!((&whole["trace_id"], &whole["truncated"]), (&"0a".repeat(16).into(), &Value::Null));
        assert_eq!(whole["spans"].as_array().map(Vec::len), Some(3));
        assert_eq!((&whole["spans"][2]["span_id"], whole.get("next_cursor")), (&"03".repeat(8).into(), None));
        let cut = read(false, 100);
        assert_eq!((cut["spans"].as_array().map(Vec::len), &cut["truncated"]), (Some(1), &true.into()));
        let next = super::fetch::read_cursor(cut["next_cursor"].as_str().unwrap());
        assert_eq!(next, Some(key(1)), "it goes on behind what was shown");
        assert_eq!(read(true, 10_000)["truncated"], true);
    }

    #[tokio::test]
    async fn pages_of_a_trace_have_all_its_spans_and_the_last_says_so() {
        let spans: Vec<Made> =
            (1..=5).map(|n| Made { id: n, second: 1000 + u64::from(n), ..Made::default() }).collect();
        let (_folder, store) = store(&[&spans]);
        let address = format!("/api/v1/traces/{}", "01".repeat(16));
        let (mut seen, mut next) = (0, String::new());
        loop {
            let (_, page) = get(&store, &format!("{address}?limit=2&cursor={next}")).await;
            seen += page["spans"].as_array().unwrap().len();
            assert_eq!(page.get("truncated"), None);
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            next = cursor.to_owned();
        }
        assert_eq!(seen, 5);
        for wrong in ["?limit=0", "?cursor=x"] {
            assert_eq!(get(&store, &format!("{address}{wrong}")).await.0, 400, "{wrong}");
        }
        let (_, path) = get(&store, &format!("{address}/critical_path")).await;
        assert_eq!(path["critical_path"].as_array().map(Vec::len), Some(5));
        assert_eq!(get(&store, &format!("/api/v1/traces/{}/critical_path", "09".repeat(16))).await.0, 404);
    }
}
