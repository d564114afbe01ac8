//! How often receivers would have been told that alerts fire.

use std::collections::BTreeMap;

use crate::notify::{self, Grouping};

/// Notifications of firing alerts, by group. A group that was told of is told again at its `group_interval` at the
/// earliest, of all that began to fire until then. Repetitions and notifications of what is resolved are no pages.
pub(super) struct Pages {
    grouping: Grouping,
    /// Of each group: when it was, or will be, told last, and its interval; in milliseconds of event time.
    told_ms: BTreeMap<(usize, BTreeMap<String, String>), (i64, i64)>,
}

/// Groups that are known; those that may be told at once are forgotten first.
const MAX_GROUPS: usize = 10_000;

impl Pages {
    /// As the routes say; where there are no receivers, one group for each name.
    pub(super) fn new(mut options: notify::Options) -> Self {
        if options.receivers.is_empty() {
            options.route = notify::Route { group_by: Some(vec!["alertname".to_owned()]), ..notify::Route::default() };
        }
        Self { grouping: Grouping::new(&options), told_ms: BTreeMap::new() }
    }

    /// An alert begins to fire: how many notifications that adds.
    pub(super) fn fires(&mut self, labels: &BTreeMap<String, String>, time_ms: i64) -> usize {
        if self.told_ms.len() > MAX_GROUPS {
            self.told_ms.retain(|_, (told, interval)| time_ms < told.saturating_add(*interval));
        }
        let mut pages = 0;
        for (group, interval_ms) in self.grouping.of(labels) {
            let told = self.told_ms.get(&group).map(|(told, _)| *told);
            let next = match told {
                Some(told) if time_ms <= told => continue,
                Some(told) => time_ms.max(told.saturating_add(interval_ms)),
                None => time_ms,
            };
            self.told_ms.insert(group, (next, interval_ms));
            pages += 1;
        }
        pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn what_fires_within_a_groups_interval_is_told_at_its_end_at_once() {
        let route = "{receiver: ops, group_by: [service], group_interval: 1m,
            routes: [{matchers: ['severity=page'], group_by: [...]}]}";
        let options = Options {
            route: serde_saphyr::from_str(route).unwrap(),
            receivers: serde_saphyr::from_str("[{name: ops, webhook_configs: [{url: 'http://h/'}]}]").unwrap(),
            ..Options::default()
        };
        let labels = |text: &str| -> BTreeMap<String, String> {
            text.split(' ').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
        };
        let pages = |options: &Options, fired: &[(i64, &str)]| -> usize {
            let mut pages = Pages::new(options.notify().unwrap());
            fired.iter().map(|(second, text)| pages.fires(&labels(text), second * 1000)).sum()
        };
        let fired = [(0, "service=a i=1"), (0, "service=a i=2"), (10, "service=a i=3"), (59, "service=a i=4")];
        assert_eq!(pages(&options, &fired), 2, "at once, and of the last two after a minute");
        assert_eq!(pages(&options, &[(0, "service=a"), (1, "service=b"), (60, "service=a"), (200, "service=a")]), 4);
        assert_eq!(pages(&options, &[(0, "severity=page i=1"), (0, "severity=page i=2")]), 2);
        let by_name = [(0, "alertname=a i=1"), (0, "alertname=a i=2"), (0, "alertname=b")];
        assert_eq!(pages(&Options::default(), &by_name), 2);
    }
}
