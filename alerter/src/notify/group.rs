//! Which alerts are told together, to whom and when: pure, with the time as an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_proto::v1;

use super::book::Book;
use super::channel::Channel;
use super::matcher::LabelMatcher;
use super::options::{Options, Route};
use super::owed::Owed;

/// First and longest pause after a failed delivery.
const FIRST_RETRY_MS: i64 = 500;
const LONGEST_RETRY_MS: i64 = 60_000;
/// A receiver that asks for a longer pause is asked again after this.
const LONGEST_ASKED_MS: i64 = 3_600_000;

/// One alert that fires or was resolved lately. Times are event times in unix milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its identity.
    pub labels: Arc<BTreeMap<String, String>>,
    /// What it says.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// When it began to fire.
    pub starts_at_ms: i64,
    /// When it was resolved; `None` while it fires.
    pub ends_at_ms: Option<i64>,
    /// Where its expression can be seen.
    pub generator_url: String,
}

/// The identity of an alert as a number: Prometheus' fingerprint of its labels.
pub fn fingerprint(labels: &BTreeMap<String, String>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for (name, value) in labels {
        for part in [name, value] {
            part.bytes().for_each(&mut add);
            add(0xff);
        }
    }
    hash
}

/// A route with all that it inherits.
#[derive(Debug)]
struct FlatRoute {
    /// `{}` for the root, then `/{matchers}` for each level: the first part of Alertmanager's group key.
    key: String,
    receiver: String,
    group_by: Vec<String>,
    group_wait_ms: i64,
    group_interval_ms: i64,
    repeat_interval_ms: i64,
    matchers: Vec<LabelMatcher>,
    continues: bool,
    children: Vec<usize>,
}

type Labels = BTreeMap<String, String>;

/// Index of a route, and the group's labels.
type GroupKey = (usize, Labels);

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
    /// Alerts that it is being told fire.
    telling: BTreeSet<u64>,
    failures: u32,
    retry_ms: Option<i64>,
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
    pub(super) receiver: String,
    pub(super) channel: Channel,
    /// How long until it is told of again when nothing changes.
    pub(super) repeat_ms: i64,
    pub(super) group_key: String,
    pub(super) group_labels: Labels,
    /// In the order of their labels.
    pub(super) alerts: Vec<Alert>,
}

#[derive(Debug, Clone)]
pub(super) struct DeliveryId {
    group: GroupKey,
    /// Number of the receiver's channel.
    pub(super) target: usize,
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
}

/// All groups.
#[derive(Debug)]
pub(super) struct Groups {
    routes: Vec<FlatRoute>,
    channels: BTreeMap<String, Vec<Channel>>,
    by_key: BTreeMap<GroupKey, Group>,
    taken: BTreeMap<String, Taken>,
    owed: Owed,
    silences: Arc<Book>,
}

/// In which groups alerts are told, without telling anybody.
#[derive(Debug)]
pub(crate) struct Grouping(Groups);

impl Grouping {
    pub(crate) fn new(options: &Options) -> Self {
        Self(Groups::new(options, Vec::new(), Vec::new()))
    }

    /// The groups of an alert: a route by its number with the group's labels, and the milliseconds between two
    /// notifications.
    pub(crate) fn of(&self, labels: &Labels) -> Vec<(GroupKey, i64)> {
        let groups = self.0.groups_of(labels).into_iter();
        groups.map(|key| (key.clone(), self.0.routes[key.0].group_interval_ms)).collect()
    }
}

