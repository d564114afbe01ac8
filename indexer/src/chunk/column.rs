//! Columns of byte strings: the variables of a template's place, the values of an attribute, ids.
//!
//! A column says nothing of its length in values, which its reader knows, and does not say where it ends. Its form is the
//! shortest that fits: one value for all lines; a list of distinct values, with each line's place in it; values of one
//! length; lengths and values.

use ahash::AHashMap;

use super::bytes::{Ordinals, Reader, put, put_blob, put_ordinals};
use crate::Error;

/// How a column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The value that all lines have.
    Same = 0,
    /// Distinct values, then ordinals.
    Listed = 1,
    /// One length, then the values.
    Fixed = 2,
    /// Lengths, then the values.
    Varied = 3,
}

/// Fewer values are not worth a list.
const LEAST_LISTED: usize = 8;

/// Writes the values; nothing where there are none.
pub(super) fn encode(out: &mut Vec<u8>, values: &[&[u8]]) {
    let Some(first) = values.first() else { return };
    if values.iter().all(|value| value == first) {
        out.push(Form::Same as u8);
        out.extend_from_slice(first);
    } else if let Some((distinct, ordinals)) = listed(values) {
        out.push(Form::Listed as u8);
        put(out, distinct.len() as u64);
        for value in &distinct {
            put_blob(out, value);
        }
        put_ordinals(out, &ordinals, distinct.len());
    } else if values.iter().all(|value| value.len() == first.len()) {
        out.push(Form::Fixed as u8);
        for value in values {
            out.extend_from_slice(value);
        }
    } else {
        out.push(Form::Varied as u8);
        for value in values {
            put(out, value.len() as u64);
        }
        for value in values {
            out.extend_from_slice(value);
        }
    }
}

/// Distinct values and each one's place, where a quarter or less are distinct.
fn listed<'a>(values: &[&'a [u8]]) -> Option<(Vec<&'a [u8]>, Vec<u32>)> {
    if values.len() < LEAST_LISTED {
        return None;
    }
    let most = values.len() / 4;
    let (mut places, mut distinct, mut ordinals) = (AHashMap::new(), Vec::new(), Vec::with_capacity(values.len()));
    for value in values {
        let place = *places.entry(*value).or_insert_with(|| {
            distinct.push(*value);
            distinct.len() as u32 - 1
        });
        if distinct.len() > most {
            return None;
        }
        ordinals.push(place);
    }
    Some((distinct, ordinals))
}

/// A column that was opened; its values are not copied.
#[derive(Debug, Clone)]
pub(super) enum Column<'a> {
    Same(&'a [u8]),
    Listed(Vec<&'a [u8]>, Ordinals<'a>),
    Fixed(&'a [u8], usize),
    /// Where each value begins, and where the last ends.
    Varied(&'a [u8], Vec<usize>),
}

impl<'a> Column<'a> {
    /// A column of `count` values.
    pub(super) fn open(bytes: &'a [u8], count: usize) -> Result<Self, Error> {
        if count == 0 {
            return Ok(Self::Same(&[]));
        }
        let mut input = Reader(bytes);
        Ok(match input.byte()? {
            form if form == Form::Same as u8 => Self::Same(input.0),
            form if form == Form::Listed as u8 => {
                let distinct = input.count()?;
                let distinct = (0..distinct).map(|_| input.blob()).collect::<Result<Vec<_>, _>>()?;
                let ordinals = Ordinals::read(&mut input, count, distinct.len())?;
                Self::Listed(distinct, ordinals)
            }
            form if form == Form::Fixed as u8 => {
                let length = input.0.len() / count;
                if length * count != input.0.len() {
                    return Err(Error::Chunk("a column has another length than its values"));
                }
                Self::Fixed(input.0, length)
            }
            form if form == Form::Varied as u8 => {
                if count > input.0.len() {
                    return Err(Error::Chunk("it counts more than it holds"));
                }
                let mut ends = Vec::with_capacity(count + 1);
                ends.push(0_usize);
                let mut end = 0_usize;
                for _ in 0..count {
                    end = end.saturating_add(usize::try_from(input.number()?).unwrap_or(usize::MAX));
                    ends.push(end);
                }
                if end != input.0.len() {
                    return Err(Error::Chunk("a column has another length than its values"));
                }
                Self::Varied(input.0, ends)
            }
            _ => return Err(Error::Chunk("unknown form of a column")),
        })
    }

    /// The value of a place below the count that the column was opened with.
    pub(super) fn get(&self, at: usize) -> &'a [u8] {
        match self {
            Self::Same(value) => value,
            Self::Listed(distinct, ordinals) => distinct.get(ordinals.get(at) as usize).copied().unwrap_or_default(),
            Self::Fixed(values, length) => values.get(at * length..(at + 1) * length).unwrap_or_default(),
            Self::Varied(values, ends) => match ends.get(at..at + 2) {
                Some([from, to]) => values.get(*from..*to).unwrap_or_default(),
                _ => &[],
            },
        }
    }

    /// Calls `found` with the places of values that pass, rising. A value that is listed is asked for once.
    pub(super) fn each_passing(
        &self,
        count: usize,
        mut passes: impl FnMut(&'a [u8]) -> bool,
        mut found: impl FnMut(usize),
    ) {
        match self {
            Self::Same(value) => {
                if count > 0 && passes(value) {
                    (0..count).for_each(found);
                }
            }
            Self::Listed(distinct, ordinals) => {
                let passing: Vec<bool> = distinct.iter().map(|value| passes(value)).collect();
                if passing.contains(&true) {
                    let passes = |at: &usize| passing.get(ordinals.get(*at) as usize).is_some_and(|passes| *passes);
                    (0..count).filter(passes).for_each(found);
                }
            }
            Self::Fixed(..) | Self::Varied(..) => (0..count).for_each(|at| {
                if passes(self.get(at)) {
                    found(at);
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn given_values_of_any_kind_then_they_come_back_and_are_found(
            distinct in prop::collection::vec("[ab]{0,3}|[a-z]{2}", 1..20),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let values: Vec<&[u8]> = picks.iter().map(|pick| pick.get(&distinct).as_bytes()).collect();
            let mut bytes = Vec::new();
            encode(&mut bytes, &values);
            let column = Column::open(&bytes, values.len()).unwrap();
            let back: Vec<_> = (0..values.len()).map(|at| column.get(at)).collect();
            prop_assert_eq!(&back, &values);
            let mut found = Vec::new();
            column.each_passing(values.len(), |value| value.contains(&b'a'), |at| found.push(at));
            let expected: Vec<_> = (0..values.len()).filter(|at| values[*at].contains(&b'a')).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn given_any_bytes_then_opening_is_an_error_or_a_column(bytes: Vec<u8>, count in 0_usize..50) {
            if let Ok(column) = Column::open(&bytes, count) {
                (0..count).for_each(|at| { column.get(at); });
            }
        }
    }
}
