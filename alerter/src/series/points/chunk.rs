//! Points that are no longer written to, compressed.
//!
//! Times are mostly regular: of each only what it differs from a straight line is kept, packed with one width, so that
//! one is found without reading those before it. Nothing is kept where all lie on the line.

use std::ops::Range;

use super::bits::{BitWriter, bits, put_varint, unzigzag, varint, width, zigzag};
use super::values;

/// Some points, oldest first.
#[derive(Debug)]
pub(super) struct Chunk {
    first_ms: i64,
    last_ms: i64,
    /// Of the values, but for what ends the series.
    sum: f64,
    /// How the times lie, times, values.
    bytes: Box<[u8]>,
    count: u16,
}

/// How the times of a chunk lie.
struct Times<'a> {
    first: i64,
    step: i64,
    least: i64,
    bits: u32,
    packed: &'a [u8],
}

impl Times<'_> {
    fn at(&self, at: usize) -> i64 {
        let differs = bits(self.packed, at * self.bits as usize, self.bits) as i64;
        self.first.wrapping_add(self.step.wrapping_mul(at as i64)).wrapping_add(self.least).wrapping_add(differs)
    }
}

impl Chunk {
    /// Of some points, at most 65,535, by rising times.
    pub(super) fn new(points: &[(i64, f64)]) -> Self {
        let (first, last) = (points.first().map_or(0, |point| point.0), points.last().map_or(0, |point| point.0));
        let step = last.wrapping_sub(first) / (points.len().max(2) - 1) as i64;
        let line = |at: usize| first.wrapping_add(step.wrapping_mul(at as i64));
        let differs = || points.iter().enumerate().map(|(at, point)| point.0.wrapping_sub(line(at)));
        let least = differs().min().unwrap_or(0);
        let above = |differs: i64| differs.wrapping_sub(least) as u64;
        let each = differs().map(|differs| width(above(differs))).max().unwrap_or(0);
        let mut bytes = Vec::with_capacity(points.len() * 2 + 32);
        bytes.push(each as u8);
        put_varint(&mut bytes, zigzag(step));
        put_varint(&mut bytes, zigzag(least));
        let mut writer = BitWriter::default();
        differs().for_each(|differs| writer.put(above(differs), each));
        bytes.extend(writer.finish());
        let all: Vec<f64> = points.iter().map(|point| point.1).collect();
        let from = bytes.len();
        values::encode(&all, &mut bytes);
        Self {
            first_ms: first,
            last_ms: last,
            sum: values::sum_before(bytes.get(from..).unwrap_or_default(), points.len()),
            bytes: bytes.into_boxed_slice(),
            count: points.len() as u16,
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// The greatest time.
    pub(super) fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// The sum of the values, but for what ends the series.
    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// The same of the values before this one.
    pub(super) fn sum_before(&self, at: usize) -> f64 {
        values::sum_before(self.parts().1, at)
    }

    /// Times, and the values' bytes.
    fn parts(&self) -> (Times<'_>, &[u8]) {
        let mut rest = self.bytes.get(1..).unwrap_or_default();
        let each = u32::from(self.bytes.first().copied().unwrap_or(0));
        let (step, least) = (unzigzag(varint(&mut rest)), unzigzag(varint(&mut rest)));
        let packed = (self.len() * each as usize).div_ceil(8);
        let (packed, values) = rest.split_at_checked(packed).unwrap_or_default();
        (Times { first: self.first_ms, step, least, bits: each, packed }, values)
    }

    /// How many times are such, where those that are come first.
    pub(super) fn partition_point(&self, is: impl Fn(i64) -> bool) -> usize {
        if is(self.last_ms) {
            return self.len();
        }
        let (times, _) = self.parts();
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            if is(times.at(middle)) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        from
    }

    /// Passes the points of a range to `take`.
    pub(super) fn decode(&self, range: Range<usize>, mut take: impl FnMut(i64, f64)) {
        let (times, values) = self.parts();
        let mut at = range.start;
        values::decode(values, range, |value| {
            take(times.at(at), value);
            at += 1;
        });
    }

    /// Bytes in memory beside the chunk itself.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::series::read::STALE;

    fn read(chunk: &Chunk, range: Range<usize>) -> Vec<(i64, u64)> {
        let mut read = Vec::new();
        chunk.decode(range, |time, value| read.push((time, value.to_bits())));
        read
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            (-1_000_000_i64..1_000_000).prop_map(|whole| whole as f64),
            (-1000_i64..1000).prop_map(|cents| cents as f64 / 100.0),
            any::<i64>().prop_map(|whole| whole as f64 / 1e9),
            prop::sample::select(vec![STALE, f64::NAN, -0.0, 0.0, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX, 0.1]),
        ]
    }

    proptest! {
        #[test]
        fn what_is_read_is_bit_for_bit_what_was_written(
            steps in prop_oneof![
                prop::collection::vec(Just(10_000_i64), 1..150),
                prop::collection::vec(9_990_i64..10_010, 1..150),
                prop::collection::vec(0_i64..1_000_000_000_000, 1..150),
            ],
            kind in 0..3,
            values in prop::collection::vec(value(), 150),
            from in 0_usize..150, to in 0_usize..150,
        ) {
            let (mut time, mut points) = (1_700_000_000_000_i64, Vec::new());
            for (step, value) in steps.iter().zip(&values) {
                let value = match kind {
                    0 => *value,
                    1 => values[0],
                    _ => (value * 100.0).round().clamp(-1e9, 1e9) / 100.0,
                };
                points.push((time, value));
                time += step;
            }
            let chunk = Chunk::new(&points);
            let all: Vec<(i64, u64)> = points.iter().map(|point| (point.0, point.1.to_bits())).collect();
            prop_assert_eq!(&read(&chunk, 0..chunk.len()), &all);
            let (from, to) = (from.min(all.len()), to.min(all.len()));
            prop_assert_eq!(&read(&chunk, from.min(to)..to), &all[from.min(to)..to]);
            let middle = all[from.min(all.len() - 1)].0;
            prop_assert_eq!(
                chunk.partition_point(|time| time < middle), all.partition_point(|point| point.0 < middle)
            );
        }
    }

    #[test]
    fn regular_times_cost_nothing_and_decimals_only_the_bits_that_they_need() {
        let of = |value: &dyn Fn(i64) -> f64| {
            let points: Vec<(i64, f64)> = (0..128).map(|at| (at * 10_000, value(at))).collect();
            Chunk::new(&points).bytes()
        };
        assert!(of(&|_| 0.1) < 20, "the same: {}", of(&|_| 0.1));
        assert!(of(&|at| (at * 37 % 101) as f64 / 100.0) < 125, "seven bits each");
        assert!(of(&|at| 1e6 + (at * at % 3) as f64) < 45, "two bits each");
        assert!(of(&|at| 1e9 + (at * 1001) as f64) < 24, "the same step");
        assert!(of(&|at| 1e9 + (at * 1001 + at % 5) as f64) < 80, "steps that differ by three bits");
        assert!(of(&|at| if at == 64 { 1e12 } else { 5.0 }) < 60, "one that stands out");
        assert!(of(&|at| (at as f64).sqrt()) < 1000, "no decimals");
    }
}
