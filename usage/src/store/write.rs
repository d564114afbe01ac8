//! A batch of what was read, and its one transaction.

use std::collections::BTreeMap;

use ahash::AHashMap;
use sqlx::Row as _;
use weir_bus::Position;
use weir_calls::{Durations, Hdr, Source};

use super::state::State;
use super::{DAY, HOUR, MONTH, Store, StoreError, on, placeholders, rows, set_version, signed, unsigned, write_in};
use crate::cell::{Name, Sums};
use crate::proof::{Fault, FaultKind};
use crate::report::pieces;

/// Rows of one statement.
const CHUNK: usize = 128;

/// A cell by its hour, in unix seconds, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CellKey {
    /// Start of the hour.
    pub hour: i64,
    /// Whose.
    pub name: Name,
}

/// A cumulative counter: what tells it from all others, hashed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterKey(pub String);

/// The last value of a cumulative counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// When it began, in unix nanoseconds.
    pub start: i64,
    /// In microseconds or millijoules.
    pub value: u64,
    /// When it had it, in unix nanoseconds.
    pub time: i64,
}

/// A row of coalesced ranges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RangeKey {
    /// Source topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// How often the topic was made again.
    pub generation: i64,
    /// The hour of the watermark, in unix seconds.
    pub watermark_hour: i64,
}

/// Ranges that follow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Where they begin, and where they end.
    pub offsets: (i64, i64),
    /// Calls: spans, counted, duplicates, rejected.
    pub spans: [u64; 4],
    /// Counted, by the hour of event time.
    pub hours: BTreeMap<i64, u64>,
}

/// Offsets that no range has covered, `[from, to)`.
pub type Gaps = Vec<(i64, i64)>;

/// What was read and is not written yet.
#[derive(Debug, Default)]
pub struct Batch {
    /// What is added to cells.
    pub cells: AHashMap<CellKey, (Sums, Hdr)>,
    /// Ranges that were read.
    pub ranges: BTreeMap<RangeKey, Ranges>,
    /// How far source partitions have come.
    pub sources: BTreeMap<(String, i32), (i64, Source)>,
    /// Last values of counters.
    pub counters: BTreeMap<CounterKey, Counter>,
    /// What was wrong, but for gaps, with the generation of its topic.
    pub faults: Vec<(i64, Fault)>,
    /// The gaps of partitions in which one began or was filled, with the generation; all that are open.
    pub gaps: BTreeMap<(String, i32), (i64, Gaps)>,
    /// Gaps that were found.
    pub gaps_found: u64,
    /// Records that could not be decoded, whose usage is not known.
    pub undecodable: u64,
    /// The next records to be read.
    pub positions: Vec<Position>,
}

/// A row of `cells` that is written.
struct Row {
    span: i64,
    start: i64,
    name: i64,
    sums: Sums,
    added: Hdr,
    durations: Vec<u8>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// What is wrong, open gaps too.
    fn all_faults(&self) -> Vec<(i64, Fault)> {
        let gap = |topic: &String, partition, (from_offset, to_offset)| {
            let at_unix = weir_service::time::now_unix_nano() / 1_000_000_000;
            Fault { topic: topic.clone(), partition, kind: FaultKind::Gap, from_offset, to_offset, at_unix }
        };
        let gaps = self.gaps.iter().flat_map(|((topic, number), (generation, gaps))| {
            gaps.iter().map(move |offsets| (*generation, gap(topic, *number, *offsets)))
        });
        self.faults.iter().cloned().chain(gaps).collect()
    }

    /// The rows of all spans, what they have to be increased by; by span and start.
    fn rows(&self, ids: &AHashMap<Name, i64>) -> Vec<Row> {
        let mut merged: BTreeMap<(i64, i64, i64), (Sums, Hdr)> = BTreeMap::new();
        for (key, (sums, hdr)) in &self.cells {
            let Some(id) = ids.get(&key.name).copied() else { continue };
            let starts = [(HOUR, key.hour), (DAY, pieces::day_of(key.hour)), (MONTH, pieces::month_of(key.hour))];
            for (span, start) in starts {
                let (to, durations) = merged.entry((span, start, id)).or_default();
                to.add(sums);
                durations.merge(hdr);
            }
        }
        let row = |((span, start, name), (sums, added))| Row { span, start, name, sums, added, durations: Vec::new() };
        merged.into_iter().map(row).collect()
    }
}

