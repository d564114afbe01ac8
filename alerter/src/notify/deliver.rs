//! The half of the notifier that waits: delivery, with retry.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_proto::v1;
use weir_proto::v1::notification::Of;
use weir_service::telemetry::whole;
use weir_service::time::now_unix_ms;

use super::book::Book;
use super::channel::Answer;
use super::group::{Alert, AlertGroup, Delivery, Groups, Outcome};
use super::lead::Lead;
use super::log::{Notification, NotificationLog, Outcome as Came};
use super::options::{Options, OptionsError};
use super::send::Sender;

/// Deliveries by one channel at the same time: one that hangs keeps nobody else waiting.
const AT_ONCE: usize = 8;
/// What an answer may take beyond its channel's timeout.
const MORE_MS: i64 = 3000;
/// How often it is looked whether this alerter leads.
const LOOK_MS: i64 = 1000;
/// What other alerters told that waits to be written to the log; where there is more, the oldest is left out.
pub(super) const MAX_TOLD: usize = 1000;
/// How long deliveries under way may take when the program stops.
const DRAIN: Duration = Duration::from_secs(5);

/// The notifier cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Options(#[from] OptionsError),
}

/// Tells receivers of alerts; cheap to clone.
#[derive(Clone)]
pub struct Notifier {
    shared: Arc<Shared>,
    lead: Lead,
}

/// Permits to deliver, by receiver and channel.
type AtOnce = BTreeMap<(String, usize), Arc<Semaphore>>;

fn at_once(options: &Options) -> AtOnce {
    let channels = options
        .receivers
        .iter()
        .flat_map(|receiver| (0..receiver.channels.len()).map(|channel| (receiver.name.clone(), channel)));
    channels.map(|channel| (channel, Arc::new(Semaphore::new(AT_ONCE)))).collect()
}

struct Shared {
    groups: Mutex<Groups>,
    changed: watch::Sender<u64>,
    wake: Notify,
    /// Made again with another configuration.
    sender: Mutex<Arc<Sender>>,
    at_once: Mutex<AtOnce>,
    log: NotificationLog,
    /// For the log.
    told: Mutex<VecDeque<Notification>>,
    sent: Counter<u64>,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").finish_non_exhaustive()
    }
}

impl Notifier {
    /// Made from the configuration and from what a snapshot says was told already. Nothing is sent before
    /// [`Notifier::run`].
    pub fn new(
        options: &Options,
        notified: Vec<v1::NotifiedGroup>,
        owed: Vec<v1::OwedAlert>,
        silences: Arc<Book>,
        log: NotificationLog,
        meter: &Meter,
    ) -> Result<Self, Error> {
        options.check()?;
        let shared = Shared {
            groups: Mutex::new(Groups::new(options, notified, owed).with_silences(silences)),
            changed: watch::Sender::new(0),
            wake: Notify::new(),
            sender: Mutex::new(Arc::new(Sender::new(options)?)),
            at_once: Mutex::new(at_once(options)),
            log,
            told: Mutex::default(),
            sent: meter
                .u64_counter("weir_alerter_notifications")
                .with_description(
                    "Deliveries to receivers, by receiver, channel and outcome: taken, failed (tried again), refused",
                )
                .build(),
        };
        Ok(Self { shared: Arc::new(shared), lead: Lead::alone() })
    }

    /// The notifier of one of the alerters on a bus, of which one tells receivers; before it is cloned.
    pub(crate) fn of_several(self, bus: &Bus) -> Result<Self, weir_bus::Error> {
        let lead = if bus.is_shared() { Lead::shared(bus)? } else { Lead::alone() };
        Ok(Self { lead, ..self })
    }

    pub(super) fn lead(&self) -> Lead {
        self.lead.clone()
    }

    /// Another alerter is about to tell.
    pub(super) fn others_send(&self, group: &v1::NotifiedGroup) {
        self.shared.groups.lock().others_send(group, now_unix_ms());
    }

