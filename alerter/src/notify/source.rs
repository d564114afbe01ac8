//! Where Alertmanager's configuration is, and whether it has changed since it was read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest;
use weir_service::config::Span;
use weir_service::globs;

use super::config::{ConfigError, Document};
use super::global;
use super::options::Options;

/// A greater file is a mistake.
const MAX_BYTES: u64 = 4 << 20;

#[derive(Debug)]
enum Place {
    File(PathBuf),
    /// Section `alerter`, which does not change.
    Section(Box<Document>),
}

/// Alertmanager's configuration, in a file or not, with the files of templates that it names.
#[derive(Debug)]
pub struct ConfigSource {
    place: Place,
    external_url: String,
    /// The file's text as it was last, or why it could not be read, and the globs of templates in it.
    text: Option<Result<String, String>>,
    templates: Vec<String>,
    /// Of the templates' files as they were last.
    digest: Option<digest::Digest>,
}

impl ConfigSource {
    /// A file of Alertmanager's; `external_url` is where this alerter can be reached.
    pub fn file(path: PathBuf, external_url: String) -> Self {
        Self { place: Place::File(path), external_url, text: None, templates: Vec::new(), digest: None }
    }

    /// Keys that stand in section `alerter`.
    pub fn section(document: Document, external_url: String) -> Self {
        let templates = document.templates.clone();
        let place = Place::Section(Box::new(document));
        Self { place, external_url, text: None, templates, digest: None }
    }

    /// What is there now. Reads files: not for an async thread.
    pub fn read(mut self) -> Result<Options, ConfigError> {
        let text = self.read_text();
        self.options(&text)
    }

    /// The same, where anything is not as it was at the last look. Reads files: not for an async thread.
    pub fn poll(&mut self) -> Option<Result<Options, ConfigError>> {
        let text = self.read_text();
        let is_same = self.text.as_ref() == Some(&text);
        let options = (!is_same).then(|| self.options(&text));
        let digest = digest_of(&self.templates);
        let has_same_templates = self.digest.as_ref().map(AsRef::as_ref) == Some(digest.as_ref());
        self.digest = Some(digest);
        if is_same && has_same_templates {
            return None;
        }
        let options = options.unwrap_or_else(|| self.options(&text));
        self.text = Some(text);
        Some(options)
    }

    fn read_text(&self) -> Result<String, String> {
        match &self.place {
            Place::File(path) => read(path).map_err(|error| error.to_string()),
            Place::Section(_) => Ok(String::new()),
        }
    }

    fn options(&mut self, text: &Result<String, String>) -> Result<Options, ConfigError> {
        let options = match (&self.place, text) {
            (Place::Section(document), _) => Document::clone(document).options(None).map_err(ConfigError::Inline)?,
            (Place::File(path), Err(reason)) => {
                return Err(ConfigError::Read { path: path.clone(), reason: reason.clone() });
            }
            (Place::File(path), Ok(text)) => {
                let document = parse(path, text)?;
                let folder = path.parent().unwrap_or(Path::new(""));
                // They are looked at though the configuration may be wrong: it may be they that are.
                self.templates = document.templates.iter().map(|glob| global::below(folder, glob)).collect();
                let wrong = |message| ConfigError::File { path: path.clone(), line: None, message };
                let mut options = document.options(Some(folder)).map_err(wrong)?;
                // What Alertmanager has where the root says nothing.
                let root = &mut options.route;
                for (span, seconds) in [
                    (&mut root.group_wait, 30),
                    (&mut root.group_interval, 5 * 60),
                    (&mut root.repeat_interval, 4 * 3600),
                ] {
                    span.get_or_insert(Span(Duration::from_secs(seconds)));
                }
                options
            }
        };
        Ok(Options { external_url: self.external_url.clone(), ..options })
    }
}

fn parse(path: &Path, text: &str) -> Result<Document, ConfigError> {
    let wrong = |line, message| ConfigError::File { path: path.to_owned(), line, message };
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 64, max_nodes: 100_000 },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
    };
    let document = serde_saphyr::from_str_with_options::<Document>(text, options).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let message = error.without_snippet().to_string();
        // The place is told already.
        let message = message.split(" at line ").next().unwrap_or_default();
        wrong(line, message.to_owned())
    })?;
    if document.route.is_empty() {
        return Err(wrong(None, "`route` is missing: it says where alerts go".to_owned()));
    }
    Ok(document)
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(std::fs::File::open(path)?, MAX_BYTES + 1), &mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other(format!("it has more than {MAX_BYTES} bytes: this is no configuration")));
    }
    Ok(text)
}

/// Of names and contents of the files that the globs name; what cannot be read is part of it as an error.
fn digest_of(globs: &[String]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut add = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    match globs::files(globs) {
        Ok(files) => {
            for file in files {
                add(file.as_os_str().as_encoded_bytes());
                add(read(&file).unwrap_or_else(|error| error.to_string()).as_bytes());
            }
        }
        Err(error) => add(error.to_string().as_bytes()),
    }
    context.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
global: {slack_api_url: 'http://slack/hook-of-ops', resolve_timeout: 5m}
route:
  receiver: ops
  group_by: [alertname]
  group_interval: 1h30m
  routes:
    - {match: {team: a}, match_re: {node: 'n.*'}, matchers: [gpu!=\"0\"], mute_time_intervals: [night], continue: yes}
receivers:
  - {name: ops, slack_configs: [{channel: '#ops'}]}
time_intervals:
  - {name: night, time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}]}]}
inhibit_rules:
  - {source_matchers: [kind=gpu], target_matchers: [kind=p99], equal: [node]}
