//! Running totals of histograms in classic buckets, for those who keep no histograms of ours.
//!
//! Histograms are kept as what came in each second, and are dropped with the history. These totals go on: a total at a
//! time is all that ever came, without the little that came since, so what came late is in every later total, and none
//! falls.

use weir_calls::Hdr;

use super::identity;
use super::read::Labels;

/// Upper bounds, in the unit of the series.
const BOUNDS: [f64; 37] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3,
    2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 2.5e8, 5e8, 1e9,
];

/// Bounds of durations in seconds, up to 42 minutes.
pub(crate) fn durations() -> &'static [f64] {
    &BOUNDS[..20]
}

/// Bounds of what may be anything.
pub(crate) fn values() -> &'static [f64] {
    &BOUNDS
}

/// A histogram in classic buckets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Classic {
    /// Upper bounds; one bucket more has none.
    pub(crate) bounds: &'static [f64],
    /// Of each bucket, how many values are at most its bound.
    pub(crate) counts: Vec<u64>,
    /// Of all values.
    pub(crate) sum: f64,
}

impl Classic {
    /// A slot of the histogram, of less than 1%, is counted where its least value is.
    pub(crate) fn of(hdr: &Hdr, bounds: &'static [f64]) -> Self {
        Self::adding_up(&parts(hdr, bounds), bounds)
    }

    fn adding_up(parts: &[u64], bounds: &'static [f64]) -> Self {
        let mut counts = parts.to_vec();
        let sum = counts.pop().unwrap_or(0) as f64 / MILLIONTHS;
        let mut below = 0_u64;
        for count in &mut counts {
            below = below.saturating_add(*count);
            *count = below;
        }
        Self { bounds, counts, sum }
    }

    /// All values.
    pub(crate) fn count(&self) -> u64 {
        self.counts.last().copied().unwrap_or(0)
    }
}

/// Values of histograms are in millionths of the unit.
const MILLIONTHS: f64 = 1e6;

/// The count of each bucket alone, then the sum in millionths.
fn parts(hdr: &Hdr, bounds: &[f64]) -> Vec<u64> {
    let mut parts = vec![0_u64; bounds.len() + 2];
    for (low, _, count) in hdr.slots() {
        let at = bounds.partition_point(|bound| (bound * MILLIONTHS).round() < low as f64);
        parts[at] = parts[at].saturating_add(count);
    }
    parts[bounds.len() + 1] = hdr.sum();
    parts
}

/// The totals of one series.
#[derive(Debug)]
pub(super) struct Totals {
    bounds: &'static [f64],
    /// As [`parts`] gives them.
    all: Vec<u64>,
    /// Part of `all`, and not read again yet.
    carried: Vec<u64>,
}

impl Totals {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, all: vec![0; bounds.len() + 2], carried: Vec::new() }
    }

    /// Keys of the totals, in their order.
    pub(super) fn keys(&self, labels: &Labels) -> impl Iterator<Item = u64> + use<> {
        let key = identity::of_labels(labels);
        (0..self.all.len() as u64).map(move |at| identity::of_part(key, at))
    }

    /// The totals; as floats, as they are written.
    pub(super) fn totals(&self) -> impl Iterator<Item = f64> {
        self.all.iter().map(|total| *total as f64)
    }

    /// Goes on from totals of before.
    pub(super) fn carry(&mut self, totals: impl Iterator<Item = u64>) {
        self.carried = totals.collect();
        self.all.clone_from(&self.carried);
    }

    /// Takes what came; `known` where it is in the totals that were carried here.
    pub(super) fn add(&mut self, hdr: &Hdr, known: bool) {
        for (at, part) in parts(hdr, self.bounds).into_iter().enumerate() {
            let carried = self.carried.get_mut(at).filter(|_| known).map_or(0, |left| {
                let carried = part.min(*left);
                *left -= carried;
                carried
            });
            self.all[at] = self.all[at].saturating_add(part - carried);
        }
    }

    /// Takes what came before the series was first seen, unless it is in totals that were carried here.
    pub(super) fn at_least(&mut self, hdr: &Hdr) {
        for (all, part) in self.all.iter_mut().zip(parts(hdr, self.bounds)) {
            *all = part.max(*all);
        }
    }

    /// The totals without those that came later.
    pub(super) fn without<'a>(&self, later: impl Iterator<Item = &'a Hdr>) -> Classic {
        let mut totals = self.all.clone();
        for hdr in later {
            for (total, part) in totals.iter_mut().zip(parts(hdr, self.bounds)) {
                *total = total.saturating_sub(part);
            }
        }
        Classic::adding_up(&totals, self.bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hdr(values: &[u64]) -> Hdr {
        let mut hdr = Hdr::default();
        for value in values {
            hdr.record(*value);
        }
        hdr
    }

    #[test]
    fn given_durations_then_each_is_in_all_buckets_whose_bounds_are_not_below_it() {
        let classic = Classic::of(&hdr(&[999, 1000, 1020, 9_000_000, 7_000_000_000]), durations());
        let of = |bound: f64| classic.counts[durations().iter().position(|b| b.total_cmp(&bound).is_eq()).unwrap()];
        assert_eq!((of(0.001), of(0.0025), of(5.0), of(10.0), of(2500.0)), (2, 3, 3, 4, 4));
        assert_eq!((classic.count(), classic.counts.len()), (5, durations().len() + 1));
        assert!((classic.sum - 7_009.003_019).abs() < 1e-9, "{}", classic.sum);
    }

    #[test]
    fn given_totals_of_before_then_they_go_on_and_what_is_read_again_counts_once() {
        let mut live = Totals::new(durations());
        let came = [hdr(&[1000, 2_000_000]), hdr(&[3000]), hdr(&[70_000_000])];
        for hdr in &came {
            live.add(hdr, false);
        }
        let mut again = Totals::new(durations());
        again.carry(live.totals().map(|total| total as u64));
        // Of the history the first is not there any more, and the last came behind the totals.
        again.add(&came[1], true);
        again.add(&came[2], true);
        again.add(&hdr(&[5]), false);
        live.add(&hdr(&[5]), false);
        assert_eq!(again.all, live.all);
        assert_eq!(again.without([&came[2]].into_iter()).count(), 4);
    }
}
