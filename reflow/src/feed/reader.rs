//! The reader: this instance's share of spans and log records, decoded once, given to every capture that wants it.
//!
//! It never waits for a capture. One that has no room is given what it missed by a reader of its own
//! ([`super::catch_up`]), once it has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::{Consumer, Event, Partition, Position};
use weir_query::decode::Sources;
use weir_service::health::Part as Health;
use weir_service::telemetry::whole;

use super::batch::{Batch, by_partition};
use super::catch_up;
use super::inbox::{Inbox, Offered, Told};
use super::metrics::of;
use super::sink::{Making, Sink};
use crate::catalog::Captures;
use crate::definition::Source;

/// The consumer group that shares out partitions. Its positions say how far it is behind; where reading goes on is what
/// manifests say.
const GROUP: &str = "weir-reflow";
/// So long a start waits for captures to say where they begin; who comes later catches up.
const BEGIN: Duration = Duration::from_secs(5);
/// How often positions are told to the bus, and captures that are behind are looked for.
const TELL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(500);
/// Between two tries of a bus that is away.
const RETRY: Duration = Duration::from_secs(1);
/// A stop waits so long for sinks to finish, and then for what they still try.
const FINISH: Duration = Duration::from_secs(6);

/// Where the reader is, by partition.
pub(super) type Places = Arc<Mutex<BTreeMap<Partition, i64>>>;

pub(crate) struct Reader {
    making: Making,
    captures: watch::Receiver<Arc<Captures>>,
    health: Health,
    inboxes: BTreeMap<String, Running>,
    sinks: JoinSet<()>,
    assigned: Vec<Partition>,
    places: Places,
    /// Stops the sinks: what is open is finished.
    finish: CancellationToken,
    /// Ends their tries.
    last: CancellationToken,
}

struct Running {
    inbox: Arc<Inbox>,
    stop: CancellationToken,
}

impl Reader {
    pub(crate) fn new(making: Making, captures: watch::Receiver<Arc<Captures>>, health: Health) -> Self {
        Self {
            making,
            captures,
            health,
            inboxes: BTreeMap::new(),
            sinks: JoinSet::new(),
            assigned: Vec::new(),
            places: Places::default(),
            finish: CancellationToken::new(),
            last: CancellationToken::new(),
        }
    }

