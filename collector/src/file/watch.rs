//! Wake-ups from the file system, by `notify`. They are hints: the rescan finds what they miss.
//!
//! notify reads inotify on a thread of its own as soon as anything changes, and calls [`Inbox::event`] there. That blocks
//! until the tailer collects, at most every [`GATHER`]: meanwhile the kernel gathers what changes, and merges repeated
//! writes to one file. So a writer that writes ten thousand times a second wakes nobody more often than that.
//!
//! notify's `PollWatcher` is not used where inotify is silent: the rescan walks the same folders anyway, and sees what a
//! comparison of modification times misses.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::{AHashMap, AHashSet};
use futures::FutureExt;
use notify::event::ModifyKind;
use notify::{Config, ErrorKind, Event, EventKind, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::identity::{self, Inode};

/// More changed paths than this are taken as «anything may have changed».
const MAX_PATHS: usize = 4096;
/// Wake-ups are taken together for so long.
pub(super) const GATHER: Duration = Duration::from_millis(100);
/// File systems that others write to too, of which the kernel here tells nothing: NFS, SMB (three), Ceph, AFS (two),
/// Coda, 9P, FUSE, Lustre, GPFS, OCFS2, GFS2, BeeGFS, VirtualBox; and `/proc`, whose files nobody writes.
const SILENT: [u32; 17] = [
    0x6969,
    0x517B,
    0xFF53_4D42,
    0xFE53_4D42,
    0x00C3_6400,
    0x5346_414F,
    0x6B41_4653,
    0x7375_7245,
    0x0102_1997,
    0x6573_5546,
    0x0BD0_0BD0,
    0x4750_4653,
    0x7461_636F,
    0x0116_1970,
    0x1983_0326,
    0x786F_4256,
    0x9FA0,
];

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
struct Folder {
    /// What lay at its path when it was watched.
    inode: Inode,
    /// Where it is watched, with symbolic links followed, as files are known too. `None` where it could not be.
    place: Option<PathBuf>,
    /// Not every change in it is reported.
    silent: bool,
}

/// Where notify's thread leaves what changed.
#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<State>,
    opened: Condvar,
    /// Something changed, and is not collected.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    hints: Hints,
    /// Somebody waits for notify's thread, which then does not block in [`Inbox::event`].
    open: bool,
}

