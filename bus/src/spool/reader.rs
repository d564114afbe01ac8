//! Reads the spool, oldest first, past what cannot be read.

use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::Shared;
use super::segment::{Segment, Step, Walk};
use crate::Record;

/// Handed out at once, about; as they are sent, for on disk they are compressed.
const BATCH_BYTES: u64 = 2 << 20;

/// Records to be sent.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// With their numbers, which rise.
    pub(super) records: Vec<(u64, Record)>,
    /// Number of the first record behind this batch.
    pub(super) end: u64,
    /// When the first was spooled.
    pub(super) oldest_ms: u64,
}

/// From what is not durable on the bus yet, on.
pub(super) struct Reader {
    shared: Arc<Shared>,
    /// Number of the next record.
    expected: u64,
    /// Of the file being read, and how far.
    place: Option<(u64, u64)>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let expected = shared.state.lock().drained;
        Self { shared, expected, place: None }
    }

    /// The next records, perhaps none, where only something that cannot be read was passed; `None` if there is nothing
    /// more now. What is damaged is passed. An error says nothing of what is in the file (no file could be opened, say):
    /// then what lies there is still to be read.
    pub(super) fn batch(&mut self) -> io::Result<Option<Batch>> {
        let mut batch = Batch::default();
        let (mut bytes, before) = (0, (self.place, self.expected));
        while bytes < BATCH_BYTES {
            let next = self.shared.state.lock().next;
            let Some((segment, from, end)) = self.segment() else {
                // What was at the end, and cannot be read, is passed too.
                self.pass_to(next);
                break;
            };
            if let Err(error) = self.read(segment, from, end, &mut batch, &mut bytes) {
                if !is_damage(&error) {
                    if batch.records.is_empty() {
                        return Err(error);
                    }
                    // It is met again, behind what was read.
                    break;
                }
                self.shared.state.lock().given_up = Some(segment.first);
                let kept = self.shared.folder.link_aside(segment.first).map_err(|error| error.to_string());
                self.shared.damaged(segment.first, from, segment.length - from, &error.to_string(), kept);
                self.place = Some((segment.first, segment.length));
            }
        }
        batch.end = self.expected;
        Ok((before != (self.place, self.expected)).then_some(batch))
    }

    /// The file to read on in, from where, and the first number that does not belong to it.
    fn segment(&mut self) -> Option<(Segment, u64, u64)> {
        let state = self.shared.state.lock();
        let place = self.place.unwrap_or_default();
        let mut following = state.segments.iter().skip_while(|segment| segment.first < place.0).copied().peekable();
        while let Some(segment) = following.next() {
            let from = if self.place.is_some() && segment.first == place.0 { place.1 } else { 0 };
            if from < segment.length {
                let end = following.peek().map_or(state.next, |next| next.first);
                drop(state);
                self.pass_to(segment.first);
                return Some((segment, from, end));
            }
        }
        None
    }

    /// The next record has at least this number: those before are not there.
    fn pass_to(&mut self, number: u64) {
        if number > self.expected {
            self.shared.lost(self.expected..number);
            self.expected = number;
        }
    }

    fn read(&mut self, segment: Segment, from: u64, end: u64, batch: &mut Batch, bytes: &mut u64) -> io::Result<()> {
        let file = File::open(self.shared.folder.path(segment.first))?;
        // What lies before the expected number is durable on the bus.
        let mut walk = Walk::new(file, from, segment.length, segment.first..end);
        while *bytes < BATCH_BYTES {
            match walk.step()? {
                Step::Frame(frame, length) if frame.number >= self.expected => {
                    self.pass_to(frame.number);
                    self.expected = frame.number + 1;
                    if batch.records.is_empty() {
                        batch.oldest_ms = frame.spooled_ms;
                    }
                    if let Some(record) = frame.record() {
                        *bytes += length.max(crate::size(&record) as u64);
                        batch.records.push((frame.number, record));
                    } else {
                        self.damaged(segment, walk.at() - length, length, "it holds no record");
                        self.shared.lost(frame.number..self.expected);
                    }
                }
                Step::Frame(..) => {}
                Step::Damage { at, bytes: long } => {
                    self.damaged(segment, at, long, "the checksum is wrong, or the end is missing");
                }
                Step::End => {
                    self.place = Some((segment.first, segment.length));
                    return Ok(());
                }
            }
        }
        self.place = Some((segment.first, walk.at()));
        Ok(())
    }

    fn damaged(&self, segment: Segment, at: u64, bytes: u64, why: &str) {
        if self.shared.is_news(segment.first, at) {
            let kept = self.shared.folder.put_part_aside(segment.first, at, bytes);
            self.shared.damaged(segment.first, at, bytes, why, kept);
        }
    }
}

/// Whether it will not be otherwise later: the disk does not give the bytes, or the file is gone.
fn is_damage(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NOENT].contains(&errno))
}
