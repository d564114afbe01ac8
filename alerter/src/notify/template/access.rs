//! What `.Field` and `.Method` of a template find: the engine knows fields of maps alone.
//!
//! A set of labels is a map of texts. What is a struct in Alertmanager is a map with a mark, under a key that no label
//! has: it has the fields that it has, and no others.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;

use super::time::{self, Time};
use crate::rules::go;

/// Under this key a struct has its name.
pub(super) const MARK: &str = "\u{0}";
const PAIR: &str = "Pair";

/// The begin of the error of a field or method that can never be there.
pub(super) const NO_FIELD: &str = "can't evaluate field";

type Map = BTreeMap<Arc<str>, Value>;

/// A struct of this name.
pub(super) fn structure(name: &str, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let mark = (Arc::from(MARK), Value::from(name));
    let fields = fields.into_iter().map(|(name, value)| (Arc::from(name), value));
    Value::Map(Arc::new(std::iter::once(mark).chain(fields).collect()))
}

pub(super) fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

/// The name of a struct.
pub(super) fn name_of(map: &Map) -> Option<&str> {
    map.get(MARK).and_then(Value::as_str)
}

pub(super) fn is_pair(map: &Map) -> bool {
    name_of(map) == Some(PAIR)
}

/// Follows a path such as `CommonLabels.SortedPairs.Values`; arguments go to what stands last.
pub(super) fn follow(value: &Value, path: &str, arguments: &[Value]) -> Result<Value, String> {
    let (first, last) = path.rsplit_once('.').map_or((None, path), |(first, last)| (Some(first), last));
    let within = first.map_or(Ok(value.clone()), |first| {
        first.split('.').try_fold(value.clone(), |value, name| one(&value, name, &[]))
    })?;
    one(&within, last, arguments)
}

fn one(value: &Value, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let found = match value {
        Value::Nil => Some(Ok(Value::Nil)),
        Value::Map(map) if name_of(map).is_some() => map.get(name).filter(|_| name != MARK).cloned().map(Ok),
        Value::Map(map) => return of_labels(map, name, arguments),
        Value::List(values) => of_list(values, name).map(Ok),
        Value::String(text) => Time::parse(text)
            .map_or_else(|| time::call_duration(text, name, arguments), |time| time.call(name, arguments)),
        _ => None,
    };
    let takes_arguments = matches!(value, Value::String(_));
    match found {
        Some(_) if !arguments.is_empty() && !takes_arguments => {
            Err(format!("{name} has arguments but is not a method"))
        }
        Some(found) => found,
        None => Err(format!("{NO_FIELD} {name} in type {}", kind(value))),
    }
}

fn kind(value: &Value) -> &str {
    match value {
        Value::Map(map) => name_of(map).unwrap_or("map"),
        other => other.type_name(),
    }
}

/// A method, or a label's value: empty where there is no such label.
fn of_labels(map: &Map, name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("SortedPairs", []) => Ok(list(sorted(map).map(|(name, value)| pair(name, value)))),
        ("Names", []) => Ok(list(sorted(map).map(|(name, _)| Value::String(name.clone())))),
        ("Values", []) => Ok(list(sorted(map).map(|(_, value)| value.clone()))),
        ("String", []) => Ok(Value::from(shown(sorted(map)))),
        ("Remove", [Value::List(names)]) => {
            let is_kept = |name: &str| !names.iter().any(|other| other.as_str() == Some(name));
            let kept = map.iter().filter(|(name, _)| is_kept(name));
            Ok(Value::Map(Arc::new(kept.map(|(name, value)| (name.clone(), value.clone())).collect())))
        }
        ("Remove", _) => Err("Remove needs one list of names".to_owned()),
        (_, []) => Ok(map.get(name).cloned().unwrap_or_else(|| Value::from(""))),
        _ => Err(format!("{name} has arguments but is not a method")),
    }
}

/// `alertname` first, then by name.
fn sorted(map: &Map) -> impl Iterator<Item = (&Arc<str>, &Value)> {
    let first = map.get_key_value("alertname");
    first.into_iter().chain(map.iter().filter(|(name, _)| &***name != "alertname"))
}

fn pair(name: &Arc<str>, value: &Value) -> Value {
    structure(PAIR, [("Name", Value::String(name.clone())), ("Value", value.clone())])
}

/// The methods of a list of alerts and of a list of pairs.
fn of_list(values: &[Value], name: &str) -> Option<Value> {
    let field = |value: &Value, name: &str| value.field(name).cloned();
    match name {
        "Firing" | "Resolved" => {
            let status = name.to_lowercase();
            let has = |value: &&Value| field(value, "Status").as_ref().and_then(Value::as_str) == Some(&*status);
            Some(list(values.iter().filter(has).cloned()))
        }
        "Names" | "Values" => {
            let field_name = &name[..name.len() - 1];
            values.iter().map(|value| field(value, field_name)).collect::<Option<Vec<_>>>().map(list)
        }
        "String" => pairs(values),
        _ => None,
    }
}

fn pairs(values: &[Value]) -> Option<Value> {
    let pair = |value: &Value| match value {
        Value::Map(map) if is_pair(map) => Some((map.get("Name")?.clone(), map.get("Value")?.clone())),
        _ => None,
    };
    let all = values.iter().map(pair).collect::<Option<Vec<_>>>()?;
    Some(Value::from(shown(all.iter().map(|(name, value)| (name, value)))))
}

fn shown<N: std::fmt::Display, V: std::fmt::Display>(pairs: impl Iterator<Item = (N, V)>) -> String {
    pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

/// As Go prints it: labels and pairs as `a=b, c=d`, structs as their fields in braces.
pub(super) fn printed(value: &Value) -> Value {
    match value {
        Value::Float(number) => Value::from(go::number(*number)),
        Value::Map(map) if name_of(map).is_some() => {
            let fields = map.iter().filter(|(name, _)| &***name != MARK);
            let fields: Vec<String> = fields.map(|(_, value)| printed(value).to_string()).collect();
            Value::from(format!("{{{}}}", fields.join(" ")))
        }
        Value::Map(map) => Value::from(shown(sorted(map))),
        Value::List(values) if !values.is_empty() => pairs(values).unwrap_or_else(|| list(values.iter().map(printed))),
        other => other.clone(),
    }
}
