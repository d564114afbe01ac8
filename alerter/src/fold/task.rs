//! Drives the fold: spans from the bus, ranges back to it.
//!
//! A member of the group `weir-alerter` reads its share of `otlp_spans`. At least every half second, or before a range
//! grows near a record's limit, the open ranges become `weir_calls` records that are committed in one transaction with
//! the positions behind them, and with the dead letters found on the way. A crash before the commit leaves nothing;
//! the range is read again. Whoever takes a partition over goes on where the last range ends, with its watermark and
//! interfaces, and reads the spans of the duplicate window back.
//!
//! **Idle time.** Where nothing comes and the bus answers that nothing waits, an empty range carries the watermark on
//! to the wall clock less the lateness: the one place where the wall clock enters, as data. While the bus is away or
//! this program does not run, and for a while after, nothing does, so neither an alert fires nor is one resolved for
//! lack of what is merely late. How often is told in `idle.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::AHashSet;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Consumer, Error, Event, Message, Partition, Position, Record, TransactionalProducer};
use weir_calls::attributes::Unread;
use weir_proto::{topic, v1};
use weir_service::health::Part as Health;
use weir_service::telemetry::whole;
use weir_service::time::now_unix_nano_unsigned as wall_nano;

use super::idle::{Idle, PATIENCE, QUIET};
use super::records::{arrival, dead_letter, record};
use super::{Fold, Interfaces, Lateness, OTHER, Rewrites, Seen, Skew, restore};

/// The group that shares out the spans.
pub const GROUP: &str = "weir-alerter";

/// How long a range stays open.
const OPEN: Duration = Duration::from_millis(250);
/// A range is ended when it has become this large.
const RANGE_BYTES: usize = 400_000;
/// A record of more bytes is not added to a range that holds others already.
const ALONE_BYTES: usize = 256 << 10;
/// So much waits for a commit at most.
const PENDING_BYTES: usize = 4 << 20;
/// How long an id is remembered at least, and how many of a partition at most.
const WINDOW: Duration = Duration::from_mins(10);
const IDS: usize = 2_000_000;

/// An idle watermark stays so far behind the wall clock, or less where less is late: producers linger for some
/// milliseconds. Rules wait so long on top of the lateness, and who is told of an alert with them.
pub(crate) const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// Services that late calls and calls of the future are counted by.
const SERVICES: usize = 500;

/// What the fold is to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Interfaces kept apart for each tenant, over all partitions.
    pub interfaces: Interfaces,
    /// How interfaces are renamed.
    pub rewrites: Rewrites,
    /// How far an idle watermark stays behind the wall clock.
    pub lateness: Lateness,
    /// Identity of this program among all that fold; a newer one of the same identity fences the older.
    pub producer_id: String,
    /// Ranges with spans that were written by any member of the group, as far as this program has read them.
    pub written: Arc<AtomicU64>,
    /// Ids of collectors that are late or absent, as far as this program has read what they say.
    pub late: Arc<RwLock<Vec<String>>>,
}

/// The fold of this program's share.
#[derive(Debug)]
pub struct Task {
    bus: Bus,
    settings: Settings,
    health: Health,
    metrics: Metrics,
}

#[derive(Debug)]
struct Metrics {
    calls: Counter<u64>,
    other: Counter<u64>,
    overflowed: Counter<u64>,
    dead: Counter<u64>,
    ranges: Counter<u64>,
    unread: Counter<u64>,
    late: Counter<u64>,
    ahead: Counter<u64>,
    /// Those that the two before were counted by; more are one, or they would grow with what is sent.
    services: Mutex<AHashSet<(String, String)>>,
}

/// One partition that is folded here.
struct Source {
    fold: Fold,
    /// Where the open range begins, and the next record to be read.
    first: i64,
    next: i64,
    /// Its topic was made anew, and no range says so yet.
    anew: bool,
    ended: Vec<v1::CallDeltas>,
    last_came: Instant,
}

/// A share of the group, from joining it to an error.
struct Member<'a> {
    task: &'a Task,
    producer: TransactionalProducer,
    consumer: Consumer,
    sources: BTreeMap<Partition, Source>,
    dead: Vec<Record>,
    pending_bytes: usize,
    open_since: Option<Instant>,
    idle: Idle,
    /// [`Settings::written`] when it was last looked at.
    written: u64,
}

