//! The one configuration of all roles.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use weir_bus::Broker;
use weir_indexer::Partitions;
use weir_service::tls::{self, TlsOptions};
use weir_service::{auth, config, http, telemetry};

use crate::{listeners, rules};

/// The configuration cannot be used: exit code 64, before any port is bound or file written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    /// The file.
    #[error(transparent)]
    File(#[from] config::ConfigError),
    /// What its keys ask for.
    #[error("{}: {message}", path.display())]
    Keys { path: PathBuf, message: String },
    /// What turned bad after it was checked, such as a rule file.
    #[error(transparent)]
    Alerter(weir_alerter::Error),
}

impl Wrong {
    /// Why the alerter does not open: the configuration, or anything else.
    pub(crate) fn or_other(error: weir_alerter::Error) -> anyhow::Error {
        if error.is_configuration() { Self::Alerter(error).into() } else { error.into() }
    }
}

/// All keys of a configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: String,
    pub(crate) allow_insecure: bool,
    #[serde(deserialize_with = "section")]
    pub(crate) bus: weir_bus::Options,
    #[serde(deserialize_with = "section")]
    pub(crate) collector: weir_collector::Options,
    #[serde(deserialize_with = "section")]
    pub(crate) indexer: weir_indexer::Options,
    #[serde(deserialize_with = "section")]
    pub(crate) alerter: weir_alerter::Options,
    #[serde(deserialize_with = "section")]
    pub(crate) telemetry: telemetry::Options,
    pub(crate) usage: Option<weir_usage::Options>,
    pub(crate) reflow: Option<weir_reflow::Options>,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) auth: Option<auth::Options>,
    pub(crate) console: Option<weir_console::Options>,
}

/// Where the certificates of HTTP are.
pub(crate) const TLS_SECTION: &str = "tls";

