//! One file generation: from bytes to sealed batches.

mod lines;
mod over;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::lines::{Skip, most};
use super::acks::Acks;
use super::assemble::{Assembler, SPAN_LIMIT};
use super::checkpoint::Entry;
use super::content::{Content, behind_hole};
use super::identity::{ANCHOR, Anchor};
use super::kubelet::Outlook;
use super::names::Facts;
use crate::encode::{Batch, Mark};
use crate::encoding::Encoding;
use crate::options::Multiline;

/// A batch is sealed from this size on, where the bus takes it.
const TARGET: usize = 800_000;
/// The same where it takes only small ones.
const LEAST_TARGET: usize = 16 << 10;

/// Size of a read buffer that holds any line; those of foreign encodings take more.
pub(super) fn buffer_size(max_line: usize, foreign: bool) -> usize {
    (256 << 10).max(most(max_line, foreign) + (64 << 10)) + ANCHOR
}

/// A batch that is ready to be sent.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) value: Bytes,
    pub(super) end: u64,
}

/// What came of a visit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// So many bytes are used up, a hole not counted; `more` may be there. So many that were seen before are not there
    /// any more (`cut`).
    Read { bytes: u64, more: bool, cut: u64 },
    /// The first bytes of a file that was empty were seen. What tells it from others has to be on disk before they are
    /// sent: it may be copied and truncated, or packed, while nobody looks.
    Begun,
    /// The file is not what it was: truncated, or written anew.
    Changed,
}

#[derive(Debug)]
pub(super) struct Tail {
    pub(super) entry: Entry,
    pub(super) content: Content,
    /// Index of the configuration's group that it came from.
    pub(super) group: usize,
    pub(super) target: PathBuf,
    /// The path that a glob found it at.
    pub(super) shown: PathBuf,
    pub(super) facts: Facts,
    pub(super) assembler: Assembler,
    pub(super) acks: Acks,
    pub(super) batch: Batch,
    pub(super) sealed: VecDeque<Sealed>,
    /// No path leads here any more, since then.
    pub(super) rotated: Option<Instant>,
    pub(super) grown: Instant,
    /// Its size when it was looked at without being read, where it grew.
    ahead: u64,
    /// How it is written, and how long it may be there.
    pub(super) outlook: Outlook,
    /// Something is open that only another line would end, since then.
    pub(super) open_since: Option<Instant>,
    /// A part waits for more of its line, since then (nanoseconds since the epoch).
    pub(super) part_since: Option<u64>,
    /// It is not read before its pod is known, or this was some time ago.
    pub(super) waits_for_pod: Option<Instant>,
    /// The bus did not take a batch.
    pub(super) failed: Option<Instant>,
    /// After a failure there is one batch on its way until one succeeds: behind one that fails none becomes durable.
    pub(super) careful: bool,
    /// How often in all it could not be read.
    pub(super) failures: u32,
    /// Since others were closed for the limit on open files.
    pub(super) visited: bool,
    pub(super) in_flight: usize,
    pub(super) at_end: bool,
    /// It was written to a moment ago when it was found, and there is little in it.
    pub(super) recent: bool,
    /// When a visit last found that it is still what it was, nanoseconds since the epoch.
    pub(super) verified: u64,
    /// When the end was reached last; also as nanoseconds since the epoch.
    seen_end: Option<(Instant, u64)>,
    pub(super) queued: bool,
    pub(super) lingering: bool,
    /// A batch is sealed from this size on.
    target_size: usize,
    /// Nothing was in the file when it was last written down.
    was_empty: bool,
    /// The start was compared since the end was reached last.
    compared: bool,
    encoding: Encoding,
    max_line: usize,
    /// First byte that was not given to the assembler.
    scan: u64,
    /// The last clean point, and the batch's end there.
    clean: u64,
    mark: Mark,
    /// Ends of batches, and the bytes that were left out of them.
    left_out: VecDeque<(u64, u64)>,
    /// An end that the file had, and since when it has not been reached, nanoseconds since the epoch.
    waiting: Option<(u64, u64)>,
    /// The last break that was kept to.
    broken: Option<u64>,
    skipping: Option<Skip>,
}

