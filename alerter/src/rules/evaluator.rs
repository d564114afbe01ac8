//! All rules, evaluated tick by tick of event time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_proto::v1;

use super::alert::{Alert, AlertLabels, State};
use super::asking::Asked;
use super::file::{Group, Rule, RuleKind};
use super::load::RuleSet;
use super::orphans::{Orphans, stronger};
use super::overlay::{Overlay, Recorded};
use super::periods::{Period, Periods};
use super::status::{GroupStatus, Health, RuleStatus};
use super::template;
use super::transition::Transition;
use crate::promql::{self, Number, STALE, Value};
use crate::series::read::{Labels, MatchOp, Read, Recording};

/// Alerts or series that one rule may make.
const MAX_PER_RULE: usize = 10_000;

/// Recorded series that are seen through each other, one after the other; of longer chains, the rest is not recorded
/// again after a restart.
const MAX_CHAIN: usize = 16;

/// How rules are evaluated.
#[derive(Debug, Clone)]
pub struct EvaluatorOptions {
    /// Milliseconds between two evaluations of a group that does not say.
    pub interval_ms: i64,
    /// How many milliseconds of event time are evaluated tick by tick after a pause; what lies before is passed over.
    pub catch_up_ms: i64,
    /// For how many milliseconds series are kept; what is older is not recorded again after a restart.
    pub history_ms: i64,
    /// What was recorded up to here has been written to all who keep it for long; `None` where there are none. What was
    /// recorded behind it is recorded again after a restart, at most `catch_up_ms` back.
    pub sent_ms: Option<i64>,
    /// Where this alerter can be reached; `$externalURL` of templates.
    pub external_url: String,
    /// `$externalLabels` of templates.
    pub external_labels: BTreeMap<String, String>,
}

impl Default for EvaluatorOptions {
    fn default() -> Self {
        Self {
            interval_ms: 1000,
            catch_up_ms: 15 * 60_000,
            history_ms: 2 * 3_600_000,
            sent_ms: None,
            external_url: String::new(),
            external_labels: BTreeMap::new(),
        }
    }
}

/// What one tick gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// The tick, in unix milliseconds of event time.
    pub time_ms: i64,
    /// To be written to the store before the next tick, `ALERTS` among them.
    pub recorded: Vec<Recorded>,
    /// Rules evaluated.
    pub rules: usize,
    /// Rules that failed.
    pub failed: usize,
    /// Whether an alert changed its state.
    pub changed: bool,
    /// The alerts that did.
    pub transitions: Vec<Transition>,
}

#[derive(Debug, Default)]
struct RuleState {
    identity: String,
    alerts: BTreeMap<AlertLabels, Alert>,
    /// What it recorded at the last tick.
    recorded: BTreeSet<Labels>,
    health: Health,
}

#[derive(Debug)]
struct GroupState {
    group: Group,
    identity: Arc<str>,
    interval_ms: i64,
    evaluated_ms: Option<i64>,
    rules: Vec<RuleState>,
}

/// The rules and the state of their alerts.
///
/// A group is evaluated at the multiples of its interval, and each time sees all that was recorded before. Where a rule
/// fails, its alerts stay as they were.
#[derive(Debug)]
pub struct Evaluator {
    options: EvaluatorOptions,
    groups: Vec<GroupState>,
    orphans: Orphans,
    periods: Periods,
    evaluated_ms: Option<i64>,
    /// Up to here, what was recorded before a restart is recorded again, and alerts stay as they are.
    again_until_ms: i64,
    /// How far back rules may see what is recorded again.
    again_back_ms: i64,
}

/// Rules before a change by their identity, each with its group's.
type Kept = BTreeMap<String, Vec<(String, RuleState)>>;

fn take(kept: &mut Kept, rule: &str, is_of: impl Fn(&str) -> bool) -> Option<RuleState> {
    let rules = kept.get_mut(rule)?;
    let at = rules.iter().position(|(group, _)| is_of(group))?;
    Some(rules.remove(at).1)
}

