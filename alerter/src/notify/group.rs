//! Which alerts are told together, to whom and when: pure, with the time as an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use weir_proto::v1;

pub(super) use super::alert::{Alert, fingerprint};
use super::alert::{Labels, order};
use super::book::Book;
use super::channel::Channel;
use super::inhibit::Inhibitor;
use super::log::{Notification, Outcome as Came};
use super::options::Options;
use super::owed::Owed;
use super::tree::{FlatRoute, GroupKey, Tree};

/// First and longest pause after a failed delivery.
const FIRST_RETRY_MS: i64 = 500;
const LONGEST_RETRY_MS: i64 = 60_000;
/// A receiver that asks for a longer pause is asked again after this.
const LONGEST_ASKED_MS: i64 = 3_600_000;

#[derive(Debug)]
struct Group {
    alerts: BTreeMap<Arc<Labels>, Alert>,
    /// When it is looked at next.
    next_ms: i64,
    targets: Vec<TargetState>,
}

#[derive(Debug, Clone, Default)]
struct TargetState {
    in_flight: bool,
    failures: u32,
    retry_ms: Option<i64>,
    /// Alerts that fire and were not told lately, since all of the group are kept from being told.
    suppressed: BTreeSet<u64>,
}

/// What a receiver took last of a group.
#[derive(Debug, Clone, Default, PartialEq)]
struct Taken {
    at_ms: i64,
    firing: BTreeSet<u64>,
    resolved: BTreeSet<u64>,
    group_labels: Labels,
}

/// One delivery to be made.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) id: DeliveryId,
    /// What a snapshot, and all alerters, know the channel and the group by.
    pub(super) name: String,
    pub(super) receiver: String,
    pub(super) channel: Channel,
    /// The kind of the channel, with a number behind the first of the kind.
    pub(super) integration: String,
    /// Of how many it is the last, as long as none is taken.
    pub(super) attempt: u32,
    /// How long until it is told of again at the latest when nothing changes: it may become due just behind a turn.
    pub(super) repeat_ms: i64,
    pub(super) group_key: String,
    pub(super) group_labels: Labels,
    /// In Alertmanager's order.
    pub(super) alerts: Vec<Alert>,
}

#[derive(Debug, Clone)]
pub(super) struct DeliveryId {
    group: GroupKey,
    /// Number of the receiver's channel.
    pub(super) target: usize,
}

/// A group as it may be seen.
#[derive(Debug, Clone)]
pub struct AlertGroup {
    /// Who is told of it.
    pub receiver: String,
    /// Labels that all its alerts have.
    pub labels: BTreeMap<String, String>,
    /// Those that fire, or were resolved lately.
    pub alerts: Vec<Alert>,
}

/// How a delivery went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Taken,
    /// To be tried again soon, after the pause that the receiver asked for, if it did.
    Failed {
        after_ms: Option<i64>,
    },
    /// Not to be tried again before the group's next turn.
    Refused,
    /// Not sent, since another alerter may be about to.
    Held,
}

/// A delivery that was held is looked at again after this.
const HELD_MS: i64 = 1000;
/// Another alerter's delivery is waited for no longer, whatever its clock says.
const LONGEST_WAIT_MS: i64 = 120_000;

impl Taken {
    fn message(&self, name: &str) -> v1::NotifiedGroup {
        v1::NotifiedGroup {
            receiver: name.split_once('\u{0}').map_or(name, |(name, _)| name).to_owned(),
            group_labels: self.group_labels.clone().into_iter().collect(),
            at_unix_nano: u64::try_from(self.at_ms).unwrap_or(0).saturating_mul(1_000_000),
            firing_fingerprints: self.firing.iter().copied().collect(),
            resolved_fingerprints: self.resolved.iter().copied().collect(),
        }
    }
}

impl Delivery {
    /// As others know it; `at_ms` is when it was taken, or until when it may be.
    pub(super) fn message(&self, at_ms: i64) -> v1::NotifiedGroup {
        let (firing, resolved) = fingerprints(self.alerts.iter());
        Taken { at_ms, firing, resolved, group_labels: self.group_labels.clone() }.message(&self.name)
    }

