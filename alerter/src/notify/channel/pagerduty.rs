//! PagerDuty's events, version 2: one incident for each group of alerts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use ring::digest;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use weir_service::config::Span;

use super::super::group::{Alert, Delivery};
use super::super::template::{Kind, Texts};
use super::text::{self, Language};
use super::{Common, Field, Post};
use crate::client::{HttpConfig, Secret};

const URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Characters of a summary, and bytes of what is said of alerts: an event may have 512 KB.
const SUMMARY: usize = 1024;
const DETAILS: usize = 100_000;
/// Details, and images and links.
const MOST_DETAILS: usize = 50;

/// `pagerduty_configs`. Its texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub struct PagerDutyConfig {
    /// The integration's key.
    pub routing_key: Secret,
    /// Where events go.
    pub url: Secret,
    /// By their keys.
    texts: BTreeMap<&'static str, String>,
    details: BTreeMap<String, String>,
    images: Vec<PagerDutyImage>,
    links: Vec<PagerDutyLink>,
    /// What all kinds have.
    pub common: Common,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct PagerDutyImage {
    src: String,
    alt: String,
    href: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct PagerDutyLink {
    href: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    routing_key: Option<String>,
    routing_key_file: Option<PathBuf>,
    service_key: Option<serde::de::IgnoredAny>,
    service_key_file: Option<serde::de::IgnoredAny>,
    url: Option<String>,
    client: Option<String>,
    client_url: Option<String>,
    description: Option<String>,
    severity: Option<String>,
    source: Option<String>,
    class: Option<String>,
    component: Option<String>,
    group: Option<String>,
    details: BTreeMap<String, String>,
    images: Vec<PagerDutyImage>,
    links: Vec<PagerDutyLink>,
    send_resolved: bool,
    timeout: Span,
    http_config: Option<HttpConfig>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            routing_key: None,
            routing_key_file: None,
            service_key: None,
            service_key_file: None,
            url: None,
            client: None,
            client_url: None,
            description: None,
            severity: None,
            source: None,
            class: None,
            component: None,
            group: None,
            details: BTreeMap::new(),
            images: Vec::new(),
            links: Vec::new(),
            send_resolved: true,
            timeout: Common::TIMEOUT,
            http_config: None,
        }
    }
}

impl TryFrom<Raw> for PagerDutyConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        if raw.service_key.is_some() || raw.service_key_file.is_some() {
            return Err("`service_key` is for version 1 of PagerDuty's events; make an integration of version 2, and \
                give its `routing_key`"
                .to_owned());
        }
        if let Some(severity) = raw.severity.as_ref().filter(|text| !text.contains("{{") && !is_severity(text)) {
            return Err(format!("severity: «{severity}» is none of critical, error, warning, info"));
        }
        if raw.details.len() + raw.images.len() + raw.links.len() > MOST_DETAILS {
            return Err(format!("more than {MOST_DETAILS} details, images and links"));
        }
        let texts = [
            ("client", raw.client),
            ("client_url", raw.client_url),
            ("description", raw.description),
            ("severity", raw.severity),
            ("source", raw.source),
            ("class", raw.class),
            ("component", raw.component),
            ("group", raw.group),
        ];
        Ok(Self {
            routing_key: Secret::needed("routing_key", raw.routing_key, raw.routing_key_file)?,
            url: Secret::Text(raw.url.unwrap_or_else(|| URL.to_owned())),
            texts: texts.into_iter().filter_map(|(key, text)| Some((key, text?))).collect(),
            details: raw.details,
            images: raw.images,
            links: raw.links,
            common: Common::new(raw.send_resolved, raw.timeout, raw.http_config),
        })
    }
}

impl<'de> Deserialize<'de> for PagerDutyConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

impl PagerDutyConfig {
    pub(super) fn texts(&self) -> Vec<Field<'_>> {
        let plain = self.texts.iter().map(|(key, text)| ((*key).to_owned(), text.as_str()));
        let details = self.details.iter().map(|(name, text)| (format!("details.{name}"), text.as_str()));
        let images = self.images.iter().enumerate().flat_map(|(at, image)| {
            [("src", &image.src), ("alt", &image.alt), ("href", &image.href)]
                .map(|(key, text)| (format!("images[{at}].{key}"), text.as_str()))
        });
        let links = self.links.iter().enumerate().flat_map(|(at, link)| {
            [("href", &link.href), ("text", &link.text)]
                .map(|(key, text)| (format!("links[{at}].{key}"), text.as_str()))
        });
        plain.chain(details).chain(images).chain(links).map(|(key, text)| (key, Kind::Text, text)).collect()
    }
}

fn is_severity(text: &str) -> bool {
    matches!(text, "critical" | "error" | "warning" | "info")
}