impl Task {
    /// Nothing is read before [`Task::run`].
    pub fn new(bus: Bus, settings: Settings, meter: &Meter, health: Health) -> Self {
        let counter = |name, text| meter.u64_counter(name).with_description(text).build();
        let metrics = Metrics {
            calls: counter(
                "weir_fold_calls",
                "SERVER and CONSUMER spans by result: counted, duplicate or rejected; only those counted are calls. \
                 A record that could not be decoded is one rejected, since its spans are unknown",
            ),
            other: counter("weir_fold_other_spans", "Spans of other kinds, which are no calls"),
            overflowed: counter("weir_fold_overflowed_calls", "Calls counted as interface «other»"),
            dead: counter("weir_fold_dead_letters", "Records that could not be decoded"),
            ranges: counter("weir_fold_ranges", "Ranges committed"),
            unread: counter(
                "weir_fold_unread_values",
                "Values of calls' attributes that were not understood, by reason; the calls are counted without them",
            ),
            late: counter("weir_fold_late_calls", "Calls that came after rules had seen their second, by service"),
            ahead: counter("weir_fold_ahead_calls", "Calls that ended over a second after they arrived, by service"),
            services: Mutex::default(),
        };
        Self { bus, settings, health, metrics }
    }

    /// Folds until `shutdown`, over every failure of the bus; commits what is open before it returns.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0_u32;
        while !shutdown.is_cancelled() {
            let started = Instant::now();
            let Err(error) = self.member(&shutdown).await else { return };
            failures = if started.elapsed() > Duration::from_secs(30) { 0 } else { (failures + 1).min(6) };
            let ends = shutdown.is_cancelled();
            let then = if ends { "ends; what is not committed is folded at the next start" } else { "begins anew" };
            tracing::warn!(error = %whole(&error), "the fold of spans {then}");
            if ends {
                return;
            }
            self.health.not_ready("the bus does not take call statistics");
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(100) * 2_u32.pow(failures)) => {}
            }
        }
    }

    async fn member(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let topics = [topic::SPANS, topic::CALLS, topic::DEAD_LETTERS].map(|name| self.bus.topic_spec(name));
        let start = async {
            self.bus.ensure_topics(&topics).await?;
            self.bus.transactional_producer(&self.settings.producer_id).await
        };
        let producer = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            producer = start => producer?,
        };
        let consumer = self.bus.group_consumer(GROUP, &[topic::SPANS])?;
        let mut member = Member {
            task: self,
            producer,
            consumer,
            sources: BTreeMap::new(),
            dead: Vec::new(),
            pending_bytes: 0,
            open_since: None,
            idle: Idle::new(Instant::now(), wall_nano()),
            written: 0,
        };
        // Not dropped by the shutdown: a commit is seen through, or the ranges behind it would leave a gap.
        member.work(shutdown).await?;
        member.commit().await
    }

    fn source(&self, first: i64) -> Source {
        let seen = Seen::new(WINDOW.as_nanos() as u64, IDS);
        let Settings { interfaces, rewrites, lateness, .. } = &self.settings;
        let fold = Fold::new(interfaces.per_tenant(), seen)
            .with_interfaces(interfaces.clone())
            .with_rewrites(rewrites.clone())
            .with_lateness(*lateness);
        Source { fold, first, next: first, anew: false, ended: Vec::new(), last_came: Instant::now() }
    }
}

