//! Parts of one call that came in different records, joined by trace and span id.
//!
//! All of a partition's parts come in its order, so a join that has waited its time can be told by the records behind it;
//! only where nothing comes does the clock tell. What is open is known part by part ([`Unfinished`]): after a restart its
//! parts, and no others, are taken again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ahash::AHashMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use weir_query::line::{Line, LineId};

use super::merge::merge;

/// Calls of one capture that wait for more parts, their memory, and the parts of one: at more, the oldest of the partition
/// that has most of them ends early.
const MOST_OPEN: usize = 65_536;
const MOST_BYTES: usize = 64 << 20;
const MOST_PARTS: usize = 1024;

/// Calls of one capture that may have more parts, by partition.
#[derive(Debug)]
pub(crate) struct Joins {
    within: Duration,
    partitions: BTreeMap<i32, Partition>,
}

/// What of a partition was gone through, and is not in a row yet; of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The next offset to be read, but for these parts.
    pub through: i64,
    /// Offsets of records, and the numbers of parts in them, that calls which may have more were made of.
    pub parts: Vec<(i64, Vec<u32>)>,
}

/// A call that has ended.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Of all its parts.
    pub(crate) line: Line,
    /// Where they lay, in order.
    pub(crate) places: Vec<LineId>,
    /// Whether it was ended before its time, for want of room.
    pub(crate) is_early: bool,
}

type Key = (String, Bytes, Bytes);

#[derive(Debug, Default)]
struct Partition {
    open: AHashMap<Key, Open>,
    /// In the order in which they began; those whose number is not that of the open one have ended.
    order: VecDeque<(Key, u64)>,
    began: u64,
    bytes: usize,
    /// What is to be taken again of what lies before `through`.
    again: BTreeSet<(i64, u32)>,
    through: i64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    arrival_ms: i64,
    since: Instant,
    bytes: usize,
    parts: Vec<Line>,
}

impl Joins {
    /// Of calls whose parts come within this time.
    pub(crate) fn new(within: Duration) -> Self {
        Self { within, partitions: BTreeMap::new() }
    }

    /// From now on, parts are waited for this long.
    pub(crate) fn wait(&mut self, within: Duration) {
        self.within = within;
    }

    /// Goes on with what a manifest says of a partition.
    pub(crate) fn restore(&mut self, partition: i32, unfinished: &Unfinished) {
        let again = unfinished.parts.iter().flat_map(|(offset, parts)| parts.iter().map(move |part| (*offset, *part)));
        let state = Partition { again: again.collect(), through: unfinished.through, ..Partition::default() };
        self.partitions.insert(partition, state);
    }

    /// Whether a line is still to be taken: of what was gone through before a restart, only parts of open calls are.
    pub(crate) fn wants(&self, id: LineId) -> bool {
        let Some(state) = self.partitions.get(&id.partition) else { return true };
        id.offset >= state.through || state.again.contains(&(id.offset, id.index))
    }

    /// Takes a part, of a record that came at this time; gives what it leaves no room for.
    pub(crate) fn add(&mut self, line: Line, arrival_ms: i64, now: Instant) -> Option<Joined> {
        let state = self.partitions.entry(line.id.partition).or_default();
        let bytes = line.memory() + size_of::<Open>() + 2 * size_of::<(Key, u64)>();
        state.bytes += bytes;
        let key = (line.source.tenant.clone(), line.trace_id.clone(), line.span_id.clone());
        if let Some(open) = state.open.get_mut(&key) {
            open.parts.push(line);
            open.bytes += bytes;
            if open.parts.len() >= MOST_PARTS {
                return state.end(&key, true);
            }
        } else {
            let number = state.began;
            state.began += 1;
            state.order.push_back((key.clone(), number));
            state.open.insert(key, Open { number, arrival_ms, since: now, bytes, parts: vec![line] });
        }
        let (bytes, open) = self
            .partitions
            .values()
            .fold((0, 0), |(bytes, open), state| (bytes + state.bytes, open + state.open.len()));
        if bytes <= MOST_BYTES && open <= MOST_OPEN {
            return None;
        }
        let fullest = self.partitions.values_mut().max_by_key(|state| state.bytes)?;
        fullest.end_oldest(true)
    }