impl Evaluator {
    /// No rule has been evaluated; the first step is at the event time that it is given.
    pub fn new(rules: RuleSet, options: EvaluatorOptions) -> Self {
        let mut made = Self {
            options,
            groups: Vec::new(),
            orphans: Orphans::default(),
            periods: Periods::default(),
            evaluated_ms: None,
            again_until_ms: i64::MIN,
            again_back_ms: 0,
        };
        made.replace(rules);
        made
    }

    /// Takes other rules. A rule of the same name and labels keeps its alerts, one of the same file and group first.
    /// Firing alerts of rules that are no longer there are resolved, unless another makes them within a minute.
    pub fn replace(&mut self, rules: RuleSet) {
        let mut kept = Kept::default();
        for group in std::mem::take(&mut self.groups) {
            for rule in group.rules {
                kept.entry(rule.identity.clone()).or_default().push((group.identity.to_string(), rule));
            }
        }
        let mut in_place = |group: &Group| -> Vec<Option<RuleState>> {
            let identity = group.identity();
            group.rules.iter().map(|rule| take(&mut kept, &rule.identity(), |group| group == identity)).collect()
        };
        let in_place: Vec<_> = rules.groups.iter().map(&mut in_place).collect();
        for (group, in_place) in rules.groups.into_iter().zip(in_place) {
            let rules = group.rules.iter().zip(in_place).map(|(rule, old)| {
                let identity = rule.identity();
                let old = old.or_else(|| take(&mut kept, &identity, |_| true));
                old.unwrap_or_else(|| RuleState { identity, ..RuleState::default() })
            });
            let rules = rules.collect();
            let interval_ms = group.interval_ms.unwrap_or(self.options.interval_ms).max(1);
            let identity = group.identity().into();
            self.groups.push(GroupState { rules, identity, interval_ms, evaluated_ms: self.evaluated_ms, group });
        }
        let time = self.evaluated_ms.unwrap_or(0);
        for (group, state) in kept.into_values().flatten() {
            for (_, alert) in state.alerts {
                self.orphans.add(&group, &state.identity, alert, time);
            }
        }
        if self.evaluated_ms == Some(self.again_until_ms) {
            // Nothing went beyond the restart yet, so these rules too need what was recorded before it.
            self.wind_back();
        }
    }

    /// Evaluates the next tick that is due at the event time `time_ms`; `None` where none is. To be called again until
    /// then, with what was recorded written in between. An event time that falls evaluates nothing.
    pub fn step(&mut self, read: &dyn Read, time_ms: i64) -> Option<Step> {
        if self.groups.is_empty() {
            // Event time goes on, so that rules that come later do not begin in the past.
            self.evaluated_ms = self.evaluated_ms.max(Some(time_ms));
            let mut step = Step { time_ms, ..Step::default() };
            step.changed = self.orphans.step(time_ms, &mut step.transitions);
            if step.changed {
                self.keep_periods(time_ms);
            }
            return (!step.transitions.is_empty()).then_some(step);
        }
        let oldest = time_ms.saturating_sub(self.options.catch_up_ms);
        // The oldest tick whose alerts are evaluated sees as far back as it would without a restart.
        let oldest_again = oldest.saturating_sub(self.again_back_ms);
        let next = |group: &GroupState| {
            let interval = group.interval_ms;
            let after = |time: i64| time.div_euclid(interval).saturating_add(1).saturating_mul(interval);
            match group.evaluated_ms {
                Some(last) => {
                    let again = Some(after(last.max(oldest_again))).filter(|tick| *tick <= self.again_until_ms);
                    again.unwrap_or_else(|| after(last.max(oldest)))
                }
                None => time_ms.div_euclid(interval) * interval,
            }
        };
        let tick = self.groups.iter().map(next).min().filter(|tick| *tick <= time_ms)?;
        let mut step = Step { time_ms: tick, ..Step::default() };
        let mut overlay = Overlay::new(read);
        for group in &mut self.groups {
            if next(group) == tick {
                let again = tick <= self.again_until_ms;
                group.evaluate(&mut overlay, &self.options, again, &mut self.orphans, &mut step);
                group.evaluated_ms = Some(tick);
            }
        }
        step.changed |= self.orphans.step(tick, &mut step.transitions);
        if step.changed {
            self.keep_periods(tick);
        }
        self.evaluated_ms = self.evaluated_ms.max(Some(tick));
        Some(step)
    }

