//! How full file systems are. Asking one whose server is away may take for ever: each question is put by a thread that
//! is left behind when it does not come back, and that file system is not asked again until it has.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::proc::{self, Mount};

/// File systems that are asked at most.
const MOST: usize = 256;
/// Threads that may hang at once in mounted file systems; beyond, nothing new is asked but what is local.
const MOST_HUNG: usize = 8;
/// Threads that may hang at all, also in what was unmounted meanwhile; beyond, nothing new is asked.
const MOST_THREADS: usize = 64;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Kinds whose files lie on the machine's own disks.
const LOCAL: [&str; 12] =
    ["bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "ntfs3", "vfat", "xfs", "zfs"];

/// Kinds that hold nobody's files, or that are a view of another one.
const UNREAL: [&str; 27] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.lxcfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

/// A file system, in bytes and inodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) mount: Mount,
    pub(super) used: u64,
    pub(super) free: u64,
    /// Kept for root.
    pub(super) reserved: u64,
    pub(super) inodes: u64,
    pub(super) inodes_free: u64,
}

type Ask = fn(&Path) -> Option<[u64; 5]>;

/// Asks file systems, and remembers which did not answer.
#[derive(Debug)]
pub(super) struct Mounts {
    ask: Ask,
    patience: Duration,
    worker: Option<Worker>,
    /// By number and path.
    hung: HashMap<(String, PathBuf), Worker>,
    /// Those that hang in what is not mounted any more.
    left: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    questions: mpsc::Sender<PathBuf>,
    answers: mpsc::Receiver<Option<[u64; 5]>>,
}

