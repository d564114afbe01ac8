//! Log files as the kubelet keeps them: named `<pod>_<namespace>_<container>-<id>.log`, rotated by rename.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use serde::Serialize;

use super::lines::{Format, Line, SERVICES};

/// Arguments of `weir load logs`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Folder to write into; made where it is not there
    #[arg(long)]
    pub dir: PathBuf,
    /// Number of files
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub files: u32,
    /// Number of lines in all
    #[arg(long, default_value_t = 100_000)]
    pub lines: u64,
    /// Number of the first line
    #[arg(long, default_value_t = 0)]
    pub first: u64,
    /// Lines a second, over all files; 0 writes as fast as it can
    #[arg(long, default_value_t = 1_000)]
    pub rate: u64,
    /// Rotate every file after this time
    #[arg(long, value_parser = humantime::parse_duration)]
    pub rotate_every: Option<Duration>,
    /// Rotate a file that has this many bytes
    #[arg(long)]
    pub rotate_size: Option<u64>,
    /// Rotated files to keep of each file; all where it is not given
    #[arg(long)]
    pub keep: Option<usize>,
    /// How lines are wrapped
    #[arg(long, value_enum, default_value = "cri")]
    pub format: Format,
    /// Lines shorter than this are filled up to it
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub line_bytes: u32,
    /// One in this many CRI lines is written in two parts; 0 is none
    #[arg(long, default_value_t = 50)]
    pub partial_one_in: u32,
    /// Namespaces, to which the files are dealt in turn
    #[arg(long, value_delimiter = ',', default_value = "acme,globex")]
    pub namespaces: Vec<String>,
    /// Where all chance comes from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Lines and bytes of one file or namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Lines.
    pub lines: u64,
    /// Bytes on disk, prefixes and line ends included.
    pub bytes: u64,
}

/// What was written.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Lines; a line in two parts is one.
    pub lines: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Number of the first line.
    pub first: u64,
    /// Number of the last line.
    pub last: u64,
    /// Sum, modulo 2^64, of the FNV-1a hashes of the lines' texts; the same in any order. Hexadecimal.
    pub checksum: String,
    /// Lines that were written in two parts.
    pub partial: u64,
    /// Renames.
    pub rotations: u64,
    /// Rotated files that were deleted because of `--keep`.
    pub deleted: u64,
    /// By namespace, which is the tenant where no mapping says otherwise.
    pub tenants: BTreeMap<String, Count>,
    /// By name of the file, its rotated ones included.
    pub files: BTreeMap<String, Count>,
    /// Time it took.
    pub seconds: f64,
}

struct Target {
    name: String,
    namespace: String,
    service: usize,
    path: PathBuf,
    file: File,
    size: u64,
    pending: Vec<u8>,
    rotated: Vec<PathBuf>,
    count: Count,
}

