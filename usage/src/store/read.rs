//! What reports and proofs are made of. Nothing is read without the [`Tenants`] whose it is.

use std::time::Duration;

use ahash::AHashMap;
use futures::TryStreamExt as _;
use sqlx::Row as _;
use weir_calls::Durations;
use weir_service::auth::{Scope, Tenants};

use super::{
    DAY, HOUR, MONTH, NAMES, State, Store, StoreError, on, placeholders, read_names, set_version, unsigned, write_in,
};
use crate::cell::{Name, Sums};
use crate::proof::{Fault, FaultKind};
use crate::report::pieces::Piece;

/// Most parameters of one statement.
const MOST_PARAMETERS: usize = 8000;
/// So few cells are looked up one by one; more are read in one go and picked from.
const LOOK_UPS: usize = 60_000;

/// Names that a request may see and asked for.
#[derive(Debug, Clone, Default)]
pub struct Picked {
    names: AHashMap<i64, Name>,
    /// Whether these are all that there are.
    is_all: bool,
}

/// What a request asks for, as patterns of names: equal, or anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window<'a> {
    /// `service.name`.
    pub service: Option<&'a str>,
    /// What is called.
    pub interface: Option<&'a str>,
}

/// A row of ranges, and how many of its calls lie in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRow {
    /// Source topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// How often the topic was made again.
    pub generation: i64,
    /// Where the ranges begin, and where they end.
    pub offsets: (i64, i64),
    /// Calls: spans, counted, duplicates, rejected.
    pub spans: [u64; 4],
    /// Of those counted, how many lie in the window.
    pub counted_in_window: u64,
}

/// What a proof is made of.
#[derive(Debug)]
pub struct Proven {
    /// By name, in no order.
    pub rows: Vec<(Name, Sums)>,
    /// By partition and order.
    pub ranges: Vec<RangeRow>,
    /// All that were ever found.
    pub faults: Vec<Fault>,
}

impl Picked {
    /// The name of an id.
    pub fn name(&self, id: i64) -> Option<&Name> {
        self.names.get(&id)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Ids and names.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Name)> {
        self.names.iter().map(|(id, name)| (*id, name))
    }

    /// Only these ids of them.
    #[must_use]
    pub fn only(&self, ids: impl IntoIterator<Item = i64>) -> Self {
        let names = ids.into_iter().filter_map(|id| Some((id, self.names.get(&id)?.clone()))).collect();
        Self { names, is_all: false }
    }

    fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.names.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

/// The statements that read `columns` of the cells of a piece; with those picked, where these are few.
fn selects(columns: &str, piece: &Piece, picked: &Picked, ids: &[i64], group: &str) -> Vec<(String, Vec<i64>)> {
    let starts = piece.starts();
    if !picked.is_all && ids.len().saturating_mul(starts.len()) <= LOOK_UPS {
        let mut selects = Vec::new();
        for starts in starts.chunks(MOST_PARAMETERS / 2) {
            for ids in ids.chunks(MOST_PARAMETERS / 2) {
                let text = format!(
                    "SELECT {columns} FROM cells WHERE span = $1 AND start IN ({}) AND name IN ({}){group}",
                    placeholders(2, starts.len()),
                    placeholders(2 + starts.len(), ids.len())
                );
                let values = [piece.span].iter().chain(starts).chain(ids).copied().collect();
                selects.push((text, values));
            }
        }
        return selects;
    }
    let text = format!("SELECT {columns} FROM cells WHERE span = $1 AND start >= $2 AND start < $3{group}");
    vec![(text, vec![piece.span, piece.from, piece.to])]
}

/// Topic, partition, kind, offsets and time of a row of faults.
type FaultRow = (String, i64, String, i64, i64, i64);

fn fault_of((topic, number, kind, from_offset, to_offset, at_unix): &FaultRow) -> Option<Fault> {
    let kinds = [FaultKind::Gap, FaultKind::Overlap, FaultKind::Unbalanced];
    Some(Fault {
        topic: topic.clone(),
        partition: i32::try_from(*number).ok()?,
        kind: kinds.into_iter().find(|known| known.as_str() == kind)?,
        from_offset: *from_offset,
        to_offset: *to_offset,
        at_unix: *at_unix,
    })
}

/// Casts, since a sum of BIGINT is a NUMERIC to PostgreSQL.
const SUMS: &str = "name, CAST(SUM(calls) AS BIGINT), CAST(SUM(errors) AS BIGINT), CAST(SUM(request_bytes) AS BIGINT), \
     CAST(SUM(response_bytes) AS BIGINT), CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT), \
     CAST(SUM(gpu_micros) AS BIGINT), CAST(SUM(energy_millijoules) AS BIGINT)";

/// The oldest hour that is kept, in a transaction; an error where one of the pieces would need an older one.
macro_rules! check_kept {
    ($store:expr, $tx:ident, $pieces:expr) => {{
        let sql = "SELECT number FROM version WHERE one = 2";
        let row = sqlx::query(sql).fetch_optional(&mut *$tx).await.map_err(|error| $store.failed(error))?;
        let oldest: i64 = row.map_or(i64::MIN, |row| row.get(0));
        if $pieces.into_iter().any(|piece: &Piece| piece.span != MONTH && piece.from < oldest) {
            return Err(StoreError::Expired(oldest));
        }
    }};
}

/// The sums of each name picked in a stretch, read in a transaction.
macro_rules! read_sums {
    ($store:expr, $tx:ident, $picked:expr, $ids:expr, $pieces:expr) => {{
        let mut sums: AHashMap<i64, Sums> = AHashMap::new();
        for (text, values) in $pieces.iter().flat_map(|piece| selects(SUMS, piece, $picked, $ids, " GROUP BY name")) {
            let mut query = sqlx::query($store.in_order(text));
            for value in values {
                query = query.bind(value);
            }
            for row in query.fetch_all(&mut *$tx).await.map_err(|error| $store.failed(error))? {
                let name: i64 = row.get(0);
                if $picked.names.contains_key(&name) {
                    let of = Sums::from_array(std::array::from_fn(|at| unsigned(row.get(at + 1))));
                    sums.entry(name).or_default().add(&of);
                }
            }
        }
        sums
    }};
}

impl Store {
    /// The names that `tenants` may see and that match.
    pub async fn pick(&self, tenants: &Tenants, window: Window<'_>) -> Result<Picked, StoreError> {
        let named: Vec<String> = match tenants.scope() {
            Scope::Only(names) => names.iter().cloned().collect(),
            Scope::All | Scope::AllBut(_) => Vec::new(),
        };
        let is_few = !tenants.is_all() && named.len() <= MOST_PARAMETERS;
        let mut text = NAMES.to_owned();
        if is_few {
            text = format!("{text} WHERE tenant IN ({})", placeholders(1, named.len().max(1)));
        }
        let mut picked = Picked { is_all: tenants.is_all(), ..Picked::default() };
        if is_few && named.is_empty() {
            return Ok(picked);
        }
        on!(self, pool => {
            let mut query = sqlx::query(self.in_order(text));
            if is_few {
                for tenant in &named {
                    query = query.bind(tenant);
                }
            }
            for (id, name) in read_names!(self, query, pool) {
                let is_meant = window.service.is_none_or(|service| service == name.service)
                    && window.interface.is_none_or(|interface| interface == name.interface);
                // What has no tenant is nobody's, and seen with all.
                if is_meant && tenants.allows(Some(name.tenant.as_str()).filter(|tenant| !tenant.is_empty())) {
                    picked.names.insert(id, name);
                } else {
                    picked.is_all = false;
                }
            }
        });
        Ok(picked)
    }

    /// All names: for what this room keeps itself, and never for an answer.
    pub(crate) async fn everyone(&self) -> Result<Picked, StoreError> {
        let names = on!(self, pool => read_names!(self, sqlx::query(NAMES), pool).collect());
        Ok(Picked { names, is_all: true })
    }

