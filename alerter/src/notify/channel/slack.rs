//! Slack's incoming webhooks, its method `chat.postMessage`, and those of what speaks as Slack does.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use weir_service::config::Span;

use super::super::group::Delivery;
use super::super::template::{Kind, Texts};
use super::text::{self, Language, Markup};
use super::{Answer, Common, Field, Post};
use crate::client::{HttpConfig, Secret};

/// `slack_configs`. Its texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackConfig {
    /// The webhook's address.
    pub api_url: Secret,
    /// Of the message: key in Slack, and template.
    message: Vec<(&'static str, String)>,
    /// Of its attachment.
    attachment: Vec<(&'static str, String)>,
    fields: Vec<SlackField>,
    short_fields: bool,
    actions: Vec<SlackAction>,
    mrkdwn_in: Vec<String>,
    link_names: bool,
    /// What messages are written in that no template writes.
    pub language: Language,
    /// What all kinds have.
    pub common: Common,
}

/// A field of the attachment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlackField {
    title: String,
    value: String,
    #[serde(default)]
    short: Option<bool>,
}

/// A button or menu.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlackAction {
    r#type: String,
    text: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    style: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    confirm: Option<SlackConfirm>,
}

/// What a button asks first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlackConfirm {
    text: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    ok_text: String,
    #[serde(default)]
    dismiss_text: String,
}

impl SlackAction {
    fn texts(&self) -> [(&'static str, &str); 6] {
        [
            ("type", &self.r#type),
            ("text", &self.text),
            ("url", &self.url),
            ("style", &self.style),
            ("name", &self.name),
            ("value", &self.value),
        ]
    }
}

impl SlackConfirm {
    fn texts(&self) -> [(&'static str, &str); 4] {
        [("text", &self.text), ("title", &self.title), ("ok_text", &self.ok_text), ("dismiss_text", &self.dismiss_text)]
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    api_url: Option<String>,
    api_url_file: Option<PathBuf>,
    channel: Option<String>,
    username: Option<String>,
    icon_emoji: Option<String>,
    icon_url: Option<String>,
    link_names: bool,
    color: Option<String>,
    title: Option<String>,
    title_link: Option<String>,
    pretext: Option<String>,
    text: Option<String>,
    fallback: Option<String>,
    callback_id: Option<String>,
    footer: Option<String>,
    image_url: Option<String>,
    thumb_url: Option<String>,
    fields: Vec<SlackField>,
    short_fields: bool,
    actions: Vec<SlackAction>,
    mrkdwn_in: Vec<String>,
    send_resolved: bool,
    language: Language,
    timeout: Span,
    http_config: Option<HttpConfig>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            api_url: None,
            api_url_file: None,
            channel: None,
            username: None,
            icon_emoji: None,
            icon_url: None,
            link_names: false,
            color: None,
            title: None,
            title_link: None,
            pretext: None,
            text: None,
            fallback: None,
            callback_id: None,
            footer: None,
            image_url: None,
            thumb_url: None,
            fields: Vec::new(),
            short_fields: false,
            actions: Vec::new(),
            // As in Alertmanager.
            mrkdwn_in: ["fallback", "pretext", "text"].map(str::to_owned).to_vec(),
            // As in Alertmanager, whose other receivers are told.
            send_resolved: false,
            language: Language::English,
            timeout: Common::TIMEOUT,
            http_config: None,
        }
    }
}

impl TryFrom<Raw> for SlackConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let set = |texts: Vec<(&'static str, Option<String>)>| {
            texts.into_iter().filter_map(|(key, text)| Some((key, text?))).collect()
        };
        Ok(Self {
            api_url: Secret::needed("api_url", raw.api_url, raw.api_url_file)?,
            message: set(vec![
                ("channel", raw.channel),
                ("username", raw.username),
                ("icon_emoji", raw.icon_emoji),
                ("icon_url", raw.icon_url),
            ]),
            attachment: set(vec![
                ("color", raw.color),
                ("title", raw.title),
                ("title_link", raw.title_link),
                ("pretext", raw.pretext),
                ("text", raw.text),
                ("fallback", raw.fallback),
                ("callback_id", raw.callback_id),
                ("footer", raw.footer),
                ("image_url", raw.image_url),
                ("thumb_url", raw.thumb_url),
            ]),
            fields: raw.fields,
            short_fields: raw.short_fields,
            actions: raw.actions,
            mrkdwn_in: raw.mrkdwn_in,
            link_names: raw.link_names,
            language: raw.language,
            common: Common::new(raw.send_resolved, raw.timeout, raw.http_config),
        })
    }
}

impl<'de> Deserialize<'de> for SlackConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

