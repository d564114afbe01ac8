//! Queries that are sent to harm, each with the answer that is right.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::LINES;

/// A request, and what is right of its answer.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) ask: Ask,
    pub(crate) right: Right,
}

pub(crate) enum Ask {
    Get(String),
    Post { path: &'static str, kind: &'static str, body: Vec<u8>, is_packed: bool },
}

/// What is right of an answer.
pub(crate) enum Right {
    /// 200, with this at this place of it.
    Is(&'static str, Value),
    /// 4xx, with this in its text: what is at fault.
    Refused(&'static str),
}

use Right::{Is, Refused};

fn post(name: &'static str, path: &'static str, body: &Value, right: Right) -> Case {
    let body = body.to_string().into_bytes();
    Case { name, ask: Ask::Post { path, kind: "application/json", body, is_packed: false }, right }
}

fn get(name: &'static str, path: impl Into<String>, right: Right) -> Case {
    Case { name, ask: Ask::Get(path.into()), right }
}

/// A query of the grammar, and how many lines match or what is wrong with it.
fn query(name: &'static str, query: &str, right: Right) -> Case {
    post(name, "/api/v1/logs/count", &json!({ "query": query }), right)
}

fn elastic(name: &'static str, body: &Value, right: Right) -> Case {
    post(name, "/elastic/weir-logs/_search", body, right)
}

fn all() -> Right {
    Is("/count", LINES.into())
}

fn none() -> Right {
    Is("/count", 0.into())
}

/// All of them. Each is sent very often, so none makes much to send.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = in_the_grammar();
    cases.extend(places());
    cases.extend(in_the_dsl());
    cases.extend(aggregations());
    cases
}

fn in_the_grammar() -> Vec<Case> {
    let many = |count: usize, word: &str| vec![word; count].join(" OR ");
    let distinct = |count: usize| (0..count).map(|n| format!("w{n}x")).collect::<Vec<_>>().join(" OR ");
    let letters = "ab".repeat(5_000);
    let classes = "[a-z]{1,100}".repeat(40);
    vec![
        query("10,000 clauses", &many(10_000, "request"), Refused("4096 terms")),
        query("4,000 clauses of one word", &many(4_000, "request"), all()),
        query("4,000 clauses of many words", &distinct(4_000), none()),
        query(
            "200 conditions of fields",
            &(0..100).map(|n| format!("f{n}:1 OR f{n}:>5")).collect::<Vec<_>>().join(" OR "),
            none(),
        ),
        query("*a* of everything", "*a*", all()),
        query("*a* of every field", "*:*a*", all()),
        query("patterns of everything", "*a* AND *e* AND *:* AND *r*t* AND NOT *:zzz*", all()),
        query("10,000 parentheses", &format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000)), Refused("64 deep")),
        query("parentheses that do not end", &"(".repeat(60), Refused("at byte")),
        query("60 parentheses", &format!("{}request{}", "!(".repeat(60), ")".repeat(60)), all()),
        query("50,000 times NOT", &format!("{}request", "NOT ".repeat(50_000)), all()),
        query(
            "an expression that explodes when it is compiled",
            "/((a{0,100}){0,100}){0,100}/",
            Refused("regular expression"),
        ),
        query("an expression of many classes", &format!("/{classes}/"), Refused("too large")),
        query("an expression that explodes when it backtracks", "/(a+)+b/", none()),
        query("an expression of all that there is", "/(.*)*(.*)*(.*)*/", all()),
        query(
            "expressions that are each as large as may be",
            &vec![r"/\w{8}/"; 100].join(" OR "),
            Refused("size limit"),
        ),
        query(
            "200 patterns",
            &(0..200).map(|n| format!("*a{n}*")).collect::<Vec<_>>().join(" OR "),
            Refused("128 patterns"),
        ),
        query("a pattern of 2,000 stars", &format!("*{}*", "a*".repeat(2_000)), Refused("too large")),
        query("a pattern of 100,000 question marks", &"?".repeat(100_000), Refused("too large")),
        query("a fuzzy word of 10,000 letters", &format!("{letters}~2"), none()),
        query(
            "100 fuzzy words",
            &(0..100).map(|n| format!("requesq{n:02}~2")).collect::<Vec<_>>().join(" AND "),
            none(),
        ),
        query("a phrase whose words move far", "\"request of of of timed after ms\"~1000", none()),
        query("a phrase of 1,000 words that move", &format!("\"{}\"~9", "request ".repeat(1_000)), Refused("32 words")),
        query("a phrase of 20,000 words", &format!("\"{}\"", "request ".repeat(20_000)), none()),
        query("a range of all times", "timestamp:[1970-01-01 TO 2262-01-01]", all()),
        query("times that are none", "timestamp:[99999999999999999999 TO now+999999999999y]", Refused("timestamp")),
        query("a range of numbers without end", "n:[-1e308 TO 1e308]", all()),
        query("a number of 100,000 digits", &format!("n:<{}", "9".repeat(100_000)), all()),
        query("a number with a huge exponent", "n:<1e999999999", none()),
        query("a value of 200,000 bytes", &format!("host:\"{}\"", "x".repeat(200_000)), none()),
        query("a query of 300,000 bytes", &"x".repeat(300_000), Refused("262144 bytes")),
        query("an address block of no bits", "ip:0.0.0.0/0", all()),
        query(
            "a list of 4,000 values",
            &format!("n IN [{}]", (0..4_000).map(|n| (1_000_000 + n).to_string()).collect::<Vec<_>>().join(", ")),
            none(),
        ),
        post(
            "a body of a megabyte",
            "/api/v1/logs/count",
            &json!({"query": "x".repeat(1 << 20)}),
            Refused("1048576 bytes"),
        ),
    ]
}

