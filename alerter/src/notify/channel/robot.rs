//! What the group robots of DingTalk, WeCom and Feishu have in common: an address that holds a token, and answers that
//! are 200 whatever became of the message.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use weir_service::config::Span;

use super::super::template::Kind;
use super::text::Language;
use super::{Answer, Common, Field};
use crate::client::{HttpConfig, Secret};

/// A robot of a group chat: `dingtalk_configs`, `wecom_configs`, `feishu_configs`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct RobotConfig {
    /// The address that the chat gives for the robot.
    pub url: Secret,
    /// With what messages are signed, where the robot asks for it; WeCom's do not.
    pub secret: Option<Secret>,
    /// Who is mentioned while an alert fires: mobile numbers in DingTalk, ids of users in WeCom and Feishu, or `all`.
    pub mention: Vec<String>,
    /// What messages are written in that no template writes.
    pub language: Language,
    /// Template of the title.
    pub title: Option<String>,
    /// Template of the message, in the chat's markdown.
    pub text: Option<String>,
    /// What all kinds have.
    pub common: Common,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    url: Option<String>,
    url_file: Option<PathBuf>,
    secret: Option<String>,
    secret_file: Option<PathBuf>,
    send_resolved: bool,
    mention: Vec<String>,
    language: Language,
    title: Option<String>,
    /// Some call it `message`.
    #[serde(alias = "message")]
    text: Option<String>,
    timeout: Span,
    http_config: Option<HttpConfig>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            secret: None,
            secret_file: None,
            send_resolved: true,
            mention: Vec::new(),
            language: Language::Chinese,
            title: None,
            text: None,
            timeout: Common::TIMEOUT,
            http_config: None,
        }
    }
}

impl TryFrom<Raw> for RobotConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        Ok(Self {
            url: Secret::needed("url", raw.url, raw.url_file)?,
            secret: Secret::optional("secret", raw.secret, raw.secret_file)?,
            mention: raw.mention,
            language: raw.language,
            title: raw.title,
            text: raw.text,
            common: Common::new(raw.send_resolved, raw.timeout, raw.http_config),
        })
    }
}

impl RobotConfig {
    pub(super) fn texts(&self) -> Vec<Field<'_>> {
        let fields = [("title", &self.title), ("text", &self.text)];
        let set = fields.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Kind::Text, text.as_deref()?)));
        set.collect()
    }
}

/// Reads `{"code": 0, "message": "ok"}` under these names; `again` are codes that pass.
pub(super) fn judge(body: &[u8], code: &str, message: &str, again: &[i64]) -> Answer {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(number) = answer.get(code).and_then(Value::as_i64) else {
        return Answer::Again(format!("its answer has no `{code}`, so it is not the robot's"));
    };
    if number == 0 {
        return Answer::Taken;
    }
    let said = answer.get(message).and_then(Value::as_str).unwrap_or_default();
    let why = format!("{code} {number}: {}", said.chars().take(200).collect::<String>());
    if again.contains(&number) { Answer::Again(why) } else { Answer::Refused(why) }
}