impl Member<'_> {
    /// Until `shutdown`.
    async fn work(&mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut fenced = false;
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                event = self.consumer.next(256, Duration::from_millis(100)) => event?,
            };
            match event {
                Event::Assigned(partitions) => {
                    self.take_over(&partitions).await?;
                    self.task.health.ready();
                    fenced = false;
                }
                Event::Revoked(_) => self.drop_all(),
                _ if fenced => return Err(Error::Fenced("by another producer of this identity".to_owned())),
                Event::Batch(messages) => {
                    for message in messages {
                        self.add(message).await?;
                    }
                }
                Event::Idle => {}
            }
            let due = self.open_since.is_some_and(|since| since.elapsed() >= OPEN);
            let idle = self.idle().await?;
            let committed =
                if due || idle || self.pending_bytes >= PENDING_BYTES { self.commit().await } else { Ok(()) };
            match committed {
                Err(Error::Fenced(why)) => {
                    tracing::info!(why, "the fold's share is dealt out anew");
                    self.drop_all();
                    self.producer = self.task.bus.transactional_producer(&self.task.settings.producer_id).await?;
                    fenced = true;
                }
                other => other?,
            }
        }
    }

    fn drop_all(&mut self) {
        self.sources.clear();
        self.dead.clear();
        self.pending_bytes = 0;
        self.open_since = None;
    }

    async fn take_over(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.drop_all();
        let committed = self.consumer.committed(partitions).await?;
        let at = |partition: &Partition| committed.iter().find(|position| position.partition == *partition);
        let positions: Vec<_> = partitions
            .iter()
            .map(|partition| Position { partition: partition.clone(), offset: at(partition).map_or(0, |p| p.offset) })
            .collect();
        let mut written = restore::written(&self.task.bus, &positions, &self.task.settings.interfaces).await?;
        for mut position in positions {
            let written = written.remove(&position.partition).unwrap_or_default();
            if let Some(end) = written.end()
                && end != position.offset
            {
                let (partition, offset) = (position.partition.partition, position.offset);
                tracing::warn!(partition, offset, end, "the group's position is not where the last range ends");
                position.offset = end;
            }
            let (low, high) = self.task.bus.offsets(&position.partition).await?;
            // One that has grown past the old position meanwhile cannot be told from the old one.
            let anew = position.offset > high;
            if anew {
                let (partition, offset) = (position.partition.partition, position.offset);
                tracing::warn!(
                    partition,
                    offset,
                    high,
                    "the topic of spans was made anew: it is folded from its start"
                );
            }
            position.offset = if anew { low } else { position.offset.max(low) };
            self.consumer.seek(&position)?;
            let mut source = self.task.source(position.offset);
            source.anew = anew;
            written.ranges.iter().for_each(|range| source.fold.restore(range));
            restore::refill(&self.task.bus, &position, WINDOW, wall_nano(), &mut source.fold).await?;
            source.last_came = Instant::now();
            self.sources.insert(position.partition, source);
        }
        self.idle.settle(Instant::now(), wall_nano());
        Ok(())
    }

    async fn add(&mut self, message: Message) -> Result<(), Error> {
        let Some(source) = self.sources.get_mut(&message.partition) else { return Ok(()) };
        if message.offset < source.next {
            let (_, high) = self.task.bus.offsets(&message.partition).await?;
            return if high < source.next { Err(made_anew(&message.partition)) } else { Ok(()) };
        }
        if message.offset > source.next {
            // Offsets without records are part of the range; what retention took away is a gap, and must show as one.
            let (low, _) = self.task.bus.offsets(&message.partition).await?;
            if low > source.next {
                source.end(&message.partition);
                source.first = low.min(message.offset);
            }
        }
        // What one large record may grow to must not take the calls of others with it: a range that is too large is given up.
        if source.fold.bytes() > 0 && message.value.len() > ALONE_BYTES {
            self.pending_bytes += source.fold.bytes();
            source.end(&message.partition);
        }
        if let Err(error) = source.fold.add(&message.value, arrival(message.timestamp_ms, wall_nano())) {
            source.fold.reject();
            self.pending_bytes += message.value.len();
            self.dead.push(dead_letter(&message, &error.to_string()));
        }
        source.next = message.offset + 1;
        source.last_came = Instant::now();
        self.open_since.get_or_insert(source.last_came);
        if source.fold.bytes() > RANGE_BYTES {
            self.pending_bytes += source.fold.bytes();
            source.end(&message.partition);
        }
        if message.value.len() > 64 << 10 {
            tokio::task::yield_now().await;
        }
        if self.pending_bytes >= PENDING_BYTES {
            return self.commit().await;
        }
        Ok(())
    }

    /// Carries the watermarks of quiet partitions on; true where there is something to commit.
    async fn idle(&mut self) -> Result<bool, Error> {
        let (now, wall) = (Instant::now(), wall_nano());
        self.idle.turn(now, wall);
        let written = self.task.settings.written.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.written, written) != written || self.open_since.is_some() {
            self.idle.came(now);
        }
        if !self.idle.due(now) {
            return Ok(false);
        }
        self.idle.done(now);
        // What is late is waited for by who reads the watermark; this is for what is on its way to the bus.
        let mut advanced = false;
        for (partition, source) in &mut self.sources {
            if source.next > source.first || !source.ended.is_empty() || now - source.last_came < QUIET {
                continue;
            }
            match tokio::time::timeout(PATIENCE, self.task.bus.offsets(partition)).await {
                Ok(Ok((_, high))) if high < source.next => return Err(made_anew(partition)),
                // The end was asked for after the wall clock was read, so nothing older waits there.
                Ok(Ok((_, high))) if high == source.next => {
                    let behind = source.fold.lateness_nano().min(ON_ITS_WAY.as_nanos() as u64);
                    source.fold.advance(wall.saturating_sub(behind));
                    source.finish(partition);
                    advanced = true;
                }
                Ok(Ok(_)) => {}
                _ => {
                    self.idle.away(Instant::now());
                    return Ok(advanced);
                }
            }
        }
        Ok(advanced)
    }

    async fn commit(&mut self) -> Result<(), Error> {
        let mut records = std::mem::take(&mut self.dead);
        let mut positions = Vec::new();
        let mut sum = v1::CallDeltas::default();
        let late = self.task.settings.late.read().clone();
        let (mut ranges, dead) = (0, records.len() as u64);
        let (mut unread, mut skew) = ([0; Unread::ALL.len()], Vec::new());
        for (partition, source) in &mut self.sources {
            source.end(partition);
            skew.push(source.fold.take_skew());
            for (sum, count) in unread.iter_mut().zip(source.fold.take_unread()) {
                *sum += count;
            }
            if source.ended.is_empty() {
                continue;
            }
            for mut deltas in source.ended.drain(..) {
                deltas.late.clone_from(&late);
                sum.counted += deltas.counted;
                sum.duplicates += deltas.duplicates;
                sum.rejected += deltas.rejected;
                sum.other_kinds += deltas.other_kinds;
                sum.overflowed += deltas.overflowed;
                ranges += 1;
                records.push(record(deltas));
            }
            positions.push(Position { partition: partition.clone(), offset: source.next });
        }
        self.open_since = None;
        self.pending_bytes = 0;
        if positions.is_empty() {
            return Ok(());
        }
        self.producer.commit(records, &self.consumer, &positions).await?;
        let metrics = &self.task.metrics;
        for (count, result) in [(sum.counted, "counted"), (sum.duplicates, "duplicate"), (sum.rejected, "rejected")] {
            metrics.calls.add(count, &[KeyValue::new("result", result)]);
        }
        for (reason, count) in Unread::ALL.iter().zip(unread).filter(|(_, count)| *count > 0) {
            metrics.unread.add(count, &[KeyValue::new("reason", reason.name())]);
        }
        for skew in skew {
            metrics.skew(skew);
        }
        metrics.other.add(sum.other_kinds, &[]);
        metrics.overflowed.add(sum.overflowed, &[]);
        metrics.dead.add(dead, &[]);
        metrics.ranges.add(ranges, &[]);
        Ok(())
    }
}

