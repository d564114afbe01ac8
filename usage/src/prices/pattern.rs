//! Which names a price is for.

use serde::{Deserialize, Deserializer};

/// `*` is any run of characters, also none; everything else is matched exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The text between the stars: one more than there are stars.
    pieces: Vec<String>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self { pieces: text.split('*').map(str::to_owned).collect() }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.pieces.as_slice() else {
            return self.pieces.first().is_some_and(|whole| whole == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            // The leftmost place leaves most for the pieces behind it.
            let Some(at) = rest.find(piece.as_str()) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last.as_str())
    }

    /// An interface is often `METHOD /route`: a pattern that begins with `/` is for the route whatever the method.
    pub(super) fn matches_interface(&self, interface: &str) -> bool {
        let is_route = self.pieces.first().is_some_and(|piece| piece.starts_with('/'));
        self.matches(interface) || (is_route && route(interface).is_some_and(|route| self.matches(route)))
    }
}

/// What stands behind an HTTP method; `_OTHER` is OpenTelemetry's name for unknown ones.
fn route(interface: &str) -> Option<&str> {
    let (method, route) = interface.split_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_method.then_some(route)
}

impl Default for Pattern {
    /// Everything.
    fn default() -> Self {
        Self::new("*")
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_patterns_then_a_star_is_any_run_of_characters_and_all_else_is_exact() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("*", "acme", true),
            ("", "", true),
            ("", "a", false),
            ("acme", "acme", true),
            ("acme", "Acme", false),
            ("acme", "acme2", false),
            ("a*", "a", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*华东*", "ocr-华东-1", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**c", "abc", true),
            ("ocr.v?", "ocr.v1", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), want, "{pattern} of {text}");
        }
    }

    #[test]
    fn given_a_pattern_without_a_method_then_it_is_for_every_method() {
        for (pattern, interface, want) in [
            ("/v1/ocr*", "POST /v1/ocr/x", true),
            ("/v1/ocr*", "_OTHER /v1/ocr", true),
            ("/v1/ocr*", "/v1/ocr", true),
            ("/v1/ocr*", "POST /v2/ocr", false),
            ("/v1/ocr*", "", false),
            ("/v1/ocr*", "ocr.Ocr/Read /v1/ocr", false),
            ("POST /v1/*", "POST /v1/ocr", true),
            ("POST /v1/*", "GET /v1/ocr", false),
            ("*/ocr", "POST /v1/ocr", true),
            ("v1/*", "POST v1/ocr", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches_interface(interface), want, "{pattern} of {interface}");
        }
    }
}
