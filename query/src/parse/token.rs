//! What a stretch of a query is by its looks: an expression, a word with something behind it, text that was pasted.

/// What Lucene writes behind a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffix {
    /// `^2`: how important it is.
    Boost,
    /// `~1`: by how many letters another may differ; none where the number is left out, or is a share as of old.
    Fuzzy(Option<u8>),
}

/// What stands behind a word, and from which byte. Numbers such as `5~8` and `10^2` are words.
pub(super) fn suffix(word: &str) -> Option<(usize, Suffix)> {
    let at = word.rfind(['~', '^']).filter(|&at| !word[..at].ends_with('\\'))?;
    let (sign, number) = word[at..].split_at(1);
    if !word[..at].contains(char::is_alphabetic) || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let suffix = match sign {
        "~" if number.is_empty() || number.contains('.') => Suffix::Fuzzy(None),
        "~" => Suffix::Fuzzy(Some(number.parse().unwrap_or(u8::MAX))),
        _ if number.is_empty() => return None,
        _ => Suffix::Boost,
    };
    Some((at, suffix))
}

/// The expression between the slashes that a text begins with, and the bytes of both. A path such as `/v1/ocr/` is none,
/// and so is what has no sign of one in it.
pub(super) fn expression(text: &str) -> Option<(&str, usize)> {
    let behind = text.strip_prefix('/')?;
    let (mut is_escaped, mut is_class) = (false, false);
    let end = behind.char_indices().find_map(|(at, c)| {
        let is_end = c == '/' && !is_escaped && !is_class;
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '[' => is_class = true,
            ']' => is_class = false,
            _ => {}
        }
        is_end.then_some(at)
    })?;
    let (inner, rest) = (&behind[..end], &behind[end + 1..]);
    let is_end = rest.chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, ')' | '^' | ']'));
    let is_whole = !inner.starts_with(char::is_whitespace) && !inner.ends_with(char::is_whitespace);
    (is_end && is_whole && has_signs(inner)).then_some((inner, end + 2))
}

fn has_signs(inner: &str) -> bool {
    let signs = [".", "+", "|", "^", "$", "*", "?", "\\d", "\\w", "\\s", "\\b"];
    let pairs = [('(', ')'), ('[', ']')];
    let repeats = inner.match_indices('{').any(|(at, _)| inner[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    repeats
        || signs.iter().any(|sign| inner.contains(sign))
        || pairs.iter().any(|(open, close)| inner.find(*open).is_some_and(|at| inner[at..].contains(*close)))
}

/// Bytes of the text at the start that is no field with a value though it has a colon, or begins with a bracket: an
/// address of the web, a time of day, a path of Windows, `std::vector`, `[ERROR]`.
pub(super) fn pasted(text: &str) -> Option<usize> {
    let name = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+.-_".contains(byte)).count();
    let (name, rest) = text.split_at(name);
    let is_number =
        name.starts_with(|c: char| c.is_ascii_digit()) && !name.contains(char::is_alphabetic) || is_start_of_time(name);
    let is_pasted = (rest.starts_with("://") && name.starts_with(|c: char| c.is_ascii_alphabetic()))
        || (rest.starts_with("::") && !name.is_empty())
        || (rest.starts_with(':') && is_number)
        || (rest.starts_with(":\\") && name.len() == 1)
        || (rest.starts_with(':') && is_address(name))
        || (name.is_empty() && rest.starts_with(['[', ']', '{', '}']));
    is_pasted.then(|| end(text))
}

/// `10.0.0.7` before its port.
fn is_address(name: &str) -> bool {
    name.parse::<std::net::Ipv4Addr>().is_ok()
}

/// `2026-11-28T12`.
fn is_start_of_time(name: &str) -> bool {
    name.len() == 13 && is_date(name) && name.as_bytes()[10] == b'T'
}

/// Whether a text begins with a date, such as `2026-11-28`.
pub(super) fn is_date(text: &str) -> bool {
    let form = b"0000-00-00";
    text.len() >= form.len()
        && text.bytes().zip(form).all(|(a, b)| if *b == b'0' { a.is_ascii_digit() } else { a == *b })
}

/// The end of the text without a space; a parenthesis that was not opened in it is not part of it.
fn end(text: &str) -> usize {
    let mut open = 0_usize;
    let end = text.char_indices().find(|(_, c)| match c {
        '(' => {
            open += 1;
            false
        }
        ')' if open == 0 => true,
        ')' => {
            open -= 1;
            false
        }
        c => c.is_whitespace() || *c == '"',
    });
    end.map_or(text.len(), |(at, _)| at)
}

/// Whether a text may be a field's name.
pub(super) fn is_name(text: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '@' | '/');
    text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '@') && text.chars().all(is_of_name)
}
