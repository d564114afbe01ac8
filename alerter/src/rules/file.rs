//! One rule file: what it holds, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::duration::Millis;
use super::load::{LoadError, Problem};
use super::template::{Templates, Text};
use crate::promql::{Kind, Query};

const LONGEST_MS: i64 = 366 * 86_400_000;

/// Rules that are evaluated together, one after the other.
#[derive(Debug, Clone)]
pub struct Group {
    /// Unique within its file.
    pub name: String,
    /// Where it is written.
    pub file: PathBuf,
    /// Milliseconds of event time between two evaluations; `None` is the evaluator's default.
    pub interval_ms: Option<i64>,
    /// How far in the past it is evaluated, in milliseconds.
    pub query_offset_ms: i64,
    /// Greatest number of alerts or series of one rule; 0 is no limit of its own.
    pub limit: usize,
    /// In order.
    pub rules: Vec<Arc<Rule>>,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// What it makes.
    pub kind: RuleKind,
    /// What it asks.
    pub query: Query,
    /// Labels put on what it makes, the group's among them; templates in an alerting rule.
    pub labels: BTreeMap<String, Text>,
    /// Line of its expression.
    pub line: u64,
}

/// What a rule makes.
#[derive(Debug)]
pub enum RuleKind {
    /// Alerts.
    Alert {
        /// The label `alertname`.
        name: String,
        /// Milliseconds that it must be so before it fires.
        for_ms: i64,
        /// Milliseconds that it goes on firing when it is no longer so.
        keep_firing_ms: i64,
        /// Templates.
        annotations: BTreeMap<String, Text>,
    },
    /// A series of this name.
    Record(String),
}

impl Rule {
    /// The alert's name, or the series'.
    pub fn name(&self) -> &str {
        match &self.kind {
            RuleKind::Alert { name, .. } | RuleKind::Record(name) => name,
        }
    }

    /// What makes it the same rule after a change of the file: its name and labels, as Prometheus has it.
    pub(crate) fn identity(&self) -> String {
        let labels = self.labels.iter().map(|(name, value)| format!(",{name}={:?}", value.source()));
        std::iter::once(self.name().to_owned()).chain(labels).collect()
    }
}

impl Group {
    /// What makes it the same group after a change: its file and name.
    pub(super) fn identity(&self) -> String {
        group_identity(&self.file, &self.name)
    }
}

