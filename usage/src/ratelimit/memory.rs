//! Counters of this process.
//!
//! **Bound.** All counters together, with their names, take about [`MAX_BYTES`]. At the bound existing counters go on, and
//! a new one is refused, as if the store were unavailable, until the sweep has removed counters of windows that ended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ahash::RandomState;
use parking_lot::Mutex;

use super::store::Hits;

/// Of all counters with their names; a million of them, where names are of usual length.
const MAX_BYTES: usize = 128 << 20;

/// What a counter takes besides its name.
const COUNTER_BYTES: usize = 64;

const SHARDS: usize = 64;

/// Interval between two sweeps.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Shards of one sweep: after ten sweeps, every counter whose window ended is removed.
const SWEPT_AT_ONCE: usize = SHARDS.div_ceil(10);

type Shard = HashMap<Box<str>, Counter, RandomState>;

/// Counts by name; a shard is locked for one count, or while it is swept.
#[derive(Debug)]
pub(super) struct Memory {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    bytes: AtomicUsize,
    max_bytes: usize,
    swept: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    /// First second behind its window.
    end: i64,
    count: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self::within(MAX_BYTES)
    }
}

impl Memory {
    pub(super) fn within(max_bytes: usize) -> Self {
        let hasher = RandomState::new();
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::with_hasher(hasher.clone()))).collect();
        Self { hasher, shards, bytes: AtomicUsize::new(0), max_bytes, swept: AtomicUsize::new(0) }
    }

    /// Counts, and gives the count behind it; `None` where there is no room for a counter.
    pub(super) fn add(&self, name: &str, end: i64, hits: Hits) -> Option<u64> {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        let mut shard = self.shards.get(shard)?.lock();
        if let Some(counter) = shard.get_mut(name) {
            if counter.end != end {
                *counter = Counter { end, count: 0 };
            }
            counter.count = hits.after(counter.count);
            return Some(counter.count);
        }
        let count = hits.after(0);
        if count == 0 {
            return Some(0);
        }
        let bytes = name.len() + COUNTER_BYTES;
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.max_bytes {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        shard.insert(name.into(), Counter { end, count });
        Some(count)
    }

    /// Removes the counters of the next shards whose windows ended.
    pub(super) fn sweep(&self, now_unix: i64) {
        for _ in 0..SWEPT_AT_ONCE {
            self.sweep_next(now_unix);
        }
    }

    fn sweep_next(&self, now_unix: i64) {
        let next = self.swept.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let Some(shard) = self.shards.get(next) else { return };
        let mut shard = shard.lock();
        let mut freed = 0;
        shard.retain(|name, counter| {
            let stays = counter.end > now_unix;
            freed += if stays { 0 } else { name.len() + COUNTER_BYTES };
            stays
        });
        if shard.len() < shard.capacity() / 4 {
            shard.shrink_to_fit();
        }
        self.bytes.fetch_sub(freed, Ordering::Relaxed);
    }

    /// What they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_hits_then_they_count_in_their_window_alone() {
        let memory = Memory::default();
        let counts = [(60, 1), (60, 4), (120, 2), (120, 0)];
        let counts = counts.map(|(end, hits)| memory.add("a", end, Hits::Taken(hits)));
        assert_eq!(counts, [Some(1), Some(5), Some(2), Some(2)]);
        assert_eq!(memory.add("b", 120, Hits::Taken(7)), Some(7), "names are counted apart");
        assert_eq!(memory.add("b", 120, Hits::GivenBack(3)), Some(4));
        assert_eq!(memory.add("b", 120, Hits::GivenBack(9)), Some(0), "no more comes back than was taken");
        assert_eq!(memory.add("b", 120, Hits::Taken(u64::MAX)), Some(u64::MAX));
        assert_eq!(memory.add("b", 120, Hits::Taken(2)), Some(u64::MAX), "a count does not wrap");
    }

    #[test]
    fn given_no_room_then_new_counters_are_not_made_until_old_ones_are_forgotten() {
        let memory = Memory::within(2 * (COUNTER_BYTES + 1));
        let add = |name: &str| memory.add(name, 60, Hits::Taken(1));
        assert_eq!([add("a"), add("b"), add("c"), add("a")], [Some(1), Some(1), None, Some(2)]);
        assert_eq!(memory.add("c", 60, Hits::Taken(0)), Some(0), "asking takes no room");
        (0..SHARDS).for_each(|_| memory.sweep(59));
        assert_eq!(add("c"), None, "windows that go on are kept");
        (0..SHARDS).for_each(|_| memory.sweep(60));
        assert_eq!((memory.bytes(), memory.add("c", 120, Hits::Taken(1))), (0, Some(1)));
    }
}