pub(super) fn post(config: &PagerDutyConfig, delivery: &Delivery, texts: &Texts<'_>) -> Result<Post, String> {
    let of = |key: &str| {
        let by_default = match key {
            "client" => "pagerduty.default.client",
            "client_url" => "pagerduty.default.clientURL",
            "description" => "pagerduty.default.description",
            _ => "",
        };
        texts.of(key, config.texts.get(key).map(String::as_str), by_default)
    };
    // Where the alerts have one that PagerDuty knows, and nothing else is asked for, it is theirs.
    let common = text::common(delivery);
    let theirs = common.get("severity").copied().filter(|severity| is_severity(severity));
    let severity = of("severity").filter(|severity| is_severity(severity));
    let severity = severity.unwrap_or_else(|| theirs.unwrap_or("error").to_owned());
    let source = if texts.external_url.is_empty() { "weir" } else { texts.external_url };
    // As in Alertmanager, a client that is named is the source too.
    let client = of("client");
    let source = client.clone().unwrap_or_else(|| source.to_owned());
    let group = || delivery.group_labels.get("alertname").cloned().unwrap_or_default();
    let summary = of("description").unwrap_or_else(|| description(delivery));
    let mut payload = json!({
        "summary": summary.chars().take(SUMMARY).collect::<String>(),
        "source": of("source").unwrap_or(source),
        "severity": severity,
        "group": of("group").unwrap_or_else(group),
        "custom_details": details(config, delivery, texts),
    });
    for key in ["class", "component"] {
        if let Some(text) = of(key).filter(|text| !text.is_empty()) {
            payload[key] = json!(text);
        }
    }
    let key = digest::digest(&digest::SHA256, delivery.group_key.as_bytes());
    let mut body = json!({
        "routing_key": config.routing_key.read()?,
        "event_action": if text::is_firing(delivery) { "trigger" } else { "resolve" },
        "dedup_key": hex::encode(key.as_ref()),
        "client": client.unwrap_or_else(|| "weir".to_owned()),
    });
    let client_url = of("client_url").unwrap_or_else(|| texts.external_url.to_owned());
    if !client_url.is_empty() {
        body["client_url"] = json!(client_url);
    }
    let within = |place: String, text: &str| texts.of(&place, Some(text), "").unwrap_or_default();
    let image = |(at, image): (usize, &PagerDutyImage)| {
        let of = |key: &str, text| within(format!("images[{at}].{key}"), text);
        json!({"src": of("src", &image.src), "alt": of("alt", &image.alt), "href": of("href", &image.href)})
    };
    let link = |(at, link): (usize, &PagerDutyLink)| {
        let of = |key: &str, text| within(format!("links[{at}].{key}"), text);
        json!({"href": of("href", &link.href), "text": of("text", &link.text)})
    };
    if !config.images.is_empty() {
        body["images"] = config.images.iter().enumerate().map(image).collect();
    }
    if !config.links.is_empty() {
        body["links"] = config.links.iter().enumerate().map(link).collect();
    }
    if let Some(failed) = texts.failed() {
        payload["custom_details"]["weir"] = json!(failed);
    }
    body["payload"] = payload;
    Ok(Post { url: config.url.read()?, body })
}

fn description(delivery: &Delivery) -> String {
    let mut summary = text::title(delivery, Language::English);
    if let Some(said) = delivery.alerts.iter().find_map(|alert| alert.annotations.get("summary")) {
        let _ = write!(summary, " {said}");
    }
    summary
}

/// Alertmanager's, and those of the user, which take the place of those of the same name.
fn details(config: &PagerDutyConfig, delivery: &Delivery, texts: &Texts<'_>) -> Value {
    let of = |firing: bool| delivery.alerts.iter().filter(move |alert| alert.ends_at_ms.is_none() == firing);
    let list = |firing: bool| {
        let mut list = String::new();
        for alert in of(firing) {
            if list.len() > DETAILS {
                break;
            }
            describe(&mut list, alert);
        }
        text::cut(&list, DETAILS).to_owned()
    };
    let mut details: Map<String, Value> = Map::new();
    for (name, firing) in [("firing", true), ("resolved", false)] {
        details.insert(name.to_owned(), json!(list(firing)));
        details.insert(format!("num_{name}"), json!(of(firing).count().to_string()));
    }
    for (name, template) in &config.details {
        if let Some(text) = texts.of(&format!("details.{name}"), Some(template), "") {
            details.insert(name.clone(), json!(text::cut(&text, DETAILS)));
        }
    }
    Value::Object(details)
}

fn describe(list: &mut String, alert: &Alert) {
    let pairs = |of: &BTreeMap<String, String>| {
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