templates: [t/*.tmpl]
";

    fn file(text: &str) -> (tempfile::TempDir, ConfigSource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alertmanager.yml");
        std::fs::write(&path, text).unwrap();
        std::fs::create_dir(folder.path().join("t")).unwrap();
        (folder, ConfigSource::file(path, String::new()))
    }

    #[test]
    fn a_file_is_read_with_alertmanagers_defaults_and_its_secrets_are_not_shown() {
        let (folder, mut config) = file(FILE);
        let options = config.poll().unwrap().unwrap();
        let span = |seconds| Some(Span(Duration::from_secs(seconds)));
        assert_eq!(options.route.group_wait, span(30));
        assert_eq!((options.route.group_interval, options.route.repeat_interval), (span(5400), span(14_400)));
        let child = &options.route.routes[0];
        let matchers: Vec<String> = child.matchers.iter().map(ToString::to_string).collect();
        assert_eq!(matchers, [r#"gpu!="0""#, r#"node=~"^(?:n.*)$""#, r#"team="a""#]);
        assert!(child.r#continue && child.group_wait.is_none());
        assert_eq!(options.templates, [folder.path().join("t/*.tmpl").display().to_string()]);
        let shown = serde_saphyr::from_str::<Document>(&options.shown).unwrap();
        assert_eq!(shown.route.value, serde_saphyr::from_str::<Document>(FILE).unwrap().route.value);
        assert!(!options.shown.contains("hook-of-ops") && options.shown.contains("slack_api_url: <secret>"));
        assert!(!format!("{options:?}").contains("hook-of-ops"));
    }

    #[test]
    fn a_file_is_told_of_when_it_changes_and_once() {
        let (folder, mut config) = file(FILE);
        let path = folder.path().join("alertmanager.yml");
        assert!(config.poll().unwrap().is_ok() && config.poll().is_none());
        std::fs::write(&path, FILE.replace("[night]", "[day]")).unwrap();
        let error = config.poll().unwrap().unwrap_err().to_string();
        assert!(
            error.ends_with(
                "alertmanager.yml: route: there is no time interval `day` in time_intervals or \
            mute_time_intervals"
            ),
            "{error}"
        );
        assert!(config.poll().is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(config.poll().unwrap().unwrap_err().to_string().contains("cannot be read"));
        assert!(config.poll().is_none());
        std::fs::write(&path, FILE).unwrap();
        assert!(config.poll().unwrap().is_ok());
    }

    #[test]
    fn a_mail_needs_no_more_than_whom_it_is_to_where_global_says_the_rest() {
        let text = "
global: {smtp_smarthost: 'mail.example:587', smtp_from: weir@example.org, smtp_auth_username: weir,
  smtp_auth_password_file: password, smtp_hello: weir.example, smtp_require_tls: no, smtp_tls_config: {ca_file: ca.pem},
  http_config: {basic_auth: {username: u, password_file: p}}}
route: {receiver: ops}
receivers: [{name: ops, email_configs: [{to: ops@example.org}], webhook_configs: [{url: 'http://h/'}]}]
";
        let (folder, mut config) = file(text);
        let options = format!("{:?}", config.poll().unwrap().unwrap());
        for part in ["mail.example", "weir@example.org", "weir.example", "/password", "/ca.pem", "/p\""] {
            assert!(options.contains(part), "{part}: {options}");
        }
        assert!(options.contains(&folder.path().join("ca.pem").display().to_string()), "{options}");
    }

    #[test]
    fn a_changed_file_of_templates_is_a_change_of_the_configuration() {
        let (folder, mut config) = file(FILE);
        let template = folder.path().join("t/a.tmpl");
        std::fs::write(&template, r#"{{ define "a" }}b{{ end }}"#).unwrap();
        let document = serde_saphyr::from_str(&format!("{{templates: ['{}']}}", template.display())).unwrap();
        for config in [&mut config, &mut ConfigSource::section(document, String::new())] {
            std::fs::write(&template, r#"{{ define "a" }}b{{ end }}"#).unwrap();
            assert!(config.poll().unwrap().is_ok() && config.poll().is_none());
            std::fs::write(&template, r#"{{ define "a" }}c{{ end }}"#).unwrap();
            assert!(config.poll().unwrap().is_ok() && config.poll().is_none());
        }
    }

    #[test]
    fn what_is_wrong_names_its_place() {
        for (from, to, part) in [
            ("{match: {team: a}", "{match: {team: [a]}", "alertmanager.yml:4: routes[0].match.team: "),
            ("[gpu!=\"0\"]", "[gpu]", "«gpu» is not a matcher"),
            ("n.*'", "n('", "regular expression"),
            ("channel: '#ops'", "chanel: x", "receiver `ops`: slack_configs[0].chanel: unknown field"),
            ("slack_configs", "opsgenie_configs", "receiver `ops`: `opsgenie_configs` is not supported; there are"),
            ("slack_api_url", "slack_url", "global: unknown key `slack_url`"),
            ("route:", "rout:", "alertmanager.yml:3: unknown field"),
            ("{name: night,", "{name: '',", "a name is empty"),
            ("group_by: [alertname]", "group_by: [..., a]", "stands alone"),
        ] {
            let (_folder, mut config) = file(&FILE.replacen(from, to, 1));
            let error = config.poll().unwrap().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{to}: {error}");
        }
        let (_folder, mut config) = file("receivers: [{name: a}]");
        assert!(config.poll().unwrap().unwrap_err().to_string().contains("`route` is missing"));
    }
}