    /// As the log has it; it ended at this time.
    pub(super) fn logged(&self, outcome: Came, time_ms: i64) -> Notification {
        Notification {
            name: self.name.clone(),
            receiver: self.receiver.clone(),
            integration: self.integration.clone(),
            group: self.group_labels.clone(),
            attempts: self.attempt,
            ..Notification::of(&self.alerts, outcome, time_ms)
        }
    }
}

/// All groups.
#[derive(Debug)]
pub(super) struct Groups {
    routes: Tree,
    channels: BTreeMap<String, Vec<Channel>>,
    by_key: BTreeMap<GroupKey, Group>,
    taken: BTreeMap<String, Taken>,
    /// By the names of deliveries under way, the alerts that receivers are being told fire.
    telling: BTreeMap<String, BTreeSet<u64>>,
    /// What was told by telling nothing, since the receiver asks for none of it.
    remembered: Vec<(String, v1::NotifiedGroup)>,
    /// What was not told, and why, since this was asked last.
    suppressed: Vec<(Delivery, &'static str)>,
    /// What other alerters were about to tell, and until when that may be under way.
    others: BTreeMap<String, i64>,
    owed: Owed,
    /// Alerts that are known, by their fingerprints; made when they are asked for.
    by_fingerprint: OnceLock<BTreeMap<u64, Alert>>,
    inhibitor: Inhibitor,
    silences: Arc<Book>,
    /// The configuration without its secrets.
    shown: String,
    updated_ms: i64,
}

impl Groups {
    pub(super) fn new(options: &Options, notified: Vec<v1::NotifiedGroup>, owed: Vec<v1::OwedAlert>) -> Self {
        let mut made = Self {
            routes: Tree::new(options),
            channels: options.receivers.iter().map(|r| (r.name.clone(), r.channels.clone())).collect(),
            by_key: BTreeMap::new(),
            taken: BTreeMap::new(),
            telling: BTreeMap::new(),
            remembered: Vec::new(),
            suppressed: Vec::new(),
            others: BTreeMap::new(),
            owed: Owed::restore(owed),
            by_fingerprint: OnceLock::new(),
            inhibitor: Inhibitor::new(&options.inhibit_rules),
            silences: Arc::default(),
            shown: options.shown.clone(),
            updated_ms: 0,
        };
        let targets: BTreeSet<String> = made
            .routes
            .iter()
            .flat_map(|route| {
                let channels = made.channels.get(&route.receiver).map_or(&[][..], Vec::as_slice);
                (0..channels.len()).map(|target| target_name(route, channels, target))
            })
            .collect();
        // To receivers that are no longer there nothing is owed.
        for one in notified.into_iter().filter(|one| targets.contains(&one.receiver)) {
            made.taken.insert(
                taken_key(&one.receiver, &one.group_labels.clone().into_iter().collect()),
                Taken {
                    at_ms: (one.at_unix_nano / 1_000_000) as i64,
                    firing: one.firing_fingerprints.into_iter().collect(),
                    resolved: one.resolved_fingerprints.into_iter().collect(),
                    group_labels: one.group_labels.into_iter().collect(),
                },
            );
        }
        made
    }

    pub(super) fn with_silences(mut self, silences: Arc<Book>) -> Self {
        self.silences = silences;
        self
    }

    /// Goes on with another configuration: as a restart does, but for deliveries that are under way.
    pub(super) fn replace(&mut self, options: &Options, now_ms: i64) {
        let known = self.owed.all();
        let mut made = Self::new(options, self.notified(now_ms), self.owed()).with_silences(self.silences.clone());
        made.telling = std::mem::take(&mut self.telling);
        made.others = std::mem::take(&mut self.others);
        made.update(known, now_ms);
        // What was noted as not told is not noted again.
        let mut suppressed = BTreeMap::new();
        self.each_target(|name, target| drop(suppressed.insert(name, std::mem::take(&mut target.suppressed))));
        made.each_target(|name, target| target.suppressed = suppressed.remove(&name).unwrap_or_default());
        *self = made;
    }

