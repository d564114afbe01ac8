use proptest::prelude::*;
use serde_json::{Value as Json, json};
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::otlp::metrics::v1::metric::Data;
use weir_proto::otlp::trace::v1::status::StatusCode;

use super::*;
use crate::decode::otlp_json::{self, Lacking};
use crate::otlp::Signal;
use crate::otlp::schema::{Kind, Message};

fn read<T: prost::Message + Default>(signal: Signal, json: &Json) -> T {
    T::decode(otlp_json::read(signal, json.to_string().as_bytes()).unwrap().protobuf.as_slice()).unwrap()
}

fn one_log(record: &Json) -> LogRecord {
    let json = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
    let request: ExportLogsServiceRequest = read(Signal::Logs, &json);
    request.resource_logs[0].scope_logs[0].log_records[0].clone()
}

fn refused(signal: Signal, json: &str) -> String {
    otlp_json::read(signal, json.as_bytes()).unwrap_err().to_string()
}

#[test]
fn every_field_is_found_by_its_number() {
    let mut seen = Vec::new();
    let mut messages: Vec<_> = Signal::ALL.into_iter().map(Signal::request).collect();
    while let Some(message) = messages.pop() {
        if seen.contains(&message.name) {
            continue;
        }
        seen.push(message.name);
        for number in 0..100 {
            let there = message.fields.iter().find(|field| field.number == number);
            let found = message.by_number(number);
            assert_eq!(found.map(|field| field.name), there.map(|field| field.name), "{number} of {}", message.name);
            if let Some(Kind::Nested(inner)) = found.map(|field| field.kind) {
                messages.push(inner);
            }
        }
    }
    assert!(seen.contains(&"LogRecord") && seen.len() > 20, "{seen:?}");
}

