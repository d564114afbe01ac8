//! The file in which a user keeps where weir is: `~/.config/weir/config.yaml`.
//!
//! ```yaml
//! current: prod
//! profiles:
//!   prod: {url: "https://weir.example:7400", token_file: prod.token, ca: ca.pem}
//!   test: {url: "https://weir.test:7400", token: "${WEIR_TEST_TOKEN}"}
//! ```
//!
//! The keys of a profile may also stand at the top, without `current` and `profiles`. Paths start at the file's folder.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use weir_service::config::{self, ConfigError};

use super::{Token, read};

/// Where a weir is, and how it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Address.
    pub url: Option<String>,
    /// Authorities that are trusted besides the system's.
    pub ca: Option<PathBuf>,
    token: Option<Token>,
    token_file: Option<PathBuf>,
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Contents {
    current: Option<String>,
    profiles: Option<BTreeMap<String, Profile>>,
    url: Option<String>,
    ca: Option<PathBuf>,
    token: Option<Token>,
    token_file: Option<PathBuf>,
}

impl Profile {
    /// Whether it has a credential.
    pub fn has_token(&self) -> bool {
        self.token_file.is_some() || self.token.as_ref().is_some_and(|token| !token.is_empty())
    }

    /// The credential; read from its file where it has one.
    pub fn token(&self) -> anyhow::Result<Option<Token>> {
        let Some(path) = &self.token_file else {
            return Ok(self.token.clone().filter(|token| !token.is_empty()));
        };
        let token = Token::from(String::from_utf8_lossy(&read(path)?).into_owned());
        anyhow::ensure!(!token.is_empty(), "{}: no token is in it", path.display());
        Ok(Some(token))
    }
}

/// The profile of this name, else the current one. Without a file, all that was not asked for by name is empty.
pub fn load(name: Option<&str>) -> Result<Profile, ConfigError> {
    let Some(path) = path(|name| std::env::var_os(name).map(PathBuf::from)) else {
        return Contents::default().choose(name, Path::new("~/.config/weir/config.yaml"));
    };
    if !path.exists() {
        return Contents::default().choose(name, &path);
    }
    let profiles: Contents = config::load(Some(&path))?;
    if profiles.shows_a_token(&path) {
        let path = path.display();
        let _ = writeln!(
            std::io::stderr(),
            "weir: warning: {path} holds a token, and others on this machine can read it: chmod 600 {path}"
        );
    }
    profiles.choose(name, &path)
}

/// As the XDG base directories have it: a relative `XDG_CONFIG_HOME` does not count.
fn path(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(folder.join("weir/config.yaml"))
}

