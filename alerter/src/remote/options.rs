//! Key `remote_write` of the configuration: Prometheus' names and fields.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use weir_service::config::Span;

use super::relabel::{RelabelConfig, is_label};
use crate::client::{Authorization, BasicAuth, Secret, TlsConfig, check_one};
use crate::options::is_http;

/// Set by the protocol, or by keys of their own.
const RESERVED: [&str; 8] = [
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-prometheus-remote-write-version",
];

/// A receiver of all series.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteWrite {
    /// Where to; it may hold a user and a password, so it is never logged.
    pub url: Secret,
    /// In logs, metrics and the name of the file of its position; host and port of the address where it is not there.
    #[serde(default)]
    name: Option<String>,
    /// How long an answer may take.
    #[serde(default = "half_a_minute")]
    pub remote_timeout: Span,
    /// Sent with each request.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// User and password.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// Or another credential.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// Of an address of https.
    #[serde(default)]
    pub tls_config: TlsConfig,
    /// What is sent, and under which labels.
    #[serde(default)]
    pub write_relabel_configs: Vec<RelabelConfig>,
    /// How it is sent.
    #[serde(default)]
    pub queue_config: QueueConfig,
    /// Names and kinds of metrics.
    #[serde(default)]
    pub metadata_config: MetadataConfig,
}

/// How samples are sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Samples in one request, at most.
    pub max_samples_per_send: usize,
    /// How long a sample waits for others, in event time; running totals of calls are sent so often.
    pub batch_send_deadline: Span,
    /// The first pause behind a failure.
    pub min_backoff: Span,
    /// The longest.
    pub max_backoff: Span,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            max_samples_per_send: 2000,
            batch_send_deadline: Span(Duration::from_secs(5)),
            min_backoff: Span(Duration::from_millis(30)),
            max_backoff: Span(Duration::from_secs(5)),
        }
    }
}

/// How names and kinds of metrics are sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// Whether they are.
    pub send: bool,
    /// How often.
    pub send_interval: Span,
    /// Metrics in one request, at most.
    pub max_samples_per_send: usize,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self { send: true, send_interval: Span(Duration::from_mins(1)), max_samples_per_send: 2000 }
    }
}

fn half_a_minute() -> Span {
    Span(Duration::from_secs(30))
}

impl RemoteWrite {
    /// The name, or host and port of the address.
    pub fn name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let url = self.url.read().ok().and_then(|url| reqwest::Url::parse(&url).ok());
        let host = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
        host.map_or_else(|| "no address".to_owned(), |(host, port)| format!("{host}:{port}"))
    }

    /// The name as that of a file.
    pub(super) fn file_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
        format!("{}.json", self.name().chars().map(plain).collect::<String>())
    }

    /// What cannot work, by the key's name.
    pub(super) fn check(&self) -> Result<(), String> {
        if !self.url.read().is_ok_and(|url| is_http(&url)) {
            let right = "http://prometheus.example:9090/api/v1/write";
            return Err(format!("url: is not an http or https address, such as {right}"));
        }
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 64) {
            return Err("name: must have 1 to 64 bytes".to_owned());
        }
        let hour = Duration::from_hours(1);
        let within = |name: &str, span: Span, (least, most): (Duration, Duration)| {
            let is_within = (least..=most).contains(&span.0);
            if is_within { Ok(()) } else { Err(format!("{name}: must be from {:?} to {:?}", Span(least), Span(most))) }
        };
        let queue = &self.queue_config;
        within("remote_timeout", self.remote_timeout, (Duration::from_millis(1), hour))?;
        within("queue_config.min_backoff", queue.min_backoff, (Duration::from_millis(1), hour))?;
        within("queue_config.max_backoff", queue.max_backoff, (queue.min_backoff.0, hour))?;
        let deadline = queue.batch_send_deadline;
        within("queue_config.batch_send_deadline", deadline, (Duration::from_secs(1), Duration::from_mins(5)))?;
        if deadline.0.subsec_nanos() > 0 {
            return Err("queue_config.batch_send_deadline: must be of whole seconds".to_owned());
        }
        within(
            "metadata_config.send_interval",
            self.metadata_config.send_interval,
            (Duration::from_secs(1), 24 * hour),
        )?;
        for (name, samples) in [
            ("queue_config", queue.max_samples_per_send),
            ("metadata_config", self.metadata_config.max_samples_per_send),
        ] {
            if !(1..=100_000).contains(&samples) {
                return Err(format!("{name}.max_samples_per_send: must be from 1 to 100000"));
            }
        }
        for (name, value) in &self.headers {
            let header =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("headers: «{name}» is no name"))?;
            HeaderValue::from_str(&value.read()?)
                .map_err(|_| format!("headers: the value of `{name}` cannot be sent"))?;
            if RESERVED.contains(&header.as_str()) {
                return Err(format!("headers: `{name}` is set by the protocol, or by basic_auth or authorization"));
            }
        }
        check_one(self.basic_auth.as_ref(), self.authorization.as_ref())?;
        self.tls_config.check()?;
        self.write_relabel_configs.iter().try_for_each(|config| {
            config.compile().map(drop).map_err(|error| format!("write_relabel_configs: {error}"))
        })
    }
}

/// Names of labels that are added to all that is sent.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), String> {
    match labels.keys().find(|name| !is_label(name) || *name == "__name__") {
        Some(name) => Err(format!("external_labels: «{name}» is not the name of a label")),
        None => Ok(()),
    }
}
