use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};

use super::*;
use crate::line::{LineId, Source};

fn text(text: &str) -> Found {
    Found::Text(text.to_owned())
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let pair =
        |(key, value): (&str, Value)| KeyValue { key: key.into(), value: Some(any(value)), ..KeyValue::default() };
    Value::KvlistValue(KeyValueList { values: pairs.into_iter().map(pair).collect() })
}

fn list<const N: usize>(values: [Value; N]) -> Value {
    Value::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() })
}

fn record() -> Line {
    Line {
        id: LineId { partition: 0, offset: 1, index: 2 },
        time: 1_700_000_000_000_000_000,
        severity: 13,
        severity_text: String::new(),
        body: Body::Text("hello".to_owned()),
        trace_id: Bytes::from_static(&[0xab; 16]),
        span_id: Bytes::new(),
        attributes: vec![
            ("user.id".into(), Value::IntValue(42)),
            ("ok".into(), Value::BoolValue(true)),
            ("ratio".into(), Value::DoubleValue(0.5)),
            ("raw".into(), Value::BytesValue(vec![1, 0xff])),
            ("empty".into(), Value::StringValue(String::new())),
            ("host".into(), Value::StringValue("of the record".into())),
            ("name".into(), Value::StringValue("attribute".into())),
            ("a".into(), map([("b", Value::IntValue(1)), ("c.d", map([("e", Value::StringValue("deep".into()))]))])),
            ("a.f".into(), Value::IntValue(2)),
            (
                "turns".into(),
                list([map([("role", Value::StringValue("user".into()))]), map([("n", Value::IntValue(1))])]),
            ),
        ],
        source: Arc::new(Source {
            tenant: "acme".into(),
            service: "ocr".into(),
            resource: vec![
                ("host".into(), Value::StringValue("of the resource".into())),
                ("k8s.pod.name".into(), Value::StringValue("ocr-7".into())),
            ],
            scope: vec![("name".into(), Value::StringValue("weir.demo".into()))],
        }),
        span: None,
    }
}

fn span() -> Line {
    let of_span = OfSpan {
        name: "recognize".into(),
        kind: 3,
        status: 0,
        parent_span_id: Bytes::from_static(&[0xcd; 8]),
        start: 1_700_000_000_000_000_000,
        end: 1_700_000_000_250_500_000,
        interface: "POST /v1/ocr".into(),
        events: vec![("retry".into(), vec![("n".into(), Value::IntValue(2))]), ("done".into(), Vec::new())],
        ..OfSpan::default()
    };
    Line { severity: 0, body: Body::Text(String::new()), span: Some(Box::new(of_span)), ..record() }
}

#[test]
fn given_a_log_record_then_its_fields_are_read_with_their_types() {
    for (name, found) in [
        ("timestamp", Some(Found::Time(1_700_000_000_000_000_000))),
        ("severity", Some(text("WARN"))),
        ("severity_number", Some(Found::Int(13))),
        ("body", Some(text("hello"))),
        ("service", Some(text("ocr"))),
        ("tenant", Some(text("acme"))),
        ("scope", Some(text("weir.demo"))),
        ("trace_id", Some(text("abababababababababababababababab"))),
        ("span_id", None),
        ("user.id", Some(Found::Int(42))),
        ("attributes.user.id", Some(Found::Int(42))),
        ("resource.user.id", None),
        ("ok", Some(Found::Bool(true))),
        ("ratio", Some(Found::Float(0.5))),
        ("raw", Some(text("01ff"))),
        ("empty", Some(text(""))),
        ("host", Some(text("of the record"))),
        ("resource.host", Some(text("of the resource"))),
        ("k8s.pod.name", Some(text("ocr-7"))),
        ("attributes.a.b", Some(Found::Int(1))),
        ("a.c.d.e", Some(text("deep"))),
        ("a.c.d", Some(Found::Nested(json!({"e": "deep"})))),
        ("a.c", None),
        ("a.f", Some(Found::Int(2))),
        ("turns.role", Some(Found::Nested(json!(["user"])))),
        ("turns", Some(Found::Nested(json!([{"role": "user"}, {"n": 1}])))),
        ("name", Some(text("attribute"))),
        ("kind", None),
        ("duration_ms", None),
        ("events", None),
        ("resource", Some(Found::Nested(json!({"host": "of the resource", "k8s.pod.name": "ocr-7"})))),
    ] {
        assert_eq!(value(&record(), name), found, "{name}");
    }
}

#[test]
fn given_a_span_then_what_it_has_of_its_own_is_read() {
    for (name, found) in [
        ("timestamp", Some(Found::Time(1_700_000_000_000_000_000))),
        ("end_timestamp", Some(Found::Time(1_700_000_000_250_500_000))),
        ("duration_ms", Some(Found::Float(250.5))),
        ("duration", Some(text("250ms500us"))),
        ("name", Some(text("recognize"))),
        ("attributes.name", Some(text("attribute"))),
        ("kind", Some(text("client"))),
        ("status", Some(text("unset"))),
        ("status_message", None),
        ("parent_span_id", Some(text("cdcdcdcdcdcdcdcd"))),
        ("interface", Some(text("POST /v1/ocr"))),
        ("body", None),
        ("severity", None),
        ("severity_number", None),
        (
            "events",
            Some(Found::Nested(json!([
                {"name": "retry", "attributes": {"n": 2}}, {"name": "done", "attributes": {}},
            ]))),
        ),
    ] {
        assert_eq!(value(&span(), name), found, "{name}");
    }
}

#[test]
fn given_a_body_that_is_no_text_then_it_is_read_as_what_it_is() {
    for (json, found) in [
        (r#"{"a":[1]}"#, Some(Found::Nested(json!({"a": [1]})))),
        ("42", Some(Found::Int(42))),
        ("0.5", Some(Found::Float(0.5))),
        ("true", Some(Found::Bool(true))),
        ("\"NaN\"", Some(text("NaN"))),
        ("null", None),
    ] {
        assert_eq!(value(&Line { body: Body::Json(json.into()), ..record() }, "body"), found, "{json}");
    }
}

#[test]
fn given_a_name_of_nothing_then_it_is_refused_with_what_would_be_right() {
    for name in ["", "attributes.", "resource."] {
        assert!(FieldPath::parse(name).unwrap_err().to_string().contains("write one such as"), "{name}");
    }
    assert_eq!(value(&record(), ""), None);
}
