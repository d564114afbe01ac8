//! `GET /api/v1/traces/search`: traces by what one of their spans is.

use std::cmp::Reverse;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_proto::otlp::trace::v1::Span;
use weir_query::line::{self, Line};
use weir_service::http::{Parameter, Problem};
use weir_service::time;

use super::find::{self, Asked, By, Found, Rank};
use super::{Api, duration, nanos};
use crate::api::extent::Extent;
use crate::api::params::{END, LIMIT, Params, START};
use crate::schedule::Caller;
use crate::snapshot::Needs;

/// Most traces of an answer.
const MOST: usize = 1000;
/// What one span of a trace must be; all of these: `interface` is the span's name, `METHOD route` of HTTP, or
/// `service/method` of RPC; `status` is ok, error or unset; `query` is the grammar over a span's attributes; `start`
/// (inclusive) and `end` (exclusive) are of the span's start.
pub(super) const PARAMETERS: [Parameter; 12] = [
    ("service", "Its service"),
    ("interface", "Its name, `METHOD route` of HTTP, or `service/method` of RPC"),
    ("min_duration", "How long it took at least, such as 100ms or 1.5s"),
    ("max_duration", "How long it took at most"),
    ("status", "ok, error or unset"),
    ("query", "Query over its attributes, in Lucene's grammar"),
    START,
    END,
    ("sort", "start or duration, of the span that passes; start where it is not given"),
    ("order", "asc or desc; desc where it is not given"),
    LIMIT,
    ("cursor", "`next_cursor` of the page before"),
];

/// `{"traces":[{"trace_id","span":{…},"root_service","root_name","start","duration_ns","span_count","error_count",
/// "services":[]}],"next_cursor","took_ms"}` and its [`Extent`]. `span` is the first span in the order asked for that passes, and its trace
/// stands at its place; the rest is of the spans that began at most an hour before or behind those that pass.
pub(super) async fn search(State(api): State<Api>, caller: Caller, params: Params) -> Result<Json<Value>, Problem> {
    let began = Instant::now();
    let asked = asked(&params)?;
    let found = api.run(&api.searching, &caller, move |snapshot, budget| {
        let extent = Extent::of(snapshot, asked.range.0, asked.range.1);
        Ok((find::find(snapshot, &asked, budget)?, extent))
    });
    let ((traces, next), extent) = found.await?;
    let traces: Vec<Value> = traces.iter().map(show).collect();
    let next = next.as_ref().map(cursor);
    let mut answer = json!({"traces": traces, "next_cursor": next, "took_ms": began.elapsed().as_millis() as u64});
    extent.show(&mut answer);
    Ok(Json(answer))
}

fn show(found: &Found) -> Value {
    let (summary, source, span) = (&found.summary, &found.hit.source, &found.hit.span);
    let (root_service, root_name) = summary.root.clone().unwrap_or_default();
    json!({
        "trace_id": hex::encode(&found.rank.1),
        "span": {
            "span_id": hex::encode(&span.span_id),
            "service": source.service,
            "tenant": source.tenant,
            "name": span.name,
            "kind": line::kind(span.kind),
            "start": time::format(nanos(span.start_time_unix_nano)),
            "duration_ns": find::duration(span),
            "status": line::status(span.status.as_ref().map_or(0, |status| status.code)),
        },
        "root_service": root_service,
        "root_name": root_name,
        "start": time::format(summary.start),
        "duration_ns": summary.end.saturating_sub(summary.start),
        "span_count": summary.spans,
        "error_count": summary.errors,
        "services": summary.services,
    })
}

fn cursor((Reverse(score), id): &Rank) -> String {
    format!("{score}_{}", hex::encode(id))
}

fn read_cursor(text: &str) -> Option<Rank> {
    let (score, id) = text.split_once('_')?;
    Some((Reverse(score.parse().ok()?), hex::decode(id).ok()?.into()))
}