fn places() -> Vec<Case> {
    let search = "/api/v1/logs/search";
    let forged = |state: &Value| json!({"scroll_id": URL_SAFE_NO_PAD.encode(state.to_string())});
    let scroll = "/elastic/_search/scroll";
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 64 << 20]).unwrap();
    let packed = |name, path, right| {
        let body = bomb.get_ref().clone();
        Case { name, ask: Ask::Post { path, kind: "application/json", body, is_packed: true }, right }
    };
    let raw = |name, path, body: &[u8], right| Case {
        name,
        ask: Ask::Post { path, kind: "application/json", body: body.to_vec(), is_packed: false },
        right,
    };
    vec![
        get("a cursor that is cut", format!("{search}?cursor=179"), Refused("cursor")),
        get(
            "a cursor that is forged",
            format!("{search}?cursor=99999999999999999999_0-0-0_00000000"),
            Refused("cursor"),
        ),
        get(
            "a cursor of another query",
            format!("{search}?query=a&cursor=1790000000000000000_0-0-0_deadbeef"),
            Refused("cursor"),
        ),
        get("a huge limit", format!("{search}?limit=18446744073709551615"), Refused("limit")),
        get("a negative limit", format!("{search}?limit=-1"), Refused("limit")),
        get("a limit that is none", format!("{search}?limit=1e3"), Refused("limit")),
        get("an unknown parameter", format!("{search}?sise=1"), Refused("sise")),
        get("a parameter twice", format!("{search}?limit=1&limit=2"), Refused("twice")),
        get("a percent sign without digits", format!("{search}?query=%zz%&limit=1"), Is("/hits", json!([]))),
        get("bytes that are not UTF-8", "/api/v1/logs/count?query=%FF%FE%80", none()),
        get("an index that is not UTF-8", "/elastic/%FF%FE/_search", Refused("UTF-8")),
        get("a pattern of an index", format!("/elastic/{}/_count", "*a".repeat(500)), none()),
        get(
            "buckets of a nanosecond over years",
            "/api/v1/logs/histogram?interval=1ns&start=0&end=now",
            Refused("groups"),
        ),
        get("buckets of an instant", "/api/v1/logs/histogram?interval=0s", Refused("interval")),
        get(
            "buckets that are longer than time",
            "/api/v1/logs/histogram?interval=99999999999999w",
            Refused("interval"),
        ),
        get("an end before the start", "/api/v1/logs/count?start=now&end=now-1h", Refused("start")),
        raw("bytes that are no JSON", "/elastic/_search", b"\xff\xfe{\"query\"", Refused("JSON")),
        raw("JSON that is 10,000 deep", "/elastic/_search", deep.as_bytes(), Refused("recursion limit")),
        raw(
            "a bulk body of half a line",
            "/elastic/_bulk",
            b"{\"index\":{\"_index\":\"a\"}}\n{\"message\":\"x",
            Refused("newline"),
        ),
        packed("what unpacks to 64 MB, for _bulk", "/elastic/_bulk", Refused("unpacked")),
        packed("what unpacks to 64 MB, for _search", "/elastic/_search", Refused("JSON")),
        post("a scroll id that is cut", scroll, &json!({"scroll_id": "eyJpbmRleCI6"}), Refused("scroll id")),
        post("a scroll id that is none", scroll, &json!({"scroll_id": "%%%%"}), Refused("scroll id")),
        post("a scroll id without a search", scroll, &forged(&json!({"behind": "x"})), Refused("scroll id")),
        post(
            "a scroll id of a huge page",
            scroll,
            &forged(&json!({"index": "", "search": {"size": 2_147_483_648_u64}, "behind": "1_0-0-0"})),
            Refused("Result window"),
        ),
        post(
            "a scroll id that is a megabyte",
            scroll,
            &json!({"scroll_id": "A".repeat(1 << 20)}),
            Refused("scroll id"),
        ),
    ]
}

