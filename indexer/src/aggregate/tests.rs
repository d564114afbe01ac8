use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use weir_query::line::{Body, Line, LineId, Source};

use super::collect::{Budget, Node};
use super::*;

/// Lines whose bodies are documents; `t` is the second of the line.
fn answer(documents: &[Json], aggs: &Json) -> Result<Json, Fault> {
    let aggregations = Aggregations::read(aggs, 0)?;
    let (mut root, mut budget) = (Node::new(&aggregations), Budget::default());
    for (n, document) in documents.iter().enumerate() {
        let line = Line {
            id: LineId { partition: 0, offset: n as i64, index: 0 },
            time: document["t"].as_i64().unwrap_or_default() * 1_000_000_000,
            severity: 0,
            severity_text: String::new(),
            body: Body::Json(document.to_string()),
            trace_id: Bytes::new(),
            span_id: Bytes::new(),
            attributes: Vec::new(),
            source: Arc::new(Source {
                service: document["s"].as_str().unwrap_or_default().to_owned(),
                ..Source::default()
            }),
            span: None,
        };
        root.add(&aggregations, &Reader::new(&line), &mut budget)?;
    }
    render::aggregations(&aggregations, &root, &mut budget)
}

fn people() -> Vec<Json> {
    vec![
        json!({"name": "Albert", "response": 100, "date": "2015-01-01T12:10:30Z", "host": "h10", "tags": ["nice"], "s": "a", "t": 0}),
        json!({"name": "Fred", "response": 100, "date": "2015-01-01T12:10:30Z", "host": "h1", "tags": ["nice"], "s": "a", "t": 59}),
        json!({"name": "Manfred", "response": 120, "date": "2015-01-11T12:10:30Z", "host": "h11", "tags": ["nice"], "s": "b", "t": 60}),
        json!({"name": "Horst", "date": "2015-01-01T11:11:30Z", "host": "h10", "tags": ["nice", "cool"], "s": "b", "t": 200}),
        json!({"name": "Fritz", "response": 30.5, "tags": ["nice", "cool"], "s": "b", "t": 201, "ok": true}),
    ]
}

#[test]
fn given_terms_with_what_is_inside_then_buckets_are_ordered_and_the_rest_is_told() {
    let aggs = json!({
        "by": {"terms": {"field": "tags", "size": 1}, "aggs": {"m": {"stats": {"field": "response"}}}},
        "deep": {"terms": {"field": "service.name", "order": {"r": "desc"}}, "aggs": {
            "r": {"max": {"field": "response"}},
            "h": {"terms": {"field": "host", "missing": "none"}, "aggs": {"n": {"value_count": {"field": "name"}}}}}},
        "ok": {"terms": {"field": "ok"}},
        "both": {"multi_terms": {"terms": [{"field": "tags"}, {"field": "host"}], "order": {"_key": "asc"}, "size": 2}},
    });
    let found = answer(&people(), &aggs).unwrap();
    let stats = json!({"count": 4, "min": 30.5, "max": 120.0, "avg": 87.625, "sum": 350.5});
    assert_eq!(found["by"]["buckets"], json!([{"key": "nice", "doc_count": 5, "m": stats}]));
    assert_eq!(found["by"]["sum_other_doc_count"], 2);
    let deep = found["deep"]["buckets"].as_array().unwrap();
    assert_eq!(deep.iter().map(|bucket| bucket["key"].clone()).collect::<Vec<_>>(), [json!("b"), json!("a")]);
    assert_eq!(deep[0]["h"]["buckets"][2], json!({"key": "none", "doc_count": 1, "n": {"value": 1}}));
    assert_eq!(found["ok"]["buckets"], json!([{"key": 1, "key_as_string": "true", "doc_count": 1}]));
    let both = json!({"key": ["cool", "h10"], "key_as_string": "cool|h10", "doc_count": 1});
    assert_eq!((&found["both"]["buckets"][0], &found["both"]["sum_other_doc_count"]), (&both, &json!(3)));
}

#[test]
fn given_histograms_then_gaps_are_filled_to_the_bounds_that_are_asked_for() {
    let aggs = json!({
        "time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1m", "extended_bounds": {"min": -60_000, "max": 240_000}, "format": "epoch_millis"}},
        "text": {"date_histogram": {"field": "date", "fixed_interval": "30d", "offset": "-4d"}},
        "month": {"date_histogram": {"field": "date", "calendar_interval": "month", "time_zone": "Asia/Shanghai"}},
        "some": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1m", "min_doc_count": 1}},
        "value": {"histogram": {"field": "response", "interval": 50}},
    });
    let found = answer(&people(), &aggs).unwrap();
    let counts = |name: &str| -> Vec<(Json, u64)> {
        let buckets = found[name]["buckets"].as_array().unwrap();
        buckets.iter().map(|bucket| (bucket["key"].clone(), bucket["doc_count"].as_u64().unwrap())).collect()
    };
    let minutes =
        |counts: &[(i64, u64)]| counts.iter().map(|(at, count)| (json!(at * 60_000), *count)).collect::<Vec<_>>();
    assert_eq!(counts("time"), minutes(&[(-1, 0), (0, 2), (1, 1), (2, 0), (3, 2), (4, 0)]));
    assert_eq!(counts("some"), minutes(&[(0, 2), (1, 1), (3, 2)]));
    assert_eq!(found["time"]["buckets"][0]["key_as_string"], "-60000");
    assert_eq!(counts("text"), [(json!(1_420_070_400_000_i64), 4)]);
    assert_eq!(found["text"]["buckets"][0]["key_as_string"], "2015-01-01T00:00:00Z");
    assert_eq!(found["month"]["buckets"][0]["key_as_string"], "2015-01-01T00:00:00+08:00");
    assert_eq!(counts("value"), [(json!(0.0), 1), (json!(50.0), 0), (json!(100.0), 3)]);
}

