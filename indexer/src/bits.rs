//! Sets of numbers from 0 to a length, a bit for each: lines of a chunk, documents of a segment.

/// A set of numbers below a length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    len: u32,
}

impl Bits {
    /// None of `len`.
    pub fn none(len: u32) -> Self {
        Self { words: vec![0; len.div_ceil(64) as usize], len }
    }

    /// All of `len`.
    pub fn all(len: u32) -> Self {
        let mut bits = Self { words: vec![u64::MAX; len.div_ceil(64) as usize], len };
        bits.cut();
        bits
    }

    /// Those of `len` that pass.
    pub fn of(len: u32, mut passes: impl FnMut(u32) -> bool) -> Self {
        let mut bits = Self::none(len);
        (0..len).filter(|at| passes(*at)).for_each(|at| bits.insert(at));
        bits
    }

    /// Adds a number; one at the length or above is left out.
    pub fn insert(&mut self, at: u32) {
        if at < self.len {
            self.words[at as usize / 64] |= 1 << (at % 64);
        }
    }

    /// Takes a number out.
    pub fn remove(&mut self, at: u32) {
        if let Some(word) = self.words.get_mut(at as usize / 64) {
            *word &= !(1 << (at % 64));
        }
    }

    /// Whether the number is in.
    pub fn contains(&self, at: u32) -> bool {
        self.words.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Those that both have.
    pub fn and(&mut self, other: &Self) {
        self.merge(other, |a, b| a & b);
    }

    /// Those that either has.
    pub fn or(&mut self, other: &Self) {
        self.merge(other, |a, b| a | b);
    }

    /// Those that the other has not.
    pub fn minus(&mut self, other: &Self) {
        self.merge(other, |a, b| a & !b);
    }

    /// Those that are not in.
    pub fn invert(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.cut();
    }

    /// How many are in.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether none is in.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Numbers that are in, rising.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0_u32..).step_by(64).zip(&self.words).flat_map(|(first, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let at = (rest != 0).then(|| first + rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(at)
            })
        })
    }

    fn merge(&mut self, other: &Self, how: impl Fn(u64, u64) -> u64) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine = how(*mine, *theirs);
        }
    }

    /// Takes out what lies at the length and above.
    fn cut(&mut self) {
        let rest = self.len % 64;
        if let Some(last) = self.words.last_mut().filter(|_| rest > 0) {
            *last &= (1 << rest) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn given_any_length_then_what_is_not_in_the_set_is_in_its_inverse() {
        for len in [0, 1, 63, 64, 65, 200] {
            let thirds = Bits::of(len, |at| at % 3 == 0);
            assert!(thirds.iter().eq((0..len).filter(|at| at % 3 == 0)), "{len}");
            let mut rest = thirds.clone();
            rest.invert();
            assert!(rest.iter().eq((0..len).filter(|at| at % 3 != 0)), "{len}");
            assert_eq!(thirds.count() + rest.count(), len);
            rest.or(&thirds);
            assert_eq!(rest, Bits::all(len));
            let mut without = rest.clone();
            without.remove(len / 2);
            assert_eq!((without.count(), without.contains(len / 2)), (len - len.min(1), false));
            rest.minus(&thirds);
            rest.and(&thirds);
            assert!(rest.is_empty() && rest == Bits::none(len));
        }
    }
}
