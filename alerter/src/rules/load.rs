//! From globs to rules, and again when the files change.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use globset::GlobBuilder;

use super::file::{self, Group};
use super::template::Templates;
use crate::promql;

/// A greater rule file is a mistake.
const MAX_FILE_BYTES: u64 = 16 << 20;
const MAX_FILES: usize = 10_000;

/// The rules of all files.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// In the order of their files' names, then as written.
    pub groups: Vec<Group>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, thiserror::Error)]
pub struct LoadError {
    /// The file, or the glob.
    pub file: PathBuf,
    /// From 1.
    pub line: Option<u64>,
    /// The group; empty where the file as a whole is meant.
    pub group: String,
    /// The alert or series; empty where the group as a whole is meant.
    pub rule: String,
    /// What.
    #[source]
    pub problem: Problem,
}

/// What can be wrong with a rule file.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[source] Arc<std::io::Error>),
    /// It is too large, or there are too many.
    #[error("over the limit of {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// The glob is none.
    #[error("not a glob: {0}")]
    Glob(#[source] globset::Error),
    /// The file is not there, or the folder that a glob looks into.
    #[error("is not there")]
    Missing,
    /// Not YAML, or not of the shape of a rule file.
    #[error("{0}")]
    Yaml(String),
    /// A key that there is not.
    #[error("unknown key `{key}`{}", .nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownKey {
        /// As written.
        key: String,
        /// The right key that looks most like it.
        nearest: Option<String>,
    },
    /// The expression.
    #[error("{0}")]
    Query(#[source] promql::Error),
    /// A template in a label or annotation.
    #[error("template of {of}: {source}")]
    Template {
        /// Which.
        of: String,
        /// What is wrong with it.
        source: Arc<gotmpl::TemplateError>,
    },
    /// Anything else.
    #[error("{0}")]
    Invalid(String),
}

impl Problem {
    pub(super) fn from_yaml(error: &serde_saphyr::Error) -> Self {
        match error.without_snippet() {
            serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
                let distance = |key: &&&str| strsim::damerau_levenshtein(field, key);
                let nearest = expected.iter().min_by_key(distance).filter(|key| distance(key) <= 1 + field.len() / 3);
                Self::UnknownKey { key: field.clone(), nearest: nearest.map(|key| (*key).to_owned()) }
            }
            other => Self::Yaml(other.to_string()),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !self.group.is_empty() {
            write!(f, "group `{}`: ", self.group)?;
        }
        if !self.rule.is_empty() {
            write!(f, "rule `{}`: ", self.rule)?;
        }
        self.problem.fmt(f)
    }
}

/// All that is wrong, one a line.
#[derive(Debug, Clone)]
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

impl std::error::Error for LoadErrors {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.first().map(|error| error as _)
    }
}

fn error(file: &Path, problem: Problem) -> LoadError {
    LoadError { file: file.to_owned(), line: None, group: String::new(), rule: String::new(), problem }
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '[', '{'])
}

/// The files that a glob names. A path without a wildcard must be there, and so must the folder before the first
/// wildcard: one that vanished is an error, not an empty set of rules.
fn matching(pattern: &str) -> Result<Vec<PathBuf>, Box<LoadError>> {
    let whole = Path::new(pattern);
    let wrong = |problem| Box::new(error(whole, problem));
    if !is_pattern(pattern) {
        return if whole.exists() { Ok(vec![whole.to_owned()]) } else { Err(wrong(Problem::Missing)) };
    }
    let is_fixed = |part: &std::path::Component<'_>| !part.as_os_str().to_str().is_none_or(is_pattern);
    let base: PathBuf = whole.components().take_while(is_fixed).collect();
    let behind = whole.components().count() - base.components().count();
    let base = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base };
    let glob = GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map_err(|e| wrong(Problem::Glob(e)))?
        .compile_matcher();
    if !base.is_dir() {
        return Err(Box::new(error(&base, Problem::Missing)));
    }
    let depth = if pattern.contains("**") { 32 } else { behind };
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(&base).follow_links(true).max_depth(depth) {
        let entry = match entry {
            Ok(entry) => entry,
            // A link to a folder above it, where all has been seen.
            Err(e) if e.loop_ancestor().is_some() => continue,
            // A file that went away while the folder was read, or a link to nowhere.
            Err(e) if e.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) => continue,
            Err(e) => {
                let path = e.path().unwrap_or(&base).to_owned();
                return Err(Box::new(error(&path, Problem::Io(Arc::new(e.into())))));
            }
        };
        let path = entry.path().strip_prefix("./").unwrap_or(entry.path());
        if entry.file_type().is_file() && (glob.is_match(path) || glob.is_match(entry.path())) {
            found.push(path.to_owned());
            if found.len() > MAX_FILES {
                return Err(wrong(Problem::Limit { what: "files", limit: MAX_FILES as u64 }));
            }
        }
    }
    Ok(found)
}

