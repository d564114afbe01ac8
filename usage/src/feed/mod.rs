//! Feeds the store from the bus: all of `weir_calls` and `otlp_metrics`, read by fixed partitions.
//!
//! The positions are the store's, written in one transaction with what was read; nothing is committed to the bus. What
//! was read and not written when this process ends is read again. While the database is away the batch is kept and
//! tried again, and nothing more is read.

mod batch;
mod gpu;

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::RwLock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Event, Partition, Position};
use weir_proto::topic;
use weir_service::health::Part as Health;
use weir_service::telemetry::whole;
use weir_service::time::now_unix_nano;

use self::batch::Outcome;
use crate::quota::Meters;
use crate::store::{Batch, Sources, State, Store, StoreError, watermark};

/// How often what was read is written.
const WRITE: Duration = Duration::from_millis(500);
/// So many cells or bytes are written at once, at most about.
const MOST_CELLS: usize = 50_000;
const MOST_BYTES: usize = 32 << 20;
/// How often new partitions are looked for.
const LOOK: Duration = Duration::from_secs(10);
/// Between two tries of a database or a bus that is away.
const RETRY: Duration = Duration::from_secs(1);
/// How often old rows are removed, some at a time.
const UPKEEP: Duration = Duration::from_mins(1);

/// How far the store has come; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    known: Arc<RwLock<Known>>,
    partitions: Arc<AtomicI32>,
}

#[derive(Debug, Default)]
struct Known {
    sources: Sources,
    /// When it was last written or found to be up to date.
    at: Option<Instant>,
    faults: u64,
}

impl Progress {
    /// Event time in unix nanoseconds up to which reports are complete.
    pub(crate) fn complete_until(&self) -> Option<u64> {
        watermark(&self.known.read().sources, topic::SPANS, self.partitions.load(Ordering::Acquire))
    }

    /// How long ago everything that had been read was written.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.known.read().at.map(|at| at.elapsed())
    }

    /// Faults found since the start.
    pub(crate) fn faults(&self) -> u64 {
        self.known.read().faults
    }
}

/// The feeding task.
#[derive(Debug)]
pub(crate) struct Feed {
    bus: Bus,
    store: Store,
    progress: Progress,
    meters: Meters,
    retention: Duration,
    health: Health,
    ranges: Counter<u64>,
    faults: Counter<u64>,
    cells: Counter<u64>,
}

