//! Quantiles and fractions of classic buckets: cumulative counts by the label `le`, as Prometheus has them.

use super::face::{By, Face, Groups, Item};
use super::value::{Histogram, Number};

/// The label of a bucket's upper bound.
const BOUND: &str = "le";
/// Counts this close, relative to their sum, differ by rounding alone.
const TOLERANCE: f64 = 1e-12;

/// Upper bound and count.
pub(super) type Bucket = (f64, f64);

#[derive(Default)]
struct Group {
    buckets: Vec<Bucket>,
    histogram: Option<Number>,
}

/// What a function makes of each histogram: of one that is a value, or of series that differ by `le` alone. Where both
/// are there for the same labels, neither counts; nor does a series without an `le` that is a number.
pub(super) fn apply(
    items: Vec<Item>,
    of_histogram: impl Fn(&Histogram) -> f64,
    of_buckets: impl Fn(&mut Vec<Bucket>) -> f64,
) -> Vec<Item> {
    let bound = [BOUND.to_owned()];
    let by = By::Except(&bound);
    let mut groups: Groups<'_, Group> = Groups::new(by);
    for item in items {
        match item.value {
            Number::Float(count) => {
                if let Ok(bound) = item.face.label(BOUND).parse::<f64>() {
                    groups.entry(&item.face, Group::default).buckets.push((bound, count));
                }
            }
            histogram @ Number::Histogram(_) => {
                // A histogram that has an `le` all the same keeps it.
                groups.entry(&item.face, Group::default).histogram = Some(histogram);
            }
        }
    }
    let mut made = Vec::new();
    for (face, mut group) in groups.into_entries() {
        let value = match &group.histogram {
            Some(Number::Histogram(histogram)) if group.buckets.is_empty() => of_histogram(histogram),
            None if !group.buckets.is_empty() => of_buckets(&mut group.buckets),
            _ => continue,
        };
        made.push(Item { face: Face::new(by.labels(&face).into()), value: Number::Float(value) });
    }
    made
}

/// The quantile, interpolated within its bucket.
pub(super) fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if !prepare(buckets) || buckets.len() < 2 {
        return f64::NAN;
    }
    rise(buckets);
    let last = buckets.len() - 1;
    let all = buckets[last].1;
    if all == 0.0 || all.is_nan() {
        return f64::NAN;
    }
    let rank = q * all;
    let at = buckets[..last].partition_point(|bucket| bucket.1 < rank);
    if at == last {
        return buckets[last - 1].0;
    }
    let (upper, count) = buckets[at];
    let (lower, before) = match at.checked_sub(1) {
        Some(before) => buckets[before],
        None if upper <= 0.0 => return upper,
        None => (0.0, 0.0),
    };
    lower + (upper - lower) * ((rank - before) / (count - before))
}

/// The part of the values between two bounds.
pub(super) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !prepare(buckets) {
        return f64::NAN;
    }
    let all = buckets.last().map_or(0.0, |bucket| bucket.1);
    if all == 0.0 || lower.is_nan() || upper.is_nan() || all.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank(upper, buckets).min(all) - rank(lower, buckets).min(all)) / all
}

/// How many values lie below, of the last bucket those that the one before it holds too.
fn rank(value: f64, buckets: &[Bucket]) -> f64 {
    let (mut low, mut before) = (f64::NEG_INFINITY, 0.0);
    for (at, &(high, count)) in buckets.iter().enumerate() {
        // As for quantiles, values are taken to be positive where the lowest bound is.
        if at == 0 && high > 0.0 {
            low = 0.0;
        }
        if low >= value {
            return before;
        }
        if high > value {
            return if low.is_infinite() { count } else { before + (count - before) * (value - low) / (high - low) };
        }
        (low, before) = (high, count);
    }
    before
}

/// Sorts buckets and adds up those of the same bound; false where the last is not infinite.
fn prepare(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    #[allow(clippy::float_cmp, reason = "the same bound, written in two ways")]
    buckets.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same {
            kept.1 += next.1;
        }
        is_same
    });
    buckets.last().is_some_and(|last| last.0 == f64::INFINITY)
}

/// Counts that fall, because the series were read at slightly different times, are held.
#[allow(clippy::float_cmp, reason = "equal counts need no correction")]
fn rise(buckets: &mut [Bucket]) {
    let Some(mut held) = buckets.first().map(|bucket| bucket.1) else { return };
    for bucket in &mut buckets[1..] {
        let close = (held - bucket.1).abs() / (held.abs() + bucket.1.abs()).min(f64::MAX) < TOLERANCE;
        if bucket.1 < held || (close && bucket.1 != held) {
            bucket.1 = held;
        } else {
            held = bucket.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_within_a_bucket() {
        let inf = f64::INFINITY;
        let of = |q: f64, buckets: &[Bucket]| quantile(q, &mut buckets.to_vec());
        let buckets = [(inf, 20.0), (0.1, 10.0), (1.0, 18.0)];
        for (q, want) in [(0.25, "0.050"), (0.5, "0.100"), (0.7, "0.550"), (0.9, "1.000"), (0.99, "1.000")] {
            assert_eq!(format!("{:.3}", of(q, &buckets)), want, "{q}");
        }
        assert!(of(2.0, &buckets).is_infinite() && of(-1.0, &buckets).is_infinite());
        assert_eq!(format!("{}", of(0.5, &[(1.0, 4.0), (2.0, 3.0), (inf, 4.0)])), "0.5", "counts never fall");
        for odd in [&[(1.0, 5.0), (2.0, 6.0)][..], &[(inf, 6.0)], &[(1.0, 0.0), (inf, 0.0)], &[]] {
            assert!(of(0.5, odd).is_nan(), "{odd:?}");
        }
    }

    #[test]
    fn a_fraction_is_interpolated_within_its_buckets() {
        let buckets = [(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 40.0)];
        let of = |lower: f64, upper: f64| fraction(lower, upper, &mut buckets.to_vec()).to_string();
        for (lower, upper, want) in
            [(0.5, 1.5, "0.25"), (-5.0, 2.0, "0.5"), (3.0, 1.0, "0"), (1.0, f64::INFINITY, "0.75")]
        {
            assert_eq!(of(lower, upper), want, "{lower} {upper}");
        }
        assert_eq!(of(f64::NAN, 1.0), "NaN");
    }
}