    /// Another alerter told. Waits for nothing: who reads the topic keeps the lead meanwhile.
    pub(super) fn others_told(&self, group: v1::NotifiedGroup) {
        let (told, is_news) = {
            let mut groups = self.shared.groups.lock();
            (groups.told_elsewhere(&group), groups.others_told(group))
        };
        if is_news {
            self.shared.changed.send_modify(|version| *version += 1);
        }
        if let Some(told) = told {
            let mut waiting = self.shared.told.lock();
            if waiting.len() >= MAX_TOLD {
                waiting.pop_front();
            }
            waiting.push_back(told);
            drop(waiting);
            self.shared.wake.notify_one();
        }
    }

    /// What was sent to whom.
    pub(crate) fn log(&self) -> &NotificationLog {
        &self.shared.log
    }

    async fn record(&self, notification: Notification) {
        let log = self.shared.log.clone();
        // It ends before the program does, or the program is dying anyway.
        let _ = tokio::task::spawn_blocking(move || log.record(notification)).await;
    }

    /// Takes all alerts that fire or were resolved lately, in place of those of the call before. Never waits.
    pub fn update(&self, alerts: Vec<Alert>) {
        self.shared.groups.lock().update(alerts, now_unix_ms());
        self.shared.wake.notify_one();
    }

