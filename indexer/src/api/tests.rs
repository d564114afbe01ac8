use std::sync::Arc;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use opentelemetry::metrics::MeterProvider;
use serde_json::Value;
use tower::ServiceExt;
use weir_query::ast::{Query, Test};
use weir_query::line::{Body, Line, LineId, Source};
use weir_service::config::Size;

use crate::head::InMemory;
use crate::search::{Paging, Selection, page};
use crate::snapshot::{Candidate, Counted, Exact, Lines, Needs, Opened, Snapshot};

struct Memory(Vec<Candidate>);
struct Some2(Arc<Vec<Line>>);

impl Lines for Some2 {
    fn min_time(&self) -> i64 {
        self.0.iter().map(|l| l.time).min().unwrap()
    }
    fn max_time(&self) -> i64 {
        self.0.iter().map(|l| l.time).max().unwrap()
    }
    fn count(&self) -> usize {
        self.0.len()
    }
    fn is_in_memory(&self) -> bool {
        true
    }
    fn lines(&self) -> Result<Arc<Vec<Line>>, crate::Error> {
        Ok(self.0.clone())
    }
    fn open(&self) -> Result<Box<dyn Opened>, crate::Error> {
        Ok(Box::new(InMemory(self.0.clone())))
    }
}

impl Snapshot for Memory {
    fn within(self: Arc<Self>, _: &crate::Budget) -> Arc<dyn Snapshot> {
        self
    }
    fn candidates(&self, _: &Needs, _: i64, _: i64) -> Result<Vec<Candidate>, crate::Error> {
        Ok(self.0.clone())
    }
    fn indexed_until(&self) -> i64 {
        7
    }
}

/// The API over these lines, each a candidate of its own.
pub(crate) fn serving(lines: Vec<Line>) -> axum::Router {
    let candidates = lines.into_iter().map(|line| Arc::new(Some2(Arc::new(vec![line]))) as Candidate);
    let memory: Arc<dyn Snapshot> = Arc::new(Memory(candidates.collect()));
    let meter = opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test");
    let searches = crate::schedule::Scheduler::new(&crate::Search::default(), &meter);
    super::routes(Arc::new(move |_| memory.clone()), super::tail::Live::new(1), searches).open()
}

/// 30 lines in 6 candidates, three lines to each time, so that pages break within equal times.
fn router() -> axum::Router {
    let source = Arc::new(Source { tenant: "acme".into(), service: "ocr".into(), ..Source::default() });
    let line = |n: i64| Line {
        id: LineId { partition: 0, offset: n, index: 0 },
        time: n / 3,
        severity: 9,
        severity_text: String::new(),
        body: Body::Text(format!("line {n}")),
        trace_id: Bytes::new(),
        span_id: Bytes::new(),
        attributes: Vec::new(),
        source: source.clone(),
        span: None,
    };
    let candidates = (0..6).map(|c| Arc::new(Some2(Arc::new((0..5).map(|n| line(n * 6 + c)).collect()))) as Candidate);
    let memory: Arc<dyn Snapshot> = Arc::new(Memory(candidates.collect()));
    let meter = opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test");
    let searches = crate::schedule::Scheduler::new(&crate::Search::default(), &meter);
    super::routes(Arc::new(move |_| memory.clone()), super::tail::Live::new(1), searches).open()
}

