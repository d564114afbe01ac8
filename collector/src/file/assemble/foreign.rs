//! Lines that are in another encoding than UTF-8.
//!
//! A line is decoded before its format is read. Only a CRI line is not: a runtime copies what a container writes,
//! behind a prefix in ASCII, and cuts a long line into parts without a look at its characters. Its parts are decoded
//! together.

use std::borrow::Cow;

use super::{Assembler, Open, Piece, append, cut_at, without_nuls};
use crate::decode::cri;
use crate::encoding::Foreign;
use crate::options::Format;

/// In UTF-8 no character takes more than so many times its bytes.
const WIDEST: usize = 3;

/// Parts that are not decoded yet.
#[derive(Debug)]
pub(super) struct Held {
    encoding: Foreign,
    /// Where they begin in the body.
    from: usize,
}

impl Assembler {
    /// Reads a physical line; if it is not `whole`, its end may lie within a character. What is not in this encoding is
    /// taken as it is.
    pub(in crate::file) fn read_in<'a>(&mut self, encoding: Foreign, line: &'a [u8], whole: bool) -> Piece<'a> {
        let line_of_runtime = if self.format == Format::Auto { without_nuls(line) } else { line };
        if matches!(self.format, Format::Auto | Format::Cri)
            && encoding.keeps_ascii()
            && let Some(read) = cri::parse_by(&mut self.clock, line_of_runtime)
        {
            self.usual = Format::Cri;
            let text = encoding.decode(read.text, whole && !read.partial);
            return Piece {
                time: read.time_unix_nano,
                stream: Some(read.stream),
                written: Format::Cri,
                partial: read.partial,
                source: Some((encoding, read.text)),
                ..Piece::decoded(read.text, text)
            };
        }
        match encoding.decode(line, whole) {
            Some(Cow::Borrowed(text)) => self.read(text.as_bytes()),
            Some(Cow::Owned(text)) => {
                let read = self.read(text.as_bytes());
                let (time, stream, written, partial) = (read.time, read.stream, read.written, read.partial);
                let text = read.text.into_owned().into();
                Piece { time, stream, written, partial, text, raw: false, utf8: true, source: None }
            }
            None => Piece { raw: true, ..Piece::plain(line) },
        }
    }
}

impl<'a> Piece<'a> {
    fn decoded(source: &'a [u8], text: Option<Cow<'a, str>>) -> Self {
        match text {
            Some(Cow::Borrowed(text)) => Self::plain(text.as_bytes()),
            Some(Cow::Owned(text)) => Self { text: text.into_bytes().into(), ..Self::plain(source) },
            None => Self { raw: true, ..Self::plain(source) },
        }
    }

    /// The most that it adds to a record.
    pub(in crate::file) fn most(&self, max: usize) -> usize {
        self.source.map_or(self.text.len(), |(_, source)| WIDEST * source.len()).min(max)
    }
}

impl Open {
    /// Adds a line, or a part of one, of which so much is missing; whether it was found not to be in its encoding.
    pub(super) fn add(&mut self, piece: &Piece<'_>, left_out: u64, max: usize) -> bool {
        match piece.source {
            Some((encoding, source)) if piece.partial || self.held.is_some() => {
                self.held.get_or_insert(Held { encoding, from: self.body.len() });
                append(&mut self.body, source, max, &mut self.left_out);
                self.left_out += left_out;
                !piece.partial && self.decode(max)
            }
            _ => {
                append(&mut self.body, &piece.text, max, &mut self.left_out);
                self.left_out += left_out;
                self.raw |= piece.raw;
                piece.raw
            }
        }
    }

    /// Decodes the parts that are held; whether they are not in their encoding.
    pub(super) fn decode(&mut self, max: usize) -> bool {
        let Some(Held { encoding, from }) = self.held.take() else { return false };
        let Some(text) = encoding.decode(&self.body[from..], self.left_out == 0).map(Cow::into_owned) else {
            self.raw = true;
            return true;
        };
        self.body.truncate(from);
        let end = cut_at(text.as_bytes(), max.saturating_sub(from));
        self.body.extend_from_slice(&text.as_bytes()[..end]);
        self.left_out += (text.len() - end) as u64;
        false
    }

    /// Greatest length that the body has as it is now, once it is decoded.
    pub(super) fn most(&self, max: usize) -> usize {
        let more = self.held.as_ref().map_or(0, |held| (WIDEST - 1) * (self.body.len() - held.from));
        self.body.len() + more.min(max.saturating_sub(self.body.len()))
    }
}
