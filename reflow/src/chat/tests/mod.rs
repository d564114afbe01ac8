//! Spans as the instrumentations write them, and the conversations that they come to.

mod genai;
mod older;
mod openinference;
mod properties;

use serde_json::{Value as Json, json};
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};

use super::*;

type Attributes = Vec<(String, Value)>;

/// Attributes from a JSON object, in the structures that OTLP has for them.
fn attributes(json: Json) -> Attributes {
    let Json::Object(fields) = json else { panic!("attributes are an object") };
    fields.into_iter().filter_map(|(key, json)| Some((key, value(json)?))).collect()
}

fn value(json: Json) -> Option<Value> {
    let any = |json| AnyValue { value: value(json) };
    Some(match json {
        Json::Null => return None,
        Json::Bool(bool) => Value::BoolValue(bool),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::IntValue(int),
            None => Value::DoubleValue(number.as_f64().unwrap()),
        },
        Json::String(text) => Value::StringValue(text),
        Json::Array(items) => Value::ArrayValue(ArrayValue { values: items.into_iter().map(any).collect() }),
        Json::Object(fields) => {
            let pair = |(key, json)| KeyValue { key, value: Some(any(json)), ..KeyValue::default() };
            Value::KvlistValue(KeyValueList { values: fields.into_iter().map(pair).collect() })
        }
    })
}

/// The chat of a span with these attributes and events, given as an array of `[name, attributes]`.
fn chat(span: Json, events: Json) -> Option<Chat> {
    let Json::Array(events) = events else { panic!("events are an array") };
    let event = |event: Json| (event[0].as_str().unwrap().to_owned(), attributes(event[1].clone()));
    messages(&attributes(span), &events.into_iter().map(event).collect::<Vec<_>>())
}

/// Checks the line of the dataset.
#[allow(clippy::needless_pass_by_value, reason = "cases read better without references")]
fn check(span: Json, events: Json, expected: Json) -> Chat {
    let chat = chat(span, events).expect("a chat");
    assert_eq!(serde_json::to_value(&chat).unwrap(), expected);
    chat
}