#[test]
fn given_ranges_filters_and_composites_then_each_line_is_in_the_buckets_that_take_it() {
    let aggs = json!({
        "ranges": {"range": {"field": "response", "ranges": [{"to": 50, "key": "fast"}, {"from": 50}]}},
        "filters": {"filters": {"other_bucket_key": "rest", "filters": {
            "a": {"term": {"service.name": "a"}}, "late": {"range": {"@timestamp": {"gte": 60_000, "format": "epoch_millis"}}}}}},
        "one": {"filter": {"term": {"service.name": "a"}}, "aggs": {"n": {"sum": {"field": "response"}}}},
        "missing": {"missing": {"field": "resource.nothing"}},
        "pages": {"composite": {"size": 2, "sources": [{"h": {"terms": {"field": "host", "missing_bucket": true}}}, {"r": {"histogram": {"field": "response", "interval": 50}}}]}},
        "next": {"composite": {"size": 2, "after": {"h": "h1", "r": 100.0}, "sources": [{"h": {"terms": {"field": "host"}}}, {"r": {"histogram": {"field": "response", "interval": 50}}}]}},
    });
    let found = answer(&people(), &aggs).unwrap();
    assert_eq!(
        found["ranges"]["buckets"],
        json!([{"key": "fast", "to": 50.0, "doc_count": 1}, {"key": "50.0-*", "from": 50.0, "doc_count": 3}])
    );
    assert_eq!(
        found["filters"]["buckets"],
        json!({"a": {"doc_count": 2}, "late": {"doc_count": 3}, "rest": {"doc_count": 0}})
    );
    assert_eq!(found["one"], json!({"doc_count": 2, "n": {"value": 200.0}}));
    assert_eq!(found["missing"]["doc_count"], 5);
    assert_eq!(
        found["pages"]["buckets"],
        json!([{"key": {"h": null, "r": 0.0}, "doc_count": 1}, {"key": {"h": "h1", "r": 100.0}, "doc_count": 1}])
    );
    assert_eq!(found["pages"]["after_key"], json!({"h": "h1", "r": 100.0}));
    assert_eq!(found["next"]["buckets"][0]["key"], json!({"h": "h10", "r": 100.0}));
}

#[test]
fn given_metrics_then_they_are_exact_or_within_their_error() {
    let documents: Vec<Json> = (1..=10_000).map(|n| json!({"n": n, "k": format!("key-{}", n % 2500)})).collect();
    let aggs = json!({
        "p": {"percentiles": {"field": "n", "percents": [50, 99.9]}},
        "c": {"cardinality": {"field": "k"}},
        "few": {"cardinality": {"field": "nothing"}},
        "e": {"extended_stats": {"field": "n"}},
        "none": {"avg": {"field": "nothing"}},
    });
    let found = answer(&documents, &aggs).unwrap();
    let near = |value: &Json, right: f64, error: f64| (value.as_f64().unwrap() / right - 1.0).abs() < error;
    assert!(
        near(&found["p"]["values"]["50.0"], 5000.0, 0.02) && near(&found["p"]["values"]["99.9"], 9990.0, 0.02),
        "{found}"
    );
    assert!(near(&found["c"]["value"], 2500.0, 0.05), "{}", found["c"]);
    assert_eq!((&found["few"]["value"], &found["none"]["value"]), (&json!(0), &Json::Null));
    assert!(
        near(&found["e"]["std_deviation"], 2886.75, 0.001)
            && near(&found["e"]["sum_of_squares"], 333_383_335_000.0, 1e-9)
    );
}

#[test]
fn given_more_values_than_there_may_be_buckets_then_the_frequent_ones_are_right_and_the_error_is_told() {
    let mut documents: Vec<Json> = (0..MAX_BUCKETS + 1000).map(|n| json!({"k": format!("rare-{n}")})).collect();
    for n in 0..500 {
        documents.insert(n * 100, json!({"k": "often"}));
    }
    let found = answer(&documents, &json!({"by": {"terms": {"field": "k", "size": 1}}})).unwrap();
    assert_eq!(found["by"]["buckets"], json!([{"key": "often", "doc_count": 500}]));
    assert!(found["by"]["doc_count_error_upper_bound"].as_u64().unwrap() > 0);
    assert_eq!(found["by"]["sum_other_doc_count"], MAX_BUCKETS + 1000);
    let inside = json!({"by": {"terms": {"field": "k"}, "aggs": {"c": {"cardinality": {"field": "k"}}}}});
    assert_eq!(answer(&documents[..20_000], &inside).unwrap_err().kind, "too_many_buckets_exception");
}

