//! The severity of a line, from the level word near its start.

/// How far into a line the level word is looked for, in bytes.
pub const REACH: usize = 100;

/// OTLP's severity number (5 debug, 9 info, 13 warn, 17 error, 21 fatal, 1 trace); `None` where no level word stands
/// within [`REACH`].
///
/// A level word is a run of ASCII letters that is not part of a longer word or number: all capitals anywhere, or in
/// any case as the value of a `level` or `severity` key (JSON, logfmt). Lower-case words of plain prose do not count.
pub fn detect(text: &[u8]) -> Option<u8> {
    let head = &text[..text.len().min(REACH)];
    let cut = head.len() < text.len();
    let mut at = 0;
    let mut keyed = false;
    while at < head.len() {
        if !inside(head[at]) {
            at += 1;
            continue;
        }
        let length = head[at..].iter().take_while(|&&b| inside(b)).count();
        let word = &head[at..at + length];
        at += length;
        // The last word may go on behind the reach.
        if cut && at == head.len() && inside(text[at]) {
            return None;
        }
        if (keyed || word.iter().all(u8::is_ascii_uppercase))
            && let Some(number) = number(word)
        {
            return Some(number);
        }
        keyed = matches!(word, b"level" | b"severity" | b"lvl" | b"Level" | b"Severity")
            && matches!(head.get(at), Some(b'"' | b'=' | b':'));
    }
    None
}

const fn inside(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// OTLP's number of a level word, in any case.
pub(crate) fn number(word: &[u8]) -> Option<u8> {
    const WORDS: [(&[u8], u8); 13] = [
        (b"INFO", 9),
        (b"WARN", 13),
        (b"ERROR", 17),
        (b"DEBUG", 5),
        (b"TRACE", 1),
        (b"WARNING", 13),
        (b"FATAL", 21),
        (b"ERR", 17),
        (b"CRITICAL", 21),
        (b"NOTICE", 10),
        (b"PANIC", 21),
        (b"SEVERE", 17),
        (b"EMERG", 21),
    ];
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|&(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::detect;

    #[test]
    fn a_level_word_is_found_and_prose_is_not() {
        for (text, expected) in [
            ("2024-01-01 INFO started", Some(9)),
            ("[WARN] slow", Some(13)),
            (r#"{"level":"error","msg":"x"}"#, Some(17)),
            ("level=warning x", Some(13)),
            ("识别失败 ERROR 超时", Some(17)),
            ("an error in prose", None),
            ("INFORMATION", None),
            ("", None),
        ] {
            assert_eq!(detect(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(detect(format!("{} ERROR", "x".repeat(100)).as_bytes()), None);
    }
}
