//! How much was redacted.

use super::rule::Pattern;
use super::scan::Kind;

const EXPRESSION: usize = Pattern::ALL.len();
const WHOLE: usize = EXPRESSION + 1;

/// How many values were replaced or removed, by what found them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; WHOLE + 1]);

impl Counts {
    /// How many of a pattern.
    pub fn of(&self, pattern: Pattern) -> u64 {
        self.0[pattern as usize]
    }

    /// Name and count of each pattern, then `expression` for the rules' own expressions, then `whole` for values that
    /// a rule takes whatever is in them. Zeros are included.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = Pattern::ALL.iter().map(|pattern| pattern.name()).chain(["expression", "whole"]);
        names.zip(self.0.iter().copied())
    }

    /// All of them together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds what another part of the work counted.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    pub(super) fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Pattern(pattern) => self.0[pattern as usize] += 1,
            Kind::Expression(_) => self.0[EXPRESSION] += 1,
        }
    }

    pub(super) fn count_whole(&mut self) {
        self.0[WHOLE] += 1;
    }
}
