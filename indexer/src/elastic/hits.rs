//! A hit as Elasticsearch shows it: the document that was sent, or the line as one.

use serde_json::{Map, Value as Json, json};
use weir_query::Matcher;
use weir_query::line::{Body, Line};
use weir_query::{fields, severity};
use weir_service::elastic::{Fault, INDEX};

use super::highlight::Highlight;
use super::indices::{self, ALL, like};
use crate::dates::MILLI;

/// Most names of a list of fields: each is compared with those of every hit.
const MAX_NAMES: usize = 256;

/// What of a line is shown.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) source: SourceFilter,
    /// Names, or patterns of names, with the format of times.
    fields: Vec<(String, String)>,
    pub(super) highlight: Option<Highlight>,
}

/// `_source`: nothing of it, or what is included and not excluded.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceFilter {
    is_off: bool,
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl Shape {
    pub(super) fn add_fields(&mut self, name: &str, json: &Json) -> Result<(), Fault> {
        let wrong = || Fault::parsing(format!("[{name}] is a list of names, or of objects with [field]"));
        for one in json.as_array().ok_or_else(wrong)? {
            let format = one.get("format").and_then(Json::as_str).unwrap_or_default();
            let field = one.as_str().or_else(|| one.get("field")?.as_str()).ok_or_else(wrong)?;
            self.fields.push((field.to_owned(), format.to_owned()));
        }
        if self.fields.len() > MAX_NAMES { Err(too_many(name)) } else { Ok(()) }
    }

    /// A line as a hit, without its place in the order.
    pub(super) fn hit(&self, line: &Line, matcher: &Matcher) -> Json {
        let source = source(line);
        let mut hit = json!({
            "_index": indices::of(line).unwrap_or(ALL),
            "_id": id(line),
            "_score": Json::Null,
        });
        if !self.fields.is_empty() {
            let mut shown = Map::new();
            flatten("", &Json::Object(source.clone()), &mut |name, value| {
                let Some((_, format)) = self.fields.iter().find(|(pattern, _)| like(pattern, &name)) else { return };
                let value = if name == "@timestamp" { time(line.time, format) } else { value.clone() };
                if let Json::Array(values) = shown.entry(name).or_insert_with(|| json!([])) {
                    values.push(value);
                }
            });
            hit["fields"] = Json::Object(shown);
        }
        if let Some(highlight) = &self.highlight
            && let Some(shown) = highlight.of(line, matcher)
        {
            hit["highlight"] = shown;
        }
        if let Some(source) = self.source.of(source) {
            hit["_source"] = Json::Object(source);
        }
        hit
    }
}

fn time(nanos: i64, format: &str) -> Json {
    match format {
        "epoch_millis" => nanos.div_euclid(MILLI).to_string().into(),
        "epoch_second" => nanos.div_euclid(1000 * MILLI).to_string().into(),
        _ => weir_service::time::format(nanos).into(),
    }
}

/// The id that a document was sent with, else the line's.
fn id(line: &Line) -> String {
    let sent = line.attributes.iter().find(|(name, _)| name == "_id");
    sent.map_or_else(|| line.id.to_string(), |(_, value)| fields::text(value))
}

/// The document that a line was, or would be.
pub(super) fn source(line: &Line) -> Map<String, Json> {
    let mut source = Map::new();
    let time = Json::from(weir_service::time::format(line.time));
    if let (Body::Json(text), Some(_)) = (&line.body, indices::of(line))
        && let Ok(Json::Object(document)) = serde_json::from_str(text)
    {
        source = document;
        source.entry("@timestamp").or_insert(time);
        return source;
    }
    for (name, value) in line.source.resource.iter().filter(|(name, _)| name != INDEX) {
        source.insert(name.clone(), fields::json(value));
    }
    for (name, value) in line.attributes.iter().filter(|(name, _)| name != "_id") {
        source.insert(name.clone(), fields::json(value));
    }
    source.insert("@timestamp".to_owned(), time);
    source.insert("message".to_owned(), line.body.text().into_owned().into());
    let level = severity::shown(line);
    for (name, text) in [
        ("log.level", level.to_owned()),
        ("service.name", line.source.service.clone()),
        ("trace.id", hex::encode(&line.trace_id)),
        ("span.id", hex::encode(&line.span_id)),
    ] {
        if !text.is_empty() {
            source.insert(name.to_owned(), text.into());
        }
    }
    source
}

/// Calls `each` with the dotted name and the value of every leaf.
pub(super) fn flatten(name: &str, json: &Json, each: &mut impl FnMut(String, &Json)) {
    match json {
        Json::Object(fields) => {
            for (key, value) in fields {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, each);
            }
        }
        Json::Array(elements) => elements.iter().for_each(|element| flatten(name, element, each)),
        Json::Null => {}
        leaf => each(name.to_owned(), leaf),
    }
}

fn too_many(name: &str) -> Fault {
    Fault::argument(format!("[{name}] has at most {MAX_NAMES} names"))
}

impl SourceFilter {
    pub(super) fn read(json: &Json) -> Result<Self, Fault> {
        let names = |json: Option<&Json>| -> Result<Vec<String>, Fault> {
            match json {
                Some(Json::Array(names)) if names.len() > MAX_NAMES => Err(too_many("_source")),
                None | Some(Json::Null) => Ok(Vec::new()),
                Some(Json::String(name)) => Ok(vec![name.clone()]),
                Some(Json::Array(names)) => Ok(names.iter().filter_map(Json::as_str).map(str::to_owned).collect()),
                Some(_) => Err(Fault::parsing("[_source] takes names, or a list of them")),
            }
        };
        Ok(match json {
            Json::Bool(shown) => Self { is_off: !shown, ..Self::default() },
            Json::Object(parts) => {
                let of = |long: &str, short: &str| names(parts.get(long).or_else(|| parts.get(short)));
                Self { is_off: false, includes: of("includes", "include")?, excludes: of("excludes", "exclude")? }
            }
            json => Self { includes: names(Some(json))?, ..Self::default() },
        })
    }

    fn of(&self, source: Map<String, Json>) -> Option<Map<String, Json>> {
        if self.is_off {
            return None;
        }
        if self.includes.is_empty() && self.excludes.is_empty() {
            return Some(source);
        }
        Some(self.filtered(source, "", self.includes.is_empty()))
    }

    fn filtered(&self, fields: Map<String, Json>, path: &str, is_included: bool) -> Map<String, Json> {
        let mut kept = Map::new();
        for (key, value) in fields {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if self.excludes.iter().any(|pattern| like(pattern, &path)) {
                continue;
            }
            let is_included = is_included || self.includes.iter().any(|pattern| like(pattern, &path));
            match value {
                Json::Object(inner) => {
                    let inner = self.filtered(inner, &path, is_included);
                    if is_included || !inner.is_empty() {
                        kept.insert(key, Json::Object(inner));
                    }
                }
                value if is_included => _ = kept.insert(key, value),
                _ => {}
            }
        }
        kept
    }
}
