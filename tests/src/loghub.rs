//! Loghub's recorded logs: for each system two thousand lines, the template of each, and its parts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a template has where its lines differ.
const WILDCARD: &str = "<*>";

/// The log files below the folder of logs, by path.
///
/// # Panics
///
/// Where there are none.
pub fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder.join("loghub")).sort_by_file_name().into_iter().filter_map(Result::ok);
    let is_log = |entry: &walkdir::DirEntry| entry.file_name().to_str().is_some_and(|name| name.ends_with("_2k.log"));
    let found: Vec<_> = entries.filter(is_log).map(walkdir::DirEntry::into_path).collect();
    assert!(!found.is_empty(), "no logs in {}", folder.display());
    found
}

/// Rows of the table `path` with `ending` behind its name, by the names of its columns.
pub fn table(path: &Path, ending: &str) -> csv::Result<Vec<BTreeMap<String, String>>> {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    csv::Reader::from_path(PathBuf::from(name))?.deserialize().collect()
}

/// Words of a template that no wildcard touches: beside one, a word of the line may go on.
pub fn constant_words(template: &str) -> BTreeSet<String> {
    constant_runs(template).into_iter().flatten().collect()
}

/// The same, those in a row together.
pub fn constant_runs(template: &str) -> Vec<Vec<String>> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let pieces: Vec<_> = template.split(WILDCARD).collect();
    let mut runs = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let mut text = *piece;
        if number > 0 {
            text = text.trim_start_matches(word);
        }
        if number + 1 < pieces.len() {
            text = text.trim_end_matches(word);
        }
        let words = text.split(|c| !word(c)).filter(|word| !word.is_empty());
        let run: Vec<String> = words.map(str::to_lowercase).collect();
        if !run.is_empty() {
            runs.push(run);
        }
    }
    runs
}
