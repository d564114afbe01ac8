//! [`Points`] against the plain list that they stand for.

use proptest::prelude::*;

use super::*;
use crate::series::read::STALE;

#[derive(Debug, Clone)]
enum Op {
    /// Adds a point so many milliseconds behind the last one, or late where that is negative.
    Add(i64, f64),
    /// The same many times.
    Run(i64, f64, usize),
    Set(usize, f64),
    Drop(usize),
    Carry(i32),
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0_i32..1000).prop_map(f64::from),
        1 => Just(STALE),
        1 => (0_i32..1000).prop_map(|quarters| f64::from(quarters) / 4.0),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_i64..20_000, value()).prop_map(|(after, value)| Op::Add(after, value)),
        2 => (-3_000_000_i64..0, value()).prop_map(|(after, value)| Op::Add(after, value)),
        3 => (1_i64..20_000, value(), 1_usize..100).prop_map(|(after, value, count)| Op::Run(after, value, count)),
        2 => (0_usize..600, value()).prop_map(|(at, value)| Op::Set(at, value)),
        2 => (0_usize..60).prop_map(Op::Drop),
        1 => (0_i32..1000).prop_map(Op::Carry),
    ]
}

fn same(points: &Points, model: &[(i64, f64)], gone: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(points.len(), model.len());
    prop_assert_eq!(points.is_empty(), model.is_empty());
    // Sums of quarters are exact in any order.
    prop_assert_eq!(points.gone().to_bits(), gone.to_bits());
    let mut all = Vec::new();
    points.for_each(0..points.len(), |time, value| all.push((time, value.to_bits())));
    prop_assert_eq!(all, model.iter().map(|point| (point.0, point.1.to_bits())).collect::<Vec<_>>());
    Ok(())
}

proptest! {
    #[test]
    fn points_are_as_a_plain_list_whatever_comes(
        ops in prop::collection::vec(op(), 1..60), probe in any::<prop::sample::Index>(),
    ) {
        let (mut points, mut model, mut gone) = (Points::default(), Vec::<(i64, f64)>::new(), 0.0);
        let mut last = 1_700_000_000_000;
        for op in ops {
            let mut add = |points: &mut Points, model: &mut Vec<(i64, f64)>, after: i64, value: f64| {
                let time = last + after;
                last = last.max(time);
                let at = model.partition_point(|point| point.0 < time);
                prop_assert_eq!(points.partition_point(|other| other < time), at);
                points.insert(at, (time, value));
                model.insert(at, (time, value));
                Ok(())
            };
            match op {
                Op::Add(after, value) => add(&mut points, &mut model, after, value)?,
                Op::Run(after, value, count) => {
                    for _ in 0..count {
                        add(&mut points, &mut model, after, value)?;
                    }
                }
                Op::Set(at, value) => {
                    if let Some(point) = model.get_mut(at) {
                        point.1 = value;
                        points.set(at, value);
                    }
                }
                Op::Drop(count) => {
                    let count = count.min(model.len());
                    gone += model.drain(..count).map(|point| point.1).filter(|value| !is_stale(*value)).sum::<f64>();
                    points.drop_first(count);
                }
                Op::Carry(sum) => {
                    gone = f64::from(sum);
                    points.set_gone(gone);
                }
            }
            same(&points, &model, gone)?;
        }
        let at = probe.index(model.len() + 1);
        let bits = |point: (i64, f64)| (point.0, point.1.to_bits());
        prop_assert_eq!(points.get(at).map(bits), model.get(at).copied().map(bits));
        let before = model[..at].iter().map(|point| point.1).filter(|value| !is_stale(*value)).sum::<f64>();
        prop_assert!((points.sum_before(at) - (gone + before)).abs() < f64::EPSILON, "{} {gone} {before}", points.sum_before(at));
        let time = model.get(at).map_or(last, |point| point.0);
        let behind = model.partition_point(|point| point.0 <= time);
        prop_assert_eq!(points.partition_point(|other| other <= time), behind);
        let mut some = Vec::new();
        points.for_each(at..behind, |time, value| some.push((time, value.to_bits())));
        prop_assert_eq!(some, model.get(at..behind).unwrap_or_default().iter().copied().map(bits).collect::<Vec<_>>());
    }
}

#[test]
fn given_two_hours_of_a_utilisation_then_a_point_takes_less_than_two_bytes() {
    let mut points = Points::default();
    for at in 0..720_i64 {
        points.insert(points.len(), (at * 10_000, (at * 37 % 101) as f64 / 100.0));
    }
    let chunks: usize = points.chunks.iter().map(|chunk| chunk.bytes() + size_of::<Chunk>()).sum();
    let all = chunks + points.head.capacity() * size_of::<(i64, f64)>() + size_of::<Points>();
    assert!(all < 2 * 720, "{all} bytes for 720 points");
}