#[derive(Debug)]
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    inbox: Arc<Inbox>,
    folders: AHashMap<PathBuf, Folder>,
    /// What notify watches: each folder once, however many paths lead to it.
    places: AHashMap<PathBuf, Inode>,
    /// Of the folders, the ones that are watched only for a folder that is to come below them.
    waiting: AHashSet<PathBuf>,
    /// [`Self::again`] was called.
    again: bool,
    /// When it was collected last.
    collected: Option<Instant>,
    /// That a folder cannot be watched was logged as a warning.
    warned: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        let inbox = Arc::new(Inbox::default());
        let to = Arc::clone(&inbox);
        // As inotify's own masks: no wake-up for what the tailer itself does, which opens and reads files.
        let kinds =
            EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_DATA | EventKindMask::MODIFY_NAME;
        let watcher = RecommendedWatcher::new(move |event| to.event(event), Config::default().with_event_kinds(kinds))
            .inspect_err(|error| {
                tracing::warn!(%error, "no wake-ups from the file system: files are found by the rescan alone");
            })
            .ok();
        let mut watch = Self {
            watcher,
            inbox,
            folders: AHashMap::new(),
            places: AHashMap::new(),
            waiting: AHashSet::new(),
            again: false,
            collected: None,
            warned: false,
        };
        // Starting its thread may have failed, which notify does not return.
        watch.sync();
        watch
    }

    /// Watches a folder, once.
    pub(super) fn folder(&mut self, path: &Path) {
        self.waiting.remove(path);
        if self.is_watched(path) || self.watcher.is_none() {
            return;
        }
        // Should another come to lie there before it is watched, the next look finds it.
        let Some(metadata) = fs::metadata(path).ok().filter(fs::Metadata::is_dir) else { return };
        let inode = identity::inode(&metadata);
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let watched = match self.places.get(&place) {
            Some(watched) if *watched == inode => Ok(()),
            // The next look unwatches what lay there before.
            Some(_) => return self.again(),
            None => self.call(|watcher| watcher.watch(&place, RecursiveMode::NonRecursive)).unwrap_or(Ok(())),
        };
        let place = match watched {
            Ok(()) => {
                self.places.insert(place.clone(), inode);
                Some(place)
            }
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => return,
            Err(error) => {
                let path = path.display();
                if self.warned {
                    tracing::debug!(%path, %error, "a folder cannot be watched");
                } else {
                    self.warned = true;
                    tracing::warn!(%path, %error, "a folder, the first of some, cannot be watched: its files are found by the rescan");
                }
                None
            }
        };
        let silent = rustix::fs::statfs(path).is_ok_and(|system| SILENT.contains(&(system.f_type as u32)));
        self.folders.insert(path.to_owned(), Folder { inode, place, silent });
    }

    /// Watches these for folders that are to come below them, and no longer those of before. Call it after
    /// [`Self::folder`] was called with all folders that are there.
    pub(super) fn wait_in<'a>(&mut self, above: impl Iterator<Item = &'a Path>) {
        let above: AHashSet<PathBuf> = above.map(Path::to_owned).collect();
        let folders = &mut self.folders;
        let left = self.waiting.extract_if(|folder| !above.contains(folder));
        if left.filter_map(|folder| folders.remove(&folder)).count() > 0 {
            self.unwatch_unused();
        }
        for folder in above {
            if !self.is_watched(&folder) {
                self.folder(&folder);
                if self.is_watched(&folder) {
                    // What came before it was watched was not reported.
                    self.again();
                }
                self.waiting.insert(folder);
            }
        }
    }

    /// Forgets folders that are gone, or in whose place there are others, so that those are watched.
    pub(super) fn forget_missing(&mut self) {
        // notify no longer watches a folder that was removed, though one with the same inode may lie there now.
        let watched = self.call(|watcher| watcher.watched_paths()).and_then(Result::ok).unwrap_or_default();
        let watched: AHashSet<PathBuf> = watched.into_iter().map(|(place, _)| place).collect();
        self.places.retain(|place, _| watched.contains(place));
        let places = &self.places;
        self.folders.retain(|path, folder| {
            fs::metadata(path).is_ok_and(|now| now.is_dir() && identity::inode(&now) == folder.inode)
                && folder.place.as_ref().is_none_or(|place| places.contains_key(place))
        });
        self.unwatch_unused();
    }

    fn unwatch_unused(&mut self) {
        let folders = self.folders.values();
        let used: AHashSet<_> = folders.filter_map(|folder| Some((folder.place.as_deref()?, folder.inode))).collect();
        let unused = self.places.extract_if(|place, inode| !used.contains(&(place.as_path(), *inode)));
        for (place, _) in unused.collect::<Vec<_>>() {
            // It may be gone, and the watch with it.
            self.call(|watcher| watcher.unwatch(&place));
        }
    }

    fn is_watched(&self, path: &Path) -> bool {
        self.folders.get(path).is_some_and(|folder| folder.place.is_some())
    }

    /// Every folder is watched, and every change in it is reported.
    pub(super) fn is_whole(&self) -> bool {
        self.watcher.is_some() && self.folders.values().all(|folder| folder.place.is_some() && !folder.silent)
    }

    /// What changed; collected at most every [`GATHER`].
    pub(super) fn take(&mut self, now: Instant) -> Hints {
        let mut hints = Hints::default();
        if self.collected.is_none_or(|at| now.saturating_duration_since(at) >= GATHER) {
            self.collected = Some(now);
            hints = self.collect();
        }
        hints.structure |= std::mem::take(&mut self.again);
        hints
    }

    /// Files came or went, and nobody has looked yet.
    pub(super) fn again(&mut self) {
        self.again = true;
    }

    /// [`Self::again`] was called since what changed was taken.
    pub(super) fn is_asked(&self) -> bool {
        self.again
    }

    /// Returns at the next wake-up; never where there are none.
    pub(super) async fn woken(&self) {
        self.inbox.changed.notified().await;
    }

    fn collect(&mut self) -> Hints {
        self.inbox.open();
        self.sync();
        self.inbox.take()
    }

    /// Returns once notify's thread has read what the kernel gathered: an option that it does not have is answered after
    /// that.
    fn sync(&mut self) {
        if let Some(Err(error)) = self.watcher.as_mut().map(|watcher| watcher.configure(Config::default())) {
            tracing::warn!(%error, "wake-ups from the file system ended: files are found by the rescan alone");
            // Dropped without its thread, it would panic.
            std::mem::forget(self.watcher.take());
        }
    }

    /// Calls notify, whose thread answers.
    fn call<T>(&mut self, call: impl FnOnce(&mut RecommendedWatcher) -> T) -> Option<T> {
        let watcher = self.watcher.as_mut()?;
        self.inbox.open();
        let answer = call(watcher);
        self.inbox.close();
        Some(answer)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // For good: its thread is to end.
        self.inbox.open();
        self.sync();
    }
}

