//! One topic into one store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Consumer, Event, Message, Partition, Position, Producer, Record};
use weir_proto::{MAX_RECORD_BYTES, header, topic};
use weir_service::Context;
use weir_service::health::Part;
use weir_service::telemetry::whole;
use weir_service::time::now_unix_nano;

use super::progress::Progress;
use crate::api::tail::Live;
use crate::store::{Sealed, Store};
use crate::{Error, Options, Partitions};

/// Records are taken into the head in pieces of about this size, or one that is larger: the memory of decoding.
const PIECE_BYTES: usize = 2 << 20;
const PAUSE: Duration = Duration::from_secs(1);
/// How often the bus is asked how far it goes.
const LOOK: Duration = Duration::from_millis(500);
/// Looks in a row that see less on the bus than was read: a new leader may know less for a moment.
const LOOKS_AHEAD: usize = 10;
/// How often positions are published, at most.
const PUBLISH: Duration = Duration::from_secs(10);
/// The group whose positions say what is on disk. Nobody is a member of it.
const GROUP: &str = "weir-indexer";
/// How often the bus is asked for new partitions.
const RECOUNT: Duration = Duration::from_secs(30);

pub(super) struct Reader {
    topic: &'static str,
    store: Arc<Store>,
    options: Options,
    bus: Bus,
    health: Part,
    live: Option<Live>,
    meters: Meters,
    /// By partition.
    progress: Mutex<BTreeMap<i32, Progress>>,
}

struct Meters {
    signal: [KeyValue; 1],
    records: Counter<u64>,
    lines: Counter<u64>,
    duplicates: Counter<u64>,
    dead: Counter<u64>,
    rewinds: Counter<u64>,
    missed: Counter<u64>,
    chunks: Counter<u64>,
    seal_seconds: Histogram<f64>,
    seal_failures: Counter<u64>,
    head: Gauge<u64>,
    lag: Gauge<u64>,
}

/// How far the bus was read.
struct Look {
    /// All that reached the bus before this time was read.
    until: i64,
    /// Records that were not.
    lag: u64,
    /// More was read of a partition than it has.
    is_ahead: bool,
}

/// What the bus was told of.
#[derive(Default)]
struct Published {
    positions: BTreeMap<i32, i64>,
    failed: bool,
}

/// The seal that runs, and when the next one is due.
struct Sealer {
    running: Option<(JoinHandle<Result<Sealed, Error>>, Instant)>,
    /// When the oldest record that no seal has taken was read.
    since: Option<Instant>,
    not_before: Instant,
}

impl Reader {
    pub(super) fn new(
        name: &'static str,
        topic: &'static str,
        store: Arc<Store>,
        options: Options,
        bus: Bus,
        context: &Context,
        live: Option<Live>,
    ) -> Self {
        let meter = &context.meter;
        let meters = Meters {
            signal: [KeyValue::new("signal", name)],
            records: meter.u64_counter("weir_indexer_records").with_unit("{record}").build(),
            lines: meter.u64_counter("weir_indexer_lines").with_unit("{line}").build(),
            duplicates: meter.u64_counter("weir_indexer_duplicates").with_unit("{line}").build(),
            dead: meter.u64_counter("weir_indexer_dead_letters").with_unit("{record}").build(),
            rewinds: meter.u64_counter("weir_indexer_rewinds").with_unit("{partition}").build(),
            missed: meter.u64_counter("weir_indexer_missed").with_unit("{record}").build(),
            chunks: meter.u64_counter("weir_indexer_chunks").with_unit("{chunk}").build(),
            seal_seconds: meter.f64_histogram("weir_indexer_seal_duration").with_unit("s").build(),
            seal_failures: meter.u64_counter("weir_indexer_seal_failures").with_unit("{seal}").build(),
            head: meter.u64_gauge("weir_indexer_head_size").with_unit("By").build(),
            lag: meter.u64_gauge("weir_indexer_lag").with_unit("{record}").build(),
        };
        let health = context.health.part(&format!("indexer {name}"));
        Self { topic, store, options, bus, health, live, meters, progress: Mutex::default() }
    }

