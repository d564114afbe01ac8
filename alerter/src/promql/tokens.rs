//! What is checked of a query's text before the parser sees it.

use std::borrow::Cow;

use super::{Error, MAX_DEPTH};

/// Ten years: longer ranges and offsets are mistakes.
pub(super) const MAX_RANGE_MS: u128 = 10 * 365 * 86_400_000;

/// The text as the parser takes it. The parser converts bare numbers that stand for durations with a function that
/// panics outside of its range, and recurses over parentheses; both are refused before it sees them. It also reads
/// escapes in a raw string, so that one with a backslash is given to it in double quotes.
pub(super) fn prepare(text: &str) -> Result<Cow<'_, str>, Error> {
    let (mut open, mut in_range, mut as_duration) = (0_usize, false, false);
    let mut rest = text;
    let mut rewritten: Option<String> = None;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '"' | '\'' | '`' => {
                let mut escaped = false;
                let end = rest.char_indices().skip(1).find(|&(_, c)| {
                    let ends = c == first && !escaped;
                    escaped = c == '\\' && !escaped && first != '`';
                    ends
                });
                length = end.map_or(rest.len(), |(at, _)| at + 1);
                as_duration = false;
                if let (true, '`', Some((at, _))) = (rest[..length].contains('\\'), first, end) {
                    let before = &text[..text.len() - rest.len()];
                    let quoted = quote(&rest[1..at]);
                    rewritten.get_or_insert_with(|| before.to_owned()).push_str(&quoted);
                    rest = &rest[length..];
                    continue;
                }
            }
            '#' => length = rest.find('\n').unwrap_or(rest.len()),
            '(' => {
                open += 1;
                if open > MAX_DEPTH {
                    return Err(Error::Limit { what: "nested expressions", limit: MAX_DEPTH as u64 });
                }
            }
            ')' => open = open.saturating_sub(1),
            '[' => (in_range, as_duration) = (true, true),
            ']' => (in_range, as_duration) = (false, false),
            ':' if in_range => as_duration = true,
            '+' | '-' => {}
            _ if first.is_whitespace() => {}
            _ if first.is_ascii_alphanumeric() || matches!(first, '_' | '.') => {
                let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
                // The sign of an exponent is part of the number.
                let mut before = ' ';
                length = rest
                    .find(|c: char| {
                        let inside = word(c) || (matches!(c, '+' | '-') && matches!(before, 'e' | 'E'));
                        before = c;
                        !inside
                    })
                    .unwrap_or(rest.len());
                let token = &rest[..length];
                if as_duration
                    && let Ok(seconds) = token.replace('_', "").parse::<f64>()
                    && !(seconds >= 0.0 && seconds * 1000.0 <= MAX_RANGE_MS as f64)
                {
                    return Err(Error::Type(format!("«{token}» is not a duration")));
                }
                as_duration = token.eq_ignore_ascii_case("offset");
            }
            _ => as_duration = false,
        }
        if let Some(rewritten) = &mut rewritten {
            rewritten.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    Ok(rewritten.map_or(Cow::Borrowed(text), Cow::Owned))
}

/// A raw string in double quotes.
fn quote(raw: &str) -> String {
    let mut quoted = String::with_capacity(raw.len() + 8);
    quoted.push('"');
    for c in raw.chars() {
        match c {
            '\\' | '"' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
