//! From globs to captures, and what shows that the files changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;
use weir_service::config::{self, ConfigError};
use weir_service::globs::{self, GlobError};

use super::Definition;

/// Most captures of all files.
const MAX_CAPTURES: usize = 1000;

/// What a file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    captures: Vec<Definition>,
}

/// Why captures cannot be loaded; the text is one line that names the place.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A glob.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A file is no list of captures.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A capture that cannot work.
    #[error("{}: capture `{name}`: {message}", path.display())]
    Capture {
        /// File.
        path: PathBuf,
        /// The capture's name.
        name: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// Too many.
    #[error("the files hold more than {MAX_CAPTURES} captures")]
    TooMany,
}

/// The captures of all files, by name. `check` says what else cannot work.
pub fn load(
    globs: &[String],
    check: impl Fn(&Definition) -> Result<(), String>,
) -> Result<BTreeMap<String, Definition>, LoadError> {
    let mut found: BTreeMap<String, Definition> = BTreeMap::new();
    for path in files(globs)? {
        let file: File = config::load(Some(&path))?;
        for definition in file.captures {
            let wrong = |message| LoadError::Capture { path: path.clone(), name: shown(&definition.name), message };
            definition.check().map_err(wrong)?;
            check(&definition).map_err(wrong)?;
            if found.contains_key(&definition.name) {
                return Err(wrong("is defined twice".to_owned()));
            }
            if found.len() == MAX_CAPTURES {
                return Err(LoadError::TooMany);
            }
            found.insert(definition.name.clone(), definition);
        }
    }
    Ok(found)
}

/// Whether something changed shows in this: which files there are, and when and how large they were written.
pub fn stamp(globs: &[String]) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
    let of = |path: PathBuf| {
        let metadata = std::fs::metadata(&path).ok();
        let written = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        (path, written)
    };
    files(globs).unwrap_or_default().into_iter().map(of).collect()
}

/// A folder that is not there has no captures: the default glob names one.
fn files(globs: &[String]) -> Result<Vec<PathBuf>, GlobError> {
    let mut all = std::collections::BTreeSet::new();
    for glob in globs {
        match globs::files(std::slice::from_ref(glob)) {
            Ok(found) => all.extend(found),
            Err(GlobError::Missing { path, .. }) if path != Path::new(glob) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all.into_iter().collect())
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
