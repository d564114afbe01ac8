//! What the group robots of DingTalk, WeCom and Feishu have in common: an address that holds a token, and answers that
//! are 200 whatever became of the message.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use weir_service::config::Span;

use super::text::Language;
use super::{Answer, Secret};

/// A robot of a group chat: `dingtalk_configs`, `wecom_configs`, `feishu_configs`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct RobotConfig {
    /// The address that the chat gives for the robot.
    pub url: Secret,
    /// With what messages are signed, where the robot asks for it; WeCom's do not.
    pub secret: Option<Secret>,
    /// Whether it is told of resolved alerts.
    pub send_resolved: bool,
    /// Who is mentioned while an alert fires: mobile numbers in DingTalk, ids of users in WeCom and Feishu, or `all`.
    pub mention: Vec<String>,
    /// What messages are written in.
    pub language: Language,
    /// How long an answer may take.
    pub timeout: Span,
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
    timeout: Span,
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
            timeout: Span(Duration::from_secs(10)),
        }
    }
}

impl TryFrom<Raw> for RobotConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        Ok(Self {
            url: Secret::needed("url", raw.url, raw.url_file)?,
            secret: Secret::optional("secret", raw.secret, raw.secret_file)?,
            send_resolved: raw.send_resolved,
            mention: raw.mention,
            language: raw.language,
            timeout: raw.timeout,
        })
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
