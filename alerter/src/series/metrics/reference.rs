//! [`Numbers`] against the same on a plain list, over whatever may come.

use proptest::prelude::*;

use super::*;

struct Plain {
    kind: Kind,
    points: Vec<(i64, f64)>,
    gone: f64,
    last: Option<Point>,
}

impl Plain {
    fn add(&mut self, point: Point) -> bool {
        let value = match (self.kind, point.delta, self.last) {
            (Kind::Gauge | Kind::Level, _, _) | (Kind::Counter, true, _) => point.value,
            (Kind::Counter, false, Some(last)) if point.unix_ms <= last.unix_ms => {
                return point.unix_ms == last.unix_ms;
            }
            (Kind::Counter, false, Some(last)) if point.value < last.value || point.start_ms > last.unix_ms => {
                point.value
            }
            (Kind::Counter, false, Some(last)) => point.value - last.value,
            (Kind::Counter, false, None) if point.start_ms > 0 && point.unix_ms - point.start_ms <= FRESH_MS => {
                point.value
            }
            (Kind::Counter, false, None) => {
                self.gone = self.gone.max(point.value);
                0.0
            }
        };
        if self.last.is_none_or(|last| last.unix_ms <= point.unix_ms) {
            self.last = Some(point);
        }
        let at = self.points.partition_point(|(time, _)| *time < point.unix_ms);
        let there = self.points.get_mut(at).filter(|(time, _)| *time == point.unix_ms);
        if point.known && self.kind != Kind::Gauge {
            let was = there.as_ref().map_or(0.0, |there| if is_stale(there.1) { 0.0 } else { there.1 });
            let gone = self.gone - (value - was);
            self.gone = if self.kind == Kind::Counter { gone.max(0.0) } else { gone };
        }
        match there {
            Some(there) => there.1 = value,
            None => self.points.insert(at, (point.unix_ms, value)),
        }
        true
    }

    fn end(&mut self, unix_ms: i64) {
        let at = self.points.partition_point(|(time, _)| *time <= unix_ms);
        if at > 0 && !is_stale(self.points[at - 1].1) {
            self.points.insert(at, (unix_ms, STALE));
        }
    }

    fn forget(&mut self, before_ms: i64) -> bool {
        let old = self.points.partition_point(|(time, _)| *time < before_ms);
        self.gone += Self::sum(&self.points[..old]);
        self.points.drain(..old);
        !self.points.is_empty()
    }

    fn sum(points: &[(i64, f64)]) -> f64 {
        points.iter().map(|point| point.1).filter(|value| !is_stale(*value)).sum()
    }

    /// The total before, and the points, of sample times `(start_ms, end_ms]`.
    fn data(&self, start_ms: i64, end_ms: i64) -> (f64, Vec<(i64, u64)>) {
        let up = |ms: i64| (ms + 999).div_euclid(1000);
        let is_gauge = self.kind != Kind::Counter;
        let sample = |ms: i64| if is_gauge { ms } else { up(ms) * 1000 };
        let from = self.points.partition_point(|(time, _)| sample(*time) <= start_ms);
        let to = self.points.partition_point(|(time, _)| sample(*time) <= end_ms).max(from);
        let mut values: Vec<(i64, f64)> = Vec::new();
        for &(time, value) in &self.points[from..to] {
            match values.last_mut() {
                Some(last) if !is_gauge && last.0 == up(time) && !is_stale(last.1) && !is_stale(value) => {
                    last.1 += value;
                }
                _ => values.push((if is_gauge { time } else { up(time) }, value)),
            }
        }
        let before = self.gone + Self::sum(&self.points[..from]);
        if self.kind == Kind::Level {
            let mut level = before;
            for (_, value) in values.iter_mut().filter(|(_, value)| !is_stale(*value)) {
                level += *value;
                *value = level;
            }
        }
        (before, values.into_iter().map(|(at, v)| (at, v.to_bits())).collect())
    }

