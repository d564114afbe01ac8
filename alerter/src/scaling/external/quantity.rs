//! A number as a Kubernetes quantity, in thousandths: what an autoscaler computes with.

/// `7.5` is `7500m`. What is not 0 is not shown as 0.
pub(super) fn quantity(value: f64) -> String {
    let milli = (value * 1000.0).round();
    let milli = if milli == 0.0 && value != 0.0 { value.signum() } else { milli };
    // An answer is finite and far from the limits of 64 bits.
    let milli = milli as i64;
    if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_whole_or_in_thousandths() {
        for (value, right) in [
            (240.0, "240"),
            (7.5, "7500m"),
            (0.07, "70m"),
            (7.1, "7100m"),
            (-2.5, "-2500m"),
            (0.0, "0"),
            (-0.0, "0"),
            (0.000_1, "1m"),
            (-0.000_1, "-1m"),
            (9e15, "9000000000000000"),
        ] {
            assert_eq!(quantity(value), right, "{value}");
        }
    }
}
