//! Which file generation an inode is: inode numbers are used again, files are truncated and written anew.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::content::Content;

/// Device and inode.
pub(super) type Inode = (u64, u64);

/// How much of a file's start is remembered.
const REACH: usize = 1024;
/// How many bytes before a place that was read are remembered.
pub(super) const ANCHOR: usize = 256;

/// The first bytes of a file, up to [`REACH`]; it grows with a file that is shorter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    length: usize,
    hash: u64,
}

/// The bytes before a place to which a file was read. They tell a file that was truncated and has grown past that
/// place again, though it begins as it did before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    /// Where they end.
    pub end: u64,
    length: usize,
    hash: u64,
}

impl Fingerprint {
    /// Compares with the start of a file and grows to what is there now; `false`, and nothing changes, if the bytes
    /// that were known are others now or are gone.
    pub(super) fn follow(&mut self, content: &mut Content) -> io::Result<bool> {
        let mut start = [0; REACH];
        let length = content.start(&mut start)?;
        Ok(self.grow(&start[..length]))
    }

    /// Nothing was ever seen of the file.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// It grows no more.
    pub(super) fn is_full(&self) -> bool {
        self.length == REACH
    }

    fn grow(&mut self, start: &[u8]) -> bool {
        if start.get(..self.length).is_none_or(|known| hash(known) != self.hash) && self.length > 0 {
            return false;
        }
        if start.len() > self.length {
            *self = Self { length: start.len(), hash: hash(start) };
        }
        true
    }
}

impl Anchor {
    /// The last of these bytes, which end at `end`.
    pub(super) fn of(bytes: &[u8], end: u64) -> Self {
        let bytes = &bytes[bytes.len().saturating_sub(ANCHOR)..];
        Self { end, length: bytes.len(), hash: hash(bytes) }
    }

    /// How many bytes are remembered.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether these are the bytes.
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.length && hash(bytes) == self.hash
    }

    /// Whether the bytes are where they were.
    pub(super) fn holds(&self, content: &mut Content) -> io::Result<bool> {
        if self.length == 0 {
            return Ok(true);
        }
        let mut bytes = [0; ANCHOR];
        let bytes = bytes.get_mut(..self.length).ok_or(io::ErrorKind::InvalidData)?;
        let (length, _) = content.read_at(bytes, self.end.saturating_sub(self.length as u64))?;
        Ok(self.is(&bytes[..length]))
    }
}

/// Whether one file begins as the other, as far as the shorter of their first bytes go.
pub(super) fn begin_alike(one: &mut Content, other: &mut Content) -> io::Result<bool> {
    let (mut a, mut b) = ([0; REACH], [0; REACH]);
    let length = one.start(&mut a)?.min(other.start(&mut b)?);
    Ok(a[..length] == b[..length])
}

/// FNV-1a: small, and the same in every version of the program.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// A name for a generation that no other has had or will have.
pub(super) fn fresh((device, inode): Inode) -> String {
    format!("{device:x}-{inode:x}-{:016x}", rand::random::<u64>())
}

pub(super) fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

/// When the inode came to be, nanoseconds since the epoch; `None` where the file system does not say.
pub(super) fn born(metadata: &Metadata) -> Option<u64> {
    #[cfg(test)]
    if NO_BIRTHS.get() {
        return None;
    }
    let since = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

#[cfg(test)]
thread_local! {
    /// What runs on this thread sees a file system that does not tell births.
    pub(super) static NO_BIRTHS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_grows_with_its_file_and_tells_another_apart() {
        let mut known = Fingerprint::default();
        assert!(known.grow(b"") && known.grow(b"one") && known.grow(b"one two"));
        assert!(!known.grow(b"one too") && !known.grow(b"one"));
        assert!(known.grow(b"one two three"));
    }
}
