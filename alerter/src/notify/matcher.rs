//! Conditions on labels, as Alertmanager writes them: `severity="page"`, `team=~"a|b"`, `team!=c`; several with commas
//! between them, in braces or without. A name is any text; one with a space or a sign of the syntax in it stands in
//! quotes. In quotes, `\"`, `\\` and `\n` are escapes, and any other backslash is itself, so that a pattern is written as
//! it is: `gpu=~"gpu-\d+"`.

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
    /// A value without quotes that holds a sign which needs them, or stands in other quotes.
    #[error("«{0}» is not a value; one with spaces or any of {SIGNS} stands in \" quotes, as \"page\"")]
    Value(String),
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

    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        let is = self.regex.as_ref().map_or(value == self.value, |regex| regex.is_match(value));
        is != self.negated
    }
}

/// A text in quotes, as [`quoted`] reads it.
fn quotes(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
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
        let value = quotes(&self.value);
        if self.name.contains(is_sign) {
            write!(f, "{}{op}{value}", quotes(&self.name))
        } else {
            write!(f, "{}{op}{value}", self.name)
        }
    }
}

impl FromStr for LabelMatcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        let (matcher, rest) = one(text.trim(), text)?;
        if rest.is_empty() { Ok(matcher) } else { Err(MatcherError::Form(text.to_owned())) }
    }
}

/// All conditions of a text such as `{severity="page", team=~"a|b"}`; a comma behind the last is of no account.
pub(super) fn matchers(text: &str) -> Result<Vec<LabelMatcher>, MatcherError> {
    let form = || MatcherError::Form(text.to_owned());
    let whole = text.trim();
    let mut rest = match whole.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}').ok_or_else(form)?.trim(),
        None => whole,
    };
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (matcher, behind) = one(rest, text)?;
        found.push(matcher);
        rest = match behind.strip_prefix(',') {
            Some(behind) => behind.trim_start(),
            None if behind.is_empty() => behind,
            None => return Err(form()),
        };
    }
    Ok(found)
}

/// The condition that a text begins with, and what is behind it: nothing, or a comma and more.
fn one<'a>(text: &'a str, whole: &str) -> Result<(LabelMatcher, &'a str), MatcherError> {
    let form = || MatcherError::Form(whole.to_owned());
    let (name, rest) = if text.starts_with('"') {
        quoted(text)?
    } else {
        let (name, rest) = text.split_at(text.find(['=', '!']).ok_or_else(form)?);
        let name = name.trim();
        if name.contains(is_sign) {
            return Err(MatcherError::Name(name.to_owned()));
        }
        (name.to_owned(), rest)
    };
    let rest = rest.trim_start();
    let op = ["=~", "!~", "!=", "="].into_iter().find(|op| rest.starts_with(op)).ok_or_else(form)?;
    let rest = rest[op.len()..].trim_start();
    let (value, rest) = if rest.starts_with('"') {
        let (value, behind) = quoted(rest)?;
        if !behind.is_empty() && !behind.starts_with(',') {
            return Err(MatcherError::Quotes(rest.to_owned()));
        }
        (value, behind)
    } else {
        let (value, behind) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
        let value = value.trim_end();
        // A pattern may hold such signs as Alertmanager has always taken it; what opens or closes quotes is a mistake.
        if value.starts_with(['\'', '`']) || value.contains('"') || (!op.contains('~') && value.contains(is_sign)) {
            return Err(MatcherError::Value(value.to_owned()));
        }
        (value.to_owned(), behind)
    };
    Ok((LabelMatcher::new(&name, &value, op.contains('~'), op.starts_with('!'))?, rest))
}

/// What the quotes at the beginning hold, and what is behind them and the white space there.
fn quoted(text: &str) -> Result<(String, &str), MatcherError> {
    let (mut inner, mut is_escaped) = (String::new(), false);
    for (at, c) in text.char_indices().skip(1) {
        match (is_escaped, c) {
            (false, '"') => return Ok((inner, text[at + 1..].trim())),
            (false, '\\') => {
                is_escaped = true;
                continue;
            }
            (true, '"' | '\\') | (false, _) => inner.push(c),
            (true, 'n') => inner.push('\n'),
            (true, _) => inner.extend(['\\', c]),
        }
        is_escaped = false;
    }
    Err(MatcherError::Quotes(text.to_owned()))
}

/// A list of texts, each of one condition or several.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Matchers(Vec<LabelMatcher>);

impl<'de> Deserialize<'de> for Matchers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let all: Result<Vec<_>, MatcherError> = texts.iter().map(|text| matchers(text)).collect();
        Ok(Self(all.map_err(serde::de::Error::custom)?.concat()))
    }
}

impl Matchers {
    /// These and those of the older form, in the order that Alertmanager's group keys have them in.
    pub(super) fn with(
        self,
        equal: &BTreeMap<String, String>,
        patterns: &BTreeMap<String, String>,
    ) -> Result<Vec<LabelMatcher>, MatcherError> {
        let mut all = self.0;
        for (name, value) in equal {
            all.push(LabelMatcher::new(name, value, false, false)?);
        }
        for (name, pattern) in patterns {
            // As Alertmanager shows them.
            all.push(LabelMatcher::new(name, &format!("^(?:{pattern})$"), true, false)?);
        }
        let key = |m: &LabelMatcher| (m.name.clone(), m.value.clone(), m.regex.is_some(), m.negated);
        all.sort_by_cached_key(key);
        Ok(all)
    }
}

/// Conditions as Alertmanager shows them: `{a="b",c=~"d|e"}`.
pub(super) fn shown(matchers: &[LabelMatcher]) -> String {
    let texts: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    format!("{{{}}}", texts.join(","))
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
            ("severity = 'page'", "«'page'» is not a value; one with"),
            ("a=`b`", "«`b`» is not a value"),
            ("a=b c", "«b c» is not a value"),
            ("a=b, c=d", "is not a matcher"),
            (r#"a="x"#, "«\"x» is not text in quotes"),
            (r#"a="x" y"#, "«\"x\" y» is not text in quotes"),
            (r#""a=x"#, "«\"a=x» is not text in quotes"),
            (r#"a="\""#, r#"«"\"» is not text in quotes"#),
            (r#""a"~"x""#, "is not a matcher"),
            ("a=~(", "«(» does not hold a regular expression: unclosed group"),
        ] {
            let error = text.parse::<LabelMatcher>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_is() {
        assert!(holds(r#"gpu=~"gpu-\d+""#, "gpu", "gpu-42"));
        assert!(holds(r"gpu=~gpu-\d+", "gpu", "gpu-42"));
        assert!(holds(r#"a="x\ny\tz\\""#, "a", "x\ny\\tz\\"));
    }

    #[test]
    fn several_conditions_stand_in_one_text_with_or_without_braces() {
        let shown = |text: &str| {
            let all = matchers(text)?;
            Ok(all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        for (text, want) in [
            (r#"{a="b"}"#, r#"a="b""#),
            (r#"{ a = "b,c" , d=~"e|f", }"#, r#"a="b,c" d=~"e|f""#),
            ("a=b,c!=d", r#"a="b" c!="d""#),
            ("{}", ""),
        ] {
            assert_eq!(shown(text), Ok(want.to_owned()), "{text}");
        }
        for text in [r#"{a="b""#, r#"a="b" c="d""#, "{a='b'}", ",", "{a=b,,c=d}"] {
            assert!(shown(text).is_err(), "{text}: {:?}", shown(text) as Result<String, MatcherError>);
        }
    }
}
