//! What a replay says: each alert, and each rule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::pages::Pages;
use super::{Replay, Window};
use crate::notify::{self, fingerprint};
use crate::rules::{AlertLabels, Evaluator, GroupStatus, Rule, RuleKind, State, Transition};

/// Alerts that are kept; of more, only their numbers are.
const MAX_ALERTS: usize = 20_000;
/// Alerts that are told apart; more of them count as new each time that they fire.
const MAX_FINGERPRINTS: usize = 1_000_000;
const WEEK_MS: f64 = 7.0 * 86_400_000.0;

/// What the rules would have fired.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was asked for.
    pub window: Window,
    /// When the first record was written that the bus has since reading began, in unix milliseconds.
    pub holds_from_ms: i64,
    /// First and last event time of the window that rules were evaluated at, in unix milliseconds.
    pub evaluated_ms: (i64, i64),
    /// Records read.
    pub records: u64,
    /// What to know of the answer.
    pub notes: Vec<String>,
    /// In the order in which they began.
    pub alerts: Vec<ReplayedAlert>,
    /// The alerting rules, in the order of the files.
    pub rules: Vec<ReplayedRule>,
}

/// An alert from its beginning to its end. All times are event times in unix milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayedAlert {
    /// `alertname`, the labels of the series, and those of the rule.
    pub labels: AlertLabels,
    /// As they were at the last change of its state.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// Since when its expression held.
    pub pending_ms: i64,
    /// When it fired; `None` where it never did.
    pub fired_ms: Option<i64>,
    /// When it was resolved, or was inactive again; `None` where it goes on.
    pub ended_ms: Option<i64>,
    /// The greatest value that the expression gave.
    pub greatest: f64,
    /// How long after the event time at which it fired that was evaluated, in milliseconds: for what was late.
    pub waited_ms: Option<i64>,
    /// It was so already when evaluation began.
    pub is_older: bool,
    /// Its rule, by index into [`Report::rules`].
    pub rule: Option<usize>,
}

/// What an alerting rule did.
#[derive(Debug, Clone, Default)]
pub struct ReplayedRule {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Its file.
    pub file: PathBuf,
    /// Line of its expression.
    pub line: u64,
    /// Its expression.
    pub expr: String,
    /// How often an alert began to fire.
    pub firings: u64,
    /// Alerts, by their labels, that began to fire.
    pub alerts: u64,
    /// Notifications that receivers would have been sent of that.
    pub pages: u64,
    /// From the first event time at which the expression held to the evaluation that fired, of each firing whose
    /// beginning is known, in milliseconds: sum, greatest, and number.
    pub detection_ms: (i64, i64, u64),
    /// Evaluations that failed, and why the last one did.
    pub failures: u64,
    /// Why the last of these did.
    pub error: Option<String>,
}

/// One evaluation.
pub(super) struct Tick<'a> {
    pub(super) time_ms: i64,
    /// How long after that the alerter would have evaluated it, in milliseconds.
    pub(super) waited_ms: i64,
    pub(super) transitions: &'a [Transition],
    /// Samples of rules that the store did not take.
    pub(super) refused: u64,
}

/// A rule, by the identities of its group and of itself.
type RuleKey = (Arc<str>, String);

pub(super) struct Collected {
    window: Window,
    holds_from_ms: i64,
    first_tick_ms: Option<i64>,
    rules: Vec<ReplayedRule>,
    by_key: BTreeMap<RuleKey, usize>,
    /// Fingerprints of those that fired, by rule.
    fired: BTreeSet<(usize, u64)>,
    going_on: BTreeMap<(RuleKey, AlertLabels), ReplayedAlert>,
    ended: Vec<ReplayedAlert>,
    dropped: u64,
    refused: u64,
    pages: Pages,
}

impl Collected {
    pub(super) fn new(replay: &Replay, evaluator: &Evaluator, notify: notify::Options) -> Self {
        let (mut rules, mut by_key) = (Vec::new(), BTreeMap::new());
        for group in evaluator.status() {
            for rule in alerting(&group) {
                by_key.entry((group.identity().into(), rule.identity())).or_insert(rules.len());
                rules.push(ReplayedRule {
                    name: rule.name().to_owned(),
                    group: group.name.clone(),
                    file: group.file.clone(),
                    line: rule.line,
                    expr: rule.query.text().to_owned(),
                    ..ReplayedRule::default()
                });
            }
        }
        Self {
            window: replay.window,
            holds_from_ms: 0,
            first_tick_ms: None,
            rules,
            by_key,
            fired: BTreeSet::new(),
            going_on: BTreeMap::new(),
            ended: Vec::new(),
            dropped: 0,
            refused: 0,
            pages: Pages::new(notify),
        }
    }

