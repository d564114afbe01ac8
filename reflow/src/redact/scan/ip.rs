//! Addresses of IPv4 and IPv6.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str;

use super::bytes::{run, run_back, skip_escape, word_after, word_before};

/// What was read before, so that no byte is read twice.
#[derive(Default)]
pub(super) struct Progress {
    dotted_until: usize,
    coloned_until: usize,
}

/// The IPv4 address that begins with the run of digits at `start`.
pub(super) fn find_v4(bytes: &[u8], start: usize, progress: &mut Progress) -> Option<(usize, usize)> {
    if start < progress.dotted_until || !bytes[start].is_ascii_digit() {
        return None;
    }
    let mut end = run(bytes, start, |byte| byte.is_ascii_digit());
    while bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = run(bytes, end + 1, |byte| byte.is_ascii_digit());
    }
    progress.dotted_until = end;
    let text = bytes.get(start..end).filter(|text| (7..=15).contains(&text.len()))?;
    str::from_utf8(text).ok()?.parse::<Ipv4Addr>().ok()?;
    let version = continues_dots(bytes, start) || word_after(bytes, end) || is_after_version(bytes, start);
    (!version).then_some((start, end))
}

/// Whether a name or a number and a dot come before, as in `libc.so.1.2.3.4`.
fn continues_dots(bytes: &[u8], start: usize) -> bool {
    start >= 2 && bytes[start - 1] == b'.' && (bytes[start - 2].is_ascii_alphanumeric() || bytes[start - 2] >= 0x80)
}

/// Words that come before a version number of four parts.
const VERSION_WORDS: [&str; 14] = [
    "v",
    "ver",
    "version",
    "release",
    "build",
    "firmware",
    "chrome",
    "chromium",
    "safari",
    "edg",
    "opr",
    "firefox",
    "headlesschrome",
    "fileversion",
];
const CHINESE_VERSION_WORDS: [&str; 3] = ["版本", "版本号", "固件"];

fn is_after_version(bytes: &[u8], start: usize) -> bool {
    let between = |byte: u8| matches!(byte, b' ' | b':' | b'=' | b'"' | b'\'' | b'/' | b'\\');
    let end = run_back(bytes, start.saturating_sub(6), start, between);
    let word = run_back(bytes, end.saturating_sub(16), end, |byte| byte.is_ascii_alphabetic());
    let word = skip_escape(bytes, word);
    let is = |version: &str| bytes.get(word..end).is_some_and(|word| word.eq_ignore_ascii_case(version.as_bytes()));
    let before = strip_colon(&bytes[..end]);
    VERSION_WORDS.iter().any(|version| is(version))
        || CHINESE_VERSION_WORDS.iter().any(|version| before.ends_with(version.as_bytes()))
}

fn strip_colon(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix("：".as_bytes()).unwrap_or(bytes)
}

/// An address of IPv6 has at most so many characters, with an IPv4 address at its end.
const V6_CHARACTERS: usize = 45;

/// The IPv6 address whose first colon stands at `at`.
pub(super) fn find_v6(bytes: &[u8], at: usize, progress: &mut Progress) -> Option<(usize, usize)> {
    if at < progress.coloned_until {
        return None;
    }
    let of = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let start = run_back(bytes, progress.coloned_until, at, of);
    let end = run(bytes, at, of);
    progress.coloned_until = end;
    let (start, end) = trim(bytes, skip_escape(bytes, start).min(at), end);
    let text = bytes.get(start..end).filter(|text| text.len() <= V6_CHARACTERS)?;
    str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok()?;
    if word_before(bytes, start) || word_after(bytes, end) || is_something_else(text) {
        return None;
    }
    let zone = match bytes.get(end) {
        Some(b'%') => run(bytes, end + 1, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')),
        _ => end,
    };
    Some((start, if zone > end + 1 { zone } else { end }))
}

/// Without the punctuation around it.
fn trim(bytes: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    while start < end && (bytes[start] == b'.' || bytes[start] == b':' && bytes.get(start + 1) != Some(&b':')) {
        start += 1;
    }
    while end > start + 1 && (bytes[end - 1] == b'.' || bytes[end - 1] == b':' && bytes[end - 2] != b':') {
        end -= 1;
    }
    (start, end)
}

/// Paths of programs (`a::b`, `[::2]`) and identifiers in eight pairs of digits read as addresses too.
fn is_something_else(text: &[u8]) -> bool {
    let groups = || text.split(|byte| *byte == b':');
    let words = groups().filter(|group| !group.is_empty()).count();
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    let slice = text.starts_with(b"::") && text.len() <= 3 && text != b"::1";
    let pairs = words == 8 && groups().all(|group| group.len() == 2);
    words == 0 || digits == 0 && words < 3 || slice || pairs
}
