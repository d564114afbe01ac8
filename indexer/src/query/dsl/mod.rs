//! Elasticsearch's Query DSL, compiled into the tree of the one grammar ([`weir_query::ast`]).
//!
//! A field of text other than the body is looked for by its whole value (`term`), or by words in it (`match` and its
//! kind); letters of either case are the same everywhere, as in the grammar. Words side by side in `query_string` must
//! all be there, as in the grammar, where Elasticsearch's default would be any, unless `default_operator` says so. Scores do
//! not exist: `boost` and its kind change nothing that is found.

mod compound;
mod range;
mod simple;
#[cfg(test)]
mod tests;
mod text;

use serde_json::{Map, Value as Json};
use weir_query::Fuzzy;
use weir_query::ast::{Query, Test};
use weir_service::elastic::Fault;

use super::columns;

pub use self::range::time;

/// Deepest nesting, and most clauses in all.
const MAX_DEPTH: usize = 32;
const MAX_CLAUSES: usize = 4096;

/// Reads queries of one request.
#[derive(Debug)]
pub struct Compiler {
    /// What `now` means, in nanoseconds since the epoch.
    now: i64,
    clauses: usize,
    depth: usize,
}

impl Compiler {
    /// With nothing read yet.
    pub fn new(now: i64) -> Self {
        Self { now, clauses: 0, depth: 0 }
    }

    /// One query, such as `{"term": {"service.name": "ocr"}}`.
    pub fn query(&mut self, json: &Json) -> Result<Query, Fault> {
        self.depth += 1;
        self.count(1)?;
        if self.depth > MAX_DEPTH {
            return Err(Fault::argument(format!("queries lie more than {MAX_DEPTH} deep in each other")));
        }
        let read = self.one(json);
        self.depth -= 1;
        read
    }

    fn count(&mut self, clauses: usize) -> Result<(), Fault> {
        self.clauses += clauses;
        if self.clauses > MAX_CLAUSES {
            return Err(Fault::argument(format!("too_many_clauses: maxClauseCount is set to {MAX_CLAUSES}")));
        }
        Ok(())
    }

    fn one(&mut self, json: &Json) -> Result<Query, Fault> {
        let Json::Object(query) = json else { return Err(Fault::parsing("[_na] query malformed, must be an object")) };
        let mut clauses = query.iter();
        let (Some((name, about)), None) = (clauses.next(), clauses.next()) else {
            let what = if query.is_empty() { "empty clause found" } else { "expected one clause" };
            return Err(Fault::argument(format!("query malformed, {what}")));
        };
        let Json::Object(about) = about else {
            return Err(Fault::parsing(format!("[{name}] query malformed, no start_object after query name")));
        };
        match name.as_str() {
            "match_all" => Ok(Query::All),
            "match_none" => Ok(Query::nothing()),
            "bool" => self.boolean(about),
            "constant_score" | "nested" | "function_score" | "script_score" => self.inner(name, about),
            "boosting" => self.query(about.get("positive").ok_or_else(|| missing(name, "positive"))?),
            "dis_max" => self.any_of(name, about),
            "term" => self.term(name, about),
            "fuzzy" => {
                let (field, about) = field_of(name, about)?;
                let value = value_of(name, about, &["value"])?;
                let edits = edits(about.get("fuzziness"), &value)?;
                Ok(any_column(field, &Test::Fuzzy(value, edits)))
            }
            "terms" => self.terms(about),
            "match" | "match_phrase" | "match_phrase_prefix" | "match_bool_prefix" => self.text(name, about),
            "multi_match" => self.multi_match(about),
            "query_string" => self.query_string(about),
            "simple_query_string" => self.simple_query_string(about),
            "prefix" | "wildcard" | "regexp" => pattern(name, about),
            "exists" => Ok(any_column(string(name, about, "field")?, &Test::Exists)),
            "range" => range::range(about, self.now),
            "ids" => {
                let values = about.get("values").and_then(Json::as_array).ok_or_else(|| missing(name, "values"))?;
                self.count(values.len())?;
                Ok(or(values.iter().filter_map(scalar).map(|id| any_column("_id", &Test::Is(id))).collect()))
            }
            _ => Err(Fault::parsing(format!("unknown query [{}]", shown(name)))),
        }
    }