    /// Visits the targets of all groups, with the names of their deliveries.
    fn each_target(&mut self, mut visit: impl FnMut(String, &mut TargetState)) {
        for (key, group) in &mut self.by_key {
            let Some(route) = self.routes.get(key.0) else { continue };
            let channels = self.channels.get(&route.receiver).map_or(&[][..], Vec::as_slice);
            for (at, target) in group.targets.iter_mut().enumerate() {
                visit(taken_key(&target_name(route, channels, at), &key.1), target);
            }
        }
    }

    /// Takes all alerts that fire or were resolved lately. What is not among them has ended, and is known until everyone
    /// who was told that it fires was told so.
    pub(super) fn update(&mut self, alerts: Vec<Alert>, now_ms: i64) {
        self.updated_ms = now_ms;
        let told = self.told();
        let alerts = self.owed.update(alerts, &told, now_ms);
        self.by_fingerprint = OnceLock::new();
        let firing = alerts.iter().filter(|alert| alert.ends_at_ms.is_none());
        self.inhibitor.update(firing.map(|alert| &alert.labels));
        let mut sorted: BTreeMap<GroupKey, BTreeMap<Arc<Labels>, Alert>> = BTreeMap::new();
        for alert in alerts {
            for key in self.routes.groups_of(&alert.labels) {
                sorted.entry(key).or_default().insert(alert.labels.clone(), alert.clone());
            }
        }
        self.by_key
            .retain(|key, group| sorted.contains_key(key) || group.targets.iter().any(|target| target.in_flight));
        for (key, group) in &mut self.by_key {
            group.alerts = sorted.remove(key).unwrap_or_default();
        }
        for (key, alerts) in sorted {
            let Some(route) = self.routes.get(key.0) else { continue };
            let targets = self.channels.get(&route.receiver).map_or(0, Vec::len);
            let group = Group {
                alerts,
                next_ms: now_ms.saturating_add(route.group_wait_ms),
                targets: vec![TargetState::default(); targets],
            };
            self.by_key.insert(key, group);
        }
    }

    /// What is to be delivered now. Each delivery must be answered by [`Groups::done`].
    pub(super) fn due(&mut self, now_ms: i64) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let silences = self.silences.silences();
        self.others.retain(|_, until_ms| *until_ms > now_ms);
        for (key, group) in &mut self.by_key {
            let Some(route) = self.routes.get(key.0) else { continue };
            let turn = group.next_ms <= now_ms;
            if turn {
                group.next_ms = now_ms.saturating_add(route.group_interval_ms);
            }
            let channels = self.channels.get(&route.receiver).map_or(&[][..], Vec::as_slice);
            // Between turns only what failed is tried again.
            let is_due = |target: &TargetState| {
                let retry = target.retry_ms.is_some_and(|retry| retry <= now_ms);
                !target.in_flight && (retry || (turn && target.retry_ms.is_none()))
            };
            if !group.targets.iter().any(is_due) {
                continue;
            }
            // Who was told of an alert that is held back when it ends is told so once it is held back no longer.
            let is_audible = |alert: &&Alert| {
                silences.of(&alert.labels, now_ms).is_empty() && self.inhibitor.inhibited_by(&alert.labels).is_none()
            };
            let is_muted = route.is_muted(now_ms);
            let mut audible: Vec<&Alert> =
                if is_muted { Vec::new() } else { group.alerts.values().filter(is_audible).collect() };
            audible.sort_by(|one, other| order(&one.labels, &other.labels));
            let (firing, resolved) = fingerprints(audible.iter().copied());
            let delivery = |at: usize, channel: &Channel, attempt: u32, alerts: Vec<Alert>| {
                let quoted: Vec<String> = key.1.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                Delivery {
                    id: DeliveryId { group: key.clone(), target: at },
                    name: taken_key(&target_name(route, channels, at), &key.1),
                    receiver: route.receiver.clone(),
                    channel: channel.clone(),
                    integration: integration(channels, at),
                    attempt,
                    repeat_ms: route.repeat_interval_ms.saturating_add(route.group_interval_ms),
                    group_key: format!("{}:{{{}}}", route.key, quoted.join(", ")),
                    group_labels: key.1.clone(),
                    alerts,
                }
            };
            for (at, (target, channel)) in group.targets.iter_mut().zip(channels).enumerate() {
                let name = taken_key(&target_name(route, channels, at), &key.1);
                if !is_due(target) || self.telling.contains_key(&name) {
                    continue;
                }
                target.retry_ms = None;
                let (taken, send_resolved) = (self.taken.get(&name), channel.send_resolved());
                if audible.is_empty()
                    || !is_news(taken, &firing, &resolved, send_resolved, now_ms, route.repeat_interval_ms)
                {
                    target.failures = 0;
                    if !audible.is_empty() {
                        continue;
                    }
                    let (firing, resolved) = fingerprints(group.alerts.values());
                    target.suppressed.retain(|alert| firing.contains(alert));
                    if !firing.is_subset(&target.suppressed)
                        && is_news(taken, &firing, &resolved, false, now_ms, route.repeat_interval_ms)
                    {
                        let is_silenced = |alert: &Alert| !silences.of(&alert.labels, now_ms).is_empty();
                        let why = match (is_muted, group.alerts.values().all(is_silenced)) {
                            (true, _) => "a time interval mutes its route",
                            (false, true) => "silenced",
                            (false, false) if group.alerts.values().any(is_silenced) => "silenced or inhibited",
                            (false, false) => "inhibited",
                        };
                        self.suppressed.push((delivery(at, channel, 0, group.alerts.values().cloned().collect()), why));
                        target.suppressed = firing;
                    }
                    continue;
                }
                let told = |alert: &&&Alert| send_resolved || alert.ends_at_ms.is_none();
                let alerts: Vec<Alert> = audible.iter().filter(told).copied().cloned().collect();
                if alerts.is_empty() {
                    // All were resolved, and this receiver does not want to know: only remembered.
                    let (firing, resolved, group_labels) = (firing.clone(), resolved.clone(), key.1.clone());
                    let taken = Taken { at_ms: now_ms, firing, resolved, group_labels };
                    self.remembered.push((name.clone(), taken.message(&name)));
                    self.taken.insert(name, taken);
                    continue;
                }
                if let Some(until_ms) = self.others.get(&name) {
                    target.retry_ms = Some(*until_ms);
                    continue;
                }
                target.in_flight = true;
                target.suppressed.clear();
                self.telling.insert(name.clone(), firing.clone());
                deliveries.push(delivery(at, channel, target.failures.saturating_add(1), alerts));
            }
        }
        deliveries
    }

