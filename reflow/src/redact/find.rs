//! What the rules of one field find in a text, and what they put in its place.

use std::cmp::Reverse;

use regex::Regex;

use super::counts::Counts;
use super::key::HmacKey;
use super::rule::{Method, Pattern};
use super::scan::{Hit, Kind, Scanner, normal, placeholder_length};

/// Patterns and expressions of one field, each with its method.
#[derive(Debug)]
pub(super) struct Finder {
    scanner: Scanner,
    methods: [Option<Method>; Pattern::ALL.len()],
    expressions: Vec<(Regex, Method)>,
}

impl Finder {
    /// The first method of a pattern is the one that counts.
    pub(super) fn new(patterns: &[(Pattern, Method)], expressions: Vec<(Regex, Method)>) -> Self {
        let mut methods = [None; Pattern::ALL.len()];
        for (pattern, method) in patterns {
            methods[*pattern as usize].get_or_insert(*method);
        }
        Self { scanner: Scanner::new(patterns.iter().map(|(pattern, _)| *pattern)), methods, expressions }
    }

    pub(super) fn wants(&self, pattern: Pattern) -> bool {
        self.scanner.wants(pattern)
    }

    /// What is found, in the order of the text and apart from each other.
    pub(super) fn hits(&self, text: &str) -> Vec<Hit> {
        self.hits_with(text, None)
    }

    /// The same, with one more that is known from elsewhere.
    pub(super) fn hits_with(&self, text: &str, known: Option<Hit>) -> Vec<Hit> {
        let mut hits = Vec::from_iter(known);
        self.scanner.scan(text, &mut hits);
        for (at, (expression, _)) in self.expressions.iter().enumerate() {
            let found = expression.find_iter(text).filter(|found| !found.is_empty());
            let found = found.map(|found| Hit { start: found.start(), end: found.end(), kind: Kind::Expression(at) });
            hits.extend(found.filter(|hit| !is_in_placeholder(text.as_bytes(), hit)));
        }
        resolve(hits)
    }

    /// The text with every hit replaced.
    pub(super) fn replace(&self, text: &str, hits: &[Hit], key: &HmacKey, counts: &mut Counts) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for hit in hits {
            out.push_str(&text[done..hit.start]);
            done = hit.end;
            counts.count(hit.kind);
            let name = hit.kind.name();
            match self.method(hit.kind) {
                Method::Mask => out.extend(["[", name, "]"]),
                Method::Hmac => {
                    let hmac = key.sign(normal(hit.kind, &text[hit.start..hit.end]).as_bytes());
                    out.extend(["[", name, ":", &hmac[..PSEUDONYM_DIGITS], "]"]);
                }
                Method::Drop => {}
            }
        }
        out.push_str(&text[done..]);
        out
    }

    fn method(&self, kind: Kind) -> Method {
        match kind {
            Kind::Pattern(pattern) => self.methods[pattern as usize].unwrap_or_default(),
            Kind::Expression(at) => self.expressions.get(at).map(|(_, method)| *method).unwrap_or_default(),
        }
    }
}

/// Digits of the HMAC in a placeholder: enough that two values of a dataset do not meet by chance.
const PSEUDONYM_DIGITS: usize = 16;

/// The leftmost, then the longest, then the first pattern names what overlaps; nothing of the others is left over.
fn resolve(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| (hit.start, Reverse(hit.end), hit.kind));
    hits.dedup_by(|later, kept| {
        let overlaps = later.start < kept.end;
        if overlaps {
            kept.end = kept.end.max(later.end);
        }
        overlaps
    });
    hits
}

/// A placeholder is not redacted by an expression that happens to match it.
fn is_in_placeholder(bytes: &[u8], hit: &Hit) -> bool {
    const LONGEST: usize = "[expression:0123456789abcdef]".len();
    let from = hit.start.saturating_sub(LONGEST);
    let open = bytes[from..=hit.start].iter().rposition(|byte| *byte == b'[').map(|at| from + at);
    open.is_some_and(|open| placeholder_length(&bytes[open..]).is_some_and(|length| hit.end <= open + length))
}