impl Worker {
    fn start(ask: Ask) -> Option<Self> {
        let (questions, asked) = mpsc::channel::<PathBuf>();
        let (answer, answers) = mpsc::channel();
        let run = move || {
            while let Ok(path) = asked.recv() {
                if answer.send(ask(&path)).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("weir-statvfs".to_owned()).spawn(run).ok()?;
        Some(Self { questions, answers })
    }
}

impl Default for Mounts {
    fn default() -> Self {
        Self { ask: statvfs, patience: PATIENCE, worker: None, hung: HashMap::new(), left: Vec::new() }
    }
}

impl Mounts {
    /// Every file system of the text of a `mountinfo` that answers, once each.
    ///
    /// Below a root of its own a collector sees what was mounted when it was started. What came later is not there for
    /// it, and its folder would tell of the file system below: `own`, the `mountinfo` of the collector, says what is.
    pub(super) fn measure(&mut self, root: &Path, mountinfo: &str, own: &str) -> Vec<Usage> {
        self.forget(root, mountinfo);
        let mut seen = HashSet::new();
        let mut usages = Vec::new();
        let mounts = proc::mounts(mountinfo).filter(|mount| !UNREAL.contains(&mount.kind.as_str()));
        // The last that was mounted in a place covers the others.
        let visible: HashMap<_, _> =
            proc::mounts(own).map(|mount| (PathBuf::from(mount.point), mount.number)).collect();
        let is_visible =
            |mount: &Mount| root == Path::new("/") || visible.get(&path(root, mount)) == Some(&mount.number);
        let mounts = mounts.filter(is_visible).filter(|mount| seen.insert(mount.number.clone()));
        for mount in mounts.take(MOST) {
            if let Some([used, free, reserved, inodes, inodes_free]) = self.one(&mount, path(root, &mount)) {
                usages.push(Usage { mount, used, free, reserved, inodes, inodes_free });
            }
        }
        usages
    }

    /// Forgets what has answered meanwhile, and what is not mounted any more.
    fn forget(&mut self, root: &Path, mountinfo: &str) {
        let hangs = |worker: &Worker| matches!(worker.answers.try_recv(), Err(mpsc::TryRecvError::Empty));
        self.left.retain(hangs);
        if self.hung.is_empty() {
            return;
        }
        let mounted: HashSet<_> =
            proc::mounts(mountinfo).map(|mount| (mount.number.clone(), path(root, &mount))).collect();
        for (key, worker) in std::mem::take(&mut self.hung) {
            if !hangs(&worker) {
                tracing::info!(path = %key.1.display(), "a file system answers again");
            } else if mounted.contains(&key) {
                self.hung.insert(key, worker);
            } else {
                self.left.push(worker);
            }
        }
    }

    fn one(&mut self, mount: &Mount, path: PathBuf) -> Option<[u64; 5]> {
        let key = (mount.number.clone(), path);
        let is_full = self.hung.len() >= MOST_HUNG && !LOCAL.contains(&mount.kind.as_str());
        if self.hung.contains_key(&key) || is_full || self.hung.len() + self.left.len() >= MOST_THREADS {
            return None;
        }
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => Worker::start(self.ask)?,
        };
        worker.questions.send(key.1.clone()).ok()?;
        match worker.answers.recv_timeout(self.patience) {
            Ok(answer) => {
                self.worker = Some(worker);
                answer
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                tracing::warn!(path = %key.1.display(), "a file system does not answer; it is left out until it does");
                self.hung.insert(key, worker);
                None
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
        }
    }
}

/// Where the collector finds what is mounted.
fn path(root: &Path, mount: &Mount) -> PathBuf {
    root.join(mount.point.trim_start_matches('/'))
}

/// Used, free, reserved, inodes, free inodes; nothing of a file system without blocks.
fn statvfs(path: &Path) -> Option<[u64; 5]> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    let used = bytes(stat.f_blocks.saturating_sub(stat.f_bfree));
    let reserved = bytes(stat.f_bfree.saturating_sub(stat.f_bavail));
    (stat.f_blocks > 0).then_some([used, bytes(stat.f_bavail), reserved, stat.f_files, stat.f_ffree])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 0 0:5 / /proc rw - proc proc rw\n\
                        3 0 8:1 /a /b rw - ext4 /dev/sda1 rw\n4 0 0:9 / /nfs rw - nfs4 s:/x rw\n\
                        5 0 8:2 / /data ro - xfs /dev/sdb rw\n";

    #[test]
    fn a_file_system_that_hangs_keeps_nobody_from_being_asked() {
        static FREE: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
        fn ask(path: &Path) -> Option<[u64; 5]> {
            let asked = if path.ends_with("nfs") { Some(FREE.lock()) } else { None };
            drop(asked);
            path.is_absolute().then_some([1, 2, 3, 4, 5])
        }
        let mut mounts = Mounts { ask, patience: Duration::from_secs(1), ..Mounts::default() };
        let points = |usages: Vec<Usage>| usages.into_iter().map(|usage| usage.mount.point).collect::<Vec<_>>();
        let held = FREE.lock();
        assert_eq!(points(mounts.measure(Path::new("/"), TEXT, "")), ["/", "/data"]);
        assert_eq!(points(mounts.measure(Path::new("/"), TEXT, "")), ["/", "/data"]);
        assert_eq!(mounts.hung.len(), 1);
        drop(held);
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while points(mounts.measure(Path::new("/"), TEXT, "")) != ["/", "/nfs", "/data"] {
            assert!(std::time::Instant::now() < deadline, "it is never asked again");
        }
        assert!(mounts.hung.is_empty());
    }

    #[test]
    fn what_hung_and_went_away_keeps_no_local_one_from_being_asked() {
        static FREE: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
        fn ask(path: &Path) -> Option<[u64; 5]> {
            let asked = if path.starts_with("/nfs") { Some(FREE.lock()) } else { None };
            drop(asked);
            path.is_absolute().then_some([1, 2, 3, 4, 5])
        }
        let mut mounts = Mounts { ask, patience: Duration::from_millis(50), ..Mounts::default() };
        let held = FREE.lock();
        let away = (0..MOST_HUNG).map(|n| format!("{n} 0 0:{n} / /nfs/{n} rw - nfs4 s:/x rw\n"));
        let text =
            away.collect::<String>() + "20 0 8:1 / /data rw - xfs /dev/sda rw\n30 0 0:30 / /new rw - nfs s:/y rw\n";
        let points = |usages: Vec<Usage>| usages.into_iter().map(|usage| usage.mount.point).collect::<Vec<_>>();
        assert_eq!(points(mounts.measure(Path::new("/"), &text, "")), ["/data"], "of the others no more may hang");
        let text =
            text.lines().filter(|line| !line.contains("/nfs/")).fold(String::new(), |all, line| all + line + "\n");
        assert_eq!(
            points(mounts.measure(Path::new("/"), &text, "")),
            ["/data", "/new"],
            "they are not mounted any more"
        );
        drop(held);
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !mounts.left.is_empty() {
            assert!(std::time::Instant::now() < deadline, "threads that came back are kept");
            mounts.measure(Path::new("/"), &text, "");
        }
    }

    #[test]
    fn what_was_mounted_after_the_collectors_start_is_not_taken_for_what_lies_below_it() {
        let mut mounts = Mounts { ask: |_| Some([1, 2, 3, 4, 5]), ..Mounts::default() };
        let own = "1 0 8:1 / /host rw - ext4 /dev/sda1 rw\n2 0 0:30 / / rw - overlay overlay rw\n\
                   3 0 8:1 /a /host/b rw - ext4 /dev/sda1 rw\n4 0 0:8 / /host/nfs rw - nfs4 s:/old rw\n";
        let usages = mounts.measure(Path::new("/host"), TEXT, own);
        assert_eq!(usages.into_iter().map(|usage| usage.mount.point).collect::<Vec<_>>(), ["/"]);
    }

    #[test]
    fn a_folder_lies_on_something() {
        let [used, free, reserved, ..] = statvfs(&std::env::temp_dir()).unwrap();
        assert!(used + free + reserved > 0);
    }
}
