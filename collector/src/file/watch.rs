//! Wake-ups from the file system. They are hints: the rescan finds what they miss.
//!
//! The kernel gathers what changed, and it is read at most every [`GATHER`]: a writer that writes ten thousand times a
//! second wakes nobody more often than that.

use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::{AHashMap, AHashSet};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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
    /// `None` where it could not be.
    watch: Option<i32>,
    /// Not all that changes in it is told.
    silent: bool,
}

/// A watch of the kernel, which is one inode's.
#[derive(Debug)]
struct Watched {
    /// Where it lies, with symbolic links followed, as files are known too.
    place: PathBuf,
    /// How many paths lead to it.
    paths: usize,
}

#[derive(Debug)]
pub(super) struct Watch {
    inotify: Option<Arc<OwnedFd>>,
    folders: AHashMap<PathBuf, Folder>,
    watches: AHashMap<i32, Watched>,
    /// Of the folders, the ones that are watched only for a folder that is to come below them.
    waiting: AHashSet<PathBuf>,
    hints: Hints,
    /// When the kernel was asked last.
    read: Option<Instant>,
    /// That a folder cannot be watched was said.
    told: bool,
}

impl Watch {
    pub(super) fn new() -> Self {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .inspect_err(|error| {
                tracing::warn!(%error, "no wake-ups from the file system: files are looked at in turn");
            })
            .ok();
        Self {
            inotify: inotify.map(Arc::new),
            folders: AHashMap::new(),
            watches: AHashMap::new(),
            waiting: AHashSet::new(),
            hints: Hints::default(),
            read: None,
            told: false,
        }
    }

    /// Watches a folder, once.
    pub(super) fn folder(&mut self, path: &Path) {
        self.waiting.remove(path);
        if self.folders.get(path).is_some_and(|folder| folder.watch.is_some()) {
            return;
        }
        let Some(inotify) = &self.inotify else { return };
        // Should another come to lie there before it is watched, the next look finds it.
        let Ok(metadata) = fs::metadata(path) else { return };
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let watch = match inotify::add_watch(inotify, path, flags) {
            Ok(watch) => {
                let place = || fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                self.watches.entry(watch).or_insert_with(|| Watched { place: place(), paths: 0 }).paths += 1;
                Some(watch)
            }
            Err(Errno::NOENT | Errno::NOTDIR) => return,
            Err(error) => {
                let path = path.display();
                if self.told {
                    tracing::debug!(%path, %error, "a folder cannot be watched");
                } else {
                    self.told = true;
                    tracing::warn!(%path, %error, "a folder, the first of some, cannot be watched: its files are looked at in turn");
                }
                None
            }
        };
        let silent = rustix::fs::statfs(path).is_ok_and(|system| SILENT.contains(&(system.f_type as u32)));
        self.folders.insert(path.to_owned(), Folder { inode: identity::inode(&metadata), watch, silent });
    }

    /// Watches these for folders that are to come below them, and no longer those of before. Call it after
    /// [`Self::folder`] was told all folders that are there.
    pub(super) fn wait_in<'a>(&mut self, above: impl Iterator<Item = &'a Path>) {
        let above: AHashSet<PathBuf> = above.map(Path::to_owned).collect();
        for folder in self.waiting.extract_if(|folder| !above.contains(folder)).collect::<Vec<_>>() {
            if let Some(folder) = self.folders.remove(&folder) {
                self.unwatch(&folder);
            }
        }
        for folder in above {
            let is_watched = |watch: &Self| watch.folders.get(&folder).is_some_and(|folder| folder.watch.is_some());
            if !is_watched(self) {
                self.folder(&folder);
                if is_watched(self) {
                    // What came before it was watched was not told.
                    self.again();
                }
                self.waiting.insert(folder);
            }
        }
    }

    /// Forgets folders that are gone, or in whose place there are others, so that those are watched.
    pub(super) fn forget_missing(&mut self) {
        let watches = &self.watches;
        let gone = self.folders.extract_if(|path, folder| {
            let lies = fs::metadata(path).is_ok_and(|now| now.is_dir() && identity::inode(&now) == folder.inode);
            !lies || folder.watch.is_some_and(|watch| !watches.contains_key(&watch))
        });
        for (_, folder) in gone.collect::<Vec<_>>() {
            self.unwatch(&folder);
        }
    }

    fn unwatch(&mut self, folder: &Folder) {
        let Some((watch, watched)) = folder.watch.and_then(|at| Some((at, self.watches.get_mut(&at)?))) else { return };
        watched.paths -= 1;
        if watched.paths == 0 {
            self.watches.remove(&watch);
            if let Some(inotify) = &self.inotify {
                // The folder may be gone, and its watch with it.
                let _ = inotify::remove_watch(inotify, watch);
            }
        }
    }

    /// Every folder is watched, and all that changes in it is told.
    pub(super) fn is_whole(&self) -> bool {
        self.inotify.is_some() && self.folders.values().all(|folder| folder.watch.is_some() && !folder.silent)
    }

    /// What changed; the kernel is asked at most every [`GATHER`].
    pub(super) fn take(&mut self, now: Instant) -> Hints {
        if self.read.is_none_or(|at| now.saturating_duration_since(at) >= GATHER) {
            self.read = Some(now);
            self.ask();
        }
        std::mem::take(&mut self.hints)
    }

    /// Files came or went, and nobody has looked yet.
    pub(super) fn again(&mut self) {
        self.hints.structure = true;
    }

    /// [`Self::again`] was called since what changed was taken.
    pub(super) fn is_asked(&self) -> bool {
        self.hints.structure
    }

    /// What to await for the next wake-up, for once; within a runtime. `None` where there are none.
    pub(super) fn listen(&self) -> Option<AsyncFd<Arc<OwnedFd>>> {
        let inotify = Arc::clone(self.inotify.as_ref()?);
        #[expect(deprecated, reason = "it is sound for a descriptor that is owned")]
        let listening = AsyncFd::with_interest(inotify, Interest::READABLE);
        listening.inspect_err(|error| tracing::debug!(%error, "no wake-ups from the file system for now")).ok()
    }

    fn ask(&mut self) {
        let Some(inotify) = self.inotify.clone() else { return };
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut events = Reader::new(&*inotify, &mut buffer);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(error) => {
                    tracing::debug!(%error, "wake-ups from the file system cannot be read");
                    self.hints.all();
                    return;
                }
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.hints.all();
            } else if flags.contains(ReadFlags::IGNORED) {
                // Its folder is gone.
                self.hints.structure |= self.watches.remove(&event.wd()).is_some();
            } else if let Some(watched) = self.watches.get(&event.wd()) {
                self.hints.structure |= flags != ReadFlags::MODIFY;
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                self.hints.grew(name.map_or_else(|| watched.place.clone(), |name| watched.place.join(name)));
            }
        }
    }
}

/// Returns at the next wake-up; never where there are none.
pub(super) async fn woken(listening: Option<&AsyncFd<Arc<OwnedFd>>>) {
    match listening {
        Some(listening) => drop(listening.readable().await),
        None => std::future::pending().await,
    }
}

impl Hints {
    fn all(&mut self) {
        (self.structure, self.anything) = (true, true);
        self.paths.clear();
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
            watch.read = None;
            watch.take(Instant::now())
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
}
