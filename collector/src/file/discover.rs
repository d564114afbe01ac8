//! Finding files by globs.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::content::is_packed;
use crate::Error;
use crate::options::FileOptions;

/// Globs, and the folders below which they can match.
#[derive(Debug)]
pub(crate) struct Globs {
    roots: Vec<(PathBuf, usize)>,
    include: GlobSet,
    exclude: GlobSet,
}

impl Globs {
    /// [`Error::Options`] names the glob that is none.
    pub(crate) fn new(options: &FileOptions) -> Result<Self, Error> {
        let absolute = |text: &String, key: &str| {
            let fail = |error: &dyn std::fmt::Display| Error::Options(format!("{key}: «{text}»: {error}"));
            let path = std::path::absolute(text).map_err(|error| fail(&error))?;
            let text = path.to_str().ok_or_else(|| fail(&"not UTF-8"))?;
            GlobBuilder::new(text).literal_separator(true).build().map_err(|error| fail(&error))
        };
        let mut roots = Vec::new();
        let mut include = GlobSetBuilder::new();
        let mut exclude = GlobSetBuilder::new();
        for text in &options.include {
            if is_packed(text) {
                let why = "names compressed files, which are only read on where a log file went into one";
                return Err(Error::Options(format!("include: «{text}»: {why}")));
            }
            let glob = absolute(text, "include")?;
            let root = root(Path::new(glob.glob()));
            if !roots.contains(&root) {
                roots.push(root);
            }
            include.add(glob);
        }
        for text in &options.exclude {
            // `**/x` is meant to match anywhere.
            exclude.add(if text.starts_with("**") {
                GlobBuilder::new(text)
                    .literal_separator(true)
                    .build()
                    .map_err(|error| Error::Options(format!("exclude: «{text}»: {error}")))?
            } else {
                absolute(text, "exclude")?
            });
        }
        let build = |set: GlobSetBuilder| set.build().map_err(|error| Error::Options(format!("include: {error}")));
        Ok(Self { roots, include: build(include)?, exclude: build(exclude)? })
    }

    /// Whether this path is asked for; that of a compressed file never is.
    pub(super) fn matches(&self, path: &Path) -> bool {
        !path.to_str().is_some_and(is_packed) && self.include.is_match(path) && !self.exclude.is_match(path)
    }

    /// For each folder below which globs match, and that is not there: the nearest folder above it that is.
    pub(super) fn above_missing(&self) -> impl Iterator<Item = &Path> {
        let missing = self.roots.iter().filter(|(root, _)| !root.is_dir());
        missing.filter_map(|(root, _)| root.ancestors().find(|above| above.is_dir()))
    }

    /// Calls `file` with every path that matches, and `folder` with every folder before it is read. What cannot be
    /// read is left out, and told to `failed`: it may be there the next time.
    pub(super) fn walk(
        &self,
        mut folder: impl FnMut(&Path),
        mut file: impl FnMut(&Path),
        mut failed: impl FnMut(&Path, &walkdir::Error),
    ) {
        for (root, depth) in &self.roots {
            let walk = walkdir::WalkDir::new(root).follow_links(true).max_depth(*depth);
            for entry in walk {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        let gone = error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound);
                        if let Some(path) = error.path().filter(|_| !gone) {
                            failed(path, &error);
                        }
                        continue;
                    }
                };
                if entry.file_type().is_dir() {
                    if entry.depth() < *depth {
                        folder(entry.path());
                    }
                } else if self.matches(entry.path()) {
                    file(entry.path());
                }
            }
        }
    }
}

/// The part of a glob before its first special character, and how many levels below it can match.
fn root(glob: &Path) -> (PathBuf, usize) {
    let mut root = PathBuf::new();
    let mut levels = 0;
    for component in glob.components() {
        let text = component.as_os_str().to_string_lossy();
        if levels > 0 || text.contains(['*', '?', '[', '{', '\\']) {
            levels = if text.contains("**") || levels == usize::MAX { usize::MAX } else { levels + 1 };
        } else if !matches!(component, Component::CurDir) {
            root.push(component);
        }
    }
    if levels == 0
        && let Some(parent) = root.parent()
    {
        return (parent.to_owned(), 1);
    }
    (root, levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_no_deeper_than_its_glob() {
        for (glob, expected, levels) in [
            ("/var/log/containers/*.log", "/var/log/containers", 1),
            ("/var/log/pods/*/*/*.log", "/var/log/pods", 3),
            ("/var/log/**/*.log", "/var/log", usize::MAX),
            ("/var/log/syslog", "/var/log", 1),
        ] {
            assert_eq!(root(Path::new(glob)), (PathBuf::from(expected), levels), "{glob}");
        }
    }

    #[test]
    fn files_are_found_and_excluded() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("sub")).unwrap();
        for name in ["a.log", "b.txt", "weir.log", "sub/c.log", "d.log.gz"] {
            std::fs::write(at(name), "").unwrap();
        }
        std::os::unix::fs::symlink(at("b.txt"), at("link.log")).unwrap();
        std::os::unix::fs::symlink(at("nothing"), at("broken.log")).unwrap();
        let options = FileOptions {
            include: vec![at("*.log*").to_str().unwrap().to_owned()],
            exclude: vec!["**/weir*".to_owned()],
            ..FileOptions::default()
        };
        let mut found = Vec::new();
        Globs::new(&options).unwrap().walk(
            |_| (),
            |path| found.push(path.to_owned()),
            |path, _| panic!("{}", path.display()),
        );
        found.sort();
        assert_eq!(found, [at("a.log"), at("link.log")]);
    }
}
