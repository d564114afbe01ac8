//! What a field of a line must be.

use super::Context;
use super::text::TextTest;
use super::value::ValueTest;
use crate::ast::Test;
use crate::error::CompileError;
use crate::field::{Field, Names};
use crate::fields::{self, Kind};
use crate::line::{Line, OfSpan};
use crate::span_field::{SpanField, SpanTest};
use crate::{body, severity};

/// What a field of a line must be.
#[derive(Debug, Clone)]
pub struct FieldTest {
    of: Of,
    test: ValueTest,
    /// The same of a text, where the field is one.
    text: Option<TextTest>,
}

#[derive(Debug, Clone)]
enum Of {
    Field(Field),
    /// A name that means one thing on a span, and another on other lines.
    SpanOr(SpanTest, Field),
    Names(Names),
}

/// What a test reads of a line. It decides the same on a line that has only that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads<'a> {
    /// Tenant, service and resource.
    Source,
    /// The record's attribute of this name: all whose key is the name, or the name up to a dot in it.
    Attribute(&'a str),
    /// The attribute of the resource or of the record.
    SourceOrAttribute(&'a str),
    /// The trace's id.
    TraceId,
    /// The span's id.
    SpanId,
    /// Severity, number and text.
    Severity,
    /// The body.
    Body,
    /// More than one of these.
    Line,
}

impl FieldTest {
    pub(super) fn new(name: &str, test: &Test, context: Context) -> Result<Self, CompileError> {
        let field = Field::of(name);
        let is_text = matches!(field, Field::Body | Field::OfBody(_) | Field::Message);
        let names = Names::of(name, context.size)?;
        let text = if is_text || names.is_some() { TextTest::new(test, context.size)? } else { None };
        let of = match (names, SpanField::of(name)) {
            (Some(names), _) => Of::Names(names),
            (None, Some(own)) => Of::SpanOr(SpanTest::new(own, test, context.now), field),
            (None, None) => Of::Field(field),
        };
        Ok(Self { of, test: ValueTest::new(test, context.size)?, text })
    }

    pub(super) fn any_of<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        Self { of: Of::Field(Field::of(name)), test: ValueTest::any_of(values), text: None }
    }

    /// What it reads of a line.
    pub fn reads(&self) -> Reads<'_> {
        match &self.of {
            Of::Field(Field::Body) => Reads::Body,
            Of::Field(Field::Service | Field::Tenant | Field::Resource(_) | Field::Scope(_)) => Reads::Source,
            Of::Field(Field::Attribute(name)) => Reads::Attribute(name),
            Of::Field(Field::Either(name)) => Reads::SourceOrAttribute(name),
            Of::Field(Field::TraceId) => Reads::TraceId,
            Of::Field(Field::SpanId) => Reads::SpanId,
            Of::Field(Field::Severity | Field::SeverityText) => Reads::Severity,
            Of::Field(Field::OfBody(_) | Field::Message | Field::Timestamp) | Of::SpanOr(..) | Of::Names(_) => {
                Reads::Line
            }
        }
    }

    /// What a text must hold, where the field is a part of the body.
    pub(super) fn text(&self) -> Option<&TextTest> {
        self.text.as_ref()
    }

    /// Whether no number from `low` to `high` (texts of numbers) passes.
    pub fn excludes(&self, low: &str, high: &str) -> bool {
        self.test.excludes(low, high)
    }

    /// Least and greatest of the whole numbers that pass, where all between them do; `None` where the test is no range of
    /// numbers. The least is above the greatest where none passes.
    pub fn ints(&self) -> Option<(i64, i64)> {
        self.test.ints()
    }

    /// Whether the test asks for nothing but that the field is there.
    pub fn asks_for_any(&self) -> bool {
        matches!(self.test, ValueTest::Exists)
    }

    /// Whether the line passes.
    pub fn matches(&self, line: &Line) -> bool {
        match &self.of {
            Of::Field(field) => self.of_line(field, line),
            Of::SpanOr(own, field) => match &line.span {
                Some(span) => own.passes(span, |text| self.test.is_there(text)),
                None => self.of_line(field, line),
            },
            Of::Names(names) => self.of_any(names, line),
        }
    }

    fn of_line(&self, field: &Field, line: &Line) -> bool {
        let there = |text: &str| self.test.is_there(text);
        let among = |attributes, name: &str| match self.test {
            ValueTest::Exists => fields::has(attributes, name),
            _ => fields::any(attributes, name, |text, kind| self.test.passes(text, kind)),
        };
        match field {
            Field::Body if line.span.is_some() => there(""),
            Field::Body => there(&line.body.text()),
            Field::OfBody(name) => self.of_body(name, line) || among(&line.attributes, &format!("body.{name}")),
            Field::Message if line.span.is_some() => among(&line.attributes, "message"),
            Field::Message => {
                among(&line.attributes, "message")
                    || match &self.text {
                        Some(text) => text.passes(&body::message(&line.body)),
                        None => there(&body::message(&line.body)),
                    }
            }
            Field::Service => there(&line.source.service),
            Field::Tenant => there(&line.source.tenant),
            Field::TraceId => there(&hex::encode(&line.trace_id)),
            Field::SpanId => there(&hex::encode(&line.span_id)),
            Field::Severity => there(severity::shown(line)),
            Field::SeverityText => there(&line.severity_text),
            Field::Timestamp => there(&weir_service::time::format(line.time)),
            Field::Resource(name) => among(&line.source.resource, name),
            Field::Scope(name) => among(&line.source.scope, name),
            Field::Attribute(name) => among(&line.attributes, name),
            Field::Either(name) => among(&line.source.resource, name) || among(&line.attributes, name),
        }
    }

    /// A value of the body as an object: its text is searched as that of a body is.
    fn of_body(&self, name: &str, line: &Line) -> bool {
        let Some(object) = body::object(&line.body) else { return false };
        if matches!(self.test, ValueTest::Exists) && body::find(&object, name).is_some() {
            return true;
        }
        let mut found = false;
        body::each_of(&object, |field, text, kind| {
            found = found || (field.strip_prefix("body.") == Some(name) && self.passes_text(text, kind));
        });
        found
    }

    fn passes_text(&self, text: &str, kind: Kind) -> bool {
        self.test.passes(text, kind) || (kind == Kind::Text && self.text.as_ref().is_some_and(|test| test.passes(text)))
    }

    fn of_any(&self, names: &Names, line: &Line) -> bool {
        let there = |text: &str| self.test.is_there(text) && !text.is_empty();
        let source = &line.source;
        let mut own: Vec<(&str, std::borrow::Cow<'_, str>)> = vec![
            ("service", source.service.as_str().into()),
            ("tenant", source.tenant.as_str().into()),
            ("severity", severity::shown(line).into()),
            ("trace_id", hex::encode(&line.trace_id).into()),
            ("span_id", hex::encode(&line.span_id).into()),
        ];
        if let Some(span) = &line.span {
            own.extend(OWN_OF_SPANS.map(|name| (name, own_text(span, name))));
        }
        let is_own = own.iter().any(|(name, text)| names.takes_whole(name) && there(text));
        is_own || self.of_text(names, line) || self.of_attributes(names, line)
    }

    fn of_text(&self, names: &Names, line: &Line) -> bool {
        let mut found = false;
        if line.span.is_none() && (names.takes_whole("body") || names.takes_whole("message")) {
            let text = line.body.text();
            found =
                !text.is_empty() && (self.test.is_there(&text) || self.text.as_ref().is_some_and(|t| t.passes(&text)));
        }
        if !found {
            body::each_field(&line.body, |name, text, kind| {
                found = found || (names.takes_whole(name) && self.passes_text(text, kind));
            });
        }
        found
    }

    fn of_attributes(&self, names: &Names, line: &Line) -> bool {
        let mut found = false;
        for (part, attributes) in [("attributes.", &line.attributes), ("resource.", &line.source.resource)] {
            fields::each_kind(attributes, |name, text, kind| {
                found = found || (self.test.passes(text, kind) && names.takes(part, name));
            });
        }
        fields::each_kind(&line.source.scope, |name, text, kind| {
            found = found || (self.test.passes(text, kind) && names.takes_whole(&format!("scope.{name}")));
        });
        found
    }
}

const OWN_OF_SPANS: [&str; 5] = ["name", "kind", "status", "status_message", "interface"];

fn own_text<'a>(span: &'a OfSpan, name: &str) -> std::borrow::Cow<'a, str> {
    SpanField::of(name).map(|field| field.text(span)).unwrap_or_default()
}
