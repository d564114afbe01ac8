//! The one thread that changes the spool's files. What has queued up is written and synced at once, so that many
//! exports share one sync.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::segment::Segment;
use super::{Refused, Shared, Spooled, frame, now_ms};

/// A file is closed at this size: what is drained is given back file by file.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Written and synced at once, about.
const BATCH_BYTES: usize = 4 << 20;

pub(super) enum Command {
    Append {
        records: Vec<Spooled>,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    /// All before this number is durable on the bus.
    Drained(u64),
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The file that grows, which is the last of the segments.
    open: Option<File>,
}

struct Taken {
    records: Vec<Spooled>,
    reply: oneshot::Sender<Result<(), Refused>>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: None }
    }

    /// Until the last handle is dropped.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            let (mut buffer, mut taken, mut drained) = (Vec::new(), Vec::new(), None);
            let mut next = Some(command);
            while let Some(command) = next {
                match command {
                    Command::Append { records, reply } => self.take(records, reply, &mut buffer, &mut taken),
                    Command::Drained(number) => drained = Some(number),
                }
                next = if buffer.len() >= BATCH_BYTES { None } else { commands.try_recv().ok() };
            }
            self.write(&buffer, taken);
            if let Some(number) = drained {
                self.drained(number);
            }
        }
    }

    /// Adds the frames to the batch, or refuses all of them.
    fn take(
        &mut self,
        records: Vec<Spooled>,
        reply: oneshot::Sender<Result<(), Refused>>,
        buffer: &mut Vec<u8>,
        taken: &mut Vec<Taken>,
    ) {
        let before = buffer.len();
        let mut number =
            self.shared.state.lock().next + taken.iter().map(|taken| taken.records.len() as u64).sum::<u64>();
        let now = now_ms();
        let refused = records.iter().find_map(|spooled| {
            let put = frame::put(buffer, number, now, &spooled.record);
            number += 1;
            put.err().map(|error| Refused::Record(Arc::new(error)))
        });
        let is_full = || self.shared.state.lock().bytes + buffer.len() as u64 > self.shared.limit;
        let refused = refused.or_else(|| is_full().then_some(Refused::Full));
        match refused {
            None => taken.push(Taken { records, reply }),
            Some(refused) => {
                buffer.truncate(before);
                self.refuse(refused, reply);
            }
        }
    }

    fn refuse(&self, refused: Refused, reply: oneshot::Sender<Result<(), Refused>>) {
        if matches!(refused, Refused::Full) {
            self.shared.state.lock().is_full = true;
        }
        // A sender that is gone needs no answer.
        let _ = reply.send(Err(refused));
    }

    fn failed(&self, error: io::Error, taken: Vec<Taken>) {
        let is_full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        tracing::warn!(folder = %self.shared.folder.0.display(), %error, "the spool cannot be written");
        let error = Arc::new(error);
        for taken in taken {
            self.refuse(if is_full { Refused::Full } else { Refused::Failed(error.clone()) }, taken.reply);
        }
    }

    fn write(&mut self, buffer: &[u8], taken: Vec<Taken>) {
        if taken.is_empty() {
            return;
        }
        let segment = match self.append(buffer) {
            Ok(segment) => segment,
            Err(error) => return self.failed(error, taken),
        };
        let mut replies = Vec::with_capacity(taken.len());
        {
            // At once, as a reader must not see frames whose numbers are not given out yet.
            let mut state = self.shared.state.lock();
            state.bytes += buffer.len() as u64;
            match state.segments.back_mut().filter(|last| last.first == segment.first) {
                Some(last) => last.length = segment.length,
                None => state.segments.push_back(segment),
            }
            if state.next == state.drained {
                state.oldest_ms = now_ms();
            }
            for Taken { records, reply } in taken {
                for spooled in records {
                    let number = state.next;
                    if let Some(delivery) = spooled.delivery {
                        state.on_their_way.insert(number, delivery);
                    }
                    state.next += 1;
                }
                replies.push(reply);
            }
            state.is_full = false;
        }
        for reply in replies {
            let _ = reply.send(Ok(()));
        }
        self.shared.more.notify_one();
    }

    /// Durable when it returns, in this file; after an error nothing of it counts.
    fn append(&mut self, buffer: &[u8]) -> io::Result<Segment> {
        let folder = &self.shared.folder;
        let (last, given_up) = {
            let state = self.shared.state.lock();
            (state.segments.back().copied(), state.given_up)
        };
        let (file, segment) = match (self.open.take(), last) {
            (Some(file), Some(segment)) if segment.length < SEGMENT_BYTES && given_up != Some(segment.first) => {
                (file, segment)
            }
            _ => {
                let first = self.shared.state.lock().next;
                let path = folder.path(first);
                let file = File::options().create(true).truncate(true).write(true).open(path)?;
                (file, Segment { first, length: 0 })
            }
        };
        let write = || {
            file.write_all_at(buffer, segment.length)?;
            file.sync_data()?;
            if segment.length == 0 { folder.sync() } else { Ok(()) }
        };
        if let Err(error) = write() {
            // After a failed sync nobody knows what is on disk: the next batch goes to a file of its own.
            let undone = if segment.length == 0 { folder.remove(segment.first) } else { file.set_len(segment.length) };
            if let Err(error) = undone {
                tracing::debug!(%error, "what was not written whole is left behind in the spool, and not read");
            }
            return Err(error);
        }
        self.open = Some(file);
        Ok(Segment { length: segment.length + buffer.len() as u64, ..segment })
    }

    /// Gives back the disk of files that lie wholly before `number`; all of them, if nothing lies behind.
    fn drained(&mut self, number: u64) {
        if let Err(error) = self.shared.folder.set_position(number) {
            tracing::debug!(%error, "the position of the spool is not written; after a crash records may come twice");
        }
        let mut done = Vec::new();
        {
            let mut state = self.shared.state.lock();
            state.drained = number.max(state.drained);
            let (next, drained) = (state.next, state.drained);
            while let Some(segment) = state.segments.front().copied() {
                let end = state.segments.get(1).map_or(next, |following| following.first);
                if end > drained {
                    break;
                }
                state.segments.pop_front();
                state.bytes = state.bytes.saturating_sub(segment.length);
                done.push(segment.first);
            }
            if state.segments.is_empty() {
                self.open = None;
            }
            if !done.is_empty() {
                state.is_full = false;
            }
        }
        for first in done {
            if let Err(error) = self.shared.folder.remove(first) {
                let path = self.shared.folder.path(first);
                tracing::warn!(path = %path.display(), %error, "a drained file of the spool cannot be removed");
            }
        }
    }
}
