//! Alerts whose rule is no longer there. An alert is its labels: a rule that makes the same labels goes on with it,
//! wherever it is written, so that a rule that is moved, renamed, or gone for a moment tells nobody anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_proto::v1;

use super::alert::{Alert, AlertLabels, State};
use super::transition::Transition;

/// How long a firing alert waits for a rule that goes on with it, in milliseconds of event time; then it is resolved.
pub(super) const GRACE_MS: i64 = 60_000;

#[derive(Debug, Default)]
pub(super) struct Orphans {
    alerts: BTreeMap<AlertLabels, Orphan>,
}

#[derive(Debug)]
struct Orphan {
    group: Arc<str>,
    rule: String,
    alert: Alert,
    since_ms: i64,
}

impl Orphans {
    /// The rule of an alert is gone at `time`.
    pub(super) fn add(&mut self, group: &str, rule: &str, alert: Alert, time: i64) {
        let known = self.alerts.get(&alert.labels);
        if known.is_none_or(|known| stronger(&alert, &known.alert)) {
            let orphan = Orphan { group: group.into(), rule: rule.to_owned(), alert, since_ms: time };
            self.alerts.insert(orphan.alert.labels.clone(), orphan);
        }
    }

    /// A rule goes on with the alert of these labels, if there is one.
    pub(super) fn adopt(&mut self, labels: &AlertLabels) -> Option<Alert> {
        if self.alerts.is_empty() {
            return None;
        }
        self.alerts.remove(labels).map(|orphan| orphan.alert)
    }

    /// Event time has come to `time`; true where an alert was resolved.
    pub(super) fn step(&mut self, time: i64, transitions: &mut Vec<Transition>) -> bool {
        let mut changed = false;
        self.alerts.retain(|_, orphan| {
            let waits = time - orphan.since_ms < GRACE_MS;
            match orphan.alert.state {
                State::Pending => {
                    if !waits {
                        transitions.push(Transition::of(&orphan.alert, (&orphan.group, &orphan.rule), true, time));
                    }
                    waits
                }
                State::Firing => {
                    if !waits && orphan.alert.ceases(time, 0) {
                        transitions.push(Transition::of(&orphan.alert, (&orphan.group, &orphan.rule), false, time));
                        changed = true;
                    }
                    true
                }
                State::Resolved => !orphan.alert.is_over(time),
            }
        });
        changed
    }

    pub(super) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().map(|orphan| &orphan.alert)
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = v1::Alert> {
        self.alerts.values().map(|orphan| orphan.alert.to_message(&orphan.group, &orphan.rule))
    }
}

/// Of two alerts of the same labels, whether the first says more of what is so: one that fires, then one that may; else
/// the one that has been so for longer, or that ended last.
pub(super) fn stronger(alert: &Alert, other: &Alert) -> bool {
    let rank = |alert: &Alert| match alert.state {
        State::Resolved => (0, alert.resolved_at_ms.unwrap_or(0)),
        State::Pending => (1, -alert.active_at_ms),
        State::Firing => (2, -alert.fired_at_ms.unwrap_or(alert.active_at_ms)),
    };
    rank(alert) > rank(other)
}
