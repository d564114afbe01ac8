//! Columns of numbers: whole numbers in the shortest of four forms, floats as decimals where all of them are some. What is
//! written reads back bit for bit; the document store compresses it further, so all is whole bytes.

use crate::Error;
use crate::chunk::bytes::{Reader, put, put_deltas, put_signed};

/// Powers of ten that are tried for floats: a double has at most 17 digits.
const POWERS: [f64; 13] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
/// Whole numbers below are exact as doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// The form of floats that are no decimals: all first bytes, then all second bytes, and so on.
const PLANES: u8 = 0x40;

/// How whole numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The first number, and the step to each next one.
    Line = 0,
    /// The least number, a width of 1 to 7 bytes, and how far each lies above the least.
    Offsets = 1,
    /// The difference of each to the one before.
    Steps = 2,
    /// The first number and step, and the difference of each step to the one before.
    Turns = 3,
}

/// Writes whole numbers; their count is for the caller to keep.
pub(super) fn put_ints(out: &mut Vec<u8>, numbers: &[i64]) {
    let first = numbers.first().copied().unwrap_or(0);
    let steps = || numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let step = steps().next().unwrap_or(0);
    if steps().all(|next| next == step) {
        out.push(Form::Line as u8);
        put_signed(out, first);
        put_signed(out, step);
        return;
    }
    let mut shortest = Vec::new();
    let (least, greatest) = (numbers.iter().min().copied(), numbers.iter().max().copied());
    if let (Some(least), Some(greatest)) = (least, greatest) {
        let width = bytes_of(greatest.wrapping_sub(least) as u64);
        if width < 8 {
            shortest.push(Form::Offsets as u8);
            put_signed(&mut shortest, least);
            shortest.push(width as u8);
            for number in numbers {
                shortest.extend_from_slice(&(number.wrapping_sub(least) as u64).to_le_bytes()[..width]);
            }
        }
    }
    let mut offer = |form: Form, written: Vec<u8>| {
        if shortest.is_empty() || written.len() + 1 < shortest.len() {
            shortest.clear();
            shortest.push(form as u8);
            shortest.extend_from_slice(&written);
        }
    };
    let mut written = Vec::with_capacity(numbers.len() * 2);
    put_deltas(&mut written, numbers.iter().copied());
    offer(Form::Steps, std::mem::take(&mut written));
    put_signed(&mut written, first);
    put_deltas(&mut written, steps());
    offer(Form::Turns, written);
    out.append(&mut shortest);
}