/// Why reading stops for a moment.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Feed {
    /// Nothing is read before [`Feed::run`].
    pub(crate) fn new(
        bus: Bus,
        store: Store,
        meters: Meters,
        retention: Duration,
        meter: &Meter,
        health: Health,
    ) -> Self {
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        Self {
            bus,
            store,
            progress: Progress::default(),
            meters,
            retention,
            health,
            ranges: counter("weir_usage_ranges", "Ranges of calls read, by what became of them"),
            faults: counter("weir_usage_faults", "Gaps, overlaps and damage found in what usage is counted from"),
            cells: counter("weir_usage_cells", "Cells written"),
        }
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Feeds until `shutdown`, over every failure of the bus and the database; what was read is written before it ends.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let Err(stop) = self.feed(&shutdown).await else { return };
            if matches!(stop, Stop::Store(StoreError::Conflict)) {
                tracing::info!("another process wrote to the usage store: going on from what it wrote");
                continue;
            }
            tracing::warn!(error = %whole(&stop), "usage cannot be counted; trying again");
            self.health.not_ready(match stop {
                Stop::Bus(_) => "the bus does not give call statistics",
                Stop::Store(_) => "the usage store is away",
            });
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Reads and writes until something fails; `Ok` after the shutdown.
    async fn feed(&self, shutdown: &CancellationToken) -> Result<(), Stop> {
        let mut state = self.store.state().await?;
        self.meters.load(&self.store).await?;
        let topics = [topic::SPANS, topic::CALLS, topic::METRICS].map(|name| self.bus.topic_spec(name));
        self.bus.ensure_topics(&topics).await?;
        self.progress.known.write().sources.clone_from(&state.sources);
        loop {
            let (positions, count) = self.positions(&state).await?;
            let mut consumer = self.bus.consumer(&positions)?;
            let mut batch = Batch::default();
            let (mut bytes, mut since) = (0, Instant::now());
            let mut look = Instant::now() + LOOK;
            let mut upkeep = Instant::now();
            loop {
                let is_over = shutdown.is_cancelled();
                if !is_over {
                    let next = tokio::select! {
                        next = consumer.next(1024, Duration::from_millis(200)) => Some(next?),
                        () = shutdown.cancelled() => None,
                    };
                    if let Some(Event::Batch(messages)) = next {
                        let now = now_unix_nano() / 1_000_000_000;
                        if batch.is_empty() {
                            since = Instant::now();
                        }
                        for message in messages {
                            bytes += message.value.len();
                            self.count(batch.add(&state, &message, now), &message.partition, message.offset);
                        }
                        tokio::task::yield_now().await;
                    } else if batch.is_empty() {
                        self.progress.known.write().at = Some(Instant::now());
                    }
                }
                if self.meters.is_void() {
                    self.meters.load(&self.store).await?;
                }
                let is_due = since.elapsed() >= WRITE || bytes >= MOST_BYTES || batch.cells.len() >= MOST_CELLS;
                if !batch.is_empty() && (is_due || is_over) {
                    self.write(&mut state, &mut batch, shutdown).await?;
                    bytes = 0;
                }
                if is_over {
                    return Ok(());
                }
                self.health.ready();
                if upkeep.elapsed() >= UPKEEP {
                    upkeep = Instant::now();
                    // By event time: a clock that jumps ahead removes nothing.
                    if let Some(complete) = self.progress.complete_until() {
                        let complete = i64::try_from(complete).unwrap_or(i64::MAX);
                        let now = now_unix_nano().min(complete) / 1_000_000_000;
                        self.store.expire(&mut state, self.retention, now).await?;
                    }
                }
                if Instant::now() >= look {
                    look = Instant::now() + LOOK;
                    if self.count_partitions().await? != count {
                        self.write(&mut state, &mut batch, shutdown).await?;
                        break;
                    }
                }
            }
        }
    }

    /// Writes a batch, as often as it takes; a conflict is for the caller.
    async fn write(
        &self,
        state: &mut State,
        batch: &mut Batch,
        shutdown: &CancellationToken,
    ) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        loop {
            let cells = batch.cells.len() as u64;
            match self.store.commit(state, batch).await {
                Ok(()) => {
                    self.cells.add(cells, &[]);
                    self.meters.add(&self.store, batch).await;
                    for (_, fault) in &batch.faults {
                        self.faults.add(1, &[KeyValue::new("kind", fault.kind.as_str())]);
                    }
                    for (kind, count) in [("gap", batch.gaps_found), ("undecodable", batch.undecodable)] {
                        if count > 0 {
                            self.faults.add(count, &[KeyValue::new("kind", kind)]);
                        }
                    }
                    let mut known = self.progress.known.write();
                    known.faults += batch.faults.len() as u64 + batch.gaps_found + batch.undecodable;
                    known.at = Some(Instant::now());
                    known.sources.clone_from(&state.sources);
                    *batch = Batch::default();
                    return Ok(());
                }
                Err(error @ StoreError::Database { .. }) if !shutdown.is_cancelled() => {
                    tracing::warn!(error = %whole(&error), "usage cannot be written; what was read waits");
                    self.health.not_ready("the usage store is away");
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn count(&self, outcome: Outcome, partition: &Partition, offset: i64) {
        let result = match outcome {
            Outcome::Taken => "in_order",
            Outcome::Overlap => "overlap",
            Outcome::Gap(offsets) => {
                tracing::error!(offset, offsets, "spans are missing between two ranges of calls: usage is incomplete");
                "gap"
            }
            Outcome::Undecodable => {
                let topic = &*partition.topic;
                tracing::error!(
                    topic,
                    partition = partition.partition,
                    offset,
                    "a record cannot be decoded: usage is incomplete"
                );
                "undecodable"
            }
        };
        self.ranges.add(1, &[KeyValue::new("result", result)]);
    }

    /// Where each partition is read from: the store's position, or its beginning.
    async fn positions(&self, state: &State) -> Result<(Vec<Position>, i32), weir_bus::Error> {
        let mut positions = Vec::new();
        for name in [topic::CALLS, topic::METRICS] {
            for number in 0..self.bus.partitions(name).await? {
                let partition = Partition::new(name, number);
                let (low, high) = self.bus.offsets(&partition).await?;
                let known = state.positions.iter().find(|position| position.partition == partition);
                // A topic that ends before the position was made again; its ranges say what of them is known.
                let offset = known.map_or(low, |known| if known.offset > high { low } else { known.offset });
                positions.push(Position { partition, offset });
            }
        }
        Ok((positions, self.count_partitions().await?))
    }

    async fn count_partitions(&self) -> Result<i32, weir_bus::Error> {
        self.progress.partitions.store(self.bus.partitions(topic::SPANS).await?, Ordering::Release);
        Ok(self.bus.partitions(topic::CALLS).await? + self.bus.partitions(topic::METRICS).await?)
    }
}
