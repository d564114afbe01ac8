//! A real Alertmanager, which groups and tells by its own routes.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};
use weir_service::config::Span;

use super::super::group::{Alert, Delivery};
use super::{Common, Post};
use crate::client::{HttpConfig, Secret};

/// `alertmanager_configs`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct AlertmanagerConfig {
    /// Its address, as `http://alertmanager:9093`, with the path prefix where it has one.
    pub url: Secret,
    /// What all kinds have.
    pub common: Common,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    url: Option<String>,
    url_file: Option<PathBuf>,
    send_resolved: bool,
    timeout: Span,
    http_config: Option<HttpConfig>,
}

impl Default for Raw {
    fn default() -> Self {
        Self { url: None, url_file: None, send_resolved: true, timeout: Common::TIMEOUT, http_config: None }
    }
}

impl TryFrom<Raw> for AlertmanagerConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let url = Secret::needed("url", raw.url, raw.url_file)?;
        Ok(Self { url, common: Common::new(raw.send_resolved, raw.timeout, raw.http_config) })
    }
}

/// A firing alert without an end would be resolved there after some minutes, so its end lies behind the time when it is
/// told again.
pub(super) fn post(config: &AlertmanagerConfig, delivery: &Delivery, now_ms: i64) -> Result<Post, String> {
    let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
    let holds_until = now_ms.saturating_add(delivery.repeat_ms).saturating_add(delivery.repeat_ms / 4 + 300_000);
    let one = |alert: &Alert| {
        json!({
            "labels": &*alert.labels,
            "annotations": &*alert.annotations,
            "startsAt": time(alert.starts_at_ms),
            "endsAt": time(alert.ends_at_ms.unwrap_or(holds_until)),
            "generatorURL": alert.generator_url,
        })
    };
    let body = Value::Array(delivery.alerts.iter().map(one).collect());
    let url = config.url.read()?;
    Ok(Post { url: format!("{}/api/v2/alerts", url.trim_end_matches('/')), body })
}