    /// The sums of each name in each of these stretches, all as of one moment. Names without usage are left out.
    pub async fn sums(
        &self,
        picked: &Picked,
        stretches: &[Vec<Piece>],
    ) -> Result<Vec<AHashMap<i64, Sums>>, StoreError> {
        let ids = picked.ids();
        let mut all = Vec::new();
        let failed = |error| self.failed(error);
        on!(self, pool => {
            let mut tx = pool.begin_with(self.begin_read()).await.map_err(failed)?;
            check_kept!(self, tx, stretches.iter().flatten());
            for pieces in stretches {
                let sums = read_sums!(self, tx, picked, &ids, pieces);
                all.push(sums);
            }
            tx.rollback().await.map_err(failed)?;
        });
        Ok(all)
    }

    /// The durations of the calls of these names in a stretch, merged by what `group` makes of an id.
    pub async fn durations<K: std::hash::Hash + Eq>(
        &self,
        picked: &Picked,
        pieces: &[Piece],
        group: impl Fn(i64) -> K,
    ) -> Result<AHashMap<K, Durations>, StoreError> {
        let ids = picked.ids();
        let mut merged: AHashMap<K, Durations> = AHashMap::new();
        on!(self, pool => {
            for (text, values) in pieces.iter().flat_map(|piece| selects("name, durations", piece, picked, &ids, "")) {
                let mut query = sqlx::query(self.in_order(text));
                for value in values {
                    query = query.bind(value);
                }
                // One at a time: there may be more of them than memory.
                let mut found = query.fetch(pool);
                while let Some(row) = found.try_next().await.map_err(|error| self.failed(error))? {
                    let (name, bytes): (i64, Vec<u8>) = (row.get(0), row.get(1));
                    if bytes.is_empty() || !picked.names.contains_key(&name) {
                        continue;
                    }
                    let durations = Durations::from_bytes(&bytes).map_err(|error| self.damaged(error))?;
                    match merged.entry(group(name)) {
                        std::collections::hash_map::Entry::Occupied(mut to) => {
                            to.get_mut().merge(&durations).map_err(|error| self.damaged(error))?;
                        }
                        std::collections::hash_map::Entry::Vacant(empty) => drop(empty.insert(durations)),
                    }
                }
            }
        });
        Ok(merged)
    }

    /// What a proof of the stretch `[start, end)` is made of, as of one moment: the sums of all names, the rows of ranges
    /// from the first to the last that holds a call of it, by partition and order, and all faults. Ranges are of all
    /// tenants, so it is for those who may see all.
    pub async fn proof(&self, tenants: &Tenants, start: i64, end: i64) -> Result<Proven, StoreError> {
        if !tenants.is_all() {
            return Ok(Proven { rows: Vec::new(), ranges: Vec::new(), faults: Vec::new() });
        }
        let pieces = crate::report::pieces::of(start, end);
        let failed = |error| self.failed(error);
        on!(self, pool => {
            let mut tx = pool.begin_with(self.begin_read()).await.map_err(failed)?;
            check_kept!(self, tx, &pieces);
            let picked = &Picked { names: read_names!(self, sqlx::query(NAMES), &mut *tx).collect(), is_all: true };
            let sums = read_sums!(self, tx, picked, &[], pieces);
            let of_names = sums.into_iter().filter_map(|(id, sums)| Some((picked.name(id)?.clone(), sums))).collect();
            let sql = "SELECT r.topic, r.number, r.generation, r.first_offset, r.end_offset, r.spans, r.counted, \
                 r.duplicates, r.rejected, COALESCE(h.counted, 0) FROM ranges r \
                 JOIN (SELECT topic, number, MIN(generation) AS first_generation, MIN(watermark_hour) AS first_hour, \
                 MAX(watermark_hour) AS last_hour FROM range_hours WHERE hour >= $1 AND hour < $2 \
                 GROUP BY topic, number) w ON w.topic = r.topic AND w.number = r.number \
                 AND r.watermark_hour BETWEEN w.first_hour AND w.last_hour AND r.generation >= w.first_generation \
                 LEFT JOIN (SELECT topic, number, generation, watermark_hour, CAST(SUM(counted) AS BIGINT) AS counted \
                 FROM range_hours WHERE hour >= $1 AND hour < $2 GROUP BY topic, number, generation, watermark_hour) h \
                 ON h.topic = r.topic AND h.number = r.number AND h.generation = r.generation \
                 AND h.watermark_hour = r.watermark_hour \
                 ORDER BY r.topic, r.number, r.generation, r.watermark_hour";
            let rows = sqlx::query(sql).bind(start).bind(end).fetch_all(&mut *tx).await.map_err(failed)?;
            let number = |value: i64| i32::try_from(value).unwrap_or(-1);
            let ranges = rows.iter().map(|row| RangeRow {
                topic: row.get(0),
                partition: number(row.get(1)),
                generation: row.get(2),
                offsets: (row.get(3), row.get(4)),
                spans: std::array::from_fn(|at| unsigned(row.get(at + 5))),
                counted_in_window: unsigned(row.get(9)),
            });
            let ranges = ranges.collect();
            let sql = "SELECT topic, number, kind, from_offset, to_offset, at FROM faults ORDER BY id LIMIT 1000";
            let faults = sqlx::query(sql).fetch_all(&mut *tx).await.map_err(failed)?;
            let fault = |row: &_| fault_of(row).ok_or_else(|| self.damaged("a fault of unknown kind"));
            let faults = faults.iter().map(|row| fault(&(row.get(0), row.get(1), row.get(2), row.get(3), row.get(4), row.get(5))));
            let faults = faults.collect::<Result<Vec<_>, _>>()?;
            tx.rollback().await.map_err(failed)?;
            Ok(Proven { rows: of_names, ranges, faults })
        })
    }

