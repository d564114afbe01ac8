//! From globs to limits: all files, or what is wrong with them.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::file;
use super::limits::Limits;
use super::tally::Tallies;
use weir_service::globs;

/// A greater file is a mistake.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    file: PathBuf,
    line: Option<u64>,
    problem: String,
}

impl LoadError {
    pub(super) fn at(file: &Path, line: Option<u64>, problem: String) -> Self {
        Self { file: file.to_owned(), line, problem }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// All that is wrong with the files of limits, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadErrors(pub Vec<LoadError>);

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

impl From<LoadError> for LoadErrors {
    fn from(error: LoadError) -> Self {
        Self(vec![error])
    }
}

/// State of a set of files, compared to see whether they changed without reading them.
pub(super) type Stamp = Vec<(PathBuf, Option<(u64, u64, i64, i64)>)>;

/// The files that globs name, in the order of their names, with what shows that they changed.
pub(super) fn stamp(globs: &[String]) -> Result<Stamp, LoadErrors> {
    let mut files = BTreeSet::new();
    for glob in globs {
        let found = globs::files(std::slice::from_ref(glob));
        files.extend(found.map_err(|error| LoadError::at(Path::new(glob), None, error.to_string()))?);
    }
    let of = |path: PathBuf| {
        let metadata = std::fs::metadata(&path).ok();
        (path, metadata.map(|of| (of.ino(), of.len(), of.mtime(), of.mtime_nsec())))
    };
    Ok(files.into_iter().map(of).collect())
}

/// Reads all files; their limits count where those of the same name counted before.
pub(super) fn read(stamp: &Stamp, tallies: &Tallies) -> Result<Limits, LoadErrors> {
    let (mut limits, mut errors) = (Limits::default(), Vec::new());
    let mut homes: Vec<(String, &Path)> = Vec::new();
    for (path, _) in stamp {
        match text(path).map_err(|error| vec![error]).and_then(|text| file::parse(path, &text, tallies)) {
            Ok(domain) => {
                if let Some((name, first)) = homes.iter().find(|(name, _)| *name == domain.name) {
                    let problem =
                        format!("the domain `{name}` is in {} already; one file has all of it", first.display());
                    errors.push(LoadError::at(path, None, problem));
                }
                homes.push((domain.name.clone(), path));
                limits.domains.insert(domain.name.clone(), domain);
            }
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(limits) } else { Err(LoadErrors(errors)) }
}

/// Both at once, to see what a configuration holds.
pub(super) fn load(globs: &[String]) -> Result<Limits, LoadErrors> {
    read(&stamp(globs)?, &Tallies::default())
}

fn text(path: &Path) -> Result<String, LoadError> {
    let failed = |error: std::io::Error| LoadError::at(path, None, format!("cannot be read: {error}"));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let problem = format!("larger than {MAX_FILE_BYTES} bytes; split it by domain");
        return Err(LoadError::at(path, None, problem));
    }
    Ok(text)
}
