//! Addresses, tokens and keys: never shown.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// A text that must not be shown, or the file that holds it. In a configuration it is the text; the file has a key of its
/// own.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Secret {
    /// As it is.
    Text(String),
    /// Read for each use, so that it may be changed; white space at its ends is none of it.
    File(PathBuf),
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("<secret>"),
            Self::File(path) => path.fmt(f),
        }
    }
}

impl Secret {
    /// Of the two keys `key` and `key_file` at most one.
    pub(crate) fn optional(key: &str, text: Option<String>, file: Option<PathBuf>) -> Result<Option<Self>, String> {
        match (text, file) {
            (Some(_), Some(_)) => Err(format!("`{key}` and `{key}_file` are both there; one of them is needed")),
            (Some(text), None) => Ok(Some(Self::Text(text))),
            (None, file) => Ok(file.map(Self::File)),
        }
    }

    /// Of the two keys `key` and `key_file` exactly one.
    pub(crate) fn needed(key: &str, text: Option<String>, file: Option<PathBuf>) -> Result<Self, String> {
        Self::optional(key, text, file)?.ok_or_else(|| format!("`{key}` or `{key}_file` is missing"))
    }

    /// Reads the file, if it is in one: not for an async thread.
    pub(crate) fn read(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
            },
        }
    }
}
