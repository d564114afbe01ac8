//! Words that are nearly another: letters put in, left out, changed, or swapped with the next.

/// Longest word that is looked for; a longer one is only itself.
const LONGEST: usize = 64;

/// A word, and by how much another may differ from it.
#[derive(Debug, Clone)]
pub struct Fuzzy {
    word: Vec<char>,
    edits: usize,
}

impl Fuzzy {
    /// Of a text in lowercase; at most two edits.
    pub(crate) fn new(word: &str, edits: u8) -> Self {
        let word: Vec<char> = word.chars().collect();
        let edits = if word.len() > LONGEST { 0 } else { usize::from(edits.min(2)) };
        Self { word, edits }
    }

    /// As many as Elasticsearch takes where a query names no number: none for two letters, one for up to five.
    pub fn edits_of(word: &str) -> u8 {
        match word.chars().count() {
            0..=2 => 0,
            3..=5 => 1,
            _ => 2,
        }
    }

    /// Whether a text (lowercase) becomes the word by so many edits at most.
    pub fn is_match(&self, text: &str) -> bool {
        let other: Vec<char> = text.chars().take(self.word.len() + self.edits + 1).collect();
        if self.word.len().abs_diff(other.len()) > self.edits {
            return false;
        }
        // Distances of the starts of both, row by row: this one and the two before.
        let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=other.len()).collect()];
        for (i, c) in self.word.iter().enumerate() {
            rows.rotate_left(1);
            let mut row = Vec::with_capacity(other.len() + 1);
            row.push(i + 1);
            for (j, d) in other.iter().enumerate() {
                let mut least = (rows[1][j] + usize::from(c != d)).min(rows[1][j + 1] + 1).min(row[j] + 1);
                if i > 0 && j > 0 && self.word[i - 1] == *d && *c == other[j - 1] {
                    least = least.min(rows[0][j - 1] + 1);
                }
                row.push(least);
            }
            if row.iter().all(|distance| *distance > self.edits) {
                return false;
            }
            rows[2] = row;
        }
        rows[2].last().is_some_and(|distance| *distance <= self.edits)
    }
}

#[cfg(test)]
mod tests {
    use super::Fuzzy;

    #[test]
    fn given_edits_then_words_so_far_away_match() {
        for (word, edits, text, is_near) in [
            ("timeout", 1, "timeout", true),
            ("timeout", 1, "timout", true),
            ("timeout", 1, "tiemout", true),
            ("timeout", 1, "tmout", false),
            ("timeout", 2, "tmout", true),
            ("timeout", 2, "timeouts", true),
            ("timeout", 2, "time", false),
            ("a", 0, "b", false),
            ("", 1, "b", true),
            ("模型", 1, "模形", true),
        ] {
            assert_eq!(Fuzzy::new(word, edits).is_match(text), is_near, "{word}~{edits} {text}");
        }
        assert!(!Fuzzy::new(&"x".repeat(65), 2).is_match(&"x".repeat(66)));
    }
}
