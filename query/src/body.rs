//! Bodies that are JSON objects, as most services write their logs: their fields, and what common loggers mean by them.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::fields::{DEPTH, Holds, Kind};
use crate::line::{Body, Line};
use crate::number;

/// The object that a body is; `None` where it is none.
pub fn object(body: &Body) -> Option<Map<String, Json>> {
    let text = text_of_object(body)?;
    serde_json::from_str(text).ok()
}

/// The text of a body that may be an object.
fn text_of_object(body: &Body) -> Option<&str> {
    match body {
        Body::Text(text) | Body::Json(text) => {
            Some(text.trim()).filter(|text| text.starts_with('{') && text.ends_with('}'))
        }
        Body::Bytes(_) => None,
    }
}

/// Calls `each` with the flattened name (`body.user.id`), text and kind of every value of a body that is an object.
pub fn each_field(body: &Body, mut each: impl FnMut(&str, &str, Kind)) {
    if let Some(object) = object(body) {
        each_of(&object, &mut each);
    }
}

/// The same of an object that was read.
pub(crate) fn each_of(object: &Map<String, Json>, mut each: impl FnMut(&str, &str, Kind)) {
    walk_object(&mut String::from("body"), object, DEPTH, &mut each);
}

/// Calls `each` with every name under which a field of the object is there, flattened (`body.user`, `body.user.id`), and
/// what it holds: what [`each_field`] has, and what [`find`] finds that is no value, or lies deeper.
pub fn each_name(object: &Map<String, Json>, mut each: impl FnMut(&str, Holds)) {
    each_of(object, |name, _, kind| each(name, Holds::Value(kind)));
    walk_names(&mut String::from("body"), object, DEPTH, &mut each);
}

fn walk_names(name: &mut String, object: &Map<String, Json>, depth: usize, each: &mut impl FnMut(&str, Holds)) {
    let length = name.len();
    for (key, value) in object {
        name.push('.');
        name.push_str(key);
        match value {
            // Null is no value.
            Json::Null => {}
            Json::Array(_) => each(name, Holds::List),
            Json::Object(inner) => {
                each(name, Holds::Map);
                walk_names(name, inner, depth.saturating_sub(1), each);
            }
            // Too deep for its value to be looked at, and found all the same.
            _ if depth == 0 => each(name, Holds::Other),
            _ => {}
        }
        name.truncate(length);
    }
}

fn walk_object(name: &mut String, object: &Map<String, Json>, depth: usize, each: &mut impl FnMut(&str, &str, Kind)) {
    let length = name.len();
    for (key, value) in object {
        name.push('.');
        name.push_str(key);
        walk(name, value, depth, each);
        name.truncate(length);
    }
}

fn walk(name: &mut String, value: &Json, depth: usize, each: &mut impl FnMut(&str, &str, Kind)) {
    match value {
        _ if depth == 0 => {}
        Json::Null => {}
        Json::Bool(value) => each(name, if *value { "true" } else { "false" }, Kind::Bool),
        Json::Number(value) => {
            let kind = if value.is_f64() { Kind::Double } else { Kind::Int };
            let text = value.to_string();
            each(name, number::canonical(&text).as_deref().unwrap_or(&text), kind);
        }
        Json::String(text) => each(name, text, Kind::Text),
        Json::Array(values) => values.iter().for_each(|value| walk(name, value, depth - 1, each)),
        Json::Object(object) => walk_object(name, object, depth - 1, each),
    }
}

/// The value under a dotted name, as [`each_field`] flattens names; a key may itself have dots in it. Null is no value.
pub(crate) fn find<'a>(object: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    if let Some(value) = object.get(name).filter(|value| !value.is_null()) {
        return Some(value);
    }
    name.match_indices('.').find_map(|(at, _)| match object.get(&name[..at]) {
        Some(Json::Object(inner)) => find(inner, &name[at + 1..]),
        _ => None,
    })
}

