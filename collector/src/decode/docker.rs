//! Docker's json-file format: `{"log":"…\n","stream":"stdout","time":"…"}`.

use serde_json::Value;

use super::{Stream, unix_nano};

/// One physical line. A part has no newline at its end; the next line of the same stream goes on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds since the epoch; 0 where the line has no time, or one before 1970.
    pub time_unix_nano: u64,
    /// Output, where the line names it.
    pub stream: Option<Stream>,
    /// More of this line follows.
    pub partial: bool,
    /// What the container wrote, without its newline.
    pub text: String,
}

/// Reads a line; `None` if it is no docker line (it is then to be kept whole, as plain text). Only `log` has to be
/// there: shippers and old daemons leave the rest out. Other keys are ignored.
pub fn parse(line: &[u8]) -> Option<Line> {
    read(serde_json::from_slice(line).ok()?)
}

/// Whether a file that begins with this line is docker's: other programs have a key `log` too, and where they end no
/// text with a newline, all of their lines would be parts of one.
pub fn is_docker(line: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(line) else { return false };
    let Some(object) = value.as_object() else { return false };
    let whole = object.contains_key("stream") && object.contains_key("time");
    let own = object.keys().all(|key| matches!(key.as_str(), "log" | "stream" | "time" | "attrs"));
    read(value).is_some_and(|line| whole || (own && !line.partial))
}

fn read(mut value: Value) -> Option<Line> {
    let time_unix_nano = match value.get("time") {
        // The zero time is what a program has that never set it.
        Some(time) if time == "0001-01-01T00:00:00Z" => 0,
        Some(time) => unix_nano(time.as_str()?.as_bytes())?,
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
    Some(Line { time_unix_nano, stream, partial, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_a_part_are_told_apart_by_the_newline() {
        for (log, partial, text) in
            [("a\\n", false, "a"), ("a\\r\\n", false, "a\r"), ("a", true, "a"), ("\\n", false, "")]
        {
            let line = format!(r#"{{"log":"{log}","stream":"stdout","time":"2019-01-01T01:00:00.5Z","attrs":{{}}}}"#);
            let read = parse(line.as_bytes()).unwrap();
            assert_eq!((read.partial, read.text.as_str()), (partial, text), "{line}");
        }
    }

    #[test]
    fn a_line_needs_no_more_than_its_text() {
        for line in [r#"{"log":"a\n"}"#, r#"{"log":"a\n","stream":"stderr","time":"0001-01-01T00:00:00Z"}"#] {
            let read = parse(line.as_bytes()).unwrap();
            assert_eq!((read.text.as_str(), read.time_unix_nano), ("a", 0), "{line}");
            assert!(is_docker(line.as_bytes()), "{line}");
        }
        for line in [r#"{"log":"a\n","level":"info"}"#, r#"{"log":"a"}"#] {
            assert!(!is_docker(line.as_bytes()), "another program's: {line}");
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
