//! From physical lines to log records: reads a line's format, joins parts, joins lines that belong together.
//!
//! What comes out is a function of the bytes alone, from any clean point on: a point of the file where nothing is open.
//! A batch ends only there, so a restart that reads again from a batch's end makes the same records with the same
//! offsets. What waits for more is bounded: a record by the greatest line, everything since the last clean point by
//! [`SPAN_LIMIT`].

mod foreign;

use std::borrow::Cow;
use std::sync::Arc;

use self::foreign::Held;
use crate::decode::{Clock, Stream, cri, docker, json};
use crate::encode::{Batch, Mark, Record};
use crate::encoding::Foreign;
use crate::file::multiline::{self, State};
use crate::options::{Format, Multiline};
use crate::severity;

/// Greatest number of bytes between two clean points, as they are encoded.
pub(super) const SPAN_LIMIT: usize = 900_000;

/// What a record takes beside its body, at most.
const OVERHEAD: usize = 256;

/// Lines that were not as they should be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Physical lines.
    pub lines: u64,
    /// Records that were cut.
    pub cut: u64,
    /// Lines that do not fit their format, taken whole as plain text; and those that are not in their encoding, taken
    /// as they are.
    pub undecodable: u64,
}

/// Joins the lines of one file.
#[derive(Debug)]
pub struct Assembler {
    format: Format,
    multiline: Arc<Multiline>,
    max_line: usize,
    /// By output: stdout, stderr, and lines of neither.
    open: [Option<Open>; 3],
    clock: Clock,
    /// Where each line decides, the format of the last that had one: a line that has none is damaged.
    usual: Format,
    /// Lines are UTF-8, as somebody has seen before.
    utf8: bool,
    /// Encoded since the last clean point.
    span: usize,
    /// A clean point before the line that came last.
    passed: Option<(Mark, u64)>,
    /// What was seen.
    pub counts: Counts,
}

/// A record that goes on.
#[derive(Debug)]
struct Open {
    offset: u64,
    time: u64,
    stream: Option<Stream>,
    written: Format,
    body: Vec<u8>,
    /// Some of it is not in its encoding.
    raw: bool,
    /// Parts of its last line that are not decoded yet.
    held: Option<Held>,
    /// Bytes that are not in it.
    left_out: u64,
    /// The last line was a part; the next line of this output goes on with it.
    partial: bool,
    /// Of a stack trace: what may come next.
    trace: State,
    /// When its last line was read, nanoseconds since the epoch.
    touched: u64,
}

/// What a line says.
pub(super) struct Piece<'a> {
    time: u64,
    stream: Option<Stream>,
    /// By which runtime it was written; `plain` is none, whatever the text is.
    written: Format,
    partial: bool,
    text: Cow<'a, [u8]>,
    /// The text is not in its encoding.
    raw: bool,
    /// It is UTF-8, as somebody has seen before.
    utf8: bool,
    /// Where parts have to be joined before they are decoded: the text as it lies in the file.
    source: Option<(Foreign, &'a [u8])>,
}

impl Assembler {
    /// Nothing is open. With the format `auto` each line decides for itself.
    pub fn new(format: Format, multiline: Arc<Multiline>, max_line: usize) -> Self {
        Self {
            format,
            multiline,
            max_line,
            open: [None, None, None],
            clock: Clock::default(),
            usual: Format::Plain,
            utf8: false,
            span: 0,
            passed: None,
            counts: Counts::default(),
        }
    }

    /// Whether the lines that follow are known to be UTF-8: many are seen through at once in less time than one by one.
    /// Returns what was known before.
    pub fn know_utf8(&mut self, utf8: bool) -> bool {
        std::mem::replace(&mut self.utf8, utf8)
    }

    /// The clean point in front of the line that came last, if that line ended all that was open and began anew.
    pub fn take_passed(&mut self) -> Option<(Mark, u64)> {
        self.passed.take()
    }

    /// Nothing is open: everything that was read is in the batch.
    pub fn is_clean(&self) -> bool {
        self.open.iter().all(Option::is_none)
    }

    /// Whole lines are open that only a following line would end.
    pub fn waits_for_a_line(&self) -> bool {
        self.open.iter().flatten().any(|open| !open.partial)
    }

    /// When the part was read that has waited longest for more of its line, nanoseconds since the epoch.
    pub fn part_since(&self) -> Option<u64> {
        self.open.iter().flatten().filter(|open| open.partial).map(|open| open.touched).min()
    }

