//! What a sink does with records on a thread that may block: decide, make rows, write them into the file that is open.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use opentelemetry::KeyValue;
use tokio::time::Instant;
use weir_bus::Partition;
use weir_query::line::{Line, LineId};

use super::batch::{Offer, Record};
use super::metrics::of;
use super::sink::Making;
use crate::capture::{Capture, Joined, Joins, Left, Sampler, Unfinished};
use crate::dataset::{Finished, WriteError, Writer};
use crate::redact::Counts;

/// The hands of a sink: it is given away to a thread that may block, and comes back.
pub(super) struct Hands {
    pub(super) capture: Arc<Capture>,
    pub(super) sampler: Sampler,
    /// Calls that may have more parts, where the capture joins them.
    joins: Option<Joins>,
    /// What the manifest says of them.
    listed: BTreeMap<Partition, Unfinished>,
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
    /// Whether there is a step to take.
    pub(super) is_moved: bool,
}

/// What was gone through of a partition, for a step of the manifest.
pub(super) struct GoneThrough {
    pub(super) partition: Partition,
    /// `[first, end)`.
    pub(super) offsets: (i64, i64),
    /// What of it, and of what lies before it, was not in a row before, and is not now.
    pub(super) began: Option<Unfinished>,
    pub(super) unfinished: Option<Unfinished>,
}

/// What came of some lines, to be counted.
#[derive(Default)]
struct Tally {
    rows: u64,
    left: HashMap<Left, u64>,
    early: u64,
    redacted: Counts,
}

impl Hands {
    pub(super) fn new(making: Making, capture: Arc<Capture>) -> Self {
        let sampler = Sampler::new(capture.definition.sample.clone());
        let mut new = Self {
            capture,
            sampler,
            joins: None,
            listed: BTreeMap::new(),
            making,
            instances: 1,
            open: Open::default(),
        };
        new.forget_joins();
        new
    }

    /// Goes through a batch from its record `at` on, until the file is full; gives the record to go on with, if any.
    pub(super) fn take(&mut self, offer: &Offer, at: usize) -> Result<Option<usize>, WriteError> {
        let batch = &offer.batch;
        let (mut tally, now) = (Tally::default(), Instant::now());
        let mut stopped = None;
        // What lies before the record to go on with is in the file that was full.
        let first = at.checked_sub(1).map_or(offer.follows, |last| batch.records[last].offset + 1);
        let first = first.max(self.through(&batch.partition));
        self.open.positions.entry(batch.partition.clone()).or_insert((first, first));
        for (number, record) in batch.records.iter().enumerate().skip(at) {
            if record.offset < offer.from {
                continue;
            }
            self.take_record(record, &batch.lines[record.lines.clone()], now, &mut tally)?;
            self.gone_through(&batch.partition, record.offset + 1);
            if self.is_full() && number + 1 < batch.records.len() {
                stopped = Some(number + 1);
                break;
            }
        }
        // What cannot be decoded is gone through as well.
        if stopped.is_none() {
            self.gone_through(&batch.partition, batch.end);
        }
        self.count(tally);
        Ok(stopped)
    }

    fn take_record(
        &mut self,
        record: &Record,
        lines: &[Line],
        now: Instant,
        tally: &mut Tally,
    ) -> Result<(), WriteError> {
        for line in lines {
            if self.joins.as_ref().is_some_and(|joins| !joins.wants(line.id)) {
                continue;
            }
            match self.joins.as_mut().filter(|_| self.capture.joins(line)) {
                Some(joins) => {
                    if let Some(early) = joins.add(line.clone(), record.arrival_ms, now) {
                        self.take_joined(&early, now, tally)?;
                    }
                }
                None => self.take_line(line, &[line.id], now, tally)?,
            }
        }
        let Some((joins, line)) = self.joins.as_mut().zip(lines.first()) else { return Ok(()) };
        for joined in joins.advance(line.id.partition, record.offset + 1, record.arrival_ms) {
            self.take_joined(&joined, now, tally)?;
        }
        Ok(())
    }

    fn take_line(&mut self, line: &Line, places: &[LineId], now: Instant, tally: &mut Tally) -> Result<(), WriteError> {
        if !self.capture.matches(line) {
            return Ok(());
        }
        match self.sampler.takes(line, self.making.signals.as_ref(), self.instances, now) {
            Ok(()) => {
                let row = self.capture.row(line, places, &mut tally.redacted);
                self.writer(now)?.append(row)?;
                tally.rows += 1;
            }
            Err(why) => *tally.left.entry(why).or_insert(0) += 1,
        }
        Ok(())
    }