fn asked(params: &Params) -> Result<Asked, Problem> {
    let status = params.text("status").map(str::to_owned);
    if status.as_ref().is_some_and(|status| !["unset", "ok", "error"].contains(&status.as_str())) {
        return Err(Problem::parameter("status", "use ok, error or unset"));
    }
    let limit = params.number("limit", 20, 1..=MOST)?;
    let by = match params.text("sort") {
        None | Some("start") => By::Start,
        Some("duration") => By::Duration,
        Some(other) => return Err(Problem::parameter("sort", format!("`{other}` is no order: use start or duration"))),
    };
    let ascending = params.oldest_first()?;
    let wrong = || Problem::parameter("cursor", "no such cursor: use the `next_cursor` of the page before, as it is");
    let after = params.text("cursor").map(|text| read_cursor(text).ok_or_else(wrong)).transpose()?;
    let (matcher, needs, _) = params.query()?;
    let (service, interface) = (params.text("service").map(str::to_owned), params.text("interface").map(str::to_owned));
    let field = |name: &str, value: &str| Needs::Field(name.to_owned(), value.to_lowercase());
    let mut needs = vec![needs];
    needs.extend(service.as_ref().map(|service| field("service", service)));
    needs.extend(status.as_ref().map(|status| field("status", status)));
    needs.extend(interface.as_deref().map(of_interface));
    let (start, end) = params.range()?;
    let length = |name: &str| {
        let wrong = |text: &str| Problem::parameter(name, format!("`{text}` is no duration: use {}", duration::WANTED));
        params.text(name).map(|text| duration::read(text).ok_or_else(|| wrong(text))).transpose()
    };
    let (least, most) = (length("min_duration")?.unwrap_or(0), length("max_duration")?.unwrap_or(u64::MAX));
    if least > most {
        return Err(Problem::parameter("max_duration", "must not be less than `min_duration`"));
    }
    let passes = move |line: &Line, span: &Span| {
        (least..=most).contains(&find::duration(span).unsigned_abs())
            && service.as_ref().is_none_or(|service| *service == line.source.service)
            && status.as_ref().is_none_or(|wanted| line::status(span.status.as_ref().map_or(0, |s| s.code)) == wanted)
            && interface.as_ref().is_none_or(|interface| is_interface(line, span, interface))
            && matcher.matches(line)
    };
    let (needs, passes) = (Needs::All(needs), Box::new(passes));
    Ok(Asked { needs, range: (start, end), passes, by, ascending, limit, after })
}

