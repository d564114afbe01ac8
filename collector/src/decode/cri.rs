//! The CRI log format: `<time> stdout|stderr P|F[:tags] <text>`.

use super::{Clock, Stream};

/// One physical line, without its newline. `P` lines are parts, which the next `F` of the same stream completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Nanoseconds since the epoch.
    pub time_unix_nano: u64,
    /// Output; parts of one are mixed with lines of the other.
    pub stream: Stream,
    /// More of this line follows.
    pub partial: bool,
    /// What the container wrote, byte for byte.
    pub text: &'a [u8],
}

/// Reads a line without its newline; `None` if it is no CRI line (it is then to be kept whole, as plain text).
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    parse_by(&mut Clock::default(), line)
}

/// The same, by a clock that is kept from line to line.
pub fn parse_by<'a>(clock: &mut Clock, line: &'a [u8]) -> Option<Line<'a>> {
    as_written(clock, line).or_else(|| read(clock, line))
}

/// A whole line just as containerd and CRI-O write it in UTC, with all nine digits of a second; `None` for anything else.
#[inline]
fn as_written<'a>(clock: &mut Clock, line: &'a [u8]) -> Option<Line<'a>> {
    let (head, text) = line.split_first_chunk::<40>()?;
    let (time, tail) = head.split_first_chunk::<30>()?;
    let stream = match tail {
        b" stdout F " => Stream::Stdout,
        b" stderr F " => Stream::Stderr,
        _ => return None,
    };
    Some(Line { time_unix_nano: clock.unix_nano(time)?, stream, partial: false, text })
}

fn read<'a>(clock: &mut Clock, line: &'a [u8]) -> Option<Line<'a>> {
    let (time, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    // Old runtimes write an empty text without the space before it.
    let (tags, text) = word(rest).unwrap_or((rest, &[]));
    let partial = match tags.split(|&b| b == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Line { time_unix_nano: clock.unix_nano(time)?, stream: Stream::parse(stream)?, partial, text })
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', text)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_tags_and_empty_texts_are_read() {
        let time = "2016-10-06T00:17:09.669794202Z";
        for (tail, partial, text) in [
            ("F log", false, "log"),
            ("P part ", true, "part "),
            ("P:T1:T2 x", true, "x"),
            ("F ", false, ""),
            ("F", false, ""),
        ] {
            let line = format!("{time} stderr {tail}");
            let read = parse(line.as_bytes()).unwrap();
            assert_eq!((read.stream, read.partial, read.text), (Stream::Stderr, partial, text.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_line_of_another_format_is_refused() {
        for line in
            ["", "unsupported log format test log", "2016-10-06T00:17:09Z stdin F x", "2016-10-06T00:17:09Z stdout Q x"]
        {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_byte_for_byte(text: Vec<u8>) {
            let line = [b"2016-10-06T00:17:09.6Z stdout F ".as_slice(), &text].concat();
            prop_assert_eq!(parse(&line).map(|read| read.text), Some(text.as_slice()));
        }

        #[test]
        fn a_line_as_runtimes_write_it_is_read_as_any(
            line in "2016-10-06T00:17:09[.]6697942[0-9]{2}[Z1 ] ?std(out|err) [FP] ?[a ]{0,2}",
        ) {
            let mut clock = Clock::default();
            if let Some(quick) = as_written(&mut clock, line.as_bytes()) {
                prop_assert_eq!(Some(quick), read(&mut clock, line.as_bytes()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(line: Vec<u8>) {
            let _ = parse(&line);
        }
    }
}
