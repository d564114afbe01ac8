//! Words of a text, as the index lists them and the matcher sees them.
//!
//! A word is a run of letters, digits and `_`, lowercased; every character of Chinese, Japanese and Korean writing is a
//! word of its own.

/// Whether `c` is written without spaces between words.
pub fn is_ideograph(c: char) -> bool {
    matches!(c as u32, 0x2E80..=0x9FFF | 0xA960..=0xA97F | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF)
        && c.is_alphanumeric()
}

/// Calls `each` with every word in order, lowercased.
pub fn each_word(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    for c in text.chars() {
        let ideograph = !c.is_ascii() && is_ideograph(c);
        if ideograph || !(c.is_ascii_alphanumeric() || c == '_' || (!c.is_ascii() && c.is_alphanumeric())) {
            if !word.is_empty() {
                each(&word);
                word.clear();
            }
            if ideograph {
                word.push(c);
                each(&word);
                word.clear();
            }
        } else if c.is_ascii() {
            word.push(c.to_ascii_lowercase());
        } else {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        each(&word);
    }
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

/// 18 bits of FNV-1a; stable, since it lies on disk.
pub fn short_hash(bytes: &[u8]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
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
    fn ids_are_hashed_and_plain_words_are_not() {
        assert!(is_hashed("a1b2") && is_hashed("20261124"));
        assert!(!is_hashed("timeout") && !is_hashed("42"));
    }
}
