use std::fmt;

use anyhow::ensure;
use reqwest::header::HeaderValue;

/// A credential, which no message shows.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "String")]
pub struct Token(String);

impl From<String> for Token {
    fn from(text: String) -> Self {
        // Files end with a line end, and so do variables that were read from them.
        Self(text.trim().to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    /// Whether nothing is there, as in `WEIR_TOKEN=`.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it stands in this text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        !self.is_empty() && text.contains(&self.0)
    }

    /// Value of the header `Authorization`.
    pub(super) fn bearer(&self) -> anyhow::Result<HeaderValue> {
        let is_sound = self.0.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(is_sound, "the token holds spaces, line ends or characters outside of ASCII, which no token has");
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))?;
        value.set_sensitive(true);
        Ok(value)
    }
}
