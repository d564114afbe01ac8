//! Amounts as text.

use rust_decimal::{Decimal, RoundingStrategy};

/// Decimals of the amount of a row of a report. A row is often a fraction of a cent, since a call or a token is; with four
/// more than a cent has, the rounding of ten thousand rows is less than half a cent of their sum.
pub const ROW_DECIMALS: u32 = 6;

/// Decimals of a statement's total: what the currency's smallest unit has in ISO 4217, so that it can be paid. Two where
/// the standard says nothing else.
pub fn currency_decimals(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// An amount with exactly so many decimals ([`ROW_DECIMALS`] or [`currency_decimals`]; at most 28), half to even, so that
/// many roundings add up to no bias. Round sums, do not sum what was rounded.
pub fn round(amount: Decimal, decimals: u32) -> String {
    let decimals = decimals.min(Decimal::MAX_SCALE);
    let mut rounded = amount.round_dp_with_strategy(decimals, RoundingStrategy::MidpointNearestEven);
    if rounded.is_zero() {
        // Otherwise a small correction downwards is `-0.00`.
        rounded.set_sign_positive(true);
    }
    // Padded here: the format of rust_decimal panics where a long number gets many zeros.
    let mut text = rounded.to_string();
    if decimals > 0 {
        if rounded.scale() == 0 {
            text.push('.');
        }
        text.extend(std::iter::repeat_n('0', (decimals - rounded.scale().min(decimals)) as usize));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_amounts_then_they_are_rounded_half_to_even_with_all_their_decimals() {
        for (amount, decimals, want) in [
            ("0", 6, "0.000000"),
            ("0.0000005", 6, "0.000000"),
            ("0.0000015", 6, "0.000002"),
            ("0.00000050000000000001", 6, "0.000001"),
            ("1.005", 2, "1.00"),
            ("1.015", 2, "1.02"),
            ("1.5", 0, "2"),
            ("2.5", 0, "2"),
            ("-2.675", 2, "-2.68"),
            ("-0.001", 2, "0.00"),
            ("12", 2, "12.00"),
            ("79228162514264337593543950335", 6, "79228162514264337593543950335.000000"),
        ] {
            assert_eq!(round(amount.parse().unwrap(), decimals), want, "{amount}");
        }
        let decimals = ["CNY", "USD", "JPY", "KRW", "KWD", "XXX"].map(currency_decimals);
        assert_eq!(decimals, [2, 2, 0, 0, 3, 2]);
    }
}
