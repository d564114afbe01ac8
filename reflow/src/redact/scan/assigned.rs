//! Credentials that are known by the name before them: `api_key=…`, `"password": "…"`, `Authorization: …`.

use super::bytes::{has_at, run, run_back};
use super::token::is_token;
use crate::redact::rule::Pattern;

/// A credential, and which pattern it belongs to.
pub(in crate::redact) type Assigned = (usize, usize, Pattern);

/// Names that end so hold credentials. They are compared without `_`, `-` and `.`.
const NAMES: [&str; 15] = [
    "apikey",
    "secret",
    "secretkey",
    "secretid",
    "secretaccesskey",
    "accesskey",
    "accesskeyid",
    "accesskeysecret",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "accesstoken",
    "authtoken",
    "refreshtoken",
];
const CHINESE_NAMES: [&str; 3] = ["密码", "口令", "密钥"];

/// Bytes of a name that are looked at.
const NAME_REACH: usize = 48;

/// The value behind the `:` or `=` of `width` bytes at `at`.
pub(super) fn find(bytes: &[u8], at: usize, width: usize) -> Option<Assigned> {
    let end = run_back(bytes, at.saturating_sub(4), at, |byte| byte == b' ');
    let end = run_back(bytes, end.saturating_sub(8), end, is_quote);
    let start = run_back(bytes, end.saturating_sub(NAME_REACH), end, is_name);
    let name = Name::of(&bytes[..end], start)?;
    let from = run(bytes, at + width, |byte| matches!(byte, b' ' | b'\t' | b'=' | b'>'));
    let open = run(bytes, from, is_quote);
    name.value(bytes, open, open > from)
}

/// What a name says about its value.
#[derive(Clone, Copy)]
pub(in crate::redact) enum Name {
    /// A credential.
    Secret,
    /// A credential behind its scheme.
    Authorization,
    /// A password, or the working directory.
    Pwd,
}

impl Name {
    /// None for keys that hold no credential.
    pub(in crate::redact) fn of_key(key: &str) -> Option<Self> {
        Self::of(key.as_bytes(), key.len().saturating_sub(NAME_REACH))
    }

    /// What the end of `bytes` says, of which those from `start` on may be an ASCII name.
    fn of(bytes: &[u8], start: usize) -> Option<Self> {
        let name = bytes[start..].iter().filter(|byte| byte.is_ascii_alphanumeric());
        let name: Vec<u8> = name.map(u8::to_ascii_lowercase).collect();
        if name.ends_with(b"authorization") {
            Some(Self::Authorization)
        } else if name.ends_with(b"pwd") {
            Some(Self::Pwd)
        } else {
            let english = NAMES.iter().any(|end| name.ends_with(end.as_bytes()));
            let chinese = || CHINESE_NAMES.iter().any(|end| bytes.ends_with(end.as_bytes()));
            (english || chinese()).then_some(Self::Secret)
        }
    }

    /// The credential in `text`, which is all that has this name.
    pub(in crate::redact) fn in_value(self, text: &str) -> Option<Assigned> {
        let bytes = text.as_bytes();
        match self {
            Self::Authorization => header(bytes, 0),
            Self::Pwd if text.starts_with(['/', '~', '.']) => None,
            Self::Secret | Self::Pwd => {
                let plain = bytes.len() <= SECRET_REACH && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
                (plain && is_secret(bytes)).then_some((0, bytes.len(), Pattern::ApiKey))
            }
        }
    }

    /// The credential in the value that begins at `at`.
    fn value(self, bytes: &[u8], at: usize, quoted: bool) -> Option<Assigned> {
        match self {
            Self::Authorization => header(bytes, at),
            Self::Pwd if matches!(bytes.get(at), Some(b'/' | b'~' | b'.')) => None,
            Self::Secret | Self::Pwd => secret(bytes, at, quoted),
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`' | b'\\')
}

/// Shorter ones are not told from words.
const SECRET_BYTES: usize = 8;
const SECRET_REACH: usize = 512;

fn secret(bytes: &[u8], at: usize, quoted: bool) -> Option<Assigned> {
    let of = |byte: u8| {
        let inner = byte.is_ascii_graphic() && !is_quote(byte);
        if quoted { inner || byte == b' ' } else { inner && !b",;&<>()[]{}|".contains(&byte) }
    };
    let mut end = run(&bytes[..bytes.len().min(at + SECRET_REACH)], at, of);
    if !quoted {
        end -= bytes[at..end].iter().rev().take_while(|byte| matches!(byte, b'.' | b'!' | b'?')).count();
    }
    let value = &bytes[at..end];
    let call = bytes.get(end) == Some(&b'(');
    (!call && is_secret(value)).then_some((at, end, Pattern::ApiKey))
}

fn is_secret(value: &[u8]) -> bool {
    let hidden = || value.iter().all(|byte| *byte == value[0]);
    value.len() >= SECRET_BYTES && !hidden() && !is_reference(value)
}

/// Whether the value says where the credential is, or is a placeholder for one.
fn is_reference(value: &[u8]) -> bool {
    let starts = |with: &str| value.starts_with(with.as_bytes());
    let variable = starts("$") && value.get(1).is_some_and(|byte| byte.is_ascii_uppercase() || b"{(".contains(byte));
    let placeholder = value[0] == b'[' && value.contains(&b']');
    variable || placeholder || starts("os.environ") || starts("process.env") || starts("{{") || starts("<")
}

const SCHEMES: [&str; 5] = ["bearer", "basic", "token", "apikey", "negotiate"];

fn header(bytes: &[u8], at: usize) -> Option<Assigned> {
    let scheme = SCHEMES.iter().find(|scheme| has_at(bytes, at, scheme.as_bytes())).map_or(0, |scheme| scheme.len());
    let behind = run(bytes, at + scheme, |byte| byte == b' ');
    let (start, least) = if scheme > 0 && behind > at + scheme { (behind, 3) } else { (at, SECRET_BYTES) };
    let end = run(bytes, start, is_token);
    (end - start >= least).then_some((start, end, Pattern::Bearer))
}