/// A message with every field set, of a oneof the member `pick`.
pub(super) fn full(message: &'static Message, pick: usize, depth: usize) -> Json {
    let oneof: &[&str] = match message.name {
        "AnyValue" if depth > 9 => &["stringValue"],
        "AnyValue" => {
            &["stringValue", "boolValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "bytesValue"]
        }
        "Metric" => &["gauge", "sum", "histogram", "exponentialHistogram", "summary"],
        "NumberDataPoint" | "Exemplar" => &["asDouble", "asInt"],
        _ => &[],
    };
    let members: &[&str] = if message.name == "AnyValue" { &["stringValueStrindex"] } else { &[] };
    let chosen = (!oneof.is_empty()).then(|| oneof[pick % oneof.len()]);
    let all = ["stringValue", "boolValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "bytesValue"];
    let mut object = serde_json::Map::new();
    for field in message.fields {
        let in_oneof = oneof.contains(&field.name)
            || members.contains(&field.name)
            || (message.name == "AnyValue" && all.contains(&field.name));
        if in_oneof && chosen != Some(field.name) {
            continue;
        }
        let number = field.number + depth as u32;
        let value = match field.kind {
            Kind::String => json!(format!("{}-{depth}", field.name)),
            Kind::Bytes => json!("AQID/w=="),
            Kind::Id => json!("0102030405060708"),
            Kind::Bool => json!(true),
            Kind::Double => json!(f64::from(number) + 0.5),
            Kind::Fixed64 | Kind::Uint64 => json!(format!("18446744073709551{number:03}")),
            Kind::Int64 | Kind::Sfixed64 => json!(format!("-9223372036854775{number:03}")),
            Kind::Uint32 | Kind::Fixed32 => json!(4_000_000_000_u32 + number),
            Kind::Int32 | Kind::Sint32 => json!(-2_000_000_000_i32 + number as i32),
            Kind::Enum(_) => json!(2),
            Kind::Nested(inner) => full(inner, pick, depth + 1),
        };
        object.insert(field.name.to_owned(), if field.repeated { json!([value, value]) } else { value });
    }
    Json::Object(object)
}

#[test]
fn every_field_lies_where_the_generated_code_has_it() {
    for pick in 0..7 {
        let logs = full(Signal::Logs.request(), pick, 0);
        assert_eq!(
            read::<ExportLogsServiceRequest>(Signal::Logs, &logs),
            serde_json::from_value::<ExportLogsServiceRequest>(logs).unwrap()
        );
        let traces = full(Signal::Traces.request(), pick, 0);
        assert_eq!(
            read::<ExportTraceServiceRequest>(Signal::Traces, &traces),
            serde_json::from_value::<ExportTraceServiceRequest>(traces).unwrap()
        );
        let metrics = full(Signal::Metrics.request(), pick, 0);
        assert_eq!(
            read::<ExportMetricsServiceRequest>(Signal::Metrics, &metrics),
            serde_json::from_value::<ExportMetricsServiceRequest>(metrics).unwrap()
        );
    }
}

#[test]
fn unknown_fields_are_ignored_wherever_they_are() {
    let record = one_log(&json!({
        "body": {"future": {"deep": [1, {"x": null}]}, "stringValue": "hello", "another": 1},
        "attributes": [{"key": "a", "value": {"nope": 1}, "extra": []}], "traceFlags": 1
    }));
    assert_eq!(string(record.body.as_ref()), "hello");
    assert_eq!(record.attributes[0].value, Some(AnyValue::default()));
}

#[test]
fn an_object_without_its_list_is_told_and_one_with_an_empty_list_is_not() {
    let lacking = |signal, json: &str| otlp_json::read(signal, json.as_bytes()).unwrap().lacking;
    for (signal, json, message, list) in [
        (Signal::Logs, r"{}", "ExportLogsServiceRequest", "resourceLogs"),
        (Signal::Logs, r#"{"logs": [{"body": "x"}]}"#, "ExportLogsServiceRequest", "resourceLogs"),
        (Signal::Traces, r#"{"resourceSpans": [{"scopeSpans": []}, {}]}"#, "ResourceSpans", "scopeSpans"),
        (Signal::Traces, r#"{"resourceSpans": [{"scopeSpans": [{"scope": {}}]}]}"#, "ScopeSpans", "spans"),
        (
            Signal::Metrics,
            r#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {}}]}]}]}"#,
            "Gauge",
            "dataPoints",
        ),
    ] {
        assert_eq!(lacking(signal, json), Some(Lacking { message, list }), "{json}");
    }
    for json in [r#"{"resourceLogs": []}"#, r#"{"resource_logs": [{"scope_logs": [{"log_records": []}]}]}"#] {
        assert_eq!(lacking(Signal::Logs, json), None, "{json}");
    }
}

#[test]
fn numbers_may_be_strings_and_strings_may_be_names() {
    for (time, severity) in [
        (json!("1640995200000000000"), json!(9)),
        (json!(1_640_995_200_000_000_000_u64), json!("9")),
        (json!(1.640_995_2e18), json!("SEVERITY_NUMBER_INFO")),
        (json!("1640995200000000000"), json!("INFO")),
    ] {
        let record = one_log(&json!({"timeUnixNano": time, "severityNumber": severity}));
        assert_eq!((record.time_unix_nano, record.severity_number), (1_640_995_200_000_000_000, 9));
    }
    let json = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "summary": {"dataPoints": [
        {"count": "4", "sum": "NaN", "quantileValues": [{"quantile": "0.5", "value": "-Infinity"}]}]}}]}]}]});
    let request: ExportMetricsServiceRequest = read(Signal::Metrics, &json);
    let Some(Data::Summary(summary)) = &request.resource_metrics[0].scope_metrics[0].metrics[0].data else { panic!() };
    let point = &summary.data_points[0];
    assert!(point.count == 4 && point.sum.is_nan() && point.quantile_values[0].value == f64::NEG_INFINITY);
}

#[test]
fn bytes_are_base64_of_either_alphabet_and_ids_are_hex_of_either_case() {
    for text in ["+/8=", "-_8=", "+/8", "-_8"] {
        let record = one_log(&json!({"body": {"bytesValue": text}}));
        assert_eq!(record.body.unwrap().value, Some(Value::BytesValue(vec![0xfb, 0xff])));
    }
    assert_eq!(one_log(&json!({"traceId": "5B8EFFf7"})).trace_id, [0x5b, 0x8e, 0xff, 0xf7]);
    assert!(
        refused(Signal::Logs, r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"d2UbvVzgzpk="}]}]}]}"#)
            .contains("hex for `traceId`")
    );
}

