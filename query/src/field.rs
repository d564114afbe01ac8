//! Names of fields, as queries and captures write them.

/// A field that every line may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Body,
    Service,
    Tenant,
    TraceId,
    SpanId,
    Severity,
    Timestamp,
    Resource(String),
    Attribute(String),
    /// An attribute of the resource or of the record.
    Either(String),
}

impl Field {
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "body" => Self::Body,
            "service" => Self::Service,
            "tenant" => Self::Tenant,
            "severity" => Self::Severity,
            "trace_id" => Self::TraceId,
            "span_id" => Self::SpanId,
            "timestamp" => Self::Timestamp,
            _ => match (name.strip_prefix("resource."), name.strip_prefix("attributes.")) {
                (Some(name), _) => Self::Resource(name.to_owned()),
                (_, Some(name)) => Self::Attribute(name.to_owned()),
                _ => Self::Either(name.to_owned()),
            },
        }
    }
}
