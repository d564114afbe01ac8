//! What the file source tells of itself.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

use crate::file::Counts;

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
    /// Records that were cut at `max_line`, by the file's path.
    pub cut: Counter<u64>,
    /// Lines that did not fit their format, by the file's path.
    pub undecodable: Counter<u64>,
    /// Bytes that went away before they were read, by the file's path.
    pub lost: Counter<u64>,
    /// Batches that the bus did not take.
    pub failed: Counter<u64>,
}

impl Metrics {
    /// Counts what was read of the file at `path`.
    pub(crate) fn count(&self, path: &str, counts: Counts) {
        if counts.lines > 0 {
            self.lines.add(counts.lines, &[]);
        }
        for (counter, count) in [(&self.cut, counts.cut), (&self.undecodable, counts.undecodable)] {
            if count > 0 {
                counter.add(count, &[KeyValue::new("path", path.to_owned())]);
            }
        }
    }

    /// So many bytes of the file at `path` will never be on the bus.
    pub(crate) fn lose(&self, path: &str, bytes: u64) {
        if bytes > 0 {
            self.lost.add(bytes, &[KeyValue::new("path", path.to_owned())]);
            tracing::warn!(path, bytes, "a file, or a part of it, went away before it was on the bus");
        }
    }

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
