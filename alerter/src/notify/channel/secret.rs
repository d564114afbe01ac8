//! Addresses, tokens and keys: never shown.

use std::fmt;
use std::path::PathBuf;

/// A text that must not be shown, or the file that holds it.
#[derive(Clone, PartialEq)]
pub enum Secret {
    /// As it is.
    Text(String),
    /// Read for each use, so that it may be changed; white space at its ends is none of it.
    File(PathBuf),
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
    pub(super) fn optional(key: &str, text: Option<String>, file: Option<PathBuf>) -> Result<Option<Self>, String> {
        match (text, file) {
            (Some(_), Some(_)) => Err(format!("`{key}` and `{key}_file` are both there; one of them is needed")),
            (Some(text), None) => Ok(Some(Self::Text(text))),
            (None, file) => Ok(file.map(Self::File)),
        }
    }

    /// Of the two keys `key` and `key_file` exactly one.
    pub(super) fn needed(key: &str, text: Option<String>, file: Option<PathBuf>) -> Result<Self, String> {
        Self::optional(key, text, file)?.ok_or_else(|| format!("`{key}` or `{key}_file` is missing"))
    }

    pub(super) fn read(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
            },
        }
    }
}