    /// With one more line of `length` bytes the distance between clean points would be too great: to be closed first.
    pub fn must_close(&self, length: usize) -> bool {
        let open: usize = self.open.iter().flatten().map(|open| open.most(self.max_line) + OVERHEAD).sum();
        !self.is_clean() && self.span + open + length + OVERHEAD > SPAN_LIMIT
    }

    /// Takes one physical line without its newline; `left_out` bytes of it are missing already.
    pub fn line(&mut self, line: &[u8], offset: u64, left_out: u64, observed: u64, batch: &mut Batch) {
        let piece = self.read(line);
        self.take(&piece, offset, left_out, observed, batch);
    }

    /// Takes what a physical line says; of the line, `left_out` bytes are missing already.
    pub(super) fn take(&mut self, piece: &Piece<'_>, offset: u64, left_out: u64, observed: u64, batch: &mut Batch) {
        self.counts.lines += 1;
        let slot = match piece.stream {
            Some(Stream::Stdout) => 0,
            Some(Stream::Stderr) => 1,
            None => 2,
        };
        if let Some(open) = &mut self.open[slot] {
            // What another runtime wrote is no rest of a part, and no line of a group.
            let same = open.written == piece.written;
            let goes_on = same && open.partial;
            if !goes_on
                && (!same || starts(&self.multiline, &piece.text, open) || self.too_long(slot, piece.text.len()))
            {
                self.finish(slot, observed, batch);
                if self.is_clean() {
                    self.span = 0;
                    self.passed = Some((batch.mark(), offset));
                }
            } else if let Some(open) = &mut self.open[slot] {
                if !goes_on {
                    open.body.push(b'\n');
                }
                self.counts.undecodable += u64::from(open.add(piece, left_out, self.max_line));
                open.touched = observed;
                open.partial = piece.partial;
                if !piece.partial && matches!(*self.multiline, Multiline::None) {
                    self.finish(slot, observed, batch);
                }
                self.settle();
                return;
            }
        }
        if piece.partial || !matches!(*self.multiline, Multiline::None) {
            let mut open = Open {
                offset,
                time: piece.time,
                stream: piece.stream,
                written: piece.written,
                body: Vec::with_capacity(piece.text.len().min(self.max_line)),
                raw: false,
                held: None,
                left_out: 0,
                partial: piece.partial,
                trace: match *self.multiline {
                    Multiline::Auto => multiline::begin(&piece.text),
                    Multiline::None | Multiline::Start(_) => State::Plain,
                },
                touched: observed,
            };
            self.counts.undecodable += u64::from(open.add(piece, left_out, self.max_line));
            self.open[slot] = Some(open);
        } else {
            self.counts.undecodable += u64::from(piece.raw);
            let body = &piece.text[..cut_at(&piece.text, self.max_line)];
            self.push(
                batch,
                &Record {
                    time_unix_nano: piece.time,
                    observed_time_unix_nano: observed,
                    severity_number: severity::detect(body).unwrap_or(0),
                    body,
                    raw: piece.raw,
                    utf8: piece.utf8,
                    stream: piece.stream,
                    offset,
                    left_out: left_out + (piece.text.len() - body.len()) as u64,
                },
            );
        }
        self.settle();
    }

    /// Ends all that is open, in the order in which it began.
    pub fn close(&mut self, observed: u64, batch: &mut Batch) {
        while let Some(slot) =
            (0..3).filter(|&n| self.open[n].is_some()).min_by_key(|&n| self.open[n].as_ref().map(|o| o.offset))
        {
            self.finish(slot, observed, batch);
        }
        self.settle();
    }

    /// Forgets what is open.
    pub fn reset(&mut self) {
        (self.open, self.span, self.passed) = ([None, None, None], 0, None);
    }

