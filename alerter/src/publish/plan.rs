//! Which records bring the topic up to date. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost::Message as _;
use weir_calls::alerts::{PROGRESS_KEY, RESOLVED_KEPT, RESTATE_AFTER, RULES_KEY, key};
use weir_proto::v1;
use weir_proto::v1::alert_state::State as Told;

use crate::notify::fingerprint;
use crate::rules::{Alert, AlertLabels, Period, State};

/// Event time between two records of the progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What holds once the rules were evaluated up to an event time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// In unix milliseconds.
    pub(crate) evaluated_ms: i64,
    /// Firing and lately resolved alerts; pending ones are passed over.
    pub(crate) alerts: Vec<Alert>,
    /// Periods that ended lately, the newest last: what alerts did between two standings.
    pub(crate) periods: Vec<Period>,
    /// Names of the alert rules that do not fail.
    pub(crate) rules: BTreeSet<String>,
}

impl Standing {
    /// Periods that readers may still want: of those that ended longer ago the topic holds nothing.
    fn kept_periods(&self) -> impl Iterator<Item = &Period> {
        let oldest_ms = self.evaluated_ms.saturating_sub(RESOLVED_KEPT.as_millis() as i64);
        self.periods.iter().filter(move |period| period.resolved_at_ms >= oldest_ms)
    }
}

/// A record to be written; an empty value is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
}

/// What the topic holds of this alerter.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    alerts: BTreeMap<u64, v1::AlertState>,
    rules: Option<BTreeSet<String>>,
    restated_ms: Option<i64>,
    progress_ms: Option<i64>,
}

impl Plan {
    /// The records that are missing, the progress last, and the plan that holds once all of them are durable.
    pub(super) fn next(&self, standing: &Standing) -> (Vec<Entry>, Self) {
        let now_ms = standing.evaluated_ms;
        let is_due = |since_ms: Option<i64>, every: Duration| {
            since_ms.is_none_or(|since_ms| now_ms.saturating_sub(since_ms) >= every.as_millis() as i64)
        };
        let restates = is_due(self.restated_ms, RESTATE_AFTER);
        let mut entries = Vec::new();
        let mut next = Self { alerts: BTreeMap::new(), ..self.clone() };
        let states = self.states(standing);
        entries.extend(self.passed(standing, &states));
        for (fingerprint, state) in states {
            let told = self.alerts.get(&fingerprint);
            let is_over = state.state() == Told::Resolved
                && state.resolved_at_unix_nano.saturating_add(RESOLVED_KEPT.as_nanos() as u64) < nanos(now_ms);
            if is_over {
                if told.is_some() {
                    entries.push(Entry { key: key(fingerprint), value: Vec::new() });
                }
                continue;
            }
            let is_news = told.is_none_or(|told| !says_the_same(told, &state));
            if is_news || (restates && state.state() == Told::Firing) {
                entries.push(Entry { key: key(fingerprint), value: state.encode_to_vec() });
            }
            next.alerts.insert(fingerprint, state);
        }
        if restates || self.rules.as_ref() != Some(&standing.rules) {
            let names = standing.rules.iter().cloned().collect();
            let rules = v1::AlertRules { names, evaluated_until_unix_nano: nanos(now_ms) };
            entries.push(Entry { key: RULES_KEY.to_owned(), value: rules.encode_to_vec() });
            next.rules = Some(standing.rules.clone());
        }
        if restates {
            next.restated_ms = Some(now_ms);
        }
        if !entries.is_empty() || is_due(self.progress_ms, PROGRESS_EVERY) {
            let progress = v1::AlertProgress { evaluated_until_unix_nano: nanos(now_ms) };
            entries.push(Entry { key: PROGRESS_KEY.to_owned(), value: progress.encode_to_vec() });
            next.progress_ms = Some(now_ms);
        }
        (entries, next)
    }

