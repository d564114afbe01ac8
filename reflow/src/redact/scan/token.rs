//! Credentials that are known by their shape: bearer tokens and the keys of well-known services.

use super::bytes::{has_at, run, word_after, word_before};

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Bytes of a bearer token (RFC 6750, `b64token`).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// The token behind the word `bearer` at `at`. What is too short or too plain to be one is a word of a sentence.
pub(super) fn bearer(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    if !has_at(bytes, at, b"bearer") || word_before(bytes, at) {
        return None;
    }
    let start = run(bytes, at + 6, |byte| byte == b' ');
    let end = trim_stop(bytes, start, run(bytes, start, is_token));
    let token = &bytes[start..end];
    let strong = token.len() >= 16 || token.len() >= 8 && token.iter().any(u8::is_ascii_digit);
    (start > at + 6 && strong).then_some((start, end))
}

/// The JSON Web Token whose `eyJ`, which is `{"` in base64, has its J at `at`.
pub(super) fn jwt(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at.checked_sub(2).filter(|start| bytes[*start..].starts_with(b"eyJ"))?;
    if word_before(bytes, start) {
        return None;
    }
    let end = trim_stop(bytes, start, run(bytes, start, |byte| is_base64url(byte) || byte == b'.'));
    let mut parts = bytes[start..end].split(|byte| *byte == b'.');
    let long = parts.next().is_some_and(|header| header.len() >= 10) && parts.next().is_some();
    (long && end - start >= 20).then_some((start, end))
}

fn trim_stop(bytes: &[u8], start: usize, end: usize) -> usize {
    end - bytes[start..end].iter().rev().take_while(|byte| **byte == b'.').count()
}

/// A key that begins with `prefix`, whose bytes `of` accepts, at least `least` of them behind the prefix.
struct Shape {
    prefix: &'static [u8],
    least: usize,
    of: fn(u8) -> bool,
}

const fn shape(prefix: &'static str, least: usize, of: fn(u8) -> bool) -> Shape {
    Shape { prefix: prefix.as_bytes(), least, of }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

/// By the byte that is looked for, which ends the prefix.
const DASHED: [Shape; 8] = [
    shape("sk-", 16, is_base64url),
    shape("glpat-", 16, is_base64url),
    shape("xoxb-", 10, is_base64url),
    shape("xoxa-", 10, is_base64url),
    shape("xoxp-", 10, is_base64url),
    shape("xoxr-", 10, is_base64url),
    shape("xoxs-", 10, is_base64url),
    shape("xoxe-", 10, is_base64url),
];
const UNDERSCORED: [Shape; 12] = [
    shape("ghp_", 20, is_plain),
    shape("gho_", 20, is_plain),
    shape("ghu_", 20, is_plain),
    shape("ghs_", 20, is_plain),
    shape("ghr_", 20, is_plain),
    shape("github_pat_", 20, is_base64url),
    shape("hf_", 20, is_plain),
    shape("weir_", 20, is_base64url),
    shape("sk_live_", 16, is_plain),
    shape("sk_test_", 16, is_plain),
    shape("rk_live_", 16, is_plain),
    shape("rk_test_", 16, is_plain),
];
/// By the second letter.
const CAPITAL: [Shape; 5] = [
    shape("AKIA", 16, is_upper),
    shape("ASIA", 16, is_upper),
    shape("AKID", 13, is_plain),
    shape("AIza", 30, is_base64url),
    shape("LTAI", 12, is_plain),
];

/// The key whose prefix has `-` or `_` at its end, at `at`.
pub(super) fn prefixed(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let shapes: &[Shape] = if bytes[at] == b'-' { &DASHED } else { &UNDERSCORED };
    let shape = shapes.iter().find(|shape| bytes[..=at].ends_with(shape.prefix))?;
    key(bytes, at + 1 - shape.prefix.len(), shape)
}

/// The key whose prefix has its second capital at `at`.
pub(super) fn capital(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at.checked_sub(1)?;
    let shape = CAPITAL.iter().find(|shape| bytes[start..].starts_with(shape.prefix))?;
    key(bytes, start, shape)
}

fn key(bytes: &[u8], start: usize, shape: &Shape) -> Option<(usize, usize)> {
    let body = start + shape.prefix.len();
    let end = run(bytes, body, shape.of);
    let long = end - body >= shape.least && !word_after(bytes, end);
    (long && is_random(&bytes[body..end]) && !word_before(bytes, start)).then_some((start, end))
}

/// Names of things have the prefixes of keys too, but are short words in lower case: `weir_calls_p99_duration_seconds`.
fn is_random(body: &[u8]) -> bool {
    let digits = body.iter().any(u8::is_ascii_digit);
    let long_word = || body.split(|byte| matches!(byte, b'-' | b'_')).any(|word| word.len() >= 10);
    body.iter().any(u8::is_ascii_uppercase) || digits && long_word()
}

/// Bytes at most of a private key in PEM.
const PEM_BYTES: usize = 16 << 10;

/// The private key in PEM that begins at `at`; one that was cut off goes as far as it looks like one.
pub(super) fn private_key(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = bytes[at..].strip_prefix(b"-----BEGIN ")?;
    let label = run(rest, 0, |byte| byte.is_ascii_uppercase() || byte == b' ');
    if !rest[..label].ends_with(b"PRIVATE KEY") || !rest[label..].starts_with(b"-----") {
        return None;
    }
    let body = at + 11 + label + 5;
    let limit = bytes.len().min(body + PEM_BYTES);
    let of = |byte: u8| is_token(byte) || matches!(byte, b'\n' | b'\r' | b' ' | b'\\' | b':' | b',');
    let mut end = body;
    while end < limit && of(bytes[end]) {
        if bytes[end..].starts_with(b"-----END ") {
            let label = run(bytes, end + 9, |byte| byte.is_ascii_uppercase() || byte == b' ');
            return Some((at, run(bytes, label, |byte| byte == b'-').min(label + 5)));
        }
        end += 1;
    }
    Some((at, end))
}
