//! One process, and one broker in it, has a data folder.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Error;

/// Held until it is dropped, or the process ends in whatever way.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the folder, if need be, and locks it.
    pub(super) fn take(folder: &Path) -> Result<Self, Error> {
        let storage = |error: std::io::Error| Error::Storage {
            path: folder.to_owned(),
            reason: error.to_string(),
            source: Some(Box::new(error)),
        };
        std::fs::create_dir_all(folder).map_err(storage)?;
        let file =
            File::options().create(true).truncate(false).write(true).open(folder.join("LOCK")).map_err(storage)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(Error::Locked(folder.to_owned())),
            Err(error) => Err(storage(error.into())),
        }
    }
}