/// Reads `count` numbers that [`put_ints`] wrote.
pub(super) fn ints(input: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, Error> {
    match input.byte()? {
        form if form == Form::Line as u8 => {
            let (first, step) = (input.signed()?, input.signed()?);
            Ok((0..count as i64).map(|at| first.wrapping_add(step.wrapping_mul(at))).collect())
        }
        form if form == Form::Offsets as u8 => {
            let (least, width) = (input.signed()?, usize::from(input.byte()?));
            if width > 7 {
                return Err(Error::Chunk("a number is too long"));
            }
            let bytes = input.take(count.saturating_mul(width))?;
            let number = |at: usize| {
                let mut word = [0; 8];
                word[..width].copy_from_slice(&bytes[at * width..(at + 1) * width]);
                least.wrapping_add(u64::from_le_bytes(word) as i64)
            };
            Ok((0..count).map(number).collect())
        }
        form if form == Form::Steps as u8 => input.deltas(count),
        form if form == Form::Turns as u8 => {
            let mut number = input.signed()?;
            let mut numbers = Vec::with_capacity(count);
            numbers.extend((count > 0).then_some(number));
            for step in input.deltas(count.saturating_sub(1))? {
                number = number.wrapping_add(step);
                numbers.push(number);
            }
            Ok(numbers)
        }
        _ => Err(Error::Chunk("unknown form of a column")),
    }
}

/// Writes floats; their count is for the caller to keep.
pub(super) fn put_floats(out: &mut Vec<u8>, numbers: &[f64]) {
    if let Some((power, whole)) = decimals(numbers) {
        out.push(power);
        put_ints(out, &whole);
        return;
    }
    out.push(PLANES);
    for plane in 0..8 {
        out.extend(numbers.iter().map(|number| number.to_le_bytes()[plane]));
    }
}

/// Reads `count` floats that [`put_floats`] wrote.
pub(super) fn floats(input: &mut Reader<'_>, count: usize) -> Result<Vec<f64>, Error> {
    let form = input.byte()?;
    if let Some(power) = POWERS.get(usize::from(form)) {
        return Ok(ints(input, count)?.into_iter().map(|whole| whole as f64 / power).collect());
    }
    if form != PLANES {
        return Err(Error::Chunk("unknown form of a column"));
    }
    let bytes = input.take(count.saturating_mul(8))?;
    let number = |at: usize| {
        let mut word = [0; 8];
        for (plane, byte) in word.iter_mut().enumerate() {
            *byte = bytes[plane * count + at];
        }
        f64::from_le_bytes(word)
    };
    Ok((0..count).map(number).collect())
}

/// The numbers times a power of ten, where that makes all of them whole and they come back bit for bit.
fn decimals(numbers: &[f64]) -> Option<(u8, Vec<i64>)> {
    let whole = |number: f64, power: f64| {
        let whole = (number * power).round_ties_even();
        let is_same = whole.abs() < EXACT && (whole as i64 as f64 / power).to_bits() == number.to_bits();
        is_same.then_some(whole as i64)
    };
    // A power that is enough for one number is often enough for all that follow.
    let mut power = 0;
    for number in numbers {
        while whole(*number, *POWERS.get(power)?).is_none() {
            power += 1;
        }
    }
    let scale = *POWERS.get(power)?;
    let whole = numbers.iter().map(|number| whole(*number, scale)).collect::<Option<_>>()?;
    Some((power as u8, whole))
}

/// How many bytes a number needs; at least one.
fn bytes_of(number: u64) -> usize {
    ((u64::BITS - number.leading_zeros()).div_ceil(8) as usize).max(1)
}

/// Writes the places of those that are `true`, by rising place.
pub(super) fn put_places(out: &mut Vec<u8>, flags: impl Iterator<Item = bool>) {
    let places: Vec<i64> = (0..).zip(flags).filter_map(|(at, flag)| flag.then_some(at)).collect();
    put(out, places.len() as u64);
    put_deltas(out, places.into_iter());
}

/// Reads what [`put_places`] wrote, of `count` flags.
pub(super) fn places(input: &mut Reader<'_>, count: usize) -> Result<Vec<bool>, Error> {
    let mut flags = vec![false; count];
    let some = input.count()?;
    for place in input.deltas(some)? {
        let flag = usize::try_from(place).ok().and_then(|place| flags.get_mut(place));
        *flag.ok_or(Error::Chunk("what a line refers to is missing"))? = true;
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -300_i64..300, Just(i64::MIN), Just(i64::MAX), 1_000_000_i64..1_000_100]
    }

    fn float() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            (-1000_i64..1000).prop_map(|cents| cents as f64 / 100.0),
            prop::sample::select(vec![f64::NAN, -0.0, 0.0, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX, 0.1, 1e300]),
        ]
    }

    proptest! {
        #[test]
        fn whole_numbers_read_back(numbers in prop::collection::vec(whole(), 0..50), step in whole(), lined: bool) {
            let line = |at: usize| 7_i64.wrapping_add(step.wrapping_mul(at as i64));
            let numbers = if lined { (0..numbers.len()).map(line).collect() } else { numbers };
            let mut bytes = Vec::new();
            put_ints(&mut bytes, &numbers);
            let mut input = Reader(&bytes);
            prop_assert_eq!(ints(&mut input, numbers.len()).unwrap(), numbers);
            prop_assert!(input.0.is_empty());
        }

        #[test]
        fn floats_read_back_bit_for_bit(numbers in prop::collection::vec(float(), 0..50), cents: bool) {
            let cent = |number: f64| (number * 100.0).round().clamp(-1e9, 1e9) / 100.0;
            let numbers: Vec<f64> = if cents { numbers.into_iter().map(cent).collect() } else { numbers };
            let mut bytes = Vec::new();
            put_floats(&mut bytes, &numbers);
            let mut input = Reader(&bytes);
            let back = floats(&mut input, numbers.len()).unwrap();
            let bits = |numbers: &[f64]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&numbers));
            prop_assert!(input.0.is_empty());
        }

        #[test]
        fn places_read_back(flags: Vec<bool>) {
            let mut bytes = Vec::new();
            put_places(&mut bytes, flags.iter().copied());
            prop_assert_eq!(places(&mut Reader(&bytes), flags.len()).unwrap(), flags);
        }
    }

    #[test]
    fn what_is_regular_takes_few_bytes() {
        let length = |number: &dyn Fn(i64) -> i64| {
            let mut bytes = Vec::new();
            put_ints(&mut bytes, &(0..100).map(number).collect::<Vec<_>>());
            bytes.len()
        };
        assert!(length(&|_| 5) < 5, "the same");
        assert!(length(&|at| at * 5_000_000_000) < 8, "the same step");
        assert!(length(&|at| 1_000_000 + at * 37 % 101) < 106, "a byte each");
        assert!(length(&|at| at * 5_000_000_000 + at % 7) < 110, "a step that turns a little: a byte each");
    }
}
