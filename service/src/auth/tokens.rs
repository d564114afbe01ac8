//! Static tokens: a file with their hashes, which `weir token` keeps and running programs follow.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::header::{Fingerprint, Secret};
use super::role::Role;
use super::tenants::check_names;
use crate::config::{self, ConfigError};

/// What every token begins with, so that it is recognised where it does not belong.
pub const PREFIX: &str = "weir_";

/// Longest name of a token, in bytes.
const MAX_NAME: usize = 64;

/// Random bytes of a token.
const ENTROPY: usize = 32;

/// Why tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file is there and cannot be used.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// An entry of it cannot be used, or one that was asked for.
    #[error("{}: {message}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// It cannot be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// One token as the file keeps it: all but the token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Whose it is; unique in the file.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Of whom; `*` is all tenants.
    pub tenants: Vec<String>,
    /// SHA-256 of the token, in hex.
    pub sha256: String,
    /// When it was made.
    #[serde(default)]
    pub created: Option<Timestamp>,
    /// From when on it is refused.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Entries {
    tokens: Vec<Token>,
}

/// Tokens by their hashes.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By the first bytes of the hash; the rest is compared in constant time.
    tokens: HashMap<[u8; 8], Vec<(Fingerprint, Token)>>,
}

impl Table {
    fn new(tokens: Vec<Token>) -> Result<Self, String> {
        let mut table = Self::default();
        for token in tokens {
            let hash = fingerprint(&token)?;
            table.tokens.entry(short(&hash)).or_default().push((hash, token));
        }
        Ok(table)
    }

    /// The token with this hash.
    pub(super) fn find(&self, hash: &Fingerprint) -> Option<&Token> {
        let near = self.tokens.get(&short(hash))?;
        near.iter().find(|(known, _)| bool::from(known.ct_eq(hash))).map(|(_, token)| token)
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.values().map(Vec::len).sum()
    }
}

fn short(hash: &Fingerprint) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&hash[..8]);
    short
}

fn fingerprint(token: &Token) -> Result<Fingerprint, String> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&token.sha256, &mut hash)
        .map_err(|_| format!("token `{}`: `sha256` is 64 hexadecimal digits", token.name))?;
    Ok(hash)
}

fn checked(tokens: Vec<Token>) -> Result<Vec<Token>, String> {
    let mut names = HashSet::new();
    for token in &tokens {
        check_name(&token.name)?;
        if !names.insert(&token.name) {
            return Err(format!("there are two tokens named `{}`", token.name));
        }
        let tenants = token.tenants.iter().map(String::as_str);
        check_names(tenants).map_err(|wrong| format!("token `{}`: {wrong}", token.name))?;
        fingerprint(token)?;
    }
    Ok(tokens)
}

fn check_name(name: &str) -> Result<(), String> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_good) {
        return Ok(());
    }
    let name = name.escape_debug();
    Err(format!("`{name}` is no name of a token: use 1 to {MAX_NAME} letters, digits, and any of - _ . @"))
}

/// Reads the file's text, as [`read`] does; `path` is only named.
pub fn parse(text: &str, path: &Path) -> Result<Vec<Token>, TokensError> {
    let entries: Entries = config::parse(text, path, HashMap::new())?;
    checked(entries.tokens).map_err(|message| TokensError::Entry { path: path.to_owned(), message })
}

/// The tokens of a file.
pub fn read(path: &Path) -> Result<Vec<Token>, TokensError> {
    let entries: Entries = config::load(Some(path))?;
    checked(entries.tokens).map_err(|message| TokensError::Entry { path: path.to_owned(), message })
}

pub(super) fn table(path: &Path) -> Result<Table, TokensError> {
    Table::new(read(path)?).map_err(|message| TokensError::Entry { path: path.to_owned(), message })
}

/// Makes a token, adds it to the file (made where there is none) and gives it back: it is nowhere else.
pub fn add(
    path: &Path,
    name: &str,
    role: Role,
    tenants: &[String],
    expires: Option<Timestamp>,
) -> Result<String, TokensError> {
    let wrong = |message| TokensError::Entry { path: path.to_owned(), message };
    let mut bytes = [0_u8; ENTROPY];
    rand::fill(&mut bytes);
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let entry = Token {
        name: name.to_owned(),
        role,
        tenants: tenants.to_vec(),
        sha256: hex::encode(Secret::new(&token).fingerprint()),
        created: Some(Timestamp::now().round(jiff::Unit::Second).unwrap_or(Timestamp::UNIX_EPOCH)),
        expires,
    };
    change(path, true, |tokens| {
        if tokens.iter().any(|token| token.name == name) {
            return Err(wrong(format!(
                "there is a token named `{name}` already: revoke it first, or choose another name"
            )));
        }
        tokens.push(entry);
        *tokens = checked(std::mem::take(tokens)).map_err(&wrong)?;
        Ok(())
    })?;
    Ok(token)
}

