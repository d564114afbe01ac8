//! OTLP's messages as tables: one description from which protobuf is checked and JSON is read. Field numbers and names
//! are those of opentelemetry-proto 1.x; a test holds the tables to the generated code.

use self::Kind::{
    Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int32, Int64, Sfixed64, Sint32, String, Uint32, Uint64,
};

/// A message and its fields.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A field, under its JSON name.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) repeated: bool,
}

/// How a field is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    String,
    /// Base64 in JSON.
    Bytes,
    /// Bytes that are hex in JSON: trace and span ids.
    Id,
    Bool,
    Double,
    Fixed64,
    Sfixed64,
    Fixed32,
    Int64,
    Uint64,
    Int32,
    Uint32,
    Sint32,
    Enum(&'static Names),
    Nested(&'static Message),
}

/// The names of an enumeration: the prefix that all have, and the rest of each, by number from 0.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) prefix: &'static str,
    pub(crate) names: &'static [&'static str],
}

impl Message {
    /// Fields stand in the order of their numbers, so one is at its number or a little before.
    #[inline]
    pub(crate) fn by_number(&self, number: u32) -> Option<&'static Field> {
        let near = self.fields.get(..number as usize).unwrap_or(self.fields);
        near.iter().rev().take_while(|field| field.number >= number).find(|field| field.number == number)
    }

    /// By the JSON name, or by the protobuf name, as protobuf's JSON readers take both.
    pub(crate) fn by_name(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name || (name.contains('_') && is_snake_of(name, field.name)))
    }
}

fn is_snake_of(snake: &str, camel: &str) -> bool {
    let mut rest = camel.bytes();
    let mut raise = false;
    for byte in snake.bytes() {
        if byte == b'_' {
            raise = true;
            continue;
        }
        let byte = if std::mem::take(&mut raise) { byte.to_ascii_uppercase() } else { byte };
        if rest.next() != Some(byte) {
            return false;
        }
    }
    rest.next().is_none()
}

impl Names {
    /// The number of a name, with or without the prefix.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        let short = name.strip_prefix(self.prefix).unwrap_or(name);
        self.names.iter().position(|known| *known == short)
    }
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: false }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind, repeated: true }
}

const fn nested(message: &'static Message) -> Kind {
    Kind::Nested(message)
}

static SEVERITY: Names = Names {
    prefix: "SEVERITY_NUMBER_",
    names: &[
        "UNSPECIFIED",
        "TRACE",
        "TRACE2",
        "TRACE3",
        "TRACE4",
        "DEBUG",
        "DEBUG2",
        "DEBUG3",
        "DEBUG4",
        "INFO",
        "INFO2",
        "INFO3",
        "INFO4",
        "WARN",
        "WARN2",
        "WARN3",
        "WARN4",
        "ERROR",
        "ERROR2",
        "ERROR3",
        "ERROR4",
        "FATAL",
        "FATAL2",
        "FATAL3",
        "FATAL4",
    ],
};
static SPAN_KIND: Names =
    Names { prefix: "SPAN_KIND_", names: &["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"] };
static STATUS_CODE: Names = Names { prefix: "STATUS_CODE_", names: &["UNSET", "OK", "ERROR"] };
static TEMPORALITY: Names =
    Names { prefix: "AGGREGATION_TEMPORALITY_", names: &["UNSPECIFIED", "DELTA", "CUMULATIVE"] };