    /// Takes the answer to a delivery. True where what was told has changed.
    pub(super) fn done(&mut self, delivery: &Delivery, outcome: Outcome, now_ms: i64) -> bool {
        let Delivery { id: DeliveryId { group: key, target }, name, .. } = delivery;
        self.telling.remove(name);
        let is_same = self.routes.get(key.0).is_some_and(|route| {
            let channels = self.channels.get(&route.receiver).map_or(&[][..], Vec::as_slice);
            *name == taken_key(&target_name(route, channels, *target), &key.1)
        });
        // With another configuration the group may be another one, or gone.
        let group = self.by_key.get_mut(key).filter(|_| is_same);
        if let Some(state) = group.and_then(|group| group.targets.get_mut(*target)) {
            state.in_flight = false;
            if outcome == Outcome::Held {
                state.retry_ms = Some(now_ms.saturating_add(HELD_MS));
            } else if let Outcome::Failed { after_ms } = outcome {
                let pause = FIRST_RETRY_MS.saturating_mul(1 << state.failures.min(16)).min(LONGEST_RETRY_MS);
                let pause = pause.max(after_ms.unwrap_or(0).min(LONGEST_ASKED_MS));
                state.failures = state.failures.saturating_add(1);
                state.retry_ms = Some(now_ms.saturating_add(pause));
            } else {
                state.failures = 0;
            }
        }
        if outcome != Outcome::Taken {
            return false;
        }
        let (firing, resolved) = fingerprints(delivery.alerts.iter());
        self.taken.insert(name.clone(), Taken { at_ms: now_ms, firing, resolved, group_labels: key.1.clone() });
        true
    }

    /// What was remembered since this was asked last, for other alerters.
    pub(super) fn take_remembered(&mut self) -> Vec<(String, v1::NotifiedGroup)> {
        std::mem::take(&mut self.remembered)
    }

