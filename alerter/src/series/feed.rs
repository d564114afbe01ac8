//! Feeds the store from the bus: all of `weir_calls` and `otlp_metrics`, by every alerter for itself, and with them how
//! far the collectors are (`weir_progress`).
//!
//! Nothing is committed: series are in memory, and a start reads the history again, found by the records' times; only
//! the totals of counters are kept (`totals.rs`). The
//! positions are the store's own: the ranges of a source partition must follow each other, one that was seen before is
//! dropped and a gap is counted. The store is whole when what lay on the bus at the start has been read.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::{Mutex, RwLock};
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Error, Event, Message, Partition, Position};
use weir_calls::Follows;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_proto::{topic, v1};
use weir_service::health::Part as Health;
use weir_service::telemetry::whole;
use weir_service::time::now_unix_ms;

use super::foreign::Foreign;
use super::progress::{Collectors, Of, Presence, Standing};
use super::read::{Matcher, Read, Series};
use super::store::{Refused, Store};
use super::totals;
use crate::fold::{Interfaces, Lateness, arrival, first};

/// What is read, all of it.
pub(crate) const READ: [&str; 3] = [topic::CALLS, topic::METRICS, topic::PROGRESS];
/// How often new partitions are looked for.
const LOOK: Duration = Duration::from_secs(10);
/// How often the totals of counters are written. What is read again behind them is added, so they may be old.
const SAVE: Duration = Duration::from_mins(1);
/// How often what collectors said is compared with what was read.
const COMPARE: Duration = Duration::from_millis(100);
/// How often the ends of partitions are asked for that others write to, and those looked for who are late.
const ASK: Duration = Duration::from_millis(500);
/// Collectors that are late and named at most.
const NAMED: usize = 20;
/// How long a partition may be silent before what it holds counts as read.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store and what its feeder knows; cheap to clone.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The series.
    pub store: Arc<RwLock<Store>>,
    whole: Arc<AtomicBool>,
    partitions: Arc<AtomicI32>,
    /// Ranges with spans read so far, whoever wrote them.
    pub(crate) written: Arc<AtomicU64>,
    collectors: Arc<Mutex<Collectors>>,
    /// Ids of some collectors that are late or absent.
    pub(crate) late: Arc<RwLock<Vec<String>>>,
    foreign: Arc<Mutex<Foreign>>,
    absent_after: Duration,
    /// Event time in unix milliseconds up to which everything is here and rules were evaluated.
    pub(crate) complete: Arc<watch::Sender<Option<i64>>>,
}

