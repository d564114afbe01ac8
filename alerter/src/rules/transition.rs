//! What a step changed of one alert.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_proto::v1;

use super::alert::{Alert, AlertLabels, State};

/// An alert came to another state. An alert that fires at once, without `for`, is not pending before.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// Event time of the evaluation, in unix milliseconds.
    pub time_ms: i64,
    /// The new state; `None` where it was pending and is inactive again.
    pub state: Option<State>,
    /// The alert, by its labels.
    pub labels: AlertLabels,
    /// As they were at the last evaluation that the alert was part of.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// What the expression gave then.
    pub value: f64,
    /// Since when it was so, in unix milliseconds of event time.
    pub active_at_ms: i64,
    /// Identity of the rule's group: its file and name, with a semicolon between them.
    pub group: Arc<str>,
    /// Identity of the rule in it: its name and labels.
    pub rule: String,
}

impl Transition {
    /// `pending`, `firing`, `resolved` or `inactive`.
    pub fn state_name(&self) -> &'static str {
        self.state.map_or("inactive", State::name)
    }

    pub(crate) fn to_message(&self, number: u64) -> v1::AlertTransition {
        let nanos = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
        let state = match self.state {
            None => v1::alert::State::Inactive,
            Some(State::Pending) => v1::alert::State::Pending,
            Some(State::Firing) => v1::alert::State::Firing,
            Some(State::Resolved) => v1::alert::State::Resolved,
        };
        v1::AlertTransition {
            number,
            at_unix_nano: nanos(self.time_ms),
            state: state.into(),
            labels: (*self.labels).clone().into_iter().collect(),
            annotations: (*self.annotations).clone().into_iter().collect(),
            value: self.value,
            active_at_unix_nano: nanos(self.active_at_ms),
            group: self.group.to_string(),
            rule: self.rule.clone(),
        }
    }

    /// `None` for a state that is not known.
    pub(crate) fn from_message(message: v1::AlertTransition) -> Option<Self> {
        let state = match v1::alert::State::try_from(message.state).ok()? {
            v1::alert::State::Inactive => None,
            v1::alert::State::Pending => Some(State::Pending),
            v1::alert::State::Firing => Some(State::Firing),
            v1::alert::State::Resolved => Some(State::Resolved),
        };
        Some(Self {
            time_ms: (message.at_unix_nano / 1_000_000) as i64,
            state,
            labels: Arc::new(message.labels.into_iter().collect()),
            annotations: Arc::new(message.annotations.into_iter().collect()),
            value: message.value,
            active_at_ms: (message.active_at_unix_nano / 1_000_000) as i64,
            group: message.group.into(),
            rule: message.rule,
        })
    }

    /// An alert came to the state that it has, or, from pending, to none.
    pub(super) fn of(alert: &Alert, (group, rule): (&Arc<str>, &str), is_inactive: bool, time_ms: i64) -> Self {
        Self {
            time_ms,
            state: (!is_inactive).then_some(alert.state),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            value: alert.value,
            active_at_ms: alert.active_at_ms,
            group: group.clone(),
            rule: rule.to_owned(),
        }
    }
}
