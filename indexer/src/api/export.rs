//! `/api/v1/logs/export`: all hits in order of time, as they are found, whatever their number.

use std::str::FromStr;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value};
use weir_query::line::Line;
use weir_query::{FieldPath, Found};
use weir_service::http::Problem;

use super::pages::{self, End, Format};
use super::params::Params;
use super::{Api, hit::hit, logs};
use crate::schedule::Caller;
use crate::search::Paging;

/// Fields of a CSV file, where none are named.
const FIELDS: &str = "timestamp,tenant,service,severity,body,trace_id,span_id";
/// Most fields that may be named.
const MOST_FIELDS: usize = 100;

/// Fields by name.
type Fields = Vec<(String, FieldPath)>;

/// An object a line.
struct Ndjson(Fields);

/// RFC 4180, with a line of names.
struct Csv(Fields);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Ndjson,
    Csv,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ndjson" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            other => Err(format!("`{other}` is no format: use ndjson or csv")),
        }
    }
}

/// Lines from `start` to `end` (now, where it is not given), oldest first; a line that arrives meanwhile is there once or
/// not at all.
pub(super) async fn export(State(api): State<Api>, caller: Caller, params: Params) -> Result<Response, Problem> {
    let mut asked = logs::selection(&params)?;
    if params.text("end").is_none() {
        // Else it would go on for as long as lines come.
        asked.end = params.now.max(asked.start);
    }
    let kind: Kind = params
        .text("format")
        .unwrap_or("ndjson")
        .parse()
        .map_err(|wrong: String| Problem::parameter("format", wrong))?;
    let named = params.text("fields").or_else(|| (kind == Kind::Csv).then_some(FIELDS));
    let fields = named.map_or(Ok(Vec::new()), fields)?;
    let paging = Paging { limit: usize::MAX, bytes: 0, oldest_first: true, after: None };
    let place = api.searches.place(&caller)?;
    match kind {
        Kind::Ndjson => pages::answer(api, caller, place, asked, paging, Ndjson(fields)).await,
        Kind::Csv => pages::answer(api, caller, place, asked, paging, Csv(fields)).await,
    }
}

fn fields(names: &str) -> Result<Fields, Problem> {
    let wrong = |why: String| Problem::parameter("fields", why);
    let field = |name: &str| {
        let name = name.trim();
        Ok::<_, Problem>((name.to_owned(), FieldPath::parse(name).map_err(|error| wrong(error.to_string()))?))
    };
    let fields: Fields = names.split(',').map(field).collect::<Result<_, _>>()?;
    if fields.len() > MOST_FIELDS {
        return Err(wrong(format!("name at most {MOST_FIELDS} fields")));
    }
    Ok(fields)
}

fn value(found: Found) -> Value {
    match found {
        Found::Text(text) => text.into(),
        Found::Int(number) => number.into(),
        // JSON knows no infinite numbers.
        Found::Float(number) if number.is_finite() => number.into(),
        Found::Float(number) => number.to_string().into(),
        Found::Bool(is) => is.into(),
        Found::Time(time) => weir_service::time::format(time).into(),
        Found::Nested(json) => json,
    }
}

impl Format for Ndjson {
    const KIND: &'static str = "application/x-ndjson";

    fn head(&self) -> String {
        String::new()
    }

    fn line(&self, line: &Line, _: bool, text: &mut Vec<u8>) {
        let object = if self.0.is_empty() {
            hit(line)
        } else {
            let of = |(name, path): &(String, FieldPath)| (name.clone(), path.get(line).map_or(Value::Null, value));
            Value::Object(self.0.iter().map(of).collect::<Map<_, _>>())
        };
        text.extend_from_slice(object.to_string().as_bytes());
        text.push(b'\n');
    }

    fn tail(&self, _: &End) -> String {
        String::new()
    }
}

impl Format for Csv {
    const KIND: &'static str = "text/csv; charset=utf-8";

    fn head(&self) -> String {
        let mut text = Vec::new();
        row(self.0.iter().map(|(name, _)| name.clone()), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    fn line(&self, line: &Line, _: bool, text: &mut Vec<u8>) {
        let shown = |found| match value(found) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        row(self.0.iter().map(|(_, path)| path.get(line).map(shown).unwrap_or_default()), text);
    }

    fn tail(&self, _: &End) -> String {
        String::new()
    }
}

/// One line of a CSV file.
fn row(cells: impl Iterator<Item = String>, text: &mut Vec<u8>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            text.push(b',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            text.extend_from_slice(format!("\"{}\"", cell.replace('"', "\"\"")).as_bytes());
        } else {
            text.extend_from_slice(cell.as_bytes());
        }
    }
    text.extend_from_slice(b"\r\n");
}