    /// The bus holds nothing before.
    pub(super) fn begin(&mut self, holds_from_ms: i64) {
        self.holds_from_ms = holds_from_ms;
    }

    pub(super) fn take(&mut self, tick: &Tick<'_>, evaluator: &Evaluator, has_failed: bool) {
        self.refused += tick.refused;
        let first_tick_ms = *self.first_tick_ms.get_or_insert(tick.time_ms);
        for transition in tick.transitions {
            self.change(transition, tick, first_tick_ms);
        }
        for (group, rule, alert) in evaluator.active() {
            let key = ((group.clone(), rule.to_owned()), alert.labels.clone());
            if let Some(going_on) = self.going_on.get_mut(&key)
                && (alert.value > going_on.greatest || going_on.greatest.is_nan())
            {
                going_on.greatest = alert.value;
            }
        }
        if has_failed && tick.time_ms >= self.window.start_ms {
            for (group, rule, error) in evaluator.failed() {
                if let Some(at) = self.by_key.get(&(group.clone(), rule.to_owned())) {
                    self.rules[*at].failures += 1;
                    self.rules[*at].error = Some(error.to_owned());
                }
            }
        }
    }

    fn change(&mut self, transition: &Transition, tick: &Tick<'_>, first_tick_ms: i64) {
        let key = (transition.group.clone(), transition.rule.clone());
        let rule = self.by_key.get(&key).copied();
        let key = (key, transition.labels.clone());
        let alert = self.going_on.entry(key.clone()).or_insert_with(|| ReplayedAlert {
            labels: transition.labels.clone(),
            annotations: Arc::default(),
            pending_ms: transition.active_at_ms,
            fired_ms: None,
            ended_ms: None,
            greatest: transition.value,
            waited_ms: None,
            is_older: transition.active_at_ms <= first_tick_ms,
            rule,
        });
        alert.annotations = transition.annotations.clone();
        match transition.state {
            Some(State::Pending) => {}
            Some(State::Firing) => {
                alert.fired_ms = Some(tick.time_ms);
                alert.waited_ms = Some(tick.waited_ms);
                let took_ms = tick.time_ms.saturating_sub(alert.pending_ms).saturating_add(tick.waited_ms);
                let is_known = !alert.is_older;
                if tick.time_ms >= self.window.start_ms {
                    // The page would have gone out in any case; of an alert that is older, before.
                    let pages = self.pages.fires(&transition.labels, tick.time_ms);
                    if let Some(rule) = rule {
                        self.count(rule, &transition.labels, pages, is_known.then_some(took_ms));
                    }
                }
            }
            Some(State::Resolved) | None => {
                alert.ended_ms = Some(tick.time_ms);
                if let Some(alert) = self.going_on.remove(&key)
                    && tick.time_ms >= self.window.start_ms
                {
                    if self.ended.len() < MAX_ALERTS {
                        self.ended.push(alert);
                    } else {
                        self.dropped += 1;
                    }
                }
            }
        }
    }

    fn count(&mut self, rule: usize, labels: &AlertLabels, pages: usize, took_ms: Option<i64>) {
        let key = (rule, fingerprint(labels));
        let is_new = !self.fired.contains(&key);
        if self.fired.len() < MAX_FINGERPRINTS {
            self.fired.insert(key);
        }
        let rule = &mut self.rules[rule];
        rule.firings += 1;
        rule.alerts += u64::from(is_new);
        rule.pages += pages as u64;
        if let Some(took_ms) = took_ms {
            let (sum, greatest, count) = rule.detection_ms;
            rule.detection_ms = (sum.saturating_add(took_ms), greatest.max(took_ms), count + 1);
        }
    }

