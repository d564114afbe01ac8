//! Containers as cgroup v2 shows them, as `container.*` points.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::proc;
use super::read;
use super::system::{faults, pressure};
use crate::points::Points;

/// Containers that are measured at most.
const MOST: usize = 2000;
/// Folders that are looked into at most.
const MOST_FOLDERS: usize = 20_000;
/// How deep containers lie at most.
const DEPTH: usize = 12;

/// Which container a cgroup is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// `container.id`: 64 hex digits.
    pub(crate) id: String,
    /// `k8s.pod.uid`, where it is one of a pod's.
    pub(crate) pod: Option<String>,
}

/// Reads a cgroup's path: the last part that ends with 64 hex digits is the container's (`cri-containerd-ID.scope`,
/// `crio-ID.scope`, `docker-ID.scope`, `SLICE:cri-containerd:ID`, `ID`), and `pod<uid>` before it its pod, whose `-`
/// systemd writes as `_`.
pub(crate) fn identify(path: &str) -> Option<Identity> {
    static POD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("pod([a-f0-9]{8}[a-f0-9_-]+)").ok());
    let id = path.rsplit('/').find_map(id)?;
    let pod = POD.as_ref().and_then(|pod| pod.captures_iter(path).last()).map(|found| found[1].replace('_', "-"));
    Some(Identity { id: id.to_owned(), pod })
}

fn id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    // The supervisor of a container is none.
    if name.starts_with("crio-conmon-") || name.starts_with("libpod-conmon-") {
        return None;
    }
    let id = name.get(name.len().checked_sub(64)?..)?;
    let whole = name.len() == 64 || matches!(name.as_bytes().get(name.len() - 65), Some(b'-' | b':'));
    (whole && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))).then_some(id)
}

/// A container that runs.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) identity: Identity,
    folder: PathBuf,
    /// The folder's inode: one that was removed and made again counts anew, though it is called the same.
    inode: u64,
    /// When its first process was started, in nanoseconds since the epoch; 0 where that is not known.
    started: u64,
    /// The start of the first process that is known, in ticks, and its PID, which may be given again.
    first: Option<(u64, u32)>,
}

/// The containers of a machine; those known already are not looked into again while their first process runs.
#[derive(Debug, Default)]
pub(super) struct Containers {
    known: HashMap<PathBuf, Container>,
}

impl Containers {
    /// Whether the machine has cgroup v2, and it alone.
    pub(super) fn are_there(root: &Path) -> bool {
        root.join("sys/fs/cgroup/cgroup.controllers").exists()
    }

    /// Finds those that run now.
    pub(super) fn find(&mut self, root: &Path, boot: u64) -> impl Iterator<Item = &Container> {
        let mut found = HashMap::new();
        let walk = walkdir::WalkDir::new(root.join("sys/fs/cgroup")).min_depth(1).max_depth(DEPTH);
        let mut walk = walk.into_iter();
        let mut folders = 0;
        while let Some(entry) = walk.next() {
            let Ok(entry) = entry else { continue };
            if !entry.file_type().is_dir() {
                continue;
            }
            folders += 1;
            if folders > MOST_FOLDERS || found.len() >= MOST {
                break;
            }
            if entry.file_name().to_str().and_then(id).is_none() {
                continue;
            }
            walk.skip_current_dir();
            let path = entry.path().to_owned();
            let inode = entry.metadata().map_or(0, |metadata| metadata.ino());
            let known = self.known.remove(&path).filter(|known| known.inode == inode);
            let container = known.or_else(|| {
                let identity = path.to_str().and_then(identify)?;
                Some(Container { identity, folder: path.clone(), inode, started: 0, first: None })
            });
            if let Some(mut container) = container {
                container.look(root, boot);
                found.insert(path, container);
            }
        }
        self.known = found;
        self.known.values()
    }
}