    fn any(&self, start_ms: i64, end_ms: i64) -> bool {
        self.points.iter().any(|&(time, value)| (start_ms..=end_ms).contains(&time) && !is_stale(value))
    }
}

#[derive(Debug, Clone)]
enum Op {
    /// Milliseconds behind the newest point, what is added to its value, whether it is known, whether it began again.
    Add(i64, i32, bool, bool),
    Run(i64, i32, usize),
    End(i64),
    Forget(i64),
}

fn op() -> impl Strategy<Value = Op> {
    let after = || prop_oneof![4 => 1_i64..20_000, 2 => Just(0_i64), 2 => -1_500_000_i64..0];
    prop_oneof![
        6 => (after(), -5_i32..400, prop::bool::weighted(0.2), prop::bool::weighted(0.1))
            .prop_map(|(after, more, known, restarts)| Op::Add(after, more, known, restarts)),
        4 => (1_i64..20_000, 0_i32..400, 1_usize..60).prop_map(|(after, more, count)| Op::Run(after, more, count)),
        1 => after().prop_map(Op::End),
        2 => (0_i64..2_000_000).prop_map(Op::Forget),
    ]
}

proptest! {
    #[test]
    fn a_series_is_as_on_a_plain_list_whatever_comes(
        counter in any::<bool>(), delta in any::<bool>(), carried in prop::option::of(0_i32..1000),
        ops in prop::collection::vec(op(), 1..50),
    ) {
        let kind = match (counter, delta) {
            (true, _) => Kind::Counter,
            (false, true) => Kind::Level,
            (false, false) => Kind::Gauge,
        };
        let is_sum = kind != Kind::Gauge;
        let (mut numbers, mut plain) = (Numbers::new(kind), Plain { kind, points: Vec::new(), gone: 0.0, last: None });
        if let Some(carried) = carried.filter(|_| is_sum) {
            numbers.carry(f64::from(carried));
            plain.gone = f64::from(carried);
        }
        let (mut now, mut value, mut start_ms) = (1_700_000_000_000_i64, 0.0, 0);
        for op in ops {
            if matches!(op, Op::Add(_, _, _, true)) {
                // The sum begins again.
                start_ms = now;
            }
            let mut add = |numbers: &mut Numbers, plain: &mut Plain, after: i64, more: i32, known: bool| {
                let unix_ms = now + after;
                now = now.max(unix_ms);
                // Quarters: sums of them are exact in any order.
                value = if delta { f64::from(more) / 4.0 } else { value + f64::from(more) / 4.0 };
                let point = Point { unix_ms, start_ms, value, delta, known };
                prop_assert_eq!(numbers.add(point), plain.add(point));
                Ok(())
            };
            match op {
                Op::Add(after, more, known, _) => add(&mut numbers, &mut plain, after, more, known)?,
                Op::Run(after, more, count) => {
                    for _ in 0..count {
                        add(&mut numbers, &mut plain, after, more, false)?;
                    }
                }
                Op::End(after) => {
                    numbers.end(now + after);
                    plain.end(now + after);
                }
                Op::Forget(back) => prop_assert_eq!(numbers.forget(now - back), plain.forget(now - back)),
            }
            prop_assert_eq!(numbers.total(), is_sum.then(|| plain.gone + Plain::sum(&plain.points)));
            for (from, to) in [(i64::MIN / 2, i64::MAX / 2), (now - 300_000, now), (now - 900_000, now - 200_500)] {
                let (before, values) = plain.data(from, to);
                let bits = |values: Vec<(i64, f64)>| -> Vec<_> {
                    values.into_iter().map(|(at, value)| (at, value.to_bits())).collect()
                };
                match numbers.data(from, to) {
                    Data::Counter { before: got, deltas, .. } => prop_assert_eq!((got, bits(deltas)), (before, values)),
                    Data::Gauge(points) => prop_assert_eq!(bits(points), values),
                    _ => prop_assert!(false, "neither a counter nor a gauge"),
                }
                prop_assert_eq!(numbers.any(from, to), plain.any(from, to));
            }
        }
    }
}
