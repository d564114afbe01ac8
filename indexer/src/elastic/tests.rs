use std::sync::Arc;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use serde_json::{Value as Json, json};
use tower::ServiceExt;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_query::line::{Body, Line, LineId, Source};

use super::indices::like;
use crate::api::tests::serving;

/// 2023-11-14T22:13:20Z, in milliseconds.
const BEGIN: i64 = 1_700_000_000_000;

/// Sixty lines four seconds apart, of two services and two indices; every third has a number, every fifth is an error.
fn lines() -> Vec<Line> {
    let line = |n: i64| {
        let service = if n % 3 == 0 { "b" } else { "a" };
        let index = if n < 30 { "logs-app" } else { "logs-web" };
        let resource = vec![("elasticsearch.index".to_owned(), Value::StringValue(index.to_owned()))];
        let mut attributes = vec![("user.id".to_owned(), Value::IntValue(n % 4))];
        if n % 3 == 0 {
            attributes.push(("ms".to_owned(), Value::DoubleValue(n as f64)));
        }
        Line {
            id: LineId { partition: 0, offset: n, index: 0 },
            time: (BEGIN + 4000 * n) * 1_000_000 + n,
            severity: if n % 5 == 0 { 17 } else { 9 },
            severity_text: String::new(),
            body: Body::Text(format!("line {n} 超时 done")),
            trace_id: Bytes::new(),
            span_id: Bytes::new(),
            attributes,
            source: Arc::new(Source { tenant: "t".into(), service: service.into(), resource, ..Source::default() }),
            span: None,
        }
    };
    (0..60).map(line).collect()
}

async fn ask_of(lines: Vec<Line>, method: &str, path: &str, body: String) -> (u16, Json) {
    let request = http::Request::builder().method(method).uri(path).body(HttpBody::from(body)).unwrap();
    let response = serving(lines).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 8 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
}

async fn ask(method: &str, path: &str, body: Json) -> (u16, Json) {
    ask_of(lines(), method, path, body.to_string()).await
}

async fn search(body: Json) -> Json {
    let (status, answer) = ask("POST", "/elastic/weir-logs/_search", body).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn numbers(answer: &Json) -> Vec<i64> {
    let hits = answer["hits"]["hits"].as_array().unwrap();
    let number = |hit: &Json| hit["_source"]["message"].as_str()?.split(' ').nth(1)?.parse().ok();
    hits.iter().map(|hit| number(hit).unwrap()).collect()
}

#[tokio::test]
async fn given_what_grafana_sends_then_it_gets_hits_totals_buckets_and_highlights() {
    let range = json!({"range": {"@timestamp": {"gte": BEGIN, "lte": BEGIN + 240_000, "format": "epoch_millis"}}});
    let query =
        json!({"bool": {"filter": [range, {"query_string": {"query": "done AND 超时", "analyze_wildcard": true}}]}});
    let logs = json!({
        "size": 500, "query": query, "sort": [{"@timestamp": {"order": "desc"}}, {"_doc": {"order": "desc"}}],
        "highlight": {"fields": {"*": {}}, "pre_tags": ["@HIGHLIGHT@"], "post_tags": ["@/HIGHLIGHT@"]},
        "aggs": {"1": {"date_histogram": {"fixed_interval": "1m", "field": "@timestamp", "min_doc_count": 0,
            "extended_bounds": {"min": BEGIN - 60_000, "max": BEGIN + 240_000}, "format": "epoch_millis"}, "aggs": {}}},
    });
    let bad = json!({"query": {"query_string": {"query": "(("}}});
    let head = json!({"index": "weir-logs", "ignore_unavailable": true});
    let body: String = [&head, &logs, &head, &bad].map(|line| format!("{line}\n")).concat();
    let (status, answer) = ask_of(lines(), "POST", "/elastic/_msearch?max_concurrent_shard_requests=5", body).await;
    assert_eq!(status, 200);
    let (found, bad) = (&answer["responses"][0], &answer["responses"][1]);
    assert_eq!(numbers(found), (0..60).rev().collect::<Vec<_>>());
    assert_eq!(found["hits"]["total"], json!({"value": 60, "relation": "eq"}));
    let hit = &found["hits"]["hits"][0];
    assert_eq!(hit["highlight"]["message"][0], "line 59 @HIGHLIGHT@超时@/HIGHLIGHT@ @HIGHLIGHT@done@/HIGHLIGHT@");
    assert_eq!((hit["_index"].as_str(), hit["sort"][0].as_i64()), (Some("logs-web"), Some(BEGIN + 4000 * 59)));
    assert_eq!(hit["_source"]["log.level"], "INFO");
    let buckets = found["aggregations"]["1"]["buckets"].as_array().unwrap();
    assert_eq!(buckets.iter().map(|bucket| bucket["doc_count"].as_u64().unwrap()).sum::<u64>(), 60);
    assert!(buckets.iter().all(|bucket| bucket["key"].as_i64().unwrap() % 60_000 == 0));
    assert_eq!((bad["status"].as_u64(), bad["error"]["type"].as_str()), (Some(400), Some("query_shard_exception")));
}

#[tokio::test]
async fn given_pages_by_search_after_or_scroll_then_every_hit_is_there_once() {
    for sort in [
        json!([{"@timestamp": "asc"}, {"_doc": "asc"}]),
        json!([{"@timestamp": "desc"}]),
        json!([{"ms": "desc"}, {"_doc": "asc"}]),
        json!([{"user.id": {"order": "asc", "missing": "_first"}}, {"@timestamp": "desc"}]),
    ] {
        let (mut seen, mut after) = (Vec::new(), Json::Null);
        loop {
            let page = search(json!({"size": 7, "sort": sort, "search_after": after})).await;
            seen.extend(numbers(&page));
            match page["hits"]["hits"].as_array().unwrap().last() {
                Some(hit) => after = hit["sort"].clone(),
                None => break,
            }
        }
        let whole = numbers(&search(json!({"size": 100, "sort": sort})).await);
        assert_eq!((&seen, whole.len()), (&whole, 60), "{sort}");
    }
    for sort in [json!([]), json!([{"user.id": "desc"}]), json!(["_score"]), json!(["_score", {"user.id": "asc"}])] {
        let body = json!({"size": 25, "sort": sort}).to_string();
        let (_, mut page) = ask_of(lines(), "POST", "/elastic/logs-*/_search?scroll=1m", body).await;
        let mut seen = numbers(&page);
        while !numbers(&page).is_empty() {
            let id = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]});
            page = ask("POST", "/elastic/_search/scroll", id).await.1;
            seen.extend(numbers(&page));
        }
        assert_eq!(seen, numbers(&search(json!({"size": 100, "sort": sort})).await), "{sort}");
    }
}

