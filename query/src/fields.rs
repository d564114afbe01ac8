//! Fields of a line by name, and the text of their values: the same for the index, the matcher and the API.
//!
//! A list has the field's name for each of its elements; a map has `name.key` for each of its values.

use std::borrow::Cow;

use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, ArrayValue, KeyValue};

/// Deepest nesting that is looked into.
pub(crate) const DEPTH: usize = 16;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Int,
    /// Any other number.
    Double,
    /// True or false.
    Bool,
    /// Bytes, whose text is hexadecimal.
    Bytes,
}

impl Kind {
    /// OTLP's name of it: `string`, `int`, `double`, `bool` or `bytes`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Double => "double",
            Self::Bool => "bool",
            Self::Bytes => "bytes",
        }
    }

    /// Whether it is compared by value.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }
}

/// What a field holds: a value, or others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holds {
    /// A value.
    Value(Kind),
    /// Values by name.
    Map,
    /// Values one behind the other.
    List,
    /// Something that is not looked at, as what lies too deep.
    Other,
}

impl Holds {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::Value(Kind::Text),
        Self::Value(Kind::Int),
        Self::Value(Kind::Double),
        Self::Value(Kind::Bool),
        Self::Value(Kind::Bytes),
        Self::Map,
        Self::List,
        Self::Other,
    ];

    /// The kind's name, or `map`, `list` or `other`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value(kind) => kind.name(),
            Self::Map => "map",
            Self::List => "list",
            Self::Other => "other",
        }
    }
}

/// Calls `each` with every name under which a field is there ([`has`]), and what it holds, and with the text of values.
pub fn each_name(attributes: &[(String, Value)], mut each: impl FnMut(&str, Holds, Option<&str>)) {
    each_kind(attributes, |name, text, kind| each(name, Holds::Value(kind), Some(text)));
    for (name, value) in attributes {
        match value {
            Value::KvlistValue(_) => each(name, Holds::Map, None),
            Value::ArrayValue(_) => each(name, Holds::List, None),
            Value::StringValueStrindex(_) => each(name, Holds::Other, None),
            _ => {}
        }
    }
}

/// Calls `each` with the flattened name and text of every value.
pub fn each(attributes: &[(String, Value)], mut each: impl FnMut(&str, &str)) {
    each_kind(attributes, |name, text, _| each(name, text));
}

/// Calls `each` with the flattened name, text and kind of every value.
pub fn each_kind(attributes: &[(String, Value)], mut each: impl FnMut(&str, &str, Kind)) {
    for (name, value) in attributes {
        walk(name, value, DEPTH, &mut each);
    }
}

fn walk(name: &str, value: &Value, depth: usize, each: &mut impl FnMut(&str, &str, Kind)) {
    match value {
        _ if depth == 0 => {}
        Value::ArrayValue(array) => {
            for element in array.values.iter().filter_map(|v| v.value.as_ref()) {
                walk(name, element, depth - 1, each);
            }
        }
        Value::KvlistValue(list) => {
            for pair in &list.values {
                if let Some(value) = pair.value.as_ref().and_then(|v| v.value.as_ref()) {
                    walk(&format!("{name}.{}", pair.key), value, depth - 1, each);
                }
            }
        }
        Value::StringValue(text) => each(name, text, Kind::Text),
        Value::BoolValue(_) => each(name, &text(value), Kind::Bool),
        Value::IntValue(_) => each(name, &text(value), Kind::Int),
        Value::DoubleValue(_) => each(name, &text(value), Kind::Double),
        Value::BytesValue(_) => each(name, &text(value), Kind::Bytes),
        Value::StringValueStrindex(_) => {}
    }
}

/// Whether a value holds others.
pub fn is_nested(value: &Value) -> bool {
    matches!(value, Value::ArrayValue(_) | Value::KvlistValue(_))
}

/// Whether any value of the field `name` passes.
pub fn any(attributes: &[(String, Value)], name: &str, mut test: impl FnMut(&str, Kind) -> bool) -> bool {
    attributes.iter().filter(|(key, _)| within(key, name)).any(|(key, value)| {
        let mut found = false;
        walk(key, value, DEPTH, &mut |field, text, kind| found = found || (field == name && test(text, kind)));
        found
    })
}

/// Whether the field is there, as a value or as a map of values.
pub fn has(attributes: &[(String, Value)], name: &str) -> bool {
    attributes.iter().any(|(key, _)| key == name) || any(attributes, name, |_, _| true)
}

/// The value of the field `name`, as it came: that of the first attribute of this name, else what lies under it in maps;
/// of a list of maps, the list of what its elements have under it.
pub fn find<'a>(attributes: &'a [(String, Value)], name: &str) -> Option<Cow<'a, Value>> {
    among(attributes.iter().map(|(key, value)| (key.as_str(), value)), name, DEPTH)
}

fn among<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a Value)> + Clone,
    name: &str,
    depth: usize,
) -> Option<Cow<'a, Value>> {
    let named = pairs.clone().find(|(key, _)| *key == name).map(|(_, value)| Cow::Borrowed(value));
    let mut behind = pairs.filter_map(|(key, value)| Some((value, name.strip_prefix(key)?.strip_prefix('.')?)));
    named.or_else(|| behind.find_map(|(value, rest)| inside(value, rest, depth)))
}

fn inside<'a>(value: &'a Value, name: &str, depth: usize) -> Option<Cow<'a, Value>> {
    match value {
        _ if depth == 0 => None,
        Value::KvlistValue(list) => {
            let pair = |pair: &'a KeyValue| Some((pair.key.as_str(), pair.value.as_ref()?.value.as_ref()?));
            among(list.values.iter().filter_map(pair), name, depth - 1)
        }
        Value::ArrayValue(array) => {
            let elements = array.values.iter().filter_map(|element| element.value.as_ref());
            let found = elements.filter_map(|element| inside(element, name, depth - 1));
            let values: Vec<_> = found.map(|value| AnyValue { value: Some(value.into_owned()) }).collect();
            (!values.is_empty()).then_some(Cow::Owned(Value::ArrayValue(ArrayValue { values })))
        }
        _ => None,
    }
}

/// `name` is `key`, or lies in the map that `key` holds.
fn within(key: &str, name: &str) -> bool {
    name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A value as text; bytes as hex, lists and maps as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(value) => value.to_string(),
        Value::IntValue(value) => value.to_string(),
        Value::DoubleValue(value) if *value == 0.0 => "0".to_owned(),
        Value::DoubleValue(value) => value.to_string(),
        Value::BytesValue(bytes) => hex::encode(bytes),
        other => json(other).to_string(),
    }
}

/// A value as JSON; bytes as hex, numbers that JSON does not know as text.
pub fn json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    let of = |v: &AnyValue| v.value.as_ref().map_or(Json::Null, json);
    match value {
        Value::StringValue(text) => text.as_str().into(),
        Value::BoolValue(value) => (*value).into(),
        Value::IntValue(value) => (*value).into(),
        Value::DoubleValue(value) if value.is_finite() => (*value).into(),
        Value::DoubleValue(value) => value.to_string().into(),
        Value::ArrayValue(array) => array.values.iter().map(of).collect(),
        Value::KvlistValue(list) => {
            let pairs = list.values.iter().map(|pair| (pair.key.clone(), pair.value.as_ref().map_or(Json::Null, of)));
            Json::Object(pairs.collect())
        }
        Value::BytesValue(bytes) => hex::encode(bytes).into(),
        Value::StringValueStrindex(_) => Json::Null,
    }
}
