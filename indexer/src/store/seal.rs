//! A seal: the head becomes chunks on disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use weir_query::line::{Line, Source};

use super::Store;
use super::gaps::Gaps;
use super::manifest::{FORMAT, Manifest, sync_folder};
use super::window::{Window, Writer};
use crate::Error;
use crate::chunk::{MAX_BYTES, MAX_LINES, MAX_MEMORY};
use crate::head::Head;
use crate::ingest::Signal;

/// Folder of the windows, in the store's.
pub(super) const WINDOWS: &str = "windows";

/// What the one that seals owns.
pub(super) struct Sealing {
    pub(super) manifest: Manifest,
    pub(super) windows: BTreeMap<String, Window>,
    /// A seal that is not done: it is under way, or failed in whatever way and is tried again.
    pending: Option<Job>,
}

/// A head that was taken, and what the manifest will say once it is on disk.
struct Job {
    head: Head,
    manifest: Manifest,
    /// What was written, once the manifest is in place: then it counts, and must not be undone.
    installed: Option<Sealed>,
}

/// What a seal wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Lines.
    pub lines: usize,
    /// Chunks.
    pub chunks: usize,
}

/// Moments of a seal between which a crash leaves something else behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The head was taken.
    Taken,
    /// A window's folder is there.
    Opened,
    /// A window's chunks were added and not committed.
    Added,
    /// A window was committed.
    Committed,
    /// The manifest lies beside the old one.
    Written,
    /// The manifest is in place.
    Installed,
}

impl Sealing {
    pub(super) fn new(manifest: Manifest, windows: BTreeMap<String, Window>) -> Self {
        Self { manifest, windows, pending: None }
    }
}

impl Store {
    /// Makes chunks of the head, durably, with the positions and marks of the same moment. `now_ms` (since the epoch) says
    /// which windows are old. After an error the lines stay searchable, and the next call tries the same again. Blocks.
    pub fn seal(&self, now_ms: i64) -> Result<Sealed, Error> {
        self.seal_watched(now_ms, &mut |_| Ok(()))
    }

    /// [`Store::seal`], which stops where `watch` fails: for tests of what a crash leaves behind.
    pub fn seal_watched(&self, now_ms: i64, watch: &mut dyn FnMut(Step) -> Result<(), Error>) -> Result<Sealed, Error> {
        self.seal_in(&mut self.sealing.lock(), now_ms, watch)
    }

    /// Ends a seal that failed before, so that all that the windows hold counts.
    pub(super) fn finish_seal(&self, sealing: &mut Sealing, now_ms: i64) -> Result<(), Error> {
        if sealing.pending.is_some() {
            self.seal_in(sealing, now_ms, &mut |_| Ok(()))?;
        }
        Ok(())
    }

    pub(super) fn seal_in(
        &self,
        sealing: &mut Sealing,
        now_ms: i64,
        watch: &mut dyn FnMut(Step) -> Result<(), Error>,
    ) -> Result<Sealed, Error> {
        let Sealing { manifest, windows, pending } = sealing;
        match pending {
            Some(job) if job.installed.is_some() => {}
            Some(job) => windows.values().try_for_each(|window| window.undo(job.manifest.seal))?,
            None => *pending = self.take(manifest, now_ms),
        }
        // It stays there while it is written: a panic in between loses no line either.
        let Some(job) = pending else { return Ok(Sealed::default()) };
        let sealed = if let Some(sealed) = job.installed {
            sealed
        } else {
            let sealed = self.write(windows, job, now_ms, watch)?;
            Manifest::install(&self.root)?;
            *job.installed.insert(sealed)
        };
        sync_folder(&self.root)?;
        watch(Step::Installed)?;
        *manifest = std::mem::take(&mut job.manifest);
        *self.on_disk.lock() = manifest.positions.clone();
        *pending = None;
        let mut state = self.state.write();
        state.views = Arc::new(windows.values().map(Window::view).collect());
        state.sealing = Head::default();
        Ok(sealed)
    }

