//! What OTLP carries: three requests of one shape.

use weir_proto::topic;

use super::schema::{self, Message};

/// One of OTLP's signals. Their requests have the same shape and the same field numbers: resources, in them scopes, in
/// them records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `ExportLogsServiceRequest`.
    Logs,
    /// `ExportTraceServiceRequest`.
    Traces,
    /// `ExportMetricsServiceRequest`.
    Metrics,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Traces, Self::Metrics];

    /// Name in paths and metrics: `logs`, `traces`, `metrics`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }

    /// Topic of the bus.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::Logs => topic::LOGS,
            Self::Traces => topic::SPANS,
            Self::Metrics => topic::METRICS,
        }
    }

    /// Path over HTTP.
    pub(super) const fn http_path(self) -> &'static str {
        match self {
            Self::Logs => "/v1/logs",
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
        }
    }

    /// Path over gRPC.
    pub(super) const fn grpc_path(self) -> &'static str {
        match self {
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }

    /// Name of the count in a partial success, in JSON.
    pub(super) const fn rejected_name(self) -> &'static str {
        match self {
            Self::Logs => "rejectedLogRecords",
            Self::Traces => "rejectedSpans",
            Self::Metrics => "rejectedDataPoints",
        }
    }

    pub(crate) const fn request(self) -> &'static Message {
        match self {
            Self::Logs => &schema::LOGS_REQUEST,
            Self::Traces => &schema::TRACES_REQUEST,
            Self::Metrics => &schema::METRICS_REQUEST,
        }
    }
}
