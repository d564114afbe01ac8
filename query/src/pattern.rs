//! Patterns of `*` (any run of characters) and `?` (one character).

use regex::{Regex, RegexBuilder};

use crate::error::CompileError;
use crate::words::is_ideograph;

/// Most bytes of an expression that is compiled, and of what is kept while it is used: of one, and of all of a query.
const SIZE_LIMIT: usize = 1 << 20;
const SIZE_OF_ALL: usize = 8 << 20;
/// Most characters of a pattern in an error.
const MOST_SHOWN: usize = 100;

/// Most bytes of each of so many patterns of one query.
pub(crate) fn size_of_each(patterns: usize) -> usize {
    SIZE_LIMIT.min(SIZE_OF_ALL / patterns.max(1))
}

/// Characters of a pattern with escapes undone: `Ok` stands for itself, `Err` is `*` or `?`.
pub fn pieces(pattern: &str) -> impl Iterator<Item = Result<char, char>> {
    let mut chars = pattern.chars();
    std::iter::from_fn(move || match chars.next()? {
        '\\' => Some(Ok(chars.next().unwrap_or('\\'))),
        wild @ ('*' | '?') => Some(Err(wild)),
        c => Some(Ok(c)),
    })
}

/// Whether a pattern has characters that no single word can hold.
pub fn spans_words(pattern: &str) -> bool {
    pieces(pattern).filter_map(Result::ok).any(|c| !(c.is_alphanumeric() || c == '_') || is_ideograph(c))
}

/// An expression for the pattern: the whole of a text, or any part of it.
pub(crate) fn glob(pattern: &str, whole: bool, size: usize) -> Result<Regex, CompileError> {
    build(pattern, &mut RegexBuilder::new(&expression(pattern, whole, either_case)), size)
}

/// An expression for a pattern of one word. Words are lowercase, each character by itself, and so are the pattern's: what the index looks for is then the same.
pub(crate) fn word_glob(pattern: &str, size: usize) -> Result<Regex, CompileError> {
    let lower = |text: &mut String, c: char| {
        for c in c.to_lowercase() {
            text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        }
    };
    build(pattern, &mut RegexBuilder::new(&expression(pattern, true, lower)), size)
}

/// An expression for a stretch of a text that begins and ends at the edge of a word, letters of either case: nowhere
/// between two letters, digits or `_` of ASCII.
pub(crate) fn between_words(expression: &str, size: usize) -> Result<Regex, CompileError> {
    let start = r"(?:(?-u:\b)|(?-u:\b{start-half}))";
    let end = r"(?:(?-u:\b)|(?-u:\b{end-half}))";
    of_expression(expression, &format!("{start}(?:{expression}){end}"), size)
}

/// An expression for the whole of a value, letters of either case.
pub(crate) fn whole_value(expression: &str, size: usize) -> Result<Regex, CompileError> {
    of_expression(expression, &format!("^(?:{expression})$"), size)
}

fn of_expression(expression: &str, framed: &str, size: usize) -> Result<Regex, CompileError> {
    // By itself first: `a)|(b` becomes an expression only within the frame.
    RegexBuilder::new(expression).size_limit(size).build().map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        CompileError(format!("`/{}/` is no regular expression that can be used: {reason}", start(expression)))
    })?;
    build(expression, RegexBuilder::new(framed).case_insensitive(true), size)
}

/// The characters with the same lower case, so that what matches has the lowercase words that the index looks for; a
/// regular expression's own folding goes further (`s` and `ſ`).
fn either_case(text: &mut String, c: char) {
    let same = |other: &char| other.to_lowercase().eq(c.to_lowercase());
    let forms = std::iter::once(c).chain(c.to_lowercase()).chain(c.to_uppercase()).filter(same);
    text.push_str("(?:");
    for (at, form) in forms.enumerate() {
        text.push_str(if at == 0 { "" } else { "|" });
        text.push_str(&regex::escape(form.encode_utf8(&mut [0; 4])));
    }
    text.push(')');
}

fn build(pattern: &str, builder: &mut RegexBuilder, size: usize) -> Result<Regex, CompileError> {
    let built = builder.dot_matches_new_line(true).size_limit(size).dfa_size_limit(size).build();
    built.map_err(|_| {
        CompileError(format!(
            "the pattern `{}` is too large: use a shorter one, or fewer patterns in one query",
            start(pattern)
        ))
    })
}

/// What an error shows of a pattern.
pub(crate) fn start(pattern: &str) -> String {
    match pattern.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &pattern[..end]),
        None => pattern.to_owned(),
    }
}

fn expression(pattern: &str, whole: bool, put: fn(&mut String, char)) -> String {
    let mut text = String::from(if whole { "^" } else { "" });
    for piece in pieces(pattern) {
        match piece {
            Ok(c) => put(&mut text, c),
            Err('*') => text.push_str(".*"),
            Err(_) => text.push('.'),
        }
    }
    text.push_str(if whole { "$" } else { "" });
    text
}
