//! What is dropped of a file whose tenant is over its rate.
//!
//! From one clean point to a later one, so records are whole on both sides. The later one is found by reading what lies
//! before the end as it would be read from there: not all that is dropped has to be looked at.

use std::io;
use std::sync::Arc;

use super::{Sealed, Tail, Visit};
use crate::encode::Mark;
use crate::file::checkpoint::Entry;
use crate::file::content::Content;
use crate::file::identity::Anchor;
use crate::file::ledger::{Loss, Reason};
use crate::file::loss;
use crate::options::Multiline;

/// So much before the end is read for a clean point; the second where the first has none.
const WINDOWS: [u64; 2] = [64 << 10, 2 << 20];
/// Ranges that are dropped and not durable yet, at most; then it waits.
const MAX_DROPPED: usize = 16;

/// Where reading can begin anew.
struct Ahead {
    clean: u64,
    anchor: Anchor,
    size: u64,
}

impl Tail {
    /// Drops what lies between the last clean point and one near the end, if more than `leave` bytes do: how many it
    /// drops. Nothing may be sent before it is on disk. Where there is no clean point before the end, it waits.
    pub(in crate::file) fn drop_over(
        &mut self,
        leave: u64,
        multiline: &Arc<Multiline>,
        buffer: &mut [u8],
        observed: u64,
    ) -> io::Result<u64> {
        let Content::Plain(file) = &self.content else { return Ok(0) };
        let size = file.metadata()?.len();
        // What the last run dropped is passed first.
        let passed = self.entry.dropped.last().is_none_or(|last| last.end <= self.clean);
        if size.saturating_sub(self.clean) <= leave
            || !passed
            || self.entry.dropped.len() >= MAX_DROPPED
            || !self.sealed.is_empty()
        {
            return Ok(0);
        }
        let Some(ahead) = self.find_ahead(size, multiline, buffer, observed)? else { return Ok(0) };
        let (start, end) = (self.clean, ahead.clean);
        self.entry.anchor = ahead.anchor;
        self.entry.size = self.entry.size.max(ahead.size);
        // What is open is read again from a clean point before it, and ended there.
        self.break_at(start);
        self.entry.dropped.push(start..end);
        self.scan = start;
        self.pass_dropped(observed);
        Ok(end - start)
    }

    /// Goes on behind a range that is dropped, if one begins here; a record in the place of its lines tells of it.
    pub(super) fn pass_dropped(&mut self, observed: u64) -> bool {
        let Some(range) = self.entry.dropped.iter().find(|range| range.contains(&self.scan)).cloned() else {
            return false;
        };
        self.seal();
        // Of what is behind the last clean point there is nothing to be sent.
        self.assembler.reset();
        self.batch.clear();
        let loss = Loss {
            path: self.entry.path.clone(),
            target: self.entry.target.clone(),
            identity: self.entry.identity.clone(),
            start: range.start,
            end: range.end,
            reason: Reason::OverRate,
            at: observed,
        };
        self.sealed.push_back(Sealed { value: loss::value(&loss, &self.facts.resource), end: range.end });
        (self.scan, self.clean, self.mark) = (range.end, range.end, Mark::default());
        (self.open_since, self.part_since, self.skipping) = (None, None, None);
        (self.at_end, self.seen_end) = (false, None);
        true
    }

    /// The last clean point before the end, if there is one behind the one that is known.
    fn find_ahead(
        &mut self,
        size: u64,
        multiline: &Arc<Multiline>,
        buffer: &mut [u8],
        observed: u64,
    ) -> io::Result<Option<Ahead>> {
        for window in WINDOWS {
            let Some(from) = self.line_start(size.saturating_sub(window), buffer)? else { continue };
            let entry = Entry { position: from, dropped: Vec::new(), ..self.entry.clone() };
            let content = std::mem::replace(&mut self.content, Content::Shut);
            let facts = self.facts.clone();
            let mut ahead =
                Self::new(entry, content, self.group, facts, Arc::clone(multiline), self.encoding, self.max_line);
            let same = ahead.read_on(window, buffer, observed);
            self.content = std::mem::replace(&mut ahead.content, Content::Shut);
            if !same? {
                // The next visit will see what it is now.
                return Ok(None);
            }
            if ahead.clean > from {
                return Ok(Some(Ahead { clean: ahead.clean, anchor: ahead.entry.anchor, size: ahead.entry.size }));
            }
        }
        Ok(None)
    }

    /// Reads about so much, or to the end; `false` if the file is not what it was.
    fn read_on(&mut self, bytes: u64, buffer: &mut [u8], observed: u64) -> io::Result<bool> {
        let stop = self.scan + bytes;
        while self.scan < stop {
            let before = self.scan;
            match self.visit(buffer, observed)? {
                Visit::Read { more, cut: 0, .. } => {
                    self.sealed.clear();
                    if !more || self.scan == before {
                        return Ok(true);
                    }
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Where the first line begins behind this place, or at the last clean point if that is further on.
    fn line_start(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<Option<u64>> {
        if at <= self.clean {
            return Ok(Some(self.clean));
        }
        let unit = self.encoding.unit();
        let at = at - at % unit;
        let (length, _) = self.content.read_at(buffer, at)?;
        let newline = match self.encoding.foreign() {
            None => memchr::memchr(b'\n', &buffer[..length]),
            Some(foreign) => foreign.newline(&buffer[..length], at),
        };
        Ok(newline.map(|newline| at + newline as u64 + unit))
    }
}
