//! Attributes as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use weir_proto::otlp::common::v1::AnyValue;
use weir_proto::otlp::common::v1::any_value::Value;

/// Attributes of a span or of an event.
pub(super) type Attributes = [(String, Value)];

/// An attribute by its whole key.
pub(super) fn get<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a Value> {
    attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The text of an attribute, if it is one and not empty.
pub(super) fn text(attributes: &Attributes, key: &str) -> Option<String> {
    match get(attributes, key)? {
        Value::StringValue(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// The value of an attribute, which may be JSON in a text; a text that is no JSON is itself.
pub(super) fn structured(attributes: &Attributes, key: &str) -> Option<Json> {
    Some(parsed(to_json(get(attributes, key)?)))
}

/// What a text of JSON holds, if it is an array or an object; anything else as it is.
pub(super) fn parsed(json: Json) -> Json {
    match json {
        Json::String(text) if text.trim_start().starts_with(['[', '{']) => {
            serde_json::from_str(&text).unwrap_or(Json::String(text))
        }
        other => other,
    }
}

/// A value of OTLP as JSON. Bytes are text if they are UTF-8, else hexadecimal digits.
pub(super) fn to_json(value: &Value) -> Json {
    let any = |any: Option<&AnyValue>| any.and_then(|any| any.value.as_ref()).map_or(Json::Null, to_json);
    match value {
        Value::StringValue(text) => Json::String(text.clone()),
        Value::BoolValue(bool) => Json::Bool(*bool),
        Value::IntValue(int) => Json::from(*int),
        Value::DoubleValue(double) => Json::from(*double),
        Value::ArrayValue(array) => array.values.iter().map(|item| any(Some(item))).collect(),
        Value::KvlistValue(list) => {
            Json::Object(list.values.iter().map(|pair| (pair.key.clone(), any(pair.value.as_ref()))).collect())
        }
        Value::BytesValue(bytes) => {
            Json::String(String::from_utf8(bytes.clone()).unwrap_or_else(|_| hex::encode(bytes)))
        }
        // Meaningful in profiles alone.
        Value::StringValueStrindex(_) => Json::Null,
    }
}

/// Levels of a flattened key that are told apart; no convention has as many.
const KEY_LEVELS: usize = 16;

enum Node {
    Leaf(Json),
    Branch(BTreeMap<String, Node>),
}

/// What is flattened into the attributes below `prefix`, which ends with a dot or is empty. Levels of numbers become
/// arrays, without gaps and without what says something about all: `a.0.role`, `a.1.role` and `a.filter` below `a.` are
/// `[{"role": …}, {"role": …}]`.
pub(super) fn unflatten(attributes: &Attributes, prefix: &str) -> Option<Json> {
    let mut root = BTreeMap::new();
    for (key, value) in attributes {
        if let Some(path) = key.strip_prefix(prefix) {
            insert(&mut root, path, KEY_LEVELS, to_json(value));
        }
    }
    (!root.is_empty()).then(|| Node::Branch(root).into_json())
}

/// Of a leaf and a branch at one place the branch stays, since it says more.
fn insert(branch: &mut BTreeMap<String, Node>, path: &str, levels: usize, value: Json) {
    match path.split_once('.').filter(|_| levels > 1) {
        None => {
            branch.entry(path.to_owned()).or_insert(Node::Leaf(value));
        }
        Some((head, rest)) => {
            let node = branch.entry(head.to_owned()).or_insert(Node::Branch(BTreeMap::new()));
            if let Node::Leaf(_) = node {
                *node = Node::Branch(BTreeMap::new());
            }
            if let Node::Branch(inner) = node {
                insert(inner, rest, levels - 1, value);
            }
        }
    }
}

impl Node {
    fn into_json(self) -> Json {
        match self {
            Self::Leaf(json) => json,
            Self::Branch(branch) => {
                let index = |key: &String| key.parse::<u64>().ok();
                if branch.keys().any(|key| index(key).is_some()) {
                    let items = branch.into_iter().filter_map(|(key, node)| Some((index(&key)?, node.into_json())));
                    return items.collect::<BTreeMap<_, _>>().into_values().collect();
                }
                Json::Object(branch.into_iter().map(|(key, node)| (key, node.into_json())).collect::<Map<_, _>>())
            }
        }
    }
}