/// FNV-1a, 64 bits: what [`Report::checksum`] adds up.
pub fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Writes the files; returns when the last line is in its file.
pub fn write(args: &Args) -> anyhow::Result<Report> {
    anyhow::ensure!(!args.namespaces.is_empty(), "--namespaces: name at least one");
    std::fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {}", args.dir.display()))?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(args.seed);
    let mut targets =
        (0..args.files as usize).map(|n| Target::open(args, n, &mut rng)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut report = Report { first: args.first, ..Report::default() };
    let mut checksum = 0_u64;
    let started = Instant::now();
    let mut rotated_at = started;
    while report.lines < args.lines {
        let due = if args.rate == 0 {
            report.lines + 2_000
        } else {
            (started.elapsed().as_secs_f64() * args.rate as f64) as u64
        };
        let time = weir_service::time::format(weir_service::time::now_unix_nano());
        while report.lines < due.min(args.lines) {
            let index = rng.random_range(0..targets.len());
            let target = &mut targets[index];
            let line = Line::generate(&mut rng, target.service, args.first + report.lines, args.line_bytes as usize);
            let partial =
                args.format == Format::Cri && args.partial_one_in > 0 && rng.random_ratio(1, args.partial_one_in);
            let cut = partial.then(|| rng.random_range(1..line.text.len()));
            line.wrap(&mut target.pending, args.format, &time, cut);
            target.count.lines += 1;
            report.lines += 1;
            report.partial += u64::from(partial);
            checksum = checksum.wrapping_add(hash(line.text.as_bytes()));
        }
        let all = args.rotate_every.is_some_and(|every| rotated_at.elapsed() >= every);
        if all {
            rotated_at = Instant::now();
        }
        for target in &mut targets {
            target.flush()?;
            if all || args.rotate_size.is_some_and(|size| target.size >= size) {
                target.rotate(args, &mut report)?;
            }
        }
        if args.rate > 0 && report.lines < args.lines {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    for target in targets {
        report.bytes += target.count.bytes;
        let tenant = report.tenants.entry(target.namespace).or_default();
        tenant.lines += target.count.lines;
        tenant.bytes += target.count.bytes;
        report.files.insert(target.name, target.count);
    }
    report.last = args.first + args.lines.saturating_sub(1);
    report.checksum = format!("{checksum:016x}");
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

impl Target {
    fn open(args: &Args, n: usize, rng: &mut Xoshiro256PlusPlus) -> anyhow::Result<Self> {
        let namespace = args.namespaces[n % args.namespaces.len()].clone();
        let service = n % SERVICES.len();
        let name = SERVICES[service];
        let id = (0..4).map(|_| format!("{:016x}", rng.next_u64())).collect::<Vec<_>>().concat();
        let name = format!("{name}-{n}_{namespace}_{name}-{id}.log");
        let path = args.dir.join(&name);
        Ok(Self {
            file: create(&path)?,
            size: std::fs::metadata(&path).map_or(0, |found| found.len()),
            name,
            namespace,
            service,
            path,
            pending: Vec::new(),
            rotated: Vec::new(),
            count: Count::default(),
        })
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.file.write_all(&self.pending).with_context(|| format!("cannot write {}", self.path.display()))?;
        self.size += self.pending.len() as u64;
        self.count.bytes += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// As the kubelet: rename, then a new file under the old name. An empty file stays.
    fn rotate(&mut self, args: &Args, report: &mut Report) -> anyhow::Result<()> {
        if self.size == 0 {
            return Ok(());
        }
        let stamp = weir_service::time::format(weir_service::time::now_unix_nano());
        let digits: String = stamp.chars().take(19).filter(char::is_ascii_digit).collect();
        let (day, time) = digits.split_at(digits.len().min(8));
        let mut to = PathBuf::from(format!("{}.{day}-{time}", self.path.display()));
        // Two rotations within a second: the second must not replace the first.
        for n in 1.. {
            if !to.exists() {
                break;
            }
            to = PathBuf::from(format!("{}.{day}-{time}-{n}", self.path.display()));
        }
        std::fs::rename(&self.path, &to).with_context(|| format!("cannot rename {}", self.path.display()))?;
        self.file = create(&self.path)?;
        self.size = 0;
        self.rotated.push(to);
        report.rotations += 1;
        while args.keep.is_some_and(|keep| self.rotated.len() > keep) {
            let oldest = self.rotated.remove(0);
            std::fs::remove_file(&oldest).with_context(|| format!("cannot delete {}", oldest.display()))?;
            report.deleted += 1;
        }
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::load::lines::sequence;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn every_number_is_in_the_files_once_and_the_report_agrees() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_str().unwrap();
        let words =
            ["load", "--dir", folder, "--files", "3", "--lines", "9000", "--rate", "0", "--rotate-size", "50000"];
        let report = write(&Cli::parse_from(words).args).unwrap();
        let (mut seen, mut bytes, mut names) = (Vec::new(), 0, 0);
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            bytes += text.len() as u64;
            names += 1;
            let mut whole = String::new();
            for line in text.lines() {
                let mut words = line.splitn(4, ' ').skip(2);
                let full = words.next() == Some("F");
                whole.push_str(words.next().unwrap());
                if full {
                    seen.push(sequence(&whole).unwrap());
                    whole.clear();
                }
            }
            assert!(whole.is_empty(), "a part without its end");
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..9000).collect::<Vec<_>>());
        assert_eq!((report.lines, report.bytes, report.last), (9000, bytes, 8999));
        assert_eq!(names, 3 + report.rotations);
        assert!(report.rotations > 3 && report.partial > 100, "{report:?}");
        assert_eq!(report.tenants.values().map(|count| count.lines).sum::<u64>(), 9000);
    }
}