    /// What was not told since this was asked last, as it would have been, and why.
    pub(super) fn take_suppressed(&mut self) -> Vec<(Delivery, &'static str)> {
        std::mem::take(&mut self.suppressed)
    }

    /// What another alerter told, with the alerts of it that are known here; `None` where that was to tell nothing.
    pub(super) fn told_elsewhere(&self, group: &v1::NotifiedGroup) -> Option<Notification> {
        let (route, channels, at) = self.routes.iter().find_map(|route| {
            let channels = self.channels.get(&route.receiver).map_or(&[][..], Vec::as_slice);
            let at = (0..channels.len()).find(|at| target_name(route, channels, *at) == group.receiver)?;
            Some((route, channels, at))
        })?;
        let (firing, mut resolved) = (&group.firing_fingerprints, group.resolved_fingerprints.as_slice());
        if !channels.get(at)?.send_resolved() {
            resolved = &[];
        }
        let time_ms = (group.at_unix_nano / 1_000_000) as i64;
        let known = self
            .by_fingerprint
            .get_or_init(|| self.owed.all().into_iter().map(|alert| (fingerprint(&alert.labels), alert)).collect());
        let firing_alerts = firing.iter().filter_map(|fingerprint| known.get(fingerprint));
        let firing_alerts = firing_alerts.map(|alert| Alert { ends_at_ms: None, ..alert.clone() });
        let ended = |alert: &Alert| Alert { ends_at_ms: Some(alert.ends_at_ms.unwrap_or(time_ms)), ..alert.clone() };
        let resolved_alerts = resolved.iter().filter_map(|fingerprint| known.get(fingerprint)).map(ended);
        let alerts: Vec<Alert> = firing_alerts.chain(resolved_alerts).collect();
        let total = firing.len() + resolved.len();
        let mut told = Notification::of(&alerts, Came::Sent, time_ms);
        if alerts.len() < total {
            told.tenants.insert(None);
        }
        let group_labels: Labels = group.group_labels.clone().into_iter().collect();
        told.name = taken_key(&group.receiver, &group_labels);
        told.receiver.clone_from(&route.receiver);
        told.integration = integration(channels, at);
        (told.group, told.is_firing, told.alerts_total) = (group_labels, !firing.is_empty(), total);
        (total > 0).then_some(told)
    }

    /// Another alerter is about to tell, and may be under way until the message's time.
    pub(super) fn others_send(&mut self, group: &v1::NotifiedGroup, now_ms: i64) {
        let until_ms = (group.at_unix_nano / 1_000_000) as i64;
        if until_ms > now_ms {
            let name = taken_key(&group.receiver, &group.group_labels.clone().into_iter().collect());
            self.others.insert(name, until_ms.min(now_ms.saturating_add(LONGEST_WAIT_MS)));
        }
    }

    /// Another alerter told; of several times the last counts, whatever their clocks say. True where that was news.
    pub(super) fn others_told(&mut self, group: v1::NotifiedGroup) -> bool {
        let group_labels: Labels = group.group_labels.into_iter().collect();
        let name = taken_key(&group.receiver, &group_labels);
        self.others.remove(&name);
        let at_ms = (group.at_unix_nano / 1_000_000) as i64;
        let (firing, resolved) = (group.firing_fingerprints, group.resolved_fingerprints);
        let (firing, resolved) = (firing.into_iter().collect(), resolved.into_iter().collect());
        let taken = Taken { at_ms, firing, resolved, group_labels };
        if self.taken.get(&name) == Some(&taken) {
            return false;
        }
        self.taken.insert(name, taken);
        true
    }

    /// Alerts that somebody was told fire, or is being told so.
    fn told(&self) -> BTreeSet<u64> {
        let telling = self.telling.values().flatten();
        self.taken.values().flat_map(|taken| &taken.firing).chain(telling).copied().collect()
    }

    /// What receivers are owed, for the snapshot.
    pub(super) fn owed(&self) -> Vec<v1::OwedAlert> {
        self.owed.messages(&self.told())
    }

