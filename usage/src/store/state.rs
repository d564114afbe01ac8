//! What a writer has to know of the store: read at its start and after a conflict.

use ahash::AHashMap;
use sqlx::Row as _;
use weir_bus::{Partition, Position};
use weir_calls::Source;

use super::write::{Counter, CounterKey, Gaps};
use super::{NAMES, Store, StoreError, on, read_names, unsigned};
use crate::cell::Name;
use crate::proof::FaultKind;

/// As of one version of the store.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) version: i64,
    pub(super) names: AHashMap<Name, i64>,
    pub(super) next_name: i64,
    pub(super) next_fault: i64,
    /// The next record of each partition that is read.
    pub positions: Vec<Position>,
    /// How far ranges have come.
    pub sources: Sources,
    /// Offsets that no range has covered so far, `[from, to)`, of the same: a range that comes late fills its gap.
    pub gaps: AHashMap<(String, i32), Gaps>,
    pub(crate) counters: AHashMap<CounterKey, Counter>,
}

/// By source topic and partition: its generation, and how far its ranges have come.
pub type Sources = AHashMap<(String, i32), (i64, Source)>;

/// The least watermark of so many partitions of a topic in unix nanoseconds; `None` where one has none yet.
pub fn watermark(sources: &Sources, topic: &str, partitions: i32) -> Option<u64> {
    let of = |number| Some(sources.get(&(topic.to_owned(), number))?.1.watermark_unix_nano);
    (0..partitions).map(of).try_fold(u64::MAX, |least, one| Some(least.min(one?))).filter(|_| partitions > 0)
}

impl Store {
    /// Reads it.
    pub async fn state(&self) -> Result<State, StoreError> {
        let mut state = State::default();
        on!(self, pool => {
            let mut tx = pool.begin_with(self.begin_read()).await.map_err(|error| self.failed(error))?;
            let failed = |error| self.failed(error);
            let row = sqlx::query("SELECT number FROM version WHERE one = 1").fetch_one(&mut *tx).await;
            state.version = row.map_err(failed)?.get(0);
            state.names = read_names!(self, sqlx::query(NAMES), &mut *tx).map(|(id, name)| (name, id)).collect();
            let sql = "SELECT COALESCE(MAX(id), 0) FROM names";
            state.next_name = sqlx::query(sql).fetch_one(&mut *tx).await.map_err(failed)?.get::<i64, _>(0) + 1;
            let sql = "SELECT COALESCE(MAX(id), 0) FROM faults";
            state.next_fault = sqlx::query(sql).fetch_one(&mut *tx).await.map_err(failed)?.get::<i64, _>(0) + 1;
            let positions = sqlx::query("SELECT topic, number, next FROM positions").fetch_all(&mut *tx).await;
            for row in positions.map_err(failed)? {
                let (topic, number): (String, i64) = (row.get(0), row.get(1));
                let partition = Partition::new(topic, i32::try_from(number).unwrap_or(-1));
                state.positions.push(Position { partition, offset: row.get(2) });
            }
            let sql = "SELECT topic, number, generation, end_offset, watermark FROM sources";
            for row in sqlx::query(sql).fetch_all(&mut *tx).await.map_err(failed)? {
                let number: i64 = row.get(1);
                let source = Source { end_offset: row.get(3), watermark_unix_nano: unsigned(row.get(4)) };
                state.sources.insert((row.get(0), i32::try_from(number).unwrap_or(-1)), (row.get(2), source));
            }
            let sql = "SELECT f.topic, f.number, f.from_offset, f.to_offset FROM faults f JOIN sources s \
                 ON s.topic = f.topic AND s.number = f.number AND s.generation = f.generation WHERE f.kind = $1";
            let found = sqlx::query(sql).bind(FaultKind::Gap.as_str()).fetch_all(&mut *tx).await;
            for row in found.map_err(failed)? {
                let number: i64 = row.get(1);
                let gaps = state.gaps.entry((row.get(0), i32::try_from(number).unwrap_or(-1))).or_default();
                gaps.push((row.get(2), row.get(3)));
            }
            let sql = "SELECT series, start, value, time FROM counters";
            for row in sqlx::query(sql).fetch_all(&mut *tx).await.map_err(failed)? {
                let counter = Counter { start: row.get(1), value: unsigned(row.get(2)), time: row.get(3) };
                state.counters.insert(CounterKey(row.get(0)), counter);
            }
            tx.rollback().await.map_err(failed)?;
        });
        Ok(state)
    }
}
