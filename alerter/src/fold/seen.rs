use ahash::AHashSet;

/// Trace and span ids of late: two generations, so that memory and time are bounded and forgetting is cheap.
#[derive(Debug)]
pub struct Seen {
    window_nano: u64,
    capacity: usize,
    since: u64,
    current: AHashSet<(u128, u64)>,
    previous: AHashSet<(u128, u64)>,
}

impl Seen {
    /// Remembers for at least `window_nano` and less than twice that, but at most about `capacity` ids.
    pub fn new(window_nano: u64, capacity: usize) -> Self {
        Self { window_nano, capacity, since: 0, current: AHashSet::new(), previous: AHashSet::new() }
    }

    /// False where the id was there. `at` is the record's arrival in nanoseconds.
    pub fn insert(&mut self, id: (u128, u64), at: u64) -> bool {
        if at.saturating_sub(self.since) >= self.window_nano || self.current.len() >= self.capacity / 2 {
            self.previous = std::mem::take(&mut self.current);
            self.since = self.since.max(at);
        }
        !self.previous.contains(&id) && self.current.insert(id)
    }
}
