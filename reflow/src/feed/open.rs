//! What a sink does with records on a thread that may block: decide, make rows, write them into the file that is open.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;
use weir_bus::Partition;

use super::batch::Offer;
use super::metrics::of;
use super::sink::Making;
use crate::capture::{Capture, Sampler};
use crate::dataset::{Finished, WriteError, Writer};
use crate::redact::Counts;

/// The hands of a sink: it is given away to a thread that may block, and comes back.
pub(super) struct Hands {
    pub(super) capture: Arc<Capture>,
    pub(super) sampler: Sampler,
    making: Making,
    /// That the rows of a minute are divided among.
    pub(super) instances: i32,
    pub(super) open: Open,
}

/// What was gone through since the last step of the manifest.
#[derive(Default)]
pub(super) struct Open {
    /// Offsets `[first, end)`.
    pub(super) positions: BTreeMap<Partition, (i64, i64)>,
    /// Made with the first row.
    pub(super) file: Option<(Writer, Instant)>,
}

impl Hands {
    pub(super) fn new(making: Making, capture: Arc<Capture>) -> Self {
        let sampler = Sampler::new(capture.definition.sample.clone());
        Self { capture, sampler, making, instances: 1, open: Open::default() }
    }

    /// Goes through a batch from its record `at` on, until the file is full; gives the record to go on with, if any.
    pub(super) fn take(&mut self, offer: &Offer, at: usize) -> Result<Option<usize>, WriteError> {
        let batch = &offer.batch;
        let mut counts = Counts::default();
        let (mut rows, mut left) = (0_u64, std::collections::HashMap::new());
        let now = Instant::now();
        let mut stopped = None;
        // What lies before the record to go on with is in the file that was full.
        let first = at.checked_sub(1).map_or(offer.follows, |last| batch.records[last].0 + 1);
        self.open.positions.entry(batch.partition.clone()).or_insert((first, first));
        for (number, (offset, lines)) in batch.records.iter().enumerate().skip(at) {
            if *offset < offer.from {
                continue;
            }
            for line in &batch.lines[lines.clone()] {
                if !self.capture.matches(line) {
                    continue;
                }
                match self.sampler.takes(line, self.making.signals.as_ref(), self.instances, now) {
                    Ok(()) => {
                        let row = self.capture.row(line, &mut counts);
                        self.writer(now)?.append(row)?;
                        rows += 1;
                    }
                    Err(why) => *left.entry(why).or_insert(0_u64) += 1,
                }
            }
            if let Some(open) = self.open.positions.get_mut(&batch.partition) {
                open.1 = offset + 1;
            }
            if self.is_full() && number + 1 < batch.records.len() {
                stopped = Some(number + 1);
                break;
            }
        }
        // What cannot be decoded is gone through as well.
        if let Some(open) = self.open.positions.get_mut(&batch.partition).filter(|_| stopped.is_none()) {
            open.1 = batch.end;
        }
        let capture = of(&self.capture.definition.name);
        self.making.metrics.rows.add(rows, std::slice::from_ref(&capture));
        for (why, count) in left {
            self.making.metrics.left.add(count, &[capture.clone(), opentelemetry::KeyValue::new("reason", why.name())]);
        }
        for (pattern, count) in counts.iter().filter(|(_, count)| *count > 0) {
            self.making
                .metrics
                .redacted
                .add(count, &[capture.clone(), opentelemetry::KeyValue::new("pattern", pattern)]);
        }
        Ok(stopped)
    }

    fn writer(&mut self, now: Instant) -> Result<&mut Writer, WriteError> {
        if self.open.file.is_none() {
            let number = self.making.made.fetch_add(1, Ordering::Relaxed);
            let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
            let ending = self.capture.definition.format.ending();
            let name = format!("{time}-{}-{number}.{ending}", self.making.run_name());
            let writer = Writer::create(&self.making.folder.join(name), &self.capture.definition)?;
            self.open.file = Some((writer, now));
        }
        match &mut self.open.file {
            Some((writer, _)) => Ok(writer),
            None => unreachable!("it was made above"),
        }
    }

    /// Whether the file has as many rows or bytes as it should.
    pub(super) fn is_full(&self) -> bool {
        let roll = self.capture.definition.roll;
        self.open.file.as_ref().is_some_and(|(file, _)| file.rows() >= roll.rows || file.bytes() >= roll.size.0)
    }

    /// Ends the file, if there is one.
    pub(super) fn finish(&mut self) -> Result<Option<Finished>, WriteError> {
        self.open.file.take().map(|(file, _)| file.finish()).transpose()
    }

    /// Forgets what was gone through and is not in the manifest.
    pub(super) fn discard(&mut self) {
        if let Some((file, _)) = std::mem::take(&mut self.open).file {
            let path = file.path().to_owned();
            drop(file);
            let _ = std::fs::remove_file(path);
        }
    }
}