    /// Keeps the periods of alerts that were resolved at this tick.
    fn keep_periods(&mut self, tick: i64) {
        let of_rules = self.groups.iter().flat_map(|group| &group.rules).flat_map(|rule| rule.alerts.values());
        for alert in of_rules.chain(self.orphans.alerts()).filter(|alert| alert.resolved_at_ms == Some(tick)) {
            let fired_at_ms = alert.fired_at_ms.unwrap_or(alert.active_at_ms);
            self.periods.add(Period { labels: alert.labels.clone(), fired_at_ms, resolved_at_ms: tick });
        }
    }

    /// Periods in which alerts fired that ended lately, the newest last.
    pub fn periods(&self) -> Vec<Period> {
        self.periods.iter().cloned().collect()
    }

    /// Evaluates every group at a time, whatever its interval: for unit tests, which have no ticks.
    pub(super) fn evaluate_all(&mut self, read: &dyn Read, time_ms: i64) -> Step {
        let mut step = Step { time_ms, ..Step::default() };
        let mut overlay = Overlay::new(read);
        for group in &mut self.groups {
            group.evaluate(&mut overlay, &self.options, false, &mut self.orphans, &mut step);
            group.evaluated_ms = Some(time_ms);
        }
        self.evaluated_ms = Some(time_ms);
        step
    }

