//! Conditions on labels, as Alertmanager writes them: `severity="page"`, `team=~"a|b"`, `team!=c`. A name is any text;
//! one with a space or a sign of the syntax in it stands in quotes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer};

use crate::options::reason;

/// What a pattern may take when compiled, in bytes.
const REGEX_BYTES: usize = 1 << 16;

/// What tells the parts of a matcher apart, so not part of a name without quotes.
const SIGNS: &str = "{}!=~,\\\"'`";

fn is_sign(c: char) -> bool {
    c.is_whitespace() || SIGNS.contains(c)
}

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
    /// A label's name that is not there, or holds what must be quoted.
    #[error("«{0}» is not the name of a label; one with spaces or any of {SIGNS} stands in quotes, as \"my label\"")]
    Name(String),
    /// Quotes without an end, or with more behind it.
    #[error("«{0}» is not text in quotes, such as \"page\"; a \" or \\ in it has a \\ before it")]
    Quotes(String),
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
        if name.is_empty() {
            return Err(MatcherError::Name(name.to_owned()));
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
        if self.name.contains(is_sign) {
            write!(f, "{:?}{op}{:?}", self.name, self.value)
        } else {
            write!(f, "{}{op}{:?}", self.name, self.value)
        }
    }
}

impl FromStr for LabelMatcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        let form = || MatcherError::Form(text.to_owned());
        let (name, rest) = if text.trim_start().starts_with('"') {
            quoted(text.trim_start())?
        } else {
            let (name, rest) = text.split_at(text.find(['=', '!']).ok_or_else(form)?);
            let name = name.trim();
            if name.contains(is_sign) {
                return Err(MatcherError::Name(name.to_owned()));
            }
            (name.to_owned(), rest)
        };
        let rest = rest.trim();
        let op = ["=~", "!~", "!=", "="].into_iter().find(|op| rest.starts_with(op)).ok_or_else(form)?;
        let value = rest[op.len()..].trim_start();
        let value = if value.starts_with('"') {
            let (inner, behind) = quoted(value)?;
            if !behind.is_empty() {
                return Err(MatcherError::Quotes(value.to_owned()));
            }
            inner
        } else {
            value.to_owned()
        };
        Self::new(&name, &value, op.contains('~'), op.starts_with('!'))
    }
}

/// What the quotes at the beginning hold, and what is behind them.
fn quoted(text: &str) -> Result<(String, &str), MatcherError> {
    let mut read = serde_json::Deserializer::from_str(text).into_iter::<String>();
    match read.next() {
        Some(Ok(inner)) => Ok((inner, text.get(read.byte_offset()..).unwrap_or_default())),
        _ => Err(MatcherError::Quotes(text.to_owned())),
    }
}

impl<'de> Deserialize<'de> for LabelMatcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(matcher: &str, name: &str, value: &str) -> bool {
        let matcher: LabelMatcher = matcher.parse().unwrap();
        assert_eq!(matcher.to_string().parse::<LabelMatcher>().unwrap(), matcher, "what is shown can be read");
        matcher.matches(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn a_name_is_any_text_and_one_with_signs_is_quoted() {
        assert!(holds("severity = page", "severity", "page"));
        assert!(holds(r#"k8s-app="x""#, "k8s-app", "x"));
        assert!(holds(r#"服务=~"识.""#, "服务", "识别"));
        assert!(holds(r#" "k8s-app" != "x""#, "k8s-app", "y"));
        assert!(holds(r#""a \"b\"=c"="x \" y""#, "a \"b\"=c", "x \" y"));
        assert!(!holds("a!~b|c", "a", "c"));
    }

    #[test]
    fn what_is_no_matcher_says_what_is_wrong() {
        for (text, part) in [
            ("alertname", "«alertname» is not a matcher"),
            ("", "«» is not a matcher"),
            ("=x", "«» is not the name"),
            (r#"""="x""#, "«» is not the name"),
            ("my label=x", "«my label» is not the name"),
            ("{a=b}", "«{a» is not the name"),
            (r#"a="x"#, "«\"x» is not text in quotes"),
            (r#"a="x" y"#, "«\"x\" y» is not text in quotes"),
            (r#""a=x"#, "«\"a=x» is not text in quotes"),
            (r#""a"~"x""#, "is not a matcher"),
            ("a=~(", "«(» does not hold a regular expression: unclosed group"),
        ] {
            let error = text.parse::<LabelMatcher>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
