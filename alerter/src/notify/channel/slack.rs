//! Slack's incoming webhooks, and those of what speaks as Slack does.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use weir_service::config::Span;

use super::super::group::Delivery;
use super::text::{self, Language, Markup};
use super::{Answer, Post, Secret};

/// `slack_configs`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct SlackConfig {
    /// The webhook's address.
    pub api_url: Secret,
    /// Where to, if not where the webhook says.
    pub channel: String,
    /// Under which name.
    pub username: String,
    /// Such as `:fire:`.
    pub icon_emoji: String,
    /// Whether it is told of resolved alerts.
    pub send_resolved: bool,
    /// What messages are written in.
    pub language: Language,
    /// How long an answer may take.
    pub timeout: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    api_url: Option<String>,
    api_url_file: Option<PathBuf>,
    channel: String,
    username: String,
    icon_emoji: String,
    send_resolved: bool,
    language: Language,
    timeout: Span,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            api_url: None,
            api_url_file: None,
            channel: String::new(),
            username: "weir".to_owned(),
            icon_emoji: String::new(),
            // As in Alertmanager, whose other receivers are told.
            send_resolved: false,
            language: Language::English,
            timeout: Span(Duration::from_secs(10)),
        }
    }
}

impl TryFrom<Raw> for SlackConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        Ok(Self {
            api_url: Secret::needed("api_url", raw.api_url, raw.api_url_file)?,
            channel: raw.channel,
            username: raw.username,
            icon_emoji: raw.icon_emoji,
            send_resolved: raw.send_resolved,
            language: raw.language,
            timeout: raw.timeout,
        })
    }
}

const MARKUP: Markup = Markup {
    bold: |text| format!("*{text}*"),
    link: |text, url| format!("<{}|{text}>", plain(url)),
    plain,
    newline: "\n",
    most: 12_000,
};

/// The three signs that Slack has written in another way.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(super) fn post(config: &SlackConfig, delivery: &Delivery, external_url: &str) -> Result<Post, String> {
    let title = text::title(delivery, config.language);
    let mut attachment = json!({
        "title": plain(&title),
        "fallback": plain(&title),
        "text": text::alerts(delivery, config.language, MARKUP),
        "color": if text::is_firing(delivery) { "danger" } else { "good" },
        "mrkdwn_in": ["text"],
    });
    if !external_url.is_empty() {
        attachment["title_link"] = json!(external_url);
    }
    let mut body = json!({"attachments": [attachment]});
    for (key, value) in
        [("channel", &config.channel), ("username", &config.username), ("icon_emoji", &config.icon_emoji)]
    {
        if !value.is_empty() {
            body[key] = json!(value);
        }
    }
    Ok(Post { url: config.api_url.read()?, body })
}

/// A webhook says `ok`; the method `chat.postMessage` answers 200 with `{"ok": false, "error": …}` too.
pub(super) fn judge(body: &[u8]) -> Answer {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if answer.get("ok") != Some(&Value::Bool(false)) {
        return Answer::Taken;
    }
    let why = answer.get("error").and_then(Value::as_str).unwrap_or("not ok").to_owned();
    if matches!(why.as_str(), "ratelimited" | "service_unavailable" | "internal_error") {
        Answer::Again(why)
    } else {
        Answer::Refused(why)
    }
}
