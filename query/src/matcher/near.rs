//! Words near each other, as Lucene counts it (`"a b"~2`).

use crate::error::CompileError;
use crate::words::each_word;

/// Most places of words in one text that are looked at.
const MOST_PLACES: usize = 1_000;
/// Most words of a phrase whose words may be moved.
const MOST_WORDS: usize = 32;

/// Words that are moved by at most so many places in all to stand in a row.
#[derive(Debug, Clone)]
pub struct Near {
    words: Vec<String>,
    distance: i64,
}

impl Near {
    fn new(words: Vec<String>, distance: u32) -> Self {
        Self { words, distance: distance.into() }
    }

    /// `None` of fewer than two words, which have nothing to be near.
    pub(super) fn of(words: Vec<String>, distance: u32) -> Result<Option<Self>, CompileError> {
        if words.len() > MOST_WORDS {
            let text = format!("a phrase whose words may be moved has at most {MOST_WORDS} words");
            return Err(CompileError(text));
        }
        Ok((words.len() > 1).then(|| Self::new(words, distance)))
    }

    /// Its words (lowercase), in order.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether the text has these words near each other.
    ///
    /// Each place of a word gives a shift: its place in the text less its place in the phrase. Words in a row have one
    /// shift; the words of a match have shifts that differ by at most the distance.
    pub fn is_in(&self, text: &str) -> bool {
        let mut shifts: Vec<(i64, usize, i64)> = Vec::new();
        let mut place = 0_i64;
        each_word(text, |word| {
            for at in (0..self.words.len()).filter(|at| self.words[*at] == word) {
                if shifts.len() < MOST_PLACES {
                    shifts.push((place - at as i64, at, place));
                }
            }
            place += 1;
        });
        shifts.sort_unstable();
        let mut from = 0;
        for (until, (shift, ..)) in shifts.iter().enumerate() {
            while shifts[from].0 < shift - self.distance {
                from += 1;
            }
            if self.is_whole(&shifts[from..=until]) {
                return true;
            }
        }
        false
    }

    /// Whether each word of the phrase has a place of its own among these.
    fn is_whole(&self, shifts: &[(i64, usize, i64)]) -> bool {
        if shifts.len() < self.words.len() {
            return false;
        }
        let mut taken: Vec<i64> = Vec::with_capacity(self.words.len());
        (0..self.words.len()).all(|word| {
            let mut places = shifts.iter().filter(|(_, at, _)| *at == word).map(|(.., place)| *place);
            let free = places.find(|place| !taken.contains(place));
            taken.extend(free);
            free.is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Near;
    use crate::words::words;

    #[test]
    fn given_a_distance_then_words_may_be_so_far_moved() {
        for (phrase, distance, text, is_there) in [
            ("a b", 1, "a x b", true),
            ("a b", 1, "a x y b", false),
            ("a b", 2, "a x y b", true),
            ("a b", 1, "b a", false),
            ("a b", 2, "b a", true),
            ("a b c", 1, "a b x c", true),
            ("a b c", 1, "a x b y c", false),
            ("a b c", 2, "a x b y c", true),
            ("a a", 3, "a x y", false),
            ("a a", 3, "a x a", true),
            ("connection peer", 2, "Connection reset by peer", true),
            ("超时 重试", 3, "请求超时,正在重试", true),
        ] {
            assert_eq!(Near::new(words(phrase), distance).is_in(text), is_there, "{phrase}~{distance} in {text}");
        }
    }
}
