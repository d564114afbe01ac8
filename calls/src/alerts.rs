//! The state of alerts, folded from the records of `weir_alerts`: what says whether data was made while an alert fired.
//!
//! A reader takes partition 0 of the topic from its first record and applies every record; it commits nothing, since the
//! topic holds an hour. Where records of several alerters differ, the one that was evaluated furthest wins, and an older
//! one that comes later is dropped. The fold is pure: it knows no clock but the event times of the records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use prost::Message as _;
use weir_proto::v1;

/// Key of the record that says how far rules were evaluated.
pub const PROGRESS_KEY: &str = "progress";
/// Key of the record that lists the rules.
pub const RULES_KEY: &str = "rules";
/// Event time after which an alerter writes again what still holds.
pub const RESTATE_AFTER: Duration = Duration::from_mins(1);
/// Event time after which a resolved alert is forgotten, and how far a reader can look back.
pub const RESOLVED_KEPT: Duration = Duration::from_hours(1);

/// Event time for which a firing alert is believed without being stated again.
const BELIEVED_FOR: Duration = Duration::from_mins(3);
/// Earlier periods kept of one alert; of one that flaps more often in an hour the oldest are forgotten.
const MAX_EARLIER: usize = 256;

/// Key of the alert with this fingerprint.
pub fn key(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// What is known of a rule's alerts at an event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// At least one alert fires.
    Firing,
    /// The rule was evaluated, and no alert fires.
    NotFiring,
    /// No alerter has evaluated the rule up to that time, it fails, or there is no such rule.
    Unknown,
}

/// A record of the topic cannot be decoded; the states are as they were.
#[derive(Debug, thiserror::Error)]
#[error("value of the record with key {key} of weir_alerts cannot be decoded")]
pub struct AlertsError {
    key: String,
    source: prost::DecodeError,
}

/// The alerts, as far as the records that were applied tell.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    by_fingerprint: BTreeMap<u64, Known>,
    rules: BTreeSet<String>,
    rules_evaluated_until: i64,
    /// First and greatest progress that was read, in unix nanoseconds of event time.
    progress: Option<(i64, i64)>,
}

#[derive(Debug, Clone)]
struct Known {
    state: v1::AlertState,
    /// Periods `[since, until)` before the one in `state`, oldest first.
    earlier: VecDeque<(i64, i64)>,
}

impl Alerts {
    /// Applies one record. Records with an unknown key are ignored.
    pub fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<(), AlertsError> {
        let failed = |source| AlertsError { key: String::from_utf8_lossy(key).into_owned(), source };
        if key == PROGRESS_KEY.as_bytes() {
            let progress = v1::AlertProgress::decode(value).map_err(failed)?;
            self.advance(signed(progress.evaluated_until_unix_nano));
        } else if key == RULES_KEY.as_bytes() {
            let rules = v1::AlertRules::decode(value).map_err(failed)?;
            let until = signed(rules.evaluated_until_unix_nano);
            if until >= self.rules_evaluated_until {
                self.rules_evaluated_until = until;
                self.rules = rules.names.into_iter().collect();
            }
        } else if let Some(fingerprint) = fingerprint(key) {
            if value.is_empty() {
                self.by_fingerprint.remove(&fingerprint);
            } else {
                self.put(fingerprint, v1::AlertState::decode(value).map_err(failed)?);
            }
        }
        Ok(())
    }

    /// Whether an alert of `rule` fires at the event time `at`, in unix nanoseconds. With a tenant, alerts of this tenant
    /// and those without a tenant count; without one, alerts of all tenants.
    ///
    /// Where the rules were not evaluated up to `at` yet, the newest state counts for as long as `lateness`; beyond that
    /// it is unknown. So is what lies more than [`RESOLVED_KEPT`] back, or before the first progress that was read,
    /// unless an alert is known to have fired. Looks at every alert that is known.
    pub fn firing(&self, rule: &str, tenant: Option<&str>, at: i64, lateness: Duration) -> State {
        let Some((first, until)) = self.progress else { return State::Unknown };
        if at > until.saturating_add(nanos(lateness)) || !self.rules.contains(rule) {
            return State::Unknown;
        }
        let concerns = |state: &v1::AlertState| {
            state.rule == rule && (state.tenant.is_empty() || tenant.is_none_or(|tenant| tenant == state.tenant))
        };
        if self.by_fingerprint.values().any(|known| concerns(&known.state) && known.fires(at, until)) {
            State::Firing
        } else if at < first.max(until.saturating_sub(nanos(RESOLVED_KEPT))) {
            State::Unknown
        } else {
            State::NotFiring
        }
    }

    /// Event time up to which rules were evaluated, in unix nanoseconds; never falls. `None` before any alerter said so.
    pub fn evaluated_until(&self) -> Option<i64> {
        self.progress.map(|(_, until)| until)
    }

    /// Names of the alert rules whose evaluation does not fail.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(String::as_str)
    }

    /// The newest state of each alert, with its fingerprint.
    pub fn states(&self) -> impl Iterator<Item = (u64, &v1::AlertState)> {
        self.by_fingerprint.iter().map(|(fingerprint, known)| (*fingerprint, &known.state))
    }

    fn advance(&mut self, time: i64) {
        let (first, until) = self.progress.map_or((time, time), |(first, until)| (first, until.max(time)));
        self.progress = Some((first, until));
        let oldest = until.saturating_sub(nanos(RESOLVED_KEPT));
        self.by_fingerprint.retain(|_, known| {
            known.earlier.retain(|(_, end)| *end > oldest);
            known.end(until).is_none_or(|end| end > oldest)
        });
    }

    fn put(&mut self, fingerprint: u64, state: v1::AlertState) {
        let Some(known) = self.by_fingerprint.get_mut(&fingerprint) else {
            self.by_fingerprint.insert(fingerprint, Known { state, earlier: VecDeque::new() });
            return;
        };
        if state.evaluated_until_unix_nano < known.state.evaluated_until_unix_nano {
            return;
        }
        if known.state.firing_since_unix_nano < state.firing_since_unix_nano {
            // One that was never said to be resolved fired for as long as the progress says.
            let until = self.progress.map_or(i64::MIN, |(_, until)| until);
            let last = until.min(signed(state.firing_since_unix_nano));
            let end = known.end(until).unwrap_or_else(|| last.max(signed(known.state.evaluated_until_unix_nano)));
            known.earlier.push_back((signed(known.state.firing_since_unix_nano), end));
            if known.earlier.len() > MAX_EARLIER {
                known.earlier.pop_front();
            }
        }
        known.state = state;
    }
}

impl Known {
    /// When the newest period ended; `None` while it fires. `until` is the progress.
    fn end(&self, until: i64) -> Option<i64> {
        let stated = signed(self.state.evaluated_until_unix_nano);
        resolved_at(&self.state).or_else(|| (stated.saturating_add(nanos(BELIEVED_FOR)) < until).then_some(stated))
    }

    fn fires(&self, at: i64, until: i64) -> bool {
        let newest = (signed(self.state.firing_since_unix_nano), self.end(until).unwrap_or(i64::MAX));
        self.earlier.iter().chain([&newest]).any(|(since, end)| (*since..*end).contains(&at))
    }
}

fn resolved_at(state: &v1::AlertState) -> Option<i64> {
    (state.state() != v1::alert_state::State::Firing).then(|| signed(state.resolved_at_unix_nano))
}

fn fingerprint(key: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(key).ok().filter(|text| text.len() == 16)?;
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(text, 16).ok())?
}

fn signed(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