/// Calls `each` with the texts in which bare words are looked for: of a log record its body, of a span its name, the
/// message of its status, and its attributes and events. Where a body is JSON with escapes in it, the texts that its
/// strings stand for are texts too.
pub fn each_text(line: &Line, mut each: impl FnMut(&str)) {
    if let Some(span) = &line.span {
        each(&span.name);
        each(&span.status_message);
        crate::fields::each(&line.attributes, |_, text| each(text));
        for (name, attributes) in &span.events {
            each(name);
            crate::fields::each(attributes, |_, text| each(text));
        }
        return;
    }
    each(&line.body.text());
    if has_escapes(&line.body) {
        each_field(&line.body, |_, text, kind| {
            if kind == Kind::Text {
                each(text);
            }
        });
    }
}

/// Whether a body may be JSON whose strings are not as they stand in it.
pub fn has_escapes(body: &Body) -> bool {
    text_of_object(body).is_some_and(|text| text.contains('\\'))
}

/// Names under which loggers write what a line says.
pub(crate) const MESSAGES: [&str; 2] = ["message", "msg"];

/// What a body says: of an object its `message` or `msg`, else all of it.
pub fn message(body: &Body) -> std::borrow::Cow<'_, str> {
    let of_object = || message_of(&object(body)?).map(str::to_owned);
    of_object().map_or_else(|| body.text(), Into::into)
}

/// What an object says; `None` where it has no text of that name.
pub fn message_of(object: &Map<String, Json>) -> Option<&str> {
    MESSAGES.iter().find_map(|name| object.get(*name)?.as_str())
}

/// What common loggers write beside the message: zap, logrus, zerolog, pino, structlog, Logback, Serilog and ECS.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Known {
    level: Option<Json>,
    severity: Option<Json>,
    lvl: Option<Json>,
    levelname: Option<Json>,
    #[serde(rename = "log.level")]
    log_level: Option<Json>,
    log: Option<Json>,
    #[serde(alias = "traceId", alias = "traceid", alias = "TraceId", alias = "trace.id")]
    trace_id: Option<Json>,
    #[serde(alias = "spanId", alias = "spanid", alias = "SpanId", alias = "span.id")]
    span_id: Option<Json>,
    trace: Option<Json>,
    span: Option<Json>,
}

/// Fills in the severity and the ids that a record has not and its body names.
pub(crate) fn fill(line: &mut Line) {
    let Some(text) = text_of_object(&line.body) else { return };
    if (line.severity > 0 || !line.severity_text.is_empty()) && !line.trace_id.is_empty() {
        return;
    }
    let Ok(known) = serde_json::from_str::<Known>(text) else { return };
    if line.severity == 0 && line.severity_text.is_empty() {
        let nested = known.log.as_ref().and_then(|log| log.get("level").cloned());
        let levels = [known.level, known.severity, known.lvl, known.levelname, known.log_level, nested];
        if let Some((number, text)) = levels.iter().flatten().find_map(level) {
            (line.severity, line.severity_text) = (number, text);
        }
    }
    let id = |value: Option<Json>, nested: Option<Json>, bytes: usize| {
        let inner = nested.and_then(|nested| nested.get("id").cloned());
        let text = value.or(inner)?;
        let id = hex::decode(text.as_str()?).ok()?;
        (id.len() == bytes && id.iter().any(|byte| *byte != 0)).then(|| id.into())
    };
    if line.trace_id.is_empty() {
        line.trace_id = id(known.trace_id, known.trace, 16).unwrap_or_default();
    }
    if line.span_id.is_empty() {
        line.span_id = id(known.span_id, known.span, 8).unwrap_or_default();
    }
}

/// Number and text of a level: a name, or a number as pino and bunyan write it (30 is info).
fn level(value: &Json) -> Option<(u8, String)> {
    match value {
        Json::String(text) => {
            let (number, _) = crate::severity::range(text).filter(|_| text.parse::<u8>().is_err())?;
            Some((number, text.clone()))
        }
        Json::Number(number) => {
            let tens = number.as_u64().filter(|number| (10..=60).contains(number) && number % 10 == 0)?;
            Some((u8::try_from((tens / 10 - 1) * 4 + 1).ok()?, String::new()))
        }
        _ => None,
    }
}
