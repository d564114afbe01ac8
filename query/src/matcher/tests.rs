use std::sync::Arc;

use bytes::Bytes;
use weir_proto::otlp::common::v1::any_value::Value;

use super::Matcher;
use crate::line::{Body, Line, LineId, Source};
use crate::parse;

pub(super) fn line(body: &str) -> Line {
    Line {
        id: LineId { partition: 0, offset: 1, index: 2 },
        time: 1_700_000_000_000_000_000,
        severity: 13,
        severity_text: String::new(),
        body: Body::Text(body.to_owned()),
        trace_id: Bytes::from_static(&[0xab; 16]),
        span_id: Bytes::new(),
        attributes: vec![
            ("user.id".into(), Value::IntValue(42)),
            ("path".into(), Value::StringValue("/v1/OCR".into())),
        ],
        source: Arc::new(Source {
            tenant: "acme".into(),
            service: "ocr".into(),
            resource: vec![("k8s.pod.name".into(), Value::StringValue("ocr-7".into()))],
            scope: String::new(),
        }),
        span: None,
    }
}

fn matches(query: &str, body: &str) -> bool {
    Matcher::new(&parse(query).unwrap(), 0).unwrap().matches(&line(body))
}

#[test]
fn words_match_in_either_case_and_phrases_in_a_row() {
    let body = "GET /v1/ocr: Connection reset by peer, order_id=a1b2 显存不足";
    for query in
        ["reset", "\"connection RESET\"", "order_id", "显存", "a1b2", "/v1/ocr", "显存不足", "retry OR peer", ""]
    {
        assert!(matches(query, body), "{query}");
    }
    for query in
        ["rese", "\"reset connection\"", "order", "存显", "NOT reset", "reset AND retry", "\"connection peer\""]
    {
        assert!(!matches(query, body), "{query}");
    }
}

#[test]
fn a_text_is_searched_as_a_terminal_shows_it() {
    let body = "\x1b[31mERROR \x1b[0m disk \x1b[1mfu\x1b[mll";
    for query in ["error", "full", "\"error disk full\"", "err*", "*disk\\ full*"] {
        assert!(matches(query, body), "{query}");
    }
    for query in ["31merror", "0m", "31m*", "*31mERROR\\ *"] {
        assert!(!matches(query, body), "{query}");
    }
}

#[test]
fn any_part_of_a_chinese_text_is_found_and_a_phrase_that_repeats_itself() {
    let body: Vec<char> = "显存不足,请稍后重试".chars().collect();
    let text: String = body.iter().collect();
    for from in 0..body.len() {
        for until in from + 1..=body.len() {
            let part: String = body[from..until].iter().collect();
            assert!(matches(&format!("\"{part}\""), &text) && matches(&part, &text), "{part}");
        }
    }
    assert!(matches("\"a b a b c\"", "a b a b a b c") && matches("\"a a b\"", "a a a b"));
    assert!(!matches("\"a b a b c\"", "a b a b a c") && !matches("\"a a a\"", "a a b a a"));
}

#[test]
fn a_line_without_a_severity_is_in_no_range_of_severities() {
    let unknown = Line { severity: 0, ..line("x") };
    let matches = |query: &str| Matcher::new(&parse(query).unwrap(), 0).unwrap().matches(&unknown);
    assert!(!matches("severity:<error") && !matches("severity:[* TO *]") && matches("severity:<=0 OR severity:0"));
}

#[test]
fn patterns_match_words_and_across_them() {
    let body = "retrying aceManager at /api/v1/items 显存不足";
    for query in ["retry*", "*Manag*", "*api/v1*", "*存不*", "body:ret?ying"] {
        assert!(matches(query, body), "{query}");
    }
    assert!(!matches("etry*", body) && !matches("*api/v2*", body));
}

#[test]
fn fields_match_by_value_range_and_presence() {
    for query in [
        "service:OCR",
        "tenant:acme",
        "severity:warn",
        "severity:>=warn",
        "severity:<error",
        "attributes.user.id:42",
        "user.id:>=42",
        "user.id:[40 TO 50}",
        "k8s.pod.name:ocr-*",
        "resource.k8s.pod.name:*",
        "user.id IN [7, 42]",
        "trace_id:abababababababababababababababab",
        "timestamp:>=2023-01-01T00:00:00Z",
        "path:/v1/ocr",
        "timestamp:2023-11-14T22:13:20Z",
        "_exists_:user.id",
        "service:ocr AND severity:>=warn AND attributes.user.id:42 AND NOT body:retry*",
    ] {
        assert!(matches(query, "x"), "{query}");
    }
    for query in ["severity:>warn", "user.id:>42", "user.id:{42 TO 50]", "attributes.k8s.pod.name:*", "span_id:*"] {
        assert!(!matches(query, "x"), "{query}");
    }
}

#[test]
fn a_severity_that_is_none_is_refused_with_what_would_be_right() {
    let error = Matcher::new(&parse("severity:loud").unwrap(), 0).unwrap_err();
    assert!(error.to_string().contains("use trace, debug"), "{error}");
}