impl Tail {
    pub(super) fn new(
        entry: Entry,
        content: Content,
        group: usize,
        facts: Facts,
        multiline: Arc<Multiline>,
        encoding: Encoding,
        max_line: usize,
    ) -> Self {
        let position = entry.position;
        let was_empty = entry.fingerprint.is_empty();
        let waiting = entry.waiting_since.map(|since| (entry.size, since));
        Self {
            assembler: Assembler::new(entry.format, multiline, max_line),
            target: PathBuf::from(&entry.target),
            shown: PathBuf::from(&entry.path),
            entry,
            content,
            group,
            facts,
            acks: Acks::new(position),
            batch: Batch::default(),
            sealed: VecDeque::new(),
            rotated: None,
            grown: Instant::now(),
            outlook: Outlook::default(),
            open_since: None,
            part_since: None,
            ahead: 0,
            waits_for_pod: None,
            failed: None,
            careful: false,
            failures: 0,
            visited: false,
            in_flight: 0,
            at_end: false,
            recent: false,
            verified: 0,
            seen_end: None,
            queued: false,
            lingering: false,
            target_size: TARGET,
            was_empty,
            compared: false,
            encoding,
            max_line,
            scan: position,
            clean: position,
            mark: Mark::default(),
            left_out: VecDeque::new(),
            waiting,
            broken: None,
            skipping: None,
        }
    }

    /// Takes up to one buffer of the file; stops early at a sealed batch where there is one on its way at a time. Blocks
    /// on the disk.
    pub(super) fn visit(&mut self, buffer: &mut [u8], observed: u64) -> io::Result<Visit> {
        let size = match &self.content {
            Content::Plain(file) => Some(file.metadata()?.len()),
            Content::Packed(_) => None,
            Content::Shut => return Err(io::Error::other("the file is not open")),
        };
        // What is packed does not change.
        if let Some(size) = size
            && (size < self.scan || !self.is_same()?)
        {
            return Ok(Visit::Changed);
        }
        if self.was_empty && !self.entry.fingerprint.is_empty() {
            self.was_empty = false;
            return Ok(Visit::Begun);
        }
        if self.encoding == Encoding::Utf16 {
            let mut start = [0; 2];
            let length = self.content.start(&mut start)?;
            self.encoding = self.encoding.told_by(&start[..length]);
        }
        if self.next_break() == Some(self.scan) {
            self.end_here(observed);
        }
        if self.pass_dropped(observed) {
            return Ok(Visit::Read { bytes: 0, more: true, cut: 0 });
        }
        let from = self.scan;
        let stop = self.next_break();
        let anchor = self.entry.anchor;
        // The bytes in front of what is read: still those that were there before?
        let front = if size.is_some() && anchor.end == from { anchor.length() } else { 0 };
        let room = stop.map_or(u64::MAX, |stop| stop - from).min(size.map_or(u64::MAX, |size| size - from));
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(buffer.len().saturating_sub(ANCHOR));
        let (length, ended) = self.content.read_at(&mut buffer[..front + room], from - front as u64)?;
        if front > 0 && !anchor.is(&buffer[..front.min(length)]) {
            return Ok(Visit::Changed);
        }
        self.verified = observed;
        let data = &buffer[front..length];
        if data.first() == Some(&0) && self.pass_hole(size.unwrap_or(0))? {
            // Nothing was read: it costs nobody their turn.
            return Ok(Visit::Read { bytes: 0, more: true, cut: 0 });
        }
        let end = from + data.len() as u64;
        let ended = size.map_or(ended, |size| end >= size);
        let seen = size.unwrap_or(if ended { end } else { self.entry.size.max(end) });
        let cut = self.size().saturating_sub(seen);
        (self.entry.size, self.ahead) = (seen, 0);
        let at_break = !data.is_empty() && stop == Some(end);
        self.batch.expect(data.len());
        let whole = self.lines(data, at_break, observed);
        if whole && at_break {
            self.end_here(observed);
        }
        let bytes = self.scan - from;
        if bytes > 0 {
            self.grown = Instant::now();
            self.entry.anchor = Anchor::of(&buffer[..front + bytes as usize], self.scan);
        }
        if let Content::Packed(packed) = &mut self.content {
            packed.keep(&buffer[front + bytes as usize..length]);
        }
        self.at_end = whole && ended && !at_break;
        if self.at_end {
            self.seen_end = Some((Instant::now(), observed));
            self.compared = false;
        }
        self.open_since = match self.open_since {
            _ if !self.assembler.waits_for_a_line() => None,
            since => since.or_else(|| Some(Instant::now())),
        };
        // Where a line is passed over there is no place to end a record at.
        self.part_since = self.assembler.part_since().filter(|_| self.skipping.is_none());
        Ok(Visit::Read { bytes, more: !self.at_end, cut })
    }