    pub(super) fn report(&self, until_ms: i64, begin_ms: i64, records: u64) -> Report {
        let mut alerts: Vec<ReplayedAlert> = self.ended.iter().chain(self.going_on.values()).cloned().collect();
        alerts.sort_by(|a, b| (a.pending_ms, &a.labels).cmp(&(b.pending_ms, &b.labels)));
        let from_ms = self.window.start_ms.max(begin_ms);
        let text = |unix_ms: i64| weir_service::time::format(unix_ms.saturating_mul(1_000_000));
        let mut notes = Vec::new();
        if from_ms > self.window.start_ms {
            notes.push(format!(
                "the bus holds nothing before {}: the rules were evaluated from then on, and what looks back further \
                 sees less",
                text(from_ms)
            ));
        } else if self.first_tick_ms.is_some_and(|first| first >= self.holds_from_ms) && begin_ms == self.holds_from_ms
        {
            notes.push(format!("the bus holds nothing before {}", text(begin_ms)));
        }
        if until_ms < self.window.end_ms {
            notes.push(format!(
                "the rules were evaluated up to {}: the bus does not say that everything later is there",
                text(until_ms)
            ));
        }
        if self.dropped > 0 {
            notes.push(format!("{} more alerts are counted, and not listed", self.dropped));
        }
        if self.refused > 0 {
            notes.push(format!(
                "{} samples of rules were not recorded, since there are more series than alerter.series_limit",
                self.refused
            ));
        }
        let failed: u64 = self.rules.iter().filter(|rule| rule.failures > 0).count() as u64;
        if failed > 0 {
            notes.push(format!("evaluations of {failed} rules failed"));
        }
        Report {
            window: self.window,
            holds_from_ms: self.holds_from_ms,
            evaluated_ms: (from_ms, until_ms),
            records,
            notes,
            alerts,
            rules: self.rules.clone(),
        }
    }
}

/// The alerting rules of a group.
fn alerting(group: &GroupStatus) -> impl Iterator<Item = &Arc<Rule>> {
    let rules = group.rules.iter().map(|status| &status.rule);
    rules.filter(|rule| matches!(rule.kind, RuleKind::Alert { .. }))
}

impl Report {
    /// Notifications of a rule in a week, if it went on as in the window.
    pub fn pages_per_week(&self, rule: &ReplayedRule) -> f64 {
        let (from, until) = self.evaluated_ms;
        // A window of one tick is a second.
        rule.pages as f64 * WEEK_MS / ((until - from).max(1000) as f64)
    }

    /// For machines.
    pub fn to_json(&self) -> Value {
        let time = |unix_ms: i64| weir_service::time::format(unix_ms.saturating_mul(1_000_000));
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let name = |at: Option<usize>| at.and_then(|at| self.rules.get(at));
        let alert = |alert: &ReplayedAlert| {
            let rule = name(alert.rule);
            let state = match (alert.fired_ms, alert.ended_ms) {
                (None, None) => "pending",
                (Some(_), None) => "firing",
                (Some(_), Some(_)) => "resolved",
                (None, Some(_)) => "inactive",
            };
            json!({
                "labels": *alert.labels,
                "annotations": *alert.annotations,
                "state": state,
                "pending_at": time(alert.pending_ms),
                "fired_at": alert.fired_ms.map(time),
                "ended_at": alert.ended_ms.map(time),
                "greatest_value": crate::api::number(alert.greatest),
                "waited_seconds": alert.waited_ms.map(seconds),
                "active_before": alert.is_older,
                "group": rule.map(|rule| &rule.group),
                "file": rule.map(|rule| &rule.file),
            })
        };
        let rule = |rule: &ReplayedRule| {
            let (sum, greatest, count) = rule.detection_ms;
            let mean = (count > 0).then(|| seconds(sum) / count as f64);
            json!({
                "name": rule.name,
                "group": rule.group,
                "file": rule.file,
                "line": rule.line,
                "expr": rule.expr,
                "firings": rule.firings,
                "alerts": rule.alerts,
                "pages": rule.pages,
                "pages_per_week": self.pages_per_week(rule),
                "detection_seconds": {"mean": mean, "max": (count > 0).then(|| seconds(greatest))},
                "failures": rule.failures,
                "error": rule.error,
            })
        };
        json!({
            "start": time(self.window.start_ms),
            "end": time(self.window.end_ms),
            "evaluated_from": time(self.evaluated_ms.0),
            "evaluated_until": time(self.evaluated_ms.1),
            "complete": self.evaluated_ms.0 <= self.window.start_ms && self.evaluated_ms.1 >= self.window.end_ms,
            "holds_from": time(self.holds_from_ms),
            "records": self.records,
            "notes": self.notes,
            "alerts": self.alerts.iter().map(alert).collect::<Vec<_>>(),
            "rules": self.rules.iter().map(rule).collect::<Vec<_>>(),
        })
    }
}
