use serde_json::{Value as Json, json};
use weir_query::ast::{Bound, Query, Test};

use super::*;

/// 2026-11-28T10:20:30Z.
const NOW: i64 = 1_795_861_230_000_000_000;

fn compiled(query: &Json) -> Query {
    Compiler::new(NOW).query(query).unwrap()
}

fn is(column: &str, value: &str) -> Query {
    Query::Field(column.to_owned(), Test::Is(value.to_owned()))
}

#[test]
fn given_what_grafana_asks_then_it_is_the_tree_that_the_grammar_gives() {
    let query = json!({"bool": {"filter": [
        {"range": {"@timestamp": {"gte": 1_700_000_000_000_i64, "lte": 1_700_000_001_000_i64, "format": "epoch_millis"}}},
        {"query_string": {"analyze_wildcard": true, "query": "service.name:ocr AND log.level:error AND timeout"}},
    ]}});
    let range = Test::Range(
        Bound::Including("2023-11-14T22:13:20Z".to_owned()),
        Bound::Including("2023-11-14T22:13:21.000999999Z".to_owned()),
    );
    let words = Query::And(vec![is("service", "ocr"), is("severity", "error"), is("body", "timeout")]);
    assert_eq!(compiled(&query), Query::And(vec![Query::Field("timestamp".to_owned(), range), words]));
}

#[test]
fn given_names_of_elasticsearchs_schema_then_they_mean_weirs_fields() {
    for (name, columns) in [
        ("message.keyword", &["body"][..]),
        ("trace.id", &["trace_id"]),
        ("kubernetes.pod.name", &["resource.k8s.pod.name", "kubernetes.pod.name", "body.kubernetes.pod.name"]),
        ("host.name", &["host.name", "body.host.name"]),
        ("_index", &["resource.elasticsearch.index"]),
        ("attributes.user.id", &["attributes.user.id"]),
    ] {
        assert_eq!(super::columns(name), columns, "{name}");
    }
}

#[test]
fn given_date_arithmetic_then_each_edge_is_rounded_to_its_side() {
    let with = |text: &str| Bound::Including(text.to_owned());
    let without = |text: &str| Bound::Excluding(text.to_owned());
    for (clause, low, high) in [
        (json!({"gte": "now-1d/d", "lt": "now/d"}), with("2026-11-27T00:00:00Z"), without("2026-11-28T00:00:00Z")),
        (
            json!({"gt": "2026-11-27", "lte": "2026-11-28"}),
            without("2026-11-27T23:59:59.999999999Z"),
            with("2026-11-28T23:59:59.999999999Z"),
        ),
        (json!({"gte": "2026-11-28||-1M/M"}), with("2026-10-01T00:00:00Z"), Bound::Open),
        (json!({"gte": "2026-11-28T00:00:00", "time_zone": "+08:00"}), with("2026-11-27T16:00:00Z"), Bound::Open),
        (json!({"gte": 1_795_861_230, "format": "epoch_second"}), with("2026-11-28T10:20:30Z"), Bound::Open),
        (
            json!({"gt": "2026-11-28T00:00:00.250Z", "lte": "2026-11-28T00:00:01Z"}),
            without("2026-11-28T00:00:00.250999999Z"),
            with("2026-11-28T00:00:01.999999999Z"),
        ),
        (
            json!({"lt": "2026-11-28T00:00:01Z", "gte": "2026-11-28T00:00:00.123456789Z"}),
            with("2026-11-28T00:00:00.123456789Z"),
            without("2026-11-28T00:00:01Z"),
        ),
        (json!({"from": "now-90s", "to": null}), with("2026-11-28T10:19:00Z"), Bound::Open),
    ] {
        let expected = Test::Range(low, high);
        assert_eq!(
            compiled(&json!({"range": {"@timestamp": clause}})),
            Query::Field("timestamp".to_owned(), expected),
            "{clause}"
        );
    }
}

#[test]
fn given_a_bool_then_as_many_clauses_must_match_as_elasticsearch_asks_for() {
    let should = |least: Json, must: bool| {
        let terms: Vec<_> = ["a", "b", "c"].iter().map(|value| json!({"term": {"message": value}})).collect();
        let mut query = json!({"bool": {"should": terms, "minimum_should_match": least}});
        if must {
            query["bool"]["must"] = json!({"term": {"message": "m"}});
        }
        compiled(&query)
    };
    let [a, b, c] = ["a", "b", "c"].map(|value| is("body", value));
    let pairs = [[&a, &b], [&a, &c], [&b, &c]].map(|pair| Query::And(pair.map(Clone::clone).to_vec()));
    assert_eq!(should(json!(2), false), Query::Or(pairs.to_vec()));
    assert_eq!(should(json!("-34%"), false), should(json!(2), false));
    assert_eq!(should(json!(3), false), Query::And(vec![a.clone(), b.clone(), c.clone()]));
    assert_eq!(should(json!(4), false), Query::nothing());
    assert_eq!(should(Json::Null, false), Query::Or(vec![a, b, c]));
    assert_eq!(should(json!(0), true), is("body", "m"));
    assert_eq!(compiled(&json!({"bool": {}})), Query::All);
}