    /// Names of the rules whose last evaluation failed, and why.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        let rules = self.groups.iter().flat_map(|group| group.group.rules.iter().zip(&group.rules));
        rules.filter_map(|(rule, state)| match &state.health {
            Health::Failed(error) => Some((rule.name(), error.as_str())),
            Health::Ok | Health::Unknown => None,
        })
    }

    /// Firing alerts of this name.
    pub(super) fn firing(&self, name: &str) -> impl Iterator<Item = &Alert> {
        let rules = self.groups.iter().flat_map(|group| group.group.rules.iter().zip(&group.rules));
        let named = rules.filter(move |(rule, _)| matches!(rule.kind, RuleKind::Alert { .. }) && rule.name() == name);
        named.flat_map(|(_, state)| state.alerts.values()).filter(|alert| alert.state == State::Firing)
    }

    /// Alerts of rules that are pending or firing, with the identities of group and rule.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&Arc<str>, &str, &Alert)> {
        self.groups.iter().flat_map(|group| {
            group.rules.iter().flat_map(move |rule| {
                let active = rule.alerts.values().filter(|alert| alert.state != State::Resolved);
                active.map(move |alert| (&group.identity, rule.identity.as_str(), alert))
            })
        })
    }

    /// Rules whose last evaluation failed: identities of group and rule, and why.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&Arc<str>, &str, &str)> {
        self.groups.iter().flat_map(|group| {
            group.rules.iter().filter_map(|rule| match &rule.health {
                Health::Failed(error) => Some((&group.identity, rule.identity.as_str(), error.as_str())),
                Health::Ok | Health::Unknown => None,
            })
        })
    }

    /// How many milliseconds before a time evaluation must begin, so that the states of alerts at that time are known:
    /// by the longest `for` and `keep_firing_for`, and as far as rules see what rules recorded.
    pub(crate) fn warm_up_ms(&self) -> i64 {
        let rules = self.groups.iter().flat_map(|group| group.group.rules.iter().map(move |rule| (group, rule)));
        let holds = rules.map(|(group, rule)| match &rule.kind {
            RuleKind::Alert { for_ms, keep_firing_ms, .. } => {
                for_ms.saturating_add(*keep_firing_ms).saturating_add(group.interval_ms.saturating_mul(2))
            }
            RuleKind::Record(_) => group.interval_ms,
        });
        holds.max().unwrap_or(0).saturating_add(self.recorded_back_ms())
    }

    /// Event time up to which the rules were evaluated.
    pub fn evaluated_ms(&self) -> Option<i64> {
        self.evaluated_ms
    }

    /// All groups as they are.
    pub fn status(&self) -> Vec<GroupStatus> {
        let group = |state: &GroupState| GroupStatus {
            name: state.group.name.clone(),
            file: state.group.file.clone(),
            interval_ms: state.interval_ms,
            limit: state.group.limit,
            evaluated_ms: state.evaluated_ms,
            rules: state
                .group
                .rules
                .iter()
                .zip(&state.rules)
                .map(|(rule, state)| RuleStatus {
                    rule: rule.clone(),
                    health: state.health.clone(),
                    alerts: state.alerts.values().cloned().collect(),
                })
                .collect(),
        };
        self.groups.iter().map(group).collect()
    }

    /// How many alerts of rules are in this state.
    pub fn count(&self, state: State) -> usize {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        rules.flat_map(|rule| rule.alerts.values()).filter(|alert| alert.state == state).count()
    }

    /// Firing and lately resolved alerts with their expression, as the notifier takes them.
    pub fn notifiable(&self) -> Vec<(Alert, String)> {
        let of_rules = self.groups.iter().flat_map(|group| group.group.rules.iter().zip(&group.rules));
        let of_rules = of_rules.flat_map(|(rule, state)| state.alerts.values().map(|alert| (alert, rule.query.text())));
        // Two rules may make alerts of the same labels: to those who are told they are one.
        let mut told: BTreeMap<&AlertLabels, (&Alert, &str)> = BTreeMap::new();
        for (alert, text) in of_rules.chain(self.orphans.alerts().map(|alert| (alert, ""))) {
            if alert.state != State::Pending && told.get(&alert.labels).is_none_or(|(known, _)| stronger(alert, known))
            {
                told.insert(&alert.labels, (alert, text));
            }
        }
        told.into_values().map(|(alert, text)| (alert.clone(), text.to_owned())).collect()
    }

    /// Names of the alert rules. A name is left out where the last evaluation of a rule of that name failed: the state
    /// of its alerts is of an evaluation before.
    pub fn sound_alert_rules(&self) -> BTreeSet<String> {
        let (mut names, mut failed) = (BTreeSet::new(), BTreeSet::new());
        for (rule, state) in self.groups.iter().flat_map(|group| group.group.rules.iter().zip(&group.rules)) {
            if matches!(rule.kind, RuleKind::Alert { .. }) {
                names.insert(rule.name().to_owned());
                if matches!(state.health, Health::Failed(_)) {
                    failed.insert(rule.name());
                }
            }
        }
        names.retain(|name| !failed.contains(name.as_str()));
        names
    }

    /// What a restart needs; the notifier's part is left empty.
    pub fn snapshot(&self) -> v1::AlertSnapshot {
        let nanos = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
        let of_rules = self.groups.iter().flat_map(|group| {
            group
                .rules
                .iter()
                .flat_map(|rule| rule.alerts.values().map(|a| a.to_message(&group.identity, &rule.identity)))
        });
        v1::AlertSnapshot {
            evaluated_until_unix_nano: self.evaluated_ms.map_or(0, nanos),
            alerts: of_rules.chain(self.orphans.messages()).collect(),
            notified: Vec::new(),
            owed: Vec::new(),
            periods: self.periods.messages().collect(),
        }
    }

    /// Takes over the alerts of a snapshot; evaluation goes on behind it. Of alerts whose rule is no longer there it
    /// holds what [`Evaluator::replace`] says. Series of recording rules are not in the snapshot: those ticks that other
    /// rules may still see are evaluated once more, without the alerts.
    pub fn restore(&mut self, snapshot: &v1::AlertSnapshot) {
        if snapshot.evaluated_until_unix_nano > 0 {
            let until = (snapshot.evaluated_until_unix_nano / 1_000_000) as i64;
            self.evaluated_ms = Some(until);
            self.again_until_ms = until;
            self.wind_back();
        }
        self.periods.restore(&snapshot.periods);
        for message in &snapshot.alerts {
            let Some(alert) = Alert::from_message(message) else { continue };
            // Of the same group first: rules of the same name and labels may be in several.
            let rule = self
                .groups
                .iter_mut()
                .flat_map(|group| {
                    let is_here = *group.identity == *message.group;
                    group.rules.iter_mut().map(move |rule| (!is_here, rule))
                })
                .filter(|(_, rule)| rule.identity == message.rule && !rule.alerts.contains_key(&alert.labels))
                .min_by_key(|(is_elsewhere, _)| *is_elsewhere);
            match rule {
                Some((_, rule)) => drop(rule.alerts.insert(alert.labels.clone(), alert)),
                None => self.orphans.add(&message.group, &message.rule, alert, self.evaluated_ms.unwrap_or(0)),
            }
        }
    }
}

