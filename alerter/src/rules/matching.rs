//! Matchers over series that are not in the store.

use crate::series::read::{Labels, MatchOp, Matcher};

/// A matcher, ready to be asked.
pub(super) enum Compiled<'a> {
    Is(&'a str, &'a str, bool),
    Matches(&'a str, regex::Regex, bool),
    Never,
}

pub(super) fn compile(matcher: &Matcher) -> Compiled<'_> {
    match matcher.op {
        MatchOp::Equal => Compiled::Is(&matcher.name, &matcher.value, true),
        MatchOp::NotEqual => Compiled::Is(&matcher.name, &matcher.value, false),
        MatchOp::Match | MatchOp::NoMatch => regex::Regex::new(&format!("^(?s:{})$", matcher.value))
            .map_or(Compiled::Never, |regex| Compiled::Matches(&matcher.name, regex, matcher.op == MatchOp::Match)),
    }
}

impl Compiled<'_> {
    pub(super) fn accepts(&self, labels: &Labels) -> bool {
        let value = |name: &str| labels.get(name).unwrap_or_default();
        match self {
            Self::Is(name, text, wanted) => (value(name) == *text) == *wanted,
            Self::Matches(name, regex, wanted) => regex.is_match(value(name)) == *wanted,
            Self::Never => false,
        }
    }
}
