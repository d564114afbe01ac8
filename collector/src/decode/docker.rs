//! Docker's json-file format: `{"log":"…\n","stream":"stdout","time":"…"}`.

use std::borrow::Cow;

use memchr::memchr2;
use serde_json::Value;

use super::{Clock, Stream, repair};

/// One physical line. A part has no newline at its end; the next line of the same stream goes on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Nanoseconds since the epoch; 0 where the line has no time, or one before 1970.
    pub time_unix_nano: u64,
    /// Output, where the line names it.
    pub stream: Option<Stream>,
    /// More of this line follows.
    pub partial: bool,
    /// What the container wrote, without its newline.
    pub text: Cow<'a, str>,
}

/// Reads a line; `None` if it is no docker line (it is then to be kept whole, as plain text). Only `log` has to be
/// there: shippers and old daemons leave the rest out. Other keys are ignored.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    parse_by(&mut Clock::default(), line)
}

/// The same, by a clock that is kept from line to line.
pub fn parse_by<'a>(clock: &mut Clock, line: &'a [u8]) -> Option<Line<'a>> {
    as_written(clock, line).or_else(|| read(clock, value(line)?))
}

/// A line just as the daemon writes it, `{"log":…,"stream":…,"time":…}`; `None` for anything else, which is read as any
/// JSON is.
fn as_written<'a>(clock: &mut Clock, line: &'a [u8]) -> Option<Line<'a>> {
    let line = simdutf8::basic::from_utf8(line).ok()?;
    let rest = line.strip_prefix(r#"{"log":""#)?;
    let (mut end, mut escapes) = (0, 0);
    loop {
        end += memchr2(b'"', b'\\', &rest.as_bytes()[end..])?;
        if rest.as_bytes()[end] == b'"' {
            break;
        }
        escapes += 1;
        // A byte that is passed over may begin a character; no quote is part of one.
        end += 2;
        if end > rest.len() {
            return None;
        }
    }
    // Control characters have to be escaped.
    if rest.as_bytes()[..end].iter().fold(u8::MAX, |least, &byte| least.min(byte)) < b' ' {
        return None;
    }
    let (log, rest) = rest.split_at_checked(end)?;
    let rest = rest.strip_prefix(r#"","stream":"std"#)?;
    let (stream, rest) = match rest.strip_prefix("out") {
        Some(rest) => (Stream::Stdout, rest),
        None => (Stream::Stderr, rest.strip_prefix("err")?),
    };
    let time = rest.strip_prefix(r#"","time":""#)?.strip_suffix(r#""}"#)?;
    let time_unix_nano = clock.unix_nano(time.as_bytes())?;
    let (log, partial) = match log.strip_suffix(r"\n") {
        // Its backslash may be the second of two.
        Some(before) if before.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 0 => {
            escapes -= 1;
            (before, false)
        }
        _ => (log, true),
    };
    let text = if escapes == 0 { Cow::Borrowed(log) } else { Cow::Owned(unescape(log)?) };
    // Written as `\u000a`, which the daemon does not do.
    if partial && text.ends_with('\n') {
        return None;
    }
    Some(Line { time_unix_nano, stream: Some(stream), partial, text })
}

/// `None` for what is no escape, and for halves of characters.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(rest.get(..at)?);
        let (&kind, _) = rest.as_bytes()[at + 1..].split_first()?;
        let mut end = at + 2;
        out.push(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                end += 4;
                let digits = rest.get(at + 2..end)?;
                // A sign would be read, too.
                let whole = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| whole)?)?
            }
            _ => return None,
        });
        rest = rest.get(end..)?;
    }
    out.push_str(rest);
    Some(out)
}

/// The same of a line that may be another program's, which may have a key `log` too: with an output and a time beside it,
/// or nothing but docker's keys and a text that ends. What only begins a line would otherwise be joined with the next.
pub fn parse_own<'a>(clock: &mut Clock, line: &'a [u8]) -> Option<Line<'a>> {
    as_written(clock, line).or_else(|| {
        memchr::memmem::find(line, br#""log""#)?;
        let value = value(line)?;
        let object = value.as_object()?;
        let whole = object.contains_key("stream") && object.contains_key("time");
        let own = object.keys().all(|key| matches!(key.as_str(), "log" | "stream" | "time" | "attrs"));
        read(clock, value).filter(|line| whole || (own && !line.partial))
    })
}

/// Half a character that is escaped is no reason to take the whole line for text; bytes that are not UTF-8 are, since
/// they would be lost.
fn value(line: &[u8]) -> Option<Value> {
    repair::read(simdutf8::basic::from_utf8(line).ok()?.as_bytes())
}

