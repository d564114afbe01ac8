//! Patterns of `*` (any run of characters) and `?` (one character).

use regex::{Regex, RegexBuilder};

use crate::error::CompileError;
use crate::words::is_ideograph;

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
pub(crate) fn glob(pattern: &str, whole: bool) -> Result<Regex, CompileError> {
    build(pattern, &mut RegexBuilder::new(&expression(pattern, whole, either_case)))
}

/// An expression for a pattern of one word. Words are lowercase, each character by itself, and so are the pattern's: what the index looks for is then the same.
pub(crate) fn word_glob(pattern: &str) -> Result<Regex, CompileError> {
    let lower = |text: &mut String, c: char| {
        for c in c.to_lowercase() {
            text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        }
    };
    build(pattern, &mut RegexBuilder::new(&expression(pattern, true, lower)))
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

fn build(pattern: &str, builder: &mut RegexBuilder) -> Result<Regex, CompileError> {
    let built = builder.dot_matches_new_line(true).size_limit(1 << 20).build();
    built.map_err(|_| CompileError(format!("the pattern `{pattern}` is too large: use a shorter one")))
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
