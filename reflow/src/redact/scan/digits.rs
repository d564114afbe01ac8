//! Numbers: phones, identity numbers and cards, in one reading of the digits.
//!
//! A chain is a row of digit runs with one space or hyphen between each two, as in `+86 138-1234-5678`. Each run may
//! begin a number of one run or of a known grouping; a part of a run never does.

use super::bytes::{digit_at, run, run_back, word_before};

/// Runs of digits of one chain, in their order.
#[derive(Default)]
pub(super) struct Chain {
    digits: Vec<u8>,
    runs: Vec<Run>,
}

struct Run {
    start: usize,
    end: usize,
    /// Where its digits begin in those of the chain.
    first: usize,
    length: usize,
}

/// Consecutive runs of a chain that are read as one number.
pub(super) struct Group<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) digits: &'a [u8],
    /// The run before it, if the chain has one.
    pub(super) before: Option<(usize, &'a [u8])>,
}

impl Chain {
    /// Reads the chain that begins at `at`; gives the end of its last run.
    pub(super) fn read(&mut self, bytes: &[u8], at: usize) -> usize {
        self.digits.clear();
        self.runs.clear();
        let mut end = at;
        let mut next = at;
        loop {
            let (start, first) = (next, self.digits.len());
            while let Some((digit, width)) = digit_at(bytes, next) {
                self.digits.push(digit);
                next += width;
            }
            let length = self.digits.len() - first;
            if length == 0 {
                return end;
            }
            end = next;
            self.runs.push(Run { start, end, first, length });
            next += separator(&bytes[next..]);
            if next == end {
                return end;
            }
        }
    }

    pub(super) fn digits(&self) -> usize {
        self.digits.len()
    }

    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Start of the last run.
    pub(super) fn last_run(&self) -> usize {
        self.runs.last().map_or(0, |run| run.start)
    }

    /// Length of a run; 0 beyond the last.
    pub(super) fn length(&self, run: usize) -> usize {
        self.runs.get(run).map_or(0, |run| run.length)
    }

    /// Whether the lengths of the runs from `from` on are these.
    pub(super) fn is_grouped(&self, from: usize, lengths: &[usize]) -> bool {
        lengths.iter().enumerate().all(|(at, length)| self.length(from + at) == *length)
    }

    /// `count` runs from `from` on, which must be there.
    pub(super) fn group(&self, from: usize, count: usize) -> Group<'_> {
        let (first, last) = (&self.runs[from], &self.runs[from + count - 1]);
        let before = from.checked_sub(1).map(|before| &self.runs[before]);
        Group {
            start: first.start,
            end: last.end,
            digits: &self.digits[first.first..last.first + last.length],
            before: before.map(|run| (run.start, &self.digits[run.first..run.first + run.length])),
        }
    }
}

/// Bytes of the one separator that `bytes` begin with: a space or a hyphen in any of their widths.
fn separator(bytes: &[u8]) -> usize {
    match bytes {
        [b' ' | b'-', ..] => 1,
        [0xC2, 0xA0, ..] => 2,
        [0xE3, 0x80, 0x80, ..] | [0xE2, 0x80, 0x90..=0x95, ..] | [0xEF, 0xBC, 0x8D, ..] => 3,
        _ => 0,
    }
}

/// Digits of the whole part, if a decimal point stands before `start`.
pub(super) fn decimal_before(bytes: &[u8], start: usize) -> Option<&[u8]> {
    let point = start.checked_sub(1).filter(|point| bytes[*point] == b'.')?;
    let whole = &bytes[run_back(bytes, point.saturating_sub(3), point, |byte| byte.is_ascii_digit())..point];
    (!whole.is_empty()).then_some(whole)
}

/// Hashes and other long hexadecimal words have at least so many digits.
const HASH_DIGITS: usize = 16;
/// How far the ends of a word are looked for.
const WORD_REACH: usize = 64;

/// Whether the digits are a part of a hash, a UUID or another identifier of letters and digits.
pub(super) fn is_inside_identifier(bytes: &[u8], start: usize, end: usize) -> bool {
    let left = word_before(bytes, start) && bytes[start - 1].is_ascii_alphabetic();
    let right = bytes.get(end).is_some_and(u8::is_ascii_alphabetic);
    if left && right {
        return true;
    }
    (left || right) && is_inside_hash(bytes, start, end) || is_inside_uuid(bytes, start, end)
}

fn is_inside_hash(bytes: &[u8], start: usize, end: usize) -> bool {
    let mut from = start;
    while from > start.saturating_sub(WORD_REACH) && word_before(bytes, from) && bytes[from - 1] != b'_' {
        from -= 1;
    }
    let to = run(&bytes[..bytes.len().min(end + WORD_REACH)], end, |byte| byte.is_ascii_alphanumeric());
    to - from >= HASH_DIGITS && bytes[from..to].iter().all(u8::is_ascii_hexdigit)
}

const UUID_BYTES: usize = 36;

fn is_inside_uuid(bytes: &[u8], start: usize, end: usize) -> bool {
    (end.saturating_sub(UUID_BYTES)..=start).filter_map(|from| bytes.get(from..from + UUID_BYTES)).any(|word| {
        word.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}