impl Evaluator {
    /// Lets every group begin again where the rules may still see what was recorded before the restart, or where it was
    /// not written to those who keep it.
    fn wind_back(&mut self) {
        let until = self.again_until_ms;
        let unsent = self.options.sent_ms.map_or(0, |sent| until.saturating_sub(sent));
        let back = self.recorded_back_ms().max(unsent.min(self.options.catch_up_ms));
        self.again_back_ms = back;
        for group in &mut self.groups {
            let from = until.saturating_sub(back).div_euclid(group.interval_ms).saturating_mul(group.interval_ms);
            group.evaluated_ms = Some(if back > 0 { from - 1 } else { until });
        }
    }

    /// How many milliseconds back rules may see what rules recorded, at most as far as series are kept; 0 where none
    /// does. What is seen through another recorded series lies back by both.
    fn recorded_back_ms(&self) -> i64 {
        fn own(rule: &Rule) -> &str {
            if matches!(rule.kind, RuleKind::Record(_)) { rule.name() } else { "ALERTS" }
        }
        let rules = || self.groups.iter().flat_map(|of| of.group.rules.iter().map(|rule| (&of.group, rule)));
        // The latest sample is of the last tick; a rule may see another's one tick late.
        let ticks = self.groups.iter().map(|group| group.interval_ms).max().unwrap_or(0).saturating_mul(2);
        // By name, how far back it is seen. Alerts are not evaluated again, so nothing is seen through them.
        let mut seen: BTreeMap<&str, i64> = rules().map(|(_, rule)| (own(rule), 0)).collect();
        for _ in 0..MAX_CHAIN {
            let before = seen.clone();
            for (group, rule) in rules() {
                let name = own(rule);
                let through = if name == "ALERTS" { 0 } else { before.get(name).copied().unwrap_or(0) };
                let through = through.saturating_add(group.query_offset_ms.max(0)).saturating_add(ticks);
                for (matchers, back) in rule.query.selectors() {
                    let back = back.saturating_add(through).min(self.options.history_ms);
                    let wanted = matchers.iter().find(|m| m.name == "__name__" && m.op == MatchOp::Equal);
                    for (_, far) in seen.iter_mut().filter(|(name, _)| wanted.is_none_or(|m| m.value == **name)) {
                        *far = back.max(*far);
                    }
                }
            }
            if seen == before {
                break;
            }
        }
        seen.into_values().max().unwrap_or(0)
    }
}