fn in_the_dsl() -> Vec<Case> {
    let nested =
        |depth: usize| (0..depth).fold(json!({"match_all": {}}), |inner, _| json!({"bool": {"must": [inner]}}));
    let terms = |count: usize| (0..count).map(|n| json!(format!("t{n}"))).collect::<Vec<_>>();
    let clause = json!({"match": {"message": "request"}});
    let nothing = || Is("/hits/total/value", 0.into());
    vec![
        elastic("bool 40 deep", &json!({"query": nested(40)}), Refused("32 deep")),
        elastic("bool 200 deep", &json!({"query": nested(200)}), Refused("recursion limit")),
        elastic(
            "bool 30 deep",
            &json!({"size": 0, "track_total_hits": true, "query": nested(30)}),
            Is("/hits/total/value", LINES.into()),
        ),
        elastic(
            "10,000 clauses of bool",
            &json!({"query": {"bool": {"should": vec![clause.clone(); 10_000]}}}),
            Refused("maxClauseCount"),
        ),
        elastic("10,000 terms", &json!({"query": {"terms": {"n": terms(10_000)}}}), Refused("maxClauseCount")),
        elastic(
            "20 of 40 clauses",
            &json!({"query": {"bool": {"should": vec![clause; 40], "minimum_should_match": 20}}}),
            Refused("minimum_should_match"),
        ),
        elastic(
            "a percentage that is none",
            &json!({"query": {"match": {"message": {"query": "a b c", "minimum_should_match": "-99999999999999999999%"}}}}),
            Refused("minimum_should_match"),
        ),
        elastic(
            "an expression that explodes",
            &json!({"query": {"regexp": {"message": "((a{0,100}){0,100}){0,100}"}}}),
            Refused("regular expression"),
        ),
        elastic(
            "a wildcard of 100,000 letters",
            &json!({"query": {"wildcard": {"message": "a?".repeat(50_000)}}}),
            Refused("too large"),
        ),
        elastic(
            "a fuzzy word",
            &json!({"query": {"fuzzy": {"message": {"value": "x".repeat(10_000), "fuzziness": 2}}}}),
            nothing(),
        ),
        elastic(
            "fuzziness that is too far",
            &json!({"query": {"fuzzy": {"message": {"value": "x", "fuzziness": 99}}}}),
            Refused("fuzziness"),
        ),
        elastic(
            "a search box of 10,000 parentheses",
            &json!({"size": 0, "query": {"simple_query_string": {"query": "(".repeat(10_000) + "zzz"}}}),
            nothing(),
        ),
        elastic(
            "a search box of 10,000 words",
            &json!({"query": {"simple_query_string": {"query": "a ".repeat(10_000)}}}),
            Refused("maxClauseCount"),
        ),
        elastic(
            "a query string of 10,000 words",
            &json!({"query": {"query_string": {"query": "a ".repeat(10_000)}}}),
            Refused("4096 terms"),
        ),
        elastic(
            "1,000 fields of a search",
            &json!({"query": {"multi_match": {"query": "a b c d e", "fields": vec!["f"; 1_000]}}}),
            Refused("maxClauseCount"),
        ),
        elastic("a huge page", &json!({"size": 2_147_483_647}), Refused("Result window")),
        elastic("a page far behind", &json!({"from": 4_294_967_295_u64, "size": 10}), Refused("Result window")),
        elastic("a negative page", &json!({"from": -1}), Refused("[from]")),
        elastic("1,000 keys of a sort", &json!({"sort": vec!["n"; 1_000]}), Refused("[sort]")),
        elastic(
            "a search_after of another sort",
            &json!({"sort": ["n"], "search_after": [1, 2, 3]}),
            Refused("search_after"),
        ),
        elastic(
            "a search_after that is none",
            &json!({"sort": ["@timestamp"], "search_after": [{"a": 1}]}),
            Refused("search_after"),
        ),
        elastic("10,000 fields of each hit", &json!({"fields": vec!["*a*e*i*o*u*"; 10_000]}), Refused("[fields]")),
        elastic("10,000 names of _source", &json!({"_source": vec!["*a*e*i*o*u*"; 10_000]}), Refused("[_source]")),
        elastic(
            "a tag of 100,000 bytes",
            &json!({"size": 1000, "query": {"match": {"message": "request"}}, "highlight": {"pre_tags": ["x".repeat(100_000)], "fields": {"message": {}}}}),
            Refused("tag"),
        ),
        post("a search within each of 1,000 lines", "/elastic/_msearch", &json!({}), Refused("no search")),
        Case {
            name: "1,000 searches",
            ask: Ask::Post {
                path: "/elastic/_msearch",
                kind: "application/x-ndjson",
                body: "{}\n{\"size\":0}\n".repeat(1_000).into_bytes(),
                is_packed: false,
            },
            right: Refused("100 searches"),
        },
    ]
}

