//! The level that a line names under a key of its own: in an object of JSON, or in a line of logfmt.

use memchr::memchr2;
use weir_service::terminal;

use super::{inside, number};

/// In any case.
const KEYS: [&[u8]; 6] = [b"level", b"severity", b"lvl", b"log.level", b"level_name", b"levelname"];

/// Level words that stand for a level as the value of a key alone: elsewhere they are prose.
const VALUES: [(&[u8], u8); 5] =
    [(b"INFORMATION", 9), (b"VERBOSE", 1), (b"CRIT", 21), (b"ALERT", 21), (b"EMERGENCY", 21)];

/// Longest key of logfmt, in bytes.
const LONGEST_KEY: usize = 64;

/// OTLP's severity number, 0 where what the key holds is no level; `None` where there is no such key. Of several keys,
/// the first that holds a level decides.
pub(super) fn level(text: &[u8]) -> Option<u8> {
    let text = text.trim_ascii_start();
    if text.first()? == &b'{' { of_json(text) } else { of_logfmt(text) }
}

pub(super) fn is_key(name: &[u8]) -> bool {
    KEYS.iter().any(|key| name.eq_ignore_ascii_case(key))
}

/// As pino and bunyan number levels: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal; what is between belongs to
/// the level below.
pub(super) fn of_digits(digits: &[u8]) -> Option<u8> {
    let [tens @ b'1'..=b'9', b'0'..=b'9'] = digits else { return None };
    Some(match tens {
        b'1' => 1,
        b'2' => 5,
        b'3' => 9,
        b'4' => 13,
        b'5' => 17,
        _ => 21,
    })
}

/// By the keys of the outermost object; the line may be cut.
fn of_json(text: &[u8]) -> Option<u8> {
    let (mut depth, mut at, mut found) = (0_usize, 0, None);
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => break,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let Some(name) = string(&text[at..]) else { break };
                at += name.len() + 1;
                if depth == 1
                    && is_key(name)
                    && let Some(value) = text[at..].trim_ascii_start().strip_prefix(b":")
                {
                    found = of_json_value(value.trim_ascii_start()).or(found);
                    if found > Some(0) {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn of_json_value(value: &[u8]) -> Option<u8> {
    match value.first()? {
        b'"' => {
            let text = string(&value[1..])?;
            if !text.contains(&b'\\') {
                return of_value(text);
            }
            // Colours are escaped there.
            let text: String = serde_json::from_slice(&value[..text.len() + 2]).ok()?;
            of_value(&terminal::shown(text.as_bytes()))
        }
        b'-' | b'0'..=b'9' => of_value(value),
        _ => None,
    }
}

/// The content of a string that has begun, with its escapes.
fn string(text: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(&text[..at]);
        }
        at += 2;
    }
}

/// Of a line that begins with `key=`.
fn of_logfmt(text: &[u8]) -> Option<u8> {
    let (mut rest, mut found, mut is_first) = (text, None, true);
    while !rest.is_empty() {
        let in_key = |byte: &&u8| inside(**byte) || matches!(byte, b'.' | b'-' | b'@' | b'/');
        let length = rest.iter().take(LONGEST_KEY).take_while(in_key).count();
        let (key, behind) = rest.split_at(length);
        if let Some(value) = behind.strip_prefix(b"=").filter(|_| length > 0) {
            let (value, behind) = match value.strip_prefix(b"\"") {
                Some(value) => match string(value) {
                    Some(text) => (text, &value[text.len() + 1..]),
                    None => break,
                },
                None => value.split_at(value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len())),
            };
            if is_key(key) {
                found = of_value(value).or(found);
                if found > Some(0) {
                    break;
                }
            }
            rest = behind.trim_ascii_start();
        } else if is_first {
            break;
        } else {
            // A word without a value.
            let end = behind.iter().position(u8::is_ascii_whitespace).unwrap_or(behind.len());
            rest = behind[end..].trim_ascii_start();
        }
        is_first = false;
    }
    found
}

/// The first word or number of a value; 0 for what is no level, `None` where there is nothing.
fn of_value(value: &[u8]) -> Option<u8> {
    let start = value.iter().position(|&byte| inside(byte) || byte == b'-')?;
    let word = &value[start..];
    let word = &word[..word.iter().take_while(|&&byte| inside(byte)).count()];
    let listed = || VALUES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|&(_, number)| number);
    Some(number(word).or_else(|| of_digits(word)).or_else(listed).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use crate::severity::detect;

    #[test]
    fn the_levels_own_key_decides_whatever_the_message_says() {
        for (text, expected) in [
            (r#"{"level":30,"msg":"ERROR rate is zero"}"#, 9),
            (r#"{"msg":"ERROR rate is zero","level":30}"#, 9),
            (r#"{"time":1,"msg":"\"level\":50 ERROR","nested":{"level":60},"level": 30}"#, 9),
            (r#" {"msg":"ERROR rate is zero","Level":"info"}"#, 9),
            (r#"{"level":"error","msg":"INFO"}"#, 17),
            (r#"{"level":"custom","msg":"ERROR rate is zero"}"#, 0),
            (r#"{"level":400,"level_name":"ERROR","message":"INFO"}"#, 17),
            (r#"{"level":null,"msg":"ERROR"}"#, 17),
            (r#"{"msg":"ERROR","text":"level"}"#, 17),
            (r#"{"log":{"level":"error"},"msg":"x"}"#, 17),
            (r#"{"msg":"ERROR","lev"#, 17),
            ("level=warning x", 13),
            ("ts=1 msg=\"ERROR rate is \\\" zero\" level=info", 9),
            ("ts=1 ERROR lvl=\"debug\"", 5),
            ("level=30 msg=ERROR", 9),
            ("level= msg=ERROR", 17),
            ("retries=3 ERROR", 17),
            ("ERROR cannot set level=info", 17),
        ] {
            assert_eq!(detect(text.as_bytes()).unwrap_or(0), expected, "{text}");
        }
        let long = format!(r#"{{"msg":"ERROR {}","level":20}}"#, "x".repeat(1000));
        assert_eq!(detect(long.as_bytes()), Some(5));
    }

    #[test]
    fn a_number_belongs_to_the_level_at_or_below_it() {
        for (number, expected) in [
            (10, 1),
            (19, 1),
            (20, 5),
            (30, 9),
            (35, 9),
            (40, 13),
            (50, 17),
            (59, 17),
            (60, 21),
            (70, 21),
            (0, 0),
            (3, 0),
            (9, 0),
            (100, 0),
            (-30, 0),
        ] {
            for text in [
                format!(r#"{{"msg":"ERROR","level":{number}}}"#),
                format!(r#"{{"level":"{number}","msg":"ERROR"}}"#),
                format!("level={number} ERROR"),
            ] {
                assert_eq!(detect(text.as_bytes()).unwrap_or(0), expected, "{text}");
            }
        }
    }
}
