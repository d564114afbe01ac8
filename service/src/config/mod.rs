//! Configuration: strict YAML with variables of the environment, and errors that name file, line and key.
//!
//! `${VAR}` and `${VAR:-default}` are replaced in plain and in double-quoted scalars, so that no value can change the
//! structure around it; what stands in single quotes stays as it is. Unknown and duplicate keys are errors. No file and an empty file mean the defaults.

mod quoted;
mod value;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_saphyr::Error as Yaml;

pub use value::{Address, Size, Span, ValueError};

/// Larger files are no configuration.
const MAX_BYTES: u64 = 1 << 20;

/// Why a configuration cannot be used; the text is one line for a user.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// What is written there cannot be used.
    #[error("{}: {message}", place(path, *line))]
    Invalid {
        /// File.
        path: PathBuf,
        /// Line, from 1; 0 where the whole file is meant.
        line: u64,
        /// What is wrong, and what would be right.
        message: String,
    },
}

fn place(path: &Path, line: u64) -> String {
    if line == 0 { path.display().to_string() } else { format!("{}:{line}", path.display()) }
}

/// Reads a configuration file, with the variables of this process's environment.
pub fn load<T: DeserializeOwned>(path: Option<&Path>) -> Result<T, ConfigError> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let Some(path) = path else {
        return parse("", Path::new("defaults"), variables);
    };
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_BYTES + 1), &mut text).map_err(read)?;
    if text.len() as u64 > MAX_BYTES {
        let message = format!("larger than {MAX_BYTES} bytes: this is no configuration");
        return Err(ConfigError::Invalid { path: path.to_owned(), line: 0, message });
    }
    parse(&text, path, variables)
}

/// As [`load`], from text; `path` is only named.
#[allow(clippy::implicit_hasher, reason = "the parser wants the standard one")]
pub fn parse<T: DeserializeOwned>(
    text: &str,
    path: &Path,
    variables: HashMap<String, String>,
) -> Result<T, ConfigError> {
    let says_nothing = text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    });
    let text = if says_nothing { "{}" } else { text };
    let text = &quoted::expand(text, &variables).map_err(|missing| ConfigError::Invalid {
        path: path.to_owned(),
        line: missing.line,
        message: no_variable(&missing.name),
    })?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 64, max_nodes: 100_000 },
        strict_booleans: true,
    };
    let mut key = String::new();
    serde_saphyr::with_deserializer_from_str_with_options(text, options.with_properties(variables), |yaml| {
        serde_path_to_error::deserialize(yaml).map_err(|error| {
            key = error.path().to_string();
            error.into_inner()
        })
    })
    .map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        ConfigError::Invalid { path: path.to_owned(), line, message: explain(&error, &key) }
    })
}

fn no_variable(name: &str) -> String {
    format!("the environment has no variable `{name}`; set it, or write ${{{name}:-default}}")
}

fn explain(error: &Yaml, key: &str) -> String {
    let at = if key.is_empty() || key == "." { String::new() } else { format!("`{key}`: ") };
    match error.without_snippet() {
        Yaml::SerdeUnknownField { field, expected, .. } => format!("unknown key `{field}`{}", instead(field, expected)),
        Yaml::SerdeUnknownVariant { variant, expected, .. } => {
            format!("{at}`{variant}` is not known here{}", instead(variant, expected))
        }
        Yaml::SerdeMissingField { field, .. } => format!("{at}the key `{field}` is missing"),
        Yaml::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is there twice"),
        Yaml::UnresolvedProperty { name, .. } => no_variable(name),
        // What was found may come from a variable, so only its kind is told.
        Yaml::SerdeInvalidType { unexpected, expected, .. } | Yaml::SerdeInvalidValue { unexpected, expected, .. } => {
            let kind = unexpected.split(['"', '`']).next().unwrap_or_default().trim();
            format!("{at}should be {expected}, but is {kind}")
        }
        Yaml::Message { msg, .. } => format!("{at}{}", plainly(msg)),
        other => format!("{at}{}", plainly(other.to_string().lines().next().unwrap_or_default())),
    }
}

/// The parser's words for a value of another kind, in a user's.
fn plainly(text: &str) -> String {
    // The place is told already.
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let kinds = [
        ("expected mapping", "should be a mapping, such as {key: value}"),
        ("expected sequence", "should be a list, such as [a, b]"),
        ("expected string scalar", "should be text"),
        ("cannot deserialize null into string", "should be text, but nothing is there"),
        ("invalid boolean", "should be true or false"),
        ("invalid i", "should be a whole number"),
        ("invalid u", "should be a whole number, not negative"),
        ("invalid f", "should be a number"),
        ("invalid socket address", "should be an address such as 127.0.0.1:4317"),
    ];
    let plain = kinds.iter().find(|(theirs, _)| text.starts_with(theirs));
    plain.map_or(text, |(_, ours)| ours).to_owned()
}

/// The nearest right word, or all of them where none is near.
pub fn instead(word: &str, expected: &[&str]) -> String {
    let near = expected.iter().map(|right| (strsim::damerau_levenshtein(word, right), right)).min();
    match near {
        Some((distance, right)) if distance <= 1 + word.chars().count() / 3 => format!("; did you mean `{right}`?"),
        Some(_) => format!("; right would be one of: {}", expected.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