fn read(clock: &mut Clock, mut value: Value) -> Option<Line<'static>> {
    let time_unix_nano = match value.get("time") {
        // The zero time is what a program has that never set it.
        Some(time) if time == "0001-01-01T00:00:00Z" => 0,
        Some(time) => clock.unix_nano(time.as_str()?.as_bytes())?,
        None => 0,
    };
    let stream = match value.get("stream") {
        Some(stream) => Some(Stream::parse(stream.as_str()?.as_bytes())?),
        None => None,
    };
    let Value::String(mut text) = value.get_mut("log")?.take() else { return None };
    let partial = !text.ends_with('\n');
    if !partial {
        text.pop();
    }
    Some(Line { time_unix_nano, stream, partial, text: text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIME: &str = "2019-01-01T01:00:00.5Z";

    proptest! {
        #[test]
        fn a_line_as_the_daemon_writes_it_is_read_as_any_json_is(
            text in prop_oneof![".{0,20}", "[a\"\\\\\n<\u{1}\u{7f}中😀]{0,12}"],
            go: bool,
        ) {
            let mut log = serde_json::to_string(&text).unwrap();
            if go {
                log = log.replace('<', "\\u003c");
            }
            let line = format!(r#"{{"log":{log},"stream":"stderr","time":"{TIME}"}}"#);
            let expected = read(&mut Clock::default(), serde_json::from_str(&line).unwrap()).unwrap();
            prop_assert_eq!(as_written(&mut Clock::default(), line.as_bytes()), Some(expected));
        }

        #[test]
        fn what_is_read_without_json_is_what_json_says(
            log in prop::collection::vec(prop::sample::select(vec![
                "a", "中", "\\", "n", "\"", "\\n", "\\\"", "\\\\", "\\u000a", "\\u00", "\\ud83d", "\\ude00", "\\x", "\t", "\\u+041",
            ]), 0..8),
            end in prop::sample::select(vec!["", " ", "\r", "}", ",\"attrs\":{}"]),
        ) {
            let line = format!(r#"{{"log":"{}","stream":"stdout","time":"{TIME}"{end}}}"#, log.concat());
            if let Some(line_read) = as_written(&mut Clock::default(), line.as_bytes()) {
                let value = serde_json::from_str(&line).unwrap();
                prop_assert_eq!(Some(line_read), read(&mut Clock::default(), value));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(tail: Vec<u8>) {
            let line = [br#"{"log":""#.as_slice(), &tail].concat();
            let _ = (parse(&tail), parse(&line), parse_own(&mut Clock::default(), &line));
        }
    }

    #[test]
    fn a_line_and_a_part_are_told_apart_by_the_newline() {
        for (log, partial, text) in
            [("a\\n", false, "a"), ("a\\r\\n", false, "a\r"), ("a", true, "a"), ("\\n", false, "")]
        {
            let line = format!(r#"{{"log":"{log}","stream":"stdout","time":"2019-01-01T01:00:00.5Z","attrs":{{}}}}"#);
            let read = parse(line.as_bytes()).unwrap();
            assert_eq!((read.partial, read.text.as_ref()), (partial, text), "{line}");
        }
    }

    #[test]
    fn a_line_needs_no_more_than_its_text() {
        for line in [r#"{"log":"a\n"}"#, r#"{"log":"a\n","stream":"stderr","time":"0001-01-01T00:00:00Z"}"#] {
            let read = parse(line.as_bytes()).unwrap();
            assert_eq!((read.text.as_ref(), read.time_unix_nano), ("a", 0), "{line}");
            assert_eq!(parse_own(&mut Clock::default(), line.as_bytes()), Some(read), "{line}");
        }
        let cut = r#"{"log":"cut \ud83d\n","stream":"stderr","time":"2019-01-01T01:00:00Z"}"#;
        assert_eq!(parse(cut.as_bytes()).unwrap().text, "cut \u{fffd}");
        assert!(parse_own(&mut Clock::default(), cut.as_bytes()).is_some());
        for line in [r#"{"log":"a\n","level":"info"}"#, r#"{"log":"a"}"#] {
            assert_eq!(parse_own(&mut Clock::default(), line.as_bytes()), None, "another program's: {line}");
        }
    }

    #[test]
    fn a_corrupted_line_is_refused() {
        for line in [
            r#"{"log":"a"#,
            "[]",
            r#"{"log":1,"stream":"stdout","time":"2019-01-01T01:00:00Z"}"#,
            r#"{"log":"a","stream":"stdin"}"#,
            r#"{"log":"a","time":"yesterday"}"#,
            "\u{0}",
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
