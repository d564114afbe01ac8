//! How often receivers would have been told that alerts fire.

use std::collections::BTreeMap;

use crate::notify::{self, Grouping};
use crate::options::Options;

/// Notifications of firing alerts, by group. A group that was told of is told again at its `group_interval` at the
/// earliest, of all that began to fire until then. Repetitions and notifications of what is resolved are no pages.
pub(super) struct Pages {
    grouping: Grouping,
    /// When each group was, or will be, told last, in unix milliseconds of event time.
    told_ms: BTreeMap<(usize, BTreeMap<String, String>), i64>,
}

impl Pages {
    /// As the routes say; where there are no receivers, one group for each name.
    pub(super) fn new(options: &Options) -> Self {
        let mut notify = options.notify();
        if notify.receivers.is_empty() {
            notify.route = notify::Route { group_by: Some(vec!["alertname".to_owned()]), ..notify::Route::default() };
        }
        Self { grouping: Grouping::new(&notify), told_ms: BTreeMap::new() }
    }

    /// An alert begins to fire: how many notifications that adds.
    pub(super) fn fires(&mut self, labels: &BTreeMap<String, String>, time_ms: i64) -> usize {
        let mut pages = 0;
        for (group, interval_ms) in self.grouping.of(labels) {
            let told = self.told_ms.get(&group).copied();
            let next = match told {
                Some(told) if time_ms <= told => continue,
                Some(told) => time_ms.max(told.saturating_add(interval_ms)),
                None => time_ms,
            };
            self.told_ms.insert(group, next);
            pages += 1;
        }
        pages
    }
}
