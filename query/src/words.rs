//! Words of a text, as the index lists them and the matcher sees them.
//!
//! A word is a run of letters, digits and `_`, lowercased; every character of Chinese, Japanese and Korean writing is a
//! word of its own. Terminal control sequences are not there: words are those that a terminal shows.

use std::ops::Range;

use weir_service::terminal;

/// Whether `c` is written without spaces between words.
pub fn is_ideograph(c: char) -> bool {
    matches!(c as u32, 0x2E80..=0x9FFF | 0xA960..=0xA97F | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF)
        && c.is_alphanumeric()
}

/// What a byte of ASCII is in a word.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    Between,
    Lower,
    Upper,
    /// Part of a longer character.
    Other,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Between; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => Class::Lower,
            b'A'..=b'Z' => Class::Upper,
            0x80.. => Class::Other,
            _ => Class::Between,
        };
        byte += 1;
    }
    classes
};

/// Calls `each` with every word in order, lowercased.
pub fn each_word(text: &str, mut each: impl FnMut(&str)) {
    each_word_at(&terminal::shown_text(text), |_, word| each(word));
}

/// The same of a text as a terminal shows it, with the bytes that each word takes there.
pub(crate) fn each_word_at(text: &str, mut each: impl FnMut(Range<usize>, &str)) {
    let bytes = text.as_bytes();
    let class = |at: usize| bytes.get(at).map_or(Class::Between, |byte| CLASSES[usize::from(*byte)]);
    let mut word = String::new();
    let mut at = 0;
    while at < bytes.len() {
        // Most words are plain, and need no copy.
        let start = at;
        while class(at) == Class::Lower {
            at += 1;
        }
        if class(at) == Class::Between {
            if at > start {
                each(start..at, &text[start..at]);
            }
            at += 1;
            continue;
        }
        word.clear();
        word.push_str(&text[start..at]);
        at += rest_of_word(&text[at..], start..at, &mut word, &mut each);
    }
}

/// Ends the word of which `begun` was read, or gives the ideograph that comes first; returns the bytes that were read, at
/// least one.
fn rest_of_word(
    text: &str,
    begun: Range<usize>,
    word: &mut String,
    each: &mut impl FnMut(Range<usize>, &str),
) -> usize {
    for (at, c) in text.char_indices() {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c.to_ascii_lowercase());
        } else if !c.is_ascii() && c.is_alphanumeric() && !is_ideograph(c) {
            word.extend(c.to_lowercase());
        } else {
            let (here, behind) = (begun.end + at, begun.end + at + c.len_utf8());
            if !word.is_empty() {
                each(begun.start..here, word);
            }
            if !c.is_ascii() && is_ideograph(c) {
                each(here..behind, c.encode_utf8(&mut [0; 4]));
            }
            return at + c.len_utf8();
        }
    }
    if !word.is_empty() {
        each(begun.start..begun.end + text.len(), word);
    }
    text.len()
}

/// The words of a text, in order.
pub fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    each_word(text, |word| found.push(word.to_owned()));
    found
}

/// Whether a word is listed by its hash: ids and numbers would be half of the dictionary.
pub fn is_hashed(word: &str) -> bool {
    word.len() > 64 || (word.len() >= 4 && word.bytes().any(|b| b.is_ascii_digit()))
}

/// 18 bits of FNV-1a over all parts; stable, since it lies on disk.
pub fn short_hash(parts: &[&str]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.as_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    ((hash ^ (hash >> 32)) & 0x3ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_characters_are_words_of_their_own() {
        assert_eq!(words("GPU-7 显存 Out_of"), ["gpu", "7", "显", "存", "out_of"]);
    }

    #[test]
    fn control_sequences_are_no_part_of_words() {
        let text = "\x1b[31mERROR \x1b[0m disk full, con\x1b[1mnect\x1b[m \x1b]8;;http://x\x07link\x1b]8;;\x07";
        assert_eq!(words(text), ["error", "disk", "full", "connect", "link"]);
    }

    /// The definition, one character after the other.
    fn plainly(text: &str) -> Vec<String> {
        let mut found = vec![String::new()];
        for c in terminal::shown_text(text).chars() {
            if is_ideograph(c) {
                found.extend([c.to_string(), String::new()]);
            } else if c.is_alphanumeric() || c == '_' {
                if let Some(word) = found.last_mut() {
                    word.extend(c.to_lowercase());
                }
            } else {
                found.push(String::new());
            }
        }
        found.retain(|word| !word.is_empty());
        found
    }

    proptest::proptest! {
        #[test]
        fn words_are_what_their_definition_says(text in "[a-cA-C0-1_ .é显存İſ-]{0,24}|[aBm1é \x1b\\[\\]\x07]{0,24}|.{0,24}") {
            proptest::prop_assert_eq!(words(&text), plainly(&text));
            each_word_at(&text, |range, word| assert_eq!(text[range].to_lowercase().chars().next(), word.chars().next()));
        }
    }

    #[test]
    fn ids_are_hashed_and_plain_words_are_not() {
        assert!(is_hashed("a1b2") && is_hashed("20261124"));
        assert!(!is_hashed("timeout") && !is_hashed("42"));
    }
}