    /// A record was gone through that came at this time: gives the calls that end by it.
    pub(crate) fn advance(&mut self, partition: i32, end: i64, arrival_ms: i64) -> Vec<Joined> {
        let within = i64::try_from(self.within.as_millis()).unwrap_or(i64::MAX);
        self.gone_through(partition, end);
        let state = self.partitions.entry(partition).or_default();
        state.end_while(|open| arrival_ms.saturating_sub(open.arrival_ms) >= within)
    }

    /// All before `end` was gone through.
    pub(crate) fn gone_through(&mut self, partition: i32, end: i64) {
        let state = self.partitions.entry(partition).or_default();
        state.through = state.through.max(end);
        if !state.again.is_empty() {
            state.again = state.again.split_off(&(end, 0));
        }
    }

    /// All before this was gone through, now or before a restart.
    pub(crate) fn through(&self, partition: i32) -> i64 {
        self.partitions.get(&partition).map_or(0, |state| state.through)
    }

    /// Gives the calls that have waited their time, where nothing more comes.
    pub(crate) fn end_due(&mut self, now: Instant) -> Vec<Joined> {
        let within = self.within;
        let due = |open: &Open| now.saturating_duration_since(open.since) >= within;
        self.partitions.values_mut().flat_map(|state| state.end_while(due)).collect()
    }

    /// Gives all calls.
    pub(crate) fn end_all(&mut self) -> Vec<Joined> {
        self.partitions.values_mut().flat_map(|state| state.end_while(|_| true)).collect()
    }

    /// When the first call has waited its time.
    pub(crate) fn due(&self) -> Option<Instant> {
        let oldest = self.partitions.values().filter_map(|state| {
            let is_open = |(key, number): &&(Key, u64)| state.open.get(key).is_some_and(|open| open.number == *number);
            state.order.iter().find(is_open).and_then(|(key, _)| state.open.get(key))
        });
        oldest.map(|open| open.since + self.within).min()
    }

    /// What is open of a partition; `None` where nothing is.
    pub(crate) fn unfinished(&self, partition: i32) -> Option<Unfinished> {
        let state = self.partitions.get(&partition)?;
        let mut places: BTreeSet<(i64, u32)> = state.again.clone();
        places.extend(state.open.values().flat_map(|open| &open.parts).map(|part| (part.id.offset, part.id.index)));
        let mut parts: Vec<(i64, Vec<u32>)> = Vec::new();
        for (offset, index) in places {
            match parts.last_mut().filter(|(last, _)| *last == offset) {
                Some((_, indices)) => indices.push(index),
                None => parts.push((offset, vec![index])),
            }
        }
        (!parts.is_empty()).then_some(Unfinished { through: state.through, parts })
    }
}

impl Unfinished {
    /// The oldest record that is needed again.
    pub fn oldest(&self) -> i64 {
        self.parts.first().map_or(self.through, |(offset, _)| *offset)
    }
}

impl Partition {
    fn end(&mut self, key: &Key, is_early: bool) -> Option<Joined> {
        let open = self.open.remove(key)?;
        self.bytes -= open.bytes;
        let places = open.parts.iter().map(|part| part.id).collect();
        merge(open.parts).map(|line| Joined { line, places, is_early })
    }

    fn end_oldest(&mut self, is_early: bool) -> Option<Joined> {
        while let Some((key, number)) = self.order.pop_front() {
            if self.open.get(&key).is_some_and(|open| open.number == number) {
                return self.end(&key, is_early);
            }
        }
        None
    }

    fn end_while(&mut self, is_due: impl Fn(&Open) -> bool) -> Vec<Joined> {
        let mut ended = Vec::new();
        while let Some((key, number)) = self.order.front() {
            match self.open.get(key).filter(|open| open.number == *number) {
                Some(open) if !is_due(open) => break,
                Some(_) => ended.extend(self.end_oldest(false)),
                None => drop(self.order.pop_front()),
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests;
