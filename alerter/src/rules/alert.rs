//! One alert through its states, in event time.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_proto::v1;

/// An alert's labels, its name among them as `alertname`.
pub type AlertLabels = Arc<BTreeMap<String, String>>;

/// How long a resolved alert stays known, in milliseconds of event time: long enough for a receiver that was away to
/// hear of it.
pub const RESOLVED_KEPT_MS: i64 = 15 * 60_000;

/// Where an alert is; inactive is not to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It is so, but not yet for as long as `for` asks.
    Pending,
    /// It is so for long enough, or was so within `keep_firing_for`.
    Firing,
    /// It was firing and is no longer so.
    Resolved,
}

impl State {
    /// `pending`, `firing` or `resolved`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One alert. All times are event times in unix milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// `alertname`, the labels of the series, and those of the rule.
    pub labels: AlertLabels,
    /// As rendered when it was last so.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// Where it is.
    pub state: State,
    /// What the expression gave when it was last so.
    pub value: f64,
    /// Since when it is so.
    pub active_at_ms: i64,
    /// When it began to fire.
    pub fired_at_ms: Option<i64>,
    /// When it was resolved.
    pub resolved_at_ms: Option<i64>,
    /// Since when it fires only because of `keep_firing_for`.
    pub keep_firing_since_ms: Option<i64>,
}

impl Alert {
    /// It is so, for the first time at `time`.
    pub(super) fn begin(labels: AlertLabels, time: i64) -> Self {
        Self {
            labels,
            annotations: Arc::default(),
            state: State::Pending,
            value: 0.0,
            active_at_ms: time,
            fired_at_ms: None,
            resolved_at_ms: None,
            keep_firing_since_ms: None,
        }
    }

    /// It is so at `time`; true where its state changed.
    pub(super) fn holds(&mut self, time: i64, for_ms: i64) -> bool {
        self.keep_firing_since_ms = None;
        if self.state == State::Resolved {
            *self = Self { annotations: self.annotations.clone(), ..Self::begin(self.labels.clone(), time) };
        }
        if self.state == State::Pending && time - self.active_at_ms >= for_ms {
            self.state = State::Firing;
            self.fired_at_ms = Some(time);
            return true;
        }
        false
    }

    /// It is not so at `time`; true where its state changed. A pending alert is then to be forgotten.
    pub(super) fn ceases(&mut self, time: i64, keep_firing_ms: i64) -> bool {
        if self.state != State::Firing {
            return self.state == State::Pending;
        }
        if keep_firing_ms > 0 {
            let since = *self.keep_firing_since_ms.get_or_insert(time);
            if time - since < keep_firing_ms {
                return false;
            }
        }
        self.state = State::Resolved;
        self.resolved_at_ms = Some(time);
        self.keep_firing_since_ms = None;
        true
    }

    /// Whether it need no longer be known at `time`.
    pub(super) fn is_over(&self, time: i64) -> bool {
        match self.state {
            State::Resolved => self.resolved_at_ms.is_none_or(|at| time - at > RESOLVED_KEPT_MS),
            State::Pending | State::Firing => false,
        }
    }

    pub(super) fn to_message(&self, group: &str, rule: &str) -> v1::Alert {
        let nanos = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
        v1::Alert {
            group: group.to_owned(),
            rule: rule.to_owned(),
            state: match self.state {
                State::Pending => v1::alert::State::Pending,
                State::Firing => v1::alert::State::Firing,
                State::Resolved => v1::alert::State::Resolved,
            } as i32,
            labels: (*self.labels).clone().into_iter().collect(),
            annotations: (*self.annotations).clone().into_iter().collect(),
            value: self.value,
            active_at_unix_nano: nanos(self.active_at_ms),
            fired_at_unix_nano: self.fired_at_ms.map_or(0, nanos),
            resolved_at_unix_nano: self.resolved_at_ms.map_or(0, nanos),
            keep_firing_since_unix_nano: self.keep_firing_since_ms.map_or(0, nanos),
        }
    }

    /// `None` for an inactive alert, or of a state that is not known.
    pub(super) fn from_message(message: &v1::Alert) -> Option<Self> {
        let millis = |nanos: u64| (nanos / 1_000_000) as i64;
        let reached = |nanos: u64| (nanos > 0).then(|| millis(nanos));
        Some(Self {
            labels: Arc::new(message.labels.clone().into_iter().collect()),
            annotations: Arc::new(message.annotations.clone().into_iter().collect()),
            state: match v1::alert::State::try_from(message.state).ok()? {
                v1::alert::State::Inactive => return None,
                v1::alert::State::Pending => State::Pending,
                v1::alert::State::Firing => State::Firing,
                v1::alert::State::Resolved => State::Resolved,
            },
            value: message.value,
            active_at_ms: millis(message.active_at_unix_nano),
            fired_at_ms: reached(message.fired_at_unix_nano),
            resolved_at_ms: reached(message.resolved_at_unix_nano),
            keep_firing_since_ms: reached(message.keep_firing_since_unix_nano),
        })
    }
}
