//! Encodings of log files: where their lines end, and what they say in UTF-8.
//!
//! Only those are read in which a newline is found without decoding what lies before it: UTF-16, and all in which ASCII
//! characters are single bytes and the byte 0x0A is part of no other character.

use std::borrow::Cow;

use encoding_rs::{CoderResult, DecoderResult, UTF_8, UTF_16BE, UTF_16LE};
use serde::Deserialize;

const RIGHT: &str = "utf-8, utf-16, utf-16le, utf-16be, gb18030, gbk, big5, shift_jis, euc-jp, euc-kr, windows-1251, \
                     windows-1252, or another name that browsers know of an encoding in which ASCII characters are \
                     single bytes";

/// How the characters of a file are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16, in the byte order that the mark at its start tells; little endian without one.
    Utf16,
    /// Another.
    Foreign(Foreign),
}

/// An encoding that is not UTF-8, and whose lines can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign(&'static encoding_rs::Encoding);

impl TryFrom<String> for Encoding {
    type Error = String;

    fn try_from(label: String) -> Result<Self, String> {
        if label.trim().eq_ignore_ascii_case("utf-16") {
            return Ok(Self::Utf16);
        }
        match encoding_rs::Encoding::for_label(label.as_bytes()) {
            Some(found) if found == UTF_8 => Ok(Self::Utf8),
            Some(found) if found.is_ascii_compatible() || found == UTF_16LE || found == UTF_16BE => {
                Ok(Self::Foreign(Foreign(found)))
            }
            _ => Err(format!("«{label}» is no encoding that can be read; right would be {RIGHT}")),
        }
    }
}

impl Encoding {
    /// With its byte order, as soon as the first bytes of a file tell it.
    pub(crate) fn told_by(self, start: &[u8]) -> Self {
        match (self, start) {
            (Self::Utf16, [0xFE, 0xFF, ..]) => Self::Foreign(Foreign(UTF_16BE)),
            (Self::Utf16, [_, _, ..]) => Self::Foreign(Foreign(UTF_16LE)),
            _ => self,
        }
    }

    /// Characters begin at multiples of this.
    pub(crate) fn unit(self) -> u64 {
        self.foreign().map_or(1, |foreign| foreign.unit() as u64)
    }

    /// What is not UTF-8.
    pub(crate) fn foreign(self) -> Option<Foreign> {
        match self {
            Self::Utf8 => None,
            Self::Utf16 => Some(Foreign(UTF_16LE)),
            Self::Foreign(foreign) => Some(foreign),
        }
    }
}

impl Foreign {
    /// ASCII characters are single bytes; otherwise it is UTF-16.
    pub(crate) fn keeps_ascii(self) -> bool {
        self.0.is_ascii_compatible()
    }

    /// Characters begin at multiples of this, and a newline is so long.
    pub(crate) fn unit(self) -> usize {
        if self.keeps_ascii() { 1 } else { 2 }
    }

    /// Where the first newline begins in these bytes, which begin at byte `at` of their file.
    pub(crate) fn newline(self, data: &[u8], at: u64) -> Option<usize> {
        let mut found = memchr::memchr_iter(b'\n', data);
        if self.keeps_ascii() {
            return found.next();
        }
        let is_first = |place: usize| (at + place as u64).is_multiple_of(2);
        if self.0 == UTF_16LE {
            found.find(|&place| is_first(place) && data.get(place + 1) == Some(&0))
        } else {
            found.map(|place| place.wrapping_sub(1)).find(|&place| data.get(place) == Some(&0) && is_first(place))
        }
    }

    /// Where the last newline in these bytes ends.
    pub(crate) fn end_of_lines(self, data: &[u8], at: u64) -> Option<usize> {
        let mut end = None;
        while let Some(newline) = self.newline(&data[end.unwrap_or(0)..], at + end.unwrap_or(0) as u64) {
            end = Some(end.unwrap_or(0) + newline + self.unit());
        }
        end
    }

    /// Length of the byte order mark that a file begins with; it is no part of the text.
    pub(crate) fn mark(self, start: &[u8]) -> usize {
        let mark: &[u8] = match self.0.name() {
            "UTF-16LE" => b"\xFF\xFE",
            "UTF-16BE" => b"\xFE\xFF",
            "gb18030" | "GBK" => b"\x84\x31\x95\x33",
            _ => b"",
        };
        if start.starts_with(mark) { mark.len() } else { 0 }
    }

    /// In UTF-8; `None` where some of it means nothing. Where it is not whole, its end may lie within a character,
    /// which is left out.
    pub(crate) fn decode(self, bytes: &[u8], whole: bool) -> Option<Cow<'_, str>> {
        if let Some(text) = self.0.decode_without_bom_handling_and_without_replacement(bytes) {
            return Some(text);
        }
        if whole {
            return None;
        }
        let mut decoder = self.0.new_decoder_without_bom_handling();
        let mut text = String::with_capacity(decoder.max_utf8_buffer_length_without_replacement(bytes.len())?);
        let (result, _) = decoder.decode_to_string_without_replacement(bytes, &mut text, false);
        (result == DecoderResult::InputEmpty).then_some(Cow::Owned(text))
    }

    /// Counts the bytes of a text in UTF-8 that comes in pieces.
    pub(crate) fn counter(self) -> Counter {
        Counter(self.0.new_decoder_without_bom_handling())
    }
}

