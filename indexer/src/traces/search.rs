//! Traces by what one of their spans is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_proto::otlp::trace::v1::Span;
use weir_service::config;
use weir_service::http::Problem;
use weir_service::time;

use super::{Api, code, nanos};
use crate::ingest::span_of;
use crate::line::{Line, Source};
use crate::query::{self, Matcher};
use crate::snapshot::Needs;
use crate::store::Store;
use crate::{Error, fields};

/// Most traces of an answer.
const MOST: usize = 1000;
/// Longest time of a search.
const LONGEST: Duration = Duration::from_secs(30);

/// What one span of a trace must be; all of these.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Parameters {
    service: Option<String>,
    /// The span's name, `METHOD route` of HTTP, or `service/method` of RPC.
    interface: Option<String>,
    min_duration: Option<String>,
    max_duration: Option<String>,
    /// `ok`, `error` or `unset`.
    status: Option<String>,
    /// The query grammar over a span's attributes.
    query: Option<String>,
    /// Of the span's start, inclusive.
    start: Option<String>,
    /// Of the span's start, exclusive.
    end: Option<String>,
    limit: Option<String>,
}

struct Wanted {
    service: Option<String>,
    interface: Option<String>,
    duration: (u64, u64),
    status: Option<String>,
    matcher: Matcher,
    needs: Needs,
    start: i64,
    end: i64,
    limit: usize,
}

struct Found {
    newest: i64,
    spans: u64,
    first: Value,
}

/// `{"traces":[{"trace_id","matched","span":{…}}],"took_ms"}`, newest first by the start of their newest span that passes,
/// which is the `span` shown.
pub(super) async fn search(
    State(api): State<Api>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let began = Instant::now();
    let Query(parameters) =
        parameters.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    let wanted = Wanted::read(parameters, time::now_unix_nano())?;
    let Some(traces) = api.run(move |store| find(store, &wanted, began + LONGEST)).await? else {
        let detail = "the search took too long: narrow `start` and `end`, or name a `service`";
        return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, detail));
    };
    let show = |(trace_id, found): Trace| json!({"trace_id": hex::encode(trace_id), "matched": found.spans, "span": found.first});
    let traces: Vec<Value> = traces.into_iter().map(show).collect();
    Ok(Json(json!({"traces": traces, "took_ms": began.elapsed().as_millis() as u64})))
}

impl Wanted {
    fn read(parameters: Parameters, now: i64) -> Result<Self, Problem> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let moment = |name: &str, text: Option<String>, open: i64| match given(text) {
            Some(text) => time::parse(&text, now).map_err(|wrong| Problem::parameter(name, wrong)),
            None => Ok(open),
        };
        let length = |name: &str, text: Option<String>, open: u64| match given(text) {
            Some(text) => match text.parse::<config::Span>() {
                Ok(span) => Ok(u64::try_from(span.0.as_nanos()).unwrap_or(u64::MAX)),
                Err(wrong) => Err(Problem::parameter(name, wrong.to_string())),
            },
            None => Ok(open),
        };
        let status = given(parameters.status);
        if status.as_deref().is_some_and(|status| !["ok", "error", "unset"].contains(&status)) {
            return Err(Problem::parameter("status", "use ok, error or unset"));
        }
        let limit = match given(parameters.limit) {
            None => 20,
            Some(text) => match text.parse() {
                Ok(limit) if (1..=MOST).contains(&limit) => limit,
                _ => return Err(Problem::parameter("limit", format!("use a number from 1 to {MOST}"))),
            },
        };
        let wrong = |error: &dyn std::error::Error| Problem::parameter("query", error.to_string());
        let query = query::parse(parameters.query.as_deref().unwrap_or_default()).map_err(|error| wrong(&error))?;
        let matcher = Matcher::new(&query, now).map_err(|error| wrong(&error))?;
        let service = given(parameters.service);
        let mut needs = vec![match query::needs(&query) {
            // The body of a span is its protobuf, whose words are not listed.
            needs if of_words(&needs) => Needs::Anything,
            needs => needs,
        }];
        needs.extend(service.as_ref().map(|service| Needs::Field("service".to_owned(), service.to_lowercase())));
        Ok(Self {
            service,
            interface: given(parameters.interface),
            duration: (
                length("min_duration", parameters.min_duration, 0)?,
                length("max_duration", parameters.max_duration, u64::MAX)?,
            ),
            status,
            matcher,
            needs: Needs::All(needs),
            start: moment("start", parameters.start, i64::MIN)?,
            end: moment("end", parameters.end, i64::MAX)?,
            limit,
        })
    }

    fn passes(&self, line: &Line, span: &Span) -> bool {
        let duration = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
        (self.start..self.end).contains(&line.time)
            && (self.duration.0..=self.duration.1).contains(&duration)
            && self.service.as_ref().is_none_or(|service| *service == line.source.service)
            && self.status.as_ref().is_none_or(|status| code(span.status.as_ref().map_or(0, |s| s.code)) == status)
            && self.interface.as_ref().is_none_or(|interface| is_interface(line, span, interface))
            && self.matcher.matches(line)
    }
}

/// Whether it asks for words of the body anywhere.
fn of_words(needs: &Needs) -> bool {
    match needs {
        Needs::Word(_) | Needs::WordPrefix(_) | Needs::WordGlob(_) => true,
        Needs::All(parts) | Needs::Any(parts) => parts.iter().any(of_words),
        _ => false,
    }
}

