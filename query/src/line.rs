//! A log record or a span as ingest, chunks, the matcher, captures and the API all see it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use weir_proto::otlp::common::v1::any_value::Value;

/// What the lines of one source share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Source {
    /// `weir.tenant`, or `default`.
    pub tenant: String,
    /// `service.name`, or empty.
    pub service: String,
    /// The resource's attributes, as they came.
    pub resource: Vec<(String, Value)>,
    /// The instrumentation scope: its `name` and its `version`, where it has them, before its attributes as they came.
    pub scope: Vec<(String, Value)>,
}

/// One log line, or one span.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its place on the bus: unique, and the same after a restart.
    pub id: LineId,
    /// Event time in nanoseconds since the epoch: the record's time, else its observed time, else its arrival; of a span
    /// its start.
    pub time: i64,
    /// OTLP severity number, 0 (unknown) to 24.
    pub severity: u8,
    /// Severity as the sender wrote it; may be empty.
    pub severity_text: String,
    /// The body.
    pub body: Body,
    /// Empty, or 16 bytes.
    pub trace_id: Bytes,
    /// Empty, or 8 bytes.
    pub span_id: Bytes,
    /// The record's attributes, as they came.
    pub attributes: Vec<(String, Value)>,
    /// What it shares with the other lines of its source.
    pub source: Arc<Source>,
    /// What it is besides, where it is a span, whose body says nothing to a query; `None` for log records.
    pub span: Option<Box<OfSpan>>,
}

/// What a span has and a log record has not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OfSpan {
    /// Its name.
    pub name: String,
    /// OTLP's number of its kind: see [`OfSpan::kind`].
    pub kind: i32,
    /// OTLP's number of its status: see [`OfSpan::status`].
    pub status: i32,
    /// What its status says; may be empty.
    pub status_message: String,
    /// Empty, or 8 bytes.
    pub parent_span_id: Bytes,
    /// Start as it came, in nanoseconds since the epoch; 0 where it has none.
    pub start: i64,
    /// End as it came, in nanoseconds since the epoch; 0 where it has none.
    pub end: i64,
    /// What a caller calls: see [`crate::decode::span`].
    pub interface: String,
    /// Attributes that its sender left out.
    pub dropped_attributes: u32,
    /// Names and attributes of its events, in order.
    pub events: Vec<(String, Vec<(String, Value)>)>,
}

/// A body: text, bytes that are not UTF-8, or anything else as JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Text; always UTF-8.
    Text(String),
    /// Bytes that are not UTF-8.
    Bytes(Bytes),
    /// A structured body, as JSON text.
    Json(String),
}

/// Place of a line on the bus: partition, offset of its record, number within the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineId {
    /// Partition of `otlp_logs`, or of `otlp_spans`.
    pub partition: i32,
    /// Offset of the record.
    pub offset: i64,
    /// Place within the record, from 0.
    pub index: u32,
}

impl Body {
    /// The body as text; bytes that are not UTF-8 become replacement characters.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Text(text) | Self::Json(text) => text.as_str().into(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes),
        }
    }
}

impl Body {
    /// The body's bytes, whatever it is.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) | Self::Json(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Line {
    /// About the memory that it takes, without its source.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.attributes.len() * size_of::<(String, Value)>() + self.content()
    }

    /// Bytes of what it says: its body, its ids, its attributes, and what it has as a span.
    pub fn content(&self) -> usize {
        self.body.len()
            + self.severity_text.len()
            + self.trace_id.len()
            + self.span_id.len()
            + attribute_bytes(&self.attributes)
            + self.span.as_ref().map_or(0, |span| span.memory())
    }
}

/// The name of OTLP's number of a span's kind: `internal`, `server`, `client`, `producer`, `consumer` or `unspecified`.
pub fn kind(number: i32) -> &'static str {
    match number {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

/// The name of OTLP's number of a span's status: `ok`, `error` or `unset`.
pub fn status(number: i32) -> &'static str {
    match number {
        1 => "ok",
        2 => "error",
        _ => "unset",
    }
}

impl OfSpan {
    /// As [`kind`] names it.
    pub fn kind(&self) -> &'static str {
        kind(self.kind)
    }

    /// As [`status`] names it.
    pub fn status(&self) -> &'static str {
        status(self.status)
    }

    /// How long it took, in nanoseconds: 0 where it ends before it begins, `None` where its start or its end is missing.
    pub fn duration(&self) -> Option<i64> {
        (self.start != 0 && self.end != 0).then(|| self.end.saturating_sub(self.start).max(0))
    }

    fn memory(&self) -> usize {
        let event = |(name, attributes): &(String, Vec<(String, Value)>)| {
            size_of::<(String, Vec<(String, Value)>)>()
                + name.len()
                + attributes.len() * size_of::<(String, Value)>()
                + attribute_bytes(attributes)
        };
        size_of::<Self>()
            + self.name.len()
            + self.status_message.len()
            + self.parent_span_id.len()
            + self.interface.len()
            + self.events.iter().map(event).sum::<usize>()
    }
}

impl Source {
    /// About the memory that it takes.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.tenant.len()
            + self.service.len()
            + (self.scope.len() + self.resource.len()) * size_of::<(String, Value)>()
            + attribute_bytes(&self.scope)
            + attribute_bytes(&self.resource)
    }

    /// Name of the instrumentation scope; empty where it has none.
    pub fn scope_name(&self) -> &str {
        match self.scope.first() {
            Some((key, Value::StringValue(name))) if key == "name" => name,
            _ => "",
        }
    }
}

fn attribute_bytes(attributes: &[(String, Value)]) -> usize {
    attributes.iter().map(|(key, value)| key.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::StringValue(text) => text.len(),
        Value::BytesValue(bytes) => bytes.len(),
        Value::ArrayValue(_) | Value::KvlistValue(_) => {
            let any = weir_proto::otlp::common::v1::AnyValue { value: Some(value.clone()) };
            4 * prost::Message::encoded_len(&any)
        }
        _ => 0,
    }
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.partition, self.offset, self.index)
    }
}

impl FromStr for LineId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no line id: expected PARTITION-OFFSET-NUMBER, as in a hit's `id`");
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().filter(|p| p.bytes().all(|b| b.is_ascii_digit())).ok_or_else(wrong);
        let (partition, offset, index) = (next()?, next()?, next()?);
        let line = (partition.parse(), offset.parse(), index.parse());
        let (Ok(partition), Ok(offset), Ok(index)) = line else { return Err(wrong()) };
        Ok(Self { partition, offset, index })
    }
}
