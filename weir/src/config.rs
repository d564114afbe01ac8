//! The configuration of all roles: shared keys and a section per role.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use weir_service::config::ConfigError;

/// What a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Standalone,
    Collector,
    Indexer,
    Alerter,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Standalone => "weir",
            Self::Collector => "weir-collector",
            Self::Indexer => "weir-indexer",
            Self::Alerter => "weir-alerter",
        }
    }

    /// Whether this role runs what `room` runs alone.
    pub(crate) fn runs(self, room: Self) -> bool {
        self == room || self == Self::Standalone
    }
}

/// One file for all roles. Every key has a default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// All state of the role; nothing is written elsewhere.
    pub(crate) data_dir: PathBuf,
    /// Address of HTTP; port 0 picks one.
    pub(crate) listen: String,
    /// Allows addresses other than loopback although there is no authentication.
    pub(crate) allow_insecure: bool,
    pub(crate) bus: weir_bus::Options,
    pub(crate) collector: weir_collector::Options,
    pub(crate) indexer: weir_indexer::Options,
    pub(crate) alerter: weir_alerter::Options,
    pub(crate) telemetry: weir_service::telemetry::Options,
    pub(crate) usage: Option<Usage>,
    pub(crate) reflow: Option<Reflow>,
    auth: Option<serde_json::Value>,
}

/// The statistics service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Usage {
    /// `sqlite`, or a `postgres://` address.
    #[serde(rename = "store")]
    pub(crate) _store: String,
}

/// The data service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reflow {
    /// Capture definitions.
    #[serde(rename = "captures")]
    pub(crate) _captures: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "./weir-data".into(),
            listen: "127.0.0.1:7400".into(),
            allow_insecure: false,
            bus: weir_bus::Options::default(),
            collector: weir_collector::Options::default(),
            indexer: weir_indexer::Options::default(),
            alerter: weir_alerter::Options::default(),
            telemetry: weir_service::telemetry::Options::default(),
            usage: None,
            reflow: None,
            auth: None,
        }
    }
}

/// The configuration cannot work; nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Bad {
    #[error(transparent)]
    File(#[from] ConfigError),
    #[error("{0}")]
    Key(String),
    #[error(transparent)]
    Collector(#[from] weir_collector::Error),
    #[error(transparent)]
    Telemetry(#[from] weir_service::telemetry::Error),
}

impl Config {
    /// Reads and checks the whole file, whatever the role.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Bad> {
        let config: Self = weir_service::config::load(path)?;
        config.telemetry.check()?;
        config.collector.check()?;
        if config.auth.is_some() {
            return Err(Bad::Key("auth: this version has no authentication: use `auth: null`".into()));
        }
        if config.bus.broker == weir_bus::Broker::Kafka && config.bus.brokers.is_none() {
            return Err(Bad::Key("bus.brokers: Kafka needs its addresses, such as \"host:9092\"".into()));
        }
        Ok(config)
    }

    /// Sections that are there and that this version does not run.
    pub(crate) fn not_run(&self) -> impl Iterator<Item = &'static str> {
        let sections = [
            (self.usage.is_some(), "usage"),
            (self.reflow.is_some(), "reflow"),
            (self.collector.gpu.is_some(), "collector.gpu"),
            (self.collector.host.is_some(), "collector.host"),
        ];
        sections.into_iter().filter_map(|(there, name)| there.then_some(name))
    }
}
