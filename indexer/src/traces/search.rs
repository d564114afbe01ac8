//! Traces by what one of their spans is.

use std::collections::HashMap;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_proto::otlp::trace::v1::Span;
use weir_query::Matcher;
use weir_query::line::{self, Line, Source};
use weir_service::auth::Tenants;
use weir_service::http::{Parameter, Problem};
use weir_service::time;

use super::{Api, LONGEST, nanos};
use crate::Error;
use crate::api::params::{END, LIMIT, Params, START};
use crate::ingest::span_of;
use crate::snapshot::Needs;
use crate::store::Store;

/// Most traces of an answer.
const MOST: usize = 1000;
/// What one span of a trace must be; all of these: `interface` is the span's name, `METHOD route` of HTTP, or
/// `service/method` of RPC; `status` is ok, error or unset; `query` is the grammar over a span's attributes; `start`
/// (inclusive) and `end` (exclusive) are of the span's start.
pub(super) const PARAMETERS: [Parameter; 9] = [
    ("service", "Its service"),
    ("interface", "Its name, `METHOD route` of HTTP, or `service/method` of RPC"),
    ("min_duration", "How long it took at least, such as 100ms"),
    ("max_duration", "How long it took at most"),
    ("status", "ok, error or unset"),
    ("query", "Query over its attributes, in Lucene's grammar"),
    START,
    END,
    LIMIT,
];

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
    first: Value,
}