impl GroupState {
    /// `again`: what was recorded before a restart is recorded once more.
    fn evaluate(
        &mut self,
        overlay: &mut Overlay<'_>,
        options: &EvaluatorOptions,
        again: bool,
        orphans: &mut Orphans,
        step: &mut Step,
    ) {
        let limit = if self.group.limit == 0 { MAX_PER_RULE } else { self.group.limit.min(MAX_PER_RULE) };
        for (rule, state) in self.group.rules.iter().zip(&mut self.rules) {
            if overlay.is_over() {
                return;
            }
            let made = if again && matches!(rule.kind, RuleKind::Alert { .. }) {
                Ok(state.active(step.time_ms))
            } else {
                step.rules += 1;
                let time_ms = step.time_ms.saturating_sub(self.group.query_offset_ms);
                let found = rule.query.at(overlay, time_ms);
                found.and_then(|value| match &rule.kind {
                    RuleKind::Alert { .. } => {
                        let asked = Asked { read: overlay, time_ms };
                        let context = AlertContext { options, limit, group: &self.identity, asked };
                        state.alert(rule, value, &context, orphans, step)
                    }
                    RuleKind::Record(name) => record(rule, name, value, limit),
                })
            };
            match made {
                Ok(made) => {
                    state.health = Health::Ok;
                    let time_ms = step.time_ms;
                    let ended = state.recorded.iter().filter(|labels| !made.contains_key(*labels));
                    let end = || Recording::Number(STALE);
                    let ended = ended.map(|labels| Recorded { labels: labels.clone(), time_ms, value: end() });
                    let mut recorded: Vec<Recorded> = ended.collect();
                    recorded.extend(made.iter().map(|(labels, value)| Recorded {
                        labels: labels.clone(),
                        time_ms,
                        value: value.clone(),
                    }));
                    state.recorded = made.into_keys().collect();
                    overlay.add(&recorded);
                    step.recorded.append(&mut recorded);
                }
                Err(error) => {
                    step.failed += 1;
                    state.health = Health::Failed(error.to_string());
                }
            }
        }
    }
}

type Made = BTreeMap<Labels, Recording>;

fn samples(value: Value, limit: usize) -> Result<Vec<(Labels, Number)>, promql::Error> {
    let samples = match value {
        Value::Scalar(value) => vec![(Labels::default(), Number::Float(value))],
        Value::Vector(samples) => samples.into_iter().map(|sample| (sample.labels, sample.value)).collect(),
        Value::Matrix(_) | Value::Text(_) => {
            return Err(promql::Error::Type("a rule needs an instant vector or a scalar".to_owned()));
        }
    };
    if samples.len() > limit {
        return Err(promql::Error::Limit { what: "alerts or series of one rule", limit: limit as u64 });
    }
    Ok(samples)
}

fn twice(labels: &dyn std::fmt::Debug) -> promql::Error {
    promql::Error::Data(format!("two series have the labels {labels:?} after the rule's were put on them"))
}

fn record(rule: &Rule, name: &str, value: Value, limit: usize) -> Result<Made, promql::Error> {
    let mut made = Made::new();
    for (labels, value) in samples(value, limit)? {
        let mut labels = labels.to_map();
        for (name, value) in &rule.labels {
            labels.insert(name.clone(), value.source().to_owned());
        }
        labels.insert("__name__".to_owned(), name.to_owned());
        labels.retain(|_, value| !value.is_empty());
        let labels = Labels::from(labels);
        if made.insert(labels.clone(), value.into()).is_some() {
            return Err(twice(&labels));
        }
    }
    Ok(made)
}

/// What all alerts of a rule have in common at an evaluation.
struct AlertContext<'a> {
    options: &'a EvaluatorOptions,
    /// Alerts that the rule may make.
    limit: usize,
    /// Identity of its group.
    group: &'a Arc<str>,
    /// What its texts may ask.
    asked: Asked<'a>,
}

