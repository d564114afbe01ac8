//! What tests fetch or build once, in the user's cache.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

/// `$XDG_CACHE_HOME/weir`, or `~/.cache/weir`; made where it is not there.
pub(crate) fn folder() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache"))).context("no home folder")?.join("weir");
    std::fs::create_dir_all(&cache)?;
    Ok(cache)
}

/// Held until it is dropped, so that tests that start at the same time make `name` once.
pub(crate) fn lock(cache: &Path, name: &str) -> Result<File> {
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

/// The folder `name` of the cache, which name and version of a program identify. If it is missing, `make` fills it.
pub(crate) fn once(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = folder()?;
    let _lock = lock(&cache, name)?;
    let folder = cache.join(name);
    if !folder.exists() {
        let coming = tempfile::tempdir_in(&cache)?;
        make(coming.path()).with_context(|| format!("making {name}"))?;
        std::fs::rename(coming.keep(), &folder)?;
    }
    Ok(folder)
}
