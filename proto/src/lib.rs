//! weir's wire contracts: what lies on which topic, under which key, with which headers.
//!
//! | topic | value | key |
//! |---|---|---|
//! | [`topic::LOGS`] | `ExportLogsServiceRequest` | source: the file's identity, or the sender |
//! | [`topic::SPANS`] | `ExportTraceServiceRequest` | source |
//! | [`topic::METRICS`] | `ExportMetricsServiceRequest` | source |
//! | [`topic::CALLS`] | [`weir::v1::CallDeltas`](v1::CallDeltas) | `<source topic>/<source partition>` |
//! | [`topic::ALERTS`] | [`weir::v1::AlertState`](v1::AlertState), [`AlertRules`](v1::AlertRules), [`AlertProgress`](v1::AlertProgress) | fingerprint of the alert, `rules`, `progress` |
//! | [`topic::PROGRESS`] | [`weir::v1::CollectorProgress`](v1::CollectorProgress) | the collector's id |
//! | [`topic::NOTIFICATIONS`] | [`weir::v1::Notification`](v1::Notification) | what it is of |
//! | [`topic::DEAD_LETTERS`] | the record that could not be read, as it was | its key |
//!
//! Values of the first three are one OTLP export request in protobuf, exactly as the OpenTelemetry Collector's Kafka
//! exporter writes them (`otlp_proto`), so any OpenTelemetry Collector can feed weir or read from it. All data of one
//! record has one resource, so one tenant. A record stays under [`MAX_RECORD_BYTES`] before compression; one that holds a
//! single span or log record may reach [`MAX_SINGLE_BYTES`], where its topic takes that.
//!
//! **How long records are kept.** weir makes the topics that are not there. The embedded broker keeps a record of any
//! topic for a week, and 20 GB of each topic. On Kafka weir's own topics ([`topic::CALLS`], [`topic::DEAD_LETTERS`])
//! are made with a retention of a week, since quiet partitions of spans write their watermarks to the first for ever;
//! `otlp_*`, and what is there already, are kept as Kafka's operator wants. `bus.retention` of the configuration says
//! otherwise, except that [`topic::ALERTS`] and [`topic::PROGRESS`] are kept for an hour, and [`topic::NOTIFICATIONS`] is compacted, wherever weir makes them. A reader that is behind by more than that has lost what was removed, and can tell by the offsets.
//!
//! **What makes two records the same.** A record that came from a file carries the header [`header::ORIGIN`], an
//! [`Origin`]: the file's identity and the byte range that it holds. Ranges of one identity follow each other, so a
//! reader that keeps the greatest end seen per identity drops what it has seen before. Records without the header are
//! told apart by topic, partition and offset alone.

pub mod metric_name;
mod origin;

pub use opentelemetry_proto::tonic as otlp;
pub use origin::{Origin, OriginError};

/// weir's own messages, generated from `proto/weir/v1/*.proto`.
#[allow(
    missing_docs,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated code; the .proto files hold the documentation"
)]
pub mod v1 {
    tonic::include_proto!("weir.v1");
}

/// What KEDA asks an external scaler, generated from `proto/keda/`, in KEDA's package.
#[allow(
    missing_docs,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated code; the .proto file holds the documentation"
)]
pub mod externalscaler {
    tonic::include_proto!("externalscaler");
}

/// Envoy's messages that weir speaks, generated from `proto/envoy/`, in Envoy's packages.
#[allow(
    missing_docs,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated code; the .proto files hold the documentation"
)]
pub mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                tonic::include_proto!("envoy.config.core.v3");
            }
        }
    }
    pub mod extensions {
        pub mod common {
            pub mod ratelimit {
                pub mod v3 {
                    tonic::include_proto!("envoy.extensions.common.ratelimit.v3");
                }
            }
        }
    }
    pub mod service {
        pub mod ratelimit {
            pub mod v3 {
                tonic::include_proto!("envoy.service.ratelimit.v3");
            }
        }
    }
    pub mod r#type {
        pub mod v3 {
            tonic::include_proto!("envoy.r#type.v3");
        }
    }
}

/// Prometheus' remote write, generated from `proto/prometheus/`.
#[allow(
    missing_docs,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated code; the .proto files hold the documentation"
)]
pub mod prometheus {
    tonic::include_proto!("prometheus");
}

/// Greatest size of a record's value before compression, unless it is a single span or log record.
pub const MAX_RECORD_BYTES: usize = 1_000_000;

/// Greatest size of a value that holds one span or log record alone, with its resource: prompts and completions of
/// models, of several MB, travel whole.
pub const MAX_SINGLE_BYTES: usize = 16 << 20;

/// Topics.
pub mod topic {
    /// OTLP logs.
    pub const LOGS: &str = "otlp_logs";
    /// OTLP spans.
    pub const SPANS: &str = "otlp_spans";
    /// OTLP metrics.
    pub const METRICS: &str = "otlp_metrics";
    /// Call statistics, and the watermarks of partitions where nothing comes.
    pub const CALLS: &str = "weir_calls";
    /// The state of alerts, and how far rules were evaluated; one partition.
    pub const ALERTS: &str = "weir_alerts";
    /// How far each collector has handed over what it had; one partition.
    pub const PROGRESS: &str = "weir_progress";
    /// What several alerters know together of what was told, and silences; one partition, compacted.
    pub const NOTIFICATIONS: &str = "weir_notifications";
    /// Records that no reader could use, with their position and the reason in headers.
    pub const DEAD_LETTERS: &str = "weir_dead_letters";
    /// All of them.
    pub const ALL: [&str; 8] = [LOGS, SPANS, METRICS, CALLS, ALERTS, PROGRESS, NOTIFICATIONS, DEAD_LETTERS];
}

/// Record headers.
pub mod header {
    /// `file/<identity>/<start>-<end>`: see [`crate::Origin`].
    pub const ORIGIN: &str = "weir-origin";
    /// On a dead letter: `<topic>/<partition>/<offset>` of the record.
    pub const DEAD_POSITION: &str = "weir-dead-position";
    /// On a dead letter: why it could not be used.
    pub const DEAD_REASON: &str = "weir-dead-reason";
}

/// Attributes that weir itself sets.
pub mod attribute {
    /// Resource attribute: the tenant. On every record.
    pub const TENANT: &str = "weir.tenant";
    /// Log record attribute: byte offset of the line in its file.
    pub const FILE_OFFSET: &str = "log.file.offset";
    /// Log record attribute, true: the line was longer than the limit and was cut there.
    pub const TRUNCATED: &str = "weir.truncated";
    /// Log record attribute, true: the line was not in the encoding of its file, which is UTF-8 where none is set; its
    /// body is a bytes value, as it stands in the file.
    pub const NOT_UTF8: &str = "weir.not_utf8";
    /// Log record attribute of an event `weir.loss`: why a range of a file will never be on the bus.
    pub const LOSS_REASON: &str = "weir.loss.reason";
    /// The same: first byte of the range.
    pub const LOSS_START: &str = "weir.loss.start";
    /// The same: the byte behind the range.
    pub const LOSS_END: &str = "weir.loss.end";
    /// The same: the generation of the file, as in its origins.
    pub const LOSS_IDENTITY: &str = "weir.loss.identity";
}
