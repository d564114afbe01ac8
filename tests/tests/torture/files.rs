//! Log files that are written, rotated and removed in every way, and what should come of them.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

/// A line as it should come back.
#[derive(Debug)]
pub(crate) struct Line {
    /// Of its first byte, and behind its newline.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) text: String,
}

/// One life of a file.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    pub(crate) lines: Vec<Line>,
    pub(crate) bytes: u64,
    /// Deleted or truncated while bytes of it may not have been read: what is missing has to be told.
    pub(crate) lossy: bool,
    /// So many bytes of it the collector had seen.
    pub(crate) known: u64,
}

/// A log file and all that it ever was.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    cri: bool,
    pub(crate) generations: Vec<Generation>,
    rotated: usize,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotation {
    Rename,
    RenameAndPack,
    CopyAndTruncate,
    CopyTruncateAndPack,
    Truncate,
    Delete,
}

impl Rotation {
    pub(crate) fn any(rng: &mut Xoshiro256PlusPlus) -> Self {
        match rng.random_range(0..8) {
            0 | 1 => Self::Rename,
            2 => Self::RenameAndPack,
            3 | 4 => Self::CopyAndTruncate,
            5 => Self::CopyTruncateAndPack,
            6 => Self::Truncate,
            _ => Self::Delete,
        }
    }

    /// Nothing holds its bytes afterwards.
    pub(crate) fn is_lossy(self) -> bool {
        matches!(self, Self::Truncate | Self::Delete)
    }
}

impl Log {
    pub(crate) fn new(path: PathBuf, cri: bool) -> Self {
        Self { path, cri, generations: vec![Generation::default()], rotated: 0 }
    }

    pub(crate) fn now(&mut self) -> &mut Generation {
        self.generations.last_mut().unwrap()
    }

    /// A burst of lines of all sizes; `next` numbers them. The first of a generation has a number, by which it is told.
    pub(crate) fn write(&mut self, rng: &mut Xoshiro256PlusPlus, next: &mut u64) {
        let mut out = String::new();
        for _ in 0..rng.random_range(1..40) {
            let first = self.now().bytes == 0;
            let fill = match rng.random_range(0..400) {
                0 => 300_000,
                1..20 => rng.random_range(1_000..20_000),
                _ => rng.random_range(0..200),
            };
            let tiny = !first && !self.cri && rng.random_ratio(1, 10);
            let text = if tiny { "x".to_owned() } else { format!("{next:08} {}", "y".repeat(fill)) };
            *next += u64::from(!tiny);
            let before = out.len() as u64;
            if self.cri {
                write_cri(&mut out, &text, rng);
            } else {
                out.extend([text.as_str(), "\n"]);
            }
            let start = self.now().bytes;
            let end = start + out.len() as u64 - before;
            let generation = self.now();
            generation.lines.push(Line { start, end, text });
            generation.bytes = end;
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path).unwrap();
        file.write_all(out.as_bytes()).unwrap();
    }

    pub(crate) fn rotate(&mut self, rotation: Rotation) {
        self.rotated += 1;
        let to = PathBuf::from(format!("{}.{}", self.path.display(), self.rotated));
        if !self.path.exists() {
            return;
        }
        match rotation {
            Rotation::Rename | Rotation::RenameAndPack => fs::rename(&self.path, &to).unwrap(),
            Rotation::CopyAndTruncate | Rotation::CopyTruncateAndPack => {
                fs::copy(&self.path, &to).unwrap();
                truncate(&self.path);
            }
            Rotation::Truncate => truncate(&self.path),
            Rotation::Delete => fs::remove_file(&self.path).unwrap(),
        }
        if matches!(rotation, Rotation::RenameAndPack | Rotation::CopyTruncateAndPack) {
            pack(&to);
        }
        self.generations.push(Generation::default());
    }

    /// The inode of what is there now, and when it came to be, nanoseconds since the epoch.
    pub(crate) fn inode(&self) -> Option<(u64, u64)> {
        let metadata = fs::metadata(&self.path).ok()?;
        let born = metadata.created().unwrap().duration_since(UNIX_EPOCH).unwrap();
        Some((metadata.ino(), born.as_nanos() as u64))
    }
}

/// As containerd writes it: a long line in parts of 16 KiB.
fn write_cri(out: &mut String, text: &str, rng: &mut Xoshiro256PlusPlus) {
    let part = if text.len() > 16_384 { 16_384 } else { rng.random_range(50..16_384) };
    let mut rest = text;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(part));
        let tag = if later.is_empty() { 'F' } else { 'P' };
        out.extend(["2026-11-28T04:00:00.123456789Z stdout ", &tag.to_string(), " ", now, "\n"]);
        rest = later;
    }
}

fn truncate(path: &Path) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
}

/// As gzip does: the compressed file is whole before the other goes.
fn pack(path: &Path) {
    let coming = PathBuf::from(format!("{}.gz.tmp", path.display()));
    let mut packed = flate2::write::GzEncoder::new(File::create(&coming).unwrap(), flate2::Compression::fast());
    packed.write_all(&fs::read(path).unwrap()).unwrap();
    packed.finish().unwrap();
    fs::rename(&coming, format!("{}.gz", path.display())).unwrap();
    fs::remove_file(path).unwrap();
}
