//! Reads what Linux shows in `/proc` and in a cgroup's files: pure functions over their text. A line that is not
//! understood is left out, since a newer kernel may say more.

/// Seconds of all CPUs by mode, as OpenTelemetry names the modes.
pub(super) const CPU_MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "interrupt", "softirq", "steal"];

/// `/proc/stat`. CPU times are in ticks of a hundredth of a second, which is what Linux shows on every machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    /// Ticks by [`CPU_MODES`].
    pub(super) cpu: [u64; 8],
    /// Logical CPUs.
    pub(super) cpus: u64,
    /// When the machine was started, in seconds since the epoch.
    pub(super) boot: u64,
    /// Processes made since then.
    pub(super) created: u64,
    /// Processes that run or wait for I/O.
    pub(super) running: u64,
    pub(super) blocked: u64,
}

impl Stat {
    /// When the machine was started, in nanoseconds since the epoch; 0 where that is not known.
    pub(super) fn boot_nano(&self) -> u64 {
        self.boot.saturating_mul(1_000_000_000)
    }
}

/// Ticks of CPU time in a second.
pub(super) const TICKS: f64 = 100.0;

pub(super) fn stat(text: &str) -> Stat {
    let mut stat = Stat::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(key) = words.next() else { continue };
        let mut first = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        match key {
            "cpu" => stat.cpu = std::array::from_fn(|_| first()),
            "btime" => stat.boot = first(),
            "processes" => stat.created = first(),
            "procs_running" => stat.running = first(),
            "procs_blocked" => stat.blocked = first(),
            _ if key.starts_with("cpu") => stat.cpus += 1,
            _ => {}
        }
    }
    stat
}

/// Load averages over one, five and fifteen minutes.
pub(super) fn load(text: &str) -> Option<[f64; 3]> {
    let mut words = text.split_ascii_whitespace().map(|word| word.parse().ok());
    Some([words.next()??, words.next()??, words.next()??])
}

/// `key value` or `key: value kB`: `/proc/meminfo`, `/proc/vmstat`, `memory.stat`, `cpu.stat`, `memory.events`.
pub(super) fn keyed<'a>(text: &'a str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line: &'a str| {
        let mut words = line.split_ascii_whitespace();
        (words.next()?.trim_end_matches(':') == key).then_some(words)
    });
    lines.next()?.next()?.parse().ok()
}

/// One line of pressure: microseconds in which some tasks, or all, waited for the resource.
pub(super) fn pressure(text: &str) -> Vec<(&str, u64)> {
    let line = |line: &'_ str| -> Option<u64> {
        line.split_ascii_whitespace().find_map(|w| w.strip_prefix("total="))?.parse().ok()
    };
    ["some", "full"]
        .into_iter()
        .filter_map(|kind| Some((kind, line(text.lines().find(|line| line.starts_with(kind))?)?)))
        .collect()
}

/// A line of `/proc/diskstats`: reads, then writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disk<'a> {
    pub(super) device: &'a str,
    pub(super) operations: [u64; 2],
    pub(super) merged: [u64; 2],
    /// Bytes.
    pub(super) bytes: [u64; 2],
    /// Milliseconds.
    pub(super) time: [u64; 2],
    /// Milliseconds in which there was work at all.
    pub(super) busy: u64,
}

pub(super) fn disks(text: &str) -> impl Iterator<Item = Disk<'_>> {
    text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(2);
        let device = words.next()?;
        let n: Vec<u64> = words.take(10).map_while(|word| word.parse().ok()).collect();
        let [reads, reads_merged, sectors_read, read, writes, writes_merged, sectors_written, written, _, busy] =
            n.as_slice()
        else {
            return None;
        };
        Some(Disk {
            device,
            operations: [*reads, *writes],
            merged: [*reads_merged, *writes_merged],
            // A sector is 512 bytes here, whatever the disk's own are.
            bytes: [sectors_read.saturating_mul(512), sectors_written.saturating_mul(512)],
            time: [*read, *written],
            busy: *busy,
        })
    })
}

/// A line of `/proc/net/dev`: received, then sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interface<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: [u64; 2],
    pub(super) packets: [u64; 2],
    pub(super) errors: [u64; 2],
    pub(super) dropped: [u64; 2],
}