    /// Goes on with another configuration, which was checked; what was told to whom is still known. Reads the files of templates: not for an
    /// async thread.
    pub fn replace(&self, options: &Options) -> Result<(), OptionsError> {
        let sender = Arc::new(Sender::new(options)?);
        let mut groups = self.shared.groups.lock();
        *self.shared.sender.lock() = sender;
        *self.shared.at_once.lock() = at_once(options);
        groups.replace(options, now_unix_ms());
        drop(groups);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// The fingerprint of a firing alert that keeps one with these labels from being told.
    pub fn inhibited_by(&self, labels: &BTreeMap<String, String>) -> Option<u64> {
        self.shared.groups.lock().inhibited_by(labels)
    }

    /// The groups that alerts are in now, and when they were last heard of, in unix milliseconds.
    pub fn groups(&self) -> (Vec<AlertGroup>, i64) {
        self.shared.groups.lock().all()
    }

    /// Names of the receivers, in order.
    pub fn receivers(&self) -> Vec<String> {
        self.shared.groups.lock().receivers()
    }

    /// The configuration without its secrets, as YAML.
    pub fn shown(&self) -> String {
        self.shared.groups.lock().shown()
    }

    /// What was told, for the snapshot.
    pub fn notified(&self) -> Vec<v1::NotifiedGroup> {
        self.shared.groups.lock().notified(now_unix_ms())
    }

    /// What receivers are owed, for the snapshot.
    pub fn owed(&self) -> Vec<v1::OwedAlert> {
        self.shared.groups.lock().owed()
    }

    /// Changes whenever a receiver took a notification: a snapshot is then to be written at once.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Delivers until it is stopped; deliveries under way then have some seconds to end.
    pub async fn run(&self, shutdown: CancellationToken) {
        let (mut under_way, mut writer) = (JoinSet::new(), JoinSet::new());
        loop {
            let (due, next) = {
                let mut groups = self.shared.groups.lock();
                if self.lead.holds() {
                    (groups.due(now_unix_ms()), groups.next_ms())
                } else {
                    (Vec::new(), Some(now_unix_ms() + LOOK_MS))
                }
            };
            let remembered = self.shared.groups.lock().take_remembered();
            if !self.lead.is_alone() && !remembered.is_empty() {
                let notifier = self.clone();
                under_way.spawn(async move {
                    for (name, taken) in remembered {
                        notifier.tell_others(&name, taken).await;
                    }
                });
            }
            let suppressed = self.shared.groups.lock().take_suppressed();
            if !suppressed.is_empty() {
                let notifier = self.clone();
                under_way.spawn(async move {
                    for (delivery, why) in suppressed {
                        let suppressed = delivery.logged(Came::Suppressed, now_unix_ms());
                        notifier.record(suppressed.because(why)).await;
                    }
                });
            }
            if writer.is_empty() && !self.shared.told.lock().is_empty() {
                let (notifier, told) = (self.clone(), std::mem::take(&mut *self.shared.told.lock()));
                writer.spawn(async move {
                    for notification in told {
                        notifier.record(notification).await;
                    }
                });
            }
            for delivery in due {
                let notifier = self.clone();
                under_way.spawn(async move { notifier.deliver(delivery).await });
            }
            let wait = next.map_or(3_600_000, |next| next.saturating_sub(now_unix_ms()).clamp(1, 3_600_000));
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.shared.wake.notified() => {}
                () = self.lead.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())) => {}
                Some(_) = under_way.join_next() => {}
                Some(_) = writer.join_next() => {}
            }
        }
        let drained = tokio::time::timeout(DRAIN, async {
            while under_way.join_next().await.is_some() {}
            while writer.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            tracing::warn!(deliveries = under_way.len(), "stopped before all receivers answered");
        }
    }

    async fn deliver(&self, delivery: Delivery) {
        let delivery = Arc::new(delivery);
        let at = (delivery.receiver.clone(), delivery.id.target);
        // Not there any more where the configuration was replaced meanwhile.
        let at_once = self.shared.at_once.lock().get(&at).cloned().unwrap_or_else(|| Arc::new(Semaphore::new(1)));
        let Ok(_permit) = at_once.acquire().await else { return };
        let (receiver, channel) = (delivery.receiver.as_str(), delivery.channel.kind());
        if !self.announced(&delivery).await {
            self.shared.groups.lock().done(&delivery, Outcome::Held, now_unix_ms());
            return self.shared.wake.notify_one();
        }
        let sender = self.shared.sender.lock().clone();
        let began = Instant::now();
        let (answer, after_ms) = sender.send(delivery.clone(), now_unix_ms()).await;
        let (took, now_ms) = (began.elapsed(), now_unix_ms());
        let came = |came| Notification {
            duration_ms: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            ..delivery.logged(came, now_ms)
        };
        let (outcome, notification) = match answer {
            Answer::Taken => (Outcome::Taken, came(Came::Sent)),
            Answer::Again(why) => {
                let group = &delivery.group_key;
                tracing::warn!(receiver, channel, group, why, "a receiver did not take a notification; trying again");
                (Outcome::Failed { after_ms }, came(Came::Failed).because(&why))
            }
            Answer::Refused(why) => {
                tracing::warn!(receiver, channel, group = delivery.group_key, why, "a receiver refused a notification");
                (Outcome::Refused, came(Came::Refused).because(&why))
            }
        };
        let name = match outcome {
            Outcome::Taken => "taken",
            Outcome::Failed { .. } | Outcome::Held => "failed",
            Outcome::Refused => "refused",
        };
        let labels = [("receiver", receiver.to_owned()), ("channel", channel.to_owned()), ("outcome", name.to_owned())];
        self.shared.sent.add(1, &labels.map(|(name, value)| KeyValue::new(name, value)));
        if self.shared.groups.lock().done(&delivery, outcome, now_ms) {
            self.shared.changed.send_modify(|version| *version += 1);
        }
        self.shared.wake.notify_one();
        if outcome == Outcome::Taken {
            self.tell_others(&delivery.name, delivery.message(now_ms)).await;
        }
        self.record(notification).await;
    }

    /// Lets other alerters know what a receiver knows.
    async fn tell_others(&self, name: &str, taken: v1::NotifiedGroup) {
        let receiver = taken.receiver.clone();
        if let Err(error) = self.lead.announce(name, Of::Taken(taken)).await {
            tracing::warn!(receiver, error = %whole(&error),
                "other alerters do not know what a receiver was told; they may tell it again");
        }
    }

    /// Lets other alerters know that a delivery is about to be sent; false where it may not be.
    async fn announced(&self, delivery: &Delivery) -> bool {
        let timeout = i64::try_from(delivery.channel.common().timeout.0.as_millis()).unwrap_or(i64::MAX);
        let until = now_unix_ms().saturating_add(timeout).saturating_add(MORE_MS);
        let announced = self.lead.announce(&delivery.name, Of::Sending(delivery.message(until))).await;
        if let Err(error) = &announced {
            tracing::warn!(receiver = delivery.receiver, error = %whole(error), "a notification waits for the bus");
        }
        // Others wait until then, so the answer is to have come.
        let in_time = now_unix_ms().saturating_add(timeout) <= until;
        announced.is_ok() && in_time && self.lead.holds()
    }
}
