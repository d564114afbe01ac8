//! Docker's json-file format: `{"log":"…\n","stream":"stdout","time":"…"}`.

use serde_json::Value;

use super::{Stream, unix_nano};

/// One physical line. A part has no newline at its end; the next line of the same stream goes on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds since the epoch.
    pub time_unix_nano: u64,
    /// Output.
    pub stream: Stream,
    /// More of this line follows.
    pub partial: bool,
    /// What the container wrote, without its newline.
    pub text: String,
}

/// Reads a line; `None` if it is no docker line (it is then to be kept whole, as plain text). Other keys are ignored.
pub fn parse(line: &[u8]) -> Option<Line> {
    let mut value: Value = serde_json::from_slice(line).ok()?;
    let time_unix_nano = unix_nano(value.get("time")?.as_str()?.as_bytes())?;
    let stream = Stream::parse(value.get("stream")?.as_str()?.as_bytes())?;
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
    fn a_corrupted_line_is_refused() {
        for line in [r#"{"log":"a"#, "[]", r#"{"log":1,"stream":"stdout","time":"2019-01-01T01:00:00Z"}"#, "\u{0}"] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
