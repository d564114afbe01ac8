//! The sink of one capture: takes records from its inbox, writes files, and lists them.
//!
//! The manifest is the truth: its positions say what was gone through, and are compared and set together with the file
//! that was made of it. So whatever ends, or is assigned elsewhere, in whatever moment: a row is in one listed file, once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Partition};
use weir_query::line::Line;
use weir_service::telemetry::whole;

use super::batch::Offer;
use super::inbox::{Inbox, Told};
use super::metrics::{Metrics, of};
use super::open::{GoneThrough, Hands};
use crate::capture::{Capture, Signals, Unfinished};
use crate::dataset::manifest::{Overtaken, partition_name};
use crate::dataset::{Finished, Listed, Manifest, Stamp, Step, Store, StoreError, WriteError};
use crate::definition::From;

/// Positions are written at least so often where no row is taken.
const IDLE: Duration = Duration::from_secs(30);
/// Between two tries of a store or a disk that fails, at first and at most.
const RETRY: Duration = Duration::from_millis(500);
const MOST_RETRY: Duration = Duration::from_secs(15);
/// How long what alerts say of the time of a record is waited for, from when it was read, and how often it is looked at.
const ALERT_WAIT: Duration = Duration::from_mins(1);
const ALERT_LOOK: Duration = Duration::from_millis(100);
/// How often old files are looked for.
const UPKEEP: Duration = Duration::from_mins(1);
/// A file that is not listed and is not ours is another instance's, that has not listed it yet; after so long it is not.
const STRAY_AFTER: Duration = Duration::from_hours(24);

/// What a sink is made with.
#[derive(Clone)]
pub(crate) struct Making {
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) signals: Arc<dyn Signals>,
    pub(crate) metrics: Metrics,
    /// Where files lie while they are written.
    pub(crate) folder: PathBuf,
    /// Of the data folder: the same after a restart.
    pub(crate) instance: String,
    /// Of this start.
    pub(crate) run: String,
    /// Files made since this start.
    pub(crate) made: Arc<AtomicU64>,
    /// Turns of captures that catch up: what each of them reads is in memory for it alone.
    pub(crate) turns: Arc<Semaphore>,
}

impl Making {
    /// Of this instance and this start, in the names of files.
    pub(super) fn run_name(&self) -> String {
        format!("{}{}", self.instance, self.run)
    }
}

/// Why a sink begins anew.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    #[error(transparent)]
    Overtaken(#[from] Overtaken),
    #[error("what it had written broke off")]
    Broken,
    #[error("stopping")]
    Shutdown,
}

pub(crate) struct Sink {
    making: Making,
    name: String,
    inbox: Arc<Inbox>,
    told: mpsc::Receiver<Told>,
    hands: Option<Hands>,
    assigned: Vec<Partition>,
    manifest: Option<(Manifest, Stamp)>,
    epoch: u64,
    upkeep: Option<Instant>,
    moved: Option<Instant>,
    /// Before the next try to begin; as short as it was once a file is listed.
    pause: Duration,
    stop: CancellationToken,
    /// Set by the shutdown: what is open is finished once, and not tried again.
    last: CancellationToken,
}

impl Sink {
    pub(crate) fn new(
        making: Making,
        capture: Arc<Capture>,
        inbox: Arc<Inbox>,
        told: mpsc::Receiver<Told>,
        stop: CancellationToken,
        last: CancellationToken,
    ) -> Self {
        let name = capture.definition.name.clone();
        let hands = Hands::new(making.clone(), capture);
        Self {
            making,
            name,
            inbox,
            told,
            hands: Some(hands),
            assigned: Vec::new(),
            manifest: None,
            epoch: 0,
            upkeep: None,
            moved: None,
            pause: RETRY,
            stop,
            last,
        }
    }

