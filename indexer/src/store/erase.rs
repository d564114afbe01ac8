//! Erasure: the lines that match a query are taken out of what is on disk.
//!
//! A seal of a window is rewritten as a whole: its chunks are deleted and, without the lines that go, added again, in one
//! commit of the index, under the same number. So a crash leaves a window with all of the lines or with none of them, and
//! the rest is never lost; what was erased of some windows stays erased. Then the segments that held it are merged, so
//! that it is gone from the files too, but for what searches that began before still have open.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_query::Matcher;
use weir_query::line::Line;
use weir_service::auth::{AUDIT_TENANT, Scope, Tenants};

use super::Store;
use super::seal::Sealing;
use super::window::Window;
use crate::Error;
use crate::bits::Bits;
use crate::snapshot::{Lines, Needs};

/// What is to go.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// Of whom.
    pub tenants: Tenants,
    /// Which lines.
    pub matcher: Matcher,
    /// What chunks of such lines hold.
    pub needs: Needs,
    /// Event time from which on, in nanoseconds since the epoch.
    pub start: i64,
    /// Event time before which.
    pub end: i64,
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Lines that are there no more.
    pub lines: u64,
    /// Lines that were written again beside them.
    pub rewritten: u64,
    /// Windows that were changed.
    pub windows: u64,
    /// Bytes of the store's files before.
    pub bytes_before: u64,
    /// And behind it.
    pub bytes_after: u64,
}

impl Store {
    /// Takes out what matches of all that was ingested before the call. What comes later stays, and so does the audit, and
    /// what the bus holds: a store that has to be filled anew from the bus has it again. Blocks, and seals wait for it.
    pub fn erase(&self, erasure: &Erasure, now_ms: i64) -> Result<Erased, Error> {
        let names: Vec<String> = {
            let mut sealing = self.sealing.lock();
            // The first may be one that failed before, of what was read by then.
            self.finish_seal(&mut sealing, now_ms)?;
            self.seal_in(&mut sealing, now_ms, &mut |_| Ok(()))?;
            sealing.windows.keys().cloned().collect()
        };
        let mut erased = Erased { bytes_before: self.disk_bytes()?, ..Erased::default() };
        for name in names {
            // Between two windows, seals may go on.
            let mut sealing = self.sealing.lock();
            self.finish_seal(&mut sealing, now_ms)?;
            let Some(window) = sealing.windows.get(&name) else { continue };
            if window.erase(erasure, &mut erased)? {
                erased.windows += 1;
                window.reload()?;
                self.show(&sealing);
            }
            // An earlier one may have ended before this.
            window.purge()?;
            window.reload()?;
            self.show(&sealing);
        }
        erased.bytes_after = self.disk_bytes()?;
        Ok(erased)
    }

    /// The next snapshot has what is committed.
    fn show(&self, sealing: &Sealing) {
        self.state.write().views = Arc::new(sealing.windows.values().map(Window::view).collect());
    }
}

impl Window {
    /// Adds what went to `erased`; whether anything did.
    fn erase(&self, erasure: &Erasure, erased: &mut Erased) -> Result<bool, Error> {
        let view = self.view();
        let mut seals = BTreeSet::new();
        view.sealed(erasure.tenants.scope(), &erasure.needs, (erasure.start, erasure.end), |seal, chunk| {
            if !seals.contains(&seal) && erasure.takes_of(chunk)? {
                seals.insert(seal);
            }
            Ok(())
        })?;
        if seals.is_empty() {
            return Ok(false);
        }
        let mut writer = self.writer()?;
        for &seal in &seals {
            writer.delete(seal);
        }
        view.sealed(Scope::All, &Needs::Anything, (i64::MIN, i64::MAX), |seal, chunk| {
            if !seals.contains(&seal) {
                return Ok(());
            }
            let lines = chunk.lines()?;
            let left: Vec<&Line> = lines.iter().filter(|line| !erasure.takes(line)).collect();
            erased.lines += (lines.len() - left.len()) as u64;
            erased.rewritten += left.len() as u64;
            writer.add(&left, seal)
        })?;
        writer.commit_alone()?;
        Ok(true)
    }
}

impl Erasure {
    fn takes(&self, line: &Line) -> bool {
        (self.start..self.end).contains(&line.time)
            && line.source.tenant != AUDIT_TENANT
            && self.tenants.allows(Some(&line.source.tenant))
            && self.matcher.matches(line)
    }

    fn takes_of(&self, lines: &dyn Lines) -> Result<bool, Error> {
        let chunk = lines.open()?;
        let Some(first) = chunk.matching(&self.matcher, self.start, self.end)?.iter().next() else { return Ok(false) };
        // All of a chunk are of one tenant.
        let mut one = Bits::none(lines.count() as u32);
        one.insert(first);
        Ok(chunk.take(&one)?.iter().any(|line| self.takes(line)))
    }
}
