//! What captures do, counted by capture.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

/// Instruments; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) rows: Counter<u64>,
    pub(crate) left: Counter<u64>,
    pub(crate) redacted: Counter<u64>,
    pub(crate) skipped: Counter<u64>,
    pub(crate) waits: Counter<u64>,
    pub(crate) joined_early: Counter<u64>,
    pub(crate) files: Counter<u64>,
    pub(crate) bytes: Counter<u64>,
    pub(crate) errors: Counter<u64>,
    pub(crate) lost: Counter<u64>,
    pub(crate) undecodable: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        Self {
            rows: counter("weir_reflow_rows", "Rows that were taken"),
            left: counter("weir_reflow_left", "Lines that match and were not taken, by the reason"),
            redacted: counter("weir_reflow_redacted", "What was found in fields and taken out, by the pattern"),
            skipped: counter(
                "weir_reflow_skipped",
                "Lines that nobody looked at, since the dataset could not be written",
            ),
            waits: counter(
                "weir_reflow_waits",
                "How often a capture fell behind, since its dataset could not be written",
            ),
            joined_early: counter(
                "weir_reflow_joined_early",
                "Calls that were ended before their time, since too many had parts to wait for",
            ),
            files: counter("weir_reflow_files", "Files that were listed"),
            bytes: counter("weir_reflow_bytes", "Their bytes"),
            errors: counter("weir_reflow_errors", "Failed tries to write a dataset"),
            lost: counter("weir_reflow_lost", "Offsets that the bus no longer had when a capture came to them"),
            undecodable: counter("weir_reflow_undecodable", "Records that could not be decoded"),
        }
    }
}

/// The attribute of a capture.
pub(crate) fn of(capture: &str) -> KeyValue {
    KeyValue::new("capture", capture.to_owned())
}