    /// Works until stopped; then what is open is finished and listed.
    pub(crate) async fn run(mut self) {
        loop {
            match self.work().await {
                Ok(()) | Err(Stop::Shutdown) => break,
                Err(stop) => {
                    self.making.metrics.errors.add(1, &[of(&self.name)]);
                    tracing::warn!(capture = self.name, error = %whole(&stop), "a capture begins anew from what is listed");
                }
            }
            // What it is given until it has begun anew is void.
            self.epoch = 0;
            self.discard().await;
            self.manifest = None;
            loop {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = tokio::time::sleep(self.pause) => self.pause = (self.pause * 2).min(MOST_RETRY),
                }
                match self.begin().await {
                    Ok(()) => break,
                    Err(stop) => {
                        tracing::warn!(capture = self.name, error = %whole(&stop), "a capture cannot begin; trying again");
                        self.manifest = None;
                    }
                }
            }
        }
        self.discard().await;
    }

    /// Takes what it is told until stopped.
    async fn work(&mut self) -> Result<(), Stop> {
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return self.list().await,
                told = self.told.recv() => match told {
                    Some(Told::Records(offer)) => self.take(offer).await?,
                    Some(Told::Assigned(partitions, answer)) => {
                        // What is open may be of partitions that are another's now: one try, and it is read again there.
                        let listed = tokio::time::timeout(Duration::from_secs(5), self.list()).await;
                        self.assigned = partitions;
                        if !matches!(listed, Ok(Ok(()))) {
                            self.discard().await;
                            self.manifest = None;
                        }
                        self.begin().await?;
                        let _ = answer.send(());
                    }
                    Some(Told::Defined(capture)) => {
                        // Calls that may have more parts are rows of the definition under which they began.
                        self.end_joins(true).await?;
                        self.list().await?;
                        self.define(capture).await?;
                    }
                    None => return self.list().await,
                },
                () = tokio::time::sleep_until(due) => {
                    self.end_joins(false).await?;
                    if self.due_to_list().is_some_and(|due| due <= Instant::now()) {
                        self.list().await?;
                    }
                    self.keep_up().await?;
                }
            }
        }
    }

    /// When there is something to do although nothing comes.
    fn due(&self) -> Instant {
        let joins = self.hands.as_ref().and_then(Hands::joins_due);
        let upkeep = self.upkeep.unwrap_or_else(Instant::now) + UPKEEP;
        [self.due_to_list(), joins].into_iter().flatten().fold(upkeep, Instant::min)
    }

    /// When what was gone through is to be listed.
    fn due_to_list(&self) -> Option<Instant> {
        let hands = self.hands.as_ref()?;
        let age = hands.capture.definition.roll.age.0;
        let roll = hands.open.file.as_ref().map(|(_, began)| *began + age);
        roll.or_else(|| self.moved.map(|moved| moved + age.clamp(Duration::from_secs(5), IDLE)))
    }

    /// Gives the hands to a thread that may block.
    async fn on_thread<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Hands) -> T + Send + 'static,
    ) -> Result<T, Stop> {
        let mut hands = self.hands.take().ok_or(Stop::Broken)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&mut hands);
            (hands, done)
        });
        let (hands, done) = done.await.map_err(|_| Stop::Broken)?;
        self.hands = Some(hands);
        Ok(done)
    }

    async fn take(&mut self, offer: Offer) -> Result<(), Stop> {
        if offer.epoch != self.epoch {
            return Ok(());
        }
        self.hear_of_alerts(&offer).await?;
        let offer = Arc::new(offer);
        self.moved.get_or_insert_with(Instant::now);
        let mut at = 0;
        loop {
            let shared = offer.clone();
            let next = self.on_thread(move |hands| hands.take(&shared, at)).await??;
            if self.hands.as_ref().is_some_and(Hands::is_full) {
                self.list().await?;
            }
            match next {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
    }

    /// Rules are evaluated some time behind the data: a capture that is steered by an alert waits for what it says of that
    /// time, but not for one that says nothing.
    async fn hear_of_alerts(&mut self, offer: &Offer) -> Result<(), Stop> {
        let Some(hands) = self.hands.as_ref().filter(|hands| hands.capture.definition.sample.while_firing.is_some())
        else {
            return Ok(());
        };
        let is_wanted = |line: &&Line| hands.capture.joins(line) || hands.capture.matches(line);
        let wanted = offer.batch.lines.iter().filter(is_wanted).map(|line| line.time).max();
        let (Some(wanted), signals) = (wanted, self.making.signals.clone()) else { return Ok(()) };
        while signals.evaluated_until().is_none_or(|until| until < wanted) && offer.batch.read.elapsed() < ALERT_WAIT {
            tokio::select! {
                () = tokio::time::sleep(ALERT_LOOK) => {}
                () = self.stop.cancelled() => {
                    self.list().await?;
                    return Err(Stop::Shutdown);
                }
            }
        }
        Ok(())
    }

    /// Takes calls whose other parts were waited for long enough, or all.
    async fn end_joins(&mut self, all: bool) -> Result<(), Stop> {
        let is_moved = self
            .on_thread(move |hands| {
                let ended = hands.end_joins(all);
                ended.map(|()| hands.open.is_moved)
            })
            .await??;
        if is_moved {
            self.moved.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    async fn discard(&mut self) {
        if self.hands.is_none() {
            // They were lost with a thread: what they had open is cleared away at the next start.
            self.hands = Some(Hands::new(self.making.clone(), self.inbox.capture()));
        }
        let _ = self.on_thread(Hands::discard).await;
        self.moved = None;
    }

    /// Ends what is open, puts it at its place and lists it; over every failure of the store, until the shutdown.
    async fn list(&mut self) -> Result<(), Stop> {
        let Some(hands) = &self.hands else { return Err(Stop::Broken) };
        if !hands.open.is_moved && hands.open.file.is_none() {
            self.moved = None;
            return Ok(());
        }
        let (finished, gone_through) = self.on_thread(|hands| (hands.finish(), hands.gone_through_now())).await?;
        let finished = finished?;
        self.moved = None;
        let mut pause = RETRY;
        loop {
            let failed = match self.try_list(finished.as_ref(), &gone_through).await {
                Ok(()) => {
                    self.pause = RETRY;
                    return Ok(());
                }
                Err(stop @ Stop::Overtaken(_)) => {
                    if let Some(finished) = &finished {
                        let _ = tokio::fs::remove_file(&finished.path).await;
                    }
                    return Err(stop);
                }
                Err(failed) => failed,
            };
            self.making.metrics.errors.add(1, &[of(&self.name)]);
            tracing::warn!(
                capture = self.name, error = %whole(&failed), retry_in = ?pause,
                "a dataset cannot be written: what was taken is kept, and tried again"
            );
            tokio::select! {
                () = self.last.cancelled() => return Err(Stop::Shutdown),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(MOST_RETRY),
            }
            if self.stop.is_cancelled() {
                return Err(Stop::Shutdown);
            }
        }
    }

    async fn try_list(&mut self, finished: Option<&Finished>, gone_through: &[GoneThrough]) -> Result<(), Stop> {
        let named: BTreeMap<String, (i64, i64)> =
            gone_through.iter().map(|of| (partition_name(&of.partition), of.offsets)).collect();
        let name = |of: &GoneThrough, open: Option<&Unfinished>| Some((partition_name(&of.partition), open?.clone()));
        let began = gone_through.iter().filter_map(|of| name(of, of.began.as_ref())).collect();
        let unfinished = gone_through.iter().filter_map(|of| name(of, of.unfinished.as_ref())).collect();
        let mut listed = None;
        if let Some(finished) = finished {
            let name = finished.path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            // It is gone from here once it is there.
            if tokio::fs::try_exists(&finished.path).await.unwrap_or(true) {
                self.making.store.put_file(&self.name, &name, &finished.path).await?;
            }
            let file = Listed {
                name,
                rows: finished.rows,
                bytes: finished.bytes,
                sha256: finished.sha256.clone(),
                created: weir_service::time::format(weir_service::time::now_unix_nano()),
                definition: finished.definition.fingerprint(),
                positions: named.clone(),
            };
            listed = Some((file, finished.definition.clone()));
        }
        let step = Step { positions: named, began, unfinished, file: listed };
        match self.step(&step).await {
            Ok(()) => {}
            Err(stop @ Stop::Overtaken(_)) => {
                if let Some((file, _)) = &step.file {
                    self.making.store.remove(&self.name, &file.name).await?;
                }
                return Err(stop);
            }
            Err(stop) => return Err(stop),
        }
        let ends = gone_through.iter().map(|of| (of.partition.clone(), of.offsets.1)).collect();
        self.inbox.durable(&ends);
        if let Some((file, _)) = &step.file {
            self.making.metrics.files.add(1, &[of(&self.name)]);
            self.making.metrics.bytes.add(file.bytes, &[of(&self.name)]);
            tracing::debug!(
                capture = self.name,
                file = file.name,
                rows = file.rows,
                bytes = file.bytes,
                "a file is listed"
            );
        }
        Ok(())
    }

    /// Adds a step to the manifest, whoever else writes to it.
    async fn step(&mut self, step: &Step) -> Result<(), Stop> {
        self.change(|manifest| {
            // A try before may have been written although its answer was lost.
            let is_there = manifest.has(step);
            if !is_there {
                manifest.add(step.clone())?;
            }
            Ok(!is_there)
        })
        .await
    }

    /// Changes the manifest, whoever else does; as often as it takes. `change` says whether there is something to write.
    async fn change(&mut self, mut change: impl FnMut(&mut Manifest) -> Result<bool, Overtaken>) -> Result<(), Stop> {
        loop {
            let (mut manifest, stamp) = self.manifest().await?;
            if !change(&mut manifest)? {
                return Ok(());
            }
            match self.making.store.replace_manifest(&self.name, &mut manifest, &stamp).await {
                Ok(stamp) => {
                    self.manifest = Some((manifest, stamp));
                    return Ok(());
                }
                Err(StoreError::Changed) => self.manifest = None,
                Err(error) => {
                    self.manifest = None;
                    return Err(error.into());
                }
            }
        }
    }

    /// The manifest as last known, or as it is; a new one where there is none.
    async fn manifest(&mut self) -> Result<(Manifest, Stamp), Stop> {
        if let Some((manifest, stamp)) = &self.manifest {
            return Ok((manifest.clone(), stamp.clone()));
        }
        let found = self.making.store.manifest(&self.name).await?;
        let definition = &self.inbox.capture().definition;
        let known = found.unwrap_or_else(|| (Manifest::new(definition), Stamp::default()));
        self.manifest = Some(known.clone());
        Ok(known)
    }

    /// Says where reading goes on: behind what is listed. A capture that is new writes down where it begins first.
    async fn begin(&mut self) -> Result<(), Stop> {
        let capture = self.inbox.capture();
        let topic = capture.source().topic();
        // Before the ends are asked for: a position beyond one is then of a topic that was made again.
        let known = self.manifest().await?.0;
        let count = self.making.bus.partitions(topic).await?;
        if let Some(hands) = &mut self.hands {
            hands.define(capture.clone());
            // As if each had as many partitions as this one. A source is of one partition, so that a share of its own for
            // each would leave most of the rows of a minute untaken where there are few sources.
            let own = self.assigned.iter().filter(|partition| *partition.topic == *topic).count().max(1);
            hands.instances = count.unsigned_abs().div_ceil(own as u32) as i32;
        }
        let mut ends = Vec::new();
        for number in 0..count {
            let partition = Partition::new(topic, number);
            let (low, high) = self.making.bus.offsets(&partition).await?;
            ends.push((partition, low, high));
        }
        let name = self.name.clone();
        self.change(|manifest| {
            let is_new = manifest.positions.keys().all(|name| !name.starts_with(&format!("{topic}/")));
            let mut is_changed = manifest.define(&capture.definition);
            for (partition, low, high) in &ends {
                let position = manifest.reached(&partition_name(partition));
                let is_moved = position != known.reached(&partition_name(partition));
                if position.is_some_and(|position| position <= *high || is_moved) {
                    continue;
                }
                if position.is_some() {
                    tracing::warn!(
                        capture = name,
                        topic,
                        partition = partition.partition,
                        "the topic was made again: a capture begins with its first record"
                    );
                }
                // A partition that came later is read from its first record on.
                let is_from_now = is_new && capture.definition.from == From::Now;
                manifest.begin(&partition_name(partition), if is_from_now { *high } else { *low });
                is_changed = true;
            }
            Ok(is_changed)
        })
        .await?;
        let (manifest, _) = self.manifest().await?;
        let mut positions = BTreeMap::new();
        if let Some(hands) = &mut self.hands {
            hands.forget_joins();
        }
        for partition in self.assigned.iter().filter(|partition| *partition.topic == *topic) {
            let Some(position) = manifest.positions.get(&partition_name(partition)).copied() else { continue };
            let low = ends.iter().find(|(known, ..)| known == partition).map_or(position, |(_, low, _)| *low);
            if position < low {
                let lost = u64::try_from(low - position).unwrap_or(0);
                self.making.metrics.lost.add(lost, &[of(&self.name)]);
                tracing::warn!(
                    capture = self.name, topic = %partition.topic, partition = partition.partition, offsets = lost,
                    "the bus no longer has what a capture was to be given: its retention is shorter than the capture was away"
                );
            }
            if let Some((hands, open)) = self.hands.as_mut().zip(manifest.unfinished.get(&partition_name(partition))) {
                hands.restore(partition, open);
            }
            positions.insert(partition.clone(), position);
        }
        self.epoch = self.inbox.begin(positions);
        self.clear_strays().await?;
        Ok(())
    }

    async fn define(&mut self, capture: Arc<Capture>) -> Result<(), Stop> {
        if let Some(hands) = &mut self.hands {
            let is_elsewhere = hands.capture.source() != capture.source();
            hands.define(capture.clone());
            hands.join_as_defined();
            if !is_elsewhere {
                return self.change(|manifest| Ok(manifest.define(&capture.definition))).await;
            }
        }
        self.manifest = None;
        self.begin().await
    }

    /// Removes files that a run before of this instance left without listing them.
    async fn clear_strays(&mut self) -> Result<(), Stop> {
        let (manifest, _) = self.manifest().await?;
        let run = self.making.run_name();
        for stored in self.making.store.list(&self.name).await? {
            let is_ours = stored.name.contains(&format!("-{}", self.making.instance)) && !stored.name.contains(&run);
            let is_old = stored.written.elapsed().is_ok_and(|age| age > STRAY_AFTER);
            let is_half = stored.name == "manifest.new";
            if (is_ours || is_old || is_half) && manifest.file(&stored.name).is_none() {
                tracing::info!(capture = self.name, file = stored.name, "a file that was never listed is removed");
                self.making.store.remove(&self.name, &stored.name).await?;
            }
        }
        Ok(())
    }

    /// Takes old files off the list, then removes them.
    async fn keep_up(&mut self) -> Result<(), Stop> {
        if self.upkeep.is_some_and(|at| at.elapsed() < UPKEEP) {
            return Ok(());
        }
        self.upkeep = Some(Instant::now());
        let Some(keep) = self.inbox.capture().definition.keep else { return Ok(()) };
        let oldest = jiff::Timestamp::now()
            .checked_sub(jiff::SignedDuration::try_from(keep.0).unwrap_or(jiff::SignedDuration::MAX));
        let Ok(oldest) = oldest else { return Ok(()) };
        let is_old = |file: &Listed| file.created.parse::<jiff::Timestamp>().is_ok_and(|created| created < oldest);
        // What another instance listed counts as well.
        self.manifest = None;
        let mut gone = Vec::new();
        self.change(|manifest| {
            gone = manifest.take_off(is_old);
            Ok(!gone.is_empty())
        })
        .await?;
        for file in gone {
            self.making.store.remove(&self.name, &file.name).await?;
        }
        Ok(())
    }
}
