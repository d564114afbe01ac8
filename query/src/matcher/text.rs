//! What a text must hold: words, words in a row or near each other, patterns.

use ahash::AHashSet;
use regex::Regex;
use weir_service::terminal::shown_text;

use super::near::Near;
use crate::ast::Test;
use crate::error::CompileError;
use crate::fuzzy::Fuzzy;
use crate::pattern;
use crate::words::{each_word, is_ideograph, words};

/// What a text must hold.
#[derive(Debug, Clone)]
pub enum TextTest {
    /// Any of these words (lowercase).
    AnyWord(AHashSet<Box<str>>),
    /// A word that is like this.
    Word(WordPattern),
    /// These words in a row; two at least.
    Phrase(Phrase),
    /// These words near each other.
    Near(Near),
    /// This text without any word in it, lowercase; the empty one is the empty text.
    Literal(String),
    /// This expression matches somewhere in the text as a terminal shows it.
    Expression(Regex),
}

/// What a word (lowercase) must be like.
#[derive(Debug, Clone)]
pub enum WordPattern {
    /// `*` and `?`.
    Glob(Regex),
    /// Nearly this word.
    Fuzzy(Fuzzy),
}

impl TextTest {
    /// What `test` means of a text; `None` where it asks for no part of one. A pattern takes `size` bytes at most.
    pub(crate) fn new(test: &Test, size: usize) -> Result<Option<Self>, CompileError> {
        Ok(Some(match test {
            Test::Is(text) | Test::Near(text, 0) => Self::words_of(words(text), text),
            Test::Near(text, distance) => match Near::of(words(text), *distance)? {
                Some(near) => Self::Near(near),
                None => Self::words_of(words(text), text),
            },
            Test::Glob(pattern) if pattern::spans_words(pattern) => {
                Self::Expression(pattern::glob(pattern, false, size)?)
            }
            Test::Glob(pattern) => Self::Word(WordPattern::Glob(pattern::word_glob(pattern, size)?)),
            Test::Regex(expression) => Self::Expression(pattern::between_words(expression, size)?),
            Test::Fuzzy(text, edits) => match <[String; 1]>::try_from(words(text)) {
                Ok([word]) => Self::Word(WordPattern::Fuzzy(Fuzzy::new(&word, *edits))),
                Err(found) => {
                    let many =
                        format!("`{}~` is {} words, and only one word can be fuzzy", pattern::start(text), found.len());
                    return Err(CompileError(format!("{many}: put it in quotation marks")));
                }
            },
            Test::Exists | Test::Range(..) => return Ok(None),
        }))
    }

    fn words_of(found: Vec<String>, text: &str) -> Self {
        match <[String; 1]>::try_from(found) {
            Ok([word]) => Self::AnyWord(AHashSet::from_iter([word.into_boxed_str()])),
            Err(found) if found.is_empty() => Self::Literal(text.to_lowercase()),
            Err(found) => Self::Phrase(Phrase::new(found)),
        }
    }

    /// Whether the text holds it.
    pub fn passes(&self, text: &str) -> bool {
        match self {
            Self::AnyWord(wanted) => any_word(text, |word| wanted.contains(word)),
            Self::Word(pattern) => any_word(text, |word| pattern.is_match(word)),
            Self::Phrase(phrase) => phrase.is_in(text),
            Self::Near(near) => near.is_in(text),
            Self::Literal(wanted) if wanted.is_empty() => text.is_empty(),
            Self::Literal(wanted) => text.to_lowercase().contains(wanted.as_str()),
            // As words are seen, which the index looks for.
            Self::Expression(expression) => expression.is_match(&shown_text(text)),
        }
    }

    /// Whether a word with an ASCII digit in it is never what is asked for, so that any two of them are the same to it.
    pub fn is_without_digits(&self) -> bool {
        let without = |word: &str| !word.bytes().any(|byte| byte.is_ascii_digit());
        match self {
            Self::AnyWord(wanted) => wanted.iter().all(|word| without(word)),
            Self::Phrase(phrase) => phrase.words().iter().all(|word| without(word)),
            Self::Near(near) => near.words().iter().all(|word| without(word)),
            Self::Literal(wanted) => !wanted.is_empty(),
            Self::Word(_) | Self::Expression(_) => false,
        }
    }
}

impl WordPattern {
    /// Whether a word (lowercase) is like it.
    pub fn is_match(&self, word: &str) -> bool {
        match self {
            Self::Glob(pattern) => pattern.is_match(word),
            Self::Fuzzy(fuzzy) => fuzzy.is_match(word),
        }
    }
}

fn any_word(text: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    each_word(text, |word| found = found || is_wanted(word));
    found
}

/// Words one behind the other; at least one.
#[derive(Debug, Clone)]
pub struct Phrase {
    words: Vec<String>,
    /// For each word, how many words before it are also the phrase's first: where to go on when the next does not come
    /// (Knuth, Morris and Pratt), so that every word of a text is looked at once.
    back: Vec<usize>,
    /// The words that are ideographs: a text that has none of one is not taken apart.
    ideographs: Vec<char>,
}

impl Phrase {
    fn new(words: Vec<String>) -> Self {
        let mut back = vec![0; words.len()];
        let mut matched = 0;
        for at in 1..words.len() {
            while matched > 0 && words[at] != words[matched] {
                matched = back[matched - 1];
            }
            matched += usize::from(words[at] == words[matched]);
            back[at] = matched;
        }
        let mut ideographs: Vec<char> = words.iter().filter_map(|word| word.chars().next()).collect();
        ideographs.retain(|c| is_ideograph(*c));
        ideographs.dedup();
        Self { words, back, ideographs }
    }

    /// Its words (lowercase), in order.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether the text has these words in a row.
    pub fn is_in(&self, text: &str) -> bool {
        if !self.ideographs.iter().all(|c| text.contains(*c)) {
            return false;
        }
        let mut matched = 0;
        each_word(text, |word| {
            if matched == self.words.len() {
                return;
            }
            while matched > 0 && self.words[matched] != word {
                matched = self.back[matched - 1];
            }
            matched += usize::from(self.words[matched] == word);
        });
        matched == self.words.len()
    }
}
