//! Chinese mobile numbers.

use super::digits::{Chain, decimal_before, is_inside_identifier};

/// Digits of a country code before the number: none, `86`, `0086`.
const PREFIXES: [&[u8]; 3] = [&[], &[8, 6], &[0, 0, 8, 6]];

/// The mobile number whose own digits, or country code and digits, begin with a run of the chain.
pub(super) fn find(bytes: &[u8], chain: &Chain, run: usize) -> Option<(usize, usize)> {
    let first = chain.length(run);
    let count = match first {
        11 | 13 | 15 => 1,
        3 | 5 | 7 if chain.is_grouped(run + 1, &[4, 4]) => 3,
        _ => return None,
    };
    let group = chain.group(run, count);
    let prefix = group.digits.len().checked_sub(11)?;
    let (prefix, number) = group.digits.split_at(prefix);
    if !PREFIXES.contains(&prefix) || number[0] != 1 || number[1] < 3 {
        return None;
    }
    let (mut start, end) = (group.start, group.end);
    let mut prefixed = !prefix.is_empty();
    if let Some((before, code)) = group.before
        && !prefixed
        && PREFIXES[1..].contains(&code)
    {
        start = before;
        prefixed = true;
    }
    if prefixed {
        start -= plus_before(&bytes[..start]);
    }
    let decimal = decimal_before(bytes, group.start).is_some_and(|whole| whole == b"0" || whole.len() >= 3);
    (!decimal && !is_inside_identifier(bytes, start, end)).then_some((start, end))
}

fn plus_before(bytes: &[u8]) -> usize {
    match bytes {
        [.., b'+'] => 1,
        [.., 0xEF, 0xBC, 0x8B] => 3,
        _ => 0,
    }
}