/// The start of a container's first process, in ticks, and its PID.
fn first_process(root: &Path, folder: &Path) -> Option<(u64, u32)> {
    // Its processes may lie in groups of its own below it.
    let below = walkdir::WalkDir::new(folder).max_depth(3).into_iter().flatten();
    let groups = below.filter(|entry| entry.file_type().is_dir()).take(16);
    let first = |folder: &Path| {
        let pids = read(folder, "cgroup.procs");
        let pids = pids.lines().take(64).filter_map(|pid| pid.parse::<u32>().ok()).filter(|pid| *pid > 0);
        pids.filter_map(|pid| Some((ticks(root, pid)?, pid))).min()
    };
    groups.filter_map(|entry| first(entry.path())).min()
}

fn ticks(root: &Path, pid: u32) -> Option<u64> {
    proc::started(&read(root, &format!("proc/{pid}/stat")))
}

impl Container {
    /// Sees whether its first process is still there, and who is the first now where it is not.
    fn look(&mut self, root: &Path, boot: u64) {
        if self.first.is_some_and(|(started, pid)| ticks(root, pid) == Some(started)) {
            return;
        }
        self.first = first_process(root, &self.folder);
        // What a group counts goes on when its first process has ended and others have not.
        if let Some((ticks, _)) = self.first.filter(|_| self.started == 0 && boot > 0) {
            self.started = boot.saturating_add(ticks.saturating_mul(10_000_000));
        }
    }

    /// Its network, if it has one of its own: what names it, and its points. All containers of a pod have the same one.
    ///
    /// A network is known by the inode of its `net/dev`, which the kernel makes with it. `ns/net` would name it too, but
    /// only to those that may trace the process.
    pub(super) fn network(&self, root: &Path) -> io::Result<Option<(u64, impl FnOnce(&mut Points) + use<>)>> {
        let Some((_, pid)) = self.first else { return Ok(None) };
        let inode = |pid: u32| std::fs::metadata(root.join(format!("proc/{pid}/net/dev"))).map(|found| found.ino());
        // Where the machine's own cannot be told, this may be it.
        let (own, machine) = (inode(pid)?, inode(1)?);
        if own == machine {
            return Ok(None);
        }
        let text = read(root, &format!("proc/{pid}/net/dev"));
        let (start, is_pod) = (self.started, self.identity.pod.is_some());
        let name = if is_pod { "k8s.pod.network.io" } else { "container.network.io" };
        let measure = move |points: &mut Points| {
            for interface in proc::interfaces(&text).filter(|interface| interface.name != "lo").take(64) {
                for (direction, bytes) in ["receive", "transmit"].into_iter().zip(interface.bytes) {
                    let attributes = [("network.interface.name", interface.name), ("network.io.direction", direction)];
                    points.counter(name, "By", start, bytes, &attributes);
                }
            }
        };
        Ok(Some((own, measure)))
    }

    /// Which of a pod's containers was first: the one that holds its network.
    pub(super) fn age(&self) -> (u64, &str) {
        (self.started, &self.identity.id)
    }

