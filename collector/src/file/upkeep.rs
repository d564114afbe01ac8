//! What time brings: files to close, groups to end, failures to try again; and generations that end under an open file.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::source::Source;
use super::{follow, identity};

impl Source {
    /// Looks at the files that wait for time to pass.
    pub(super) fn tick(&mut self, now: Instant) {
        let grace = u64::try_from(self.settings.grace.as_nanos()).unwrap_or(u64::MAX);
        let long_ago = (weir_service::time::now_unix_nano() as u64).saturating_sub(grace);
        for id in self.timed.iter().copied().collect::<Vec<_>>() {
            let Some(tail) = self.tails.get_mut(&id) else {
                self.timed.remove(&id);
                continue;
            };
            if let Some(at) = tail.failed {
                if tail.in_flight == 0 && now - at >= self.settings.retry {
                    let gap = tail.acks.has_gap();
                    self.waiting_bytes = self.waiting_bytes.saturating_sub(tail.batch.len());
                    tail.rewind();
                    if gap {
                        // Readers have passed the failed batch: under the old name they would drop it. Twice is
                        // better than never.
                        tail.entry.identity = identity::fresh(tail.entry.inode());
                        self.must_write = true;
                        tracing::warn!(path = tail.entry.path, "a batch failed between others; lines may come twice");
                    }
                    self.queue(id);
                }
            } else if tail.rotated.is_some() {
                // While the bus takes nothing, files grow and are not visited: what was read may not be all.
                let still = tail.rotated.is_some_and(|at| now - at.max(tail.grown) >= self.settings.grace)
                    && tail.at_end
                    && tail.is_read();
                if still && tail.unfinished() {
                    tail.break_after(true);
                    self.must_write = true;
                } else if still && tail.settled() {
                    follow::close(self, id);
                    continue;
                }
                self.queue(id);
            } else if tail.waited(self.settings.group_wait, self.settings.grace) {
                tail.break_after(false);
                self.must_write = true;
                self.queue(id);
            } else if tail.open_since.is_some_and(|at| now - at >= self.settings.group_wait)
                || tail.part_since.is_some_and(|at| at <= long_ago)
            {
                // What was written meanwhile may go on with it: that is read first.
                self.queue(id);
            } else if tail.open_since.is_none() && tail.part_since.is_none() {
                self.timed.remove(&id);
            }
        }
    }

    /// Goes on with a file whose content is another now, as a new generation.
    pub(super) async fn renew(&mut self, id: u64, stop: &CancellationToken) {
        let Some(tail) = self.tails.get_mut(&id) else { return };
        let before = tail.batch.len();
        tail.abandon(weir_service::time::now_unix_nano() as u64);
        self.metrics.count(&tail.entry.path, std::mem::take(&mut tail.assembler.counts));
        self.waiting_bytes = self.waiting_bytes.saturating_sub(before);
        for batch in std::mem::take(&mut tail.sealed) {
            self.send(id, batch, stop).await;
        }
        let Some(tail) = self.tails.remove(&id) else { return };
        // What was sent is on its way, and counted where it fails; what failed before and what was not sent is gone.
        let unsent = tail.entry.size.saturating_sub(tail.acks.sent());
        self.metrics.lose(&tail.entry.path, unsent + tail.failed_bytes);
        tracing::info!(path = tail.entry.path, "a file was truncated or written anew: it is read from its beginning");
        self.timed.remove(&id);
        if let Err(error) = follow::again(self, tail) {
            tracing::warn!(%error, "a file cannot be read anew; it is tried again at the next rescan");
        }
    }
}