    /// Records of the periods that ended before the one that `states` hold, and are not on the topic. Each is as of its
    /// end, so that a reader who knows of later drops it.
    fn passed(&self, standing: &Standing, states: &BTreeMap<u64, v1::AlertState>) -> Vec<Entry> {
        let is_passed = |fingerprint: u64, since: u64| {
            let told = self.alerts.get(&fingerprint);
            let is_told = told.is_some_and(|told| {
                told.firing_since_unix_nano > since
                    || (told.firing_since_unix_nano == since && told.state() == Told::Resolved)
            });
            !is_told && states.get(&fingerprint).is_none_or(|state| state.firing_since_unix_nano > since)
        };
        let entry = |period: &Period| {
            let fingerprint = fingerprint(&period.labels);
            is_passed(fingerprint, nanos(period.fired_at_ms)).then(|| {
                let state = ended(period, period.resolved_at_ms);
                Entry { key: key(fingerprint), value: state.encode_to_vec() }
            })
        };
        standing.kept_periods().filter_map(entry).collect()
    }

    /// The state of each alert: those of the rules, and those on the topic that the rules no longer know, as resolved.
    fn states(&self, standing: &Standing) -> BTreeMap<u64, v1::AlertState> {
        let mut states: BTreeMap<u64, v1::AlertState> = BTreeMap::new();
        let now =
            standing.alerts.iter().filter_map(|alert| Some((&alert.labels, state_of(alert, standing.evaluated_ms)?)));
        let before = standing.kept_periods().map(|period| (&period.labels, ended(period, standing.evaluated_ms)));
        for (labels, state) in now.chain(before) {
            // A rule that moved to another group leaves a resolved alert beside one that fires.
            let rank = |state: &v1::AlertState| {
                let fires = state.state() == Told::Firing;
                (fires, state.resolved_at_unix_nano, Reverse(state.firing_since_unix_nano))
            };
            let fingerprint = fingerprint(labels);
            if states.get(&fingerprint).is_none_or(|other| rank(other) < rank(&state)) {
                states.insert(fingerprint, state);
            }
        }
        for (fingerprint, told) in &self.alerts {
            states.entry(*fingerprint).or_insert_with(|| {
                let mut state = told.clone();
                if state.state() == Told::Firing {
                    state.set_state(Told::Resolved);
                    state.resolved_at_unix_nano = nanos(standing.evaluated_ms);
                    state.evaluated_until_unix_nano = nanos(standing.evaluated_ms);
                }
                state
            });
        }
        states
    }
}

/// `None` for an alert that never fired.
fn state_of(alert: &Alert, evaluated_ms: i64) -> Option<v1::AlertState> {
    let state = match alert.state {
        State::Pending => return None,
        State::Firing => Told::Firing,
        State::Resolved => Told::Resolved,
    };
    let fired_at_ms = alert.fired_at_ms.unwrap_or(alert.active_at_ms);
    Some(message(&alert.labels, state, fired_at_ms, alert.resolved_at_ms, evaluated_ms))
}

fn ended(period: &Period, evaluated_ms: i64) -> v1::AlertState {
    message(&period.labels, Told::Resolved, period.fired_at_ms, Some(period.resolved_at_ms), evaluated_ms)
}

fn message(
    labels: &AlertLabels,
    state: Told,
    fired_at_ms: i64,
    resolved_at_ms: Option<i64>,
    evaluated_ms: i64,
) -> v1::AlertState {
    let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
    v1::AlertState {
        rule: label("alertname"),
        tenant: label("tenant"),
        labels: (**labels).clone().into_iter().collect(),
        state: state as i32,
        firing_since_unix_nano: nanos(fired_at_ms),
        resolved_at_unix_nano: resolved_at_ms.map_or(0, nanos),
        evaluated_until_unix_nano: nanos(evaluated_ms),
    }
}

/// Whether two states of one alert differ in nothing but when they were written.
fn says_the_same(one: &v1::AlertState, other: &v1::AlertState) -> bool {
    let said = |state: &v1::AlertState| (state.state, state.firing_since_unix_nano, state.resolved_at_unix_nano);
    said(one) == said(other)
}

fn nanos(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)
}
