//! Keeps what several alerters know together, and the membership that says which of them leads.
//!
//! All of them evaluate; the member of the group [`GROUP`] that has the one partition of `weir_notifications` tells
//! receivers. Before it sends it says so, and behind it what was taken; whoever leads next has read both to the end, and
//! waits for what was under way. So a notification is repeated only where the sender died, or stood still, between
//! sending and saying that it was taken. Silences are on the topic too: whoever is asked for one, all know it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Consumer, Error, Event, Message, Partition, Position};
use weir_proto::v1::notification::Of;
use weir_proto::{topic, v1};
use weir_service::telemetry::whole;
use weir_service::time::now_unix_ms;

use super::book::Book;
use super::deliver::Notifier;
use super::lead::Lead;
use super::silence::Silence;

/// The alerters that may tell receivers.
pub(crate) const GROUP: &str = "weir-notify";
/// How often the group is asked whether this member still has the partition.
const CONFIRM: Duration = Duration::from_secs(1);
/// Records taken at once.
const BATCH: usize = 1000;
/// An alerter that has not evaluated the rules for so long may lead all the same: what it owes is to be told.
const PATIENCE: Duration = Duration::from_mins(2);
/// Pause after a failure of the bus.
const PAUSE: Duration = Duration::from_secs(1);

/// The task.
#[derive(Debug)]
pub(crate) struct Sharing {
    bus: Bus,
    lead: Lead,
    notifier: Notifier,
    silences: Arc<Book>,
    /// Event time up to which the rules were evaluated, in unix milliseconds.
    evaluated: watch::Receiver<Option<i64>>,
}

/// What was read of the topic.
struct Read {
    /// The next offset.
    next: i64,
    /// Silences by their id, with when they were changed.
    silences: BTreeMap<String, i64>,
}

impl Sharing {
    /// `None` where no other process can be on the bus.
    pub(crate) fn new(
        bus: Bus,
        notifier: Notifier,
        silences: Arc<Book>,
        evaluated: watch::Receiver<Option<i64>>,
    ) -> Option<Self> {
        let lead = notifier.lead();
        (!lead.is_alone()).then_some(Self { bus, lead, notifier, silences, evaluated })
    }

    /// Shares until `shutdown`, then leaves the group.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            let failed = tokio::select! {
                () = shutdown.cancelled() => break,
                failed = self.share() => failed,
            };
            self.lead.lose();
            if let Err(error) = failed {
                tracing::warn!(error = %whole(&error), "what is told to receivers cannot be shared; nobody is told meanwhile");
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        self.lead.lose();
    }

    async fn share(&self) -> Result<(), Error> {
        self.bus.ensure_topics(&[self.bus.topic_spec(topic::NOTIFICATIONS)]).await?;
        let partition = Partition::new(topic::NOTIFICATIONS, 0);
        let (low, _) = self.bus.offsets(&partition).await?;
        let mut read = Read { next: low, silences: BTreeMap::new() };
        let mut reader = self.bus.consumer(&[Position { partition: partition.clone(), offset: low }])?;
        // Not before the rules were evaluated: a snapshot alone does not know what became of its alerts.
        let mut evaluated = self.evaluated.clone();
        let joins = tokio::time::timeout(PATIENCE, async move { evaluated.wait_for(Option::is_some).await.map(drop) });
        tokio::pin!(joins);
        let mut member: Option<Consumer> = None;
        // Where the topic ended when the partition was given to this member; all before is to be known first.
        let mut given: Option<i64> = None;
        let (_, end) = self.bus.offsets(&partition).await?;
        let mut confirmed: Option<Instant> = None;
        let mut changed = self.silences.changed();
        changed.mark_changed();
        loop {
            tokio::select! {
                event = reader.next(BATCH, CONFIRM) => {
                    if let Event::Batch(messages) = event? {
                        for message in messages {
                            self.learn(&message, &mut read).await;
                        }
                    }
                }
                _ = &mut joins, if member.is_none() => {
                    member = Some(self.bus.group_consumer(GROUP, &[topic::NOTIFICATIONS])?);
                }
                event = next(&mut member) => match event? {
                    Event::Assigned(partitions) if partitions.contains(&partition) => {
                        given = Some(self.bus.offsets(&partition).await?.1);
                        confirmed = None;
                    }
                    Event::Assigned(_) | Event::Revoked(_) => {
                        given = None;
                        self.lead.lose();
                    }
                    Event::Batch(_) | Event::Idle => {}
                },
                // Not before what others know is known here.
                changed = changed.changed(), if read.next >= end => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    self.tell_silences(&read).await?;
                }
            }
            let is_due = confirmed.is_none_or(|at| at.elapsed() >= CONFIRM);
            if let (Some(end), Some(member)) = (given.filter(|end| is_due && read.next >= *end), &member) {
                confirmed = Some(Instant::now());
                self.confirm(member, &partition, end).await;
            }
        }
    }

    /// Asks the group by a commit, which is taken of its member alone.
    async fn confirm(&self, member: &Consumer, partition: &Partition, offset: i64) {
        let asked = Instant::now();
        match member.commit(&[Position { partition: partition.clone(), offset }]).await {
            Ok(()) => self.lead.confirm(asked),
            Err(error) => {
                tracing::info!(error = %whole(&error), "the group of alerters does not say who tells receivers");
                self.lead.lose();
            }
        }
    }

    async fn learn(&self, message: &Message, read: &mut Read) {
        read.next = message.offset + 1;
        let Ok(notification) = v1::Notification::decode(&message.value[..]) else { return };
        let is_own = self.lead.wrote(&notification);
        match notification.of {
            Some(Of::Sending(group)) if !is_own => self.notifier.others_send(&group),
            Some(Of::Taken(group)) if !is_own => self.notifier.others_told(group),
            Some(Of::Silence(json)) => {
                let Ok(silence) = serde_json::from_slice::<Silence>(&json) else { return };
                let known = read.silences.entry(silence.id.clone()).or_insert(silence.updated_at_ms);
                *known = silence.updated_at_ms.max(*known);
                if !is_own {
                    self.learn_silence(silence).await;
                }
            }
            Some(Of::Sending(_) | Of::Taken(_)) | None => {}
        }
    }

    async fn learn_silence(&self, silence: Silence) {
        let silences = self.silences.clone();
        let learned = tokio::task::spawn_blocking(move || silences.learn(silence, now_unix_ms())).await;
        if let Ok(Err(error)) = learned {
            tracing::error!(error = %whole(&error), "a silence of another alerter cannot be written");
        }
    }

    /// Tells of the silences that are not on the topic, or were changed since.
    async fn tell_silences(&self, read: &Read) -> Result<(), Error> {
        let silences = self.silences.silences();
        for silence in silences.all() {
            if read.silences.get(&silence.id).is_none_or(|known| *known < silence.updated_at_ms)
                && let Ok(json) = serde_json::to_vec(silence)
            {
                self.lead.announce(&silence.id, Of::Silence(json)).await?;
            }
        }
        Ok(())
    }
}

/// What comes to the member; nothing before it is one.
async fn next(member: &mut Option<Consumer>) -> Result<Event, Error> {
    match member {
        Some(member) => member.next(BATCH, CONFIRM).await,
        None => std::future::pending().await,
    }
}
