//! Numbers of payment cards (ISO/IEC 7812).

use std::ops::RangeInclusive;

use super::digits::{Chain, decimal_before, is_inside_identifier};

/// The card number that begins with a run of the chain: one run, groups of four with a shorter rest, or the 4-6-5 of
/// American Express.
pub(super) fn find(bytes: &[u8], chain: &Chain, run: usize) -> Option<(usize, usize)> {
    let counts: &[usize] = match chain.length(run) {
        12..=19 => &[1],
        4 if chain.is_grouped(run + 1, &[6, 5]) => &[3],
        4 => &[5, 4, 3],
        _ => return None,
    };
    let found = counts.iter().copied().filter(|count| is_grouping(chain, run, *count)).find_map(|count| {
        let group = chain.group(run, count);
        is_number(group.digits).then_some((group.start, group.end))
    });
    let (start, end) = found?;
    (decimal_before(bytes, start).is_none() && !is_inside_identifier(bytes, start, end)).then_some((start, end))
}

fn is_grouping(chain: &Chain, run: usize, count: usize) -> bool {
    let fours = (0..count - 1).all(|at| chain.length(run + at) == 4);
    count == 1 || fours && (1..=4).contains(&chain.length(run + count - 1)) || chain.is_grouped(run, &[4, 6, 5])
}

fn is_number(digits: &[u8]) -> bool {
    (12..=19).contains(&digits.len()) && has_issuer(digits) && is_luhn(digits)
}

/// Lengths of an issuer's numbers and their first four digits.
type Issuer = (RangeInclusive<usize>, RangeInclusive<u32>);

const ISSUERS: [Issuer; 24] = [
    // Visa.
    (13..=13, 4000..=4999),
    (16..=16, 4000..=4999),
    (19..=19, 4000..=4999),
    // Mastercard.
    (16..=16, 5100..=5599),
    (16..=16, 2221..=2720),
    // American Express.
    (15..=15, 3400..=3499),
    (15..=15, 3700..=3799),
    // JCB.
    (16..=19, 3528..=3589),
    // Diners Club.
    (14..=14, 3000..=3059),
    (14..=14, 3095..=3095),
    (14..=14, 3600..=3699),
    (14..=14, 3800..=3999),
    // UnionPay, Discover, RuPay.
    (16..=19, 6000..=6099),
    (16..=19, 6200..=6299),
    (16..=19, 6400..=6599),
    (16..=19, 8100..=8199),
    // Maestro.
    (12..=19, 5000..=5099),
    (12..=19, 5600..=5899),
    (12..=19, 6100..=6199),
    (12..=19, 6300..=6399),
    (12..=19, 6600..=6999),
    // Chinese debit cards of before UnionPay's own range.
    (16..=16, 9558..=9559),
    (18..=18, 9558..=9559),
    (19..=19, 9558..=9559),
];

fn has_issuer(digits: &[u8]) -> bool {
    let head = digits[..4].iter().fold(0, |head, digit| head * 10 + u32::from(*digit));
    ISSUERS.iter().any(|(lengths, heads)| lengths.contains(&digits.len()) && heads.contains(&head))
}

fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(*digit);
            if at % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}
