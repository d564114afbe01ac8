//! From globs to the files that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// More files, or more of anything in the folders that are scanned, are a mistake in the glob.
const MAX_FILES: usize = 1_000;
const MAX_SCANNED: usize = 100_000;
/// Folders below each other that `**` is looked for in.
const MAX_DEPTH: usize = 32;

/// Why a glob names no files; the text is one line for a user.
#[derive(Debug, thiserror::Error)]
pub enum GlobError {
    /// It is none.
    #[error("`{glob}` is no glob: {source}")]
    Invalid {
        /// As it is configured.
        glob: String,
        /// Cause.
        source: globset::Error,
    },
    /// The file is not there, or the folder before the first wildcard.
    #[error("`{glob}`: {} is not there", path.display())]
    Missing {
        /// As it is configured.
        glob: String,
        /// What is missing.
        path: PathBuf,
    },
    /// A folder cannot be read.
    #[error("`{glob}`: the folder {} cannot be read", path.display())]
    Read {
        /// As it is configured.
        glob: String,
        /// Folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// It names too much.
    #[error("`{glob}` names more than {limit} {what}: choose a narrower one")]
    TooMany {
        /// As it is configured.
        glob: String,
        /// Files, or entries of folders.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
}

/// The files that the globs name, each once, by the name that [`once`] gives it.
pub fn files(globs: &[String]) -> Result<BTreeSet<PathBuf>, GlobError> {
    let mut found = BTreeSet::new();
    for glob in globs {
        let scan = Scan::new(glob)?;
        match scan {
            Some(scan) => scan.run(&mut found)?,
            None => _ = found.insert(PathBuf::from(glob)),
        }
    }
    Ok(once(found).into_iter().collect())
}

/// Each file once, by the shortest of the paths that lead to it. In the volume of a ConfigMap every file is reached by
/// its own name, through the link `..data`, and through a folder that each update renames.
pub fn once(files: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut by_file: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for path in files {
        let file = path.canonicalize().unwrap_or_else(|_| path.clone());
        let known = by_file.entry(file).or_insert_with(|| path.clone());
        let rank = |path: &Path| (path.components().count(), path.to_owned());
        if rank(&path) < rank(known) {
            *known = path;
        }
    }
    by_file.into_values().collect()
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '[', '{'])
}

struct Scan<'a> {
    glob: &'a str,
    matcher: GlobMatcher,
    /// The folder before the first wildcard.
    base: PathBuf,
    depth: usize,
}

impl<'a> Scan<'a> {
    /// `None` where the glob is the path of one file.
    fn new(glob: &'a str) -> Result<Option<Self>, GlobError> {
        let whole = Path::new(glob);
        let missing = |path: &Path| GlobError::Missing { glob: glob.to_owned(), path: path.to_owned() };
        if !is_pattern(glob) {
            return if whole.exists() { Ok(None) } else { Err(missing(whole)) };
        }
        let is_fixed = |part: &Component<'_>| part.as_os_str().to_str().is_some_and(|part| !is_pattern(part));
        let base: PathBuf = whole.components().take_while(is_fixed).collect();
        let behind = whole.components().count() - base.components().count();
        if !base.as_os_str().is_empty() && !base.is_dir() {
            return Err(missing(&base));
        }
        let built = GlobBuilder::new(glob).literal_separator(true).build();
        let built = built.map_err(|source| GlobError::Invalid { glob: glob.to_owned(), source })?;
        let depth = if glob.contains("**") { MAX_DEPTH } else { behind };
        Ok(Some(Self { glob, matcher: built.compile_matcher(), base, depth }))
    }

    fn run(&self, found: &mut BTreeSet<PathBuf>) -> Result<(), GlobError> {
        let mut scanned = 0;
        let mut folders = vec![(self.base.clone(), 1)];
        while let Some((folder, depth)) = folders.pop() {
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
            let failed = |source| GlobError::Read { glob: self.glob.to_owned(), path: folder.clone(), source };
            for entry in std::fs::read_dir(here).map_err(failed)? {
                let path = folder.join(entry.map_err(failed)?.file_name());
                scanned += 1;
                self.limit(scanned, MAX_SCANNED, "entries of folders")?;
                // Follows links: a Kubernetes volume is full of them. What is gone meanwhile, or a link to nowhere, is none.
                let Ok(metadata) = std::fs::metadata(&path) else { continue };
                if metadata.is_dir() && depth < self.depth {
                    folders.push((path, depth + 1));
                } else if metadata.is_file() && self.matcher.is_match(&path) {
                    found.insert(path);
                    self.limit(found.len(), MAX_FILES, "files")?;
                }
            }
        }
        Ok(())
    }

    fn limit(&self, count: usize, limit: usize, what: &'static str) -> Result<(), GlobError> {
        if count <= limit {
            return Ok(());
        }
        Err(GlobError::TooMany { glob: self.glob.to_owned(), what, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_volume_of_a_config_map_then_each_file_is_named_once_and_by_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("..2026_01")).unwrap();
        std::fs::write(path("..2026_01/a.yaml"), "").unwrap();
        std::os::unix::fs::symlink("..2026_01", path("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", path("a.yaml")).unwrap();
        let globs = ["**/*.yaml", "a.yaml"].map(|glob| path(glob).display().to_string());
        assert_eq!(files(&globs).unwrap(), BTreeSet::from([path("a.yaml")]));
    }
}
