//! Whose a process is: PID to container, through `/proc/PID/cgroup`.
//!
//! A PID is a name that is given again. A process is known by its PID and its start; a sample that is older than the
//! process that has its PID now belongs to the one before it, if that was seen, and else to nobody.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::host::cgroup::{Identity, identify};
use crate::host::{boot, proc, read};

/// Processes that are remembered at most.
const MOST: usize = 4096;

#[derive(Debug, Clone)]
struct Process {
    /// Ticks after the machine's start: they stay, whatever the clock does.
    ticks: u64,
    /// Microseconds since the epoch.
    started: u64,
    container: Option<Identity>,
    before: Option<Box<Process>>,
}

/// Remembers the processes of a machine's GPUs.
#[derive(Debug)]
pub(super) struct Owners {
    root: PathBuf,
    /// When the machine was started, in microseconds since the epoch.
    boot: u64,
    known: HashMap<u32, Process>,
}

impl Owners {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { boot: boot(&root) / 1000, root, known: HashMap::new() }
    }

    /// Looks at the clock again, which may have been set.
    pub(super) fn begin_pass(&mut self) {
        self.boot = boot(&self.root) / 1000;
    }

    /// The container of the process that had this PID at `time` (microseconds since the epoch). Nobody's is what runs in
    /// no container, and what this machine's `/proc` does not show: a process of another PID namespace.
    pub(super) fn of(&mut self, pid: u32, time: u64) -> Option<Identity> {
        self.look(pid);
        let mut process = self.known.get(&pid);
        while let Some(found) = process {
            // The kernel tells a start to a hundredth of a second, the machine's own to a second.
            if found.started <= time.saturating_add(1_000_000) {
                return found.container.clone();
            }
            process = found.before.as_deref();
        }
        None
    }

    /// Sees who has this PID now.
    pub(super) fn look(&mut self, pid: u32) {
        let Some(ticks) = proc::started(&read(&self.root, &format!("proc/{pid}/stat"))).filter(|_| pid > 0) else {
            return;
        };
        let started = self.boot.saturating_add(ticks.saturating_mul(10_000));
        if let Some(known) = self.known.get_mut(&pid)
            && known.ticks == ticks
        {
            known.started = started;
            return;
        }
        let cgroup = read(&self.root, &format!("proc/{pid}/cgroup"));
        let container = cgroup.lines().find_map(|line| identify(line.splitn(3, ':').nth(2)?));
        if self.known.len() >= MOST {
            self.known.clear();
        }
        // Who was before that one is of no interest any more.
        let before = self.known.remove(&pid).map(|known| Box::new(Process { before: None, ..known }));
        self.known.insert(pid, Process { ticks, started, container, before });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_reused_pid_does_not_inherit_and_what_ended_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = ("ab".repeat(32), "cd".repeat(32));
        let run = |ticks: u64, id: &str| {
            fs::create_dir_all(folder.path().join("proc/7")).unwrap();
            let stat = format!("7 (a) S {} {ticks} 0", "0 ".repeat(18).trim_end());
            fs::write(folder.path().join("proc/7/stat"), stat).unwrap();
            fs::write(folder.path().join("proc/7/cgroup"), format!("0::/kubepods/pod1/{id}\n")).unwrap();
        };
        fs::create_dir_all(folder.path().join("proc")).unwrap();
        fs::write(folder.path().join("proc/stat"), "btime 1000\n").unwrap();
        let mut owners = Owners::new(folder.path().to_owned());
        let at = |seconds: u64| (1000 + seconds) * 1_000_000;
        let is = |found: Option<Identity>| found.map(|identity| identity.id);
        run(500, &one);
        assert_eq!(is(owners.of(7, at(6))), Some(one.clone()));
        run(2000, &two);
        assert_eq!(is(owners.of(7, at(10))), Some(one.clone()), "it was the one before");
        assert_eq!(is(owners.of(7, at(21))), Some(two.clone()));
        assert_eq!(is(owners.of(7, at(1))), None, "nobody is known to have had it then");
        fs::remove_dir_all(folder.path().join("proc/7")).unwrap();
        assert_eq!(is(owners.of(7, at(30))), Some(two), "it ended between two visits");
        assert_eq!(is(owners.of(8, at(30))), None);
    }
}
