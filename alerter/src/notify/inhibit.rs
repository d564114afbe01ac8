//! Inhibition: alerts that are not told of while another fires that explains them. Alertmanager's rules; pure.
//!
//! An alert is inhibited where it matches the target of a rule, and a firing alert matches the source and has the same
//! values of the labels in `equal`; a label that is not there is empty. One that matches both sides is not inhibited by
//! another that does too, so no alert inhibits itself. Silenced and inhibited alerts inhibit as others do.
//!
//! Beyond Alertmanager, an alert with a tenant (label `tenant`) inhibits alerts of this tenant only: no tenant may keep
//! another from being told. One without, as of a GPU or a node, inhibits those of all tenants.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;

use super::alert::{Labels, fingerprint};
use super::matcher::{LabelMatcher, Matchers};

const TENANT: &str = "tenant";

/// An item of `inhibit_rules`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct InhibitRule {
    /// All must hold of the alert that inhibits.
    source: Vec<LabelMatcher>,
    /// All must hold of the alert that is inhibited.
    target: Vec<LabelMatcher>,
    /// Labels that both have the same values of.
    equal: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    source_match: BTreeMap<String, String>,
    source_match_re: BTreeMap<String, String>,
    source_matchers: Matchers,
    target_match: BTreeMap<String, String>,
    target_match_re: BTreeMap<String, String>,
    target_matchers: Matchers,
    equal: Vec<String>,
}

impl TryFrom<Raw> for InhibitRule {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let source = raw.source_matchers.with(&raw.source_match, &raw.source_match_re);
        let target = raw.target_matchers.with(&raw.target_match, &raw.target_match_re);
        Ok(Self {
            source: source.map_err(|error| error.to_string())?,
            target: target.map_err(|error| error.to_string())?,
            equal: raw.equal,
        })
    }
}

/// Of the source: its tenant, empty where it has none, and the values of `equal`.
type Key = (String, Vec<String>);

/// Fingerprints of firing alerts that match the source and have the same key.
#[derive(Debug, Default)]
struct Sources {
    /// Those that do not match the target.
    one_sided: BTreeSet<u64>,
    two_sided: BTreeSet<u64>,
}

#[derive(Debug)]
struct Rule {
    config: InhibitRule,
    sources: HashMap<Key, Sources>,
}

/// All rules, with the firing alerts that are sources of them.
#[derive(Debug, Default)]
pub(super) struct Inhibitor {
    rules: Vec<Rule>,
    firing: HashMap<u64, Arc<Labels>>,
}

fn value(labels: &Labels, name: &str) -> String {
    labels.get(name).cloned().unwrap_or_default()
}