fn aggregations() -> Vec<Case> {
    let aggs = |name, aggs: Value, right| elastic(name, &json!({"size": 0, "aggs": aggs}), right);
    let nested = |depth: usize| {
        (0..depth).fold(
            json!({"v": {"value_count": {"field": "n"}}}),
            |inner, _| json!({"t": {"terms": {"field": "n", "size": 10_000}, "aggs": inner}}),
        )
    };
    let years = json!({"min": "1970-01-01", "max": "2100-01-01"});
    let minutes = json!({"min": "2026-11-01T00:00:00Z", "max": "2026-12-01T00:00:00Z"});
    let dates = |interval: &str, bounds: &Value| json!({"date_histogram": {"field": "@timestamp", "fixed_interval": interval, "extended_bounds": bounds}});
    vec![
        aggs(
            "buckets of a millisecond over 130 years",
            json!({"h": dates("1ms", &years)}),
            Refused("too many buckets"),
        ),
        aggs("buckets of no time", json!({"h": dates("0ms", &years)}), Refused("fixed_interval")),
        aggs("buckets of a nanosecond", json!({"h": dates("1nanos", &years)}), Refused("fixed_interval")),
        aggs(
            "empty buckets within each of 10,000",
            json!({"t": {"terms": {"field": "n", "size": 10_000}, "aggs": {"h": dates("1m", &minutes)}}}),
            Refused("too many buckets"),
        ),
        aggs(
            "empty buckets of numbers within each of 10,000",
            json!({"t": {"terms": {"field": "n", "size": 10_000}, "aggs": {"h": {"histogram": {"field": "n", "interval": 1, "extended_bounds": {"min": 0, "max": 60_000}}}}}}),
            Refused("too many buckets"),
        ),
        aggs(
            "buckets of a tiny number",
            json!({"h": {"histogram": {"field": "n", "interval": 1e-300}}}),
            Refused("too many buckets"),
        ),
        aggs(
            "bounds of huge numbers",
            json!({"h": {"histogram": {"field": "n", "interval": 1, "extended_bounds": {"min": -1e300, "max": 1e300}}}}),
            Refused("too many buckets"),
        ),
        aggs("buckets of 2^31", json!({"t": {"terms": {"field": "n", "size": 2_147_483_648_u64}}}), Refused("[size]")),
        aggs("aggregations 9 deep", nested(9), Refused("8 deep")),
        aggs("aggregations 60 deep", nested(60), Refused("8 deep")),
        aggs("buckets of buckets of buckets", nested(6), Refused("too many buckets")),
        aggs(
            "1,000 aggregations",
            (0..1_000)
                .map(|n| (format!("a{n}"), json!({"sum": {"field": "n"}})))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Refused("256 aggregations"),
        ),
        aggs(
            "10,000 percentiles",
            json!({"p": {"percentiles": {"field": "n", "percents": vec![50; 10_000]}}}),
            Refused("percents"),
        ),
        aggs(
            "filters within each value",
            json!({"t": {"terms": {"field": "n", "size": 10_000}, "aggs": {"f": {"filters": {"filters": vec![json!({"match_all": {}}); 1_000]}}}}}),
            Refused("too many buckets"),
        ),
        aggs(
            "an order by what is not there",
            json!({"t": {"terms": {"field": "n", "order": {"nowhere": "desc"}}}}),
            Refused("nowhere"),
        ),
        aggs(
            "a composite of a huge page",
            json!({"c": {"composite": {"size": 2_147_483_648_u64, "sources": [{"n": {"terms": {"field": "n"}}}]}}}),
            Refused("[size]"),
        ),
        aggs(
            "a composite of 100 sources",
            json!({"c": {"composite": {"sources": vec![json!({"n": {"terms": {"field": "n"}}}); 100]}}}),
            Refused("sources"),
        ),
    ]
}
