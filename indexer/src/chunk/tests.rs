use std::sync::Arc;

use ::bytes::Bytes;
use proptest::prelude::*;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, ArrayValue, KeyValue};
use weir_proto::otlp::trace::v1::span::Event;
use weir_proto::otlp::trace::v1::{Span, Status};
use weir_query::line::{Body, Source};

use super::*;
use weir_query::line::LineId;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".{0,8}".prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        (-1e9..1e9).prop_map(Value::DoubleValue),
        any::<[u8; 3]>().prop_map(|b| Value::BytesValue(b.to_vec())),
        any::<i64>()
            .prop_map(|n| Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(Value::IntValue(n)) }] })),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        "[a-c1-3 :显é-]{0,12}|.{0,30}|[\\[m1\x1b]{0,6}".prop_map(Body::Text),
        "(GET|PUT) /v1/[0-9]{1,2} took [0-9]{1,3} ms".prop_map(Body::Text),
        any::<[u8; 5]>().prop_map(|b| Body::Bytes(b.to_vec().into())),
        "\\{\"(a|k1)\":(\"x\"|\"a\\\\nb\"|[0-9]{1,2})\\}".prop_map(Body::Json),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<(String, Value)>> {
    prop::collection::vec(("[a-d]{1,2}", value()), 0..4)
}

fn line() -> impl Strategy<Value = Line> {
    let ids = (any::<i32>(), any::<i64>(), any::<u32>());
    (ids, any::<i64>(), 0_u8..25, "[A-Z]{0,3}", body(), any::<bool>(), attributes()).prop_map(
        |((partition, offset, index), time, severity, severity_text, body, traced, attributes)| Line {
            id: LineId { partition, offset, index },
            time,
            severity,
            severity_text,
            body,
            trace_id: if traced { vec![7; 16].into() } else { Bytes::new() },
            span_id: if traced { vec![9; 8].into() } else { Bytes::new() },
            attributes,
            source: Arc::default(),
            span: None,
        },
    )
}

fn of_source(lines: Vec<Line>, resource: Vec<(String, Value)>) -> Vec<Line> {
    let source = Arc::new(Source {
        tenant: "a".into(),
        service: "b".into(),
        resource,
        scope: vec![("name".into(), Value::StringValue("c".into()))],
    });
    lines.into_iter().map(|line| Line { source: source.clone(), ..line }).collect()
}

fn encoded(lines: &[Line]) -> Encoded {
    encode(&lines.iter().collect::<Vec<_>>()).0
}

proptest! {
    #[test]
    fn lines_come_back_as_they_were(
        lines in prop::collection::vec(line(), 0..40),
        resource in attributes(),
        wanted in prop::collection::vec(0_u32..40, 0..10),
    ) {
        let lines = of_source(lines, resource);
        let Encoded { head, data } = encoded(&lines);
        prop_assert_eq!(&decode(&head, &data).unwrap(), &lines);
        let wanted = Bits::of(lines.len() as u32, |at| wanted.contains(&at));
        let some: Vec<_> = wanted.iter().map(|at| lines[at as usize].clone()).collect();
        prop_assert_eq!(take(&head, &data, &wanted).unwrap(), some);
        prop_assert_eq!(times(&head).unwrap(), lines.iter().map(|line| line.time).collect::<Vec<_>>());
    }

    #[test]
    fn damaged_bytes_are_an_error_or_other_lines(
        lines in prop::collection::vec(line(), 1..12),
        at in any::<usize>(),
        to in any::<u8>(),
        query in query(),
    ) {
        let Encoded { head, data } = encoded(&lines);
        let matcher = Matcher::new(&weir_query::parse(&query).unwrap(), 0).unwrap();
        let at = at % (head.len() + data.len());
        let (mut bad_head, mut bad_data) = (head.clone(), data.clone());
        match bad_head.get_mut(at) {
            Some(byte) => *byte = to,
            None => bad_data[at - head.len()] = to,
        }
        for (head, data) in [
            (&bad_head[..], &bad_data[..]),
            (&head[..at.min(head.len())], &data[..]),
            (&head[..], &data[..at.saturating_sub(head.len())]),
        ] {
            let _ = decode(head, data);
            let _ = matching(head, &|| Ok(data), &matcher, i64::MIN, i64::MAX);
        }
    }

    #[test]
    fn a_query_by_columns_finds_what_the_matcher_finds_line_by_line(
        lines in prop::collection::vec(line(), 1..60),
        resource in attributes(),
        queries in prop::collection::vec(query(), 20),
        start in any::<i64>(),
    ) {
        let lines = of_source(lines, resource);
        let Encoded { head, data } = encoded(&lines);
        for text in queries {
            let matcher = Matcher::new(&weir_query::parse(&text).unwrap(), 0).unwrap();
            for start in [i64::MIN, start] {
                let found = matching(&head, &|| Ok(&data), &matcher, start, i64::MAX).unwrap();
                let expected = Bits::of(lines.len() as u32, |at| {
                    let line = &lines[at as usize];
                    (start..i64::MAX).contains(&line.time) && matcher.matches(line)
                });
                prop_assert_eq!(found, expected, "{}", &text);
            }
        }
    }
}