    /// Its points; none if it has ended meanwhile.
    pub(super) fn measure(&self, points: &mut Points, now: u64) {
        let file = |name: &str| read(&self.folder, name);
        let start = self.started;
        let cpu = file("cpu.stat");
        for (mode, key) in [("user", "user_usec"), ("system", "system_usec")] {
            if let Some(micros) = proc::keyed(&cpu, key) {
                points.counter("container.cpu.time", "s", start, micros as f64 / 1e6, &[("cpu.mode", mode)]);
            }
        }
        if let Some(micros) = proc::keyed(&cpu, "throttled_usec") {
            points.counter("weir.container.cpu.throttled.time", "s", start, micros as f64 / 1e6, &[]);
        }
        self.memory(points);
        for device in file("io.stat").lines() {
            let mut words = device.split_ascii_whitespace();
            let Some(number) = words.next() else { continue };
            let value =
                |key: &str| words.clone().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok());
            for (direction, key) in [("read", "rbytes"), ("write", "wbytes")] {
                if let Some(bytes) = value(key) {
                    let bytes: u64 = bytes;
                    let attributes = [("system.device", number), ("disk.io.direction", direction)];
                    points.counter("container.disk.io", "By", start, bytes, &attributes);
                }
            }
        }
        for resource in ["cpu", "memory", "io"] {
            pressure(points, "container.pressure.time", &file(&format!("{resource}.pressure")), resource, start);
        }
        if start > 0 && points.count() > 0 {
            points.gauge("container.uptime", "s", now.saturating_sub(start) as f64 / 1e9, &[]);
        }
    }

    fn memory(&self, points: &mut Points) {
        let file = |name: &str| read(&self.folder, name);
        let number = |name: &str| file(name).trim().parse::<u64>().ok();
        let stat = file("memory.stat");
        if let Some(usage) = number("memory.current") {
            points.up_down("container.memory.usage", "By", usage, &[]);
            // As the kubelet counts it, which evicts by it.
            let working = usage.saturating_sub(proc::keyed(&stat, "inactive_file").unwrap_or(0));
            points.up_down("container.memory.working_set", "By", working, &[]);
            if let Some(limit) = number("memory.max") {
                points.up_down("container.memory.available", "By", limit.saturating_sub(working), &[]);
            }
        }
        if let Some(anonymous) = proc::keyed(&stat, "anon") {
            points.up_down("container.memory.rss", "By", anonymous, &[]);
        }
        faults(points, "container.memory.paging.faults", &stat, self.started);
        if let Some(kills) = proc::keyed(&file("memory.events"), "oom_kill") {
            points.counter("weir.container.oom_kills", "{process}", self.started, kills, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtimes_names_are_read() {
        let id = "0123456789abcdef".repeat(4);
        let uid = "11111111-2222-3333-4444-555555555555";
        let under = uid.replace('-', "_");
        let slice = format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice");
        for path in [
            format!("{slice}/cri-containerd-{id}.scope"),
            format!("{slice}/crio-{id}.scope"),
            format!("{slice}/docker-{id}.scope/init"),
            format!("/kubepods/besteffort/pod{uid}/{id}"),
            // containerd with SystemdCgroup = false, where the kubelet's driver is systemd's.
            format!("/system.slice/containerd.service/kubepods-besteffort-pod{under}.slice:cri-containerd:{id}"),
        ] {
            assert_eq!(identify(&path), Some(Identity { id: id.clone(), pod: Some(uid.into()) }), "{path}");
        }
        let alone = identify(&format!("/system.slice/docker-{id}.scope"));
        assert_eq!(alone, Some(Identity { id: id.clone(), pod: None }));
        for path in ["/", "/init.scope", "/user.slice/user-0.slice/session-1.scope", "", &format!("/x{id}")] {
            assert_eq!(identify(path), None, "{path}");
        }
        assert_eq!(identify(&format!("{slice}/crio-conmon-{id}.scope")), None);
    }

    #[test]
    fn a_container_is_looked_at_again_when_its_first_process_comes_or_is_another() {
        let machine = tempfile::tempdir().unwrap();
        let root = machine.path();
        let folder = root.join(format!("sys/fs/cgroup/system.slice/docker-{}.scope", "ab".repeat(32)));
        std::fs::create_dir_all(&folder).unwrap();
        let run = |pid: u32, ticks: u64| {
            std::fs::create_dir_all(root.join(format!("proc/{pid}"))).unwrap();
            let stat = format!("{pid} (a) S {} {ticks} 0", "0 ".repeat(18).trim_end());
            std::fs::write(root.join(format!("proc/{pid}/stat")), stat).unwrap();
        };
        let second = 1_000_000_000;
        let mut containers = Containers::default();
        let mut is = || {
            let found: Vec<_> =
                containers.find(root, 1000 * second).map(|found| (found.started, found.first)).collect();
            <[_; 1]>::try_from(found).unwrap()[0]
        };
        assert_eq!(is(), (0, None), "it has no process yet");
        std::fs::write(folder.join("cgroup.procs"), "7\n8\n").unwrap();
        run(7, 500);
        run(8, 600);
        assert_eq!(is(), (1005 * second, Some((500, 7))));
        // The PID is another process' now, which is in another group: what is counted goes on.
        std::fs::write(folder.join("cgroup.procs"), "8\n").unwrap();
        run(7, 900);
        assert_eq!(is(), (1005 * second, Some((600, 8))));
        // It is started again, under the same name.
        std::fs::rename(&folder, root.join("gone")).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("cgroup.procs"), "9\n").unwrap();
        run(9, 2000);
        assert_eq!(is(), (1020 * second, Some((2000, 9))));
    }
}