/// Takes a token out of the file; programs that follow it refuse the token within seconds.
pub fn revoke(path: &Path, name: &str) -> Result<(), TokensError> {
    change(path, false, |tokens| {
        let count = tokens.len();
        tokens.retain(|token| token.name != name);
        if tokens.len() < count {
            return Ok(());
        }
        let names: Vec<_> = tokens.iter().map(|token| token.name.as_str()).collect();
        let there =
            if names.is_empty() { "it holds none".to_owned() } else { format!("it holds {}", names.join(", ")) };
        Err(TokensError::Entry { path: path.to_owned(), message: format!("there is no token named `{name}`: {there}") })
    })
}

/// Reads, changes and replaces the file, one caller at a time.
fn change(
    path: &Path,
    create: bool,
    change: impl FnOnce(&mut Vec<Token>) -> Result<(), TokensError>,
) -> Result<(), TokensError> {
    let failed = |source| TokensError::Write { path: path.to_owned(), source };
    let _held = lock(path, create).map_err(failed)?;
    let mut tokens = read(path)?;
    change(&mut tokens)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Only its owner can read it.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text(&tokens).as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    if let Ok(metadata) = std::fs::metadata(path) {
        file.as_file().set_permissions(metadata.permissions()).map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// The file, locked. Who waited for it may find that another has taken its place meanwhile.
fn lock(path: &Path, create: bool) -> std::io::Result<File> {
    loop {
        let file = File::options().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)?;
        file.lock()?;
        let (held, there) = (file.metadata()?, std::fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(file);
        }
    }
}

fn text(tokens: &[Token]) -> String {
    let mut text = String::from(
        "# Kept by `weir token new|list|revoke --file THIS`; the tokens are here as SHA-256 alone.\ntokens:",
    );
    if tokens.is_empty() {
        text.push_str(" []");
    }
    text.push('\n');
    for token in tokens {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let tenants: Vec<_> = token.tenants.iter().map(|tenant| quoted(tenant)).collect();
        // A String takes what is written to it.
        let _ = write!(
            text,
            "  - {{name: {}, role: {}, tenants: [{}], sha256: {}",
            quoted(&token.name),
            token.role,
            tenants.join(", "),
            quoted(&token.sha256)
        );
        for (key, time) in [("created", token.created), ("expires", token.expires)] {
            if let Some(time) = time {
                let _ = write!(text, ", {key}: \"{time}\"");
            }
        }
        text.push_str("}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_new_tokens_then_the_file_holds_their_hashes_and_finds_them_until_they_are_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.yaml");
        let expires = Some("2030-01-01T00:00:00Z".parse().unwrap());
        let one = add(&path, "grafana", Role::Viewer, &["acme".to_owned(), "华东".to_owned()], expires).unwrap();
        let two = add(&path, "root", Role::Admin, &["*".to_owned()], None).unwrap();
        assert!(one.len() == PREFIX.len() + 43 && one != two);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&one) && !text.contains(&two), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let found = |token: &str| table(&path).unwrap().find(&Secret::new(token).fingerprint()).cloned();
        let grafana = found(&one).unwrap();
        assert_eq!((grafana.name.as_str(), grafana.role, grafana.expires), ("grafana", Role::Viewer, expires));
        assert_eq!(grafana.tenants, ["acme", "华东"]);
        assert_eq!(found("weir_none"), None);
        assert!(add(&path, "root", Role::Admin, &["*".to_owned()], None).unwrap_err().to_string().contains("already"));
        revoke(&path, "grafana").unwrap();
        assert_eq!((found(&one), found(&two).map(|token| token.name)), (None, Some("root".to_owned())));
        assert!(revoke(&path, "grafana").unwrap_err().to_string().contains("it holds root"));
        assert!(revoke(&folder.path().join("none"), "x").is_err());
    }

    #[test]
    fn given_a_bad_file_then_the_error_says_what_would_be_right() {
        let hash = "0".repeat(64);
        let entry = |name: &str, role: &str, tenants: &str, hash: &str| {
            format!("- {{name: {name}, role: {role}, tenants: {tenants}, sha256: \"{hash}\"}}\n")
        };
        for (entries, wanted) in [
            (entry("a b", "viewer", "[acme]", &hash), "is no name of a token"),
            (entry("a", "root", "[acme]", &hash), "viewer"),
            (entry("a", "viewer", "[weir]", &hash), "reserved"),
            (entry("a", "viewer", "[]", &hash), "no tenant"),
            (entry("a", "viewer", "[acme]", "12"), "64 hexadecimal"),
            (entry("a", "viewer", "[acme]", &hash).repeat(2), "two tokens named `a`"),
        ] {
            let error = parse(&format!("tokens:\n{entries}"), Path::new("t.yaml")).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.starts_with("t.yaml"), "{entries}: {error}");
        }
        assert_eq!(parse("", Path::new("t.yaml")).unwrap(), []);
    }
}
