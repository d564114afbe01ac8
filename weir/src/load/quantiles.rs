use serde::Serialize;

/// Exact quantiles, in nanoseconds: the least value that at least this share of all values does not exceed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Number of values.
    pub count: usize,
    /// Half.
    pub p50: u64,
    /// 90%.
    pub p90: u64,
    /// 99%.
    pub p99: u64,
    /// 99.9%.
    pub p999: u64,
    /// The greatest.
    pub max: u64,
}

impl Quantiles {
    /// Sorts the values to find them.
    pub fn of(values: &mut [u64]) -> Self {
        values.sort_unstable();
        let at = |per_mille: usize| {
            let rank = (values.len() * per_mille).div_ceil(1000).max(1);
            values.get(rank - 1).copied().unwrap_or(0)
        };
        Self { count: values.len(), p50: at(500), p90: at(900), p99: at(990), p999: at(999), max: at(1000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_there() {
        let mut values: Vec<u64> = (1..=1000).rev().collect();
        let expected = Quantiles { count: 1000, p50: 500, p90: 900, p99: 990, p999: 999, max: 1000 };
        assert_eq!(Quantiles::of(&mut values), expected);
        assert_eq!(Quantiles::of(&mut []), Quantiles::default());
        assert_eq!(Quantiles::of(&mut [7]).p50, 7);
    }
}