/// Files with what is in them.
pub(crate) type Texts = BTreeMap<PathBuf, String>;

/// Reads the files that globs name. Not for an async thread.
pub(crate) fn texts(globs: &[String]) -> Result<Texts, LoadErrors> {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for pattern in globs {
        match matching(pattern) {
            Ok(found) => files.extend(found),
            Err(e) => errors.push(*e),
        }
    }
    let mut texts = Texts::new();
    for file in weir_service::globs::once(files) {
        let io = |e| error(&file, Problem::Io(Arc::new(e)));
        match std::fs::metadata(&file).map_err(io) {
            Ok(metadata) if metadata.len() > MAX_FILE_BYTES => {
                errors.push(error(&file, Problem::Limit { what: "bytes", limit: MAX_FILE_BYTES }));
            }
            Ok(_) => match std::fs::read_to_string(&file).map_err(io) {
                Ok(text) => {
                    texts.insert(file, text);
                }
                Err(e) => errors.push(e),
            },
            Err(e) => errors.push(e),
        }
    }
    if errors.is_empty() { Ok(texts) } else { Err(LoadErrors(errors)) }
}

fn parse(texts: &Texts, templates: Templates) -> Result<RuleSet, LoadErrors> {
    let mut set = RuleSet { groups: Vec::new(), files: texts.keys().cloned().collect() };
    let mut errors = Vec::new();
    for (file, text) in texts {
        match file::parse(file, text, templates) {
            Ok(groups) => set.groups.extend(groups),
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(set) } else { Err(LoadErrors(errors)) }
}

impl RuleSet {
    /// The rules of one file's text; `file` is the name that errors and groups give.
    pub fn parse(file: &Path, text: &str, templates: Templates) -> Result<Self, LoadErrors> {
        parse(&Texts::from([(file.to_owned(), text.to_owned())]), templates)
    }
}

/// Reads all rule files that the globs name. Reads files: not for an async thread.
pub fn load_files(globs: &[String]) -> Result<RuleSet, LoadErrors> {
    parse(&texts(globs)?, Templates::All)
}

/// Files that changed are read again after this pause, until two readings are the same: an editor that empties a file
/// before it writes it must not take the rules away.
const SETTLING: Duration = Duration::from_millis(200);
/// Files that change on and on are taken as they are.
const READINGS: usize = 10;

fn settled(globs: &[String], known: impl Fn(&Texts) -> bool, mut pause: impl FnMut()) -> Result<Texts, LoadErrors> {
    let mut read = texts(globs)?;
    if known(&read) {
        return Ok(read);
    }
    for _ in 0..READINGS {
        pause();
        let again = texts(globs)?;
        if again == read {
            break;
        }
        read = again;
    }
    Ok(read)
}

/// Rule files that are read again when they change.
#[derive(Debug)]
pub struct RuleFiles {
    globs: Vec<String>,
    seen: Option<Texts>,
    /// What was read last, where it could not be used.
    refused: Option<Texts>,
    failed: Option<String>,
}

impl RuleFiles {
    /// Nothing is read yet.
    pub fn new(globs: Vec<String>) -> Self {
        Self { globs, seen: None, refused: None, failed: None }
    }

    /// Reads the files; `None` where nothing has changed since the last call. After an error the rules that were there
    /// are to be kept; the same error is told once. Reads files, and waits a little where they changed: not for an async
    /// thread.
    pub fn poll(&mut self) -> Option<Result<RuleSet, LoadErrors>> {
        self.poll_pausing(|| std::thread::sleep(SETTLING))
    }

    pub(super) fn poll_pausing(&mut self, pause: impl FnMut()) -> Option<Result<RuleSet, LoadErrors>> {
        let is = |known: &Option<Texts>, texts: &Texts| known.as_ref() == Some(texts);
        let known = |texts: &Texts| self.seen.is_none() || is(&self.seen, texts) || is(&self.refused, texts);
        let texts = match settled(&self.globs, known, pause) {
            Ok(texts) if is(&self.refused, &texts) => return None,
            Ok(texts) => texts,
            Err(errors) => return self.fail(errors, None),
        };
        if is(&self.seen, &texts) {
            self.refused = None;
            // The bad state went away and left the files as they were: told, so that the error can be taken back.
            return self.failed.take().map(|_| parse(&texts, Templates::All));
        }
        match parse(&texts, Templates::All) {
            Ok(set) => {
                *self = Self { seen: Some(texts), ..Self::new(std::mem::take(&mut self.globs)) };
                Some(Ok(set))
            }
            Err(errors) => self.fail(errors, Some(texts)),
        }
    }

    fn fail(&mut self, errors: LoadErrors, refused: Option<Texts>) -> Option<Result<RuleSet, LoadErrors>> {
        self.refused = refused;
        let text = errors.to_string();
        (self.failed.replace(text.clone()) != Some(text)).then_some(Err(errors))
    }
}
