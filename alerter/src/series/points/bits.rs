//! Numbers of few bits, one after the other, and whole numbers of varying length.

/// Writes bits, the lowest first.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// What is not in `bytes` yet, and of how many bits that is: less than 8.
    open: u8,
    used: u32,
}

impl BitWriter {
    /// The lowest `width` bits of a number; at most 64.
    pub(super) fn put(&mut self, number: u64, width: u32) {
        let number = if width < 64 { number & ((1 << width) - 1) } else { number };
        let mut word = (u128::from(number) << self.used) | u128::from(self.open);
        self.used += width;
        while self.used >= 8 {
            self.bytes.push(word as u8);
            word >>= 8;
            self.used -= 8;
        }
        self.open = word as u8;
    }

    /// How many bytes there are so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + usize::from(self.used > 0)
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.used > 0 {
            self.bytes.push(self.open);
        }
        self.bytes
    }
}

/// The number of `width` bits, at most 64, that begins at a bit; what lies behind the end is zero.
pub(super) fn bits(bytes: &[u8], at: usize, width: u32) -> u64 {
    if width == 0 {
        return 0;
    }
    let (from, shift) = (at / 8, (at % 8) as u32);
    let mask = if width < 64 { (1 << width) - 1 } else { u64::MAX };
    let rest = bytes.get(from..).unwrap_or_default();
    match (rest.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(word), _) if shift + width <= 64 => (u64::from_le_bytes(*word) >> shift) & mask,
        // Of the last bytes the last eight are read, which begin before them.
        (None, Some(word)) if !rest.is_empty() => {
            (u64::from_le_bytes(*word) >> (64 - 8 * rest.len() as u32 + shift)) & mask
        }
        _ => {
            let mut word = [0; 16];
            let there = rest.len().min(word.len());
            word[..there].copy_from_slice(&rest[..there]);
            (u128::from_le_bytes(word) >> shift) as u64 & mask
        }
    }
}

/// How many bits a number needs.
pub(super) fn width(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

/// Small for numbers near zero on both sides.
pub(super) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(super) fn unzigzag(number: u64) -> i64 {
    ((number >> 1) as i64) ^ -((number & 1) as i64)
}

/// LEB128.
pub(super) fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads what [`put_varint`] wrote, from the beginning of `bytes`, which it moves on.
pub(super) fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((first, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(first & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if first & 0x80 == 0 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_of_any_width_read_back(numbers in prop::collection::vec((any::<u64>(), 0_u32..=64), 0..50)) {
            let mut writer = BitWriter::default();
            for (number, width) in &numbers {
                writer.put(*number, *width);
            }
            let (len, bytes) = (writer.len(), writer.finish());
            prop_assert_eq!(len, bytes.len());
            let mut at = 0;
            for (number, width) in numbers {
                let masked = if width < 64 { number & ((1 << width) - 1) } else { number };
                prop_assert_eq!(bits(&bytes, at, width), masked);
                at += width as usize;
            }
        }

        #[test]
        fn whole_numbers_read_back(numbers in prop::collection::vec(any::<i64>(), 0..20)) {
            let mut bytes = Vec::new();
            for number in &numbers {
                put_varint(&mut bytes, zigzag(*number));
            }
            let mut rest = &bytes[..];
            for number in numbers {
                prop_assert_eq!(unzigzag(varint(&mut rest)), number);
            }
            prop_assert!(rest.is_empty());
        }
    }
}