/// What makes it the same group after a change.
pub(super) fn group_identity(file: &Path, name: &str) -> String {
    format!("{};{name}", file.display())
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileYaml {
    groups: Option<Vec<GroupYaml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupYaml {
    name: String,
    interval: Option<Millis>,
    query_offset: Option<Millis>,
    limit: Option<usize>,
    #[serde(default)]
    labels: Option<Texts>,
    #[serde(default)]
    rules: Option<Vec<Spanned<RuleYaml>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleYaml {
    record: Option<String>,
    alert: Option<String>,
    expr: Option<Spanned<String>>,
    #[serde(rename = "for")]
    hold: Option<Millis>,
    keep_firing_for: Option<Millis>,
    labels: Option<Texts>,
    annotations: Option<Texts>,
}

/// Names and texts; one that is null is empty.
type Texts = BTreeMap<String, Option<String>>;

/// Reads a file's text; all that is wrong with its rules is told at once.
pub(super) fn parse(file: &Path, text: &str, templates: Templates) -> Result<Vec<Group>, Vec<LoadError>> {
    let at = |line: Option<u64>, group: &str, rule: &str, problem: Problem| LoadError {
        file: file.to_owned(),
        line,
        group: group.to_owned(),
        rule: rule.to_owned(),
        problem,
    };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    // A file may be several documents.
    let documents: Vec<FileYaml> = serde_saphyr::from_multiple(text).map_err(|error| {
        let line = error.location().map(|location| location.line());
        vec![at(line, "", "", Problem::from_yaml(&error))]
    })?;
    let mut errors = Vec::new();
    let mut groups = Vec::new();
    let mut names = BTreeSet::new();
    for group in documents.into_iter().flat_map(|document| document.groups.unwrap_or_default()) {
        if group.name.is_empty() {
            errors.push(at(None, "", "", Problem::Invalid("a group has no name".to_owned())));
        }
        if !names.insert(group.name.clone()) {
            errors.push(at(None, &group.name, "", Problem::Invalid("there are two groups of this name".to_owned())));
        }
        let given = [group.interval, group.query_offset];
        if given.into_iter().flatten().any(|span| span.0 > LONGEST_MS) {
            let problem = Problem::Invalid("`interval` and `query_offset` are at most a year".to_owned());
            errors.push(at(None, &group.name, "", problem));
        }
        if group.interval == Some(Millis(0)) {
            errors.push(at(None, &group.name, "", Problem::Invalid("the interval must not be 0".to_owned())));
        }
        let mut rules = Vec::new();
        let shared = group.labels.unwrap_or_default();
        for spanned in group.rules.unwrap_or_default() {
            let start = spanned.referenced.line();
            let yaml = spanned.value;
            let name = yaml.alert.clone().or_else(|| yaml.record.clone()).unwrap_or_default();
            match rule(yaml, &shared, start, templates) {
                Ok(rule) => rules.push(Arc::new(rule)),
                Err(problems) => {
                    errors.extend(problems.into_iter().map(|(line, p)| at(Some(line), &group.name, &name, p)));
                }
            }
        }
        groups.push(Group {
            name: group.name,
            file: file.to_owned(),
            interval_ms: group.interval.map(|interval| interval.0),
            query_offset_ms: group.query_offset.map_or(0, |offset| offset.0),
            limit: group.limit.unwrap_or(0),
            rules,
        });
    }
    if errors.is_empty() { Ok(groups) } else { Err(errors) }
}

fn is_label(name: &str) -> bool {
    // Prometheus takes any UTF-8 since version 3.
    !name.is_empty() && name != "__name__"
}

fn is_metric(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn rule(yaml: RuleYaml, shared: &Texts, start: u64, templates: Templates) -> Result<Rule, Vec<(u64, Problem)>> {
    let mut problems = Vec::new();
    let mut wrong = |line: u64, text: &str| problems.push((line, Problem::Invalid(text.to_owned())));
    let expr_line = yaml.expr.as_ref().map_or(start, |expr| expr.referenced.line());
    match (&yaml.alert, &yaml.record) {
        (Some(_), Some(_)) => wrong(start, "a rule has either `alert` or `record`, not both"),
        (None, None) => wrong(start, "a rule needs `alert` or `record`"),
        (Some(name), None) if name.is_empty() => wrong(start, "`alert` must not be empty"),
        (None, Some(name)) if !is_metric(name) => {
            wrong(start, "`record` must be a metric name such as job:calls:rate1m");
        }
        _ => {}
    }
    if yaml.record.is_some() {
        if yaml.hold.is_some() {
            wrong(start, "`for` is only for alerts");
        }
        if yaml.keep_firing_for.is_some() {
            wrong(start, "`keep_firing_for` is only for alerts");
        }
        if yaml.annotations.is_some() {
            wrong(start, "`annotations` are only for alerts");
        }
    }
    let query = match &yaml.expr {
        Some(expr) if !expr.value.trim().is_empty() => match Query::parse(&expr.value) {
            Ok(query) if matches!(query.kind(), Kind::Scalar | Kind::Vector) => Some(query),
            Ok(_) => {
                let text = "a rule needs an instant vector or a scalar, not a range vector or a string";
                problems.push((expr_line, Problem::Invalid(text.to_owned())));
                None
            }
            Err(error) => {
                problems.push((expr_line, Problem::Query(error)));
                None
            }
        },
        _ => {
            problems.push((start, Problem::Invalid("a rule needs `expr`".to_owned())));
            None
        }
    };
    let is_alert = yaml.alert.is_some();
    let mut texts = |all: Texts, what: &str| {
        let mut made = BTreeMap::new();
        for (name, text) in all {
            let text = text.unwrap_or_default();
            if !is_label(&name) {
                problems.push((start, Problem::Invalid(format!("`{name}` is not a name for {what}"))));
                continue;
            }
            match if is_alert { templates.parse(&text) } else { Ok(Text::plain(&text)) } {
                Ok(text) => {
                    made.insert(name, text);
                }
                Err(error) => {
                    problems
                        .push((start, Problem::Template { of: format!("{what} `{name}`"), source: Arc::new(error) }));
                }
            }
        }
        made
    };
    let mut labels = shared.clone();
    labels.extend(yaml.labels.unwrap_or_default());
    let labels = texts(labels, "label");
    let annotations = texts(yaml.annotations.unwrap_or_default(), "annotation");
    if let (Some(query), true) = (query, problems.is_empty()) {
        let kind = match (yaml.alert, yaml.record) {
            (Some(name), _) => RuleKind::Alert {
                name,
                for_ms: yaml.hold.map_or(0, |hold| hold.0),
                keep_firing_ms: yaml.keep_firing_for.map_or(0, |keep| keep.0),
                annotations,
            },
            (None, record) => RuleKind::Record(record.unwrap_or_default()),
        };
        return Ok(Rule { kind, query, labels, line: expr_line });
    }
    Err(problems)
}
