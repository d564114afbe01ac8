//! Files of the spool: frames one behind the other, named by the number of their first.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::frame::{self, Frame};

/// Read at once, about; a frame that is larger is read whole.
const CHUNK: usize = 4 << 20;
const ENDING: &str = "spool";
const POSITION: &str = "position";
/// Where parts are put that cannot be read, and records that the bus never takes.
const ASIDE: &str = "damaged";
/// What is put aside at most; beyond, it is told and not kept.
const ASIDE_BYTES: u64 = 64 << 20;

/// One file; `length` bytes of it are there for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) length: u64,
}

/// What lies at a place of a file.
#[derive(Debug)]
pub(super) enum Step {
    /// A whole frame, and its length.
    Frame(Frame, u64),
    /// Bytes that are no frame.
    Damage {
        at: u64,
        bytes: u64,
    },
    End,
}

/// Frames of a part of a file, and what lies between them.
#[derive(Debug)]
pub(super) struct Walk {
    file: File,
    at: u64,
    end: u64,
    numbers: Range<u64>,
    /// What was read from `at` on.
    chunk: Vec<u8>,
    used: usize,
}

impl Walk {
    /// From `at` to `end`; frames have one of these numbers.
    pub(super) fn new(file: File, at: u64, end: u64, numbers: Range<u64>) -> Self {
        Self { file, at, end, numbers, chunk: Vec::new(), used: 0 }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// What is left of the chunk, which is a whole frame's bytes or all up to the end.
    fn fill(&mut self) -> io::Result<&[u8]> {
        // Twice where the first bytes of a frame have to come first.
        for _ in 0..2 {
            let left = &self.chunk[self.used..];
            let needed = frame::needed(left, &self.numbers);
            if left.len() >= needed || self.at + left.len() as u64 >= self.end {
                break;
            }
            let want = (self.end - self.at).min(CHUNK.max(needed) as u64) as usize;
            self.chunk.resize(want, 0);
            self.used = 0;
            let mut got = 0;
            while got < want {
                match self.file.read_at(&mut self.chunk[got..], self.at + got as u64) {
                    Ok(0) => break,
                    Ok(read) => got += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if got < want {
                // It was cut while we looked.
                self.chunk.truncate(got);
                self.end = self.at + got as u64;
            }
        }
        Ok(&self.chunk[self.used..])
    }

    fn pass(&mut self, bytes: usize) {
        self.used += bytes;
        self.at += bytes as u64;
    }

    pub(super) fn step(&mut self) -> io::Result<Step> {
        let start = self.at;
        loop {
            let numbers = self.numbers.clone();
            let bytes = self.fill()?;
            let found = frame::parse(bytes, &numbers);
            if start < self.at && (found.is_some() || self.at >= self.end) {
                return Ok(Step::Damage { at: start, bytes: self.at - start });
            }
            match found {
                Some((frame, length)) => {
                    self.pass(length);
                    self.numbers.start = frame.number + 1;
                    return Ok(Step::Frame(frame, length as u64));
                }
                None if self.at >= self.end => return Ok(Step::End),
                None => {
                    let skip = frame::next_start(&self.chunk[self.used..]);
                    // The magic may lie across the end of the chunk.
                    let behind = self.at + skip as u64;
                    self.pass(if behind < self.end && self.used + skip == self.chunk.len() { skip - 3 } else { skip });
                }
            }
        }
    }
}

/// The folder of one spool.
#[derive(Debug, Clone)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn path(&self, first: u64) -> PathBuf {
        self.0.join(format!("{first:020}.{ENDING}"))
    }

    /// All files, oldest first. Others that lie there are left alone.
    pub(super) fn segments(&self) -> io::Result<Vec<Segment>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            let first = Path::new(&name).file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let Some(first) = first.filter(|first| self.path(*first) == entry.path()) else { continue };
            found.push(Segment { first, length: entry.metadata()?.len() });
        }
        found.sort_unstable_by_key(|segment| segment.first);
        Ok(found)
    }

    /// The number of the first record that is not durable on the bus, as far as it was written down.
    pub(super) fn position(&self) -> Option<u64> {
        let text = fs::read_to_string(self.0.join(POSITION)).ok()?;
        let (number, sum) = text.trim_end().split_once(' ')?;
        let is_whole = u32::from_str_radix(sum, 16) == Ok(crc32fast::hash(number.as_bytes()));
        number.parse().ok().filter(|_| is_whole)
    }

    /// Not synced: one that is too old, or gone, makes records come twice and loses none.
    pub(super) fn set_position(&self, number: u64) -> io::Result<()> {
        let number = number.to_string();
        let coming = self.0.join(format!("{POSITION}.coming"));
        fs::write(&coming, format!("{number} {:08x}\n", crc32fast::hash(number.as_bytes())))?;
        fs::rename(coming, self.0.join(POSITION))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    pub(super) fn remove(&self, first: u64) -> io::Result<()> {
        match fs::remove_file(self.path(first)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Keeps bytes where a person can look at them; the file's path, or why it is not there.
    pub(super) fn put_aside(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        let folder = self.0.join(ASIDE);
        let write = || {
            fs::create_dir_all(&folder)?;
            let mut there = bytes.len() as u64;
            for entry in fs::read_dir(&folder)? {
                there += entry?.metadata()?.len();
            }
            if there > ASIDE_BYTES {
                return Err(io::Error::other(format!("{} holds {ASIDE_BYTES} bytes already", folder.display())));
            }
            let path = folder.join(name);
            fs::write(&path, bytes)?;
            Ok(path)
        };
        write().map_err(|error: io::Error| error.to_string())
    }

    /// The same for a whole file, which also stays where it is: what was appended meanwhile may be read yet.
    pub(super) fn link_aside(&self, first: u64) -> io::Result<PathBuf> {
        let path = self.place_aside(first)?;
        match fs::hard_link(self.path(first), &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(path),
        }
    }

    /// The same for a whole file, which goes there as it is.
    pub(super) fn move_aside(&self, first: u64) -> io::Result<PathBuf> {
        let path = self.place_aside(first)?;
        fs::rename(self.path(first), &path)?;
        // Where it was linked there before, renaming does nothing.
        self.remove(first)?;
        Ok(path)
    }

    /// Where a whole file is kept, in a folder that is there.
    fn place_aside(&self, first: u64) -> io::Result<PathBuf> {
        let folder = self.0.join(ASIDE);
        fs::create_dir_all(&folder)?;
        Ok(folder.join(format!("{first:020}.{ENDING}")))
    }

    /// Keeps a part of a file where a person can look at it.
    pub(super) fn put_part_aside(&self, first: u64, at: u64, bytes: u64) -> Result<PathBuf, String> {
        let mut part = vec![0; bytes.min(ASIDE_BYTES) as usize];
        let file = File::open(self.path(first)).map_err(|error| error.to_string())?;
        file.read_exact_at(&mut part, at).map_err(|error| error.to_string())?;
        self.put_aside(&format!("{first:020}-{at}"), &part)
    }
}