fn millis(span: weir_service::config::Span) -> i64 {
    i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

impl Groups {
    pub(super) fn new(options: &Options, notified: Vec<v1::NotifiedGroup>, owed: Vec<v1::OwedAlert>) -> Self {
        let mut made = Self {
            routes: Vec::new(),
            channels: options.receivers.iter().map(|r| (r.name.clone(), r.channels.clone())).collect(),
            by_key: BTreeMap::new(),
            taken: BTreeMap::new(),
            owed: Owed::restore(owed),
            silences: Arc::default(),
        };
        made.flatten(&options.route, None);
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

    fn flatten(&mut self, route: &Route, parent: Option<usize>) -> usize {
        let inherited = parent.map(|at| &self.routes[at]);
        let or = |own: Option<weir_service::config::Span>, of: fn(&FlatRoute) -> i64, root: i64| {
            own.map_or_else(|| inherited.map_or(root, of), millis)
        };
        let matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
        let flat = FlatRoute {
            key: inherited.map_or_else(|| "{}".to_owned(), |p| format!("{}/{{{}}}", p.key, matchers.join(","))),
            receiver: route.receiver.clone().or_else(|| inherited.map(|p| p.receiver.clone())).unwrap_or_default(),
            group_by: route.group_by.clone().or_else(|| inherited.map(|p| p.group_by.clone())).unwrap_or_default(),
            group_wait_ms: or(route.group_wait, |p| p.group_wait_ms, 0),
            group_interval_ms: or(route.group_interval, |p| p.group_interval_ms, 60_000).max(1),
            repeat_interval_ms: or(route.repeat_interval, |p| p.repeat_interval_ms, 4 * 3_600_000),
            matchers: route.matchers.clone(),
            continues: route.r#continue,
            children: Vec::new(),
        };
        self.routes.push(flat);
        let at = self.routes.len() - 1;
        self.routes[at].children = route.routes.iter().map(|child| self.flatten(child, Some(at))).collect();
        at
    }

    /// The routes that take an alert.
    fn matching(&self, at: usize, labels: &Labels, found: &mut Vec<usize>) -> bool {
        let Some(route) = self.routes.get(at) else { return false };
        if !route.matchers.iter().all(|matcher| matcher.matches(labels)) {
            return false;
        }
        let before = found.len();
        for child in &route.children {
            if self.matching(*child, labels, found) && !self.routes[*child].continues {
                break;
            }
        }
        if found.len() == before {
            found.push(at);
        }
        true
    }

    /// The groups that an alert is told in.
    fn groups_of(&self, labels: &Labels) -> Vec<GroupKey> {
        let mut routes = Vec::new();
        self.matching(0, labels, &mut routes);
        let group = |at: usize| {
            let by = &self.routes[at].group_by;
            let all = by.iter().any(|name| name == "...");
            let grouped = labels.iter().filter(|(name, _)| all || by.contains(name));
            (at, grouped.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        routes.into_iter().map(group).collect()
    }

    /// Takes all alerts that fire or were resolved lately. What is not among them has ended, and is known until everyone
    /// who was told that it fires was told so.
    pub(super) fn update(&mut self, alerts: Vec<Alert>, now_ms: i64) {
        let told = self.told();
        let alerts = self.owed.update(alerts, &told, now_ms);
        let mut sorted: BTreeMap<GroupKey, BTreeMap<Arc<Labels>, Alert>> = BTreeMap::new();
        for alert in alerts {
            for key in self.groups_of(&alert.labels) {
                sorted.entry(key).or_default().insert(alert.labels.clone(), alert.clone());
            }
        }
        self.by_key
            .retain(|key, group| sorted.contains_key(key) || group.targets.iter().any(|target| target.in_flight));
        for (key, group) in &mut self.by_key {
            group.alerts = sorted.remove(key).unwrap_or_default();
        }
        for (key, alerts) in sorted {
            let route = &self.routes[key.0];
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
        for (key, group) in &mut self.by_key {
            let route = &self.routes[key.0];
            let turn = group.next_ms <= now_ms;
            if turn {
                group.next_ms = now_ms.saturating_add(route.group_interval_ms);
            }
            for (at, target) in group.targets.iter_mut().enumerate() {
                let retry = target.retry_ms.is_some_and(|retry| retry <= now_ms);
                let channels = self.channels.get(&route.receiver).map_or(&[][..], Vec::as_slice);
                let Some(channel) = channels.get(at) else { continue };
                let send_resolved = channel.send_resolved();
                // Between turns only what failed is tried again.
                if target.in_flight || !(retry || (turn && target.retry_ms.is_none())) {
                    continue;
                }
                target.retry_ms = None;
                // As in Alertmanager: who is told of an alert that is silenced then is not told that it is resolved.
                let audible: Vec<&Alert> =
                    group.alerts.values().filter(|alert| silences.of(&alert.labels, now_ms).is_empty()).collect();
                if audible.is_empty() {
                    target.failures = 0;
                    continue;
                }
                let taken = self.taken.get(&taken_key(&target_name(route, channels, at), &key.1));
                let (firing, resolved) = fingerprints(audible.iter().copied());
                if !is_news(taken, &firing, &resolved, send_resolved, now_ms, route.repeat_interval_ms) {
                    target.failures = 0;
                    continue;
                }
                let told = |alert: &&Alert| send_resolved || alert.ends_at_ms.is_none();
                let alerts: Vec<Alert> = audible.into_iter().filter(told).cloned().collect();
                if alerts.is_empty() {
                    // All were resolved, and this receiver does not want to know: only remembered.
                    let taken = Taken { at_ms: now_ms, firing, resolved, group_labels: key.1.clone() };
                    self.taken.insert(taken_key(&target_name(route, channels, at), &key.1), taken);
                    continue;
                }
                target.in_flight = true;
                target.telling = fingerprints(alerts.iter()).0;
                let quoted: Vec<String> = key.1.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                deliveries.push(Delivery {
                    id: DeliveryId { group: key.clone(), target: at },
                    receiver: route.receiver.clone(),
                    channel: channel.clone(),
                    repeat_ms: route.repeat_interval_ms,
                    group_key: format!("{}:{{{}}}", route.key, quoted.join(", ")),
                    group_labels: key.1.clone(),
                    alerts,
                });
            }
        }
        deliveries
    }

    /// Takes the answer to a delivery. True where what was told has changed.
    pub(super) fn done(&mut self, delivery: &Delivery, outcome: Outcome, now_ms: i64) -> bool {
        let DeliveryId { group: key, target } = &delivery.id;
        let Some(route) = self.routes.get(key.0) else { return false };
        let channels = self.channels.get(&route.receiver).map_or(&[][..], Vec::as_slice);
        let name = taken_key(&target_name(route, channels, *target), &key.1);
        if let Some(state) = self.by_key.get_mut(key).and_then(|group| group.targets.get_mut(*target)) {
            state.in_flight = false;
            state.telling.clear();
            if let Outcome::Failed { after_ms } = outcome {
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
        self.taken.insert(name, Taken { at_ms: now_ms, firing, resolved, group_labels: key.1.clone() });
        true
    }

    /// Alerts that somebody was told fire, or is being told so.
    fn told(&self) -> BTreeSet<u64> {
        let telling = self.by_key.values().flat_map(|group| &group.targets).flat_map(|target| &target.telling);
        self.taken.values().flat_map(|taken| &taken.firing).chain(telling).copied().collect()
    }

    /// What receivers are owed, for the snapshot.
    pub(super) fn owed(&self) -> Vec<v1::OwedAlert> {
        self.owed.messages(&self.told())
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
        self.taken
            .iter()
            .map(|(key, taken)| v1::NotifiedGroup {
                receiver: key.split_once('\u{0}').map_or(key.as_str(), |(name, _)| name).to_owned(),
                group_labels: taken.group_labels.clone().into_iter().collect(),
                at_unix_nano: u64::try_from(taken.at_ms).unwrap_or(0).saturating_mul(1_000_000),
                firing_fingerprints: taken.firing.iter().copied().collect(),
                resolved_fingerprints: taken.resolved.iter().copied().collect(),
            })
            .collect()
    }
}

/// The receiver's name, the kind of the channel and its number among those of that kind, and the route: what a snapshot
/// knows it by.
fn target_name(route: &FlatRoute, channels: &[Channel], target: usize) -> String {
    let kind = channels.get(target).map_or("", Channel::kind);
    let number = channels.iter().take(target).filter(|channel| channel.kind() == kind).count();
    format!("{}/{kind}/{number}@{}", route.receiver, route.key)
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
