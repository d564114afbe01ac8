//! A capture, compiled: which lines it wants, and the row that it makes of one.

mod join;
mod merge;
mod sampler;

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_query::line::{Line, LineId};
use weir_query::{FieldPath, Found, Matcher};
use weir_service::auth::AUDIT_TENANT;

pub use self::join::Unfinished;
pub(crate) use self::join::{Joined, Joins};
pub use self::sampler::{Left, Sampler, Signals};
use crate::chat;
use crate::definition::{Column, Definition, Format, Source};
use crate::redact::{Counts, HmacKey, Redacted, Redactor};
use crate::row::{CHAT, Cell, Row, heads};

/// A definition that is ready to decide line by line; it never changes.
#[derive(Debug)]
pub struct Capture {
    /// What it was made of.
    pub definition: Definition,
    /// Tells it from others of the same name.
    pub fingerprint: String,
    matcher: Matcher,
    /// `None` is all tenants.
    tenants: Option<BTreeSet<String>>,
    fields: Vec<(FieldPath, Column)>,
    redactor: Redactor,
    has_chat: bool,
}

impl Capture {
    /// Compiles a definition; the error names the key.
    pub fn new(definition: Definition, key: &HmacKey) -> Result<Self, String> {
        definition.check()?;
        let query = weir_query::parse(&definition.query).map_err(|error| format!("query: {error}"))?;
        let now = weir_service::time::now_unix_nano();
        let matcher = Matcher::new(&query, now).map_err(|error| format!("query: {error}"))?;
        let fields = definition.fields.iter().map(|field| {
            let path = FieldPath::parse(&field.from).map_err(|error| format!("fields: `{}`: {error}", field.name))?;
            Ok((path, field.column))
        });
        let fields = fields.collect::<Result<Vec<_>, String>>()?;
        let names = heads(&definition);
        let names: Vec<&str> = names.iter().map(|head| head.name.as_str()).collect();
        let redactor = Redactor::new(&definition.redact, &names, key).map_err(|error| format!("redact: {error}"))?;
        let tenants = (!definition.is_of_all()).then(|| definition.tenants.iter().cloned().collect());
        let has_chat = definition.format == Format::Chat;
        Ok(Self { fingerprint: definition.fingerprint(), matcher, tenants, fields, redactor, has_chat, definition })
    }

    /// What it is taken from.
    pub fn source(&self) -> Source {
        self.definition.source
    }

    /// Whether it takes data of this tenant. What was done with weir itself is nobody's training data.
    pub fn is_of(&self, tenant: &str) -> bool {
        match &self.tenants {
            Some(tenants) => tenants.contains(tenant),
            None => tenant != AUDIT_TENANT,
        }
    }

    /// Whether a line is one of those that it is sampled from.
    pub fn matches(&self, line: &Line) -> bool {
        self.is_of(&line.source.tenant) && self.matcher.matches(line)
    }

    /// Whether a line may be one part of a call, whose other parts are waited for.
    pub(crate) fn joins(&self, line: &Line) -> bool {
        self.definition.join.is_some()
            && self.is_of(&line.source.tenant)
            && !line.trace_id.is_empty()
            && !line.span_id.is_empty()
    }

    /// The row of a line that lay at these places, with nothing in it that is to be redacted.
    pub fn row(&self, line: &Line, places: &[LineId], counts: &mut Counts) -> Row {
        let mut cells = Vec::with_capacity(self.fields.len() + CHAT.len());
        if self.has_chat {
            let span = line.span.as_ref();
            let chat = chat::messages(&line.attributes, span.map_or(&[], |span| span.events.as_slice()));
            let (messages, tools) = chat.map(|chat| (chat.messages, chat.tools)).unwrap_or_default();
            let messages = serde_json::to_value(&messages).ok().filter(|_| !messages.is_empty());
            cells.push(messages.map_or(Cell::Null, Cell::Json));
            cells.push(if tools.is_empty() { Cell::Null } else { Cell::Json(tools.into()) });
        }
        cells.extend(self.fields.iter().map(|(path, column)| path.get(line).map_or(Cell::Null, cell).cast(*column)));
        for (at, cell) in cells.iter_mut().enumerate() {
            self.redact(at, cell, counts);
        }
        Row {
            source: places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            tenant: line.source.tenant.clone(),
            trace_id: hex::encode(&line.trace_id),
            time: line.time,
            is_incomplete: line.span.as_ref().is_some_and(|span| span.dropped_attributes > 0),
            cells,
        }
    }

    fn redact(&self, at: usize, cell: &mut Cell, counts: &mut Counts) {
        let before = if self.has_chat { CHAT.len() } else { 0 };
        let column = at.checked_sub(before).and_then(|at| self.fields.get(at)).map_or(Column::Json, |field| field.1);
        let text = match cell {
            Cell::Null => return,
            Cell::Text(text) => std::mem::take(text),
            Cell::Json(value) => {
                if self.redactor.json(at, value, counts) {
                    *cell = Cell::Null;
                }
                return;
            }
            other => {
                // A number may be a secret too; what is left of it has to be one.
                let text = match other.clone().into_json() {
                    serde_json::Value::String(text) => text,
                    value => value.to_string(),
                };
                match self.redactor.text(at, &text, counts) {
                    Redacted::Same => {}
                    Redacted::Changed(text) => *other = Cell::Text(text).cast(column),
                    Redacted::Gone => *other = Cell::Null,
                }
                return;
            }
        };
        *cell = match self.redactor.text(at, &text, counts) {
            Redacted::Same => Cell::Text(text),
            Redacted::Changed(text) => Cell::Text(text),
            Redacted::Gone => Cell::Null,
        };
    }
}

fn cell(found: Found) -> Cell {
    match found {
        Found::Text(text) => Cell::Text(text),
        Found::Int(number) => Cell::Int(number),
        Found::Float(number) => Cell::Float(number),
        Found::Bool(value) => Cell::Bool(value),
        Found::Time(nanos) => Cell::Time(nanos),
        Found::Nested(value) => Cell::Json(value),
    }
}

/// Compiles definitions under one key; cheap to clone.
#[derive(Debug, Clone)]
pub struct Compiler(pub Arc<HmacKey>);

impl Compiler {
    /// Compiles one.
    pub fn compile(&self, definition: Definition) -> Result<Arc<Capture>, String> {
        Capture::new(definition, &self.0).map(Arc::new)
    }
}

#[cfg(test)]
mod tests;
