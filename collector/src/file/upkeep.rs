//! What time brings: files to close, groups to end, failures to try again; and generations that end under an open file.

use std::time::Instant;

use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::content::Content;
use super::ledger::Reason;
use super::source::Source;
use super::tail::Tail;
use super::{follow, identity, rotated};

/// So many times a damaged compressed file is tried: it may still be written.
const UNPACKED: u32 = 5;

impl Source {
    /// Looks at the files that wait for time to pass.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.pods_changed() {
            self.learn_of_pods();
        }
        let grace = u64::try_from(self.settings.grace.as_nanos()).unwrap_or(u64::MAX);
        let long_ago = (weir_service::time::now_unix_nano() as u64).saturating_sub(grace);
        // Together, and with what is written anyway: each alone would be a write of its own.
        let pause = self.pause();
        let may_end = self.must_write || self.groups_ended.is_none_or(|at| now.saturating_duration_since(at) >= pause);
        for id in self.timed.iter().copied().collect::<Vec<_>>() {
            let Some(tail) = self.tails.get_mut(&id) else {
                self.timed.remove(&id);
                continue;
            };
            if let Some(reason) = tail.entry.ended {
                if tail.in_flight == 0 {
                    self.timed.remove(&id);
                    let entry = tail.checkpoint();
                    self.tails.remove(&id);
                    self.give_up(entry, reason);
                }
            } else if let Some(at) = tail.failed {
                if tail.in_flight == 0 && now - at >= self.settings.retry {
                    let gap = tail.acks.has_gap();
                    self.must_write |= std::mem::take(&mut tail.entry.torn);
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
            } else if tail.waits_for_pod.is_some() {
                self.queue(id);
            } else if tail.rotated.is_some() {
                // While the bus takes nothing, files grow and are not visited: what was read may not be all.
                let still = tail.stood_still(self.settings.grace) && !tail.has_changed();
                if still && tail.unfinished() {
                    tail.break_after(true);
                    self.must_write = true;
                } else if still && tail.settled() {
                    rotated::close(self, id);
                    continue;
                }
                self.queue(id);
            } else if tail.waited(self.settings.group_wait, self.settings.grace) {
                if may_end {
                    tail.break_after(false);
                    self.must_write = true;
                    self.groups_ended = Some(now);
                    self.queue(id);
                }
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

    /// Files wait for their turn, and none is read: what comes meanwhile is told all the same.
    pub(super) fn tell_what_waits(&mut self) {
        self.tails.values_mut().filter(|tail| tail.queued).for_each(Tail::look_ahead);
        follow::measure(self);
        self.publish();
    }

    /// The file of a generation is another now, or gone; `anew` if what is there now is to be read from its beginning.
    pub(super) async fn renew(&mut self, id: u64, anew: bool, stop: &CancellationToken) {
        let reason = if anew { Reason::Truncated } else { Reason::Deleted };
        let Some((old, content, group, rotated)) = self.leave(id, reason) else { return };
        if self.tails.get(&id).is_some_and(|tail| tail.entry.ended.is_some()) {
            self.end(id, reason, stop).await;
        }
        if !anew {
            return;
        }
        tracing::info!(path = old.path, "a file was truncated or written anew: it is read from its beginning");
        if let Err(error) = follow::again(self, &old, content, group, rotated) {
            tracing::warn!(%error, "a file cannot be read anew; it is tried again at the next rescan");
        }
    }

    /// Ends a generation whose bytes cannot be had any more: what was read of it is sent.
    async fn end(&mut self, id: u64, reason: Reason, stop: &CancellationToken) {
        let Some(tail) = self.tails.get_mut(&id) else { return };
        tail.entry.ended = Some(reason);
        let inode = tail.entry.inode();
        if self.by_inode.get(&inode) == Some(&id) {
            self.by_inode.remove(&inode);
        }
        self.must_write = true;
        let before = tail.batch.len();
        tail.abandon(weir_service::time::now_unix_nano() as u64);
        self.metrics.count(&tail.entry.path, std::mem::take(&mut tail.assembler.counts));
        self.waiting_bytes = self.waiting_bytes.saturating_sub(before);
        // What is on its way is waited for; then it is known what is lost.
        self.timed.insert(id);
        for batch in std::mem::take(&mut tail.sealed) {
            self.send(id, batch, stop).await;
        }
    }

    /// A file cannot be read at the moment. What cannot be unpacked will never be.
    pub(super) async fn unreadable(&mut self, id: u64, error: &std::io::Error, stop: &CancellationToken) {
        let Some(tail) = self.tails.get_mut(&id) else { return };
        // Another machine deleted it, or the server knows it by another handle now: its path will tell.
        if Errno::from_io_error(error) == Some(Errno::STALE) {
            if !tail.content.is_open() {
                return self.renew(id, false, stop).await;
            }
            tail.content = Content::Shut;
        }
        self.odd.tell(&tail.target, error);
        tail.failures += 1;
        if tail.entry.packed && tail.failures >= UNPACKED {
            self.end(id, Reason::Damaged, stop).await;
        } else {
            self.hold(id);
        }
    }
}