    fn take_joined(&mut self, joined: &Joined, now: Instant, tally: &mut Tally) -> Result<(), WriteError> {
        tally.early += u64::from(joined.is_early);
        self.take_line(&joined.line, &joined.places, now, tally)
    }

    /// Takes the calls whose other parts were waited for long enough; with `all`, every one.
    pub(super) fn end_joins(&mut self, all: bool) -> Result<(), WriteError> {
        let now = Instant::now();
        let Some(joins) = &mut self.joins else { return Ok(()) };
        let ended = if all { joins.end_all() } else { joins.end_due(now) };
        let mut tally = Tally::default();
        for joined in ended {
            self.take_joined(&joined, now, &mut tally)?;
            self.open.is_moved = true;
            if let Some(id) = joined.places.first() {
                let partition = Partition::new(self.capture.source().topic(), id.partition);
                let through = self.through(&partition);
                self.open.positions.entry(partition).or_insert((through, through));
            }
        }
        self.count(tally);
        Ok(())
    }

    /// When [`Hands::end_joins`] has something to do.
    pub(super) fn joins_due(&self) -> Option<Instant> {
        self.joins.as_ref().and_then(Joins::due)
    }

    /// What was gone through since it was asked before.
    pub(super) fn gone_through_now(&mut self) -> Vec<GoneThrough> {
        let positions = std::mem::take(&mut self.open.positions);
        self.open.is_moved = false;
        let unfinished = |partition: i32| self.joins.as_ref().and_then(|joins| joins.unfinished(partition));
        let (mut listed, mut all) = (std::mem::take(&mut self.listed), Vec::with_capacity(positions.len()));
        for (partition, offsets) in positions {
            let (began, unfinished) = (listed.remove(&partition), unfinished(partition.partition));
            if let Some(unfinished) = &unfinished {
                listed.insert(partition.clone(), unfinished.clone());
            }
            all.push(GoneThrough { partition, offsets, began, unfinished });
        }
        self.listed = listed;
        all
    }

    /// Joins, or joins no more, as the capture is defined now; what was gone through before a restart stays so.
    pub(super) fn join_as_defined(&mut self) {
        let within = self.capture.definition.join.map(|join| join.within.0);
        match (&mut self.joins, within) {
            (Some(joins), within) => joins.wait(within.unwrap_or_default()),
            (None, Some(within)) => self.joins = Some(Joins::new(within)),
            (None, None) => {}
        }
    }

    /// Takes what the capture is now.
    pub(super) fn define(&mut self, capture: Arc<Capture>) {
        if self.capture.definition.sample != capture.definition.sample {
            self.sampler = Sampler::new(capture.definition.sample.clone());
        }
        self.capture = capture;
    }

    /// No call is open.
    pub(super) fn forget_joins(&mut self) {
        self.listed.clear();
        self.joins = self.capture.definition.join.map(|join| Joins::new(join.within.0));
    }

    /// Goes on with what the manifest says of a partition.
    pub(super) fn restore(&mut self, partition: &Partition, unfinished: &Unfinished) {
        // Where calls are joined no more, their parts are rows, as all others are.
        let joins = self.joins.get_or_insert_with(|| Joins::new(std::time::Duration::ZERO));
        joins.restore(partition.partition, unfinished);
        self.listed.insert(partition.clone(), unfinished.clone());
    }

    /// Before this, a partition was gone through before a restart.
    fn through(&self, partition: &Partition) -> i64 {
        self.joins.as_ref().map_or(0, |joins| joins.through(partition.partition))
    }

    fn gone_through(&mut self, partition: &Partition, end: i64) {
        if let Some(joins) = &mut self.joins {
            joins.gone_through(partition.partition, end);
        }
        if let Some(open) = self.open.positions.get_mut(partition) {
            let end = end.max(open.1);
            self.open.is_moved |= end != open.1;
            open.1 = end;
        }
    }

    fn count(&self, tally: Tally) {
        let metrics = &self.making.metrics;
        let capture = of(&self.capture.definition.name);
        metrics.rows.add(tally.rows, std::slice::from_ref(&capture));
        for (why, count) in tally.left {
            metrics.left.add(count, &[capture.clone(), KeyValue::new("reason", why.name())]);
        }
        if tally.early > 0 {
            metrics.joined_early.add(tally.early, std::slice::from_ref(&capture));
        }
        for (pattern, count) in tally.redacted.iter().filter(|(_, count)| *count > 0) {
            metrics.redacted.add(count, &[capture.clone(), KeyValue::new("pattern", pattern)]);
        }
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
        self.forget_joins();
    }
}
