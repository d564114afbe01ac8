//! One pass over records: which lines the capture takes, and the rows of the newest of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use weir_bus::Message;
use weir_query::decode::Sources;
use weir_query::line::{Line, LineId};

use super::read::Stretch;
use crate::capture::{Capture, Joined, Joins, Sampler, Signals};
use crate::definition::{Sample, Source};
use crate::feed::{Batch, by_partition};
use crate::redact::Counts;
use crate::row::{Row, all_heads};

/// Most rows of an answer, and about their memory; a row may be larger by itself.
pub(crate) const MAX_ROWS: usize = 10;
const MAX_ROW_BYTES: usize = 8 << 20;

/// What is asked for. It is held until all work for it has ended, and its place with it.
pub(super) struct Wanted {
    pub(super) capture: Arc<Capture>,
    pub(super) signals: Arc<dyn Signals>,
    pub(super) limit: usize,
    /// When records came, in milliseconds since the epoch: the first that counts, and when it was asked.
    pub(super) start_ms: i64,
    pub(super) until_ms: i64,
    pub(super) _place: OwnedSemaphorePermit,
}

/// What a preview shows.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Newest first, by event time.
    pub(crate) rows: Vec<Map<String, Value>>,
    /// Lines of the capture's tenants, and those of them that it takes.
    pub(crate) scanned: u64,
    pub(crate) matched: u64,
    /// Lines that match and are not taken, by the reason.
    pub(crate) left: BTreeMap<&'static str, u64>,
    /// Unix milliseconds between which the records that were read came.
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
    /// Whether these are all that came since the start that was asked for.
    pub(crate) is_complete: bool,
}

/// Records are given to it in the order of their partition.
pub(super) struct Pass {
    wanted: Arc<Wanted>,
    sampler: Sampler,
    joins: Option<Joins>,
    sources: Sources,
    /// The newest that are taken, by event time and place, with the places of their parts.
    newest: BTreeMap<(i64, LineId), (Line, Vec<LineId>)>,
    found: Found,
    records: usize,
    bytes: usize,
    /// When the first record of each partition came.
    oldest_ms: BTreeMap<i32, i64>,
}

impl Pass {
    pub(super) fn new(wanted: Arc<Wanted>) -> Self {
        let definition = &wanted.capture.definition;
        // The rest of a sample says how many rows are kept, or when: a few of all show more.
        let Sample { slower_than, errors_only, .. } = definition.sample;
        let sample = Sample { slower_than, errors_only, ..Sample::default() };
        Self {
            sampler: Sampler::new(sample),
            joins: definition.join.map(|join| Joins::new(join.within.0)),
            sources: Sources::default(),
            newest: BTreeMap::new(),
            found: Found::default(),
            records: 0,
            bytes: 0,
            oldest_ms: BTreeMap::new(),
            wanted,
        }
    }

    /// Takes records that follow those before.
    pub(super) fn take(&mut self, messages: Vec<Message>) {
        for mut run in by_partition(messages) {
            let Some(first) = run.first() else { continue };
            let source = Source::of(&first.partition.topic);
            self.oldest_ms.entry(first.partition.partition).or_insert(first.timestamp_ms);
            self.records += run.len();
            self.bytes += run.iter().map(|message| message.value.len()).sum::<usize>();
            run.retain(|message| message.timestamp_ms >= self.wanted.start_ms);
            let Some(offset) = run.first().map(|first| first.offset) else { continue };
            if let (Some(batch), _) = Batch::decode(source, offset, run, &mut self.sources) {
                self.take_batch(&batch);
            }
        }
    }

    fn take_batch(&mut self, batch: &Batch) {
        let now = Instant::now();
        let capture = self.wanted.capture.clone();
        for record in &batch.records {
            let lines = &batch.lines[record.lines.clone()];
            for line in lines {
                // How much others send is not for this credential to know.
                self.found.scanned += u64::from(capture.is_of(&line.source.tenant));
                match self.joins.as_mut().filter(|_| capture.joins(line)) {
                    Some(joins) => {
                        if let Some(early) = joins.add(line.clone(), record.arrival_ms, now) {
                            self.take_joined(&early);
                        }
                    }
                    None => self.take_line(line, &[line.id]),
                }
            }
            let Some((joins, line)) = self.joins.as_mut().zip(lines.first()) else { continue };
            for joined in joins.advance(line.id.partition, record.offset + 1, record.arrival_ms) {
                self.take_joined(&joined);
            }
        }
    }

    fn take_joined(&mut self, joined: &Joined) {
        self.take_line(&joined.line, &joined.places);
    }

    fn take_line(&mut self, line: &Line, places: &[LineId]) {
        if !self.wanted.capture.matches(line) {
            return;
        }
        if let Err(why) = self.sampler.takes(line, self.wanted.signals.as_ref(), 1, Instant::now()) {
            *self.found.left.entry(why.name()).or_default() += 1;
            return;
        }
        self.found.matched += 1;
        let at = (line.time, line.id);
        if self.newest.len() < self.wanted.limit
            || self.newest.first_key_value().is_some_and(|(oldest, _)| *oldest < at)
        {
            self.newest.insert(at, (line.clone(), places.to_vec()));
            if self.newest.len() > self.wanted.limit {
                self.newest.pop_first();
            }
        }
    }

    /// Records that were read, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.records, self.bytes)
    }

    /// Whether there are as many rows as are wanted.
    pub(super) fn has_enough(&self) -> bool {
        self.newest.len() >= self.wanted.limit
    }

    /// Whether a stretch begins before the start.
    pub(super) fn is_past(&self, stretch: &Stretch) -> bool {
        self.oldest_ms.get(&stretch.partition.partition).is_some_and(|oldest| *oldest < self.wanted.start_ms)
    }

    /// Nothing follows: calls that may have more parts are what they are.
    pub(super) fn end(&mut self) {
        for joined in self.joins.as_mut().map(Joins::end_all).unwrap_or_default() {
            self.take_joined(&joined);
        }
    }

    /// What came of it, once it was ended; `is_complete` says that it reached back to the start.
    pub(super) fn found(self, is_complete: bool) -> Found {
        let (wanted, mut found) = (self.wanted, self.found);
        let heads = all_heads(&wanted.capture.definition);
        let mut bytes = 0;
        for (line, places) in self.newest.into_values().rev() {
            let row = wanted.capture.row(&line, &places, &mut Counts::default());
            bytes += row.memory();
            if !found.rows.is_empty() && bytes > MAX_ROW_BYTES {
                break;
            }
            let names = heads.iter().map(|head| head.name.clone());
            found.rows.push(names.zip(cells(row).map(crate::row::Cell::into_json)).collect());
        }
        let oldest_ms = self.oldest_ms.values().min().copied().unwrap_or(wanted.until_ms);
        found.from_ms = if is_complete { wanted.start_ms } else { oldest_ms.max(wanted.start_ms) };
        found.until_ms = wanted.until_ms;
        found.is_complete = is_complete;
        found
    }
}

/// All cells of a row, those that weir adds last.
fn cells(mut row: Row) -> impl Iterator<Item = crate::row::Cell> {
    let added = row.added();
    std::mem::take(&mut row.cells).into_iter().chain(added)
}