#[tokio::test]
async fn given_an_index_then_its_lines_alone_are_there_and_one_that_is_missing_is_named() {
    for (index, count) in [
        ("weir-logs", 60),
        ("*", 60),
        ("logs-app", 30),
        ("logs-*", 60),
        ("logs-*,-logs-web", 30),
        ("logs-app,logs-web", 60),
        ("nothing*", 0),
        ("other?ignore_unavailable=true", 0),
    ] {
        let (index, rest) = index.split_once('?').unwrap_or((index, ""));
        let (status, answer) = ask("GET", &format!("/elastic/{index}/_count?{rest}"), json!({})).await;
        assert_eq!((status, answer["count"].as_u64()), (200, Some(count)), "{index}");
    }
    let (status, answer) = ask("GET", "/elastic/logs-app,other/_search", json!({})).await;
    assert_eq!((status, answer["error"]["type"].as_str()), (404, Some("index_not_found_exception")));
    assert_eq!(answer["error"]["index"], "other");
    let (_, listed) = ask("GET", "/elastic/_cat/indices/logs-w*?format=json&h=index,docs.count", Json::Null).await;
    assert_eq!(listed, json!([{"index": "logs-web", "docs.count": "30"}]));
}

#[tokio::test]
async fn given_fields_then_caps_and_mappings_have_their_types_and_hits_show_what_is_asked_for() {
    let (_, caps) = ask("GET", "/elastic/weir-logs/_field_caps?fields=*", Json::Null).await;
    for (name, kind) in [
        ("@timestamp", "date"),
        ("message", "text"),
        ("service.name", "keyword"),
        ("user.id", "long"),
        ("ms", "double"),
    ] {
        assert_eq!(caps["fields"][name][kind]["type"], kind, "{name}");
    }
    let (_, mapping) = ask("GET", "/elastic/logs-app/_mapping", Json::Null).await;
    assert_eq!(mapping["logs-app"]["mappings"]["properties"]["user"]["properties"]["id"]["type"], "long");
    let only = search(
        json!({"size": 1, "_source": ["user.*"], "fields": ["ms", {"field": "@timestamp", "format": "epoch_millis"}],
        "query": {"term": {"ms": 57}}}),
    )
    .await;
    let hit = &only["hits"]["hits"][0];
    assert_eq!(hit["_source"], json!({"user.id": 1}));
    assert_eq!(hit["fields"], json!({"ms": [57.0], "@timestamp": [(BEGIN + 4000 * 57).to_string()]}));
    let none = search(json!({"size": 1, "_source": false})).await;
    assert!(none["hits"]["hits"][0].get("_source").is_none());
}

