//! Counters in Redis, which several instances share: one round trip a request.
//!
//! Each count is `INCRBY` and `EXPIRE` of a key that names limit and window, so that a window needs no reset. A request
//! waits [`TIMEOUT`] at most. After a failure requests are answered at once, as `without_store` says, until a `PING`
//! every [`PROBE_INTERVAL`] is answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, Pipeline, RedisError};
use weir_service::health::{Health, Part};

use super::store::{Add, Hits, Throttle};

/// A request waits this long for its counts.
const TIMEOUT: Duration = Duration::from_millis(100);

/// Making a connection may take this long; requests do not wait for it beyond their own time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Interval between two attempts to reach Redis while it is unavailable.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// A key lives this much longer than its window by the clock of the instance that counts, since clocks differ.
const KEPT_SECONDS: i64 = 5;

/// Gives hits back without going below zero.
const GIVE_BACK: &str = "local n = redis.call('DECRBY', KEYS[1], ARGV[1]) \
                         if n < 0 then redis.call('SET', KEYS[1], 0) n = 0 end \
                         redis.call('EXPIRE', KEYS[1], ARGV[2]) return n";

/// A connection that is made again where it breaks.
pub(super) struct Redis {
    connection: ConnectionManager,
    part: Part,
    is_unavailable: AtomicBool,
    throttle: Throttle,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The connection knows the password.
        f.debug_struct("Redis").field("is_unavailable", &self.is_unavailable).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects in the background.
    pub(super) fn open(address: &str, health: &Health) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(TIMEOUT))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_number_of_retries(0);
        let connection = ConnectionManager::new_lazy_with_config(Client::open(address)?, config)?;
        let part = health.part("ratelimit store");
        part.ready();
        Ok(Self { connection, part, is_unavailable: AtomicBool::new(false), throttle: Throttle::default() })
    }

    /// Counts all; `None` where it cannot.
    pub(super) async fn add(&self, all: &[Add], now_unix: i64) -> Option<Vec<u64>> {
        if self.is_unavailable.load(Ordering::Relaxed) {
            return None;
        }
        match self.ask::<Vec<i64>>(&pipeline(all, now_unix)).await {
            Ok(counts) if counts.len() == all.len() => {
                Some(counts.into_iter().map(|count| u64::try_from(count).unwrap_or(0)).collect())
            }
            Ok(_) => self.failed("an answer of another length"),
            Err(problem) => self.failed(&problem),
        }
    }

    /// Connects, and probes while Redis is unavailable. Runs until it is dropped.
    pub(super) async fn probe(&self) {
        let mut ping = Pipeline::new();
        ping.cmd("PING");
        if let Err(problem) = self.ask::<Vec<String>>(&ping).await {
            self.failed::<()>(&problem);
        }
        loop {
            tokio::time::sleep(PROBE_INTERVAL).await;
            if self.is_unavailable.load(Ordering::Relaxed) && self.ask::<Vec<String>>(&ping).await.is_ok() {
                self.is_unavailable.store(false, Ordering::Relaxed);
                self.part.ready();
                tracing::info!("Redis counts rate limits again");
            }
        }
    }

    async fn ask<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, String> {
        let mut connection = self.connection.clone();
        match tokio::time::timeout(TIMEOUT, commands.query_async(&mut connection)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
        }
    }

    fn failed<T>(&self, problem: &str) -> Option<T> {
        if !self.is_unavailable.swap(true, Ordering::Relaxed) {
            self.part.degraded("Redis is unavailable: rate limits are answered as `without_store` says");
        }
        if self.throttle.is_due() {
            tracing::warn!(problem, "Redis cannot count rate limits; `without_store` decides until it does");
        }
        None
    }
}

fn pipeline(all: &[Add], now_unix: i64) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(2 * all.len());
    for add in all {
        let key = format!("weir/ratelimit/{}/{}", add.end, add.counter);
        let seconds = (add.end - now_unix).max(0) + KEPT_SECONDS;
        match add.hits {
            Hits::Taken(hits) => {
                pipeline.cmd("INCRBY").arg(&key).arg(hits).cmd("EXPIRE").arg(&key).arg(seconds).ignore();
            }
            Hits::GivenBack(hits) => {
                pipeline.cmd("EVAL").arg(GIVE_BACK).arg(1).arg(&key).arg(hits).arg(seconds);
            }
        }
    }
    pipeline
}