    fn read<'a>(&mut self, line: &'a [u8]) -> Piece<'a> {
        let plain = Piece { utf8: self.utf8, ..Piece::plain(line) };
        let read = match self.format {
            Format::Plain => return plain,
            Format::Auto => self.by_line(line),
            Format::Cri => self.cri(line),
            Format::Docker => docker::parse_by(&mut self.clock, line).map(Piece::docker),
            Format::Json => self.json(line),
        };
        read.unwrap_or_else(|| {
            self.counts.undecodable += u64::from(self.format != Format::Auto || self.usual != Format::Plain);
            plain
        })
    }

    /// By what the line is, whatever those before it were: a banner, or a line that a crash has damaged, says nothing of
    /// the next. `None` for plain text.
    fn by_line<'a>(&mut self, line: &'a [u8]) -> Option<Piece<'a>> {
        let line = without_nuls(line);
        let (format, piece) = match line.trim_ascii_start().first()? {
            b'0'..=b'9' => (Format::Cri, self.cri(line)?),
            b'{' => match docker::parse_own(&mut self.clock, line) {
                Some(read) => (Format::Docker, Piece::docker(read)),
                None => (Format::Json, self.json(line)?),
            },
            _ => return None,
        };
        self.usual = format;
        Some(piece)
    }

    fn cri<'a>(&mut self, line: &'a [u8]) -> Option<Piece<'a>> {
        let read = cri::parse_by(&mut self.clock, line)?;
        Some(Piece {
            time: read.time_unix_nano,
            stream: Some(read.stream),
            written: Format::Cri,
            partial: read.partial,
            utf8: self.utf8,
            ..Piece::plain(read.text)
        })
    }

    fn json<'a>(&self, line: &'a [u8]) -> Option<Piece<'a>> {
        Some(Piece { time: json::parse(line)?, utf8: self.utf8, ..Piece::plain(line) })
    }

    fn too_long(&self, slot: usize, more: usize) -> bool {
        self.open[slot].as_ref().is_some_and(|open| open.body.len() + 1 + more > self.max_line)
    }

    fn finish(&mut self, slot: usize, observed: u64, batch: &mut Batch) {
        if let Some(mut open) = self.open[slot].take() {
            self.counts.undecodable += u64::from(open.decode(self.max_line));
            self.push(
                batch,
                &Record {
                    time_unix_nano: open.time,
                    observed_time_unix_nano: observed,
                    severity_number: severity::detect(&open.body).unwrap_or(0),
                    body: &open.body,
                    raw: open.raw,
                    utf8: false,
                    stream: open.stream,
                    offset: open.offset,
                    left_out: open.left_out,
                },
            );
        }
    }

    fn push(&mut self, batch: &mut Batch, record: &Record<'_>) {
        let before = batch.len();
        batch.push(record);
        self.span += batch.len() - before;
        self.counts.cut += u64::from(record.left_out > 0);
    }

    fn settle(&mut self) {
        if self.is_clean() {
            self.span = 0;
        }
    }
}

impl<'a> Piece<'a> {
    fn plain(text: &'a [u8]) -> Self {
        let text = Cow::Borrowed(text);
        Self {
            time: 0,
            stream: None,
            written: Format::Plain,
            partial: false,
            text,
            raw: false,
            utf8: false,
            source: None,
        }
    }

    fn docker(read: docker::Line<'a>) -> Self {
        let text = match read.text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self {
            time: read.time_unix_nano,
            stream: read.stream,
            written: Format::Docker,
            partial: read.partial,
            text,
            utf8: true,
            ..Self::plain(&[])
        }
    }
}

/// Behind what a crash of the machine leaves where a line was never written.
fn without_nuls(line: &[u8]) -> &[u8] {
    match line {
        [0, ..] => &line[line.iter().take_while(|&&byte| byte == 0).count()..],
        _ => line,
    }
}

/// Whether this line begins a record of its own.
fn starts(multiline: &Multiline, text: &[u8], open: &mut Open) -> bool {
    match multiline {
        Multiline::None => true,
        Multiline::Start(pattern) => pattern.0.is_match(text),
        Multiline::Auto => match multiline::go_on(open.trace, &open.body, text) {
            Some(next) => {
                open.trace = next;
                false
            }
            None => true,
        },
    }
}

/// Adds to a record, up to its greatest length; nothing more where something was left out already.
fn append(body: &mut Vec<u8>, text: &[u8], max: usize, left_out: &mut u64) {
    let end = if *left_out > 0 { 0 } else { cut_at(text, max.saturating_sub(body.len())) };
    body.extend_from_slice(&text[..end]);
    *left_out += (text.len() - end) as u64;
}

/// The greatest length up to `max` that does not cut a character in two.
fn cut_at(text: &[u8], max: usize) -> usize {
    if text.len() <= max {
        return text.len();
    }
    // A character has at most three bytes of this kind.
    let back = (0..4.min(max + 1)).find(|&back| text[max - back] & 0xC0 != 0x80).unwrap_or(0);
    max - back
}

#[cfg(test)]
mod tests;
