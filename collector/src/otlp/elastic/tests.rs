use serde_json::{Value as Json, json};
use weir_proto::otlp::common::v1::AnyValue;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::logs::v1::LogRecord;
use weir_proto::otlp::resource::v1::Resource;

use super::bulk::MAX_ITEMS;
use super::document;
use super::*;
use crate::otlp::tests::server::{Rig, start};

/// Of a collector that asks nobody who they are.
fn anyone() -> crate::otlp::Tenants {
    crate::otlp::Tenants::new(&crate::options::TenantOptions::default(), weir_service::auth::Auth::off())
}

fn resource(document: &document::Document) -> Vec<(String, String)> {
    let resource = <Resource as prost::Message>::decode(&*document.resource).unwrap();
    resource.attributes.iter().map(|pair| (pair.key.clone(), shown(pair.value.as_ref()))).collect()
}

fn shown(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn attribute(record: &LogRecord, name: &str) -> Option<Value> {
    record.attributes.iter().find(|pair| pair.key == name).and_then(|pair| pair.value.clone()?.value)
}

fn read(document: &Json) -> document::Document {
    document::read(document.to_string().as_bytes(), "logs", None).unwrap()
}

#[test]
fn given_a_filebeat_document_then_its_fields_become_what_they_mean_dotted_or_nested() {
    let id = ["0123456789abcdef0123456789abcdef", "0123456789abcdef"];
    let nested = json!({
        "@timestamp": "2026-11-28T01:02:03.004Z", "message": "超时", "log": {"level": "warn", "offset": 7},
        "service": {"name": "ocr", "type": "x"}, "host": {"name": "n1"}, "trace": {"id": id[0]}, "span": {"id": id[1]},
        "kubernetes": {"namespace": "team-a", "pod": {"name": "p", "uid": "u"}, "labels": {"app": "a"}},
    });
    let dotted = json!({
        "@timestamp": 1_795_827_723_004_i64, "message": "超时", "log.level": "warn", "log": {"offset": 7},
        "service.name": "ocr", "service": {"type": "x"}, "host.name": "n1", "trace.id": id[0], "span.id": id[1],
        "kubernetes.namespace": "team-a", "kubernetes.pod": {"name": "p"}, "kubernetes": {"pod.uid": "u", "labels": {"app": "a"}},
    });
    for document in [nested, dotted] {
        let document = read(&document);
        let record = &document.record;
        let expected = [
            ("elasticsearch.index", "logs"),
            ("service.name", "ocr"),
            ("host.name", "n1"),
            ("k8s.namespace.name", "team-a"),
            ("k8s.pod.name", "p"),
            ("k8s.pod.uid", "u"),
        ];
        assert_eq!(resource(&document), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(record.time_unix_nano, 1_795_827_723_004_000_000);
        assert_eq!((shown(record.body.as_ref()).as_str(), record.severity_number), ("超时", 13));
        assert_eq!([hex::encode(&record.trace_id), hex::encode(&record.span_id)], id.map(str::to_owned));
        let mut left: Vec<_> = record.attributes.iter().map(|pair| pair.key.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, ["kubernetes", "log", "service"], "what is no field of its own stays");
    }
}

#[test]
fn given_values_of_all_types_then_attributes_keep_them() {
    let record = read(&json!({"message": "m", "i": 9_007_199_254_740_993_i64, "f": 1.5, "b": true, "n": null,
        "big": 18_000_000_000_000_000_000_u64, "list": [1, "a"], "trace.id": "xyz"}))
    .record;
    assert_eq!(attribute(&record, "i"), Some(Value::IntValue(9_007_199_254_740_993)));
    assert_eq!(attribute(&record, "f"), Some(Value::DoubleValue(1.5)));
    assert_eq!(attribute(&record, "b"), Some(Value::BoolValue(true)));
    assert_eq!(attribute(&record, "n"), None);
    assert_eq!(attribute(&record, "big"), Some(Value::StringValue("18000000000000000000".to_owned())));
    assert!(matches!(attribute(&record, "list"), Some(Value::ArrayValue(list)) if list.values.len() == 2));
    assert_eq!(attribute(&record, "trace.id"), Some(Value::StringValue("xyz".to_owned())));
}

#[test]
fn given_a_document_without_a_message_then_the_whole_of_it_is_the_body() {
    let record = read(&json!({"type": "PushEvent", "actor": {"id": 7}, "service.name": "hub"})).record;
    let Some(Value::KvlistValue(body)) = record.body.and_then(|body| body.value) else { panic!("no object") };
    assert_eq!(body.values.iter().map(|pair| pair.key.as_str()).collect::<Vec<_>>(), ["actor", "service.name", "type"]);
    assert!(record.attributes.is_empty());
    assert_eq!(
        shown(read(&json!({"log": "from Fluent Bit", "stream": "stderr"})).record.body.as_ref()),
        "from Fluent Bit"
    );
}

#[test]
fn given_a_document_that_is_very_deep_then_it_is_taken_all_the_same() {
    let mut deep = json!("end");
    for _ in 0..100 {
        deep = json!({"k": deep});
    }
    let document = json!({"message": "m", "deep": deep}).to_string();
    let lines = format!("{{\"index\":{{\"_index\":\"a\"}}}}\n{document}\n");
    let sizes = Sizes::of(Signal::Logs, weir_proto::MAX_SINGLE_BYTES);
    let mut bulk = Bulk::read(lines.as_bytes(), None, &anyone(), sizes).unwrap();
    let tenants = anyone();
    let split = split(Signal::Logs, &bulk.take_request(), &tenants, Sizes::of(Signal::Logs, 1 << 20)).unwrap();
    assert_eq!((split.accepted, bulk.has_errors()), (1, false));
}

async fn send(rig: &Rig, path: &str, body: &str) -> (u16, Json) {
    let answer = rig.post(path, &[("content-type", "application/x-ndjson")], body.as_bytes()).await;
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Json::Null))
}