impl Store {
    /// Writes a batch, and what it makes of `state` becomes the state. After [`StoreError::Conflict`] nothing was
    /// written and the state is void; after any other error nothing was written, or all was and the next try is a
    /// conflict.
    pub async fn commit(&self, state: &mut State, batch: &mut Batch) -> Result<(), StoreError> {
        let mut fresh: Vec<(i64, Name)> = Vec::new();
        let mut ids: AHashMap<Name, i64> = AHashMap::new();
        let mut next_name = state.next_name;
        for key in batch.cells.keys() {
            if ids.contains_key(&key.name) {
                continue;
            }
            let id = state.names.get(&key.name).copied().unwrap_or_else(|| {
                fresh.push((next_name, key.name.clone()));
                next_name += 1;
                next_name - 1
            });
            ids.insert(key.name.clone(), id);
        }
        let mut cells = batch.rows(&ids);
        let faults = batch.all_faults();
        let failed = |error| self.failed(error);
        on!(self, pool => {
            write_in!(self, pool, tx => {
                set_version!(self, tx, state.version);
                for chunk in fresh.chunks(CHUNK) {
                    let sql = format!("INSERT INTO names (id, tenant, service, interface) VALUES {}", rows(chunk.len(), 4));
                    let mut query = sqlx::query(self.in_order(sql));
                    for (id, name) in chunk {
                        query = query.bind(*id).bind(&name.tenant).bind(&name.service).bind(&name.interface);
                    }
                    query.execute(&mut *tx).await.map_err(failed)?;
                }
                // Cells: what is there is read, added to and written, so that no sum overflows in SQL.
                for of_start in cells.chunk_by_mut(|a, b| (a.span, a.start) == (b.span, b.start)) {
                    for chunk in of_start.chunks_mut(CHUNK) {
                        let (span, start) = chunk.first().map_or((0, 0), |row| (row.span, row.start));
                        let sql = format!(
                            "SELECT name, calls, errors, request_bytes, response_bytes, input_tokens, output_tokens, \
                             gpu_micros, energy_millijoules, durations FROM cells WHERE span = $1 AND start = $2 AND name IN ({})",
                            placeholders(3, chunk.len())
                        );
                        let mut query = sqlx::query(self.in_order(sql)).bind(span).bind(start);
                        for row in &*chunk {
                            query = query.bind(row.name);
                        }
                        let there = query.fetch_all(&mut *tx).await.map_err(failed)?;
                        for row in there {
                            let name: i64 = row.get(0);
                            let Some(at) = chunk.iter().position(|cell| cell.name == name) else { continue };
                            let cell = &mut chunk[at];
                            cell.sums.add(&Sums::from_array(std::array::from_fn(|at| unsigned(row.get(at + 1)))));
                            cell.durations = row.get(9);
                        }
                        for cell in &mut *chunk {
                            cell.durations = self.merged(&cell.durations, &cell.added)?;
                        }
                        let sql = format!(
                            "INSERT INTO cells (span, start, name, calls, errors, request_bytes, response_bytes, \
                             input_tokens, output_tokens, gpu_micros, energy_millijoules, durations) VALUES {} \
                             ON CONFLICT (span, start, name) DO UPDATE SET calls = excluded.calls, \
                             errors = excluded.errors, request_bytes = excluded.request_bytes, \
                             response_bytes = excluded.response_bytes, input_tokens = excluded.input_tokens, \
                             output_tokens = excluded.output_tokens, gpu_micros = excluded.gpu_micros, \
                             energy_millijoules = excluded.energy_millijoules, durations = excluded.durations",
                            rows(chunk.len(), 12)
                        );
                        let mut query = sqlx::query(self.in_order(sql));
                        for cell in &*chunk {
                            query = query.bind(cell.span).bind(cell.start).bind(cell.name);
                            for field in cell.sums.to_array() {
                                query = query.bind(signed(field));
                            }
                            query = query.bind(cell.durations.as_slice());
                        }
                        query.execute(&mut *tx).await.map_err(failed)?;
                    }
                }
                for (key, ranges) in &batch.ranges {
                    let [spans, counted, duplicates, rejected] = ranges.spans.map(signed);
                    let sql = "INSERT INTO ranges (topic, number, generation, watermark_hour, first_offset, end_offset, \
                         spans, counted, duplicates, rejected) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
                         ON CONFLICT (topic, number, generation, watermark_hour) DO UPDATE SET \
                         first_offset = CASE WHEN excluded.first_offset < ranges.first_offset \
                         THEN excluded.first_offset ELSE ranges.first_offset END, \
                         end_offset = CASE WHEN excluded.end_offset > ranges.end_offset \
                         THEN excluded.end_offset ELSE ranges.end_offset END, spans = ranges.spans + excluded.spans, \
                         counted = ranges.counted + excluded.counted, \
                         duplicates = ranges.duplicates + excluded.duplicates, \
                         rejected = ranges.rejected + excluded.rejected";
                    let query = sqlx::query(sql).bind(&key.topic).bind(i64::from(key.partition)).bind(key.generation);
                    let query = query.bind(key.watermark_hour).bind(ranges.offsets.0).bind(ranges.offsets.1);
                    let query = query.bind(spans).bind(counted).bind(duplicates).bind(rejected);
                    query.execute(&mut *tx).await.map_err(failed)?;
                    for (hour, counted) in &ranges.hours {
                        let sql = "INSERT INTO range_hours (hour, topic, number, generation, watermark_hour, counted) \
                             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hour, topic, number, generation, \
                             watermark_hour) DO UPDATE SET counted = range_hours.counted + excluded.counted";
                        let query = sqlx::query(sql).bind(*hour).bind(&key.topic).bind(i64::from(key.partition));
                        let query = query.bind(key.generation).bind(key.watermark_hour).bind(signed(*counted));
                        query.execute(&mut *tx).await.map_err(failed)?;
                    }
                }
                for ((topic, number), (generation, source)) in &batch.sources {
                    let sql = "INSERT INTO sources (topic, number, generation, end_offset, watermark) \
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (topic, number) DO UPDATE SET \
                         generation = excluded.generation, end_offset = excluded.end_offset, \
                         watermark = excluded.watermark";
                    let query = sqlx::query(sql).bind(topic).bind(i64::from(*number)).bind(*generation);
                    let watermark = i64::try_from(source.watermark_unix_nano).unwrap_or(i64::MAX);
                    query.bind(source.end_offset).bind(watermark).execute(&mut *tx).await.map_err(failed)?;
                }
                for (key, counter) in &batch.counters {
                    let sql = "INSERT INTO counters (series, start, value, time) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (series) DO UPDATE SET start = excluded.start, value = excluded.value, \
                         time = excluded.time";
                    let query = sqlx::query(sql).bind(&key.0).bind(counter.start);
                    query.bind(signed(counter.value)).bind(counter.time).execute(&mut *tx).await.map_err(failed)?;
                }
                for ((topic, number), (generation, _)) in &batch.gaps {
                    let sql = "DELETE FROM faults WHERE topic = $1 AND number = $2 AND generation = $3 AND kind = $4";
                    let query = sqlx::query(sql).bind(topic).bind(i64::from(*number)).bind(*generation);
                    query.bind(FaultKind::Gap.as_str()).execute(&mut *tx).await.map_err(failed)?;
                }
                for (id, (generation, fault)) in (state.next_fault..).zip(&faults) {
                    let sql = "INSERT INTO faults (id, topic, number, generation, kind, from_offset, to_offset, at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
                    let query = sqlx::query(sql).bind(id).bind(&fault.topic).bind(i64::from(fault.partition));
                    let query = query.bind(*generation).bind(fault.kind.as_str()).bind(fault.from_offset);
                    query.bind(fault.to_offset).bind(fault.at_unix).execute(&mut *tx).await.map_err(failed)?;
                }
                for position in &batch.positions {
                    let sql = "INSERT INTO positions (topic, number, next) VALUES ($1, $2, $3) \
                         ON CONFLICT (topic, number) DO UPDATE SET next = excluded.next";
                    let partition = &position.partition;
                    let query = sqlx::query(sql).bind(&*partition.topic).bind(i64::from(partition.partition));
                    query.bind(position.offset).execute(&mut *tx).await.map_err(failed)?;
                }
            });
        });
        state.take(batch, fresh, faults.len());
        Ok(())
    }