    /// Takes the head, with the positions and marks of the same moment; `None` if nothing was read since.
    fn take(&self, last: &Manifest, now_ms: i64) -> Option<Job> {
        let mut reading = self.reading.lock();
        if !reading.moved {
            return None;
        }
        if self.signal == Signal::Metrics {
            self.merge_head(&reading);
        }
        reading.moved = false;
        reading.marks.forget(now_ms);
        let kept_ms = self.back.saturating_mul(i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX));
        Arc::make_mut(&mut reading.gaps).forget(now_ms.saturating_sub(kept_ms));
        let manifest = Manifest {
            format: FORMAT,
            seal: last.seal + 1,
            positions: reading.positions.clone(),
            times: reading.times.clone(),
            gaps: Gaps::clone(&reading.gaps),
            marks: reading.marks.clone(),
            windows: last.windows.clone(),
        };
        let mut state = self.state.write();
        let head = std::mem::take(&mut state.head);
        state.sealing = head.clone();
        Some(Job { head, manifest, installed: None })
    }

    /// Writes the chunks, and the manifest beside the old one.
    fn write(
        &self,
        windows: &mut BTreeMap<String, Window>,
        job: &mut Job,
        now_ms: i64,
        watch: &mut dyn FnMut(Step) -> Result<(), Error>,
    ) -> Result<Sealed, Error> {
        watch(Step::Taken)?;
        let seal = job.manifest.seal;
        let mut sealed = Sealed::default();
        let mut touched = Vec::new();
        for (name, sources) in self.by_window(&job.head, now_ms) {
            if !windows.contains_key(&name) {
                let window = Window::open(self.root.join(WINDOWS).join(&name))?;
                windows.insert(name.clone(), window);
            }
            let Some(window) = windows.get(&name) else { continue };
            watch(Step::Opened)?;
            let mut writer = window.writer()?;
            for lines in sources.into_values() {
                sealed.lines += lines.len();
                sealed.chunks += add_chunks(&mut writer, lines, seal)?;
            }
            watch(Step::Added)?;
            writer.commit()?;
            watch(Step::Committed)?;
            job.manifest.windows.insert(name.clone(), now_ms);
            touched.push(name);
        }
        // Readers are ready before the manifest counts, so that nothing can fail between it and their use.
        for window in touched.iter().filter_map(|name| windows.get(name)) {
            window.reload()?;
        }
        job.manifest.windows.retain(|name, _| windows.contains_key(name));
        job.manifest.write(&self.root)?;
        watch(Step::Written)?;
        Ok(sealed)
    }

    /// The head's lines by window and source.
    fn by_window<'a>(
        &self,
        head: &'a Head,
        now_ms: i64,
    ) -> BTreeMap<String, HashMap<*const Source, Vec<&'a Line>, ahash::RandomState>> {
        let length = self.window.as_secs().max(1) as i64;
        let now = (now_ms / 1000).div_euclid(length);
        let mut windows: BTreeMap<i64, HashMap<*const Source, Vec<&Line>, ahash::RandomState>> = BTreeMap::new();
        for line in head.batches().iter().flat_map(|batch| batch.shared().iter()) {
            // Lines of any age are taken, and never open more windows than these.
            let window = line.time.div_euclid(1_000_000_000).div_euclid(length).clamp(now - self.back, now + 1);
            windows.entry(window).or_default().entry(Arc::as_ptr(&line.source)).or_default().push(line);
        }
        windows.into_iter().map(|(window, sources)| (format!("{}-{length}", window * length), sources)).collect()
    }
}

/// Adds lines of one source; returns the number of chunks.
fn add_chunks(writer: &mut Writer<'_>, mut lines: Vec<&Line>, seal: u64) -> Result<usize, Error> {
    lines.sort_by_key(|line| (line.time, line.id));
    let (mut chunks, mut from, mut bytes, mut memory) = (0, 0, 0, 0);
    for (at, line) in lines.iter().enumerate() {
        memory += line.memory();
        if memory > MAX_MEMORY && at > from {
            writer.add(&lines[from..at], seal)?;
            (chunks, from, bytes, memory) = (chunks + 1, at, 0, line.memory());
        }
        bytes += line.content();
        if at + 1 - from >= MAX_LINES || bytes >= MAX_BYTES || at + 1 == lines.len() {
            writer.add(&lines[from..=at], seal)?;
            (chunks, from, bytes, memory) = (chunks + 1, at + 1, 0, 0);
        }
    }
    Ok(chunks)
}
