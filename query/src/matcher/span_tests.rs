use bytes::Bytes;
use proptest::prelude::*;
use weir_proto::otlp::common::v1::any_value::Value;

use super::Matcher;
use super::tests::line;
use crate::line::{Line, OfSpan};
use crate::parse;

/// A span of a quarter of a second that has attributes named as what spans have of their own.
fn span() -> Line {
    let of_span = OfSpan {
        name: "Recognize page".into(),
        kind: 2,
        status: 2,
        status_message: "out of memory".into(),
        parent_span_id: Bytes::from_static(&[0xcd; 8]),
        start: 1_700_000_000_000_000_000,
        end: 1_700_000_000_250_000_000,
        interface: "POST /v1/ocr".into(),
        ..OfSpan::default()
    };
    let mut line = Line { severity: 0, span: Some(Box::new(of_span)), ..line("") };
    line.attributes.push(("name".into(), Value::StringValue("attribute".into())));
    line.attributes.push(("duration".into(), Value::StringValue("short".into())));
    line
}

fn matches(query: &str, line: &Line) -> bool {
    Matcher::new(&parse(query).unwrap(), 0).unwrap().matches(line)
}

#[test]
fn given_a_span_when_its_own_fields_are_asked_for_then_they_are_the_spans() {
    for query in [
        "name:\"recognize PAGE\"",
        "name:Recog*",
        "kind:server",
        "kind IN [server, consumer]",
        "status:error",
        "status:ERROR AND kind:*",
        "status_message:*memory",
        "parent_span_id:cdcdcdcdcdcdcdcd",
        "interface:\"POST /v1/ocr\"",
        "interface:POST\\ */ocr",
        "end_timestamp:2023-11-14T22:13:20.25Z",
        "end_timestamp:>2023-11-14T22:13:20Z",
        "timestamp:2023-11-14T22:13:20Z",
        "attributes.name:attribute",
        "attributes.duration:short",
        "attributes.user.id:42",
        "user.id:42",
        "service:ocr AND NOT severity:*",
        "recognize AND memory",
        "*cogn*",
        "_exists_:duration_ms",
        "end_timestamp:2023-11-14T22:13:20.25*",
    ] {
        assert!(matches(query, &span()), "{query}");
    }
    for query in [
        "name:attribute",
        "name:recognize",
        "attributes.name:recog*",
        "kind:client",
        "kind:2",
        "status:ok",
        "status:unset",
        "interface:\"Recognize page\"",
        "end_timestamp:>2023-11-14T22:13:21Z",
        "end_timestamp:yesterday",
        "duration:short",
        "attributes.kind:*",
        "body:*",
    ] {
        assert!(!matches(query, &span()), "{query}");
    }
}

#[test]
fn given_a_span_of_250_ms_when_its_duration_is_asked_for_then_it_is_compared_by_value() {
    for query in [
        "duration_ms:250",
        "duration_ms:250.0",
        "duration_ms:>=250",
        "duration_ms:[100 TO 250]",
        "duration_ms:[99 TO 1000]",
        "duration_ms:<=250ms",
        "duration:250ms",
        "duration:0.25s",
        "duration:>=100ms",
        "duration:<1.5s",
        "duration:{249ms TO 1m}",
        "duration:[250 TO *]",
        "duration:[* TO *]",
        "duration:25*",
        "NOT duration:>fast",
    ] {
        assert!(matches(query, &span()), "{query}");
    }
    for query in [
        "duration_ms:>250",
        "duration_ms:[100 TO 250}",
        "duration_ms:<30",
        "duration:>1.5s",
        "duration:>=1m",
        "duration:>fast",
        "duration:[fast TO 1m]",
    ] {
        assert!(!matches(query, &span()), "{query}");
    }
}

#[test]
fn given_a_span_without_an_end_when_it_is_asked_for_then_there_is_none() {
    let mut open = span();
    open.span.as_mut().unwrap().end = 0;
    for query in ["duration:*", "duration_ms:>=0", "duration:[* TO *]", "end_timestamp:*", "end_timestamp:<now"] {
        assert!(!matches(query, &open), "{query}");
    }
}

#[test]
fn given_a_log_record_when_the_names_of_spans_are_asked_for_then_they_are_attributes() {
    let mut record = line("x");
    for (name, text) in [("name", "disk"), ("kind", "Pod"), ("duration", "1.5s"), ("end_timestamp", "yesterday")] {
        record.attributes.push((name.into(), Value::StringValue(text.into())));
    }
    record.attributes.push(("duration_ms".into(), Value::IntValue(250)));
    for query in [
        "name:disk",
        "kind:pod",
        "duration:1.5s",
        "duration:fast OR duration:1.5*",
        "duration_ms:>=30",
        "end_timestamp:Yesterday",
    ] {
        assert!(matches(query, &record), "{query}");
    }
    for query in ["status:*", "kind:unspecified", "interface:*", "duration_ms:>250", "duration_ms:250ms"] {
        assert!(!matches(query, &record), "{query}");
    }
}

/// Queries of all fields and tests, in any text that they may hold.
fn query() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "name",
        "kind",
        "status",
        "status_message",
        "parent_span_id",
        "interface",
        "duration",
        "duration_ms",
        "end_timestamp",
        "timestamp",
        "severity",
        "attributes.name",
        "resource.name",
        "body",
    ]);
    let value = prop_oneof!["[a-z0-9.*?:-]{1,8}", "-?[0-9]{0,20}[.]?[0-9]{0,3}[a-z]{0,2}", "\\PC{0,6}"];
    (field, prop::sample::select(vec!["", ">=", "<", ">"]), value.clone(), value, any::<bool>()).prop_map(
        |(field, sign, low, high, is_range)| {
            if is_range { format!("{field}:[{low} TO {high}}}") } else { format!("{field}:{sign}{low}") }
        },
    )
}

proptest! {
    #[test]
    fn given_any_query_then_a_span_matches_either_it_or_its_negation(
        text in query(), start in any::<i64>(), end in any::<i64>(), kind in any::<i32>(),
    ) {
        let mut line = span();
        if let Some(span) = &mut line.span {
            (span.start, span.end, span.kind, span.status) = (start, end, kind, kind);
        }
        let Ok(query) = parse(&text) else { return Ok(()) };
        let Ok(matcher) = Matcher::new(&query, 0) else { return Ok(()) };
        let negated = Matcher::new(&crate::ast::Query::Not(Box::new(query)), 0).unwrap();
        prop_assert_ne!(matcher.matches(&line), negated.matches(&line), "{}", text);
    }
}
