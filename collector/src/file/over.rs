//! Tenants over their rate whose files are not to wait: what is too much is dropped, and the ledger says so.

use std::sync::Arc;
use std::time::Instant;

use super::source::{Source, give_back};
use super::turns::Beyond;

/// So many files are looked at before others are read.
const AT_ONCE: usize = 16;

impl Source {
    /// Drops what is too much of some files, where it is time for it. It is on disk before anything of them is sent.
    pub(super) fn drop_over(&mut self, now: Instant) {
        if self.over.is_empty() {
            self.over = self.turns.over(now);
        }
        let (mut bytes, mut files) = (0, 0);
        for _ in 0..AT_ONCE.min(self.over.len()) {
            let Some(beyond) = self.over.pop_front() else { break };
            let dropped = self.drop_of(&beyond, now);
            (bytes, files) = (bytes + dropped, files + u64::from(dropped > 0));
        }
        if files > 0 {
            self.must_write = true;
            tracing::warn!(bytes, files, "tenants are over their rates: what was too much of their files is dropped");
        }
    }

    fn drop_of(&mut self, beyond: &Beyond, now: Instant) -> u64 {
        let Some(tail) = self.tails.get(&beyond.file) else { return 0 };
        let sent_before = self.was_sent_beyond(&tail.entry.identity, tail.acks.durable());
        let may = tail.failed.is_none() && tail.entry.ended.is_none() && tail.waits_for_pod.is_none() && !sent_before;
        // What cannot be opened or read is seen to at its visit.
        if !may || tail.facts.tenant != beyond.tenant || !self.open_again(beyond.file).is_ok_and(|there| there) {
            return 0;
        }
        let Some(tail) = self.tails.get_mut(&beyond.file) else { return 0 };
        let multiline = Arc::clone(&self.groups[tail.group].multiline);
        let observed = weir_service::time::now_unix_nano() as u64;
        let before = tail.batch.len();
        let dropped = tail.drop_over(beyond.leave, &multiline, &mut self.buffer, observed).unwrap_or(0);
        if dropped > 0 {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(before - tail.batch.len());
            give_back(&mut self.pool, &mut tail.batch);
            tail.lingering = true;
            self.lingering.push_front((now, beyond.file));
        }
        dropped
    }
}
