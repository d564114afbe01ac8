//! Values of fields of a line, typed, with one order over all of them.

use std::cell::OnceCell;
use std::cmp::Ordering;

use serde_json::Value as Json;
use weir_query::line::{Body, Line};
use weir_query::{FieldPath, Found};

use crate::query::columns;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Nanoseconds since the epoch.
    Time(i64),
    Text(String),
}

/// A field by name, read once for all lines.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    places: Vec<Place>,
}

#[derive(Debug, Clone)]
enum Place {
    Line(FieldPath),
    /// Of a body that is a JSON object.
    Body(String),
}

/// A line that is read field by field; its body is parsed at most once.
pub(crate) struct Reader<'a> {
    pub(crate) line: &'a Line,
    json: OnceCell<Option<Json>>,
}

impl Field {
    /// By a name of Elasticsearch's or of weir's; one that names nothing has no value.
    pub(crate) fn new(name: &str) -> Self {
        let places = columns(name).into_iter().filter_map(|column| match column.strip_prefix("body.") {
            Some(name) => Some(Place::Body(name.to_owned())),
            None => FieldPath::parse(&column).ok().map(Place::Line),
        });
        Self { places: places.collect() }
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(line: &'a Line) -> Self {
        Self { line, json: OnceCell::new() }
    }

    /// The body, where it is a JSON object.
    pub(crate) fn object(&self) -> Option<&Json> {
        let parse = || {
            let text = match &self.line.body {
                Body::Json(text) | Body::Text(text) if text.trim_start().starts_with('{') => text,
                _ => return None,
            };
            serde_json::from_str(text).ok().filter(Json::is_object)
        };
        self.json.get_or_init(parse).as_ref()
    }

    /// Every value of a field: of a list, each element.
    pub(crate) fn values(&self, field: &Field) -> Vec<Scalar> {
        let mut found = Vec::new();
        for place in &field.places {
            match place {
                Place::Line(path) => match path.get(self.line) {
                    Some(Found::Text(text)) => found.push(Scalar::Text(text)),
                    Some(Found::Int(value)) => found.push(Scalar::Int(value)),
                    Some(Found::Float(value)) => found.push(Scalar::Float(value)),
                    Some(Found::Bool(value)) => found.push(Scalar::Bool(value)),
                    Some(Found::Time(value)) => found.push(Scalar::Time(value)),
                    Some(Found::Nested(json)) => leaves(&json, &mut found),
                    None => {}
                },
                Place::Body(name) => {
                    if let Some(json) = self.object() {
                        among(json, name, &mut found);
                    }
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        found
    }
}

/// What lies under a dotted name: keys may hold dots themselves, and lists are passed through.
fn among(json: &Json, name: &str, found: &mut Vec<Scalar>) {
    match json {
        Json::Array(elements) => elements.iter().for_each(|element| among(element, name, found)),
        Json::Object(fields) => {
            if let Some(value) = fields.get(name) {
                leaves(value, found);
            }
            for (dot, _) in name.match_indices('.') {
                if let Some(inner) = fields.get(&name[..dot]) {
                    among(inner, &name[dot + 1..], found);
                }
            }
        }
        _ => {}
    }
}

fn leaves(json: &Json, found: &mut Vec<Scalar>) {
    match json {
        Json::Array(elements) => elements.iter().for_each(|element| leaves(element, found)),
        Json::Null | Json::Object(_) => {}
        json => found.extend(Scalar::of(json)),
    }
}

impl Scalar {
    /// Of JSON that is no list, object or null.
    pub(crate) fn of(json: &Json) -> Option<Self> {
        Some(match json {
            Json::Bool(value) => Self::Bool(*value),
            Json::String(text) => Self::Text(text.clone()),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Self::Int(whole),
                None => Self::Float(number.as_f64()?),
            },
            _ => return None,
        })
    }

    /// As a number; a time is milliseconds since the epoch.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Time(nanos) => Some(*nanos as f64 / 1e6),
            Self::Text(text) => text.trim().parse().ok(),
        }
        .filter(|number: &f64| number.is_finite())
    }

    /// As a time in nanoseconds; a number is milliseconds since the epoch.
    pub(crate) fn time(&self) -> Option<i64> {
        match self {
            Self::Time(nanos) => Some(*nanos),
            Self::Int(millis) => millis.checked_mul(1_000_000),
            Self::Text(text) => weir_service::elastic::date(text),
            Self::Bool(_) | Self::Float(_) => None,
        }
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Time(nanos) => weir_service::time::format(*nanos),
            Self::Text(text) => text.clone(),
        }
    }

    /// As sort values and metrics show it; a time is milliseconds since the epoch.
    pub(crate) fn json(&self) -> Json {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) if value.is_finite() => (*value).into(),
            Self::Float(value) => value.to_string().into(),
            Self::Time(nanos) => nanos.div_euclid(1_000_000).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

impl Eq for Scalar {}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Truth values, then numbers by value, then times, then text.
impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |scalar: &Self| match scalar {
            Self::Bool(_) => 0,
            Self::Int(_) | Self::Float(_) => 1,
            Self::Time(_) => 2,
            Self::Text(_) => 3,
        };
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) | (Self::Time(a), Self::Time(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Int(a), Self::Float(b)) => compare(*a, *b),
            (Self::Float(a), Self::Int(b)) => compare(*b, *a).reverse(),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

/// Exactly, where rounding the whole number to a float would hide a difference.
fn compare(whole: i64, float: f64) -> Ordering {
    const EDGE: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() || float >= EDGE {
        return Ordering::Less;
    }
    if float < -EDGE {
        return Ordering::Greater;
    }
    whole.cmp(&(float.trunc() as i64)).then_with(|| 0.0_f64.total_cmp(&(float.fract() + 0.0)))
}