/// `{"traces":[{"trace_id","span":{…}}],"took_ms"}`, newest first by the start of their newest span that passes,
/// which is the `span` shown.
pub(super) async fn search(State(api): State<Api>, tenants: Tenants, params: Params) -> Result<Json<Value>, Problem> {
    let began = Instant::now();
    let wanted = Wanted::read(&params)?;
    let Some(traces) = api.run(&api.places, move |store| find(store, &tenants, &wanted, began + LONGEST)).await? else {
        let detail = "the search took too long: narrow `start` and `end`, or name a `service`";
        return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, detail));
    };
    let show = |(trace_id, found): Trace| json!({"trace_id": hex::encode(trace_id), "span": found.first});
    let traces: Vec<Value> = traces.into_iter().map(show).collect();
    Ok(Json(json!({"traces": traces, "took_ms": began.elapsed().as_millis() as u64})))
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, Problem> {
        let status = params.text("status").map(str::to_owned);
        let statuses = ["unset", "ok", "error"];
        let number = |status: &String| statuses.iter().position(|name| name == status);
        if status.as_ref().is_some_and(|status| number(status).is_none()) {
            return Err(Problem::parameter("status", "use ok, error or unset"));
        }
        let limit = params.number("limit", 20, 1..=MOST)?;
        let (matcher, needs, _) = params.query()?;
        let (service, interface) =
            (params.text("service").map(str::to_owned), params.text("interface").map(str::to_owned));
        let field = |name: &str, value: &str| Needs::Field(name.to_owned(), value.to_lowercase());
        // The body of a span is its protobuf, whose words are not listed.
        let mut needs = vec![if of_words(&needs) { Needs::Anything } else { needs }];
        needs.extend(service.as_ref().map(|service| field("service", service)));
        needs.extend(status.as_ref().and_then(number).map(|code| field("attributes.span.status", &code.to_string())));
        needs.extend(interface.as_ref().map(|interface| {
            let mut any = vec![field("attributes.span.name", interface)];
            for (between, first, second) in JOINED {
                any.extend(interface.match_indices(between).map(|(at, _)| {
                    let (start, end) = (&interface[..at], &interface[at + between.len()..]);
                    Needs::All(vec![
                        field(&format!("attributes.{first}"), start),
                        field(&format!("attributes.{second}"), end),
                    ])
                }));
            }
            if any.len() > 32 { Needs::Anything } else { Needs::Any(any) }
        }));
        let (start, end) = params.range()?;
        let duration =
            (params.length("min_duration")?.unwrap_or(0), params.length("max_duration")?.unwrap_or(u64::MAX));
        if duration.0 > duration.1 {
            return Err(Problem::parameter("max_duration", "must not be less than `min_duration`"));
        }
        Ok(Self { service, interface, duration, status, matcher, needs: Needs::All(needs), start, end, limit })
    }

    fn passes(&self, line: &Line, span: &Span) -> bool {
        let duration = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
        (self.start..self.end).contains(&line.time)
            && (self.duration.0..=self.duration.1).contains(&duration)
            && self.service.as_ref().is_none_or(|service| *service == line.source.service)
            && self
                .status
                .as_ref()
                .is_none_or(|status| line::status(span.status.as_ref().map_or(0, |s| s.code)) == status)
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

/// How an interface is made of two attributes: what lies between them, and their names.
const JOINED: [(&str, &str, &str); 2] =
    [(" ", "http.request.method", "http.route"), ("/", "rpc.service", "rpc.method")];

fn is_interface(line: &Line, span: &Span, interface: &str) -> bool {
    let text = |name: &str| match line.attributes.iter().find(|(key, _)| key == name) {
        Some((_, Attribute::StringValue(text))) => Some(text),
        _ => None,
    };
    let is_joined = |(between, first, second): &(&str, &str, &str)| {
        let rest = text(first).and_then(|first| interface.strip_prefix(first.as_str())?.strip_prefix(between));
        rest.is_some_and(|rest| text(second).is_some_and(|second| second == rest))
    };
    span.name == interface || JOINED.iter().any(is_joined)
}

/// A trace by its id.
type Trace = (Vec<u8>, Found);

/// The newest traces; `None` where it took too long.
fn find(store: &Store, tenants: &Tenants, wanted: &Wanted, deadline: Instant) -> Result<Option<Vec<Trace>>, Error> {
    let mut traces: HashMap<Vec<u8>, Found> = HashMap::new();
    let mut oldest_kept = i64::MIN;
    for candidate in store.snapshot(tenants).candidates(&wanted.needs, wanted.start, wanted.end)? {
        if candidate.max_time() < oldest_kept {
            break;
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        for line in candidate.lines()?.iter() {
            if let Some(span) = span_of(line).filter(|span| wanted.passes(line, span)) {
                let found = traces
                    .entry(line.trace_id.to_vec())
                    .or_insert_with(|| Found { newest: i64::MIN, first: Value::Null });
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
        "status": line::status(span.status.as_ref().map_or(0, |status| status.code)),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use prost::Message as _;
    use weir_bus::{Message, Partition};
    use weir_proto::otlp::collector::trace::v1::ExportTraceServiceRequest;
    use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
    use weir_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Status};
    use weir_proto::topic;

    use super::*;
    use crate::ingest::Signal;
    use crate::store::everything;

    const SECOND: u64 = 1_000_000_000;

    fn pairs(pairs: [(&str, &str); 2]) -> Vec<KeyValue> {
        let pair = |(key, value): (&str, &str)| KeyValue {
            key: key.into(),
            value: Some(AnyValue { value: Some(Attribute::StringValue(value.into())) }),
            ..KeyValue::default()
        };
        pairs.into_iter().map(pair).collect()
    }

    /// Spans of one trace for each number, which is also its start, its duration in seconds, and its name.
    fn message(offset: i64, numbers: std::ops::Range<u8>) -> Message {
        let span = |n: u8| Span {
            trace_id: vec![n; 16],
            span_id: vec![n; 8],
            name: format!("step {n}"),
            start_time_unix_nano: (1_700_000_000 + u64::from(n)) * SECOND,
            end_time_unix_nano: (1_700_000_000 + 2 * u64::from(n)) * SECOND,
            attributes: match n {
                7 => pairs([("http.request.method", "POST"), ("http.route", "/v1/a b")]),
                3 => pairs([("rpc.service", "ocr.V1"), ("rpc.method", "Read")]),
                _ => Vec::new(),
            },
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

    fn read(pairs: &[(&str, &str)]) -> Result<Wanted, Problem> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Wanted::read(&Params::new(pairs.collect())?)
    }

    fn names(store: &Store, pairs: &[(&str, &str)]) -> Vec<String> {
        let wanted = read(pairs).map_err(|problem| problem.detail).unwrap();
        let traces = find(store, &everything(), &wanted, Instant::now() + LONGEST).unwrap().unwrap();
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
        store.seal(1_700_000_000_000).unwrap();
        assert_eq!(names(&store, &[("limit", "2")]), ["step 8", "step 7"]);
        assert_eq!(names(&store, &[("min_duration", "7s")]), ["step 8", "step 7"]);
        assert_eq!(names(&store, &[("status", "ok"), ("max_duration", "3s")]), ["step 3", "step 1"]);
        assert_eq!(names(&store, &[("interface", "step 4")]), ["step 4"]);
        assert_eq!(names(&store, &[("interface", "POST /v1/a b")]), ["step 7"]);
        assert_eq!(names(&store, &[("interface", "ocr.V1/Read")]), ["step 3"]);
        assert_eq!(names(&store, &[("query", "span.name:\"step 5\"")]), ["step 5"]);
        assert!(names(&store, &[("service", "none")]).is_empty());
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (name, value) in [("status", "bad"), ("limit", "0"), ("min_duration", "5"), ("query", "(")] {
            assert_eq!(read(&[(name, value)]).err().unwrap().parameter.as_deref(), Some(name));
        }
    }
}
