//! What a credential's tenants see of series, alerts, rules and silences. The handlers and autoscalers reach these through here alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use weir_service::auth::Tenants;

use crate::engine::Engine;
use crate::history::Entry;
use crate::notify::{AlertGroup, Book, Notification, Silence, SilenceMatcher};
use crate::replay::Sees;
use crate::rules::{GroupStatus, Health, Rule, Transition};
use crate::series::feed::Shared;
use crate::series::progress::Standing;
use crate::series::read::{Labels, MatchOp, Matcher, Read, Series};

/// The label, and the matcher, that says whose something is.
pub(super) const TENANT: &str = "tenant";

/// All there is to be seen; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sight {
    shared: Shared,
    engine: Engine,
    silences: Arc<Book>,
}

/// The part of it that some tenants see. As [`Read`], it has their series and no others, whatever a query asks for.
#[derive(Debug)]
pub(crate) struct View<'a> {
    sight: &'a Sight,
    tenants: &'a Tenants,
}

impl Sight {
    pub(super) fn new(shared: Shared, engine: Engine) -> Self {
        Self { silences: engine.silences(), shared, engine }
    }

    pub(crate) fn of<'a>(&'a self, tenants: &'a Tenants) -> View<'a> {
        View { sight: self, tenants }
    }

    #[cfg(test)]
    pub(super) fn notifications(&self) -> &crate::notify::NotificationLog {
        self.engine.notifier().log()
    }

    #[cfg(test)]
    pub(super) fn engine_history(&self) -> &crate::history::History {
        self.engine.history()
    }

    /// How far event time has come, of all tenants' calls together.
    pub(crate) fn watermark(&self) -> Option<u64> {
        self.shared.watermark()
    }

    /// The collectors that say how far they are.
    pub(crate) fn collectors(&self) -> Vec<Standing> {
        self.shared.collectors()
    }

    /// When a call ended last, of whomever.
    pub(super) fn last_call_unix_nano(&self) -> u64 {
        self.shared.store.read().last_call_unix_nano()
    }

    /// Event time up to which rules were evaluated.
    pub(super) fn evaluated_ms(&self) -> Option<i64> {
        self.engine.evaluated_ms()
    }
}

impl Read for View<'_> {
    fn each(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, take: &mut dyn FnMut(Series) -> ControlFlow<()>) {
        let sees = |labels: &Labels| self.sees(labels.get(TENANT));
        self.sight.shared.store.read().each_where(matchers, (start_ms, end_ms), &sees, take);
    }
}

