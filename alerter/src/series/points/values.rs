//! The values of a chunk, bit for bit as they came, in the smaller of two forms.
//!
//! * Decimal: all values are whole numbers over one power of ten, as what programs measure mostly is (`0.07`, `1234`).
//!   The whole numbers, or the steps between them, are packed with one width, as what each is above the least of them.
//! * XOR, for all other values: the bits that differ from those of the value before, as Gorilla has it (Pelkonen et al.,
//!   VLDB 2015, section 4.1.2).

use std::ops::Range;

use crate::series::read::is_stale;

use super::bits::{BitWriter, bits, put_varint, unzigzag, varint, width, zigzag};

/// The powers of ten that are tried; a double has at most 17 digits.
const POWERS: [f64; 13] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
/// Whole numbers below are exact as doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The first byte: 0 to 12 is the power of ten, to which one of these is added.
const DELTAS: u8 = 0x20;
const XOR: u8 = 0x40;

/// Bits that say how many bits of a value lead, or follow, and are zero.
const LENGTH_BITS: u32 = 6;

/// Appends the values.
pub(super) fn encode(values: &[f64], bytes: &mut Vec<u8>) {
    let decimal = decimal(values);
    let (most, whole) = match &decimal {
        // Nothing is smaller.
        Some(decimal) if decimal.bits == 0 => (0, Some(decimal)),
        Some(decimal) => (decimal.len(values.len()), Some(decimal)),
        None => (usize::MAX, None),
    };
    match (xor(values, most), whole) {
        (Some(packed), _) => {
            bytes.push(XOR);
            bytes.extend(packed);
        }
        (None, Some(decimal)) => decimal.write(bytes),
        (None, None) => {}
    }
}

struct Decimal {
    power: u8,
    whole: Vec<i64>,
    /// The least step where steps are packed, else the least number.
    least: i64,
    is_delta: bool,
    bits: u32,
}

fn decimal(values: &[f64]) -> Option<Decimal> {
    let whole = |value: f64, power: f64| {
        let whole = (value * power).round_ties_even();
        let is_same = whole.abs() < EXACT && (whole as i64 as f64 / power).to_bits() == value.to_bits();
        is_same.then_some(whole as i64)
    };
    // A power that is enough for one value is often enough for all that follow.
    let mut power = 0;
    for value in values {
        while whole(*value, POWERS[power]).is_none() {
            power += 1;
            if power == POWERS.len() {
                return None;
            }
        }
    }
    let whole: Vec<i64> = values.iter().map(|value| whole(*value, POWERS[power])).collect::<Option<_>>()?;
    let (least, greatest) = (*whole.iter().min()?, *whole.iter().max()?);
    let steps = || whole.windows(2).map(|pair| pair[1] - pair[0]);
    let (least_step, greatest_step) = (steps().min().unwrap_or(0), steps().max().unwrap_or(0));
    let (above_least, above_step) = (width((greatest - least) as u64), width((greatest_step - least_step) as u64));
    let is_delta = above_step < above_least;
    let (least, bits) = if is_delta { (least_step, above_step) } else { (least, above_least) };
    Some(Decimal { power: power as u8, whole, least, is_delta, bits })
}

impl Decimal {
    /// Bytes, but for those of the base.
    fn len(&self, values: usize) -> usize {
        3 + (values * self.bits as usize).div_ceil(8)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.power | if self.is_delta { DELTAS } else { 0 });
        bytes.push(self.bits as u8);
        put_varint(bytes, zigzag(self.least));
        let mut writer = BitWriter::default();
        if self.is_delta {
            put_varint(bytes, zigzag(self.whole.first().copied().unwrap_or(0)));
            self.whole.windows(2).for_each(|pair| writer.put((pair[1] - pair[0] - self.least) as u64, self.bits));
        } else {
            self.whole.iter().for_each(|whole| writer.put((whole - self.least) as u64, self.bits));
        }
        bytes.extend(writer.finish());
    }
}