fn hold(matchers: &[LabelMatcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

impl Rule {
    fn equal(&self, labels: &Labels) -> Vec<String> {
        self.config.equal.iter().map(|name| value(labels, name)).collect()
    }

    fn add(&mut self, fingerprint: u64, labels: &Labels) {
        if hold(&self.config.source, labels) {
            let key = (value(labels, TENANT), self.equal(labels));
            let is_two_sided = hold(&self.config.target, labels);
            let sources = self.sources.entry(key).or_default();
            let set = if is_two_sided { &mut sources.two_sided } else { &mut sources.one_sided };
            set.insert(fingerprint);
        }
    }

    fn remove(&mut self, fingerprint: u64, labels: &Labels) {
        let key = (value(labels, TENANT), self.equal(labels));
        if let Some(sources) = self.sources.get_mut(&key) {
            sources.one_sided.remove(&fingerprint);
            sources.two_sided.remove(&fingerprint);
            if sources.one_sided.is_empty() && sources.two_sided.is_empty() {
                self.sources.remove(&key);
            }
        }
    }

    fn inhibits(&self, labels: &Labels) -> Option<u64> {
        if self.sources.is_empty() || !hold(&self.config.target, labels) {
            return None;
        }
        let is_two_sided = hold(&self.config.source, labels);
        let tenant = value(labels, TENANT);
        let mut key = (String::new(), self.equal(labels));
        let first = |key: &Key| {
            let sources = self.sources.get(key)?;
            let two_sided = sources.two_sided.first().filter(|_| !is_two_sided);
            sources.one_sided.first().or(two_sided).copied()
        };
        first(&key).or_else(|| {
            key.0 = tenant;
            first(&key)
        })
    }
}

impl Inhibitor {
    pub(super) fn new(rules: &[InhibitRule]) -> Self {
        let rule = |rule: &InhibitRule| Rule { config: rule.clone(), sources: HashMap::new() };
        Self { rules: rules.iter().map(rule).collect(), firing: HashMap::new() }
    }

    /// Takes all alerts that fire, in place of those of the call before. Matchers are asked of those that are new only.
    pub(super) fn update<'a>(&mut self, firing: impl Iterator<Item = &'a Arc<Labels>>) {
        if self.rules.is_empty() {
            return;
        }
        let firing: HashMap<u64, Arc<Labels>> = firing.map(|labels| (fingerprint(labels), labels.clone())).collect();
        for (fingerprint, labels) in self.firing.iter().filter(|(known, _)| !firing.contains_key(known)) {
            self.rules.iter_mut().for_each(|rule| rule.remove(*fingerprint, labels));
        }
        for (fingerprint, labels) in firing.iter().filter(|(new, _)| !self.firing.contains_key(new)) {
            self.rules.iter_mut().for_each(|rule| rule.add(*fingerprint, labels));
        }
        self.firing = firing;
    }

    /// The fingerprint of a firing alert that inhibits one with these labels.
    pub(super) fn inhibited_by(&self, labels: &Labels) -> Option<u64> {
        self.rules.iter().find_map(|rule| rule.inhibits(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Arc<Labels> {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        Arc::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Which of the alerts, all of which fire, are inhibited, by whom.
    fn check(rules: &str, alerts: &[&str]) -> Vec<Option<usize>> {
        let mut inhibitor = Inhibitor::new(&serde_saphyr::from_str::<Vec<InhibitRule>>(rules).unwrap());
        let alerts: Vec<_> = alerts.iter().map(|text| labels(text)).collect();
        inhibitor.update(alerts.iter());
        let number = |by: u64| alerts.iter().position(|other| fingerprint(other) == by).unwrap();
        alerts.iter().map(|alert| inhibitor.inhibited_by(alert).map(number)).collect()
    }

    #[test]
    fn an_alert_is_inhibited_where_labels_are_equal_and_missing_ones_are_empty() {
        let rule = "[{source_matchers: [severity=critical], target_match: {severity: warning}, equal: [node, rack]}]";
        let alerts = [
            "severity=critical node=a",
            "severity=warning node=a",
            "severity=warning node=b",
            "severity=warning node=a rack=1",
        ];
        assert_eq!(check(rule, &alerts), [None, Some(0), None, None]);
    }

    #[test]
    fn an_alert_that_matches_both_sides_is_inhibited_by_those_that_match_the_source_only() {
        let rule = "[{source_match_re: {severity: 'crit.*|page'}, target_matchers: [severity=~\"page|warning\"]}]";
        assert_eq!(check(rule, &["severity=page n=1", "severity=page n=2"]), [None, None]);
        assert_eq!(check(rule, &["severity=page", "severity=warning"]), [None, Some(0)]);
        assert_eq!(check(rule, &["severity=page", "severity=critical"]), [Some(1), None]);
        assert_eq!(check("[{}]", &["a=1", "b=1"]), [None, None], "a rule without matchers has all on both sides");
    }

    #[test]
    fn an_alert_of_a_tenant_inhibits_those_of_this_tenant_and_one_of_none_those_of_all() {
        let rule = "[{source_matchers: [kind=gpu], target_matchers: [kind=p99], equal: [node]}]";
        let alerts = [
            "kind=gpu node=a tenant=acme",
            "kind=p99 node=a tenant=acme",
            "kind=p99 node=a tenant=zeta",
            "kind=p99 node=a",
            "kind=gpu node=b",
            "kind=p99 node=b tenant=zeta",
            "kind=p99 node=b",
        ];
        assert_eq!(check(rule, &alerts), [None, Some(0), None, None, None, Some(4), Some(4)]);
    }

    #[test]
    fn an_alert_inhibits_while_it_fires() {
        let rule = "[{source_matchers: [kind=gpu], target_matchers: [kind=p99]}]";
        let mut inhibitor = Inhibitor::new(&serde_saphyr::from_str::<Vec<InhibitRule>>(rule).unwrap());
        let (one, other, target) = (labels("kind=gpu n=1"), labels("kind=gpu n=2"), labels("kind=p99"));
        inhibitor.update([&one, &other, &target].into_iter());
        assert!(inhibitor.inhibited_by(&target).is_some());
        inhibitor.update([&other, &target].into_iter());
        assert_eq!(inhibitor.inhibited_by(&target), Some(fingerprint(&other)));
        inhibitor.update([&target].into_iter());
        assert!(inhibitor.inhibited_by(&target).is_none() && inhibitor.rules[0].sources.is_empty());
    }

    #[test]
    fn a_rule_that_cannot_be_is_refused() {
        for (rule, part) in [
            ("{source_match_re: {a: '('}}", "regular expression"),
            ("{target_matchers: [nonsense]}", "nonsense"),
            ("{source: {a: b}}", "source"),
        ] {
            let error = serde_saphyr::from_str::<InhibitRule>(rule).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
