//! The `authorization` header: Bearer, Basic (the password), ApiKey (the token, or base64 of `id:token`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

/// Longest header that is read, in bytes: an access token with many roles has some thousand.
const MAX_HEADER: usize = 16 << 10;

/// What a request shows to be let in. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// SHA-256 of a secret.
pub(super) type Fingerprint = [u8; 32];

/// Why a header holds no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is none.
    #[error("a credential is needed: `authorization: Bearer TOKEN`, the token as the password of Basic, or `ApiKey`")]
    Missing,
    /// It is there twice.
    #[error("the header `authorization` is there more than once")]
    Twice,
    /// It is not read.
    #[error(
        "the header `authorization` cannot be read: use `Bearer TOKEN`, Basic with the token as password, or `ApiKey`"
    )]
    Malformed,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A secret from a file or a terminal.
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

/// The secret that a request shows.
pub fn secret(headers: &HeaderMap) -> Result<Secret, HeaderError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(HeaderError::Missing)?;
    if values.next().is_some() {
        return Err(HeaderError::Twice);
    }
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_HEADER).ok_or(HeaderError::Malformed)?;
    let (scheme, rest) = text.trim().split_once(' ').ok_or(HeaderError::Malformed)?;
    let rest = rest.trim();
    let pair = |text: &str| {
        let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        text.split_once(':').map(|(_, secret)| secret.to_owned())
    };
    let secret = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.to_owned()),
        "basic" => pair(rest),
        "apikey" => pair(rest).or_else(|| Some(rest.to_owned())),
        _ => None,
    };
    let secret = secret.filter(|secret| !secret.is_empty() && !secret.chars().any(char::is_whitespace));
    secret.map(Secret).ok_or(HeaderError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn of(text: &str) -> Result<String, HeaderError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        secret(&headers).map(|secret| secret.0)
    }

    #[test]
    fn given_each_scheme_then_the_token_is_found() {
        let base = |text: &str| STANDARD.encode(text);
        let token = || Ok("weir_x".to_owned());
        assert_eq!(of("Bearer weir_x"), token());
        assert_eq!(of("bearer  weir_x "), token());
        assert_eq!(of(&format!("Basic {}", base("grafana:weir_x"))), token());
        assert_eq!(of(&format!("Basic {}", base(":weir_x"))), token());
        assert_eq!(of("ApiKey weir_x"), token());
        assert_eq!(of(&format!("ApiKey {}", base("id:weir_x"))), token());
        for text in ["", "Bearer", "Bearer ", "weir_x", "Digest weir_x", "Basic weir_x", "Bearer a b"] {
            assert_eq!(of(text), Err(HeaderError::Malformed), "{text}");
        }
        assert_eq!(of(&format!("Basic {}", base("no colon"))), Err(HeaderError::Malformed));
        assert_eq!(secret(&HeaderMap::new()), Err(HeaderError::Missing));
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer weir_x"));
        }
        assert_eq!(secret(&twice), Err(HeaderError::Twice));
        assert_eq!(format!("{:?}", Secret::new("weir_x")), "Secret");
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(text in "[ -~]{0,80}") {
            let _ = of(&text);
        }
    }
}