    /// Whether the file begins as it did; while it is read on without a pause, the bytes before each read tell enough.
    fn is_same(&mut self) -> io::Result<bool> {
        if !self.compared || !self.entry.fingerprint.is_full() {
            if !self.entry.fingerprint.follow(&mut self.content)? {
                return Ok(false);
            }
            self.compared = true;
        }
        Ok(self.entry.anchor.end == self.scan || self.entry.anchor.holds(&mut self.content)?)
    }

    /// Goes on behind a hole that begins here, if one does.
    fn pass_hole(&mut self, size: u64) -> io::Result<bool> {
        let Content::Plain(file) = &self.content else { return Ok(false) };
        if self.scan >= size || !self.assembler.is_clean() || self.skipping.is_some() {
            return Ok(false);
        }
        let from = self.scan;
        let end = behind_hole(file, from, size);
        // Of a character there, zero may be the first byte.
        let end = end - end % self.encoding.unit();
        let end = self.next_break().map_or(end, |stop| end.min(stop));
        if end <= from {
            return Ok(false);
        }
        let mut before = [0; ANCHOR];
        let start = end.saturating_sub(ANCHOR as u64).max(from);
        let before = &mut before[..(end - start) as usize];
        let (length, _) = self.content.read_at(before, start)?;
        self.entry.anchor = Anchor::of(&before[..length], end);
        self.entry.size = self.entry.size.max(end);
        self.scan = end;
        Ok(true)
    }

    /// A clean point: the batch may end here.
    fn reach(&mut self, mut mark: Mark, position: u64) {
        let before = self.mark;
        if mark.bytes > SPAN_LIMIT && before.bytes > 0 {
            self.seal();
            mark = mark.since(before);
        }
        self.mark = mark;
        self.clean = position;
        if mark.bytes >= self.target_size {
            self.seal();
        }
    }

    /// Seals what lies before the last clean point, if there is any.
    pub(super) fn seal(&mut self) {
        if self.mark.records > 0 {
            let value = self.batch.finish_to(self.mark, &self.facts.resource);
            if self.mark.left_out > 0 {
                self.left_out.push_back((self.clean, self.mark.left_out));
            }
            self.sealed.push_back(Sealed { value, end: self.clean });
            self.mark = Mark::default();
        }
    }

    /// The bus does not take a batch of this size, or not with others: they are sent together where several wait.
    pub(super) fn is_too_large(&mut self, bytes: usize) {
        self.target_size = (bytes / 2).clamp(LEAST_TARGET, self.target_size);
    }

    /// A batch has succeeded. Where the bus takes only small ones, there is one on its way at any time all the same.
    pub(super) fn succeeded(&mut self) {
        self.careful = self.target_size < TARGET;
    }

    /// There is something to seal.
    pub(super) fn waiting(&self) -> bool {
        self.mark.records > 0
    }

    /// Bytes were read that no clean point covers: an unfinished line, parts, or a group of lines.
    pub(super) fn unfinished(&self) -> bool {
        self.skipping.is_some() || !self.assembler.is_clean() || self.scan < self.entry.size
    }

    /// Whether what is open has waited too long: a visit to the end, this much after its last line, found no more of
    /// it.
    pub(super) fn waited(&self, group: Duration, part: Duration) -> bool {
        let Some((seen, observed)) = self.seen_end else { return false };
        let part = u64::try_from(part.as_nanos()).unwrap_or(u64::MAX);
        self.open_since.is_some_and(|since| seen.saturating_duration_since(since) >= group)
            || self.part_since.is_some_and(|since| observed.saturating_sub(since) >= part)
    }

    /// A visit to the end found nothing new so long after the file was rotated away and grew last.
    pub(super) fn stood_still(&self, grace: Duration) -> bool {
        let since = self.rotated.map(|rotated| rotated.max(self.grown));
        self.at_end
            && self.seen_end.zip(since).is_some_and(|((seen, _), since)| seen.saturating_duration_since(since) >= grace)
    }

    /// Goes on reading from a file that holds the same bytes.
    pub(super) fn go_on_from(&mut self, content: Content) {
        self.content = content;
        (self.at_end, self.seen_end, self.compared) = (false, None, false);
    }