    fn term(&mut self, name: &str, about: &Map<String, Json>) -> Result<Query, Fault> {
        let (field, about) = field_of(name, about)?;
        let value = value_of(name, about, &["value", "term"])?;
        Ok(match columns(field).as_slice() {
            [only] if only == "timestamp" => range::point(&value, self.now)?,
            _ => any_column(field, &Test::Is(value)),
        })
    }

    fn terms(&mut self, about: &Map<String, Json>) -> Result<Query, Fault> {
        let mut fields = about.iter().filter(|(name, _)| !matches!(name.as_str(), "boost" | "_name"));
        let (Some((field, values)), None) = (fields.next(), fields.next()) else {
            return Err(Fault::parsing("[terms] query requires one field with a list of values"));
        };
        let Json::Array(values) = values else {
            return Err(Fault::parsing(format!("[terms] query requires a list of values for [{field}]")));
        };
        self.count(values.len())?;
        Ok(or(values.iter().filter_map(scalar).map(|value| any_column(field, &Test::Is(value))).collect()))
    }
}

fn pattern(name: &str, about: &Map<String, Json>) -> Result<Query, Fault> {
    let (field, about) = field_of(name, about)?;
    let value = value_of(name, about, &["value", "wildcard"])?;
    let test = match name {
        "prefix" => Test::Glob(format!("{}*", text::escaped(&value))),
        "wildcard" => Test::Glob(value),
        _ => Test::Regex(value),
    };
    Ok(any_column(field, &test))
}

/// How many letters may be changed: `AUTO`, or 0 to 2.
fn edits(fuzziness: Option<&Json>, word: &str) -> Result<u8, Fault> {
    match fuzziness.and_then(scalar).as_deref() {
        None | Some("AUTO") => Ok(Fuzzy::edits_of(word)),
        Some(text) => text
            .parse()
            .ok()
            .filter(|edits| *edits <= 2)
            .ok_or_else(|| Fault::parsing("fuzziness is AUTO, or a number from 0 to 2")),
    }
}

/// Any of these; of none, nothing.
pub(super) fn or(mut queries: Vec<Query>) -> Query {
    match queries.len() {
        0 => Query::nothing(),
        1 => queries.remove(0),
        _ => Query::Or(queries),
    }
}

/// All of these; of none, everything.
pub(super) fn and(mut queries: Vec<Query>) -> Query {
    queries.retain(|query| *query != Query::All);
    match queries.len() {
        0 => Query::All,
        1 => queries.remove(0),
        _ => Query::And(queries),
    }
}

/// A test of a field by the name that users of Elasticsearch write.
pub(super) fn any_column(field: &str, test: &Test) -> Query {
    or(columns(field).into_iter().map(|column| Query::Field(column, test.clone())).collect())
}

/// The one field of a clause `{FIELD: …}`.
fn field_of<'a>(name: &str, about: &'a Map<String, Json>) -> Result<(&'a str, &'a Json), Fault> {
    let mut fields = about.iter().filter(|(key, _)| !matches!(key.as_str(), "boost" | "_name"));
    match (fields.next(), fields.next()) {
        (Some((field, about)), None) => Ok((field, about)),
        (Some((first, _)), Some((second, _))) => Err(Fault::parsing(format!(
            "[{name}] query doesn't support multiple fields, found [{}] and [{}]",
            shown(first),
            shown(second)
        ))),
        _ => Err(Fault::parsing(format!("[{name}] query requires a field"))),
    }
}

/// The value of a field's clause, which stands there as it is, or in an object under one of these names.
fn value_of(name: &str, about: &Json, keys: &[&str]) -> Result<String, Fault> {
    let value = match about {
        Json::Object(about) => keys.iter().find_map(|key| about.get(*key)),
        value => Some(value),
    };
    value.and_then(scalar).ok_or_else(|| missing(name, keys[0]))
}

fn missing(name: &str, key: &str) -> Fault {
    Fault::parsing(format!("[{name}] query requires [{key}]"))
}

fn string<'a>(name: &str, about: &'a Map<String, Json>, key: &str) -> Result<&'a str, Fault> {
    about.get(key).and_then(Json::as_str).ok_or_else(|| missing(name, key))
}

/// A value that is no list and no object, as text.
pub fn scalar(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Text from outside, for an error.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