impl Inbox {
    /// Called on notify's thread, which reads nothing more before somebody collects this.
    fn event(&self, event: notify::Result<Event>) {
        let mut state = self.state.lock();
        state.hints.add(event);
        if !state.open {
            self.changed.notify_one();
            self.opened.wait_while(&mut state, |state| !state.open);
        }
    }

    fn open(&self) {
        self.state.lock().open = true;
        self.opened.notify_one();
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.open = false;
        if !state.hints.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Closes it, emptied.
    fn take(&self) -> Hints {
        let mut state = self.state.lock();
        state.open = false;
        // A wake-up for what is taken here.
        let _ = self.changed.notified().now_or_never();
        std::mem::take(&mut state.hints)
    }
}

impl Hints {
    fn is_empty(&self) -> bool {
        !self.structure && !self.anything && self.paths.is_empty()
    }

    fn add(&mut self, event: notify::Result<Event>) {
        match event {
            Ok(event) if !event.need_rescan() => {
                self.structure |= !matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
                event.paths.into_iter().for_each(|path| self.grew(path));
            }
            // Events were lost.
            _ => {
                (self.structure, self.anything) = (true, true);
                self.paths.clear();
            }
        }
    }

    fn grew(&mut self, path: PathBuf) {
        if self.paths.len() >= MAX_PATHS {
            self.paths.clear();
            self.anything = true;
        } else if !self.anything {
            self.paths.insert(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is reported; notify's thread may answer once before it reads.
    fn collected(watch: &mut Watch) -> Hints {
        let mut all = Hints::default();
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(1));
            let hints = watch.collect();
            all.structure |= hints.structure;
            all.anything |= hints.anything;
            all.paths.extend(hints.paths);
        }
        all
    }

    #[test]
    fn what_the_kernel_tells_nothing_of_is_not_taken_as_watched() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::new();
        watch.folder(folder.path());
        assert!(watch.is_whole());
        watch.folder(Path::new("/proc/self"));
        assert!(!watch.is_whole());
    }

    #[test]
    fn a_folder_that_was_made_anew_or_has_two_paths_is_watched() {
        let top = tempfile::tempdir().unwrap();
        let (one, two) = (top.path().join("one"), top.path().join("two"));
        fs::create_dir(&one).unwrap();
        std::os::unix::fs::symlink(&one, &two).unwrap();
        let mut watch = Watch::new();
        let mut look = |changed: &dyn Fn()| {
            watch.forget_missing();
            watch.folder(&one);
            watch.folder(&two);
            changed();
            collected(&mut watch)
        };
        let write = || fs::write(one.join("a"), "text").unwrap();
        let place = fs::canonicalize(&one).unwrap().join("a");
        for structure in [true, false] {
            let hints = look(&write);
            assert!(hints.paths.contains(&place) && hints.structure == structure, "{hints:?}");
        }
        let anew = || {
            fs::remove_dir_all(&one).unwrap();
            fs::create_dir(&one).unwrap();
        };
        assert!(look(&anew).structure);
        assert!(look(&write).paths.contains(&place));
        let aside = || {
            fs::rename(&one, top.path().join("aside")).unwrap();
            fs::create_dir(&one).unwrap();
        };
        assert!(look(&aside).structure);
        assert!(look(&write).paths.contains(&place));
    }

    #[tokio::test]
    async fn what_changes_after_a_wake_up_is_read_once_that_is_collected_or_the_watch_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::new();
        watch.folder(folder.path());
        let place = fs::canonicalize(folder.path()).unwrap();
        let (first, later) = (place.join("first"), place.join("later"));
        let inbox = Arc::clone(&watch.inbox);
        let reported = |path| inbox.state.lock().hints.paths.contains(path);
        fs::write(&first, "text").unwrap();
        watch.woken().await;
        fs::write(&later, "text").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(reported(&first) && !reported(&later));
        assert!(collected(&mut watch).paths.contains(&later));
        assert!(watch.woken().now_or_never().is_none(), "woken for what was collected");
        fs::write(&later, "more").unwrap();
        watch.woken().await;
        drop(watch);
        let ended = async {
            while Arc::strong_count(&inbox) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("notify's thread goes on");
    }
}