pub(super) fn interfaces(text: &str) -> impl Iterator<Item = Interface<'_>> {
    text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let n: Vec<u64> = rest.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        let pair = |at: usize| Some([*n.get(at)?, *n.get(at + 8)?]);
        let (bytes, packets, errors, dropped) = (pair(0)?, pair(1)?, pair(2)?, pair(3)?);
        Some(Interface { name: name.trim(), bytes, packets, errors, dropped })
    })
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// `major:minor`, the same for every place where it is mounted.
    pub(super) number: String,
    pub(super) point: String,
    pub(super) kind: String,
    pub(super) device: String,
    pub(super) read_only: bool,
}

/// `/proc/PID/mountinfo`.
pub(super) fn mounts(text: &str) -> impl Iterator<Item = Mount> {
    text.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let mut right = right.split(' ');
        Some(Mount {
            number: (*left.get(2)?).to_owned(),
            point: unescape(left.get(4)?),
            kind: right.next()?.to_owned(),
            device: unescape(right.next()?),
            read_only: left.get(5)?.split(',').any(|option| option == "ro"),
        })
    })
}

/// The kernel writes blanks and backslashes in names as `\040`.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octal = bytes.get(at + 1..at + 4).filter(|_| byte == b'\\').and_then(|digits| {
            let digits = digits.iter().all(|d| (b'0'..=b'7').contains(d)).then_some(digits)?;
            u8::try_from(digits.iter().fold(0_u16, |sum, digit| sum * 8 + u16::from(digit - b'0'))).ok()
        });
        out.push(octal.unwrap_or(byte));
        at += if octal.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// When a process was started, in ticks since the machine's start: field 22 of `/proc/PID/stat`, whose second field is a
/// name that may hold anything.
pub(crate) fn started(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let text = "cpu  10 2 30 400 5 6 7 8 0 0\ncpu0 5 1 1 1 1 1 1 1 0 0\ncpu1 5 1 1 1 1 1 1 1 0 0\nintr 5 0\n\
                    btime 1767323045\nprocesses 77\nprocs_running 3\nprocs_blocked 1\n";
        let expected = Stat {
            cpu: [10, 2, 30, 400, 5, 6, 7, 8],
            cpus: 2,
            boot: 1_767_323_045,
            created: 77,
            running: 3,
            blocked: 1,
        };
        assert_eq!(stat(text), expected);
        assert_eq!(load("0.50 1.25 2.00 1/234 5678\n"), Some([0.5, 1.25, 2.0]));
        assert_eq!(keyed("MemTotal:  16 kB\nMemFree:  4 kB\n", "MemFree"), Some(4));
        assert_eq!(keyed("anon 5\nanon_thp 6\n", "anon_thp"), Some(6));
        let text = "some avg10=0.10 avg60=0.2 avg300=0.3 total=123\nfull avg10=0 avg60=0 avg300=0 total=45\n";
        assert_eq!(pressure(text), [("some", 123), ("full", 45)]);
    }

    #[test]
    fn disks_interfaces_and_mounts_are_read() {
        let text = " 259       0 nvme0n1 100 1 2000 30 50 2 4000 60 0 70 90 0 0 0 0 3 4\n   7 0 loop0 1\n";
        let disk = Disk {
            device: "nvme0n1",
            operations: [100, 50],
            merged: [1, 2],
            bytes: [1_024_000, 2_048_000],
            time: [30, 60],
            busy: 70,
        };
        assert_eq!(disks(text).collect::<Vec<_>>(), [disk]);
        let text = "Inter-|   Receive\n face |bytes\n  eth0:100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n";
        let eth = Interface { name: "eth0", bytes: [100, 500], packets: [2, 6], errors: [3, 7], dropped: [4, 8] };
        assert_eq!(interfaces(text).collect::<Vec<_>>(), [eth]);
        let text = "36 35 98:0 / /mnt/a\\040b ro,noatime master:1 - ext4 /dev/sd\\134x rw,errors=continue\n";
        let mount = Mount {
            number: "98:0".into(),
            point: "/mnt/a b".into(),
            kind: "ext4".into(),
            device: "/dev/sd\\x".into(),
            read_only: true,
        };
        assert_eq!(mounts(text).collect::<Vec<_>>(), [mount]);
        assert_eq!(started("7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"), Some(4711));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s)[ -~\\n\\\\:]{0,200}") {
            let _ = (stat(&text), load(&text), keyed(&text, "a"), pressure(&text), started(&text));
            let _ = (disks(&text).count(), interfaces(&text).count(), mounts(&text).count());
        }
    }
}
