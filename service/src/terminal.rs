//! Terminal control sequences in text: the colours, titles and links that programs write into their logs.

use std::borrow::Cow;
use std::ops::Range;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// The text as a terminal shows it: without control sequences. What merely begins like one is text.
pub fn shown(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(ESC, text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    for stretch in shown_stretches(text) {
        out.extend_from_slice(&text[stretch]);
    }
    Cow::Owned(out)
}

/// The stretches of the text that a terminal shows, in order.
pub fn shown_stretches(text: &[u8]) -> Vec<Range<usize>> {
    let (mut stretches, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(next) = memchr::memchr(ESC, &text[at..]) {
        let begin = at + next;
        let length = control_sequence(&text[begin..]);
        at = begin + length.max(1);
        if length > 0 {
            stretches.push(from..begin);
            from = at;
        }
    }
    stretches.push(from..text.len());
    stretches
}

/// The same of text that is UTF-8.
pub fn shown_text(text: &str) -> Cow<'_, str> {
    match shown(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        // It was cut at ASCII only.
        Cow::Owned(bytes) => String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned),
    }
}

/// Length of the control sequence of ECMA-48 that the text begins with, 0 if there is none: CSI (`ESC [ 3 1 m`), OSC and
/// the other strings (`ESC ] … BEL`, `ESC ] … ESC \`), and the choice of a character set (`ESC ( B`). Strings end on
/// their line.
fn control_sequence(text: &[u8]) -> usize {
    let [ESC, kind, rest @ ..] = text else { return 0 };
    let run = |from: &[u8], of: std::ops::RangeInclusive<u8>| from.iter().take_while(|byte| of.contains(byte)).count();
    match kind {
        b'[' => {
            let parameters = run(rest, 0x30..=0x3f);
            let length = parameters + run(&rest[parameters..], 0x20..=0x2f);
            if matches!(rest.get(length), Some(0x40..=0x7e)) { length + 3 } else { 0 }
        }
        b']' | b'P' | b'X' | b'^' | b'_' => match memchr::memchr3(BEL, ESC, b'\n', rest) {
            Some(end) if rest[end] == BEL => end + 3,
            Some(end) if rest[end..].starts_with(b"\x1b\\") => end + 4,
            _ => 0,
        },
        b'('..=b'/' => {
            if matches!(rest.first(), Some(0x30..=0x7e)) {
                3
            } else {
                0
            }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{shown, shown_text};

    #[test]
    fn control_sequences_are_left_out_and_what_only_begins_like_one_is_not() {
        for (text, expected) in [
            ("\x1b[31mERROR \x1b[0m disk full", "ERROR  disk full"),
            ("\x1b[1;38;2;255;0;0mred\x1b[m, con\x1b[01;31m\x1b[Knec\x1b[m\x1b[Kt", "red, connect"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\ 中", "link 中"),
            ("bold\x1b(B\x1b[m off", "bold off"),
            ("\x1b[?25l\x1b[2K中\x1b[1G", "中"),
            ("\x1b[31", "\x1b[31"),
            ("\x1b]title\nnext\x07", "\x1b]title\nnext\x07"),
            ("\x1b[31中", "\x1b[31中"),
            ("\x1bERROR \x1b", "\x1bERROR \x1b"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(shown_text(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_of_any_text_is_text(text in "[\x1b\\[\\]\\\\(0-9;m\x07\nPBa中]{0,24}|.{0,24}") {
            let bytes = shown(text.as_bytes());
            prop_assert_eq!(shown_text(&text), String::from_utf8(bytes.to_vec()).unwrap());
            prop_assert!(text.contains('\x1b') || bytes.as_ref() == text.as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(text: Vec<u8>) {
            let _ = shown(&text);
        }
    }
}
