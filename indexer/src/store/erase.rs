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
use crate::snapshot::Needs;

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
        self.seal(now_ms)?;
        let mut erased = Erased { bytes_before: self.disk_bytes()?, ..Erased::default() };
        let names: Vec<String> = self.sealing.lock().windows.keys().cloned().collect();
        for name in names {
            // Between two windows, seals may go on.
            let mut sealing = self.sealing.lock();
            self.finish_seal(&mut sealing, now_ms)?;
            let Some(window) = sealing.windows.get(&name) else { continue };
            let before = erased.lines;
            window.erase(erasure, &mut erased)?;
            if erased.lines > before {
                erased.windows += 1;
                self.show(&sealing);
            }
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
    /// Adds what went to `erased`.
    fn erase(&self, erasure: &Erasure, erased: &mut Erased) -> Result<(), Error> {
        let view = self.view();
        let mut seals = BTreeSet::new();
        let (scope, needs) = (erasure.tenants.scope(), &erasure.needs);
        view.sealed(scope, needs, (erasure.start, erasure.end), |seal, chunk| {
            let matching = || chunk.open()?.matching(&erasure.matcher, erasure.start, erasure.end);
            if !seals.contains(&seal) && !matching()?.is_empty() {
                seals.insert(seal);
            }
            Ok(())
        })?;
        if seals.is_empty() {
            return Ok(());
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
            let goes = |line: &&Line| {
                (erasure.start..erasure.end).contains(&line.time)
                    && line.source.tenant != AUDIT_TENANT
                    && erasure.tenants.allows(Some(&line.source.tenant))
                    && erasure.matcher.matches(line)
            };
            let left: Vec<&Line> = lines.iter().filter(|line| !goes(line)).collect();
            erased.lines += (lines.len() - left.len()) as u64;
            erased.rewritten += left.len() as u64;
            writer.add(&left, seal)
        })?;
        writer.purge()?;
        self.reload()
    }
}
