//! Key `route` of the configuration: Alertmanager's names and fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use weir_service::config::Span;

use super::matcher::{LabelMatcher, Matchers};

/// Levels of routes at most.
const MOST_LEVELS: usize = 16;
/// In `group_by`, all labels.
pub(super) const ALL_LABELS: &str = "...";

/// A node of the tree of routes. What is not set is as in the parent, but for the time intervals; at the root,
/// `group_wait` is 0, `group_interval` a minute and `repeat_interval` four hours.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Route {
    /// Name of the receiver.
    pub receiver: Option<String>,
    /// Labels by which alerts are put together; `...` is all of them.
    pub group_by: Option<Vec<String>>,
    /// How long the first notification of a group waits for more alerts.
    pub group_wait: Option<Span>,
    /// How long until the group is told of again when it has changed.
    pub group_interval: Option<Span>,
    /// How long until it is told of again when it has not.
    pub repeat_interval: Option<Span>,
    /// All of them must hold, such as `severity="page"` or `{team=~"a|b", region!="eu"}`.
    pub matchers: Vec<LabelMatcher>,
    /// Whether the routes after this one are looked at too.
    pub r#continue: bool,
    /// Names of intervals in which nobody is told.
    pub mute_time_intervals: Vec<String>,
    /// Names of intervals outside of which nobody is told; always, where there are none.
    pub active_time_intervals: Vec<String>,
    /// The first that matches takes the alert; otherwise this one does.
    pub routes: Vec<Route>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    receiver: Option<String>,
    group_by: Option<Vec<String>>,
    group_wait: Option<Span>,
    group_interval: Option<Span>,
    repeat_interval: Option<Span>,
    r#match: BTreeMap<String, String>,
    match_re: BTreeMap<String, String>,
    matchers: Matchers,
    r#continue: bool,
    mute_time_intervals: Vec<String>,
    active_time_intervals: Vec<String>,
    routes: Vec<Route>,
}

impl TryFrom<Raw> for Route {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        // As in Alertmanager, an empty list says nothing.
        let group_by = raw.group_by.filter(|names| !names.is_empty());
        if let Some(names) = &group_by {
            if names.len() > 1 && names.iter().any(|name| name == ALL_LABELS) {
                return Err(format!("group_by: `{ALL_LABELS}` is all labels, so it stands alone"));
            }
            if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
                return Err("group_by: a label is there twice".to_owned());
            }
        }
        Ok(Self {
            receiver: raw.receiver,
            group_by,
            group_wait: raw.group_wait,
            group_interval: raw.group_interval,
            repeat_interval: raw.repeat_interval,
            matchers: raw.matchers.with(&raw.r#match, &raw.match_re).map_err(|error| error.to_string())?,
            r#continue: raw.r#continue,
            mute_time_intervals: raw.mute_time_intervals,
            active_time_intervals: raw.active_time_intervals,
            routes: raw.routes,
        })
    }
}

/// A route that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// There are receivers, but none at the root.
    #[error("route.receiver: is missing, so no alert would reach a receiver")]
    NoReceiver,
    /// No receiver has this name.
    #[error("route: there is no receiver `{0}`")]
    UnknownReceiver(String),
    /// No time interval has this name.
    #[error("route: there is no time interval `{0}` in time_intervals or mute_time_intervals")]
    UnknownInterval(String),
    /// At the root all alerts must match.
    #[error("route: the root takes all alerts, so it has no matchers and no continue")]
    RootMatches,
    /// At any time.
    #[error(
        "route: the root takes alerts at all times; mute_time_intervals and active_time_intervals are for its routes"
    )]
    RootIntervals,
    /// It would be told without end.
    #[error("route: group_interval and repeat_interval must be longer than 0")]
    NoInterval,
    /// Nested too deep.
    #[error("route: more than {MOST_LEVELS} levels of routes")]
    TooDeep,
}

impl Route {
    /// Whether it can be the root, with receivers and time intervals of these names.
    pub(super) fn check(&self, receivers: &BTreeSet<&str>, intervals: &BTreeSet<&str>) -> Result<(), RouteError> {
        if !self.matchers.is_empty() || self.r#continue {
            return Err(RouteError::RootMatches);
        }
        if !self.mute_time_intervals.is_empty() || !self.active_time_intervals.is_empty() {
            return Err(RouteError::RootIntervals);
        }
        if self.receiver.is_none() && !(receivers.is_empty() && *self == Self::default()) {
            return Err(RouteError::NoReceiver);
        }
        self.check_level(receivers, intervals, 0)
    }

    fn check_level(
        &self,
        receivers: &BTreeSet<&str>,
        intervals: &BTreeSet<&str>,
        depth: usize,
    ) -> Result<(), RouteError> {
        if depth > MOST_LEVELS {
            return Err(RouteError::TooDeep);
        }
        if let Some(name) = self.receiver.as_ref().filter(|name| !receivers.contains(name.as_str())) {
            return Err(RouteError::UnknownReceiver(name.clone()));
        }
        let mut named = self.mute_time_intervals.iter().chain(&self.active_time_intervals);
        if let Some(name) = named.find(|name| !intervals.contains(name.as_str())) {
            return Err(RouteError::UnknownInterval(name.clone()));
        }
        if [&self.group_interval, &self.repeat_interval].into_iter().flatten().any(|span| span.0.is_zero()) {
            return Err(RouteError::NoInterval);
        }
        self.routes.iter().try_for_each(|route| route.check_level(receivers, intervals, depth + 1))
    }
}
