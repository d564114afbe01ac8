//! The tree of routes with all that is inherited, and which of them take an alert: pure.

use std::collections::BTreeMap;

use super::alert::Labels;
use super::interval::{self, TimeInterval};
use super::matcher::{LabelMatcher, shown};
use super::options::Options;
use super::route::{ALL_LABELS, Route};

/// A route with all that it inherits.
#[derive(Debug)]
pub(super) struct FlatRoute {
    /// `{}` for the root, then `/{matchers}` for each level: the first part of Alertmanager's group key.
    pub(super) key: String,
    pub(super) receiver: String,
    group_by: Vec<String>,
    pub(super) group_wait_ms: i64,
    pub(super) group_interval_ms: i64,
    pub(super) repeat_interval_ms: i64,
    matchers: Vec<LabelMatcher>,
    continues: bool,
    children: Vec<usize>,
    mute: Vec<TimeInterval>,
    /// `None` is always.
    active: Option<Vec<TimeInterval>>,
}

/// Index of a route, and the group's labels.
pub(super) type GroupKey = (usize, Labels);

/// All routes; the root is the first.
#[derive(Debug)]
pub(super) struct Tree(Vec<FlatRoute>);

fn millis(span: weir_service::config::Span) -> i64 {
    i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

impl Tree {
    pub(super) fn new(options: &Options) -> Self {
        let mut tree = Self(Vec::new());
        tree.flatten(&options.route, None, &options.intervals());
        tree
    }

    pub(super) fn get(&self, at: usize) -> Option<&FlatRoute> {
        self.0.get(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &FlatRoute> {
        self.0.iter()
    }

    fn flatten(&mut self, route: &Route, parent: Option<usize>, intervals: &BTreeMap<&str, &[TimeInterval]>) -> usize {
        let inherited = parent.map(|at| &self.0[at]);
        let or = |own: Option<weir_service::config::Span>, of: fn(&FlatRoute) -> i64, root: i64| {
            own.map_or_else(|| inherited.map_or(root, of), millis)
        };
        let named = |names: &[String]| -> Vec<TimeInterval> {
            names.iter().filter_map(|name| intervals.get(name.as_str())).copied().flatten().cloned().collect()
        };
        let flat = FlatRoute {
            key: inherited.map_or_else(|| "{}".to_owned(), |p| format!("{}/{}", p.key, shown(&route.matchers))),
            receiver: route.receiver.clone().or_else(|| inherited.map(|p| p.receiver.clone())).unwrap_or_default(),
            group_by: route.group_by.clone().or_else(|| inherited.map(|p| p.group_by.clone())).unwrap_or_default(),
            group_wait_ms: or(route.group_wait, |p| p.group_wait_ms, 0),
            group_interval_ms: or(route.group_interval, |p| p.group_interval_ms, 60_000).max(1),
            repeat_interval_ms: or(route.repeat_interval, |p| p.repeat_interval_ms, 4 * 3_600_000),
            matchers: route.matchers.clone(),
            continues: route.r#continue,
            children: Vec::new(),
            mute: named(&route.mute_time_intervals),
            active: (!route.active_time_intervals.is_empty()).then(|| named(&route.active_time_intervals)),
        };
        self.0.push(flat);
        let at = self.0.len() - 1;
        self.0[at].children = route.routes.iter().map(|child| self.flatten(child, Some(at), intervals)).collect();
        at
    }

    /// The routes that take an alert.
    fn matching(&self, at: usize, labels: &Labels, found: &mut Vec<usize>) -> bool {
        let Some(route) = self.0.get(at) else { return false };
        if !route.matchers.iter().all(|matcher| matcher.matches(labels)) {
            return false;
        }
        let before = found.len();
        for child in &route.children {
            if self.matching(*child, labels, found) && !self.0[*child].continues {
                break;
            }
        }
        if found.len() == before {
            found.push(at);
        }
        true
    }

    /// The groups that an alert is told in.
    pub(super) fn groups_of(&self, labels: &Labels) -> Vec<GroupKey> {
        let mut routes = Vec::new();
        self.matching(0, labels, &mut routes);
        let group = |at: usize| {
            let by = &self.0[at].group_by;
            let all = by.iter().any(|name| name == ALL_LABELS);
            let grouped = labels.iter().filter(|(name, _)| all || by.contains(name));
            (at, grouped.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        routes.into_iter().map(group).collect()
    }
}

impl FlatRoute {
    /// Whether nobody is told at this time.
    pub(super) fn is_muted(&self, now_ms: i64) -> bool {
        interval::is_in(&self.mute, now_ms)
            || self.active.as_ref().is_some_and(|active| !interval::is_in(active, now_ms))
    }
}

/// In which groups alerts are told, without telling anybody.
#[derive(Debug)]
pub(crate) struct Grouping(Tree);

impl Grouping {
    pub(crate) fn new(options: &Options) -> Self {
        Self(Tree::new(options))
    }

    /// The groups of an alert: a route by its number with the group's labels, and the milliseconds between two
    /// notifications.
    pub(crate) fn of(&self, labels: &Labels) -> Vec<(GroupKey, i64)> {
        let groups = self.0.groups_of(labels).into_iter();
        groups.map(|key| (key.clone(), self.0.0[key.0].group_interval_ms)).collect()
    }
}