    /// Removes hours and days that ended so long before `now`, in event time and unix seconds: whole months, some rows at a
    /// time, so that nothing else waits long. And counters of pods that are no more.
    pub(crate) async fn expire(&self, state: &mut State, retention: Duration, now: i64) -> Result<(), StoreError> {
        /// Hours or days that are removed at once.
        const STARTS: i64 = 24;
        const COUNTERS_KEPT: i64 = 8 * 24 * 3600 * 1_000_000_000;
        let seconds = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
        let before = crate::report::pieces::month_of(now.saturating_sub(seconds));
        // By their own time: what is read late is not old.
        let newest = state.counters.values().map(|counter| counter.time).max().unwrap_or(0);
        let stale = newest.saturating_sub(COUNTERS_KEPT);
        let is_stale = state.counters.values().any(|counter| counter.time < stale);
        let failed = |error| self.failed(error);
        on!(self, pool => {
            let mut old: Vec<(i64, i64)> = Vec::new();
            for span in [HOUR, DAY] {
                let sql = "SELECT DISTINCT start FROM cells WHERE span = $1 AND start < $2 ORDER BY start LIMIT $3";
                let found = sqlx::query(sql).bind(span).bind(before).bind(STARTS).fetch_all(pool).await.map_err(failed)?;
                old.extend(found.iter().map(|row| (span, row.get(0))));
            }
            if old.is_empty() && !is_stale {
                return Ok(());
            }
            write_in!(self, pool, tx => {
                set_version!(self, tx, state.version);
                for (span, start) in &old {
                    let sql = "DELETE FROM cells WHERE span = $1 AND start = $2";
                    sqlx::query(sql).bind(*span).bind(*start).execute(&mut *tx).await.map_err(failed)?;
                }
                if !old.is_empty() {
                    let sql = "INSERT INTO version (one, number) VALUES (2, $1) \
                         ON CONFLICT (one) DO UPDATE SET number = excluded.number";
                    sqlx::query(sql).bind(before).execute(&mut *tx).await.map_err(failed)?;
                    tracing::info!(before, starts = old.len(), "old hours of usage were removed; their months are kept");
                }
                sqlx::query("DELETE FROM counters WHERE time < $1").bind(stale).execute(&mut *tx).await.map_err(failed)?;
            });
        });
        state.version += 1;
        state.counters.retain(|_, counter| counter.time >= stale);
        Ok(())
    }
}
