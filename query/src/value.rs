//! Values of fields by the names that queries use, with the types that they came with.
//!
//! | field | value |
//! |---|---|
//! | `timestamp`, `end_timestamp` | time |
//! | `duration_ms` | float; `duration` is the same as text, with units |
//! | `severity`, `severity_number` | text as it is shown, and number; of log records |
//! | `body` | text, or what a structured body is |
//! | `service`, `tenant`, `scope` | text; `scope` is the instrumentation scope's name |
//! | `trace_id`, `span_id`, `parent_span_id` | lowercase hexadecimal |
//! | `name`, `kind`, `status`, `status_message`, `interface` | text; of spans |
//! | `attributes.X`, `resource.X`, `scope.X` | as the attribute's value; `X` is its name, or leads into maps by their keys, joined with `.` |
//! | `attributes`, `resource` | all of them, as an object |
//! | `events` | a span's, as a list of `{"name", "attributes"}` |
//! | any other | the record's attribute of that name, else the resource's |
//!
//! What is empty is not there, but for attributes. On a log record the names that are a span's are those of attributes.
//! In a query `severity_number`, `events`, `attributes` and `resource` alone are names of attributes as others.

use serde_json::{Map, Value as Json};
use weir_proto::otlp::common::v1::any_value::Value;

use crate::field::{Field, HIDDEN};
use crate::line::{Body, Line, OfSpan};
use crate::span_field::{SpanField, milliseconds};
use crate::{fields, severity};

/// What a field of a line is.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Text; bytes are lowercase hexadecimal.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Any other number, infinite ones and not-a-number included.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Nanoseconds since the epoch.
    Time(i64),
    /// A list or a map, with bytes as hexadecimal and numbers that JSON does not know as text.
    Nested(Json),
}

/// A field's name that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no field: write one such as `body`, `service`, `user.id`, `attributes.user.id` or `resource.host.name`"
)]
pub struct FieldError(String);

/// The name of a field, read once for all lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Field(Field),
    /// A span's own, else the attribute of that name.
    Own(SpanField, String),
    Events(String),
    SeverityNumber,
    Attributes,
    Resource,
}

/// The value of the field `name` of a line; where many lines are read, [`FieldPath`] is quicker.
pub fn value(line: &Line, name: &str) -> Option<Found> {
    FieldPath::parse(name).ok()?.get(line)
}

impl FieldPath {
    /// Reads a field's name; one that is empty, or is empty behind `attributes.`, `resource.` or `scope.`, is refused.
    pub fn parse(name: &str) -> Result<Self, FieldError> {
        Ok(Self(match (name, SpanField::of(name)) {
            ("" | "attributes." | "resource." | "scope.", _) => return Err(FieldError(name.to_owned())),
            (_, Some(own)) => Kind::Own(own, name.to_owned()),
            ("events", _) => Kind::Events(name.to_owned()),
            ("severity_number", _) => Kind::SeverityNumber,
            ("attributes", _) => Kind::Attributes,
            ("resource", _) => Kind::Resource,
            _ => Kind::Field(Field::of(name)),
        }))
    }

    /// The field's value; `None` where the line has none.
    pub fn get(&self, line: &Line) -> Option<Found> {
        match (&self.0, &line.span) {
            (Kind::Field(field), _) => of_line(field, line),
            (Kind::Own(own, _), Some(span)) => of_span(*own, span),
            (Kind::Events(_), Some(span)) => Some(Found::Nested(span.events.iter().map(event).collect())),
            (Kind::Own(_, name) | Kind::Events(name), None) => either(line, name),
            (Kind::SeverityNumber, _) => Some(severity::number(line)).filter(|n| *n > 0).map(|n| Found::Int(n.into())),
            (Kind::Attributes, _) => Some(Found::Nested(object(&line.attributes))),
            (Kind::Resource, _) => Some(Found::Nested(object(&line.source.resource))),
        }
    }
}

fn of_line(field: &Field, line: &Line) -> Option<Found> {
    match field {
        Field::Body => body(&line.body),
        Field::Service => text(&line.source.service),
        Field::Tenant => text(&line.source.tenant),
        Field::TraceId => text(&hex::encode(&line.trace_id)),
        Field::SpanId => text(&hex::encode(&line.span_id)),
        Field::Severity => text(severity::shown(line)),
        Field::SeverityText => text(&line.severity_text),
        Field::OfBody(name) => of_body(name, line),
        Field::Message => text(&crate::body::message(&line.body)),
        Field::Timestamp => Some(Found::Time(line.time)),
        Field::Scope(name) => fields::find(&line.source.scope, name).map(|value| typed(&value)),
        Field::Resource(name) => fields::find(&line.source.resource, name).map(|value| typed(&value)),
        Field::Attribute(name) => fields::find(&line.attributes, name).map(|value| typed(&value)),
        Field::Either(name) => either(line, name),
    }
}

fn either(line: &Line, name: &str) -> Option<Found> {
    fields::find(&line.attributes, name)
        .or_else(|| fields::find(&line.source.resource, name))
        .map(|value| typed(&value))
}

fn of_body(name: &str, line: &Line) -> Option<Found> {
    let object = crate::body::object(&line.body)?;
    json(crate::body::find(&object, name)?.clone())
}

fn of_span(own: SpanField, span: &OfSpan) -> Option<Found> {
    match own {
        SpanField::DurationMs => span.duration().map(|nanos| Found::Float(milliseconds(nanos))),
        SpanField::EndTimestamp => (span.end != 0).then_some(Found::Time(span.end)),
        own => text(&own.text(span)),
    }
}

fn text(text: &str) -> Option<Found> {
    (!text.is_empty()).then(|| Found::Text(text.to_owned()))
}

fn body(body: &Body) -> Option<Found> {
    match body {
        Body::Json(own) => match serde_json::from_str(own) {
            Ok(value) => json(value),
            Err(_) => text(own),
        },
        other => text(&other.text()),
    }
}

fn json(value: Json) -> Option<Found> {
    match value {
        Json::Null => None,
        Json::Bool(value) => Some(Found::Bool(value)),
        Json::Number(number) => number.as_i64().map(Found::Int).or_else(|| number.as_f64().map(Found::Float)),
        Json::String(own) => text(&own),
        nested => Some(Found::Nested(nested)),
    }
}

fn typed(value: &Value) -> Found {
    match value {
        Value::BoolValue(value) => Found::Bool(*value),
        Value::IntValue(value) => Found::Int(*value),
        Value::DoubleValue(value) => Found::Float(*value),
        nested if fields::is_nested(nested) => Found::Nested(fields::json(nested)),
        other => Found::Text(fields::text(other)),
    }
}

/// Of attributes that are there twice, the first counts; what an index added is left out.
fn object(attributes: &[(String, Value)]) -> Json {
    let mut object = Map::new();
    for (name, value) in attributes.iter().filter(|(name, _)| !name.starts_with(HIDDEN)) {
        object.entry(name.as_str()).or_insert_with(|| fields::json(value));
    }
    Json::Object(object)
}

fn event((name, attributes): &(String, Vec<(String, Value)>)) -> Json {
    serde_json::json!({"name": name, "attributes": object(attributes)})
}

#[cfg(test)]
mod tests;
