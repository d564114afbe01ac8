//! One document as a log record, its fields by Elastic's common schema; keys may be dotted, nested, or both.
//!
//! | field | becomes |
//! |---|---|
//! | `message`, or a text `log` as Fluent Bit has it | the body; without either, or with a message that holds fields, the body is the whole document |
//! | `@timestamp` | the time; ISO 8601, or milliseconds since the epoch |
//! | `log.level` | the severity |
//! | `trace.id`, `span.id` | the record's ids, where they are hexadecimal and of the right length |
//! | [`RESOURCE`] | attributes of the resource, under OpenTelemetry's names |
//! | all others | attributes of the record, with their types; none where the whole document is the body |

use http::StatusCode;
use prost::Message as _;
use serde_json::{Map, Value as Json};
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use weir_proto::otlp::logs::v1::LogRecord;
use weir_proto::otlp::resource::v1::Resource;
use weir_service::elastic::{Fault, INDEX, RESOURCE, date};

use super::values;
use crate::severity;

/// Objects and lists deeper than this are kept as JSON text: readers of OTLP bound how deep messages lie in each other.
const DEPTH: usize = 20;

/// Most values of a document, those in its lists and objects included.
const MAX_VALUES: usize = 1 << 16;

/// A document that was read.
#[derive(Debug)]
pub(super) struct Document {
    /// Encoded, with the attributes in order: the same for the same source.
    pub(super) resource: Vec<u8>,
    pub(super) record: LogRecord,
}

/// Reads a document that was sent to an index under an id.
pub(super) fn read(source: &[u8], index: &str, id: Option<&str>) -> Result<Document, Fault> {
    let failed = |error| bad(format!("failed to parse: {error}"));
    // Each value takes many times its text.
    if source.len() > MAX_VALUES && values::count(source).map_err(failed)? > MAX_VALUES {
        let reason = format!("the document has more than {MAX_VALUES} values: send it in several");
        return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "illegal_argument_exception", reason));
    }
    let mut fields: Map<String, Json> = serde_json::from_slice(source).map_err(failed)?;
    let whole = has_no_message(&fields).then(|| fields.clone());
    let mut record = LogRecord {
        observed_time_unix_nano: weir_service::time::now_unix_nano_unsigned(),
        time_unix_nano: take_time(&mut fields)?,
        ..LogRecord::default()
    };
    if let Some(level) = take(&mut fields, "log.level").as_ref().and_then(text) {
        record.severity_number = severity::number(level.as_bytes()).map_or(0, i32::from);
        record.severity_text = level;
    }
    take_id(&mut fields, "trace.id", 16, &mut record.trace_id);
    take_id(&mut fields, "span.id", 8, &mut record.span_id);
    let mut resource = Resource::default();
    resource.attributes.push(pair(INDEX, Value::StringValue(index.to_owned())));
    for (field, attribute) in RESOURCE {
        if let Some(value) = take_text(&mut fields, field)
            && resource.attributes.iter().all(|known| known.key != attribute)
        {
            resource.attributes.push(pair(attribute, Value::StringValue(value)));
        }
    }
    let body = match whole {
        Some(whole) => {
            fields.clear();
            value(Json::Object(whole), DEPTH)
        }
        None => fields.remove("message").or_else(|| fields.remove("log")).and_then(|body| value(body, DEPTH)),
    };
    record.body = Some(AnyValue { value: body });
    if let Some(id) = id {
        record.attributes.push(pair("_id", Value::StringValue(id.to_owned())));
    }
    record.attributes.extend(pairs(fields, DEPTH));
    Ok(Document { resource: resource.encode_to_vec(), record })
}

fn bad(reason: impl Into<String>) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "document_parsing_exception", reason)
}

fn has_no_message(fields: &Map<String, Json>) -> bool {
    match fields.get("message") {
        None | Some(Json::Null) => !matches!(fields.get("log"), Some(Json::String(_))),
        // As a body it could not be told from a document without a message.
        Some(message) => message.is_object() || message.is_array(),
    }
}

fn take_time(fields: &mut Map<String, Json>) -> Result<u64, Fault> {
    let Some(time) = take(fields, "@timestamp") else { return Ok(0) };
    let nanos = text(&time).and_then(|text| date(&text)).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.ok_or_else(|| {
        let shown: String = time.to_string().chars().take(100).collect();
        bad(format!(
            "failed to parse field [@timestamp] of type [date]: {shown} is neither ISO 8601 nor milliseconds since the \
             epoch"
        ))
    })
}

fn take_id(fields: &mut Map<String, Json>, name: &str, length: usize, id: &mut Vec<u8>) {
    let Some(found) = take(fields, name) else { return };
    let decoded = found.as_str().and_then(|text| hex::decode(text).ok());
    match decoded.filter(|bytes| bytes.len() == length && bytes.iter().any(|byte| *byte != 0)) {
        Some(bytes) => *id = bytes,
        None => _ = fields.insert(name.to_owned(), found),
    }
}

/// Takes a field that is text or a number; one of another type stays.
fn take_text(fields: &mut Map<String, Json>, name: &str) -> Option<String> {
    let found = take(fields, name)?;
    let read = text(&found);
    if read.is_none() {
        fields.insert(name.to_owned(), found);
    }
    read
}

fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Takes a field out, wherever its name is cut into keys; what becomes empty goes with it.
fn take(fields: &mut Map<String, Json>, name: &str) -> Option<Json> {
    if fields.get(name).is_some_and(|value| !value.is_null()) {
        return fields.remove(name);
    }
    for (dot, _) in name.match_indices('.') {
        let (key, rest) = (&name[..dot], &name[dot + 1..]);
        let Some(Json::Object(inner)) = fields.get_mut(key) else { continue };
        let found = take(inner, rest);
        if inner.is_empty() {
            fields.remove(key);
        }
        if found.is_some() {
            return found;
        }
    }
    None
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn pairs(fields: Map<String, Json>, depth: usize) -> Vec<KeyValue> {
    let pairs = fields.into_iter().filter_map(|(key, json)| Some(pair(&key, value(json, depth)?)));
    pairs.collect()
}

/// A value with its type; numbers beyond OTLP's stay exact as text. Null is nothing.
fn value(json: Json, depth: usize) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(value) => Value::BoolValue(value),
        Json::String(text) => Value::StringValue(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::IntValue(whole),
            (None, Some(float)) if !number.is_u64() => Value::DoubleValue(float),
            _ => Value::StringValue(number.to_string()),
        },
        nested if depth == 0 => Value::StringValue(nested.to_string()),
        Json::Array(elements) => {
            let values = elements.into_iter().map(|element| AnyValue { value: value(element, depth - 1) });
            Value::ArrayValue(ArrayValue { values: values.collect() })
        }
        Json::Object(fields) => Value::KvlistValue(KeyValueList { values: pairs(fields, depth - 1) }),
    })
}
