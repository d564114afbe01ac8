//! Numbers, texts and values as bytes. Numbers are LEB128, signed ones zigzag. Reading checks every length, so damaged
//! bytes are an error.

use prost::Message as _;
use weir_proto::otlp::common::v1::AnyValue;
use weir_proto::otlp::common::v1::any_value::Value;

use crate::Error;

pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)) as u64);
}

pub(crate) fn put_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Each number as the difference to the one before.
pub(crate) fn put_deltas(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    let mut last = 0_i64;
    for number in numbers {
        put_signed(out, number.wrapping_sub(last));
        last = number;
    }
}

/// Which of `distinct` things each line has: nothing where there is one, else one, two or four bytes a line.
pub(crate) fn put_ordinals(out: &mut Vec<u8>, ordinals: &[u32], distinct: usize) {
    match width(distinct) {
        0 => {}
        1 => out.extend(ordinals.iter().map(|ordinal| *ordinal as u8)),
        2 => ordinals.iter().for_each(|ordinal| out.extend_from_slice(&(*ordinal as u16).to_le_bytes())),
        _ => ordinals.iter().for_each(|ordinal| out.extend_from_slice(&ordinal.to_le_bytes())),
    }
}

fn width(distinct: usize) -> usize {
    match distinct {
        0..=1 => 0,
        2..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

/// A value that stands alone.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value) {
    put_blob(out, &AnyValue { value: Some(value.clone()) }.encode_to_vec());
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::Chunk("text that is not UTF-8"))
}

pub(crate) fn any_value(bytes: &[u8]) -> Result<Value, Error> {
    AnyValue::decode(bytes).ok().and_then(|any| any.value).ok_or(Error::Chunk("a value cannot be read"))
}

/// What [`put_ordinals`] wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ordinals<'a> {
    bytes: &'a [u8],
    width: usize,
    len: usize,
}

impl<'a> Ordinals<'a> {
    /// The ordinal of each line, all below `distinct`; an error where one is not.
    pub(crate) fn read(input: &mut Reader<'a>, len: usize, distinct: usize) -> Result<Self, Error> {
        let width = width(distinct);
        let ordinals = Self { bytes: input.take(len.saturating_mul(width))?, width, len };
        let fits = distinct > 0 || len == 0;
        if fits && ordinals.iter().all(|ordinal| (ordinal as usize) < distinct) {
            Ok(ordinals)
        } else {
            Err(Error::Chunk("what a line refers to is missing"))
        }
    }

    pub(crate) fn get(&self, at: usize) -> u32 {
        let from = at * self.width;
        let mut number = [0; 4];
        if let Some(bytes) = self.bytes.get(from..from + self.width) {
            number[..self.width].copy_from_slice(bytes);
        }
        u32::from_le_bytes(number)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u32> + 'a {
        (0..self.len).map(move |at| self.get(at))
    }
}

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Error::Chunk("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::Chunk("a number is too long"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Error> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// A number of things that take at least a byte each.
    pub(crate) fn count(&mut self) -> Result<usize, Error> {
        let count = self.number()?;
        if count > self.0.len() as u64 {
            return Err(Error::Chunk("it counts more than it holds"));
        }
        Ok(count as usize)
    }

    pub(crate) fn blob(&mut self) -> Result<&'a [u8], Error> {
        let length = self.count()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Error> {
        text(self.blob()?)
    }

    pub(crate) fn deltas(&mut self, count: usize) -> Result<Vec<i64>, Error> {
        let mut last = 0_i64;
        let mut next = || {
            last = last.wrapping_add(self.signed()?);
            Ok(last)
        };
        (0..count).map(|_| next()).collect()
    }
}