#[test]
fn given_a_request_that_cannot_be_read_then_it_is_refused() {
    let mut deep = json!({"a": {"terms": {"field": "x"}}});
    for _ in 0..9 {
        deep = json!({"a": {"terms": {"field": "x"}, "aggs": deep}});
    }
    for (aggs, reason) in [
        (json!({"a": {}}), "missing definition"),
        (json!({"a": {"terms": {}}}), "requires [field]"),
        (json!({"a": {"terms": {"field": "x", "size": 0}}}), "[size]"),
        (json!({"a": {"date_histogram": {"field": "x", "fixed_interval": "1y"}}}), "fixed_interval"),
        (
            json!({"a": {"avg": {"field": "x"}, "aggs": {"b": {"avg": {"field": "x"}}}}}),
            "cannot accept sub-aggregations",
        ),
        (deep, "deep"),
        (
            json!({"a": {"terms": {"field": "x", "order": {"nowhere": "asc"}}}}),
            "[nowhere]: there is no such aggregation",
        ),
        (
            json!({"a": {"terms": {"field": "x", "order": {"s.median": "asc"}}, "aggs": {"s": {"stats": {"field": "y"}}}}}),
            "[median] is none of its values",
        ),
        (
            json!({"a": {"terms": {"field": "x", "order": {"t": "asc"}}, "aggs": {"t": {"terms": {"field": "y"}}}}}),
            "neither a metric nor a single bucket",
        ),
        (json!({"a": {"percentiles": {"field": "x", "percents": vec![50; 101]}}}), "[percents]"),
        (
            json!({"a": {"composite": {"sources": vec![json!({"s": {"terms": {"field": "x"}}}); 17]}}}),
            "at most 16 sources",
        ),
    ] {
        let fault = answer(&[], &aggs).unwrap_err();
        assert!(fault.reason.contains(reason), "{aggs}: {}", fault.reason);
    }
}

#[test]
fn given_gaps_within_many_buckets_then_all_that_are_filled_have_one_bound() {
    let documents: Vec<Json> = (0..200).map(|n| json!({"n": n, "t": n})).collect();
    let dates = json!({"date_histogram": {"field": "@timestamp", "fixed_interval": "1s",
        "extended_bounds": {"min": 0, "max": 1_000_000}}});
    let numbers = json!({"histogram": {"field": "n", "interval": 1, "extended_bounds": {"min": 0, "max": 1000}}});
    for inner in [dates, numbers] {
        let found = answer(&documents, &json!({"h": inner})).unwrap();
        assert_eq!(found["h"]["buckets"].as_array().unwrap().len(), 1001);
        let nested = json!({"by": {"terms": {"field": "n", "size": 200}, "aggs": {"h": inner}}});
        assert_eq!(answer(&documents, &nested).unwrap_err().kind, "too_many_buckets_exception");
    }
}

#[test]
fn given_pages_of_a_composite_by_times_then_each_time_is_there_once() {
    let documents: Vec<Json> = (0..25).map(|n| json!({"t": n / 2})).collect();
    let (mut after, mut keys) = (json!({}), Vec::new());
    loop {
        let mut composite = json!({"size": 5, "sources": [{"time": {"terms": {"field": "@timestamp"}}}]});
        if after != json!({}) {
            composite["after"] = after;
        }
        let found = answer(&documents, &json!({"c": {"composite": composite}})).unwrap();
        keys.extend(found["c"]["buckets"].as_array().unwrap().iter().map(|bucket| bucket["key"]["time"].clone()));
        after = found["c"]["after_key"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(keys, (0..13).map(|second| json!(second * 1000)).collect::<Vec<_>>());
}

#[test]
fn given_a_clock_that_is_put_back_then_the_buckets_about_it_are_all_there() {
    // The hour from two of the clock is there twice.
    let first = weir_service::time::parse("2026-10-25T00:30:00Z", 0).unwrap() / 1_000_000_000;
    let documents = [json!({"t": first}), json!({"t": first + 3600})];
    let hours = |interval: &str| json!({"h": {"date_histogram": {"field": "@timestamp", "fixed_interval": interval, "time_zone": "Europe/Berlin"}}});
    for (interval, counts) in [("2h", vec![1, 1]), ("1h", vec![1, 1]), ("1d", vec![2])] {
        let found = answer(&documents, &hours(interval)).unwrap();
        let buckets = found["h"]["buckets"].as_array().unwrap();
        let found: Vec<_> = buckets.iter().map(|bucket| bucket["doc_count"].as_u64().unwrap()).collect();
        assert_eq!(found, counts, "{interval}");
    }
}
