//! One series of numbers: a gauge, or a monotonic sum kept as its increases.

use super::points::Points;
use super::read::{Data, STALE, is_stale};

/// A cumulative sum that began so shortly before its first point is counted from zero.
pub(super) const FRESH_MS: i64 = 60_000;

/// Points that are looked at together where one that is a value is sought.
const ANY_AT_ONCE: usize = 64;

/// What a series is; the first point decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    /// A sum of deltas that rises and falls: seen as a gauge, kept as a counter is.
    Level,
    Counter,
}

/// One point on its way in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) unix_ms: i64,
    /// Since when a sum is summed up; zero where that is not known.
    pub(super) start_ms: i64,
    pub(super) value: f64,
    /// The value is what came since the point before.
    pub(super) delta: bool,
    /// The point is in the total that was carried here.
    pub(super) known: bool,
}

/// One series.
#[derive(Debug)]
pub(super) struct Numbers {
    kind: Kind,
    /// Values or increases; [`STALE`] where the series ended. What is gone of them is also what a sum was before its
    /// first point.
    points: Points,
    /// The last raw point of a cumulative sum.
    last: Option<Point>,
}

impl Numbers {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, points: Points::default(), last: None }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Takes a point. One of the same time replaces: it was sent again. A cumulative sum's older point is of no use: then
    /// the answer is false.
    pub(super) fn add(&mut self, point: Point) -> bool {
        let last = self.last;
        let value = match (self.kind, point.delta, last) {
            (Kind::Gauge | Kind::Level, _, _) | (Kind::Counter, true, _) => point.value,
            (Kind::Counter, false, Some(last)) if point.unix_ms <= last.unix_ms => {
                return point.unix_ms == last.unix_ms;
            }
            (Kind::Counter, false, Some(last)) => {
                let restarted = point.value < last.value || point.start_ms > last.unix_ms;
                if restarted { point.value } else { point.value - last.value }
            }
            (Kind::Counter, false, None) => {
                if point.start_ms > 0 && point.unix_ms - point.start_ms <= FRESH_MS {
                    point.value
                } else {
                    // A total that was carried here is of all that the sum was before it began again.
                    self.points.set_gone(self.points.gone().max(point.value));
                    0.0
                }
            }
        };
        if last.is_none_or(|last| last.unix_ms <= point.unix_ms) {
            self.last = Some(point);
        }
        let at = self.points.partition_point(|time| time < point.unix_ms);
        let there = self.points.get(at).filter(|(time, _)| *time == point.unix_ms);
        if point.known && self.kind != Kind::Gauge {
            let was = there.map(|there| there.1).filter(|was| !is_stale(*was)).unwrap_or(0.0);
            let gone = self.points.gone() - (value - was);
            self.points.set_gone(if self.kind == Kind::Counter { gone.max(0.0) } else { gone });
        }
        match there {
            Some((_, was)) if was.to_bits() == value.to_bits() => {}
            // Also where the series was said to end at that time: it did not.
            Some(_) => self.points.set(at, value),
            None => self.points.insert(at, (point.unix_ms, value)),
        }
        true
    }

    /// Goes on from a total of before.
    pub(super) fn carry(&mut self, total: f64) {
        self.points.set_gone(total);
    }

    /// The total of a sum.
    pub(super) fn total(&self) -> Option<f64> {
        (self.kind != Kind::Gauge).then(|| self.points.sum_before(self.points.len()))
    }

    /// The series ends at this time, until its next point.
    /// False where it had ended before.
    pub(super) fn end(&mut self, unix_ms: i64) -> bool {
        let at = self.points.partition_point(|time| time <= unix_ms);
        let last = at.checked_sub(1).and_then(|last| self.points.get(last));
        let ends = last.is_some_and(|(_, value)| !is_stale(value));
        if ends {
            self.points.insert(at, (unix_ms, STALE));
        }
        ends
    }

    /// Drops what is older; false when nothing is left.
    pub(super) fn forget(&mut self, before_ms: i64) -> bool {
        self.points.drop_first(self.points.partition_point(|time| time < before_ms));
        !self.points.is_empty()
    }

    /// Whether there is a point at a time in `[start_ms, end_ms]`.
    pub(super) fn any(&self, start_ms: i64, end_ms: i64) -> bool {
        let from = self.points.partition_point(|time| time < start_ms);
        let to = self.points.partition_point(|time| time <= end_ms).max(from);
        // The first is most often a value.
        (from..to).step_by(ANY_AT_ONCE).any(|at| {
            let mut found = false;
            self.points.for_each(at..to.min(at + ANY_AT_ONCE), |_, value| found |= !is_stale(value));
            found
        })
    }

    /// Points of sample times `(start_ms, end_ms]`; an increase has the sample time of the second that ends with it.
    pub(super) fn data(&self, start_ms: i64, end_ms: i64) -> Data {
        let second = |ms: i64| ms.div_euclid(1000) + i64::from(ms.rem_euclid(1000) > 0);
        let sample = |ms: i64| if self.kind == Kind::Counter { second(ms).saturating_mul(1000) } else { ms };
        let from = self.points.partition_point(|time| sample(time) <= start_ms);
        let to = self.points.partition_point(|time| sample(time) <= end_ms).max(from);
        let mut values: Vec<(i64, f64)> = Vec::with_capacity(to - from);
        if self.kind == Kind::Gauge {
            self.points.for_each(from..to, |time, value| values.push((time, value)));
            return Data::Gauge(values);
        }
        let before = self.points.sum_before(from);
        if self.kind == Kind::Level {
            let mut level = before;
            self.points.for_each(from..to, |time, value| {
                level += if is_stale(value) { 0.0 } else { value };
                values.push((time, if is_stale(value) { STALE } else { level }));
            });
            return Data::Gauge(values);
        }
        self.points.for_each(from..to, |time, value| {
            let joins = |last: &&mut (i64, f64)| last.0 == second(time) && !is_stale(last.1) && !is_stale(value);
            match values.last_mut().filter(joins) {
                Some(last) => last.1 += value,
                None => values.push((second(time), value)),
            }
        });
        Data::Counter { before, deltas: values, lasts: false }
    }
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;

    fn cumulative(seconds: i64, start: i64, value: f64) -> Point {
        Point { unix_ms: seconds * 1000, start_ms: start * 1000, value, delta: false, known: false }
    }

    #[test]
    fn a_sum_that_restarts_counts_from_zero_again() {
        let mut numbers = Numbers::new(Kind::Counter);
        for point in [cumulative(1000, 1, 50.0), cumulative(1010, 1, 53.0), cumulative(1010, 1, 53.0)] {
            numbers.add(point);
        }
        numbers.add(cumulative(1020, 1015, 2.0));
        let Data::Counter { before, deltas, .. } = numbers.data(1_000_000, 1_020_000) else { panic!("no counter") };
        assert_eq!((before, deltas), (50.0, vec![(1010, 3.0), (1020, 2.0)]));
    }

    #[test]
    fn the_first_increase_of_a_young_sum_counts() {
        let mut numbers = Numbers::new(Kind::Counter);
        numbers.add(cumulative(1000, 990, 4.0));
        let Data::Counter { before, deltas, .. } = numbers.data(0, 1_000_000) else { panic!("no counter") };
        assert_eq!((before, deltas), (0.0, vec![(1000, 4.0)]));
    }

    #[test]
    fn a_gauge_keeps_the_order_of_time() {
        let mut numbers = Numbers::new(Kind::Gauge);
        for (time, value) in [(3, 3.0), (1, 1.0), (3, 4.0)] {
            numbers.add(cumulative(time, 0, value));
        }
        let Data::Gauge(points) = numbers.data(0, 3000) else { panic!("no gauge") };
        assert_eq!(points, [(1000, 1.0), (3000, 4.0)]);
    }

    #[test]
    fn given_an_end_then_the_total_holds_and_the_next_point_goes_on() {
        let mut numbers = Numbers::new(Kind::Counter);
        numbers.add(cumulative(1000, 999, 4.0));
        numbers.end(1_010_000);
        numbers.end(1_020_000);
        numbers.add(cumulative(1030, 999, 6.0));
        let Data::Counter { before, deltas, .. } = numbers.data(0, 1_030_000) else { panic!("no counter") };
        let deltas: Vec<_> =
            deltas.into_iter().map(|(time, value)| (time, (!is_stale(value)).then_some(value))).collect();
        assert_eq!((before, deltas), (0.0, vec![(1000, Some(4.0)), (1010, None), (1030, Some(2.0))]));
        assert!(
            matches!(numbers.data(1_020_000, 1_030_000), Data::Counter { before: 4.0, .. }),
            "the end is no increase"
        );
        assert!(!numbers.any(1_005_000, 1_020_000) && numbers.any(1_000_000, 1_020_000));
        assert!(numbers.forget(1_020_000));
        assert!(
            matches!(numbers.data(1_020_000, 1_030_000), Data::Counter { before: 4.0, .. }),
            "the end is no increase"
        );
    }

    #[test]
    fn given_a_total_of_before_then_it_goes_on_however_little_of_the_history_is_read_again() {
        let points: Vec<Point> = [(1000, 50.0, 1), (1010, 53.0, 1), (1020, 2.0, 1015), (1030, 6.0, 1015)]
            .map(|(time, value, start)| cumulative(time, start, value))
            .to_vec();
        let deltas: Vec<Point> = points.iter().map(|point| Point { delta: true, ..*point }).collect();
        for points in [points, deltas] {
            let mut live = Numbers::new(Kind::Counter);
            assert!(points.iter().all(|point| live.add(*point)));
            for (read_from, written) in [(0, 3), (1, 3), (2, 3), (3, 4), (4, 4), (2, 4)] {
                let mut before = Numbers::new(Kind::Counter);
                assert!(points[..written].iter().all(|point| before.add(*point)));
                let mut again = Numbers::new(Kind::Counter);
                again.carry(before.total().unwrap());
                for (at, point) in points.iter().enumerate().skip(read_from) {
                    again.add(Point { known: at < written, ..*point });
                }
                let what = format!("read from {read_from}, written behind {written}: {points:?}");
                assert_eq!(again.total(), live.total(), "{what}");
                assert!(again.total() >= before.total(), "{what}");
            }
        }
    }

    #[test]
    fn given_deltas_that_rise_and_fall_then_a_level_goes_on_over_a_restart() {
        let delta =
            |seconds: i64, value: f64, known: bool| Point { delta: true, known, ..cumulative(seconds, 0, value) };
        let came = [(1000, 5.0), (1010, -3.0), (1020, -4.0), (1020, -4.0), (1030, 9.0)];
        let mut live = Numbers::new(Kind::Level);
        for (time, value) in came {
            assert!(live.add(delta(time, value, false)));
        }
        let levels = |numbers: &Numbers, after: i64| -> Vec<(i64, f64)> {
            let Data::Gauge(points) = numbers.data(after * 1000, i64::MAX) else { panic!("no gauge") };
            points.into_iter().map(|(ms, value)| (ms / 1000, value)).collect()
        };
        assert_eq!(levels(&live, 0), [(1000, 5.0), (1010, 2.0), (1020, -2.0), (1030, 7.0)]);
        // The totals were written behind the third; of the history the first is not there any more.
        let mut again = Numbers::new(Kind::Level);
        again.carry(-2.0);
        for (time, value) in &came[1..] {
            assert!(again.add(delta(*time, *value, *time < 1030)));
        }
        assert_eq!(levels(&again, 0), levels(&live, 1000));
        assert!(again.forget(1_025_000));
        assert_eq!((levels(&again, 0), again.total()), (vec![(1030, 7.0)], Some(7.0)));
    }

    #[test]
    fn a_delta_that_is_sent_again_counts_once_and_an_older_point_of_a_sum_is_told() {
        let mut numbers = Numbers::new(Kind::Counter);
        let delta = Point { unix_ms: 10_000, start_ms: 9_000, value: 5.0, delta: true, known: false };
        assert!(numbers.add(delta) && numbers.add(delta));
        let Data::Counter { deltas, .. } = numbers.data(0, 20_000) else { panic!("no counter") };
        assert_eq!(deltas, [(10, 5.0)]);
        let mut numbers = Numbers::new(Kind::Counter);
        assert!(numbers.add(cumulative(1000, 1, 50.0)) && numbers.add(cumulative(1000, 1, 50.0)));
        assert!(!numbers.add(cumulative(990, 1, 49.0)));
    }
}
