//! Which file generation an inode is: inode numbers are used again, files are truncated and written anew.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// Device and inode.
pub(super) type Inode = (u64, u64);

/// How much of a file's start is remembered.
const REACH: usize = 1024;

/// The first bytes of a file, up to [`REACH`]; it grows with a file that is shorter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    length: usize,
    hash: u64,
}

impl Fingerprint {
    /// Compares with the start of a file and grows to what is there now; `false`, and nothing changes, if the bytes
    /// that were known are others now or are gone.
    pub(super) fn follow(&mut self, file: &File) -> io::Result<bool> {
        let mut start = [0; REACH];
        let mut length = 0;
        while length < REACH {
            match file.read_at(&mut start[length..], length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.grow(&start[..length]))
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
    let since = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
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