    /// All groups, in the order of their labels, and when their alerts were last heard of, in unix milliseconds.
    pub(super) fn all(&self) -> (Vec<AlertGroup>, i64) {
        let group = |(key, group): (&GroupKey, &Group)| {
            let route = self.routes.get(key.0)?;
            let alerts = group.alerts.values().cloned().collect();
            Some(AlertGroup { receiver: route.receiver.clone(), labels: key.1.clone(), alerts })
        };
        let mut groups: Vec<_> = self.by_key.iter().filter_map(group).collect();
        groups.sort_by(|one, other| (&one.labels, &one.receiver).cmp(&(&other.labels, &other.receiver)));
        (groups, self.updated_ms)
    }

    /// Names of the receivers, in order.
    pub(super) fn receivers(&self) -> Vec<String> {
        self.channels.keys().cloned().collect()
    }

    /// The configuration without its secrets, as YAML.
    pub(super) fn shown(&self) -> String {
        self.shown.clone()
    }

    /// The fingerprint of a firing alert that inhibits one with these labels.
    pub(super) fn inhibited_by(&self, labels: &Labels) -> Option<u64> {
        self.inhibitor.inhibited_by(labels)
    }

    /// When something is next due; `None` where nothing is known.
    pub(super) fn next_ms(&self) -> Option<i64> {
        let retries = |group: &Group| group.targets.iter().filter(|t| !t.in_flight).filter_map(|t| t.retry_ms).min();
        self.by_key.values().map(|group| retries(group).map_or(group.next_ms, |retry| retry.min(group.next_ms))).min()
    }

    /// What was taken, for the snapshot. `receiver` is the receiver's name, the kind and number of its channel, and the route.
    /// What concerns groups that are over, and that would be told of anew anyway, is left out.
    pub(super) fn notified(&mut self, now_ms: i64) -> Vec<v1::NotifiedGroup> {
        let longest = self.routes.iter().map(|route| route.repeat_interval_ms).max().unwrap_or(0);
        let known = self.owed.fingerprints();
        self.taken.retain(|_, taken| {
            now_ms.saturating_sub(taken.at_ms) <= longest.saturating_mul(2) || !known.is_disjoint(&taken.firing)
        });
        self.taken.iter().map(|(name, taken)| taken.message(name)).collect()
    }
}

/// The receiver's name, the kind of the channel and its number among those of that kind, and the route: what a snapshot
/// knows it by.
fn target_name(route: &FlatRoute, channels: &[Channel], target: usize) -> String {
    let (kind, number) = numbered(channels, target);
    format!("{}/{kind}/{number}@{}", route.receiver, route.key)
}

/// The kind of a channel, and its number among those of that kind.
fn numbered(channels: &[Channel], target: usize) -> (&'static str, usize) {
    let kind = channels.get(target).map_or("", Channel::kind);
    (kind, channels.iter().take(target).filter(|channel| channel.kind() == kind).count())
}

/// `webhook`, and `webhook[1]` for the second of a receiver.
fn integration(channels: &[Channel], target: usize) -> String {
    match numbered(channels, target) {
        (kind, 0) => kind.to_owned(),
        (kind, number) => format!("{kind}[{number}]"),
    }
}

fn taken_key(target: &str, labels: &Labels) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{target}\u{0}{}", labels.join(","))
}

fn fingerprints<'a>(alerts: impl Iterator<Item = &'a Alert>) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut firing, mut resolved) = (BTreeSet::new(), BTreeSet::new());
    for alert in alerts {
        let set = if alert.ends_at_ms.is_none() { &mut firing } else { &mut resolved };
        set.insert(fingerprint(&alert.labels));
    }
    (firing, resolved)
}

/// Alertmanager's rule of what is worth telling (`DedupStage.needsUpdate`).
fn is_news(
    taken: Option<&Taken>,
    firing: &BTreeSet<u64>,
    resolved: &BTreeSet<u64>,
    send_resolved: bool,
    now_ms: i64,
    repeat_ms: i64,
) -> bool {
    let Some(taken) = taken else { return !firing.is_empty() };
    if !firing.is_subset(&taken.firing) {
        return true;
    }
    if firing.is_empty() {
        return !taken.firing.is_empty();
    }
    if send_resolved && !resolved.is_subset(&taken.resolved) {
        return true;
    }
    now_ms.saturating_sub(taken.at_ms) >= repeat_ms
}
