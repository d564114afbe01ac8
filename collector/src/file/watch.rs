//! Wake-ups from the file system. They are hints: the rescan finds what they miss.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::AHashSet;
use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// More changed paths than this are taken as «anything may have changed».
const MAX_PATHS: usize = 4096;

/// What changed since it was last asked.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// Files came, went or were renamed.
    pub(super) structure: bool,
    /// Any file may have grown.
    pub(super) anything: bool,
    /// Files that were written to.
    pub(super) paths: AHashSet<PathBuf>,
}

#[derive(Debug)]
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    folders: AHashSet<PathBuf>,
    /// Of these, the ones that are watched only for a folder that is to come below them.
    waiting: AHashSet<PathBuf>,
    hints: Arc<Mutex<Hints>>,
    woken: Arc<Notify>,
    /// That a folder cannot be watched was said.
    told: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        let hints = Arc::new(Mutex::new(Hints::default()));
        let woken = Arc::new(Notify::new());
        let (to, wake) = (Arc::clone(&hints), Arc::clone(&woken));
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if to.lock().take_in(event) {
                wake.notify_one();
            }
        })
        .inspect_err(|error| tracing::warn!(%error, "no wake-ups from the file system: files are looked at in turn"))
        .ok();
        Self { watcher, folders: AHashSet::new(), waiting: AHashSet::new(), hints, woken, told: false }
    }

    /// Watches a folder, once.
    pub(super) fn folder(&mut self, path: &Path) {
        self.waiting.remove(path);
        if self.folders.contains(path) {
            return;
        }
        if let Some(watcher) = &mut self.watcher {
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.folders.insert(path.to_owned());
                }
                Err(error) if !self.told => {
                    self.told = true;
                    let path = path.display();
                    tracing::warn!(%path, %error, "a folder, the first of some, cannot be watched: its files are looked at in turn");
                }
                Err(error) => tracing::debug!(path = %path.display(), %error, "a folder cannot be watched"),
            }
        }
    }

    /// Watches these for folders that are to come below them, and no longer those of before. Call it after
    /// [`Self::folder`] was told all folders that are there.
    pub(super) fn wait_in<'a>(&mut self, above: impl Iterator<Item = &'a Path>) {
        let above: AHashSet<PathBuf> = above.map(Path::to_owned).collect();
        for folder in self.waiting.extract_if(|folder| !above.contains(folder)) {
            self.folders.remove(&folder);
            if let Some(watcher) = &mut self.watcher {
                // Whatever it still tells is a look too many.
                let _ = watcher.unwatch(&folder);
            }
        }
        for folder in above {
            if !self.folders.contains(&folder) {
                self.folder(&folder);
                self.waiting.insert(folder);
                // What came before it was watched was not told.
                self.again();
            }
        }
    }

    /// Forgets folders that are gone, so that one of the same name is watched again.
    pub(super) fn forget_missing(&mut self) {
        let watcher = &mut self.watcher;
        self.folders.retain(|folder| {
            let there = folder.is_dir();
            if !there && let Some(watcher) = watcher {
                // It is gone; there is nothing left to say about it.
                let _ = watcher.unwatch(folder);
            }
            there
        });
    }

    /// Every folder is watched.
    pub(super) fn is_whole(&self) -> bool {
        self.watcher.is_some() && !self.told
    }

    pub(super) fn take(&self) -> Hints {
        std::mem::take(&mut *self.hints.lock())
    }

    /// Files came or went, and nobody has looked yet.
    pub(super) fn again(&self) {
        self.hints.lock().structure = true;
    }

    pub(super) fn woken(&self) -> Arc<Notify> {
        Arc::clone(&self.woken)
    }
}

impl Hints {
    /// Whether there is something new to do.
    fn take_in(&mut self, event: notify::Result<notify::Event>) -> bool {
        let Ok(event) = event else {
            (self.structure, self.anything) = (true, true);
            return true;
        };
        if event.need_rescan() {
            (self.structure, self.anything) = (true, true);
            return true;
        }
        match event.kind {
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => return false,
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {}
            _ => self.structure = true,
        }
        if self.paths.len() + event.paths.len() > MAX_PATHS {
            self.paths.clear();
            self.anything = true;
        } else if !self.anything {
            self.paths.extend(event.paths);
        }
        true
    }
}
