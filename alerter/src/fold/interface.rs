//! How the configuration renames interfaces.

use ahash::AHashMap;
use regex::Regex;
use serde::Deserialize;

/// Names remembered with what became of them; above, they are forgotten and made anew.
const CACHE: usize = 10_000;

/// Renames interfaces that match.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// A regular expression, found anywhere in the interface.
    #[serde(rename = "match")]
    pub pattern: String,
    /// What stands in for each place found; `$1` is the first group.
    pub replace: String,
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("interfaces: «{pattern}» is not a regular expression")]
pub struct RewriteError {
    pattern: String,
    source: Box<regex::Error>,
}

/// Rules in order: the first that matches is applied, the others are not.
#[derive(Debug, Clone, Default)]
pub struct Rewrites {
    rules: Vec<(Regex, String)>,
    cache: AHashMap<String, String>,
}

impl Rewrites {
    /// Compiles the rules.
    pub fn new(rules: &[Rewrite]) -> Result<Self, RewriteError> {
        let compile = |rule: &Rewrite| match Regex::new(&rule.pattern) {
            Ok(pattern) => Ok((pattern, rule.replace.clone())),
            Err(error) => Err(RewriteError { pattern: rule.pattern.clone(), source: Box::new(error) }),
        };
        Ok(Self { rules: rules.iter().map(compile).collect::<Result<_, _>>()?, cache: AHashMap::new() })
    }

    /// Renames by the rules.
    pub(super) fn apply(&mut self, name: &mut String) {
        if self.rules.is_empty() {
            return;
        }
        if let Some(known) = self.cache.get(name.as_str()) {
            known.clone_into(name);
            return;
        }
        let rule = self.rules.iter().find(|(pattern, _)| pattern.is_match(name));
        let renamed = rule.map_or(name.as_str().into(), |(pattern, by)| pattern.replace_all(name, by.as_str()));
        let renamed = super::clip(&renamed).to_owned();
        if self.cache.len() >= CACHE {
            self.cache.clear();
        }
        self.cache.insert(std::mem::replace(name, renamed.clone()), renamed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_renames() {
        let rule = |pattern: &str, replace: &str| Rewrite { pattern: pattern.to_owned(), replace: replace.to_owned() };
        let mut rewrites = Rewrites::new(&[rule("/users/[0-9]+", "/users/{id}"), rule("^GET (.*)$", "$1")]).unwrap();
        for _ in 0..2 {
            for (name, want) in
                [("GET /users/17/x", "GET /users/{id}/x"), ("GET /ocr", "/ocr"), ("POST /ocr", "POST /ocr")]
            {
                let mut name = name.to_owned();
                rewrites.apply(&mut name);
                assert_eq!(name, want);
            }
        }
        assert!(Rewrites::new(&[rule("(", "")]).unwrap_err().to_string().starts_with("interfaces: "));
    }
}