/// See [`Foreign::counter`].
pub(crate) struct Counter(encoding_rs::Decoder);

impl Counter {
    /// Bytes in UTF-8 of the characters that end in this piece.
    pub(crate) fn count(&mut self, mut piece: &[u8]) -> u64 {
        let mut text = [0; 1024];
        let mut count = 0;
        loop {
            let (result, read, written, _) = self.0.decode_to_utf8(piece, &mut text, false);
            count += written as u64;
            piece = piece.get(read..).unwrap_or_default();
            if result == CoderResult::InputEmpty {
                return count;
            }
        }
    }
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Counter").field(&self.0.encoding().name()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: [&str; 36] = [
        "big5",
        "euc-jp",
        "euc-kr",
        "gbk",
        "gb18030",
        "ibm866",
        "iso-8859-2",
        "iso-8859-3",
        "iso-8859-4",
        "iso-8859-5",
        "iso-8859-6",
        "iso-8859-7",
        "iso-8859-8",
        "iso-8859-8-i",
        "iso-8859-10",
        "iso-8859-13",
        "iso-8859-14",
        "iso-8859-15",
        "iso-8859-16",
        "koi8-r",
        "koi8-u",
        "macintosh",
        "shift_jis",
        "windows-1250",
        "windows-1251",
        "windows-1252",
        "windows-1253",
        "windows-1254",
        "windows-1255",
        "windows-1256",
        "windows-1257",
        "windows-1258",
        "windows-874",
        "x-mac-cyrillic",
        "utf-16le",
        "utf-16be",
    ];

    fn foreign(label: &str) -> Foreign {
        Encoding::try_from(label.to_owned()).unwrap().foreign().unwrap()
    }

    #[test]
    fn labels_are_known_and_those_whose_lines_cannot_be_found_are_refused() {
        for label in READ {
            assert_eq!(foreign(label).0.name().to_ascii_lowercase(), label);
        }
        for (label, encoding) in [
            ("UTF-8", Encoding::Utf8),
            ("utf8", Encoding::Utf8),
            ("UTF-16", Encoding::Utf16),
            ("gb2312", Encoding::Foreign(Foreign(encoding_rs::GBK))),
            ("latin1", Encoding::Foreign(Foreign(encoding_rs::WINDOWS_1252))),
        ] {
            assert_eq!(Encoding::try_from(label.to_owned()), Ok(encoding), "{label}");
        }
        for label in ["iso-2022-jp", "replacement", "hz-gb-2312", "utf-7", "utf-32", ""] {
            let wrong = Encoding::try_from(label.to_owned()).unwrap_err();
            assert!(wrong.contains("utf-16, utf-16le, utf-16be, gb18030, gbk"), "{wrong}");
        }
    }

    #[test]
    fn a_newline_ends_every_character_that_was_begun() {
        for label in READ.into_iter().filter(|label| foreign(label).keeps_ascii()) {
            let is_newline_kept = |before: &[u8]| {
                let text = foreign(label).0.decode_without_bom_handling(&[before, b"\n"].concat()).0.into_owned();
                let newlines = text.bytes().filter(|&byte| byte == b'\n').count();
                assert!(text.ends_with('\n') && newlines == 1, "{label}: {before:x?}");
            };
            for first in 0x80..=0xFF {
                is_newline_kept(&[first]);
                for second in (0x30..=0xFF).filter(|_| !foreign(label).0.is_single_byte()) {
                    is_newline_kept(&[first, second]);
                    // Of longer characters, each third byte is like any other.
                    is_newline_kept(&[first, second, 0x81]);
                    is_newline_kept(&[first, second, 0xFE]);
                }
            }
        }
    }

    #[test]
    fn a_newline_of_utf_16_is_an_aligned_pair() {
        let text = "\u{a0a}\u{10a}\u{a01}\u{a00}a\n\u{d0a}x\n";
        for (label, bytes) in [
            ("utf-16le", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
            ("utf-16be", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ] {
            let foreign = foreign(label);
            assert_eq!((foreign.newline(&bytes, 0), foreign.end_of_lines(&bytes, 4)), (Some(10), Some(18)), "{label}");
            for from in 1..10 {
                assert_eq!(foreign.newline(&bytes[from..], from as u64), Some(10 - from), "{label}");
            }
            assert_eq!(foreign.newline(&bytes[..11], 0), None, "{label}: half of it is there");
        }
    }

    #[test]
    fn the_length_of_a_text_is_counted_over_any_pieces() {
        let text = "失败: 𠮷 é\r".repeat(500);
        let bytes = encoding_rs::GB18030.encode(&text).0;
        for size in [1, 3, 1000] {
            let mut counter = foreign("gb18030").counter();
            assert_eq!(bytes.chunks(size).map(|piece| counter.count(piece)).sum::<u64>(), text.len() as u64);
        }
    }
}