impl Shared {
    /// An empty store; a collector that is silent for longer than `absent_after` is not waited for.
    pub fn new(store: Store, absent_after: Duration) -> Self {
        Self {
            store: Arc::new(RwLock::new(store)),
            whole: Arc::default(),
            partitions: Arc::default(),
            written: Arc::default(),
            collectors: Arc::default(),
            late: Arc::default(),
            foreign: Arc::default(),
            absent_after,
            complete: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Event time in unix nanoseconds up to which everything is here: the least of what the collectors say, and of the
    /// partitions of spans and metrics that none of them writes to. `None` until that is known of all of them.
    pub fn watermark(&self) -> Option<u64> {
        if !self.whole.load(Ordering::Acquire) {
            return None;
        }
        self.watermark_at(Instant::now(), now_unix_ms())
    }

    /// The same as of a time of the clock that silence of collectors is measured by, and of the wall clock in unix
    /// milliseconds, whether or not the history has been read.
    pub(crate) fn watermark_at(&self, now: Instant, wall_ms: i64) -> Option<u64> {
        let partitions = self.partitions.load(Ordering::Acquire);
        let collectors = self.collectors.lock();
        let said = collectors.complete(now, self.absent_after);
        let foreign = self.foreign.lock();
        let (others, of_metrics) = collectors.others((partitions, foreign.end()), now, self.absent_after);
        let of_metrics = foreign.complete(&of_metrics, wall_ms).unwrap_or(u64::MAX);
        drop((collectors, foreign));
        let others = self.store.read().watermark(topic::SPANS, &others).map(|others| others.min(of_metrics));
        match said {
            Some(said) => Some(said?.min(others?)),
            None => others.filter(|_| partitions > 0),
        }
    }

    /// How long the folds say that late calls take, the longest of all partitions.
    pub fn lateness_nano(&self) -> u64 {
        self.store.read().lateness_nano()
    }

    /// Up to which event time rules are evaluated at this watermark, in unix milliseconds: behind it by the lateness.
    pub(crate) fn evaluable_ms(&self, watermark: u64, lateness: Lateness) -> i64 {
        let lateness = match lateness {
            Lateness::Fixed(fixed) => fixed.as_nanos() as u64,
            Lateness::Learned => self.lateness_nano(),
        };
        (watermark.saturating_sub(lateness) / 1_000_000) as i64
    }

    /// The collectors that say how far they are.
    pub fn collectors(&self) -> Vec<Standing> {
        self.collectors_at(Instant::now(), weir_service::time::now_unix_nano_unsigned())
    }

    /// The same as of this time of both clocks; of the wall clock in nanoseconds since the epoch.
    pub(crate) fn collectors_at(&self, now: Instant, wall: u64) -> Vec<Standing> {
        self.collectors.lock().standings(now, wall, self.absent_after)
    }

    /// All that was written to this partition of metrics by this time of the wall clock has been read.
    pub(crate) fn metrics_read(&self, partition: i32, wall_ms: i64) {
        self.foreign.lock().read(partition, wall_ms);
    }

    /// Partitions of spans that are waited for.
    pub(crate) fn set_partitions(&self, partitions: i32) {
        self.partitions.store(partitions, Ordering::Release);
    }
}

/// The store is held only while one selector reads, so a long query does not keep new points waiting. What lies at or
/// before the watermark changes by late spans alone.
impl Read for Shared {
    fn each(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>) {
        self.store.read().each(matchers, start_ms, end_ms, take);
    }
}

/// The feeding task.
#[derive(Debug)]
pub struct Feed {
    bus: Bus,
    shared: Shared,
    history: Duration,
    health: Health,
    ranges: Counter<u64>,
    gaps: Counter<u64>,
    refused: Counter<u64>,
    undecodable: Counter<u64>,
    overflowed: Counter<u64>,
    interfaces: Option<Interfaces>,
    totals: Option<totals::File>,
    /// Positions up to which the bus is in the totals that were read.
    known: Mutex<Vec<Position>>,
}

impl Feed {
    /// Nothing is read before [`Feed::run`].
    pub fn new(bus: Bus, shared: Shared, history: Duration, meter: &Meter, health: Health) -> Self {
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        Self {
            bus,
            shared,
            history,
            health,
            ranges: counter("weir_series_ranges", "Ranges of calls read, by what became of them"),
            gaps: counter("weir_series_gap_offsets", "Offsets of spans that no range of calls covers"),
            refused: counter("weir_series_refused_points", "Points that were not kept, by reason"),
            undecodable: counter("weir_series_undecodable_records", "Records that could not be decoded"),
            overflowed: counter(
                "weir_series_overflowed_calls",
                "Calls shown as interface «other», since several alerters together let in more than a tenant may have",
            ),
            interfaces: None,
            totals: None,
            known: Mutex::default(),
        }
    }

    /// Keeps the totals of counters in this file, so that they go on at the next start.
    #[must_use]
    pub fn with_totals(mut self, path: PathBuf) -> Self {
        self.totals = Some(totals::File::new(path));
        self
    }

    /// Lets the fold of this program know of the interfaces that others have let in.
    #[must_use]
    pub fn with_interfaces(mut self, interfaces: Interfaces) -> Self {
        self.interfaces = Some(interfaces);
        self
    }

    /// Feeds until `shutdown`, over every failure of the bus.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut positions = Vec::new();
        self.restore().await;
        loop {
            let failed = tokio::select! {
                () = shutdown.cancelled() => return self.save(&positions).await,
                failed = self.read(&mut positions) => failed,
            };
            if let Err(error) = failed {
                tracing::warn!(error = %whole(&error), "the series cannot be fed; trying again");
                self.health.not_ready("the bus does not give call statistics");
                tokio::select! {
                    () = shutdown.cancelled() => return self.save(&positions).await,
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        }
    }

    /// Takes over the totals of before.
    async fn restore(&self) {
        let Some(file) = self.totals.clone() else { return };
        let path = file.path().to_owned();
        match tokio::task::spawn_blocking(move || file.read()).await {
            Ok(Ok((positions, totals))) => {
                *self.known.lock() = positions;
                self.shared.store.write().carry(totals);
            }
            Ok(Err(error)) => {
                tracing::error!(error = %whole(&error), path = %path.display(),
                    "the totals of counters cannot be read; they begin with the history");
            }
            Err(_) => {}
        }
    }

    /// Writes the totals as of `positions`; before the history has been read they are not those of all counters.
    async fn save(&self, positions: &[Position]) {
        let Some(file) = self.totals.clone().filter(|_| self.shared.whole.load(Ordering::Acquire)) else { return };
        let (store, positions) = (self.shared.store.clone(), positions.to_vec());
        // It ends before the program does, or the program is dying anyway.
        let _ = tokio::task::spawn_blocking(move || {
            let totals = store.read().totals();
            if let Err(error) = file.write(&positions, totals) {
                tracing::error!(error = %whole(&error), path = %file.path().display(),
                    "the totals of counters cannot be written; after a restart they may be less than now");
            }
        })
        .await;
    }

    /// Reads on from `positions` until there are new partitions, which are added.
    async fn read(&self, positions: &mut Vec<Position>) -> Result<(), Error> {
        let topics = [topic::SPANS, topic::CALLS, topic::METRICS, topic::PROGRESS];
        let topics = topics.map(|name| self.bus.topic_spec(name));
        self.bus.ensure_topics(&topics).await?;
        let mut goals = Vec::new();
        for name in READ {
            for number in 0..self.bus.partitions(name).await? {
                let partition = Partition::new(name, number);
                let (low, high) = self.bus.offsets(&partition).await?;
                if !positions.iter().any(|position| position.partition == partition) {
                    // What a collector said last stands, however long ago it was.
                    let since = now_unix_ms() - self.history.as_millis() as i64;
                    let offset =
                        if name == topic::PROGRESS { low } else { offset_since(&self.bus, &partition, since).await? };
                    positions.push(Position { partition: partition.clone(), offset });
                }
                // Of a topic that was made anew, nothing is in the totals.
                self.known.lock().retain(|known| known.partition != partition || known.offset <= high);
                goals.push(Position { partition, offset: high });
            }
        }
        self.shared.set_partitions(self.bus.partitions(topic::SPANS).await?);
        let count = positions.len();
        let mut consumer = self.bus.consumer(positions)?;
        let (mut look, mut save_at) = (Instant::now() + LOOK, Instant::now() + SAVE);
        let (mut compare_at, mut ask_at) = (Instant::now(), Instant::now());
        let mut came: Vec<Instant> = vec![Instant::now(); count];
        loop {
            if let Event::Batch(messages) = consumer.next(1024, Duration::from_millis(200)).await? {
                let now = Instant::now();
                for message in messages {
                    self.take(&message, now, weir_service::time::now_unix_nano_unsigned());
                    if let Some(at) = positions.iter().position(|p| p.partition == message.partition) {
                        positions[at].offset = message.offset + 1;
                        came[at] = now;
                    }
                }
                tokio::task::yield_now().await;
            }
            if Instant::now() >= compare_at {
                compare_at = Instant::now() + COMPARE;
                self.reached(positions);
            }
            if Instant::now() >= ask_at {
                ask_at = Instant::now() + ASK;
                self.name_late();
                self.ask(positions).await;
            }
            if !self.shared.whole.load(Ordering::Acquire) {
                // The last offsets may be no records, so it is enough that a partition gave nothing for a while.
                let read = |goal: &Position| {
                    let mut both = positions.iter().zip(&came);
                    both.any(|(position, came)| {
                        position.partition == goal.partition
                            && (position.offset >= goal.offset || came.elapsed() > PATIENCE)
                    })
                };
                if goals.iter().all(read) {
                    self.shared.store.write().carry(totals::ByKey::default());
                    self.known.lock().clear();
                    self.shared.whole.store(true, Ordering::Release);
                    tracing::info!(series = self.shared.store.read().len(), "the history of series has been read");
                }
            }
            if self.shared.whole.load(Ordering::Acquire) {
                self.health.ready();
            }
            if Instant::now() >= save_at {
                save_at = Instant::now() + SAVE;
                self.save(positions).await;
            }
            if Instant::now() >= look {
                look = Instant::now() + LOOK;
                let mut there = 0;
                for name in READ {
                    there += usize::try_from(self.bus.partitions(name).await?).unwrap_or(0);
                }
                self.shared.set_partitions(self.bus.partitions(topic::SPANS).await?);
                if there > count {
                    return Ok(());
                }
            }
        }
    }

    /// Lets what collectors said count where all before it was read.
    pub(crate) fn reached(&self, positions: &[Position]) {
        // Thousands of collectors name each partition, so these are looked up by number.
        fn by_number(ends: impl Iterator<Item = (i32, i64)>) -> Vec<Option<i64>> {
            let mut by_number = Vec::new();
            for (partition, end) in ends {
                let at = usize::try_from(partition).unwrap_or(0);
                if by_number.len() <= at {
                    by_number.resize(at + 1, None);
                }
                by_number[at] = Some(end);
            }
            by_number
        }
        let of_metrics = positions.iter().filter(|position| *position.partition.topic == *topic::METRICS);
        let metrics = by_number(of_metrics.map(|position| (position.partition.partition, position.offset)));
        let spans = by_number(self.shared.store.read().end_offsets(topic::SPANS));
        self.shared.collectors.lock().read(|of, partition| {
            let ends = if of == Of::Spans { &spans } else { &metrics };
            *ends.get(usize::try_from(partition).ok()?)?
        });
    }

    /// Says who is late, for those who write what was seen.
    fn name_late(&self) {
        let late = self.shared.collectors().into_iter().filter(|standing| standing.state != Presence::Live);
        *self.shared.late.write() = late.take(NAMED).map(|standing| standing.id).collect();
    }

    /// Asks whether all was read of the partitions of metrics that others write to.
    async fn ask(&self, positions: &[Position]) {
        let (now, wall_ms) = (Instant::now(), now_unix_ms());
        let active = {
            let (collectors, foreign) = (self.shared.collectors.lock(), self.shared.foreign.lock());
            foreign.active(&collectors.others((0, foreign.end()), now, self.shared.absent_after).1, wall_ms)
        };
        let mut asking = tokio::task::JoinSet::new();
        for position in positions {
            if *position.partition.topic == *topic::METRICS && active.contains(&position.partition.partition) {
                let (bus, position) = (self.bus.clone(), position.clone());
                asking.spawn(async move { (bus.offsets(&position.partition).await, position) });
            }
        }
        let answers = async {
            while let Some(answer) = asking.join_next().await {
                // The end was asked for after the wall clock was read, so nothing older waits there.
                if let Ok((Ok((_, high)), position)) = answer
                    && position.offset >= high
                {
                    self.shared.foreign.lock().read(position.partition.partition, wall_ms);
                }
            }
        };
        // Of a partition that does not answer it is not known, so rules wait.
        let _ = tokio::time::timeout(ASK, answers).await;
    }

    /// Takes a record, read at this time of both clocks; of the wall clock in nanoseconds since the epoch.
    pub(crate) fn take(&self, message: &Message, now: Instant, wall: u64) {
        let mut refused = Refused::default();
        if *message.partition.topic == *topic::PROGRESS {
            return self.take_progress(message, now, wall);
        }
        let is_known = |known: &Position| known.partition == message.partition && message.offset < known.offset;
        let known = self.known.lock().iter().any(is_known);
        if *message.partition.topic == *topic::CALLS {
            let Ok(range) = v1::CallDeltas::decode(&message.value[..]) else { return self.undecodable(message) };
            if range.spans > 0 {
                self.shared.written.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(interfaces) = &self.interfaces {
                interfaces.learn(&range);
            }
            let mut store = self.shared.store.write();
            store.set_known(known);
            let taken = store.add_calls(&range, &mut refused);
            drop(store);
            let (partition, first) = (range.source_partition, range.first_offset);
            let result = match taken {
                Follows::InOrder => "in_order",
                Follows::Gap(offsets) => {
                    tracing::warn!(partition, first, offsets, "spans are missing between two ranges of calls");
                    self.gaps.add(u64::try_from(offsets).unwrap_or(0), &[]);
                    "gap"
                }
                Follows::Overlap => {
                    tracing::warn!(partition, first, "a range of calls was seen before, and is dropped");
                    "overlap"
                }
            };
            self.ranges.add(1, &[KeyValue::new("result", result)]);
        } else {
            let Ok(request) = ExportMetricsServiceRequest::decode(&message.value[..]) else {
                return self.undecodable(message);
            };
            let arrival_ms = (arrival(message.timestamp_ms, wall) / 1_000_000) as i64;
            self.shared.foreign.lock().came(message.partition.partition, arrival_ms, (wall / 1_000_000) as i64);
            let mut store = self.shared.store.write();
            store.set_known(known);
            store.add_metrics(&request, arrival_ms, &mut refused);
            drop(store);
        }
        let Refused { over_limit, over_tenant_limit, out_of_range, unsupported, overflowed } = refused;
        self.overflowed.add(overflowed, &[]);
        for (count, reason) in [
            (over_limit, "over_limit"),
            (over_tenant_limit, "over_tenant_limit"),
            (out_of_range, "out_of_range"),
            (unsupported, "unsupported"),
        ] {
            if count > 0 {
                self.refused.add(count, &[KeyValue::new("reason", reason)]);
            }
        }
    }

    fn take_progress(&self, message: &Message, now: Instant, wall: u64) {
        let id = message.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let Ok(mut said) = v1::CollectorProgress::decode(&message.value[..]) else { return self.undecodable(message) };
        // A clock that is ahead knows nothing of what is to come.
        said.complete_unix_nano = said.complete_unix_nano.min(wall);
        // What lay there before this start was said when it was said.
        let is_history = !self.shared.whole.load(Ordering::Acquire);
        let age = Duration::from_nanos(if is_history { wall.saturating_sub(said.at_unix_nano) } else { 0 });
        self.shared.collectors.lock().take(&id, said, now, age);
    }

    /// Every alerter reads these topics, so none of them makes dead letters of their records.
    fn undecodable(&self, message: &Message) {
        let Partition { topic, partition } = &message.partition;
        tracing::warn!(%topic, partition, offset = message.offset, "a record cannot be decoded, and is left out");
        self.undecodable.add(1, &[KeyValue::new("topic", topic.to_string())]);
    }
}

/// The offset of the first record of a partition that was written at `since_ms` or later, or one a little before it.
pub(crate) async fn offset_since(bus: &Bus, partition: &Partition, since_ms: i64) -> Result<i64, Error> {
    let (mut low, mut high) = bus.offsets(partition).await?;
    while high - low > 64 {
        let middle = low + (high - low) / 2;
        match first(bus, partition, middle, high).await? {
            Some(message) if message.timestamp_ms < since_ms => low = message.offset + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests;