/// Queries of every kind of condition, over what [`line`] makes.
fn query() -> impl Strategy<Value = String> {
    let test = prop_oneof![
        "[a-c]{1,2}|[a-c1-3]{1,3}|GET|took|显|é1?|[0-9]{1,2}".boxed(),
        "\"(GET|PUT) v1 [0-9]{1,2}\"|\"v1 [0-9] took\"|\"took ms\"|\"took [0-9]{1,2} ms\"|\"a 1\"|\"GET v1 took\"~[1-4]".boxed(),
        "[a-c]\\*|\\*[1-3]|[a-c1-3]\\*[a-c1-3]|\\*/v1/\\*|t\\?ok|/v1.[1-3]+/|to?k~1".boxed(),
        "\":\"|\"-\"|severity:>=warn|severity:[A-C]\\*|severity:\\*|timestamp:>1970|timestamp:<1970".boxed(),
        "trace_id:0707\\*|trace_id:07070707070707070707070707070707|span_id:\\*|tenant:a|service:b|service:x|resource.[a-d]:\\*".boxed(),
        "(attributes.)?[a-d]{1,2}:(\\*|true|>=0|<5|>-1.5|\\{-5 TO 2.5\\]|<1e19|[0-9]|[a-f]\\*|\\[0 TO 1000000\\]|\"\")".boxed(),
        "body.(a|k1):(x|\\*|[0-9]|>5)|message:a|\\*:1|body:\\*".boxed(),
    ];
    prop::collection::vec((prop::sample::select(vec!["AND", "OR", "AND NOT"]), test), 1..4)
        .prop_map(|tests| {
            let mut text = tests[0].1.clone();
            for (operator, test) in &tests[1..] {
                text = format!("({text}) {operator} {test}");
            }
            text
        })
        .prop_filter("a query", |text| weir_query::parse(text).is_ok_and(|query| Matcher::new(&query, 0).is_ok()))
}

/// Spans as the store has them: with their protobuf as the body.
fn spans() -> impl Strategy<Value = Vec<Line>> {
    let one = ("(load|recognize) page", 0..6_i32, 0..3_i32, 0..2_000_u64, attributes(), "[a-c1]{0,3}");
    prop::collection::vec(one, 1..12).prop_map(|spans| {
        let spans = spans.into_iter().zip(1_u64..).map(|((name, kind, status, ms, attributes, said), n)| {
            let pair = |(key, value): (String, Value)| KeyValue {
                key,
                value: Some(AnyValue { value: Some(value) }),
                ..KeyValue::default()
            };
            let attributes: Vec<KeyValue> = attributes.into_iter().map(pair).collect();
            let start = 1_700_000_000_000_000_000 + n;
            Span {
                trace_id: vec![1; 16],
                span_id: n.to_be_bytes().to_vec(),
                name,
                kind,
                status: Some(Status { code: status, message: said.clone() }),
                start_time_unix_nano: start,
                end_time_unix_nano: start + ms * 1_000_000,
                events: vec![Event {
                    name: format!("event {said}"),
                    attributes: attributes.clone(),
                    ..Event::default()
                }],
                attributes,
                ..Span::default()
            }
        });
        let source = Arc::new(Source { tenant: "a".into(), service: "ocr".into(), ..Source::default() });
        let line = |(span, offset): (Span, i64)| Line {
            body: Body::Bytes(prost::Message::encode_to_vec(&span).into()),
            ..weir_query::decode::span(span, LineId { partition: 0, offset, index: 0 }, 0, source.clone())
        };
        spans.zip(0..).map(line).collect()
    })
}

proptest! {
    #[test]
    fn spans_come_back_and_are_decided_as_they_were(lines in spans()) {
        let Encoded { head, data } = encoded(&lines);
        prop_assert_eq!(&decode(&head, &data).unwrap(), &lines);
        for text in [
            "status:error", "kind:server", "name:\"load page\"", "name:reco*", "interface:*", "duration_ms:>1000",
            "duration:<=0.5s", "load", "page AND NOT recognize", "event", "a1", "attributes.a:*", "a:>=0", "service:ocr",
            "status_message:a*", "body:*", "b", "trace_id:01010101010101010101010101010101 AND kind:client", "*:a",
        ] {
            let matcher = Matcher::new(&weir_query::parse(text).unwrap(), 0).unwrap();
            let by_columns = matching(&head, &|| Ok(&data), &matcher, i64::MIN, i64::MAX).unwrap();
            let one_by_one = Bits::of(lines.len() as u32, |at| matcher.matches(&lines[at as usize]));
            prop_assert_eq!(by_columns, one_by_one, "{}", text);
        }
    }
}