#[tokio::test]
async fn given_good_and_bad_items_then_the_good_are_on_the_bus_and_each_bad_one_has_its_error() {
    let rig = start().await;
    let lines = [
        r#"{"index":{"_index":"logs"}}"#,
        r#"{"message":"one","service.name":"a"}"#,
        r#"{"index":{}}"#,
        r#""no object""#,
        r#"{"delete":{"_id":"1"}}"#,
        r#"{"update":{"_id":"1"}}"#,
        r#"{"doc":{}}"#,
        r#"{"create":{"_index":"Upper"}}"#,
        r#"{"message":"two"}"#,
        r#"{"create":{"_id":7}}"#,
        r#"{"@timestamp":"yesterday","message":"three"}"#,
        r#"{"create":{}}"#,
        r#"{"message":"four"}"#,
    ];
    let (status, answer) = send(&rig, "/elastic/fallback/_bulk?refresh=true", &(lines.join("\n") + "\n")).await;
    assert_eq!((status, &answer["errors"]), (200, &json!(true)), "{answer}");
    let items = answer["items"].as_array().unwrap().iter().map(|item| {
        let (action, item) = item.as_object().unwrap().iter().next().unwrap();
        (
            action.as_str(),
            item["_index"].as_str().unwrap(),
            item["status"].as_u64().unwrap(),
            item["error"]["type"].as_str(),
        )
    });
    let expected = [
        ("index", "logs", 201, None),
        ("index", "fallback", 400, Some("document_parsing_exception")),
        ("delete", "fallback", 400, Some("illegal_argument_exception")),
        ("update", "fallback", 400, Some("illegal_argument_exception")),
        ("create", "Upper", 400, Some("invalid_index_name_exception")),
        ("create", "fallback", 400, Some("document_parsing_exception")),
        ("create", "fallback", 201, None),
    ];
    assert_eq!(items.collect::<Vec<_>>(), expected);
    let mut bodies: Vec<_> = rig.logs().await.iter().flat_map(crate::otlp::tests::bodies).collect();
    bodies.sort();
    assert_eq!(bodies, ["four", "one"]);
}

