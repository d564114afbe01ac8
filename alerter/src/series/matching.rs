//! Matchers, compiled once and remembered.

use ahash::AHashMap;
use parking_lot::Mutex;
use regex::Regex;

use super::read::{Labels, MatchOp, Matcher};

const REMEMBERED: usize = 1000;
/// A pattern that compiles to more is refused.
const PATTERN_BYTES: usize = 1 << 20;

/// Patterns compiled so far; `None` where the text is no pattern.
#[derive(Debug, Default)]
pub(super) struct Patterns(Mutex<AHashMap<String, Option<Regex>>>);

/// A condition ready to be asked.
pub(super) struct Condition<'a> {
    name: &'a str,
    negative: bool,
    test: Test<'a>,
}

enum Test<'a> {
    Text(&'a str),
    Pattern(Regex),
    Never,
}

impl Patterns {
    pub(super) fn compile<'a>(&self, matchers: &'a [Matcher]) -> Vec<Condition<'a>> {
        let condition = |matcher: &'a Matcher| {
            let (pattern, negative) = match matcher.op {
                MatchOp::Equal => (false, false),
                MatchOp::NotEqual => (false, true),
                MatchOp::Match => (true, false),
                MatchOp::NoMatch => (true, true),
            };
            let test = if pattern {
                self.pattern(&matcher.value).map_or(Test::Never, Test::Pattern)
            } else {
                Test::Text(&matcher.value)
            };
            Condition { name: &matcher.name, negative, test }
        };
        matchers.iter().map(condition).collect()
    }

    fn pattern(&self, text: &str) -> Option<Regex> {
        let mut known = self.0.lock();
        if let Some(pattern) = known.get(text) {
            return pattern.clone();
        }
        let anchored = format!("^(?s:{text})$");
        let pattern = regex::RegexBuilder::new(&anchored).size_limit(PATTERN_BYTES).build().ok();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(text.to_owned(), pattern.clone());
        pattern
    }
}

/// Whether all conditions hold.
pub(super) fn all(conditions: &[Condition<'_>], labels: &Labels) -> bool {
    conditions.iter().all(|condition| {
        let value = labels.get(condition.name).unwrap_or_default();
        match &condition.test {
            Test::Text(text) => (value == *text) != condition.negative,
            Test::Pattern(pattern) => pattern.is_match(value) != condition.negative,
            Test::Never => false,
        }
    })
}