static ANY_VALUE: Message = Message {
    name: "AnyValue",
    fields: &[
        one(1, "stringValue", String),
        one(2, "boolValue", Bool),
        one(3, "intValue", Int64),
        one(4, "doubleValue", Double),
        one(5, "arrayValue", nested(&ARRAY_VALUE)),
        one(6, "kvlistValue", nested(&KEY_VALUE_LIST)),
        one(7, "bytesValue", Bytes),
        one(8, "stringValueStrindex", Int32),
    ],
};
static ARRAY_VALUE: Message = Message { name: "ArrayValue", fields: &[many(1, "values", nested(&ANY_VALUE))] };
static KEY_VALUE_LIST: Message = Message { name: "KeyValueList", fields: &[many(1, "values", nested(&KEY_VALUE))] };
static KEY_VALUE: Message = Message {
    name: "KeyValue",
    fields: &[one(1, "key", String), one(2, "value", nested(&ANY_VALUE)), one(3, "keyStrindex", Int32)],
};
static SCOPE: Message = Message {
    name: "InstrumentationScope",
    fields: &[
        one(1, "name", String),
        one(2, "version", String),
        many(3, "attributes", nested(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Uint32),
    ],
};
static ENTITY_REF: Message = Message {
    name: "EntityRef",
    fields: &[
        one(1, "schemaUrl", String),
        one(2, "type", String),
        many(3, "idKeys", String),
        many(4, "descriptionKeys", String),
    ],
};
static RESOURCE: Message = Message {
    name: "Resource",
    fields: &[
        many(1, "attributes", nested(&KEY_VALUE)),
        one(2, "droppedAttributesCount", Uint32),
        many(3, "entityRefs", nested(&ENTITY_REF)),
    ],
};
pub(crate) static LOGS_REQUEST: Message =
    Message { name: "ExportLogsServiceRequest", fields: &[many(1, "resourceLogs", nested(&RESOURCE_LOGS))] };
static RESOURCE_LOGS: Message = Message {
    name: "ResourceLogs",
    fields: &[
        one(1, "resource", nested(&RESOURCE)),
        many(2, "scopeLogs", nested(&SCOPE_LOGS)),
        one(3, "schemaUrl", String),
    ],
};
static SCOPE_LOGS: Message = Message {
    name: "ScopeLogs",
    fields: &[one(1, "scope", nested(&SCOPE)), many(2, "logRecords", nested(&LOG_RECORD)), one(3, "schemaUrl", String)],
};
static LOG_RECORD: Message = Message {
    name: "LogRecord",
    fields: &[
        one(1, "timeUnixNano", Fixed64),
        one(2, "severityNumber", Enum(&SEVERITY)),
        one(3, "severityText", String),
        one(5, "body", nested(&ANY_VALUE)),
        many(6, "attributes", nested(&KEY_VALUE)),
        one(7, "droppedAttributesCount", Uint32),
        one(8, "flags", Fixed32),
        one(9, "traceId", Id),
        one(10, "spanId", Id),
        one(11, "observedTimeUnixNano", Fixed64),
        one(12, "eventName", String),
    ],
};
pub(crate) static TRACES_REQUEST: Message =
    Message { name: "ExportTraceServiceRequest", fields: &[many(1, "resourceSpans", nested(&RESOURCE_SPANS))] };
static RESOURCE_SPANS: Message = Message {
    name: "ResourceSpans",
    fields: &[
        one(1, "resource", nested(&RESOURCE)),
        many(2, "scopeSpans", nested(&SCOPE_SPANS)),
        one(3, "schemaUrl", String),
    ],
};
static SCOPE_SPANS: Message = Message {
    name: "ScopeSpans",
    fields: &[one(1, "scope", nested(&SCOPE)), many(2, "spans", nested(&SPAN)), one(3, "schemaUrl", String)],
};
static SPAN: Message = Message {
    name: "Span",
    fields: &[
        one(1, "traceId", Id),
        one(2, "spanId", Id),
        one(3, "traceState", String),
        one(4, "parentSpanId", Id),
        one(5, "name", String),
        one(6, "kind", Enum(&SPAN_KIND)),
        one(7, "startTimeUnixNano", Fixed64),
        one(8, "endTimeUnixNano", Fixed64),
        many(9, "attributes", nested(&KEY_VALUE)),
        one(10, "droppedAttributesCount", Uint32),
        many(11, "events", nested(&EVENT)),
        one(12, "droppedEventsCount", Uint32),
        many(13, "links", nested(&LINK)),
        one(14, "droppedLinksCount", Uint32),
        one(15, "status", nested(&STATUS)),
        one(16, "flags", Fixed32),
    ],
};
static EVENT: Message = Message {
    name: "Event",
    fields: &[
        one(1, "timeUnixNano", Fixed64),
        one(2, "name", String),
        many(3, "attributes", nested(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Uint32),
    ],
};
static LINK: Message = Message {
    name: "Link",
    fields: &[
        one(1, "traceId", Id),
        one(2, "spanId", Id),
        one(3, "traceState", String),
        many(4, "attributes", nested(&KEY_VALUE)),
        one(5, "droppedAttributesCount", Uint32),
        one(6, "flags", Fixed32),
    ],
};
static STATUS: Message =
    Message { name: "Status", fields: &[one(2, "message", String), one(3, "code", Enum(&STATUS_CODE))] };
pub(crate) static METRICS_REQUEST: Message =
    Message { name: "ExportMetricsServiceRequest", fields: &[many(1, "resourceMetrics", nested(&RESOURCE_METRICS))] };
static RESOURCE_METRICS: Message = Message {
    name: "ResourceMetrics",
    fields: &[
        one(1, "resource", nested(&RESOURCE)),
        many(2, "scopeMetrics", nested(&SCOPE_METRICS)),
        one(3, "schemaUrl", String),
    ],
};
static SCOPE_METRICS: Message = Message {
    name: "ScopeMetrics",
    fields: &[one(1, "scope", nested(&SCOPE)), many(2, "metrics", nested(&METRIC)), one(3, "schemaUrl", String)],
};
static METRIC: Message = Message {
    name: "Metric",
    fields: &[
        one(1, "name", String),
        one(2, "description", String),
        one(3, "unit", String),
        one(5, "gauge", nested(&GAUGE)),
        one(7, "sum", nested(&SUM)),
        one(9, "histogram", nested(&HISTOGRAM)),
        one(10, "exponentialHistogram", nested(&EXPONENTIAL_HISTOGRAM)),
        one(11, "summary", nested(&SUMMARY)),
        many(12, "metadata", nested(&KEY_VALUE)),
    ],
};
static GAUGE: Message = Message { name: "Gauge", fields: &[many(1, "dataPoints", nested(&NUMBER_POINT))] };
static SUM: Message = Message {
    name: "Sum",
    fields: &[
        many(1, "dataPoints", nested(&NUMBER_POINT)),
        one(2, "aggregationTemporality", Enum(&TEMPORALITY)),
        one(3, "isMonotonic", Bool),
    ],
};
static HISTOGRAM: Message = Message {
    name: "Histogram",
    fields: &[many(1, "dataPoints", nested(&HISTOGRAM_POINT)), one(2, "aggregationTemporality", Enum(&TEMPORALITY))],
};
static EXPONENTIAL_HISTOGRAM: Message = Message {
    name: "ExponentialHistogram",
    fields: &[many(1, "dataPoints", nested(&EXPONENTIAL_POINT)), one(2, "aggregationTemporality", Enum(&TEMPORALITY))],
};
static SUMMARY: Message = Message { name: "Summary", fields: &[many(1, "dataPoints", nested(&SUMMARY_POINT))] };
static NUMBER_POINT: Message = Message {
    name: "NumberDataPoint",
    fields: &[
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "asDouble", Double),
        many(5, "exemplars", nested(&EXEMPLAR)),
        one(6, "asInt", Sfixed64),
        many(7, "attributes", nested(&KEY_VALUE)),
        one(8, "flags", Uint32),
    ],
};
static HISTOGRAM_POINT: Message = Message {
    name: "HistogramDataPoint",
    fields: &[
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        many(6, "bucketCounts", Fixed64),
        many(7, "explicitBounds", Double),
        many(8, "exemplars", nested(&EXEMPLAR)),
        many(9, "attributes", nested(&KEY_VALUE)),
        one(10, "flags", Uint32),
        one(11, "min", Double),
        one(12, "max", Double),
    ],
};
static EXPONENTIAL_POINT: Message = Message {
    name: "ExponentialHistogramDataPoint",
    fields: &[
        many(1, "attributes", nested(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        one(6, "scale", Sint32),
        one(7, "zeroCount", Fixed64),
        one(8, "positive", nested(&BUCKETS)),
        one(9, "negative", nested(&BUCKETS)),
        one(10, "flags", Uint32),
        many(11, "exemplars", nested(&EXEMPLAR)),
        one(12, "min", Double),
        one(13, "max", Double),
        one(14, "zeroThreshold", Double),
    ],
};
static BUCKETS: Message =
    Message { name: "Buckets", fields: &[one(1, "offset", Sint32), many(2, "bucketCounts", Uint64)] };
static SUMMARY_POINT: Message = Message {
    name: "SummaryDataPoint",
    fields: &[
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        many(6, "quantileValues", nested(&QUANTILE)),
        many(7, "attributes", nested(&KEY_VALUE)),
        one(8, "flags", Uint32),
    ],
};
static QUANTILE: Message =
    Message { name: "ValueAtQuantile", fields: &[one(1, "quantile", Double), one(2, "value", Double)] };
static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        one(2, "timeUnixNano", Fixed64),
        one(3, "asDouble", Double),
        one(4, "spanId", Id),
        one(5, "traceId", Id),
        one(6, "asInt", Sfixed64),
        many(7, "filteredAttributes", nested(&KEY_VALUE)),
    ],
};