#[test]
fn given_what_a_search_box_sends_then_its_signs_are_read() {
    let [a, b, c] = ["a", "b", "c"].map(|value| is("body", value));
    for (text, expected) in [
        ("a b", Query::Or(vec![a.clone(), b.clone()])),
        ("a + b", Query::And(vec![a.clone(), b.clone()])),
        ("a | (b + -c)", Query::Or(vec![a.clone(), Query::And(vec![b.clone(), Query::Not(Box::new(c.clone()))])])),
        ("\"a b\" )", is("body", "a b")),
        ("", Query::All),
    ] {
        assert_eq!(compiled(&json!({"simple_query_string": {"query": text}})), expected, "{text}");
    }
}

#[test]
fn given_a_query_that_cannot_be_read_then_the_error_says_which() {
    for (query, kind, reason) in [
        (json!({}), "illegal_argument_exception", "empty clause"),
        (json!({"nonsense": {}}), "parsing_exception", "unknown query [nonsense]"),
        (json!({"match": "text"}), "parsing_exception", "[match]"),
        (json!({"term": {"a": 1, "b": 2}}), "parsing_exception", "multiple fields"),
        (json!({"query_string": {"query": "(("}}), "query_shard_exception", "Failed to parse query"),
        (json!({"query_string": {"query": "a", "fields": "type"}}), "parsing_exception", "a list in [fields]"),
        (json!({"range": {"@timestamp": {"gte": "soon"}}}), "parse_exception", "failed to parse date"),
        (json!({"bool": {"musst": []}}), "parsing_exception", "[musst]"),
    ] {
        let fault = Compiler::new(NOW).query(&query).unwrap_err();
        assert!(fault.kind == kind && fault.reason.contains(reason), "{query}: {fault:?}");
    }
    let mut deep = json!({"match_all": {}});
    for _ in 0..40 {
        deep = json!({"bool": {"must": deep}});
    }
    assert!(Compiler::new(NOW).query(&deep).unwrap_err().reason.contains("deep"));
    let many = json!({"terms": {"a": (0..5000).collect::<Vec<_>>()}});
    assert!(Compiler::new(NOW).query(&many).unwrap_err().reason.contains("too_many_clauses"));
}

#[test]
fn given_signs_without_end_or_dates_cut_within_a_character_then_they_are_read_or_refused() {
    let search = |text: &str| compiled(&json!({"simple_query_string": {"query": text, "fields": ["message"]}}));
    assert_eq!(search(&format!("{}a", "-".repeat(200_000))), search("a"));
    assert_eq!(search("---a"), Query::Not(Box::new(search("a"))));
    for wrong in ["now中", "2026-01-01||é", "now-1x"] {
        assert!(Compiler::new(NOW).query(&json!({"range": {"@timestamp": {"gte": wrong}}})).is_err(), "{wrong}");
    }
}

#[test]
fn given_a_day_of_a_zone_then_it_ends_with_that_zones_day() {
    let day = json!({"gte": "2026-01-01", "lte": "2026-01-01", "time_zone": "+08:00"});
    let Query::Field(_, Test::Range(low, high)) = compiled(&json!({"range": {"@timestamp": day}})) else { panic!() };
    assert_eq!(low, Bound::Including("2025-12-31T16:00:00Z".to_owned()));
    assert_eq!(high, Bound::Including("2026-01-01T15:59:59.999999999Z".to_owned()));
}

#[test]
fn given_how_words_are_asked_for_then_operators_slop_and_fuzziness_count() {
    let [a, b] = ["alpha", "beta"].map(|value| is("body", value));
    let nearly = |word: &str, edits| Query::Field("body".to_owned(), Test::Fuzzy(word.to_owned(), edits));
    let text = |operator: &str| json!({"query_string": {"query": "alpha beta", "default_operator": operator}});
    let of = |more: Json| {
        let mut about = json!({"query": "alpha beta"});
        about.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"match": {"message": about}})
    };
    for (query, expected) in [
        (json!({"query_string": {"query": "alpha beta"}}), Query::And(vec![a.clone(), b.clone()])),
        (text("OR"), Query::Or(vec![a.clone(), b.clone()])),
        (text("and"), Query::And(vec![a.clone(), b.clone()])),
        (of(json!({})), Query::Or(vec![a.clone(), b.clone()])),
        (of(json!({"operator": "and"})), Query::And(vec![a.clone(), b.clone()])),
        (of(json!({"minimum_should_match": "100%"})), Query::And(vec![a.clone(), b.clone()])),
        (of(json!({"fuzziness": 1})), Query::Or(vec![nearly("alpha", 1), nearly("beta", 1)])),
        (json!({"match": {"message": {"query": "alpha", "fuzziness": "AUTO"}}}), nearly("alpha", 1)),
        (
            json!({"match_bool_prefix": {"message": {"query": "alpha be", "operator": "and"}}}),
            Query::And(vec![a, Query::Field("body".to_owned(), Test::Glob("be*".to_owned()))]),
        ),
        (
            json!({"match_phrase": {"message": {"query": "alpha beta", "slop": 2}}}),
            Query::Field("body".to_owned(), Test::Near("alpha beta".to_owned(), 2)),
        ),
    ] {
        assert_eq!(compiled(&query), expected, "{query}");
    }
    for wrong in [text("xor"), json!({"match_phrase": {"message": {"query": "a b", "slop": -1}}})] {
        assert!(Compiler::new(NOW).query(&wrong).is_err(), "{wrong}");
    }
}