    /// A kept histogram with another added; none is kept empty where there is nothing to add.
    fn merged(&self, kept: &[u8], added: &Hdr) -> Result<Vec<u8>, StoreError> {
        if added.count() == 0 {
            return Ok(kept.to_vec());
        }
        let durations = if kept.is_empty() { Durations::new() } else { Durations::from_bytes(kept) };
        let mut durations = durations.map_err(|error| self.damaged(error))?;
        durations.add(added).map_err(|error| self.damaged(error))?;
        durations.to_bytes().map_err(|error| self.damaged(error))
    }
}

impl State {
    /// What a batch made of it once it is written.
    fn take(&mut self, batch: &mut Batch, fresh: Vec<(i64, Name)>, faults: usize) {
        self.version += 1;
        self.next_name += fresh.len() as i64;
        self.next_fault += faults as i64;
        for (of, (_, gaps)) in std::mem::take(&mut batch.gaps) {
            self.gaps.insert(of, gaps);
        }
        self.names.extend(fresh.into_iter().map(|(id, name)| (name, id)));
        self.sources.extend(std::mem::take(&mut batch.sources));
        self.counters.extend(std::mem::take(&mut batch.counters));
        for position in &batch.positions {
            match self.positions.iter_mut().find(|known| known.partition == position.partition) {
                Some(known) => known.offset = position.offset,
                None => self.positions.push(position.clone()),
            }
        }
    }
}
