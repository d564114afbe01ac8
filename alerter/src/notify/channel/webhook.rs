//! Alertmanager's webhook JSON, version 4.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use weir_service::config::Span;

use super::super::group::{Alert, Delivery, fingerprint};
use super::Common;
use crate::client::{HttpConfig, Secret};

/// An HTTP endpoint that takes Alertmanager's webhook JSON: `webhook_configs`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct WebhookConfig {
    /// Where to.
    pub url: Secret,
    /// Greatest number of alerts in one notification; 0 is no limit.
    pub max_alerts: usize,
    /// What all kinds have.
    pub common: Common,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    url: Option<String>,
    url_file: Option<PathBuf>,
    send_resolved: bool,
    max_alerts: usize,
    timeout: Span,
    http_config: Option<HttpConfig>,
}

impl Default for Raw {
    fn default() -> Self {
        let timeout = Common::TIMEOUT;
        Self { url: None, url_file: None, send_resolved: true, max_alerts: 0, timeout, http_config: None }
    }
}

impl TryFrom<Raw> for WebhookConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let url = Secret::needed("url", raw.url, raw.url_file)?;
        let common = Common::new(raw.send_resolved, raw.timeout, raw.http_config);
        Ok(Self { url, max_alerts: raw.max_alerts, common })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: Vec<OneAlert<'a>>,
    group_labels: &'a BTreeMap<String, String>,
    common_labels: BTreeMap<&'a str, &'a str>,
    common_annotations: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneAlert<'a> {
    status: &'static str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

fn status(firing: bool) -> &'static str {
    if firing { "firing" } else { "resolved" }
}

/// Go writes the zero time for a time that is not there.
fn time(ms: Option<i64>) -> String {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| time.to_string())
}

fn common<'a>(mut all: impl Iterator<Item = &'a BTreeMap<String, String>>) -> BTreeMap<&'a str, &'a str> {
    let Some(first) = all.next() else { return BTreeMap::new() };
    let mut common: BTreeMap<&str, &str> = first.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    for other in all {
        common.retain(|name, value| other.get(*name).is_some_and(|v| v == value));
    }
    common
}

pub(super) fn message<'a>(delivery: &'a Delivery, max_alerts: usize, external_url: &'a str) -> Message<'a> {
    let number = delivery.alerts.len();
    let shown = if max_alerts == 0 { number } else { max_alerts.min(number) };
    // As in Alertmanager, what is left out counts for nothing else.
    let all = &delivery.alerts[..shown];
    let one = |alert: &'a Alert| OneAlert {
        status: status(alert.ends_at_ms.is_none()),
        labels: &alert.labels,
        annotations: &alert.annotations,
        starts_at: time(Some(alert.starts_at_ms)),
        ends_at: time(alert.ends_at_ms),
        generator_url: &alert.generator_url,
        fingerprint: format!("{:016x}", fingerprint(&alert.labels)),
    };
    Message {
        receiver: &delivery.receiver,
        status: status(all.iter().any(|alert| alert.ends_at_ms.is_none())),
        alerts: all.iter().map(one).collect(),
        group_labels: &delivery.group_labels,
        common_labels: common(all.iter().map(|alert| &*alert.labels)),
        common_annotations: common(all.iter().map(|alert| &*alert.annotations)),
        external_url,
        version: "4",
        group_key: &delivery.group_key,
        truncated_alerts: number - shown,
    }
}