    /// Reads until `shutdown`, over every failure of the bus; then what is open is finished.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let Err(error) = self.read(&shutdown).await else { break };
            tracing::warn!(error = %whole(&error), "captures cannot be read; trying again");
            self.health.not_ready("the bus does not give what is captured");
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        self.finish.cancel();
        let all = async { while self.sinks.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH, all).await.is_err() {
            tracing::warn!(
                "some datasets could not be finished in time: what is missing is read again at the next start"
            );
            self.last.cancel();
            let _ =
                tokio::time::timeout(Duration::from_secs(1), async { while self.sinks.join_next().await.is_some() {} })
                    .await;
        }
    }

    /// Reads until something fails; `Ok` after the shutdown.
    async fn read(&mut self, shutdown: &CancellationToken) -> Result<(), weir_bus::Error> {
        loop {
            self.define().await;
            let sources = self.sources();
            if sources.is_empty() {
                self.health.ready();
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    changed = self.captures.changed() => if changed.is_err() { return Ok(()) },
                }
                continue;
            }
            let topics: Vec<&str> = sources.iter().map(|source| source.topic()).collect();
            let specs: Vec<_> = topics.iter().map(|topic| self.making.bus.topic_spec(topic)).collect();
            self.making.bus.ensure_topics(&specs).await?;
            let mut consumer = self.making.bus.group_consumer(GROUP, &topics)?;
            if self.follow(&mut consumer, &sources, shutdown).await? {
                return Ok(());
            }
        }
    }

    /// What captures are taken from.
    fn sources(&self) -> BTreeSet<Source> {
        self.inboxes.values().map(|running| running.inbox.capture().source()).collect()
    }

    /// Reads as long as captures are of these sources; whether the shutdown came.
    async fn follow(
        &mut self,
        consumer: &mut Consumer,
        sources: &BTreeSet<Source>,
        shutdown: &CancellationToken,
    ) -> Result<bool, weir_bus::Error> {
        let mut known = Sources::default();
        let (mut tell, mut look) = (Instant::now() + TELL, Instant::now() + LOOK);
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return Ok(true),
                changed = self.captures.changed() => {
                    if changed.is_err() {
                        return Ok(true);
                    }
                    self.define().await;
                    if self.sources() != *sources {
                        return Ok(false);
                    }
                    continue;
                }
                event = consumer.next(4096, LOOK) => event?,
            };
            match event {
                Event::Assigned(partitions) => self.assign(consumer, partitions).await?,
                Event::Revoked(_) | Event::Idle => {}
                Event::Batch(messages) => {
                    for run in by_partition(messages) {
                        let Some((first, last)) = run.first().zip(run.last()) else { continue };
                        let (partition, end) = (first.partition.clone(), last.offset + 1);
                        let first = self.places.lock().get(&partition).copied().unwrap_or(first.offset);
                        self.give(&partition, first, end, run, &mut known);
                        self.places.lock().insert(partition, end);
                    }
                    tokio::task::yield_now().await;
                }
            }
            self.health.ready();
            if Instant::now() >= look {
                look = Instant::now() + LOOK;
                self.catch_up();
            }
            if Instant::now() >= tell {
                tell = Instant::now() + TELL;
                self.tell(consumer).await;
            }
            self.bury();
        }
    }

    /// Gives a run of one partition to the captures that want it.
    fn give(&self, partition: &Partition, first: i64, end: i64, run: Vec<weir_bus::Message>, known: &mut Sources) {
        let wanting: Vec<&Arc<Inbox>> = self
            .inboxes
            .values()
            .map(|running| &running.inbox)
            .filter(|inbox| inbox.wants(partition, first, end))
            .collect();
        if wanting.is_empty() {
            return;
        }
        let source = Source::of(&partition.topic);
        let (batch, undecodable) = Batch::decode(source, first, run, known);
        self.making.metrics.undecodable.add(undecodable, &[]);
        let Some(batch) = batch.map(Arc::new) else { return };
        for inbox in wanting {
            let name = || of(&inbox.capture().definition.name);
            match inbox.offer(&batch) {
                Offered::Taken | Offered::Passed => {}
                Offered::Full => self.making.metrics.waits.add(1, &[name()]),
                Offered::Skipped => self.making.metrics.skipped.add(batch.lines.len() as u64, &[name()]),
            }
        }
    }

    /// Makes, changes and ends sinks, so that they are what is defined.
    async fn define(&mut self) {
        let captures = self.captures.borrow_and_update().clone();
        let gone: Vec<String> = self.inboxes.keys().filter(|name| !captures.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(running) = self.inboxes.remove(&name) {
                running.stop.cancel();
            }
        }
        for (name, capture) in captures.iter() {
            if let Some(running) = self.inboxes.get(name) {
                if running.inbox.capture().fingerprint != capture.fingerprint {
                    running.inbox.tell(Told::Defined(capture.clone())).await;
                }
                continue;
            }
            let (inbox, told) = Inbox::new(capture.clone());
            let stop = self.finish.child_token();
            let sink =
                Sink::new(self.making.clone(), capture.clone(), inbox.clone(), told, stop.clone(), self.last.clone());
            self.sinks.spawn(sink.run());
            if !self.assigned.is_empty() {
                inbox.tell(Told::Assigned(self.assigned.clone(), oneshot::channel().0)).await;
            }
            self.inboxes.insert(name.clone(), Running { inbox, stop });
        }
    }

    /// Tells sinks what is theirs, and goes to the place of the one that is farthest behind.
    async fn assign(&mut self, consumer: &mut Consumer, partitions: Vec<Partition>) -> Result<(), weir_bus::Error> {
        self.assigned.clone_from(&partitions);
        self.places.lock().clear();
        let told = self.inboxes.values().map(|running| {
            let (answer, answered) = oneshot::channel();
            let (inbox, partitions) = (running.inbox.clone(), partitions.clone());
            async move {
                inbox.tell(Told::Assigned(partitions, answer)).await;
                let _ = answered.await;
            }
        });
        let _ = tokio::time::timeout(BEGIN, join_all(told)).await;
        for partition in partitions {
            let next = self.inboxes.values().filter_map(|running| running.inbox.next_of(&partition)).min();
            let (low, high) = self.making.bus.offsets(&partition).await?;
            let offset = next.unwrap_or(high).clamp(low, high);
            // What is no longer there is passed over: nobody waits for it.
            let place = next.unwrap_or(high).min(high);
            self.places.lock().insert(partition.clone(), place);
            consumer.seek(&Position { partition, offset })?;
        }
        Ok(())
    }

    /// Starts readers of their own for captures that are behind.
    fn catch_up(&mut self) {
        let places = self.places.lock().clone();
        for running in self.inboxes.values() {
            let inbox = &running.inbox;
            if inbox.has_room() && !inbox.behind(&places).is_empty() && inbox.starts_to_catch_up() {
                let stop = running.stop.clone();
                self.sinks.spawn(catch_up::run(self.making.clone(), inbox.clone(), self.places.clone(), stop));
            }
        }
    }

    /// Tells the bus how far everything is durable, so that it shows how far this group is behind.
    async fn tell(&self, consumer: &Consumer) {
        let positions = self.assigned.iter().filter_map(|partition| {
            let durable = self.inboxes.values().filter_map(|running| running.inbox.durable_of(partition)).min()?;
            Some(Position { partition: partition.clone(), offset: durable })
        });
        let positions: Vec<Position> = positions.collect();
        if !positions.is_empty() {
            // Positions of a share that was taken away are another's to tell.
            let _ = consumer.commit(&positions).await;
        }
    }

    /// Forgets tasks that have ended.
    fn bury(&mut self) {
        while let Some(ended) = self.sinks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a capture's task broke off");
            }
        }
    }
}
