use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use ahash::RandomState;

/// Trace and span ids of late: two generations, so that memory and time are bounded and forgetting is cheap.
///
/// An id is remembered by 64 bits of its hash, whose keys are drawn at each start: of a million ids that are remembered,
/// one in 10^13 calls is taken for one of them.
#[derive(Debug)]
pub struct Seen {
    window_nano: u64,
    capacity: usize,
    since: u64,
    hash: RandomState,
    current: Hashes,
    previous: Hashes,
}

type Hashes = HashSet<u64, BuildHasherDefault<AsItIs>>;

/// What is hashed already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Seen {
    /// Remembers for at least `window_nano` and less than twice that, but at most about `capacity` ids.
    pub fn new(window_nano: u64, capacity: usize) -> Self {
        let (current, previous) = (Hashes::default(), Hashes::default());
        Self { window_nano, capacity, since: 0, hash: RandomState::new(), current, previous }
    }

    /// False where the id was there. `at` is the record's arrival in nanoseconds.
    pub fn insert(&mut self, id: (u128, u64), at: u64) -> bool {
        if at.saturating_sub(self.since) >= self.window_nano || self.current.len() >= self.capacity / 2 {
            // As many are likely to come again.
            let next = Hashes::with_capacity_and_hasher(self.current.len(), BuildHasherDefault::default());
            self.previous = std::mem::replace(&mut self.current, next);
            self.since = self.since.max(at);
        }
        let hash = self.hash.hash_one(id);
        !self.previous.contains(&hash) && self.current.insert(hash)
    }
}