    /// Everything is durable that was read.
    pub(super) fn settled(&self) -> bool {
        self.sealed.is_empty() && !self.waiting() && self.in_flight == 0 && self.acks.durable() == self.scan
    }

    /// Ends what is open at the end of what was read. The break has to be durable before the next visit.
    pub(super) fn break_after(&mut self, whole_file: bool) {
        let at = if whole_file { self.entry.size.max(self.scan) } else { self.scan };
        self.break_at(at);
        self.broken = self.broken.filter(|&broken| broken != at);
        (self.open_since, self.part_since) = (None, None);
    }

    fn break_at(&mut self, at: u64) {
        if !self.entry.breaks.contains(&at) {
            self.entry.breaks.push(at);
            self.entry.breaks.sort_unstable();
        }
    }

    fn next_break(&self) -> Option<u64> {
        let passed = |at: u64| self.broken.is_some_and(|broken| at <= broken);
        self.entry.breaks.iter().copied().find(|&at| at >= self.scan && !passed(at))
    }

    fn end_here(&mut self, observed: u64) {
        self.broken = Some(self.scan);
        if let Some(skip) = self.skipping.take() {
            self.passed_over(&skip, observed);
        }
        self.assembler.close(observed, &mut self.batch);
        self.reach(self.batch.mark(), self.scan);
    }

    /// Ends everything here and now, since the rest of this generation is gone.
    pub(super) fn abandon(&mut self, observed: u64) {
        if let Some(skip) = self.skipping.take() {
            self.passed_over(&skip, observed);
        }
        self.assembler.close(observed, &mut self.batch);
        self.reach(self.batch.mark(), self.scan);
        self.seal();
    }

    /// Reads again from the last durable position. Nothing may be in flight.
    pub(super) fn rewind(&mut self) {
        let position = self.acks.durable();
        self.acks = Acks::new(position);
        self.assembler.reset();
        self.batch.clear();
        self.sealed.clear();
        self.left_out.clear();
        self.mark = Mark::default();
        (self.scan, self.clean) = (position, position);
        (self.broken, self.skipping, self.failed) = (None, None, None);
        (self.open_since, self.part_since) = (None, None);
        (self.at_end, self.seen_end) = (false, None);
    }

    /// What is to be kept of it now.
    pub(super) fn checkpoint(&mut self) -> Entry {
        let position = self.acks.durable();
        self.entry.reach(position);
        while let Some((_, bytes)) = self.left_out.pop_front_if(|(end, _)| *end <= position) {
            self.entry.left_out += bytes;
        }
        // In UTF-8 it may be more than the file has.
        let most = position.saturating_sub(self.entry.start + self.entry.over_rate);
        self.entry.left_out = self.entry.left_out.min(most);
        let size = self.size();
        if self.waiting.is_none_or(|(end, _)| position >= end) {
            let now = weir_service::time::now_unix_nano() as u64;
            self.waiting = (size > position).then_some((size, now));
        }
        self.entry.waiting_since = self.waiting.map(|(_, since)| since);
        if *self.entry.tenant != *self.facts.tenant {
            self.entry.belong_to(&self.facts.tenant);
        }
        self.entry.breaks.retain(|&at| at > position || (at == position && self.scan == position));
        Entry { size, ..self.entry.clone() }
    }

    /// Looks how much there is, without reading it. What is there now may be something else, which a visit will find:
    /// that says nothing of this.
    pub(super) fn look_ahead(&mut self) {
        let Some(size) = self.length().filter(|&size| size > self.size()) else { return };
        let is_same = !self.entry.fingerprint.is_empty()
            && self.entry.fingerprint.clone().follow(&mut self.content).unwrap_or(false)
            && self.entry.anchor.holds(&mut self.content).unwrap_or(false);
        if is_same {
            self.ahead = size;
        }
    }

    /// Whether there is more, or something else, than the last visit saw.
    pub(super) fn has_changed(&self) -> bool {
        self.ahead > self.entry.size || self.length().is_some_and(|size| size != self.entry.size)
    }

    fn length(&self) -> Option<u64> {
        let Content::Plain(file) = &self.content else { return None };
        Some(file.metadata().ok()?.len())
    }

    /// The greatest size seen, though not all of it was read.
    pub(super) fn size(&self) -> u64 {
        self.entry.size.max(self.ahead)
    }
}
