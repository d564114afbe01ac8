//! Where calls are counted.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::RedisError;
use weir_service::health::Health;

use super::memory::{self, Memory};
use super::options::StoreOptions;
use super::redis::Redis;

/// How much one call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hits {
    Taken(u64),
    GivenBack(u64),
}

/// What is to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Add {
    pub(super) counter: String,
    /// First second behind the window.
    pub(super) end: i64,
    pub(super) hits: Hits,
}

/// A failure that lasts is logged this often at most; all are counted.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// When something was logged last.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Option<Instant>>);

/// Memory or Redis.
#[derive(Debug)]
pub(super) enum Store {
    Memory(Memory, Throttle),
    Redis(Box<Redis>),
}

impl Hits {
    /// A count behind them.
    pub(super) fn after(self, count: u64) -> u64 {
        match self {
            Self::Taken(hits) => count.saturating_add(hits),
            Self::GivenBack(hits) => count.saturating_sub(hits),
        }
    }
}

impl Throttle {
    /// Whether it is to be logged again.
    pub(super) fn is_due(&self) -> bool {
        let mut logged = self.0.lock();
        let is_due = logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
        if is_due {
            *logged = Some(Instant::now());
        }
        is_due
    }
}

impl Store {
    /// Does not wait for Redis.
    pub(super) fn open(options: &StoreOptions, health: &Health) -> Result<Self, RedisError> {
        match options {
            StoreOptions::Memory => Ok(Self::Memory(Memory::default(), Throttle::default())),
            StoreOptions::Redis(address) => Ok(Self::Redis(Box::new(Redis::open(address, health)?))),
        }
    }

    /// Counts all, and gives the counts behind it in the same order; `None` for what could not be counted.
    pub(super) async fn add(&self, all: &[Add], now_unix: i64) -> Vec<Option<u64>> {
        match self {
            Self::Memory(memory, throttle) => {
                let counts: Vec<_> = all.iter().map(|add| memory.add(&add.counter, add.end, add.hits)).collect();
                if counts.contains(&None) && throttle.is_due() {
                    let bytes = memory.bytes();
                    tracing::warn!(bytes, "there is no room for more counters of rate limits: `without_store` decides");
                }
                counts
            }
            Self::Redis(_) if all.is_empty() => Vec::new(),
            Self::Redis(redis) => match redis.add(all, now_unix).await {
                Some(counts) => counts.into_iter().map(Some).collect(),
                None => vec![None; all.len()],
            },
        }
    }

    /// Sweeps memory, or probes Redis while it is unavailable. Runs until it is dropped.
    pub(super) async fn run(&self) {
        match self {
            Self::Memory(memory, _) => loop {
                tokio::time::sleep(memory::SWEEP_INTERVAL).await;
                memory.sweep(super::now_unix());
            },
            Self::Redis(redis) => redis.probe().await,
        }
    }

    /// What counters take in this process, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Memory(memory, _) => memory.bytes(),
            Self::Redis(_) => 0,
        }
    }
}