impl Metrics {
    fn skew(&self, mut skew: Skew) {
        let mut known = self.services.lock();
        for (service, odd) in skew.drain() {
            let is_known = known.contains(&service) || (known.len() < SERVICES && known.insert(service.clone()));
            let (tenant, service) = if is_known { service } else { (OTHER.to_owned(), OTHER.to_owned()) };
            let labels = [KeyValue::new("tenant", tenant), KeyValue::new("service", service)];
            self.late.add(odd.late, &labels);
            self.ahead.add(odd.ahead, &labels);
        }
    }
}

impl Source {
    /// Ends the open range, where there is one.
    fn end(&mut self, partition: &Partition) {
        if self.next > self.first {
            self.finish(partition);
        }
    }

    /// Ends the open range, though it be empty.
    fn finish(&mut self, partition: &Partition) {
        let mut deltas = self.fold.finish(&partition.topic, partition.partition, self.first, self.next);
        deltas.begins_anew = std::mem::take(&mut self.anew);
        self.ended.push(deltas);
        self.first = self.next;
    }
}

/// The topic has fewer records than were read of it: the share is given up and taken over again, which begins it anew.
fn made_anew(partition: &Partition) -> Error {
    Error::Unknown(format!("{}/{}, which was made anew", partition.topic, partition.partition))
}