#[test]
fn protobuf_names_are_read_too_and_null_is_a_field_left_out() {
    let json = json!({"resource_spans": [{"resource": null, "scope_spans": [{"spans": [
        {"trace_id": "5b8efff798038103d269b633813fc60c", "name": null, "status": {"code": "OK"},
         "attributes": [{"key": "k", "value": {"string_value": "v"}}]}]}]}]});
    let request: ExportTraceServiceRequest = read(Signal::Traces, &json);
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.trace_id.len(), span.name.as_str()), (16, ""));
    assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Ok);
    assert_eq!(string(span.attributes[0].value.as_ref()), "v");
}

#[test]
fn a_wrong_shape_is_refused_by_the_fields_name() {
    let record = |inner: &str| format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{inner}]}}]}}]}}"#);
    for (json, says) in [
        ("[]".to_owned(), "ExportLogsServiceRequest"),
        (r#""text""#.to_owned(), "ExportLogsServiceRequest"),
        (r#"{"resourceLogs": {}}"#.to_owned(), "resourceLogs"),
        (r#"{"resourceLogs": ["x"]}"#.to_owned(), "resourceLogs"),
        (r#"{"resourceLogs": [[]]}"#.to_owned(), "resourceLogs"),
        (record("1"), "logRecords"),
        (record(r#"{"timeUnixNano": {}}"#), "timeUnixNano"),
        (record(r#"{"timeUnixNano": "-1"}"#), "timeUnixNano"),
        (record(r#"{"timeUnixNano": "99999999999999999999999"}"#), "timeUnixNano"),
        (record(r#"{"timeUnixNano": 1.5}"#), "timeUnixNano"),
        (record(r#"{"severityNumber": "LOUD"}"#), "severityNumber"),
        (record(r#"{"severityText": 5}"#), "severityText"),
        (record(r#"{"attributes": {"a": "b"}}"#), "attributes"),
        (record(r#"{"body": []}"#), "body"),
        (record(r#"{"body": {"boolValue": "true"}}"#), "boolValue"),
        (record(r#"{"body": {"bytesValue": "!"}}"#), "bytesValue"),
        (record("{}") + "x", "trailing"),
        (r#"{"resourceLogs": [{"scopeLogs": ["#.to_owned(), "EOF"),
    ] {
        let error = refused(Signal::Logs, &json);
        assert!(error.contains(says), "{json}: {error}");
    }
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let deep = r#"{"arrayValue":{"values":["#.repeat(100_000);
    let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{deep}"#);
    assert!(refused(Signal::Logs, &json).contains("recursion limit"));
    let unknown = format!(r#"{{"x":{}"#, "[".repeat(1_000_000));
    assert!(refused(Signal::Logs, &unknown).contains("EOF"));
}

proptest! {
    #[test]
    fn whatever_the_text_nothing_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for signal in Signal::ALL {
            let _ = otlp_json::read(signal, text.as_bytes());
            let _ = otlp_json::read(signal, &bytes);
        }
    }

    #[test]
    fn a_body_and_an_integer_come_back(body in any::<String>(), number in any::<i64>(), double in any::<f64>()) {
        let record = one_log(&json!({"body": {"stringValue": body}, "attributes": [
            {"key": "a", "value": {"intValue": number}}, {"key": "b", "value": {"intValue": number.to_string()}}]}));
        prop_assert_eq!(string(record.body.as_ref()), body);
        for pair in &record.attributes {
            prop_assert_eq!(&pair.value.as_ref().unwrap().value, &Some(Value::IntValue(number)));
        }
        prop_assume!(double.is_finite());
        let record = one_log(&json!({"body": {"doubleValue": double.to_string()}}));
        prop_assert_eq!(record.body.unwrap().value, Some(Value::DoubleValue(double)));
    }
}
