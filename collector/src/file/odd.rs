//! What is wrong with a path is said once.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use ahash::AHashSet;

/// More paths than this are not spoken of.
const MOST: usize = 1000;

/// Paths of which something was said.
#[derive(Debug, Default)]
pub(super) struct Odd {
    told: AHashSet<PathBuf>,
}

impl Odd {
    /// Warns of a path, unless it was warned of before.
    pub(super) fn tell(&mut self, path: &Path, what: &dyn Display) {
        if self.told.contains(path) || self.told.len() >= MOST {
            return tracing::debug!(path = %path.display(), error = %what, "a file cannot be read");
        }
        self.told.insert(path.to_owned());
        tracing::warn!(path = %path.display(), error = %what, "a file cannot be read; it is tried again, and this is not said again");
        if self.told.len() == MOST {
            tracing::warn!("so many files cannot be read that no more of them are named");
        }
    }
}