async fn get(path: &str) -> (u16, Value) {
    let request = http::Request::get(path).body(HttpBody::empty()).unwrap();
    let response = router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn pages_in_either_order_hold_every_line_once() {
    for order in ["asc", "desc"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let (_, page) = get(&format!("/api/v1/logs/search?limit=4&order={order}&cursor={cursor}")).await;
            seen.extend(page["hits"].as_array().unwrap().iter().map(|hit| hit["body"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let mut expected: Vec<_> = (0..30).map(|n| format!("line {n}")).collect();
        if order == "desc" {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{order}");
    }
}

/// Twelve lines of 10 MiB in three candidates, and what asks for all of them.
fn huge() -> (Memory, Selection) {
    let line = |n: i64| Line {
        id: LineId { partition: 0, offset: n, index: 0 },
        time: n,
        severity: 0,
        severity_text: String::new(),
        body: Body::Text("x".repeat(10 << 20)),
        trace_id: Bytes::new(),
        span_id: Bytes::new(),
        attributes: Vec::new(),
        source: Arc::default(),
        span: None,
    };
    let candidates = (0..3).map(|c| Arc::new(Some2(Arc::new((0..4).map(|n| line(n * 3 + c)).collect()))) as Candidate);
    let memory = Memory(candidates.collect());
    let matcher = weir_query::Matcher::new(&weir_query::parse("").unwrap(), 0).unwrap();
    let budget = crate::Budget::within(std::time::Duration::from_mins(1));
    (memory, Selection { matcher, needs: Needs::Anything, exact: None, start: 0, end: 100, budget })
}

#[test]
fn the_lines_around_one_say_where_huge_ones_are_left_out() {
    let (memory, all) = huge();
    let id = LineId { partition: 0, offset: 4, index: 0 };
    let around = |before, after| {
        super::logs::around(&memory, &all, id, None, [before, after], crate::search::MAX_PAGE_BYTES).unwrap().unwrap()
    };
    let cut = around(4, 3);
    assert!(cut.truncated && cut.before.len() == 3 && cut.before[2].time == 3);
    assert!(!around(2, 3).truncated && !around(0, 0).truncated);
}

#[test]
fn a_page_of_huge_lines_ends_early_and_the_next_goes_on() {
    let (memory, all) = huge();
    for oldest_first in [true, false] {
        let mut paging = Paging { limit: 100, bytes: crate::search::MAX_PAGE_BYTES, oldest_first, after: None };
        let mut seen = Vec::new();
        loop {
            let page = page(&memory, &all, &paging, &|_| true).unwrap();
            assert!((1..=3).contains(&page.lines.len()));
            seen.extend(page.lines.iter().map(|line| line.time));
            paging.after = page.lines.last().map(|line| (line.time, line.id));
            if !page.more {
                break;
            }
        }
        let expected: Vec<i64> = if oldest_first { (0..12).collect() } else { (0..12).rev().collect() };
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn counts_values_and_the_lines_around_one_are_told() {
    assert_eq!(get("/api/v1/logs/count?query=service:ocr").await.1["count"], 30);
    assert_eq!(get("/api/v1/logs/fields/service/values").await.1["values"][0]["count"], 30);
    let (_, around) = get("/api/v1/logs/0-10-0/context?before=2&after=1").await;
    let bodies =
        |part: &str| around[part].as_array().unwrap().iter().map(|hit| hit["body"].clone()).collect::<Vec<_>>();
    assert_eq!((bodies("before"), bodies("after")), (vec!["line 8".into(), "line 9".into()], vec!["line 11".into()]));
}

#[tokio::test]
async fn a_wrong_parameter_is_named_with_what_would_be_right() {
    for (path, parameter) in [
        ("search?limit=-1", "limit"),
        ("search?qery=x", "qery"),
        ("search?query=(", "query"),
        ("search?query=severity:loud", "query"),
        ("search?start=yesterday", "start"),
        ("search?order=up", "order"),
        ("search?cursor=x", "cursor"),
        ("histogram?interval=0s", "interval"),
        ("search?cursor=1_0-1-0_00000000", "cursor"),
        ("search?highlight=yes", "highlight"),
        ("search?wait_for=soon", "wait_for"),
        ("count?wait_for=2100-01-01T00:00:00Z", "wait_for"),
        ("histogram?tz=Mars", "tz"),
        ("export?format=xml", "format"),
        ("export?fields=body,", "fields"),
        ("x/context", "id"),
        ("fields/%FF/values", "name"),
        ("tail?quer=x", "quer"),
    ] {
        let (status, problem) = get(&format!("/api/v1/logs/{path}")).await;
        assert_eq!((status, problem["parameter"].as_str()), (400, Some(parameter)), "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_query_or_order_is_refused() {
    let (_, page) = get("/api/v1/logs/search?limit=4&query=line").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(get(&format!("/api/v1/logs/search?limit=7&query=line&cursor={cursor}")).await.0, 200);
    for other in ["query=service:ocr", "query=line&order=asc", "limit=4"] {
        let (status, problem) = get(&format!("/api/v1/logs/search?{other}&cursor={cursor}")).await;
        assert_eq!((status, problem["parameter"].as_str()), (400, Some("cursor")), "{other}");
    }
}

#[tokio::test]
async fn a_query_in_a_body_is_answered_as_one_in_the_address() {
    let request = http::Request::post("/api/v1/logs/count").header("content-type", "application/json");
    let request = request.body(HttpBody::from(r#"{"query": "line AND 7"}"#)).unwrap();
    let response = router().oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["count"], 1);
}

#[tokio::test]
async fn hits_say_where_they_match_and_answers_what_may_have_been_meant() {
    let (_, page) = get("/api/v1/logs/search?query=line%20AND%207&highlight=true").await;
    assert_eq!(page["hits"][0]["highlights"], serde_json::json!([[0, 4], [5, 6]]), "{page}");
    assert_eq!(page["hints"], serde_json::json!([]));
    let (_, page) = get("/api/v1/logs/search?query=service%20:%20ocr").await;
    assert!(page["hints"][0]["message"].is_string(), "{page}");
    for (what, query, hints) in [("search", "usr:7", 1), ("count", "usr:7", 1), ("count", "service:ocr", 0)] {
        let (_, page) = get(&format!("/api/v1/logs/{what}?query={query}")).await;
        assert_eq!(page["hints"].as_array().unwrap().len(), hints, "{page}");
    }
}

/// A store in which the search for who has the field `usr` takes more than it may.
struct Large(Memory);

impl Snapshot for Large {
    fn within(self: Arc<Self>, _: &crate::Budget) -> Arc<dyn Snapshot> {
        self
    }
    fn candidates(&self, needs: &Needs, start: i64, end: i64) -> Result<Vec<Candidate>, crate::Error> {
        self.0.candidates(needs, start, end)
    }
    fn tally(
        &self,
        _: Option<&Exact>,
        needs: &Needs,
        start: i64,
        end: i64,
        _: &mut dyn FnMut(&Counted) -> bool,
    ) -> Result<Vec<Candidate>, crate::Error> {
        let exists = Query::Field("usr".to_owned(), Test::Exists);
        if *needs == crate::query::needs(&exists) {
            return Err(crate::Limit::Bytes(Size(1)).into());
        }
        self.candidates(needs, start, end)
    }
    fn indexed_until(&self) -> i64 {
        7
    }
}

#[tokio::test]
async fn given_fields_that_no_line_has_then_the_first_page_says_so_and_no_limit_of_that_fails_the_search() {
    let (_, page) = get("/api/v1/logs/search?limit=4&query=line%20OR%20usr:7").await;
    assert_eq!(page["hints"].as_array().unwrap().len(), 1, "{page}");
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, page) = get(&format!("/api/v1/logs/search?limit=4&query=line%20OR%20usr:7&cursor={cursor}")).await;
    assert_eq!((page["hits"].as_array().unwrap().len(), &page["hints"]), (4, &serde_json::json!([])), "{page}");

    let large: Arc<dyn Snapshot> = Arc::new(Large(huge().0));
    let meter = opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test");
    let searches = crate::schedule::Scheduler::new(&crate::Search::default(), &meter);
    let routes = super::routes(Arc::new(move |_| large.clone()), super::tail::Live::new(1), searches).open();
    let request = http::Request::get("/api/v1/logs/count?query=NOT%20usr:7").body(HttpBody::empty()).unwrap();
    let response = routes.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&answer["count"], &answer["hints"]), (&12.into(), &serde_json::json!([])), "{answer}");
}

#[tokio::test]
async fn fields_are_listed_with_the_numbers_of_lines_that_have_them_and_their_types() {
    let (_, listed) = get("/api/v1/logs/fields?query=line%20AND%207").await;
    let body = serde_json::json!({"name": "body", "count": 1, "types": {"string": 1}});
    assert!(listed["fields"].as_array().unwrap().contains(&body), "{listed}");
}

#[tokio::test]
async fn an_export_holds_every_line_once_in_order_of_time() {
    let request = http::Request::get("/api/v1/logs/export?format=csv&fields=body,service,none").body(HttpBody::empty());
    let response = router().oneshot(request.unwrap()).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let expected: Vec<_> = (0..30).map(|n| format!("line {n},ocr,")).collect();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(text, format!("body,service,none\r\n{}\r\n", expected.join("\r\n")));
}

#[tokio::test]
async fn a_histogram_keeps_the_largest_groups_and_adds_the_others_up() {
    let (_, histogram) = get("/api/v1/logs/histogram?interval=1d&field=body&limit=2").await;
    let bucket = &histogram["buckets"][0];
    assert_eq!((&bucket["count"], &bucket["other"]), (&30.into(), &28.into()), "{histogram}");
    assert_eq!(bucket["values"], serde_json::json!({"line 0": 1, "line 1": 1}));
    let (_, histogram) = get("/api/v1/logs/histogram?interval=1d&tz=Asia/Shanghai").await;
    assert_eq!(histogram["buckets"][0]["start"], "1969-12-31T16:00:00Z");
}

#[tokio::test]
async fn an_answer_waits_for_no_more_than_it_is_told_to_and_says_up_to_when_it_is_complete() {
    let (_, count) = get("/api/v1/logs/count?wait_for=50ms").await;
    assert_eq!((&count["count"], &count["indexed_until"]), (&30.into(), &"1970-01-01T00:00:00.000000007Z".into()));
}

/// Lines of which one part of an answer holds few, and a body that is read.
#[tokio::test]
async fn a_page_of_many_parts_is_one_object_that_holds_every_line_once() {
    let (memory, _) = huge();
    let memory: Arc<dyn Snapshot> = Arc::new(memory);
    let meter = opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test");
    let searches = crate::schedule::Scheduler::new(&crate::Search::default(), &meter);
    let routes = super::routes(Arc::new(move |_| memory.clone()), super::tail::Live::new(1), searches).open();
    for (limit, more) in [(100, false), (11, true)] {
        let path = format!("/api/v1/logs/search?limit={limit}&order=asc");
        let request = http::Request::get(path).body(HttpBody::empty()).unwrap();
        let response = routes.clone().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 200 << 20).await.unwrap();
        let page: Value = serde_json::from_slice(&body).unwrap();
        let times: Vec<_> = page["hits"].as_array().unwrap().iter().map(|hit| hit["timestamp"].clone()).collect();
        let expected: Vec<_> = (0..limit.min(12)).map(|time| Value::from(weir_service::time::format(time))).collect();
        assert_eq!(times, expected);
        assert_eq!(page["next_cursor"].is_string(), more, "{limit}");
    }
}
