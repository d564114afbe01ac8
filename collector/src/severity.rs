//! The severity of a line: what the level's own key says, else a level word near the line's start.

mod keyed;

use weir_service::terminal;

/// How far into a line the level word is looked for, in bytes.
pub const REACH: usize = 100;

/// The same in a line with control sequences, which are not shown and may be many.
const REACH_COLOURED: usize = 8 * REACH;

/// OTLP's severity number (5 debug, 9 info, 13 warn, 17 error, 21 fatal, 1 trace); `None` where nothing says it.
///
/// In an object of JSON and in a line of logfmt the level's own key decides, whatever else the line says. Elsewhere it is
/// the first level word within [`REACH`]: a run of ASCII letters that is not part of a longer word or number, all
/// capitals anywhere, or in any case as the value of such a key. Lower-case words of plain prose do not count. Terminal
/// control sequences are no part of a word.
pub fn detect(text: &[u8]) -> Option<u8> {
    let severity = |text: &[u8]| keyed::level(text).or_else(|| word(text)).filter(|&number| number != 0);
    if memchr::memchr(0x1b, &text[..text.len().min(REACH)]).is_some() {
        return severity(&terminal::shown(&text[..text.len().min(REACH_COLOURED)]));
    }
    severity(text)
}

fn word(text: &[u8]) -> Option<u8> {
    let head = &text[..text.len().min(REACH)];
    let cut = head.len() < text.len();
    let mut at = 0;
    let (mut keyed, mut numbered) = (false, false);
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
        let found = match word[0] {
            b'0'..=b'9' if numbered => keyed::of_digits(word),
            _ if keyed || word.iter().all(u8::is_ascii_uppercase) => number(word),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        let next = head.get(at).filter(|_| keyed::is_key(word));
        numbered = matches!(next, Some(b'"' | b'='));
        keyed = numbered || next == Some(&b':');
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
            ("识别失败 ERROR 超时", Some(17)),
            ("level: warning, ERROR rate is zero", Some(13)),
            (r#"app {"level":30,"msg":"ERROR rate is zero"}"#, Some(9)),
            ("water level: 30 ERROR", Some(17)),
            ("an error in prose", None),
            ("INFORMATION", None),
            ("", None),
        ] {
            assert_eq!(detect(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(detect(format!("{} ERROR", "x".repeat(100)).as_bytes()), None);
    }

    #[test]
    fn control_sequences_are_no_part_of_a_word() {
        let coloured = "\x1b[38;2;255;255;255m.\x1b[0m".repeat(12);
        for text in [
            "\x1b[31mERROR \x1b[0m disk full",
            "\x1b[1;31mERR\x1b[0m disk full",
            "\x1b]0;INFO\x07\x1b[2m12:00\x1b[m \x1b(B\x1b[mERROR",
            "\x1b[36mlevel\x1b[0m=\x1b[31merror\x1b[0m msg=\"INFO\"",
            r#"{"message":"INFO","level":"\u001b[31merror\u001b[39m"}"#,
            &format!("{coloured} ERROR"),
        ] {
            assert_eq!(detect(text.as_bytes()), Some(17), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail: Vec<u8>) {
            for head in [b"".as_slice(), b"{\"level\":", b"{\"level\":\"", b"level=\"", b"\x1b["] {
                let _ = detect(&[head, &tail].concat());
            }
        }
    }
}
