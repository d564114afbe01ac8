//! What stands next to a position of a text.
//!
//! Texts are often JSON within JSON, cut off anywhere, so the letter of an escape (`\n`, `\u4e2d`) is not taken for a
//! letter of the word behind it.

/// The digit at `at`, ASCII or full-width, and how many bytes it takes.
pub(super) fn digit_at(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    match *bytes.get(at)? {
        byte @ b'0'..=b'9' => Some((byte - b'0', 1)),
        0xEF => match bytes.get(at + 1..at + 3)? {
            [0xBC, byte @ 0x90..=0x99] => Some((byte - 0x90, 3)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the word of ASCII letters, digits and `_` goes on to the left of `at`.
pub(super) fn word_before(bytes: &[u8], at: usize) -> bool {
    at > 0 && is_word(bytes[at - 1]) && !escape_before(bytes, at)
}

/// Whether such a word goes on at `at`.
pub(super) fn word_after(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(|byte| is_word(*byte))
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether an escape of JSON ends at `at`.
fn escape_before(bytes: &[u8], at: usize) -> bool {
    let short = at >= 2 && bytes[at - 2] == b'\\' && matches!(bytes[at - 1], b'b' | b'f' | b'n' | b'r' | b't');
    short || at >= 6 && escape_width(&bytes[at - 6..at]) == 6
}

/// `start`, or what lies behind the escape whose backslash is just before `start`.
pub(super) fn skip_escape(bytes: &[u8], start: usize) -> usize {
    match start.checked_sub(1).map(|before| escape_width(&bytes[before..])) {
        Some(width @ 2..) => start + width - 1,
        _ => start,
    }
}

/// Bytes of the escape of JSON that `bytes` begin with; 1 for a backslash that begins none, 0 for anything else.
pub(super) fn escape_width(bytes: &[u8]) -> usize {
    match bytes {
        [b'\\', b'u', hex @ ..] if hex.len() >= 4 && hex[..4].iter().all(u8::is_ascii_hexdigit) => 6,
        [b'\\', b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
        [b'\\', ..] => 1,
        _ => 0,
    }
}

/// End of the run of bytes from `at` on that `of` accepts.
pub(super) fn run(bytes: &[u8], at: usize, of: impl Fn(u8) -> bool) -> usize {
    bytes[at..].iter().position(|byte| !of(*byte)).map_or(bytes.len(), |length| at + length)
}

/// Start of the run of bytes before `at` that `of` accepts, not before `floor`.
pub(super) fn run_back(bytes: &[u8], floor: usize, at: usize, of: impl Fn(u8) -> bool) -> usize {
    bytes[floor..at].iter().rposition(|byte| !of(*byte)).map_or(floor, |last| floor + last + 1)
}

/// Whether the bytes at `at` are those of `word`, in any case.
pub(super) fn has_at(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    bytes.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
}
