//! `write_relabel_configs`: what is sent, and under which labels, as Prometheus decides it.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::options::reason;

/// A pattern that compiles to more is refused.
const PATTERN_BYTES: usize = 1 << 20;

/// One step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelabelConfig {
    /// Labels whose values are looked at, joined by `separator`.
    pub source_labels: Vec<String>,
    /// Between them.
    pub separator: String,
    /// Must match all of the values, or of a label's name.
    pub regex: String,
    /// The label that is set.
    pub target_label: Option<String>,
    /// To what; `$1` is what the first group of `regex` matched.
    pub replacement: String,
    /// What is done.
    pub action: Action,
}

impl Default for RelabelConfig {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            regex: "(.*)".to_owned(),
            target_label: None,
            replacement: "$1".to_owned(),
            action: Action::Replace,
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Sets the target to the replacement, where the values match.
    Replace,
    /// Sets the target to the values in lower case.
    Lowercase,
    /// Sets the target to the values in upper case.
    Uppercase,
    /// Sends only series whose values match.
    Keep,
    /// Sends only others.
    Drop,
    /// Sends only series whose values are that of the target.
    KeepEqual,
    /// Sends only others.
    DropEqual,
    /// Copies labels whose names match to the name that is the replacement.
    LabelMap,
    /// Removes labels whose names match.
    LabelDrop,
    /// Removes all others.
    LabelKeep,
}

/// A step that is ready.
#[derive(Debug, Clone)]
pub(super) struct Relabel {
    config: RelabelConfig,
    target: String,
    regex: Regex,
}

/// Whether Prometheus takes this as the name of a label.
pub(super) fn is_label(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

impl RelabelConfig {
    /// The error names the key.
    pub(super) fn compile(&self) -> Result<Relabel, String> {
        let regex = RegexBuilder::new(&format!("^(?s:{})$", self.regex)).size_limit(PATTERN_BYTES).build();
        let regex = regex
            .map_err(|error| format!("regex: «{}» is not a regular expression: {}", self.regex, reason(&error)))?;
        let target = self.target_label.clone().unwrap_or_default();
        match self.action {
            Action::Replace if target.is_empty() => return Err("target_label: is missing".to_owned()),
            Action::Lowercase | Action::Uppercase | Action::KeepEqual | Action::DropEqual if !is_label(&target) => {
                return Err(format!("target_label: «{target}» is not the name of a label"));
            }
            _ => {}
        }
        Ok(Relabel { config: self.clone(), target, regex })
    }
}

impl Relabel {
    /// Changes the labels of a series, the name among them as `__name__`; false where it is not to be sent.
    pub(super) fn apply(&self, labels: &mut BTreeMap<String, String>) -> bool {
        let values: Vec<&str> =
            self.config.source_labels.iter().map(|name| labels.get(name).map_or("", String::as_str)).collect();
        let values = values.join(&self.config.separator);
        let target = labels.get(&self.target).map_or("", String::as_str);
        match self.config.action {
            Action::Keep => return self.regex.is_match(&values),
            Action::Drop => return !self.regex.is_match(&values),
            Action::KeepEqual => return values == target,
            Action::DropEqual => return values != target,
            Action::Lowercase => set(labels, self.target.clone(), values.to_lowercase()),
            Action::Uppercase => set(labels, self.target.clone(), values.to_uppercase()),
            Action::Replace => {
                if let Some(groups) = self.regex.captures(&values) {
                    let (mut name, mut value) = (String::new(), String::new());
                    groups.expand(&self.target, &mut name);
                    groups.expand(&self.config.replacement, &mut value);
                    if is_label(&name) {
                        set(labels, name, value);
                    }
                }
            }
            Action::LabelMap => {
                let copied = |(name, value): (&String, &String)| {
                    let mut to = String::new();
                    self.regex.captures(name)?.expand(&self.config.replacement, &mut to);
                    Some((to, value.clone()))
                };
                let copied: Vec<_> = labels.iter().filter_map(copied).filter(|(name, _)| is_label(name)).collect();
                for (name, value) in copied {
                    set(labels, name, value);
                }
            }
            Action::LabelDrop => labels.retain(|name, _| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain(|name, _| self.regex.is_match(name)),
        }
        true
    }
}

/// An empty value is no label.
fn set(labels: &mut BTreeMap<String, String>, name: String, value: String) {
    if value.is_empty() {
        labels.remove(&name);
    } else {
        labels.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_kept_dropped_and_renamed_as_by_prometheus() {
        for (config, want) in [
            ("{source_labels: [__name__], regex: 'up|down', action: keep}", Some("__name__=up a=1 b=2")),
            ("{source_labels: [__name__], regex: 'u', action: keep}", None),
            ("{source_labels: [a, b], regex: '1;2', action: drop}", None),
            ("{source_labels: [a, gone], separator: '', regex: '1', action: drop}", None),
            ("{source_labels: [a], target_label: c}", Some("__name__=up a=1 b=2 c=1")),
            (
                "{source_labels: [a, b], regex: '(.);(.)', target_label: 'x$1', replacement: '${2}y'}",
                Some("__name__=up a=1 b=2 x1=2y"),
            ),
            ("{source_labels: [a], regex: '2', target_label: c, replacement: no}", Some("__name__=up a=1 b=2")),
            ("{target_label: c, replacement: fixed}", Some("__name__=up a=1 b=2 c=fixed")),
            ("{target_label: a, replacement: ''}", Some("__name__=up b=2")),
            ("{source_labels: [a], target_label: '$1', replacement: x}", Some("__name__=up a=1 b=2")),
            ("{regex: 'a|b', action: labeldrop}", Some("__name__=up")),
            ("{regex: '__name__|a', action: labelkeep}", Some("__name__=up a=1")),
            ("{regex: '(a)', replacement: 'my_$1', action: labelmap}", Some("__name__=up a=1 b=2 my_a=1")),
            ("{source_labels: [__name__], target_label: up, action: uppercase}", Some("__name__=up a=1 b=2 up=UP")),
            ("{source_labels: [a], target_label: b, action: keepequal}", None),
            ("{source_labels: [a], target_label: b, action: dropequal}", Some("__name__=up a=1 b=2")),
        ] {
            let relabel = serde_saphyr::from_str::<RelabelConfig>(config).unwrap().compile().unwrap();
            let mut labels: BTreeMap<String, String> =
                [("__name__", "up"), ("a", "1"), ("b", "2")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
            let kept = relabel.apply(&mut labels);
            let shown = labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
            assert_eq!(kept.then_some(&shown[..]), want, "{config}");
        }
    }

    #[test]
    fn a_step_that_cannot_work_is_refused() {
        for (config, key) in [
            ("{regex: '('}", "regex: «(»"),
            ("{action: replace}", "target_label"),
            ("{action: uppercase, target_label: 'a-b'}", "target_label: «a-b»"),
        ] {
            let error = serde_saphyr::from_str::<RelabelConfig>(config).unwrap().compile().unwrap_err();
            assert!(error.starts_with(key), "{config}: {error}");
        }
        assert!(serde_saphyr::from_str::<RelabelConfig>("{action: hashmod, modulus: 3}").is_err());
    }
}
