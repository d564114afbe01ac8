//! Quantiles of classic buckets: cumulative counts by the label `le`, as Prometheus has them (`BucketQuantile`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::value::{Number, Sample};

/// The quantile of each group of samples that differ in `le` alone. A sample whose `le` is no number is left out.
pub(super) fn quantiles(q: f64, samples: Vec<Sample>) -> Vec<Sample> {
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for sample in samples {
        let mut labels = (*sample.labels).clone();
        labels.remove("__name__");
        let bound = labels.remove("le").and_then(|le| le.parse::<f64>().ok());
        if let (Some(bound), Number::Float(count)) = (bound, sample.value) {
            groups.entry(labels).or_default().push((bound, count));
        }
    }
    let sample = |(labels, mut buckets): (_, Vec<(f64, f64)>)| Sample {
        labels: Arc::new(labels),
        value: Number::Float(quantile(q, &mut buckets)),
    };
    groups.into_iter().map(sample).collect()
}

fn quantile(q: f64, buckets: &mut [(f64, f64)]) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Counts that fall, because the series were read at slightly different times, are held.
    let mut most = 0.0_f64;
    for bucket in &mut *buckets {
        most = most.max(bucket.1);
        bucket.1 = most;
    }
    let (Some(&(top, all)), true) = (buckets.last(), buckets.len() >= 2) else { return f64::NAN };
    if top != f64::INFINITY || all == 0.0 || all.is_nan() {
        return f64::NAN;
    }
    let rank = q * all;
    let last = buckets.len() - 1;
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

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_are_interpolated_within_a_bucket() {
        let inf = f64::INFINITY;
        let of = |q: f64, buckets: &[(f64, f64)]| quantile(q, &mut buckets.to_vec());
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
}
