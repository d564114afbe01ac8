//! JSON whose strings are damaged, made readable: one text that was cut must not cost what is beside it.

use serde_json::Value;

/// The same JSON with sound strings: U+FFFD for bytes that are not UTF-8 and for escapes of half a character; control
/// characters escaped; a backslash that begins no escape kept as text. `None` where nothing is to be repaired, so strings
/// are not what is wrong. It has at most six times the bytes.
pub fn strings(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len() + 16);
    let mut inside = false;
    for chunk in json.utf8_chunks() {
        repair(chunk.valid(), &mut inside, &mut out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    (out != json).then_some(out)
}

/// Reads JSON, its strings repaired where they have to be.
pub(super) fn read(json: &[u8]) -> Option<Value> {
    serde_json::from_slice(json).ok().or_else(|| serde_json::from_slice(&strings(json)?).ok())
}

/// `inside` a string or not, from chunk to chunk.
fn repair(text: &str, inside: &mut bool, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let mut length = 1;
        match first {
            b'"' => {
                *inside = !*inside;
                out.push(b'"');
            }
            b'\\' if *inside => match escape(tail) {
                Escape::Sound(more) => {
                    length += more;
                    out.extend_from_slice(&rest[..length]);
                }
                Escape::Half => {
                    length += 5;
                    out.extend_from_slice(br"\ufffd");
                }
                Escape::Not => out.extend_from_slice(br"\\"),
            },
            0..0x20 if *inside => out.extend_from_slice(format!("\\u{first:04x}").as_bytes()),
            _ => out.push(*first),
        }
        rest = &rest[length..];
    }
}

/// What follows a backslash.
enum Escape {
    /// So many bytes of an escape.
    Sound(usize),
    /// `u` and the number of half a character, whose other half is not there.
    Half,
    Not,
}

fn escape(tail: &[u8]) -> Escape {
    match tail.first() {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Escape::Sound(1),
        Some(b'u') => match unit(tail) {
            Some(0xD800..0xDC00) => match tail.get(5..).and_then(|next| unit(next.strip_prefix(b"\\")?)) {
                Some(0xDC00..0xE000) => Escape::Sound(11),
                _ => Escape::Half,
            },
            Some(0xDC00..0xE000) => Escape::Half,
            Some(_) => Escape::Sound(5),
            None => Escape::Not,
        },
        _ => Escape::Not,
    }
}

/// The number of `u` and four hexadecimal digits.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | char::from(digit).to_digit(16)? as u16))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::strings;

    #[test]
    fn what_no_string_may_hold_is_replaced_and_the_rest_stays() {
        for (json, expected) in [
            (br#"["cut \ud83d"]"#.as_slice(), r#"["cut \ufffd"]"#),
            (br#"["\ude00"]"#, r#"["\ufffd"]"#),
            (br#"["\ud83d\u0041"]"#, r#"["\ufffd\u0041"]"#),
            (br#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
            (br#"["\uD83Dx\"\ud83"]"#, r#"["\ufffdx\"\\ud83"]"#),
            (br#"["C:\x", "\u+041"]"#, r#"["C:\\x", "\\u+041"]"#),
            (b"[\"a\xFFb\", \"\xE4\xB8\"]", "[\"a\u{fffd}b\", \"\u{fffd}\"]"),
            (b"[\n\"a\tb\x1b\"\n]", "[\n\"a\\u0009b\\u001b\"\n]"),
        ] {
            assert_eq!(strings(json).as_deref(), Some(expected.as_bytes()), "{expected}");
            assert!(serde_json::from_str::<Vec<String>>(expected).is_ok(), "{expected}");
        }
        for json in [r#"{"a": "\ud83d\ude00 \u00e9\\ud83d"}"#, r#"{"a": }"#, r"\ud83d", ""] {
            assert_eq!(strings(json.as_bytes()), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn whatever_lies_between_quotes_can_be_read(
            inner in prop::collection::vec(prop_oneof![
                prop::sample::select(vec!["\\", "\\u", "\\ud83d", "\\ude00", "d83d", "\\n", "\t", "中", "a"]).prop_map(|text| text.as_bytes().to_vec()),
                any::<u8>().prop_filter("ends the string", |&byte| byte != b'"').prop_map(|byte| vec![byte]),
            ], 0..12),
        ) {
            // A backslash in front of the quote would be its escape.
            let json = [b"\"".as_slice(), &inner.concat(), b" \""].concat();
            let repaired = strings(&json);
            prop_assert!(repaired.as_ref().is_none_or(|text| text.len() <= 6 * json.len()));
            prop_assert!(serde_json::from_slice::<String>(&repaired.unwrap_or(json)).is_ok());
        }
    }
}
