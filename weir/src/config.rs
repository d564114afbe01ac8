//! The one configuration of all roles.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use weir_service::{config, http, telemetry};

use crate::rules;

/// The configuration cannot be used: exit code 64, before any port is bound or file written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    /// The file.
    #[error(transparent)]
    File(#[from] config::ConfigError),
    /// What its keys ask for.
    #[error("{}: {message}", path.display())]
    Keys { path: PathBuf, message: String },
}

/// All keys of a configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: String,
    pub(crate) allow_insecure: bool,
    pub(crate) bus: weir_bus::Options,
    pub(crate) collector: weir_collector::Options,
    pub(crate) indexer: weir_indexer::Options,
    pub(crate) alerter: weir_alerter::Options,
    pub(crate) telemetry: telemetry::Options,
    pub(crate) usage: Option<Usage>,
    pub(crate) reflow: Option<Reflow>,
    pub(crate) auth: Option<serde::de::IgnoredAny>,
}

/// Section `usage`: read, so that one file serves all versions; nothing here runs it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Usage {
    #[serde(rename = "store", default)]
    _store: Option<String>,
}

/// Section `reflow`: read, so that one file serves all versions; nothing here runs it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reflow {
    #[serde(rename = "captures", default)]
    _captures: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "weir-data".into(),
            listen: "127.0.0.1:7400".to_owned(),
            allow_insecure: false,
            bus: weir_bus::Options::default(),
            collector: weir_collector::Options::default(),
            indexer: weir_indexer::Options::default(),
            alerter: weir_alerter::Options::default(),
            telemetry: telemetry::Options::default(),
            usage: None,
            reflow: None,
            auth: None,
        }
    }
}

/// Reads the whole file and checks it, whatever part of it a role uses.
pub(crate) fn load(path: Option<&Path>) -> Result<Config, Wrong> {
    let config: Config = config::load(path)?;
    let path = path.unwrap_or(Path::new("defaults"));
    config.check().map_err(|message| Wrong::Keys { path: path.to_owned(), message })?;
    Ok(config)
}

impl Config {
    /// Number of rules in the alerter's rule files, which must be sound before it starts.
    pub(crate) fn rules(&self, path: Option<&Path>) -> Result<usize, Wrong> {
        let path = path.unwrap_or(Path::new("defaults")).to_owned();
        rules::count(&self.alerter.rules).map_err(|message| Wrong::Keys { path, message })
    }

    fn check(&self) -> Result<(), String> {
        if self.auth.is_some() {
            return Err(
                "`auth`: this version has no authentication; remove the key (weir stays on loopback)".to_owned()
            );
        }
        let port = self.listen.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        if port.is_none_or(|port| port.parse::<u16>().is_err()) {
            return Err(format!("`listen`: «{}» is no address; write host:port, such as 127.0.0.1:7400", self.listen));
        }
        let otlp = &self.collector.otlp;
        let otlp = [("collector.otlp.grpc", otlp.grpc), ("collector.otlp.http", otlp.http)];
        let otlp = otlp.into_iter().filter_map(|(key, address)| Some((key, address?.to_string())));
        for (key, address) in otlp.chain([("listen", self.listen.clone())]) {
            if !self.allow_insecure && !http::is_loopback(&address) {
                return Err(format!(
                    "`{key}`: {address} can be reached from other machines, and there is no authentication: listen on \
                     127.0.0.1, or set `allow_insecure: true`"
                ));
            }
        }
        self.telemetry.check().map_err(|error| error.to_string())?;
        self.bus.check().map_err(|error| error.to_string())?;
        self.collector.check().map_err(|error| error.to_string())?;
        self.indexer.check().map_err(|error| error.to_string())?;
        self.alerter.check().map_err(|error| format!("alerter.{error}"))?;
        Ok(())
    }

    /// Sections that are there and that nothing runs.
    pub(crate) fn idle_sections(&self) -> impl Iterator<Item = &'static str> {
        let sections = [
            (self.usage.is_some(), "usage"),
            (self.reflow.is_some(), "reflow"),
            (self.collector.gpu.is_some(), "collector.gpu"),
            (self.collector.host.is_some(), "collector.host"),
        ];
        sections.into_iter().filter_map(|(is_there, name)| is_there.then_some(name))
    }
}