#[tokio::test]
async fn given_a_search_that_cannot_be_run_then_the_error_has_elasticsearchs_type() {
    for (body, kind) in [
        (json!({"sizes": 1}), "parsing_exception"),
        (json!({"size": 20_000}), "illegal_argument_exception"),
        (json!({"fields": vec!["a"; 257]}), "illegal_argument_exception"),
        (json!({"_source": vec!["a"; 257]}), "illegal_argument_exception"),
        (json!({"highlight": {"pre_tags": ["x".repeat(257)]}}), "illegal_argument_exception"),
        (json!({"sort": [{"a": "up"}]}), "illegal_argument_exception"),
        (json!({"sort": ["a"], "search_after": [1, 2]}), "illegal_argument_exception"),
        (json!({"aggs": {"a": {"nonsense": {"field": "b"}}}}), "parsing_exception"),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1ms", "min_doc_count": 0}}}}),
            "too_many_buckets_exception",
        ),
    ] {
        let (status, answer) = ask("POST", "/elastic/_search", body.clone()).await;
        assert_eq!((status, answer["error"]["type"].as_str()), (400, Some(kind)), "{body}: {answer}");
        assert_eq!(answer["error"]["root_cause"][0]["type"], kind);
    }
    let (status, answer) = ask("POST", "/elastic/_search/scroll", json!({"scroll_id": "x"})).await;
    assert_eq!((status, answer["error"]["type"].as_str()), (400, Some("illegal_argument_exception")));
}

#[test]
fn a_pattern_is_any_run_of_characters_at_each_star() {
    for (pattern, name, is_like) in [
        ("*", "", true),
        ("a*c", "abc", true),
        ("a*c", "abcd", false),
        ("*b*", "abc", true),
        ("abc", "abc", true),
        ("a*a", "a", false),
        ("logs-*-x", "logs-a-b-x", true),
    ] {
        assert_eq!(like(pattern, name), is_like, "{pattern} {name}");
    }
}

#[test]
fn given_days_as_bounds_then_the_times_are_those_of_whole_days() {
    let day = 86_400_000_000_000;
    let first = weir_service::time::parse("2026-01-01", 0).unwrap();
    for (text, times) in [
        ("timestamp:[2026-01-01 TO 2026-01-02]", (first, first + 2 * day)),
        ("timestamp:>2026-01-01", (first + day, i64::MAX)),
        ("timestamp:<2026-01-02", (i64::MIN, first + day)),
        ("timestamp:<=2026-01-01 AND x", (i64::MIN, first + day)),
    ] {
        assert_eq!(super::times(&weir_query::parse(text).unwrap(), 0), times, "{text}");
    }
}

#[tokio::test]
async fn given_ranges_within_ranges_without_end_then_they_are_refused() {
    let ranges: Vec<Json> = (0..10_000).map(|to| json!({"to": to})).collect();
    let of = |inner: Json| json!({"r": {"range": {"field": "n", "ranges": ranges}, "aggs": inner}});
    let (status, answer) = ask("POST", "/elastic/_search", json!({"size": 0, "aggs": of(of(json!({})))})).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn given_hits_that_take_too_much_memory_then_a_page_is_refused_and_a_scroll_has_them_all() {
    let large: Vec<Line> =
        lines().into_iter().map(|line| Line { body: Body::Text("x".repeat(1 << 20)), ..line }).collect();
    for sort in [json!([]), json!(["user.id"])] {
        let body = |size: usize| json!({"size": size, "sort": sort, "_source": ["user.id"]}).to_string();
        let (status, answer) = ask_of(large.clone(), "POST", "/elastic/_search", body(60)).await;
        let reason = answer["error"]["reason"].as_str().unwrap();
        assert!(status == 400 && reason.contains("Result window is too large"), "{answer}");
        assert_eq!(ask_of(large.clone(), "POST", "/elastic/_search", body(20)).await.0, 200);
        let (mut seen, mut path, mut body) = (0, "/elastic/_search?scroll=1m", body(60));
        loop {
            let (status, page) = ask_of(large.clone(), "POST", path, body).await;
            let hits = page["hits"]["hits"].as_array().unwrap().len();
            if (status, hits) == (200, 0) {
                break;
            }
            seen += hits;
            (path, body) = ("/elastic/_search/scroll", json!({"scroll_id": page["_scroll_id"]}).to_string());
        }
        assert_eq!(seen, 60, "{sort}");
    }
}
