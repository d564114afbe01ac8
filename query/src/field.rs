//! Names of fields, as queries and captures write them.

use crate::error::CompileError;
use crate::pattern;

/// A field that every line may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Body,
    /// A value of a body that is a JSON object.
    OfBody(String),
    /// What the body says.
    Message,
    Service,
    Tenant,
    TraceId,
    SpanId,
    Severity,
    SeverityText,
    Timestamp,
    Resource(String),
    /// Of the instrumentation scope: its name, its version, or an attribute.
    Scope(String),
    Attribute(String),
    /// An attribute of the resource or of the record.
    Either(String),
}

impl Field {
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "body" => Self::Body,
            "message" => Self::Message,
            "service" => Self::Service,
            "tenant" => Self::Tenant,
            "severity" => Self::Severity,
            "severity_text" => Self::SeverityText,
            "scope" => Self::Scope("name".to_owned()),
            "trace_id" | "trace.id" => Self::TraceId,
            "span_id" | "span.id" => Self::SpanId,
            "timestamp" | "@timestamp" => Self::Timestamp,
            _ => {
                let within = |part: &str| name.strip_prefix(part).map(str::to_owned);
                let of_body = within("body.").map(Self::OfBody);
                let known = of_body.or_else(|| within("resource.").map(Self::Resource));
                known
                    .or_else(|| within("attributes.").map(Self::Attribute))
                    .or_else(|| within("scope.").map(Self::Scope))
                    .unwrap_or_else(|| Self::Either(name.to_owned()))
            }
        }
    }
}

/// What names of attributes begin with that an index added: no pattern takes them, and all of a line leaves them out.
pub(crate) const HIDDEN: char = '\u{0}';

/// Fields whose names are like a pattern: `attributes.*`, `http.*`, `*`.
#[derive(Debug, Clone)]
pub(crate) struct Names(regex::Regex);

impl Names {
    /// `None` of a name that is none; one takes `size` bytes at most.
    pub(crate) fn of(name: &str, size: usize) -> Result<Option<Self>, CompileError> {
        if name.contains('*') { Ok(Some(Self(pattern::glob(name, true, size)?))) } else { Ok(None) }
    }

    /// Whether it takes a value named so within a part of the line (`attributes.`, `resource.`), which need not be named.
    pub(crate) fn takes(&self, part: &str, name: &str) -> bool {
        !name.starts_with(HIDDEN) && (self.0.is_match(name) || self.0.is_match(&format!("{part}{name}")))
    }

    /// Whether it takes a field by its whole name.
    pub(crate) fn takes_whole(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}