#[tokio::test]
async fn given_a_request_that_is_wrong_as_a_whole_then_nothing_of_it_is_taken() {
    let rig = start().await;
    let good = "{\"index\":{\"_index\":\"a\"}}\n{\"message\":\"m\"}\n";
    for (path, body, status, kind, reason) in [
        (
            "_bulk",
            format!("{good}{{\"del\":{{}}}}\n"),
            400,
            "illegal_argument_exception",
            "Malformed action/metadata line [3]",
        ),
        ("_bulk", format!("{good}no json\n"), 400, "illegal_argument_exception", "Malformed action/metadata line [3]"),
        (
            "_bulk",
            "{\"index\":{}}\n{}\n".to_owned(),
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: index is missing;",
        ),
        ("_bulk", String::new(), 400, "action_request_validation_exception", "no requests added"),
        ("_bulk", good.trim_end().to_owned(), 400, "illegal_argument_exception", "terminated by a newline"),
        ("a/_bulk", "{\"index\":{}}\n{}\n".repeat(MAX_ITEMS + 1), 413, "illegal_argument_exception", "at most"),
    ] {
        let (got, answer) = send(&rig, &format!("/elastic/{path}"), &body).await;
        assert_eq!(
            (got, answer["error"]["type"].as_str(), answer["status"].as_u64()),
            (status, Some(kind), Some(status.into())),
            "{answer}"
        );
        assert!(answer["error"]["reason"].as_str().unwrap().contains(reason), "{answer}");
    }
    assert!(rig.logs().await.is_empty());
}

#[tokio::test]
async fn given_a_bus_that_is_away_then_a_shipper_is_told_to_try_again_in_elasticsearchs_shape() {
    let rig = start().await;
    rig.gate.set_open(false);
    let (status, answer) = send(&rig, "/elastic/_bulk", "{\"index\":{\"_index\":\"a\"}}\n{\"message\":\"m\"}\n").await;
    assert_eq!((status, answer["error"]["type"].as_str()), (503, Some("unavailable_shards_exception")));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(lines: Vec<Vec<u8>>) {
        let mut body = b"{\"index\":{\"_index\":\"a\"}}\n".to_vec();
        body.extend(lines.join(&b'\n'));
        let _ = Bulk::read(&body, Some("a"), &anyone(), Sizes::of(Signal::Logs, 1 << 20));
        let _ = document::read(&body, "a", None);
    }
}

#[test]
fn given_a_message_that_holds_fields_then_the_whole_document_is_the_body() {
    for message in [json!({"a": 1}), json!(["a", "b"])] {
        let document = read(&json!({"@timestamp": 100_000, "message": message, "k": "v", "host": {"name": "n1"}}));
        let Some(AnyValue { value: Some(Value::KvlistValue(body)) }) = &document.record.body else { panic!() };
        let names: Vec<&str> = body.values.iter().map(|pair| pair.key.as_str()).collect();
        assert!(["@timestamp", "message", "k", "host"].iter().all(|name| names.contains(name)), "{names:?}");
        assert_eq!(document.record.time_unix_nano, 100_000_000_000);
        assert!(resource(&document).contains(&("host.name".to_owned(), "n1".to_owned())));
    }
}

#[test]
fn given_a_document_of_very_many_values_then_it_is_refused_by_itself() {
    let many = json!({"message": "m", "list": vec![0; 70_000]}).to_string();
    let fault = document::read(many.as_bytes(), "logs", None).unwrap_err();
    assert!(fault.status == 413 && fault.reason.contains("values"), "{fault:?}");
    let long = json!({"message": ",".repeat(200_000)}).to_string();
    assert!(document::read(long.as_bytes(), "logs", None).is_ok());
}