fn is_interface(line: &Line, span: &Span, interface: &str) -> bool {
    let text = |name: &str| line.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| fields::text(value));
    let joined = |first: &str, between: &str, second: &str| Some(format!("{}{between}{}", text(first)?, text(second)?));
    span.name == interface
        || joined("http.request.method", " ", "http.route").as_deref() == Some(interface)
        || joined("rpc.service", "/", "rpc.method").as_deref() == Some(interface)
}

/// A trace by its id.
type Trace = (Vec<u8>, Found);

/// The newest traces; `None` where it took too long.
fn find(store: &Store, wanted: &Wanted, deadline: Instant) -> Result<Option<Vec<Trace>>, Error> {
    let mut traces: HashMap<Vec<u8>, Found> = HashMap::new();
    let mut oldest_kept = i64::MIN;
    for candidate in store.snapshot().candidates(&wanted.needs, wanted.start, wanted.end)? {
        if candidate.max_time() < oldest_kept {
            break;
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        for line in candidate.lines()?.iter() {
            if let Some(span) = span_of(line).filter(|span| wanted.passes(line, span)) {
                let found = traces.entry(line.trace_id.to_vec()).or_insert_with(|| Found {
                    newest: i64::MIN,
                    spans: 0,
                    first: Value::Null,
                });
                found.spans += 1;
                if line.time > found.newest {
                    found.newest = line.time;
                    found.first = summary(&line.source, &span);
                }
            }
        }
        if traces.len() > wanted.limit {
            let mut times: Vec<i64> = traces.values().map(|found| found.newest).collect();
            oldest_kept = *times.select_nth_unstable_by(wanted.limit - 1, |a, b| b.cmp(a)).1;
            traces.retain(|_, found| found.newest >= oldest_kept);
        }
    }
    let mut traces: Vec<_> = traces.into_iter().collect();
    traces.sort_by(|(a_id, a), (b_id, b)| b.newest.cmp(&a.newest).then_with(|| a_id.cmp(b_id)));
    traces.truncate(wanted.limit);
    Ok(Some(traces))
}

fn summary(source: &Source, span: &Span) -> Value {
    json!({
        "span_id": hex::encode(&span.span_id),
        "service": source.service,
        "tenant": source.tenant,
        "name": span.name,
        "start": time::format(nanos(span.start_time_unix_nano)),
        "duration_ns": span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
        "status": code(span.status.as_ref().map_or(0, |status| status.code)),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;
    use weir_bus::{Message, Partition};
    use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
    use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Status};
    use weir_proto::topic;

    use super::*;
    use crate::ingest::Signal;

    const SECOND: u64 = 1_000_000_000;

    /// Spans of one trace for each number, which is also its start, its duration in seconds, and its name.
    fn message(offset: i64, numbers: std::ops::Range<u8>) -> Message {
        let span = |n: u8| Span {
            trace_id: vec![n; 16],
            span_id: vec![n; 8],
            name: format!("step {n}"),
            start_time_unix_nano: (1_700_000_000 + u64::from(n)) * SECOND,
            end_time_unix_nano: (1_700_000_000 + 2 * u64::from(n)) * SECOND,
            status: Some(Status { code: if n.is_multiple_of(2) { 2 } else { 1 }, ..Status::default() }),
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: numbers.map(span).collect(), ..ScopeSpans::default() }];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        };
        Message {
            partition: Partition::new(topic::SPANS, 0),
            offset,
            key: None,
            value: Bytes::from(request.encode_to_vec()),
            headers: Vec::new(),
            timestamp_ms: 1_700_000_000_000,
        }
    }

    fn names(store: &Store, parameters: Parameters) -> Vec<String> {
        let wanted = Wanted::read(parameters, 0).map_err(|problem| problem.detail).unwrap();
        let traces = find(store, &wanted, Instant::now() + LONGEST).unwrap().unwrap();
        traces.iter().map(|(_, found)| found.first["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn traces_are_found_by_what_a_span_is_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let day = Duration::from_hours(24);
        let store = Store::open(folder.path().into(), Signal::Spans, day, day).unwrap();
        store.ingest(&[message(0, 1..6)]);
        store.seal(1_700_000_000_000).unwrap();
        store.ingest(&[message(1, 6..9)]);
        let some = |text: &str| Some(text.to_owned());
        let all = Parameters::default;
        assert_eq!(names(&store, Parameters { limit: some("2"), ..all() }), ["step 8", "step 7"]);
        assert_eq!(names(&store, Parameters { min_duration: some("7s"), ..all() }), ["step 8", "step 7"]);
        assert_eq!(
            names(&store, Parameters { status: some("ok"), max_duration: some("3s"), ..all() }),
            ["step 3", "step 1"]
        );
        assert_eq!(names(&store, Parameters { interface: some("step 4"), ..all() }), ["step 4"]);
        assert_eq!(names(&store, Parameters { query: some("span.name:\"step 5\""), ..all() }), ["step 5"]);
        assert!(names(&store, Parameters { service: some("none"), ..all() }).is_empty());
        assert!(Wanted::read(Parameters { status: some("bad"), ..all() }, 0).is_err());
    }
}