/// What chunks with a span of this interface hold.
fn of_interface(interface: &str) -> Needs {
    let field = |name: &str, value: &str| Needs::Field(name.to_owned(), value.to_lowercase());
    let mut any = vec![field("name", interface)];
    for (between, first, second) in JOINED {
        any.extend(interface.match_indices(between).map(|(at, _)| {
            let (start, end) = (&interface[..at], &interface[at + between.len()..]);
            Needs::All(vec![field(&format!("attributes.{first}"), start), field(&format!("attributes.{second}"), end)])
        }));
    }
    if any.len() > 32 { Needs::Anything } else { Needs::Any(any) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::everything;
    use crate::traces::testing::{Made, far, store};

    /// Spans of one trace for each number, which is also how long it took in seconds, behind the others.
    fn made(n: u8) -> Made {
        Made {
            trace: n,
            id: n,
            second: 1000 + u64::from(n),
            seconds: u64::from(n),
            name: Some(format!("step {n}").leak()),
            status: if n.is_multiple_of(2) { 2 } else { 1 },
            attributes: match n {
                7 => &[("http.request.method", "POST"), ("http.route", "/v1/a b")],
                3 => &[("rpc.service", "ocr.V1"), ("rpc.method", "Read")],
                _ => &[],
            },
            ..Made::default()
        }
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Asked, Problem> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        asked(&Params::new(pairs.collect())?)
    }

    fn page(store: &crate::store::Store, pairs: &[(&str, &str)]) -> (Vec<Value>, Option<String>) {
        let asked = read(pairs).map_err(|problem| problem.detail).unwrap();
        let (traces, next) = find::find(store.snapshot(&everything()).as_ref(), &asked, &far()).unwrap();
        (traces.iter().map(show).collect(), next.as_ref().map(cursor))
    }

    fn names(store: &crate::store::Store, pairs: &[(&str, &str)]) -> Vec<String> {
        let of = |trace: &Value| trace["span"]["name"].as_str().unwrap().to_owned();
        page(store, pairs).0.iter().map(of).collect()
    }

    #[test]
    fn traces_are_found_by_what_a_span_is_newest_first() {
        let spans: Vec<Made> = (1..9).map(made).collect();
        let (_folder, store) = store(&[&spans[..5], &spans[5..]]);
        assert_eq!(names(&store, &[("limit", "2")]), ["step 8", "step 7"]);
        assert_eq!(names(&store, &[("min_duration", "6.5s")]), ["step 8", "step 7"]);
        assert_eq!(names(&store, &[("status", "ok"), ("max_duration", "3s")]), ["step 3", "step 1"]);
        assert_eq!(names(&store, &[("interface", "step 4")]), ["step 4"]);
        assert_eq!(names(&store, &[("interface", "POST /v1/a b")]), ["step 7"]);
        assert_eq!(names(&store, &[("interface", "ocr.V1/Read")]), ["step 3"]);
        assert_eq!(names(&store, &[("query", "http.route:\"/v1/a b\"")]), ["step 7"]);
        assert!(names(&store, &[("service", "none")]).is_empty());
        assert_eq!(names(&store, &[("order", "asc"), ("limit", "2")]), ["step 1", "step 2"]);
        assert_eq!(names(&store, &[("sort", "duration"), ("limit", "1")]), ["step 8"]);
        assert_eq!(names(&store, &[("sort", "duration"), ("order", "asc"), ("limit", "1")]), ["step 1"]);
    }

    #[test]
    fn pages_in_every_order_have_each_trace_once() {
        // Traces of several spans, which reach over each other.
        let span = |n: u8| Made {
            trace: n % 7,
            id: n,
            second: 1000 + u64::from(n),
            seconds: u64::from(n * 7 % 11),
            ..Made::default()
        };
        let spans: Vec<Made> = (1..=30).map(span).collect();
        let (_folder, store) = store(&[&spans[..11], &spans[5..23], &spans[20..]]);
        for sort in ["start", "duration"] {
            for order in ["asc", "desc"] {
                let (mut seen, mut next) = (Vec::new(), String::new());
                loop {
                    let asked = [("sort", sort), ("order", order), ("limit", "2"), ("cursor", next.as_str())];
                    let (traces, cursor) = page(&store, &asked);
                    seen.extend(traces.iter().map(|trace| trace["trace_id"].as_str().unwrap().to_owned()));
                    let Some(cursor) = cursor else { break };
                    next = cursor;
                }
                let at_once = page(&store, &[("sort", sort), ("order", order)]).0;
                let at_once: Vec<_> =
                    at_once.iter().map(|trace| trace["trace_id"].as_str().unwrap().to_owned()).collect();
                assert_eq!((seen.len(), &seen[..]), (7, &at_once[..]), "{sort} {order}");
            }
        }
    }

    #[test]
    fn a_trace_has_its_root_and_what_all_its_spans_say() {
        let root = Made { service: "front", id: 1, second: 1000, seconds: 9, ..Made::default() };
        let child = Made { service: "back", id: 2, parent: 1, second: 1002, seconds: 3, status: 2, ..Made::default() };
        let (_folder, store) = store(&[&[child], &[root, child]]);
        let (traces, next) = page(&store, &[("status", "error")]);
        assert_eq!((traces.len(), next), (1, None));
        let told = &traces[0];
        assert_eq!((&told["span"]["service"], &told["root_service"]), (&"back".into(), &"front".into()));
        assert_eq!((&told["root_name"], &told["duration_ns"]), (&"front work".into(), &9_000_000_000_i64.into()));
        assert_eq!((&told["span_count"], &told["error_count"]), (&2.into(), &1.into()));
        assert_eq!(told["services"], json!(["back", "front"]));
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        let wrong = [
            ("status", "bad"),
            ("limit", "0"),
            ("min_duration", "5"),
            ("query", "("),
            ("sort", "name"),
            ("order", "up"),
            ("cursor", "x"),
        ];
        for (name, value) in wrong {
            assert_eq!(read(&[(name, value)]).err().unwrap().parameter.as_deref(), Some(name));
        }
    }
}