impl SlackConfig {
    pub(super) fn texts(&self) -> Vec<Field<'_>> {
        let plain = self.message.iter().chain(&self.attachment).map(|(key, text)| ((*key).to_owned(), text.as_str()));
        let fields = self.fields.iter().enumerate().flat_map(|(at, field)| {
            [
                (format!("fields[{at}].title"), field.title.as_str()),
                (format!("fields[{at}].value"), field.value.as_str()),
            ]
        });
        let actions = self.actions.iter().enumerate().flat_map(|(at, action)| {
            let confirm = action.confirm.iter().flat_map(SlackConfirm::texts);
            let confirm = confirm.map(move |(key, text)| (format!("actions[{at}].confirm.{key}"), text));
            action.texts().into_iter().map(move |(key, text)| (format!("actions[{at}].{key}"), text)).chain(confirm)
        });
        plain.chain(fields).chain(actions).map(|(key, text)| (key, Kind::Text, text)).collect()
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

/// Texts of Alertmanager's that user's files may define in place of a key.
const NAMES: [(&str, &str); 9] = [
    ("username", "slack.default.username"),
    ("icon_emoji", "slack.default.iconemoji"),
    ("icon_url", "slack.default.iconurl"),
    ("title", "slack.default.title"),
    ("title_link", "slack.default.titlelink"),
    ("pretext", "slack.default.pretext"),
    ("text", "slack.default.text"),
    ("fallback", "slack.default.fallback"),
    ("footer", "slack.default.footer"),
];

pub(super) fn post(config: &SlackConfig, delivery: &Delivery, texts: &Texts<'_>) -> Result<Post, String> {
    let of = |from: &[(&'static str, String)], key: &'static str| {
        let text = from.iter().find(|(name, _)| *name == key).map(|(_, text)| text.as_str());
        let by_default = NAMES.iter().find(|(name, _)| *name == key).map_or("", |(_, name)| name);
        texts.of(key, text, by_default)
    };
    let default_title = || plain(&text::title(delivery, config.language));
    let mut attachment = Map::new();
    let keys =
        ["color", "title", "title_link", "pretext", "fallback", "callback_id", "footer", "image_url", "thumb_url"];
    for key in keys {
        let text = of(&config.attachment, key).unwrap_or_else(|| match key {
            "color" => if text::is_firing(delivery) { "danger" } else { "good" }.to_owned(),
            "title" | "fallback" => default_title(),
            "title_link" => texts.external_url.to_owned(),
            _ => String::new(),
        });
        if !text.is_empty() {
            attachment.insert(key.to_owned(), json!(text));
        }
    }
    if !config.fields.is_empty() {
        attachment.insert("fields".to_owned(), fields(config, texts));
    }
    if !config.actions.is_empty() {
        attachment.insert("actions".to_owned(), actions(config, texts));
    }
    let mut body = Map::new();
    for key in ["channel", "username", "icon_emoji", "icon_url"] {
        let by_default = if key == "username" { "weir" } else { "" };
        let text = of(&config.message, key).unwrap_or_else(|| by_default.to_owned());
        if !text.is_empty() {
            body.insert(key.to_owned(), json!(text));
        }
    }
    if config.link_names {
        body.insert("link_names".to_owned(), json!(true));
    }
    // The last, so that it says what failed of the others.
    let text = of(&config.attachment, "text");
    let text = text.unwrap_or_else(|| text::alerts(delivery, config.language, MARKUP));
    attachment.insert("text".to_owned(), json!(text::noted(text, MARKUP, texts)));
    attachment.insert("mrkdwn_in".to_owned(), json!(config.mrkdwn_in));
    body.insert("attachments".to_owned(), json!([attachment]));
    Ok(Post { url: config.api_url.read()?, body: Value::Object(body) })
}

fn fields(config: &SlackConfig, texts: &Texts<'_>) -> Value {
    let one = |(at, field): (usize, &SlackField)| {
        let of = |key: &str, text: &str| texts.of(&format!("fields[{at}].{key}"), Some(text), "").unwrap_or_default();
        let (title, value) = (of("title", &field.title), of("value", &field.value));
        json!({"title": title, "value": value, "short": field.short.unwrap_or(config.short_fields)})
    };
    config.fields.iter().enumerate().map(one).collect()
}

fn actions(config: &SlackConfig, texts: &Texts<'_>) -> Value {
    let written = |place: &str, of: &[(&'static str, &str)]| {
        let one = |(key, text): &(&'static str, &str)| {
            let text = texts.of(&format!("{place}.{key}"), Some(text), "").unwrap_or_default();
            (!text.is_empty()).then(|| ((*key).to_owned(), json!(text)))
        };
        of.iter().filter_map(one).collect::<Map<String, Value>>()
    };
    let one = |(at, action): (usize, &SlackAction)| {
        let mut made = written(&format!("actions[{at}]"), &action.texts());
        // As in Alertmanager: what has an address is a link, and has nothing else.
        if made.contains_key("url") {
            made.retain(|key, _| !matches!(key.as_str(), "name" | "value"));
        } else if let Some(confirm) = &action.confirm {
            made.insert("confirm".to_owned(), written(&format!("actions[{at}].confirm"), &confirm.texts()).into());
        }
        Value::Object(made)
    };
    config.actions.iter().enumerate().map(one).collect()
}

/// Errors of Slack's methods that pass.
const PASSING: [&str; 7] = [
    "accesslimited",
    "fatal_error",
    "internal_error",
    "rate_limited",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
];

/// A webhook says `ok`; the method `chat.postMessage`, which a bot's token is for, answers 200 with
/// `{"ok": false, "error": …}` too.
pub(super) fn judge(config: &SlackConfig, body: &[u8]) -> Answer {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    match answer.get("ok").and_then(Value::as_bool) {
        Some(true) => Answer::Taken,
        None if config.common.http.authorization.is_none() => Answer::Taken,
        None => Answer::Again("its answer has no `ok`, so it is not Slack's".to_owned()),
        Some(false) => {
            let why = answer.get("error").and_then(Value::as_str).unwrap_or("not ok");
            let why: String = why.chars().take(200).collect();
            if PASSING.contains(&why.as_str()) { Answer::Again(why) } else { Answer::Refused(why) }
        }
    }
}
