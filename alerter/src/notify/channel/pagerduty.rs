//! PagerDuty's events, version 2: one incident for each group of alerts.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use ring::digest;
use serde::Deserialize;
use serde_json::json;
use weir_service::config::Span;

use super::super::group::{Alert, Delivery};
use super::text::{self, Language};
use super::{Post, Secret};

const URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Characters of a summary, and bytes of what is said of alerts: an event may have 512 KB.
const SUMMARY: usize = 1024;
const DETAILS: usize = 100_000;

/// `pagerduty_configs`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct PagerDutyConfig {
    /// The integration's key.
    pub routing_key: Secret,
    /// Where events go.
    pub url: Secret,
    /// Of an incident whose alerts have no label `severity` that PagerDuty knows.
    pub severity: String,
    /// Whether it is told of resolved alerts.
    pub send_resolved: bool,
    /// How long an answer may take.
    pub timeout: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    routing_key: Option<String>,
    routing_key_file: Option<PathBuf>,
    url: Option<String>,
    severity: String,
    send_resolved: bool,
    timeout: Span,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            routing_key: None,
            routing_key_file: None,
            url: None,
            severity: "error".to_owned(),
            send_resolved: true,
            timeout: Span(Duration::from_secs(10)),
        }
    }
}

impl TryFrom<Raw> for PagerDutyConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        if !is_severity(&raw.severity) {
            return Err(format!("severity: «{}» is none of critical, error, warning, info", raw.severity));
        }
        Ok(Self {
            routing_key: Secret::needed("routing_key", raw.routing_key, raw.routing_key_file)?,
            url: Secret::Text(raw.url.unwrap_or_else(|| URL.to_owned())),
            severity: raw.severity,
            send_resolved: raw.send_resolved,
            timeout: raw.timeout,
        })
    }
}

fn is_severity(text: &str) -> bool {
    matches!(text, "critical" | "error" | "warning" | "info")
}

pub(super) fn post(config: &PagerDutyConfig, delivery: &Delivery, external_url: &str) -> Result<Post, String> {
    let common = text::common(delivery);
    let severity = common.get("severity").copied().filter(|severity| is_severity(severity));
    let key = digest::digest(&digest::SHA256, delivery.group_key.as_bytes());
    let list = |firing: bool| {
        let mut list = String::new();
        for alert in delivery.alerts.iter().filter(|alert| alert.ends_at_ms.is_none() == firing) {
            describe(&mut list, alert);
        }
        text::cut(&list, DETAILS).to_owned()
    };
    let mut summary = text::title(delivery, Language::English);
    if let Some(said) = delivery.alerts.iter().find_map(|alert| alert.annotations.get("summary")) {
        let _ = write!(summary, " {said}");
    }
    let summary: String = summary.chars().take(SUMMARY).collect();
    let source = if external_url.is_empty() { "weir" } else { external_url };
    let mut body = json!({
        "routing_key": config.routing_key.read()?,
        "event_action": if text::is_firing(delivery) { "trigger" } else { "resolve" },
        "dedup_key": hex::encode(key.as_ref()),
        "client": "weir",
        "payload": {
            "summary": summary,
            "source": source,
            "severity": severity.unwrap_or(&config.severity),
            "group": delivery.group_labels.get("alertname").map_or("", String::as_str),
            "custom_details": {"firing": list(true), "resolved": list(false)},
        },
    });
    if !external_url.is_empty() {
        body["client_url"] = json!(external_url);
    }
    Ok(Post { url: config.url.read()?, body })
}

fn describe(list: &mut String, alert: &Alert) {
    let pairs = |of: &std::collections::BTreeMap<String, String>| {
        of.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, " - {name} = {value}");
            text
        })
    };
    let _ = write!(
        list,
        "Labels:\n{}Annotations:\n{}Source: {}\n",
        pairs(&alert.labels),
        pairs(&alert.annotations),
        alert.generator_url
    );
}