impl RuleState {
    fn alert(
        &mut self,
        rule: &Rule,
        value: Value,
        AlertContext { options, limit, group, asked }: &AlertContext<'_>,
        orphans: &mut Orphans,
        step: &mut Step,
    ) -> Result<Made, promql::Error> {
        let RuleKind::Alert { name, for_ms, keep_firing_ms, annotations } = &rule.kind else {
            return Ok(Made::new());
        };
        let time = step.time_ms;
        // Nothing is changed before all series were seen to be right.
        let mut held = BTreeMap::new();
        for (series, value) in samples(value, *limit)? {
            let Number::Float(value) = value else {
                return Err(promql::Error::Data("an alert is of numbers, not of histograms".to_owned()));
            };
            let mut labels = series.to_map();
            labels.remove("__name__");
            let original = labels.clone();
            let context = template::Context {
                labels: &original,
                value,
                external_url: &options.external_url,
                external_labels: &options.external_labels,
                asked: *asked,
            };
            for (name, text) in &rule.labels {
                labels.insert(name.clone(), text.render(&context));
            }
            labels.insert("alertname".to_owned(), name.clone());
            labels.retain(|_, value| !value.is_empty());
            let labels = Arc::new(labels);
            let rendered: BTreeMap<String, String> =
                annotations.iter().map(|(name, text)| (name.clone(), text.render(&context))).collect();
            if held.insert(labels.clone(), (value, Arc::new(rendered))).is_some() {
                return Err(twice(&labels));
            }
        }
        for (labels, alert) in &mut self.alerts {
            if !held.contains_key(labels) && alert.ceases(time, *keep_firing_ms) {
                step.changed = true;
                let is_inactive = alert.state == State::Pending;
                step.transitions.push(Transition::of(alert, (group, &self.identity), is_inactive, time));
            }
        }
        self.alerts.retain(|labels, alert| {
            held.contains_key(labels) || (alert.state != State::Pending && !alert.is_over(time))
        });
        for (labels, (value, annotations)) in held {
            if let Some(orphan) = orphans.adopt(&labels)
                && self.alerts.get(&labels).is_none_or(|own| stronger(&orphan, own))
            {
                self.alerts.insert(labels.clone(), orphan);
            }
            let before = self.alerts.get(&labels).map(|alert| alert.state).filter(|state| *state != State::Resolved);
            let alert = self.alerts.entry(labels.clone()).or_insert_with(|| Alert::begin(labels, time));
            alert.holds(time, *for_ms);
            alert.value = value;
            alert.annotations = annotations;
            if before != Some(alert.state) {
                step.changed = true;
                step.transitions.push(Transition::of(alert, (group, &self.identity), false, time));
            }
        }
        Ok(self.active(time))
    }

    /// `ALERTS`, and `ALERTS_FOR_STATE` with the unix seconds since when it is so, for those that are pending or firing
    /// at `time`, or were so then.
    fn active(&self, time: i64) -> Made {
        let active = |alert: &&Alert| alert.active_at_ms <= time && alert.resolved_at_ms.is_none_or(|at| time < at);
        let series = self.alerts.values().filter(active).flat_map(|alert| {
            let fires = alert.fired_at_ms.is_some_and(|at| at <= time);
            let state = if fires { State::Firing } else { State::Pending };
            let mut since = (*alert.labels).clone();
            since.insert("__name__".to_owned(), "ALERTS_FOR_STATE".to_owned());
            let mut labels = since.clone();
            labels.insert("__name__".to_owned(), "ALERTS".to_owned());
            labels.insert("alertstate".to_owned(), state.name().to_owned());
            let since_seconds = (alert.active_at_ms as f64 / 1000.0).floor();
            [(labels.into(), Recording::Number(1.0)), (since.into(), Recording::Number(since_seconds))]
        });
        series.collect()
    }
}