/// `None` where it would take so many bytes or more.
fn xor(values: &[f64], most: usize) -> Option<Vec<u8>> {
    let mut writer = BitWriter::default();
    let (mut last, mut leading, mut length) = (0_u64, 0_u32, 0_u32);
    for value in values {
        if writer.len() >= most {
            return None;
        }
        let differs = value.to_bits() ^ std::mem::replace(&mut last, value.to_bits());
        if differs == 0 {
            writer.put(0, 1);
            continue;
        }
        let trailing = u64::BITS - leading - length;
        if length > 0 && differs.leading_zeros() >= leading && differs.trailing_zeros() >= trailing {
            writer.put(0b01, 2);
        } else {
            writer.put(0b11, 2);
            leading = differs.leading_zeros();
            length = u64::BITS - leading - differs.trailing_zeros();
            writer.put(u64::from(leading), LENGTH_BITS);
            writer.put(u64::from(length - 1), LENGTH_BITS);
        }
        writer.put(differs >> (u64::BITS - leading - length), length);
    }
    (writer.len() < most).then(|| writer.finish())
}

/// Decimals as they are read.
struct Decimals<'a> {
    power: f64,
    least: i64,
    /// The first number where steps are packed.
    first: Option<i64>,
    bits: u32,
    packed: &'a [u8],
}

impl<'a> Decimals<'a> {
    /// `None` where the values are no decimals.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[kind, bits], mut rest) = bytes.split_first_chunk::<2>()?;
        let power = POWERS.get(usize::from(kind & !DELTAS)).copied()?;
        let least = unzigzag(varint(&mut rest));
        let first = (kind & DELTAS != 0).then(|| unzigzag(varint(&mut rest)));
        Some(Self { power, least, first, bits: u32::from(bits), packed: rest })
    }

    fn for_each(&self, range: Range<usize>, mut take: impl FnMut(i64)) {
        let packed = |at: usize| self.least.wrapping_add(bits(self.packed, at * self.bits as usize, self.bits) as i64);
        let Some(mut number) = self.first else {
            return range.for_each(|at| take(packed(at)));
        };
        for at in 0..range.end {
            if at >= range.start {
                take(number);
            }
            number = number.wrapping_add(packed(at));
        }
    }
}

/// Passes the values of a range to `take`.
pub(super) fn decode(bytes: &[u8], range: Range<usize>, mut take: impl FnMut(f64)) {
    match Decimals::read(bytes) {
        Some(decimals) => decimals.for_each(range, |number| take(number as f64 / decimals.power)),
        None => unxor(bytes.get(1..).unwrap_or_default(), range, take),
    }
}

/// The sum of the values before this one, but for what ends the series. Decimals are added exactly, and rounded once.
pub(super) fn sum_before(bytes: &[u8], to: usize) -> f64 {
    let mut sum = 0.0;
    let Some(decimals) = Decimals::read(bytes) else {
        decode(bytes, 0..to, |value| sum += if is_stale(value) { 0.0 } else { value });
        return sum;
    };
    let mut whole = 0_i128;
    decimals.for_each(0..to, |number| whole += i128::from(number));
    whole as f64 / decimals.power
}

fn unxor(bytes: &[u8], range: Range<usize>, mut take: impl FnMut(f64)) {
    let mut at = 0;
    let mut next = |width: u32| {
        let number = bits(bytes, at, width);
        at += width as usize;
        number
    };
    let (mut last, mut leading, mut length) = (0_u64, 0_u32, 0_u32);
    for value in 0..range.end {
        if next(1) == 1 {
            if next(1) == 1 {
                leading = next(LENGTH_BITS) as u32;
                length = next(LENGTH_BITS) as u32 + 1;
            }
            let shift = (u64::BITS - leading).saturating_sub(length);
            last ^= next(length) << shift;
        }
        if value >= range.start {
            take(f64::from_bits(last));
        }
    }
}