impl Contents {
    fn choose(mut self, name: Option<&str>, path: &Path) -> Result<Profile, ConfigError> {
        let wrong = |message| ConfigError::Invalid { path: path.to_owned(), line: 0, message };
        let top = Profile { url: self.url, ca: self.ca, token: self.token, token_file: self.token_file };
        if self.current.is_some() && top != Profile::default() {
            let message = "`current` says that a profile is used, but there are keys of a profile at the top as well: \
                           move them below `profiles`";
            return Err(wrong(message.to_owned()));
        }
        let mut profiles = self.profiles.take().unwrap_or_default();
        let mut chosen = match name.or(self.current.as_deref()) {
            None => top,
            Some(name) => profiles.remove(name).ok_or_else(|| {
                let known: Vec<_> = profiles.keys().map(String::as_str).collect();
                wrong(format!("no profile `{name}`{}", config::instead(name, &known)))
            })?,
        };
        if chosen.token.is_some() && chosen.token_file.is_some() {
            return Err(wrong("`token` and `token_file` of one profile: leave one of them out".to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        for file in [&mut chosen.ca, &mut chosen.token_file].into_iter().flatten() {
            *file = folder.join(&*file);
        }
        Ok(chosen)
    }

    /// Whether a token is written in the file, not only named there as a variable, and others can read it.
    fn shows_a_token(&self, path: &Path) -> bool {
        let of_profiles = self.profiles.iter().flatten().filter_map(|(_, profile)| profile.token.as_ref());
        let mut tokens = of_profiles.chain(self.token.as_ref());
        let is_open = std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
        is_open && std::fs::read_to_string(path).is_ok_and(|text| tokens.any(|token| token.is_in(&text)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const PATH: &str = "/home/u/.config/weir/config.yaml";

    fn choose(text: &str, name: Option<&str>) -> Result<Profile, String> {
        let profiles: Result<Contents, _> = config::parse(text, Path::new(PATH), HashMap::new());
        profiles.and_then(|profiles| profiles.choose(name, Path::new(PATH))).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_is_a_sound_file_of_profiles() {
        let text = include_str!("../../../configs/client.yaml");
        let prod = choose(text, None).unwrap();
        assert_eq!(prod.token_file.as_deref(), Some(Path::new("/home/u/.config/weir/prod.token")));
        let staging = choose(text, Some("staging")).unwrap();
        assert_ne!((staging.url, staging.ca), (prod.url, prod.ca));
    }

    #[test]
    fn the_profile_that_is_named_wins_over_the_current_one() {
        let text =
            "current: prod\nprofiles:\n  prod: {url: a, token: s, ca: ca.pem}\n  test: {url: b, token_file: /t}\n";
        let prod = choose(text, None).unwrap();
        assert_eq!((prod.url.as_deref(), prod.token().unwrap()), (Some("a"), Some(Token::from("s".to_owned()))));
        assert_eq!(prod.ca.as_deref(), Some(Path::new("/home/u/.config/weir/ca.pem")));
        let test = choose(text, Some("test")).unwrap();
        assert_eq!((test.url.as_deref(), test.token_file.as_deref()), (Some("b"), Some(Path::new("/t"))));
        assert_eq!(choose("url: c\n", None).unwrap().url.as_deref(), Some("c"));
        assert_eq!(choose("url: c\nprofiles: {x: {url: d}}\n", Some("x")).unwrap().url.as_deref(), Some("d"));
        assert_eq!(choose("profiles:\n", None).unwrap(), Profile::default());
    }

    #[test]
    fn what_cannot_be_used_names_the_file_and_what_is_right() {
        for (text, name, wanted) in [
            ("profiles:\n  a:\n    tokn: x\n", None, ":3: unknown key `tokn`; did you mean `token`?"),
            ("curent: a\n", None, ":1: unknown key `curent`; did you mean `current`?"),
            ("profiles: {prod: {}}\n", Some("prd"), ": no profile `prd`; did you mean `prod`?"),
            ("current: x\n", None, ": no profile `x`"),
            ("token: a\ntoken_file: b\n", None, ": `token` and `token_file` of one profile: leave one of them out"),
            ("current: x\nurl: u\nprofiles: {x: {}}\n", None, ": `current` says that a profile is used, but there are"),
        ] {
            let told = choose(text, name).unwrap_err();
            assert!(told.starts_with(&format!("{PATH}{wanted}")), "{text}: {told}");
        }
    }

    #[test]
    fn no_error_shows_a_token() {
        for text in [
            "token: [weir_secret]",
            "token: {weir_secret: x}",
            "token: \"weir_secret",
            "token: weir_secret: x",
            "token: !!int weir_secret",
            "profiles: weir_secret",
            "profiles: {x: weir_secret}",
            "token: weir_secret\ntoken: weir_secret",
            "token: 'weir_secret'\n bad",
        ] {
            let told = choose(text, None).unwrap_err();
            assert!(!told.contains("weir_secret"), "{text}: {told}");
        }
        let shown = format!("{:?}", choose("token: weir_secret", None).unwrap());
        assert!(!shown.contains("weir_secret"), "{shown}");
    }

    #[test]
    fn the_file_lies_where_the_xdg_base_directories_say() {
        let at = |variables: &[(&str, &str)]| {
            path(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        for (variables, right) in [
            (&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")][..], Some("/x/weir/config.yaml")),
            (&[("HOME", "/h")], Some("/h/.config/weir/config.yaml")),
            (&[("HOME", "/h"), ("XDG_CONFIG_HOME", "")], Some("/h/.config/weir/config.yaml")),
            (&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")], Some("/h/.config/weir/config.yaml")),
            (&[], None),
        ] {
            assert_eq!(at(variables).as_deref(), right.map(Path::new), "{variables:?}");
        }
    }

    #[test]
    fn a_token_that_others_can_read_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        for (text, mode, shows) in [
            ("token: weir_x\n", 0o644, true),
            ("token: weir_x\n", 0o640, true),
            ("token: weir_x\n", 0o600, false),
            ("profiles: {a: {token: weir_x}}\n", 0o604, true),
            ("token: ${T}\n", 0o644, false),
            ("token_file: weir_x\n", 0o644, false),
        ] {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let variables = HashMap::from([("T".to_owned(), "weir_x".to_owned())]);
            let profiles: Contents = config::parse(text, &file, variables).unwrap();
            assert_eq!(profiles.shows_a_token(&file), shows, "{text} {mode:o}");
        }
    }
}
