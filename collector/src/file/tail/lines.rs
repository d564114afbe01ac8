//! From bytes to lines: where they end, and what of them is read.

use super::Tail;
use crate::encoding::{Counter, Foreign};
use crate::options::Format;

/// A physical line may be this much longer than a record: its format's prefix.
const PREFIX: usize = 256;

/// Greatest number of bytes of a line that are read.
pub(super) fn most(max_line: usize, foreign: bool) -> usize {
    // In UTF-8 no character takes less than half of its bytes in another encoding.
    (max_line + PREFIX) * if foreign { 2 } else { 1 }
}

/// An encoding, as a type: the code for lines in UTF-8 asks no line for its encoding.
trait Encoded: Copy {
    fn foreign(self) -> Option<Foreign>;

    fn unit(self) -> usize {
        self.foreign().map_or(1, Foreign::unit)
    }

    fn newline(self, data: &[u8], at: u64) -> Option<usize> {
        match self.foreign() {
            None => memchr::memchr(b'\n', data),
            Some(foreign) => foreign.newline(data, at),
        }
    }

    fn mark(self, start: &[u8]) -> usize {
        match self.foreign() {
            None if start.starts_with(b"\xEF\xBB\xBF") => 3,
            None => 0,
            Some(foreign) => foreign.mark(start),
        }
    }
}

#[derive(Clone, Copy)]
struct Utf8;

impl Encoded for Utf8 {
    fn foreign(self) -> Option<Foreign> {
        None
    }
}

impl Encoded for Foreign {
    fn foreign(self) -> Option<Foreign> {
        Some(self)
    }
}

/// A line that is too long; its rest is passed over.
#[derive(Debug)]
pub(super) struct Skip {
    offset: u64,
    head: Vec<u8>,
    /// Bytes of text that were passed over.
    left_out: u64,
    /// Counts them, where they are others than those of the file.
    counter: Option<Counter>,
}

impl Skip {
    fn new(foreign: Option<Foreign>, line: &[u8], offset: u64, most: usize) -> Self {
        let (head, rest) = line.split_at(line.len().min(most));
        let counter = foreign.map(|foreign| {
            let mut counter = foreign.counter();
            counter.count(head);
            counter
        });
        let mut skip = Self { offset, head: head.to_vec(), left_out: 0, counter };
        skip.pass(rest);
        skip
    }

    fn pass(&mut self, data: &[u8]) {
        self.left_out += match &mut self.counter {
            None => data.len() as u64,
            Some(counter) => counter.count(data),
        };
    }
}

impl Tail {
    /// Gives lines to the assembler; `false` if it stopped early for a sealed batch, where there is one on its way at a
    /// time.
    pub(super) fn lines(&mut self, data: &[u8], at_break: bool, observed: u64) -> bool {
        match self.encoding.foreign() {
            None => self.lines_in(Utf8, data, at_break, observed),
            Some(foreign) => self.lines_in(foreign, data, at_break, observed),
        }
    }

    fn lines_in(&mut self, encoding: impl Encoded, data: &[u8], at_break: bool, observed: u64) -> bool {
        let base = self.scan;
        let most = most(self.max_line, encoding.foreign().is_some());
        // What may be half of a newline waits for its other half.
        let odd = if at_break { 0 } else { (base + data.len() as u64) % encoding.unit() as u64 };
        let data_end = data.len() - (odd as usize).min(data.len());
        let mut at = 0;
        if let Some(mut skip) = self.skipping.take() {
            let newline = encoding.newline(data, base);
            let end = newline.unwrap_or(data_end);
            skip.pass(&data[..end]);
            at = newline.map_or(end, |newline| newline + encoding.unit());
            self.scan = base + at as u64;
            if newline.is_none() && !at_break {
                self.skipping = Some(skip);
                return true;
            }
            self.passed_over(&skip, observed);
        }
        let mut mark = if base == 0 && at == 0 { encoding.mark(data) } else { 0 };
        // Docker's lines are seen through one by one, as JSON. What is half of a line may be half of a character.
        let whole = || &data[at..memchr::memrchr(b'\n', &data[at..]).map_or(at, |last| at + last)];
        let one_by_one = match self.entry.format {
            Format::Docker => true,
            Format::Auto => data[at..].starts_with(br#"{"log":""#),
            _ => false,
        };
        let at_once = encoding.foreign().is_none() && !one_by_one;
        self.assembler.know_utf8(at_once && simdutf8::basic::from_utf8(whole()).is_ok());
        while self.sealed.is_empty() || !self.careful {
            let rest = &data[at..];
            let offset = base + at as u64;
            let Some(length) = encoding.newline(rest, offset) else {
                self.assembler.know_utf8(false);
                if at_break && !rest.is_empty() {
                    self.scan = base + data.len() as u64;
                    self.capped(encoding, &rest[mark..], offset, most, observed);
                } else if rest.len() - mark > most {
                    self.scan = base + data_end as u64;
                    let line = &data[at + mark..data_end];
                    self.skipping = Some(Skip::new(encoding.foreign(), line, offset, most));
                }
                return true;
            };
            at += length + encoding.unit();
            self.scan = base + at as u64;
            self.capped(encoding, &rest[mark..length], offset, most, observed);
            mark = 0;
        }
        false
    }

    fn capped(&mut self, encoding: impl Encoded, line: &[u8], offset: u64, most: usize, observed: u64) {
        match encoding.foreign() {
            _ if line.len() > most => self.passed_over(&Skip::new(encoding.foreign(), line, offset, most), observed),
            None => self.line(line, offset, 0, observed),
            Some(foreign) => self.foreign_line(foreign, line, offset, 0, observed),
        }
    }

    /// A line whose rest was passed over.
    pub(super) fn passed_over(&mut self, skip: &Skip, observed: u64) {
        // It may end in half of a character.
        let utf8 = self.assembler.know_utf8(false);
        // The rest may be no whole character.
        let left_out = skip.left_out.max(1);
        match self.encoding.foreign() {
            None => self.line(&skip.head, skip.offset, left_out, observed),
            Some(foreign) => self.foreign_line(foreign, &skip.head, skip.offset, left_out, observed),
        }
        self.assembler.know_utf8(utf8);
    }

    /// One line, behind which [`Self::scan`] is already; `left_out` bytes of it are missing.
    fn line(&mut self, line: &[u8], offset: u64, left_out: u64, observed: u64) {
        self.make_room(line.len(), offset, observed);
        self.assembler.line(line, offset, left_out, observed, &mut self.batch);
        self.taken();
    }

    /// The same in another encoding.
    fn foreign_line(&mut self, encoding: Foreign, line: &[u8], offset: u64, left_out: u64, observed: u64) {
        let piece = self.assembler.read_in(encoding, line, left_out == 0);
        self.make_room(piece.most(self.max_line), offset, observed);
        self.assembler.take(&piece, offset, left_out, observed, &mut self.batch);
        self.taken();
    }

    /// Ends what is open where a line of this length would be too much with it.
    fn make_room(&mut self, length: usize, offset: u64, observed: u64) {
        if self.assembler.must_close(length) {
            self.assembler.close(observed, &mut self.batch);
            self.reach(self.batch.mark(), offset);
        }
    }

    /// A line was given to the assembler.
    fn taken(&mut self) {
        if let Some((mark, offset)) = self.assembler.take_passed() {
            self.reach(mark, offset);
            self.open_since = None;
        }
        if self.assembler.is_clean() {
            self.reach(self.batch.mark(), self.scan);
        }
    }
}