    /// Reads until it is told to stop; then seals. An error is a last seal that failed.
    pub(super) async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut sealer = Sealer { running: None, since: None, not_before: Instant::now() };
        while !shutdown.is_cancelled() {
            let read = async {
                let partitions = self.partitions().await?;
                let looking = self.look(&partitions);
                tokio::select! {
                    done = self.read(&partitions, &mut sealer, &shutdown) => done,
                    () = looking => Ok(()),
                    () = self.keep_publishing() => Ok(()),
                }
            };
            let done = tokio::select! {
                // Reading stops by itself, between two batches.
                biased;
                done = read => done,
                () = self.until_stuck(&shutdown) => Ok(()),
            };
            if let Err(error) = done {
                tracing::warn!(topic = self.topic, error = %whole(&error), "cannot read the bus");
                self.health.not_ready(&format!("cannot read {}: {error}", self.topic));
                pause(PAUSE, &shutdown).await;
            }
        }
        self.health.not_ready("stopping");
        if let Some((running, _)) = sealer.running.take() {
            running.await??;
        }
        self.start_seal().await??;
        // What does not answer is not waited for.
        let _ = tokio::time::timeout(PAUSE, self.publish(&mut Published::default())).await;
        Ok(())
    }

    /// A call on a bus that is away may hang: it is given up some time after the stop was asked for.
    async fn until_stuck(&self, shutdown: &CancellationToken) {
        shutdown.cancelled().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }

    async fn partitions(&self) -> Result<Vec<i32>, Error> {
        self.bus.ensure_topics(&[self.bus.topic_spec(self.topic), self.bus.topic_spec(topic::DEAD_LETTERS)]).await?;
        let there = self.bus.partitions(self.topic).await?;
        match &self.options.partitions {
            Partitions::All => Ok((0..there).collect()),
            Partitions::List(list) => match list.iter().find(|partition| **partition >= there) {
                Some(&missing) => Err(Error::NoPartition { topic: self.topic, missing, last: there - 1 }),
                None => Ok(list.clone()),
            },
        }
    }

    /// Reads until it is told to stop, or there are more partitions than these.
    async fn read(&self, partitions: &[i32], sealer: &mut Sealer, shutdown: &CancellationToken) -> Result<(), Error> {
        if let Err(error) = self.meet(partitions).await {
            // What reads the bus says more of it, and starts at what is there by itself.
            tracing::debug!(
                topic = self.topic,
                error = %whole(&error),
                "where the bus begins and ends"
            );
        }
        let position = |partition: &i32| Position {
            partition: Partition::new(self.topic, *partition),
            offset: self.store.position(*partition).unwrap_or(0),
        };
        let positions: Vec<_> = partitions.iter().map(position).collect();
        let mut consumer: Consumer = self.bus.consumer(&positions)?;
        let producer = self.bus.producer()?;
        self.health.ready();
        let mut counted = Instant::now();
        let known = |partition: &i32| Some((*partition, self.store.position(*partition)?));
        let mut expected: BTreeMap<i32, i64> = partitions.iter().filter_map(known).collect();
        while !shutdown.is_cancelled() {
            if !self.make_room(sealer, shutdown).await? {
                continue;
            }
            if counted.elapsed() > RECOUNT {
                counted = Instant::now();
                if self.partitions().await?.len() != partitions.len() {
                    return Ok(());
                }
            }
            let event = tokio::select! {
                () = shutdown.cancelled() => break,
                event = consumer.next(256, Duration::from_millis(200)) => event?,
            };
            if let Event::Batch(messages) = event {
                self.follow(&messages, &mut expected).await?;
                let mut rest = Arc::new(messages);
                let mut from = 0;
                while from < rest.len() {
                    // Until the head has room: what was fetched is not read twice.
                    while !self.make_room(sealer, shutdown).await? {
                        if shutdown.is_cancelled() {
                            return Ok(());
                        }
                    }
                    let until = piece(&rest, from);
                    let (read, records) = self.ingest(rest, from, until).await?;
                    rest = read;
                    sealer.since.get_or_insert_with(Instant::now);
                    from += records.0;
                    if let Some(reason) = records.1 {
                        let Some(message) = rest.get(from) else { break };
                        if !self.bury(&producer, message, &reason, shutdown).await {
                            return Ok(());
                        }
                        self.store.skip(message);
                        from += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Says where the bus has not what comes next. A position behind the end of a partition is of a topic that was
    /// removed: the one that was made anew is read from its beginning, where what came from a file and was read before
    /// is known.
    async fn meet(&self, partitions: &[i32]) -> Result<(), Error> {
        for &partition in partitions {
            let Some(position) = self.store.position(partition) else { continue };
            let (low, high) = self.bus.offsets(&Partition::new(self.topic, partition)).await?;
            if position > high || position < low {
                self.missed(partition, position, low);
                self.store.seek(partition, low);
            }
        }
        Ok(())
    }

    /// Finds gaps in what was read: the bus goes on where it can when it has not what comes next. Offsets without records
    /// (marks of transactions, what compaction took) are none.
    async fn follow(&self, messages: &[Message], expected: &mut BTreeMap<i32, i64>) -> Result<(), Error> {
        let mut lows = BTreeMap::new();
        for message in messages {
            let partition = message.partition.partition;
            let Some(next) = expected.insert(partition, message.offset + 1) else { continue };
            if message.offset < next {
                self.missed(partition, next, message.offset);
                self.store.miss(partition, next, message.offset);
            } else if message.offset > next {
                let low = match lows.get(&partition) {
                    Some(low) => *low,
                    None => *lows.entry(partition).or_insert(self.bus.offsets(&message.partition).await?.0),
                };
                let to = low.min(message.offset);
                if to > next {
                    self.missed(partition, next, to);
                    self.store.miss(partition, next, to);
                }
            }
        }
        Ok(())
    }

    fn missed(&self, partition: i32, position: i64, goes_on: i64) {
        let topic = self.topic;
        if goes_on > position {
            let missed = goes_on.abs_diff(position);
            tracing::warn!(topic, partition, position, missed, "the bus dropped records before they were read");
            self.meters.missed.add(missed, &self.meters.signal);
        } else {
            tracing::warn!(topic, partition, position, goes_on, "the topic was made anew: reading it from its start");
            self.meters.rewinds.add(1, &self.meters.signal);
        }
    }

    /// Takes messages in; returns how many, and why the one behind them cannot be read.
    async fn ingest(
        &self,
        messages: Arc<Vec<Message>>,
        from: usize,
        until: usize,
    ) -> Result<(Arc<Vec<Message>>, (usize, Option<String>)), Error> {
        let store = self.store.clone();
        let (messages, done) = tokio::task::spawn_blocking(move || {
            let done = store.ingest(&messages[from..until]);
            (messages, done)
        })
        .await?;
        let (now, mut progress) = (now_unix_nano(), self.progress.lock());
        for message in &messages[from..from + done.records] {
            let time = message.timestamp_ms.saturating_mul(1_000_000);
            progress.entry(message.partition.partition).or_default().read(time, now);
        }
        drop(progress);
        let signal = &self.meters.signal;
        self.meters.records.add(done.records as u64, signal);
        self.meters.lines.add(done.batches.iter().map(|batch| batch.len() as u64).sum(), signal);
        self.meters.duplicates.add((done.duplicates + done.duplicate_records) as u64, signal);
        self.meters.head.record(self.store.head_bytes() as u64, signal);
        if let Some(live) = &self.live {
            for batch in done.batches {
                live.send(batch);
            }
        }
        Ok((messages, (done.records, done.poison)))
    }

    /// Starts and ends seals; false while the head is full, after some waiting.
    async fn make_room(&self, sealer: &mut Sealer, shutdown: &CancellationToken) -> Result<bool, Error> {
        let full = self.store.head_bytes() as u64 >= self.options.seal.size.0;
        if let Some((running, _)) = &mut sealer.running {
            if full {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(false),
                    () = poll_done(running) => {}
                }
            }
            if running.is_finished() {
                self.end_seal(sealer).await?;
            }
            return Ok(!full);
        }
        let now = Instant::now();
        let old = sealer.since.is_some_and(|since| now - since >= self.options.seal.age.0);
        if (full || old) && self.store.wants_seal() {
            if now < sealer.not_before {
                if full {
                    pause(sealer.not_before - now, shutdown).await;
                }
                return Ok(!full);
            }
            sealer.since = None;
            sealer.running = Some((self.start_seal(), now));
        }
        // A seal takes the head at once; what comes now is the next one's.
        Ok(!full || sealer.running.is_some())
    }

    fn start_seal(&self) -> JoinHandle<Result<Sealed, Error>> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.seal(now_unix_nano() / 1_000_000))
    }

    async fn end_seal(&self, sealer: &mut Sealer) -> Result<(), Error> {
        let Some((running, began)) = sealer.running.take() else { return Ok(()) };
        self.meters.seal_seconds.record(began.elapsed().as_secs_f64(), &self.meters.signal);
        match running.await? {
            Ok(sealed) => {
                self.meters.chunks.add(sealed.chunks as u64, &self.meters.signal);
                tracing::debug!(topic = self.topic, lines = sealed.lines, chunks = sealed.chunks, "sealed");
                self.health.ready();
            }
            Err(error) => {
                self.meters.seal_failures.add(1, &self.meters.signal);
                tracing::error!(topic = self.topic, error = %whole(&error), "cannot seal");
                self.health.not_ready(&format!("cannot seal {}: {error}", self.topic));
                sealer.since = Some(Instant::now().checked_sub(self.options.seal.age.0).unwrap_or(began));
                sealer.not_before = Instant::now() + PAUSE;
            }
        }
        Ok(())
    }

    /// Keeps a record that cannot be read where it can be looked at; false if it was told to stop before.
    async fn bury(&self, producer: &Producer, message: &Message, reason: &str, shutdown: &CancellationToken) -> bool {
        let place = format!("{}/{}/{}", self.topic, message.partition.partition, message.offset);
        tracing::warn!(place, reason, "a record cannot be read");
        let mut headers = message.headers.clone();
        headers.push((header::DEAD_POSITION.to_owned(), Bytes::from(place)));
        headers.push((header::DEAD_REASON.to_owned(), Bytes::from(reason.to_owned())));
        let mut record = Record {
            topic: topic::DEAD_LETTERS.into(),
            key: message.key.clone(),
            // A large one is cut: the topic takes no more.
            value: message.value.slice(..message.value.len().min(MAX_RECORD_BYTES)),
            headers,
            ..Record::default()
        };
        loop {
            let sent = async { producer.send(record.clone()).await?.await };
            let sent = tokio::select! {
                () = shutdown.cancelled() => return false,
                sent = sent => sent,
            };
            match sent {
                Ok(_) => {
                    self.meters.dead.add(1, &self.meters.signal);
                    return true;
                }
                // With the reason it is larger than the bus takes: what can be left out is, and its place is kept.
                Err(weir_bus::Error::TooLarge { .. }) if !record.value.is_empty() => record.value = Bytes::new(),
                Err(weir_bus::Error::TooLarge { .. }) if record.key.is_some() || record.headers.len() > 2 => {
                    record.key = None;
                    record.headers.drain(..record.headers.len().saturating_sub(2));
                }
                Err(error) => {
                    tracing::warn!(error = %whole(&error), "cannot write a dead letter");
                    pause(PAUSE, shutdown).await;
                }
            }
        }
    }

    /// Says how far the bus was read, until a partition ends before what was read of it: the topic was made anew.
    async fn look(&self, partitions: &[i32]) {
        let mut ahead = 0;
        loop {
            match self.progress(partitions).await {
                Ok(Look { until, lag, is_ahead }) => {
                    self.store.set_indexed_until(until);
                    self.meters.lag.record(lag, &self.meters.signal);
                    ahead = if is_ahead { ahead + 1 } else { 0 };
                    if ahead >= LOOKS_AHEAD {
                        return;
                    }
                }
                Err(error) => {
                    tracing::debug!(
                        topic = self.topic,
                        error = %whole(&error),
                        "how far the bus goes"
                    );
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn progress(&self, partitions: &[i32]) -> Result<Look, Error> {
        let mut look = Look { until: i64::MAX, lag: 0, is_ahead: false };
        for partition in partitions {
            let asked = now_unix_nano();
            let (low, high) = self.bus.offsets(&Partition::new(self.topic, *partition)).await?;
            let position = self.store.position(*partition).unwrap_or(low).max(low);
            let until = self.progress.lock().entry(*partition).or_default().until(asked, high, position);
            look.until = look.until.min(until);
            look.lag += u64::try_from(high - position).unwrap_or(0);
            look.is_ahead |= position > high;
        }
        Ok(look)
    }

    /// Tells the bus what is on disk, for ever.
    async fn keep_publishing(&self) {
        let mut published = Published::default();
        loop {
            self.publish(&mut published).await;
            tokio::time::sleep(PUBLISH).await;
        }
    }

    /// Tells the bus what is on disk, where that is news: the tools of Kafka show the lag of a group.
    async fn publish(&self, last: &mut Published) {
        let on_disk = self.store.on_disk();
        if on_disk == last.positions {
            return;
        }
        let position =
            |(&partition, &offset): (&i32, &i64)| Position { partition: Partition::new(self.topic, partition), offset };
        let positions: Vec<_> = on_disk.iter().map(position).collect();
        match self.bus.publish(GROUP, &positions).await {
            Ok(()) => *last = Published { positions: on_disk, failed: false },
            Err(error) if last.failed => {
                tracing::debug!(topic = self.topic, error = %whole(&error), "cannot publish positions");
            }
            Err(error) => {
                let (topic, error) = (self.topic, whole(&error));
                tracing::warn!(topic, group = GROUP, %error, "cannot publish positions: the group shows no lag");
                last.failed = true;
            }
        }
    }
}

/// End of the messages from `from` on that make up a piece; at least one.
fn piece(messages: &[Message], from: usize) -> usize {
    let mut bytes = 0;
    for (at, message) in messages.iter().enumerate().skip(from) {
        bytes += message.value.len();
        if bytes >= PIECE_BYTES {
            return at + 1;
        }
    }
    messages.len()
}

/// Waits for a task without taking its result.
async fn poll_done<T>(task: &mut JoinHandle<T>) {
    while !task.is_finished() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn pause(time: Duration, shutdown: &CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