/// A section whose keys are all commented out means its defaults.
fn section<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
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
            usage: Some(weir_usage::Options::default()),
            reflow: Some(weir_reflow::Options::default()),
            tls: None,
            auth: None,
            console: None,
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
    /// How alerts are told of, as the alerter's part says, in a file of its own or not.
    pub(crate) fn notifications(&self, path: Option<&Path>) -> Result<weir_alerter::notify::Options, Wrong> {
        let path = path.unwrap_or(Path::new("defaults")).to_owned();
        self.alerter
            .notify()
            .map_err(|error| Wrong::Keys { path, message: format!("alerter.alertmanager_config: {error}") })
    }

    /// Number of rules in the alerter's rule files, which must be sound before it starts.
    pub(crate) fn rules(&self, path: Option<&Path>) -> Result<usize, Wrong> {
        let path = path.unwrap_or(Path::new("defaults")).to_owned();
        self.alerter.check_rules().map_err(|errors| Wrong::Keys { path, message: rules::explain(&errors) })
    }

    /// Whether all listeners can be bound side by side, as they are where the collector runs.
    pub(crate) fn listeners(&self, path: Option<&Path>) -> Result<(), Wrong> {
        let path = path.unwrap_or(Path::new("defaults")).to_owned();
        let all = std::iter::once(("listen", self.listen.clone())).chain(self.otlp()).chain(self.ratelimit());
        let all: Vec<_> = all.chain(self.keda()).chain(self.external_metrics()).collect();
        listeners::check(&all).map_err(|message| Wrong::Keys { path, message })
    }

    /// Whether the certificates of HTTP and the tokens can be used, which they must before anything starts.
    pub(crate) fn secrets(&self, path: Option<&Path>) -> Result<(), Wrong> {
        let wrong = |error: &(dyn std::error::Error + 'static)| Wrong::Keys {
            path: path.unwrap_or(Path::new("defaults")).to_owned(),
            message: telemetry::whole(error).to_string(),
        };
        if let Some(options) = &self.tls {
            tls::check(TLS_SECTION, options).map_err(|error| wrong(&error))?;
        }
        let tokens = self.auth.as_ref().and_then(|auth| auth.tokens.as_deref());
        if let Some(tokens) = tokens {
            auth::tokens::read(tokens).map_err(|error| wrong(&auth::AuthError::Tokens(error)))?;
        }
        Ok(())
    }

    /// Listeners that others reach and that tokens reach in plain text.
    pub(crate) fn plain_listeners(&self) -> impl Iterator<Item = (&'static str, String)> {
        let http = self.tls.is_none().then(|| ("listen", self.listen.clone()));
        let otlp = self.collector.otlp.tls.is_none().then(|| self.otlp()).into_iter().flatten();
        let usage = self.usage.as_ref().filter(|usage| usage.ratelimit.tls.is_none());
        let ratelimit = usage.and_then(|_| self.ratelimit());
        let asked = self.auth.is_some();
        http.into_iter().chain(otlp).chain(ratelimit).filter(move |(_, address)| asked && !http::is_loopback(address))
    }

    /// Addresses of OTLP, by key.
    fn otlp(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let otlp = &self.collector.otlp;
        let otlp = [("collector.otlp.grpc", otlp.grpc), ("collector.otlp.http", otlp.http)];
        otlp.into_iter().filter_map(|(key, address)| Some((key, address?.to_string())))
    }

    /// Address of the rate-limit service, by key.
    fn ratelimit(&self) -> Option<(&'static str, String)> {
        let address = self.usage.as_ref()?.ratelimit.grpc?;
        Some(("usage.ratelimit.grpc", address.to_string()))
    }

    /// Address of KEDA's external scaler, by key.
    fn keda(&self) -> Option<(&'static str, String)> {
        Some(("alerter.keda.grpc", self.alerter.keda.as_ref()?.grpc.to_string()))
    }

    /// Address of `external.metrics.k8s.io`, by key. Its clients are known by the cluster's front-proxy certificate.
    fn external_metrics(&self) -> Option<(&'static str, String)> {
        let address = self.alerter.external_metrics.as_ref()?.listen;
        Some(("alerter.external_metrics.listen", address.to_string()))
    }

    /// Whether the files of usage can be used, which they must before it starts.
    pub(crate) fn usage_files(&self, path: Option<&Path>) -> Result<(), Wrong> {
        let path = path.unwrap_or(Path::new("defaults")).to_owned();
        let checked = self.usage.as_ref().map_or(Ok(()), weir_usage::Options::check_files);
        checked.map_err(|error| Wrong::Keys { path, message: format!("usage.{error}") })
    }

    /// Number of captures in files, which must be sound before they run.
    pub(crate) fn captures(&self, path: Option<&Path>) -> Result<usize, Wrong> {
        let path = path.unwrap_or(Path::new("defaults")).to_owned();
        let checked = self.reflow.as_ref().map_or(Ok(0), weir_reflow::Options::check_files);
        checked.map_err(|error| Wrong::Keys { path, message: format!("reflow.{error}") })
    }

    /// Whether there is what the console stands in front of, as a process of its own, and its authorities can be used.
    pub(crate) fn console(&self, path: Option<&Path>) -> Result<(), Wrong> {
        let path = path.unwrap_or(Path::new("defaults")).to_owned();
        match &self.console {
            Some(options) => match weir_console::Proxy::open(options, self.auth.is_some()) {
                Ok(_) => Ok(()),
                Err(error) => Err(Wrong::Keys { path, message: telemetry::whole(&error).to_string() }),
            },
            None => Err(Wrong::Keys {
                path,
                message: "`console`: name the roles that the console stands in front of, as in configs/console.yaml; \
                          `weir standalone` has the console without it"
                    .to_owned(),
            }),
        }
    }

    /// Whether the certificates of the collector and the alerter can be used, which they must before it starts.
    pub(crate) fn certificates(&self, path: Option<&Path>) -> Result<(), Wrong> {
        let path = path.unwrap_or(Path::new("defaults")).to_owned();
        let checked = self.collector.check_files().map_err(|error| error.to_string());
        let checked = checked.and_then(|()| self.alerter.check_files());
        checked.map_err(|message| Wrong::Keys { path, message })
    }

    fn check(&self) -> Result<(), String> {
        if let Some(auth) = &self.auth {
            auth.check()?;
        }
        if self.data_dir.as_os_str().is_empty() {
            return Err("`data_dir`: must be a folder, such as ./weir-data".to_owned());
        }
        let port = self.listen.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        if port.is_none_or(|port| port.parse::<u16>().is_err()) {
            return Err(format!("`listen`: «{}» is no address; write host:port, such as 127.0.0.1:7400", self.listen));
        }
        let otlp = &self.collector.otlp;
        // Mutual TLS is authentication; TLS alone is not.
        let asks_clients = otlp.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let all = self.otlp().chain(self.ratelimit()).chain([("listen", self.listen.clone())]);
        for (key, address) in all {
            let is_otlp = key.starts_with("collector.otlp");
            let is_safe = http::is_loopback(&address) || self.auth.is_some() || (is_otlp && asks_clients);
            if !self.allow_insecure && !is_safe {
                let or = if is_otlp { ", set `auth` or `collector.otlp.tls.client_ca`" } else { ", set `auth`" };
                return Err(format!(
                    "`{key}`: {address} can be reached from other machines, and there is no authentication: listen on \
                     127.0.0.1{or}, or set `allow_insecure: true`"
                ));
            }
        }
        // KEDA shows no token.
        let asks_keda = self.alerter.keda.as_ref().is_some_and(weir_alerter::KedaOptions::asks_clients);
        if let Some((key, address)) = self.keda()
            && !(self.allow_insecure || asks_keda || http::is_loopback(&address))
        {
            return Err(format!(
                "`{key}`: {address} can be reached from other machines, and KEDA is known by its client certificate \
                 alone: listen on 127.0.0.1, set `alerter.keda.tls.client_ca`, or set `allow_insecure: true`"
            ));
        }
        self.telemetry.check().map_err(|error| error.to_string())?;
        self.bus.check().map_err(|error| error.to_string())?;
        self.collector.check().map_err(|error| error.to_string())?;
        self.indexer.check().map_err(|error| error.to_string())?;
        if let (Broker::Embedded, Partitions::List(list)) = (self.bus.broker, &self.indexer.partitions)
            && let Some(wrong) = list.iter().find(|partition| **partition >= self.bus.partitions)
        {
            return Err(format!(
                "indexer.partitions: there is no partition {wrong}: `bus.partitions` is {}, so they are 0 to {}",
                self.bus.partitions,
                self.bus.partitions - 1
            ));
        }
        self.alerter.check().map_err(|error| format!("alerter.{error}"))?;
        self.usage.as_ref().map_or(Ok(()), weir_usage::Options::check).map_err(|error| format!("usage.{error}"))?;
        self.reflow.as_ref().map_or(Ok(()), weir_reflow::Options::check).map_err(|error| format!("reflow.{error}"))?;
        self.console.as_ref().map_or(Ok(()), weir_console::Options::check).map_err(|error| format!("`console` {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn example(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(name)
    }

    #[test]
    fn the_example_gives_the_defaults_where_it_says_so() {
        let mut config = load(Some(&example("standalone.yaml"))).unwrap();
        let defaults = Config::default();
        assert_eq!(config.data_dir, Path::new("./weir-data"));
        config.data_dir.clone_from(&defaults.data_dir);
        assert_eq!((config.collector.files.len(), config.alerter.rules.len()), (1, 1));
        let file = weir_collector::options::FileOptions {
            include: config.collector.files[0].include.clone(),
            ..weir_collector::options::FileOptions::default()
        };
        assert_eq!(format!("{:?}", config.collector.files[0]), format!("{file:?}"));
        config.collector.files.clear();
        config.collector.tenant.namespaces.clear();
        config.alerter.rules.clear();
        config.reflow.as_mut().unwrap().captures.clear();
        assert_eq!(format!("{config:#?}"), format!("{defaults:#?}"));
    }

    #[tokio::test]
    async fn a_rule_file_that_turned_bad_after_the_check_is_the_configurations_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let open = async |options, data_dir: &Path| {
            let bus = weir_bus::Options { broker: weir_bus::Broker::Null, ..weir_bus::Options::default() };
            let bus = weir_bus::Bus::open(&bus, folder.path()).await.unwrap();
            let meter = opentelemetry::global::meter("test");
            let health = weir_service::health::Health::default();
            let context =
                weir_service::Context { data_dir: data_dir.to_owned(), meter, health, auth: auth::Auth::off() };
            Wrong::or_other(weir_alerter::Alerter::open(options, context, bus).await.unwrap_err())
        };
        let options = weir_alerter::Options { rules: vec!["/no/such/file".to_owned()], ..Default::default() };
        assert!(open(options, folder.path()).await.is::<Wrong>());
        assert!(!open(weir_alerter::Options::default(), &file).await.is::<Wrong>());
    }

    #[test]
    fn keda_is_answered_beyond_loopback_only_where_it_shows_a_certificate() {
        let check = |keda: &str, more: &str| {
            let config: Config = serde_json::from_str(&format!(r#"{{"alerter": {{"keda": {keda}}}{more}}}"#)).unwrap();
            config.check()
        };
        let plain = r#"{"grpc": "0.0.0.0:9090"}"#;
        let tls = r#"{"grpc": "0.0.0.0:9090", "tls": {"cert": "a", "key": "b"}}"#;
        let mutual = r#"{"grpc": "0.0.0.0:9090", "tls": {"cert": "a", "key": "b", "client_ca": "c"}}"#;
        assert_eq!(check(r#"{"grpc": "127.0.0.1:9090"}"#, ""), Ok(()));
        assert_eq!(check(mutual, ""), Ok(()));
        assert_eq!(check(plain, r#", "allow_insecure": true"#), Ok(()));
        // A credential does not help: KEDA has none to show.
        let auth = r#", "auth": {"tokens": "tokens.yaml"}"#;
        for (keda, more) in [(plain, ""), (tls, ""), (plain, auth), (tls, auth)] {
            let told = check(keda, more).unwrap_err();
            assert!(told.starts_with("`alerter.keda.grpc`: 0.0.0.0:9090 can be reached"), "{keda}{more}: {told}");
        }
    }

    #[test]
    fn every_key_stands_in_an_example() {
        const EXAMPLES: [&str; 3] = ["standalone.yaml", "alerter.yaml", "console.yaml"];
        let text = EXAMPLES.map(|name| std::fs::read_to_string(example(name)).unwrap()).concat();
        let words: BTreeSet<_> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        // The fields of all options, as far as something is set, in those examples.
        let mut shown = EXAMPLES.map(|name| load(Some(&example(name))).unwrap());
        // Their insides are text in a file.
        for route in &mut shown[1].alerter.route.value.routes {
            route.matchers.clear();
        }
        shown[1].alerter.inhibit_rules.value.clear();
        shown[1].alerter.time_intervals.value.clear();
        let shown = format!("{shown:#?}");
        let keys = shown.lines().filter_map(|line| Some(line.trim().split_once(": ")?.0));
        let keys: BTreeSet<_> =
            keys.filter(|key| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')).collect();
        assert!(keys.len() > 40, "{keys:?}");
        // `webhook_configs` and its like are one list in the program.
        let missing: Vec<_> = keys.iter().filter(|key| !words.contains(*key) && **key != "channels").collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
