//! Conditions on labels, as Alertmanager writes them: `severity="page"`, `team=~"a|b"`, `team!=c`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer};

use crate::options::reason;

/// What a pattern may take when compiled, in bytes.
const REGEX_BYTES: usize = 1 << 16;

/// One condition; a label that is not there is empty.
#[derive(Debug, Clone)]
pub struct LabelMatcher {
    name: String,
    value: String,
    regex: Option<Regex>,
    negated: bool,
}

/// Text that is no condition.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MatcherError {
    /// Not of the form.
    #[error("«{0}» is not a matcher such as severity=\"page\" or team=~\"a|b\"")]
    Form(String),
    /// The pattern.
    #[error("«{text}» does not hold a regular expression: {}", reason(.source))]
    Regex {
        /// The whole.
        text: String,
        /// What is wrong.
        source: regex::Error,
    },
}

impl LabelMatcher {
    /// From its parts; `pattern` says that the value is a regular expression.
    pub fn new(name: &str, value: &str, pattern: bool, negated: bool) -> Result<Self, MatcherError> {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !name.starts_with(first) || !name.chars().all(|c| first(c) || c.is_ascii_digit() || matches!(c, '.' | ':')) {
            return Err(MatcherError::Form(name.to_owned()));
        }
        let regex = pattern
            .then(|| RegexBuilder::new(&format!("^(?:{value})$")).size_limit(REGEX_BYTES).build())
            .transpose()
            .map_err(|source| MatcherError::Regex { text: value.to_owned(), source })?;
        Ok(Self { name: name.to_owned(), value: value.to_owned(), regex, negated })
    }

    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let is = self.regex.as_ref().map_or(value == self.value, |regex| regex.is_match(value));
        is != self.negated
    }
}

impl PartialEq for LabelMatcher {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match (self.regex.is_some(), self.negated) {
            (false, false) => "=",
            (false, true) => "!=",
            (true, false) => "=~",
            (true, true) => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}

impl FromStr for LabelMatcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        let wrong = || MatcherError::Form(text.to_owned());
        let at = text.find(['=', '!']).ok_or_else(wrong)?;
        let name = text.get(..at).unwrap_or_default().trim();
        let rest = text.get(at..).unwrap_or_default();
        let (op, value) = ["=~", "!~", "!=", "="]
            .iter()
            .find_map(|op| rest.strip_prefix(op).map(|value| (*op, value.trim())))
            .ok_or_else(wrong)?;
        let value = match value.strip_prefix('"') {
            Some(quoted) => serde_json::from_str(value).map_err(|_| MatcherError::Form(quoted.to_owned()))?,
            None => value.to_owned(),
        };
        Self::new(name, &value, op.contains('~'), op.starts_with('!'))
    }
}

impl<'de> Deserialize<'de> for LabelMatcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
