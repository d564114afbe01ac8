//! The points of one series: the newest as they are, older ones compressed in chunks.

mod bits;
mod chunk;
#[cfg(test)]
mod tests;
mod values;

use std::collections::VecDeque;
use std::ops::Range;

use chunk::Chunk;

use super::read::is_stale;

/// Points that are not compressed, at most. When there are so many, the older of them are.
const HEAD: usize = 16;
/// How many of them are then compressed.
const SEALED: usize = 12;
/// Points of a chunk, unless late ones came.
const CHUNK: usize = 120;

/// Unix milliseconds and values, by rising times, which may be equal; and the sum of the values that were dropped.
#[derive(Debug, Default)]
pub(super) struct Points {
    chunks: VecDeque<Chunk>,
    /// Points of the first chunk that were dropped.
    dropped: usize,
    /// Points in chunks that were not dropped.
    sealed: usize,
    head: Vec<(i64, f64)>,
    /// Sum of the values that were dropped, but for those that are still in the first chunk.
    gone: f64,
}

impl Points {
    pub(super) fn is_empty(&self) -> bool {
        self.sealed == 0 && self.head.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.sealed + self.head.len()
    }

    /// How many of the times are such, where those that are come first.
    pub(super) fn partition_point(&self, is: impl Fn(i64) -> bool) -> usize {
        if self.chunks.back().is_none_or(|chunk| is(chunk.last_ms())) {
            return self.sealed + self.head.partition_point(|point| is(point.0));
        }
        let number = self.chunks.partition_point(|chunk| is(chunk.last_ms()));
        let before: usize = self.chunks.range(..number).map(Chunk::len).sum();
        let within = self.chunks.get(number).map_or(0, |chunk| chunk.partition_point(is));
        (before + within).saturating_sub(self.dropped)
    }

    pub(super) fn get(&self, at: usize) -> Option<(i64, f64)> {
        let mut found = None;
        self.for_each(at..at.saturating_add(1), |time, value| found = Some((time, value)));
        found
    }

    /// Passes the points of a range to `take`.
    pub(super) fn for_each(&self, range: Range<usize>, mut take: impl FnMut(i64, f64)) {
        if range.start < self.sealed {
            let (from, to) = (range.start + self.dropped, range.end.min(self.sealed) + self.dropped);
            let mut before = 0;
            for chunk in &self.chunks {
                let end = before + chunk.len();
                if from < end {
                    chunk.decode(from.max(before) - before..to.min(end) - before, &mut take);
                }
                before = end;
                if to <= before {
                    break;
                }
            }
        }
        let head = |at: usize| at.saturating_sub(self.sealed).min(self.head.len());
        for &(time, value) in &self.head[head(range.start)..head(range.end.max(range.start))] {
            take(time, value);
        }
    }

    /// The sum of all values before this one, of those too that were dropped, but for what ends the series.
    pub(super) fn sum_before(&self, at: usize) -> f64 {
        let mut total = self.gone;
        let mut left = at.min(self.sealed) + self.dropped;
        for chunk in &self.chunks {
            if left < chunk.len() {
                total += chunk.sum_before(left);
                break;
            }
            total += chunk.sum();
            left -= chunk.len();
        }
        let head = &self.head[..at.saturating_sub(self.sealed).min(self.head.len())];
        total + sum(head.iter().map(|point| point.1))
    }

    /// The sum of the values that were dropped, but for what ends the series.
    pub(super) fn gone(&self) -> f64 {
        self.sum_before(0)
    }

    /// Goes on from another sum.
    pub(super) fn set_gone(&mut self, sum: f64) {
        self.gone += sum - self.gone();
    }

    /// Gives another value to a point.
    pub(super) fn set(&mut self, at: usize, value: f64) {
        match at.checked_sub(self.sealed) {
            Some(at) => {
                if let Some(point) = self.head.get_mut(at) {
                    point.1 = value;
                }
            }
            None => self.rewrite(at, |points, at| points[at].1 = value),
        }
    }

    /// Puts a point before the one that is there.
    pub(super) fn insert(&mut self, at: usize, point: (i64, f64)) {
        match at.checked_sub(self.sealed) {
            Some(at) => {
                self.head.insert(at.min(self.head.len()), point);
                if self.head.len() >= HEAD {
                    self.seal();
                }
            }
            None => self.rewrite(at, |points, at| points.insert(at, point)),
        }
    }

    /// Drops the oldest points, at no cost but for whole chunks.
    pub(super) fn drop_first(&mut self, count: usize) {
        let mut left = count.min(self.sealed);
        let of_head = (count - left).min(self.head.len());
        self.sealed -= left;
        while left > 0 {
            let Some(first) = self.chunks.front() else { break };
            let there = first.len() - self.dropped;
            if left < there {
                self.dropped += left;
                break;
            }
            self.gone += first.sum();
            self.chunks.pop_front();
            (self.dropped, left) = (0, left - there);
        }
        self.gone += sum(self.head.drain(..of_head).map(|point| point.1));
    }

    /// The points of a chunk. Those of the first that were dropped are no longer in it when it is written again.
    fn reopen(&mut self, number: usize) -> Vec<(i64, f64)> {
        let mut points = Vec::with_capacity(CHUNK + SEALED);
        let Some(chunk) = self.chunks.get(number) else { return points };
        let dropped = if number == 0 { std::mem::take(&mut self.dropped) } else { 0 };
        self.gone += if dropped > 0 { chunk.sum_before(dropped) } else { 0.0 };
        chunk.decode(dropped..chunk.len(), |time, value| points.push((time, value)));
        points
    }

    /// Changes a chunk for a point that is late: to be rare, since all of the chunk is written again.
    fn rewrite(&mut self, at: usize, change: impl FnOnce(&mut Vec<(i64, f64)>, usize)) {
        let (mut number, mut within) = (0, at + self.dropped);
        while let Some(chunk) = self.chunks.get(number).filter(|chunk| within >= chunk.len()) {
            within -= chunk.len();
            number += 1;
        }
        within -= if number == 0 { self.dropped } else { 0 };
        let mut points = self.reopen(number);
        let before = points.len();
        change(&mut points, within);
        self.sealed += points.len() - before;
        if points.len() >= 2 * CHUNK {
            self.chunks.insert(number + 1, Chunk::new(&points.split_off(CHUNK)));
        }
        self.chunks[number] = Chunk::new(&points);
    }

    /// Compresses the older points of the head: into the last chunk as long as it has room.
    fn seal(&mut self) {
        self.sealed += SEALED;
        let last = self.chunks.len().wrapping_sub(1);
        let mut points = Vec::new();
        let is_open = self.chunks.back().is_some_and(|chunk| chunk.len() + SEALED <= CHUNK);
        if is_open {
            points = self.reopen(last);
        }
        points.extend(self.head.drain(..SEALED));
        let chunk = Chunk::new(&points);
        if is_open {
            self.chunks[last] = chunk;
        } else {
            if self.chunks.len() == self.chunks.capacity() {
                self.chunks.reserve_exact(2);
            }
            self.chunks.push_back(chunk);
        }
    }
}

/// The sum of values, but for what ends a series.
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|value| !is_stale(*value)).sum()
}
