//! Alertmanager's configuration: the keys of its file, which may stand in section `alerter` too.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::inhibit::InhibitRule;
use super::interval::NamedIntervals;
use super::node::{Kept, Node};
use super::options::{Options, Receiver};
use super::route::Route;
use super::{global, redact};

/// The keys of Alertmanager's configuration, before the defaults of `global` are filled in.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// What receivers have that do not say otherwise.
    pub global: Node,
    /// Where alerts go.
    pub route: Kept<Route>,
    /// Who can be told.
    pub receivers: Vec<Node>,
    /// Which alerts keep others from being told.
    pub inhibit_rules: Kept<Vec<InhibitRule>>,
    /// Times that routes refer to by name; the older key of both.
    pub mute_time_intervals: Kept<Vec<NamedIntervals>>,
    /// The same.
    pub time_intervals: Kept<Vec<NamedIntervals>>,
    /// Globs of files with templates.
    pub templates: Vec<String>,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("{}: cannot be read: {reason}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is in the file.
    #[error("{}{}: {message}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    File {
        /// File.
        path: PathBuf,
        /// From 1.
        line: Option<u64>,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// What stands in section `alerter`, by its key there.
    #[error("{0}")]
    Inline(String),
}

impl Document {
    /// Those of its keys that are there.
    pub fn keys(&self) -> Vec<&'static str> {
        let lists = [
            ("inhibit_rules", &self.inhibit_rules.node),
            ("mute_time_intervals", &self.mute_time_intervals.node),
            ("time_intervals", &self.time_intervals.node),
        ];
        let nodes = [("global", &self.global), ("route", &self.route.node)].into_iter().chain(lists);
        let others = [("receivers", self.receivers.is_empty()), ("templates", self.templates.is_empty())];
        let all = nodes.map(|(key, node)| (key, node.is_empty())).chain(others);
        all.filter(|(_, is_empty)| !is_empty).map(|(key, _)| key).collect()
    }

    fn shown(&self) -> String {
        let texts = |texts: &[String]| Node::List(texts.iter().cloned().map(Node::Text).collect());
        let parts = [
            ("global", redact::redacted(&self.global)),
            ("route", self.route.node.clone()),
            ("receivers", redact::redacted(&Node::List(self.receivers.clone()))),
            ("inhibit_rules", self.inhibit_rules.node.clone()),
            ("mute_time_intervals", self.mute_time_intervals.node.clone()),
            ("time_intervals", self.time_intervals.node.clone()),
            ("templates", texts(&self.templates)),
        ];
        let parts = parts.into_iter().filter(|(key, _)| self.keys().contains(key));
        let node = Node::Map(parts.map(|(key, part)| (key.to_owned(), part)).collect());
        // It is only shown: what cannot be written is not.
        serde_saphyr::to_string(&node).unwrap_or_default()
    }

    /// What the notifier is made from. Relative paths are those below `folder`, where the document is a file's.
    pub fn options(mut self, folder: Option<&Path>) -> Result<Options, String> {
        global::check(&self.global)?;
        let shown = self.shown();
        if let Some(folder) = folder {
            global::rebase(&mut self.global, folder);
            self.receivers.iter_mut().for_each(|receiver| global::rebase(receiver, folder));
            self.templates.iter_mut().for_each(|glob| *glob = global::below(folder, glob));
        }
        let mut receivers = Vec::new();
        for mut receiver in self.receivers {
            global::fill(&mut receiver, &self.global);
            let name = match receiver.get("name") {
                Some(Node::Text(name)) => name.clone(),
                _ => String::new(),
            };
            let read = receiver.read::<Receiver>();
            receivers.push(read.map_err(|error| {
                // Some errors name it themselves.
                if error.starts_with("receiver ") { error } else { format!("receiver `{name}`: {error}") }
            })?);
        }
        let mut time_intervals = self.mute_time_intervals.value;
        time_intervals.extend(self.time_intervals.value);
        let options = Options {
            route: self.route.value,
            receivers,
            inhibit_rules: self.inhibit_rules.value,
            time_intervals,
            templates: self.templates,
            external_url: String::new(),
            shown,
        };
        options.check().map_err(|error| error.to_string())?;
        Ok(options)
    }
}
