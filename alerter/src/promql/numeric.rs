//! Sums, means, quantiles and regression over floats, with the rounding that Prometheus has.

/// A running sum with the part that rounding lost: Neumaier's variant of Kahan's summation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    pub(super) fn add(&mut self, value: f64) {
        let next = self.sum + value;
        if next.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - next) + value;
        } else {
            self.lost += (value - next) + self.sum;
        }
        self.sum = next;
    }

    pub(super) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

/// A mean: of the sum while that is finite, else updated value by value, so that great values do not overflow.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean {
    count: f64,
    of: Sum,
    is_incremental: bool,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count <= 1.0 {
            self.of.sum = value;
            return;
        }
        if !self.is_incremental {
            let mut next = self.of;
            next.add(value);
            if !next.sum.is_infinite() {
                self.of = next;
                return;
            }
            self.is_incremental = true;
            self.of = Sum { sum: self.of.sum / (self.count - 1.0), lost: self.of.lost / (self.count - 1.0) };
        }
        let kept = (self.count - 1.0) / self.count;
        self.of = Sum { sum: kept * self.of.sum, lost: kept * self.of.lost };
        self.of.add(value / self.count);
    }

    pub(super) fn mean(self) -> f64 {
        if self.is_incremental {
            self.of.sum + self.of.lost
        } else {
            self.of.sum / self.count + self.of.lost / self.count
        }
    }
}

/// Welford's variance of a population.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Variance {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Variance {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.sum + self.mean.lost);
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - (self.mean.sum + self.mean.lost)));
    }

    pub(super) fn variance(self) -> f64 {
        (self.squares.sum + self.squares.lost) / self.count
    }
}

/// The quantile, interpolated between neighbours; NaN values come first.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let rank = q * (values.len() - 1) as f64;
    let lower = (rank.floor() as usize).min(values.len() - 1);
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// Slope per second, and the value at `intercept_ms`, of the straight line through samples of unix milliseconds.
pub(super) fn regression(samples: impl Iterator<Item = (i64, f64)>, intercept_ms: i64) -> (f64, f64) {
    let (mut n, mut x_sum, mut y_sum) = (0.0, Sum::default(), Sum::default());
    let (mut xy_sum, mut xx_sum) = (Sum::default(), Sum::default());
    let (mut first, mut is_constant) = (f64::NAN, true);
    for (ms, y) in samples {
        if n == 0.0 {
            first = y;
        }
        #[allow(clippy::float_cmp, reason = "a constant series has the very same value")]
        {
            is_constant &= n == 0.0 || y == first;
        }
        n += 1.0;
        let x = ms.saturating_sub(intercept_ms) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    if is_constant {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let whole = |sum: Sum| sum.sum + sum.lost;
    let (x_sum, y_sum) = (whole(x_sum), whole(y_sum));
    let covariance = whole(xy_sum) - x_sum * y_sum / n;
    let variance = whole(xx_sum) - x_sum * x_sum / n;
    let slope = covariance / variance;
    (slope, y_sum / n - slope * x_sum / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "the results are exact")]
    fn sums_keep_what_rounding_loses_and_means_of_great_values_do_not_overflow() {
        let mut sum = Sum::default();
        for value in [1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert_eq!(sum.total(), 1.0);
        let mut mean = Mean::default();
        for value in [f64::MAX, f64::MAX, f64::MAX] {
            mean.add(value);
        }
        assert!(mean.mean() / f64::MAX > 0.999_999);
        let mut variance = Variance::default();
        for value in [2.0, 4.0, 6.0, 8.0] {
            variance.add(value);
        }
        assert_eq!(variance.variance(), 5.0);
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "the results are exact")]
    fn a_quantile_is_interpolated_and_a_line_is_found() {
        assert_eq!(quantile(0.5, &mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(quantile(1.0, &mut [4.0, f64::NAN]), 4.0);
        assert!(quantile(0.0, &mut [4.0, f64::NAN]).is_nan() && quantile(0.5, &mut []).is_nan());
        assert_eq!(regression([(0, 1.0), (1000, 3.0), (2000, 5.0)].into_iter(), 2000), (2.0, 5.0));
        assert_eq!(regression([(0, 7.0), (1000, 7.0)].into_iter(), 0), (0.0, 7.0));
    }
}
