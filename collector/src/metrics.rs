//! What the file source tells of itself.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Counter, Gauge, Meter};

use crate::file::{Counts, Row, Sources};

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
    /// Lines that did not fit their format or encoding, by the file's path.
    pub undecodable: Counter<u64>,
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

/// Tells of every source at each scrape: what is in its ledger.
pub fn observe(meter: &Meter, sources: &Sources) {
    let of_each = |value: fn(&Row) -> u64| {
        let sources = sources.clone();
        move |seen: &dyn AsyncInstrument<u64>| {
            for row in rows(&sources) {
                seen.observe(value(&row), &[KeyValue::new("path", row.path)]);
            }
        }
    };
    let counter = |name: &'static str, text: &'static str, value| {
        let builder = meter.u64_observable_counter(name).with_unit("By").with_description(text);
        builder.with_callback(of_each(value)).build()
    };
    counter("weir_collector_source_seen", "Bytes that are or were known to be there", |row| row.seen);
    counter("weir_collector_source_acknowledged", "Bytes that are durable on the bus", |row| row.acknowledged);
    let gauge = |name: &'static str, unit: &'static str, text: &'static str, value| {
        let builder = meter.u64_observable_gauge(name).with_unit(unit).with_description(text);
        builder.with_callback(of_each(value)).build()
    };
    gauge("weir_collector_source_waiting", "By", "Bytes that are not durable on the bus yet", |row| row.waiting);
    gauge("weir_collector_source_waiting_time", "s", "How long the oldest of them has waited", |row| {
        row.waiting_seconds
    });
    let sources = sources.clone();
    let lost = meter.u64_observable_counter("weir_collector_source_lost").with_unit("By");
    lost.with_description("Bytes that will never be on the bus, by the reason")
        .with_callback(move |seen| {
            for row in rows(&sources) {
                for (reason, bytes) in row.lost {
                    let path = KeyValue::new("path", row.path.clone());
                    seen.observe(bytes, &[path, KeyValue::new("reason", reason.name())]);
                }
            }
        })
        .build();
}

/// Those that wait first: where there are more than an instrument holds, they are the ones to be told.
fn rows(sources: &Sources) -> Vec<Row> {
    let mut rows = sources.rows();
    rows.sort_by_key(|row| std::cmp::Reverse(row.waiting));
    rows
}
