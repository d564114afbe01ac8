//! One weir at a time in a data folder.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Holds a data folder until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a data folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("the data folder {} is in use by another weir", .0.display())]
    InUse(PathBuf),
    /// It cannot be made or written.
    #[error("the data folder {} cannot be written", path.display())]
    Unusable {
        /// Folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

impl Lock {
    /// Makes the folder where it is missing, and takes it.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let unusable = |source| LockError::Unusable { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let file = File::options().create(true).truncate(false).write(true).open(folder.join("LOCK"));
        let mut file = file.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        // For whoever looks for the holder; the lock itself is the kernel's.
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::acquire(folder.path()).unwrap();
        let refused = Lock::acquire(folder.path()).unwrap_err().to_string();
        assert!(refused.ends_with("is in use by another weir"), "{refused}");
        drop(held);
        Lock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let refused = Lock::acquire(&folder.path().join("file/below")).unwrap_err().to_string();
        assert!(refused.contains("file/below cannot be written"), "{refused}");
    }
}