impl View<'_> {
    fn sees(&self, tenant: Option<&str>) -> bool {
        sees(self.tenants, tenant)
    }

    /// Labels of the series that satisfy the matchers; with times, of those that have samples between them.
    pub(super) fn labels(&self, matchers: &[Matcher], between: Option<(i64, i64)>) -> Vec<Labels> {
        let store = self.sight.shared.store.read();
        let mut found = match between {
            Some((start, end)) => store.labels_between(matchers, start, end),
            None => store.labels(matchers),
        };
        found.retain(|labels| self.sees(labels.get(TENANT)));
        found
    }

    /// Name and kind of every metric of which a series is seen.
    pub(super) fn kinds(&self) -> BTreeMap<String, &'static str> {
        self.sight.shared.store.read().kinds(&|labels| self.sees(labels.get(TENANT)))
    }

    /// Rules that are seen, with the alerts of them that are. Why one failed may name what is not seen.
    pub(super) fn status(&self) -> Vec<GroupStatus> {
        let mut groups = self.sight.engine.status();
        let all = self.tenants.is_all();
        for group in &mut groups {
            group.rules.retain(|rule| all || self.sees_rule(&rule.rule));
            for rule in &mut group.rules {
                rule.alerts.retain(|alert| self.sees(alert.labels.get(TENANT).map(String::as_str)));
                if let (Health::Failed(error), false) = (&mut rule.health, all) {
                    "the evaluation failed; its log says more".clone_into(error);
                }
            }
        }
        groups.retain(|group| all || !group.rules.is_empty());
        groups
    }

    /// Transitions of alerts that are seen, with a number below `before`, newest first, as long as `take` says so. Those of
    /// a rule that is not seen are not either, nor those of one that is gone: nobody knows of which tenants it told.
    pub(super) fn history(&self, before: Option<u64>, mut take: impl FnMut(&Entry) -> bool) {
        let mut seen = BTreeSet::new();
        if !self.tenants.is_all() {
            for group in self.sight.engine.status() {
                let rules = group.rules.iter().filter(|rule| self.sees_rule(&rule.rule));
                seen.extend(rules.map(|rule| (group.identity(), rule.rule.identity())));
            }
        }
        self.sight.engine.history().visit(before, |entry| {
            let Transition { labels, group, rule, .. } = &*entry.transition;
            let is_seen = self.sees(labels.get(TENANT).map(String::as_str))
                && (self.tenants.is_all() || seen.contains(&(group.to_string(), rule.clone())));
            !is_seen || take(entry)
        });
    }

    /// What is wrong with the rule files: for those who see all.
    pub(super) fn bad_files(&self) -> Option<String> {
        self.sight.engine.bad_files().filter(|_| self.tenants.is_all())
    }

    /// What is wrong with Alertmanager's configuration: for those who see all.
    pub(super) fn bad_config(&self) -> Option<String> {
        self.sight.engine.bad_config().filter(|_| self.tenants.is_all())
    }

    /// A rule for all tenants is seen by each; one that names tenants, by those that see all that it names.
    fn sees_rule(&self, rule: &Rule) -> bool {
        let is_for_all = |matcher: &Matcher| match (matcher.op, matcher.value.as_str()) {
            (MatchOp::Match, ".*" | ".+") | (MatchOp::NotEqual | MatchOp::Equal, "") => true,
            (MatchOp::Equal, tenant) => self.tenants.allows(Some(tenant)),
            _ => false,
        };
        let mut matchers = rule.query.selectors().flat_map(|(matchers, _)| matchers);
        let label = rule.labels.get(TENANT).map(crate::rules::Text::source);
        matchers.all(|matcher| matcher.name != TENANT || is_for_all(matcher))
            && label.is_none_or(|tenant| tenant.contains("{{") || self.tenants.allows(Some(tenant)))
    }

    /// Silences that are seen.
    pub(super) fn silences(&self) -> Vec<Silence> {
        self.sight.silences.silences().all().filter(|silence| self.sees_silence(silence)).cloned().collect()
    }

    /// Those of them that silence an alert with these labels.
    pub(super) fn silenced_by(&self, labels: &BTreeMap<String, String>, now_ms: i64) -> Vec<String> {
        self.sight.silences.silences().of(labels, now_ms).into_iter().map(str::to_owned).collect()
    }

    /// The fingerprint of the alert that inhibits one with these labels.
    pub(super) fn inhibited_by(&self, labels: &BTreeMap<String, String>) -> Option<String> {
        self.sight.engine.notifier().inhibited_by(labels).map(|fingerprint| format!("{fingerprint:016x}"))
    }

    /// The groups that notifications are sent of, with the alerts of them that are seen, and when these were last heard
    /// of, in unix milliseconds.
    pub(super) fn groups(&self) -> (Vec<AlertGroup>, i64) {
        let (mut groups, updated_ms) = self.sight.engine.notifier().groups();
        for group in &mut groups {
            group.alerts.retain(|alert| self.sees(alert.labels.get(TENANT).map(String::as_str)));
        }
        groups.retain(|group| !group.alerts.is_empty());
        (groups, updated_ms)
    }

    /// Notifications of which all alerts are seen, before a time and an id, newest first, as long as `take` says so.
    pub(super) fn notifications(&self, before: Option<(i64, u64)>, mut take: impl FnMut(&Notification) -> bool) {
        self.sight.engine.notifier().log().visit(before, |one| {
            let is_seen = one.tenants.iter().all(|tenant| self.sees(tenant.as_deref()));
            !is_seen || take(one)
        });
    }

    /// Names of the receivers: for those who see all.
    pub(super) fn receivers(&self) -> Vec<String> {
        if self.tenants.is_all() { self.sight.engine.notifier().receivers() } else { Vec::new() }
    }

    /// How notifications are configured, without secrets: for those who see all.
    pub(super) fn notification_config(&self) -> Option<String> {
        self.tenants.is_all().then(|| self.sight.engine.notifier().shown())
    }

    /// The silences, to be changed, where the one with this id is seen.
    pub(super) fn book(&self, id: &str) -> Option<&Book> {
        let silences = self.sight.silences.silences();
        let is_seen = silences.all().find(|silence| silence.id == id).is_some_and(|silence| self.sees_silence(silence));
        is_seen.then_some(&*self.sight.silences)
    }

    /// The silences, to be added to.
    pub(super) fn new_silences(&self) -> &Book {
        &self.sight.silences
    }

    /// One that is for a tenant by a plain matcher is seen by that tenant, any other by those who see all.
    fn sees_silence(&self, silence: &Silence) -> bool {
        self.tenants.is_all() || silence.matchers.iter().any(|matcher| is_for(matcher, self.tenants))
    }
}

fn sees(tenants: &Tenants, tenant: Option<&str>) -> bool {
    tenants.allows(tenant.filter(|tenant| !tenant.is_empty()))
}

/// Which series a replay of these tenants' rules sees.
pub(super) fn seen_by(tenants: Tenants) -> Sees {
    Arc::new(move |labels| sees(&tenants, labels.get(TENANT)))
}

/// Whether a matcher says plainly that a silence is for one of these tenants.
pub(super) fn is_for(matcher: &SilenceMatcher, tenants: &Tenants) -> bool {
    matcher.name == TENANT && matcher.is_equal && !matcher.is_regex && tenants.allows(Some(&matcher.value))
}
