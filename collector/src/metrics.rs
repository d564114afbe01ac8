//! What the file source tells of itself.

use opentelemetry::metrics::{Counter, Gauge, Meter};

/// Instruments of the file source.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Bytes read from files.
    pub read: Counter<u64>,
    /// Physical lines.
    pub lines: Counter<u64>,
    /// Bytes given to the bus.
    pub sent: Counter<u64>,
    /// Bytes that the bus made durable.
    pub acknowledged: Counter<u64>,
    /// Bytes of files that are not durable on the bus yet.
    pub lag: Gauge<u64>,
    /// Files followed.
    pub files: Gauge<u64>,
    /// Records that were cut at `max_line`.
    pub cut: Counter<u64>,
    /// Lines that did not fit their format.
    pub undecodable: Counter<u64>,
    /// Bytes that went away before they were read.
    pub lost: Counter<u64>,
    /// Batches that the bus did not take.
    pub failed: Counter<u64>,
}

impl Metrics {
    /// Makes the instruments.
    pub fn new(meter: &Meter) -> Self {
        let counter = |name: &'static str, unit: &'static str, text: &'static str| {
            meter.u64_counter(name).with_unit(unit).with_description(text).build()
        };
        Self {
            read: counter("weir_collector_file_read", "By", "Bytes read from files"),
            lines: counter("weir_collector_file_lines", "{line}", "Physical lines read from files"),
            sent: counter("weir_collector_file_sent", "By", "Bytes given to the bus"),
            acknowledged: counter("weir_collector_file_acknowledged", "By", "Bytes that the bus made durable"),
            cut: counter("weir_collector_file_cut_lines", "{line}", "Lines cut at max_line"),
            undecodable: counter(
                "weir_collector_file_undecodable_lines",
                "{line}",
                "Lines that do not fit their format",
            ),
            lost: counter("weir_collector_file_lost", "By", "Bytes that went away before they were read"),
            failed: counter("weir_collector_file_failed_batches", "{batch}", "Batches that the bus did not take"),
            lag: meter
                .u64_gauge("weir_collector_file_lag")
                .with_unit("By")
                .with_description("Bytes not durable yet")
                .build(),
            files: meter
                .u64_gauge("weir_collector_files")
                .with_unit("{file}")
                .with_description("Files followed")
                .build(),
        }
    }
}
