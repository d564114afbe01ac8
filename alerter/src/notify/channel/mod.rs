//! Ways to tell somebody: what is sent to each kind of receiver, and whether its answer means that it took it. Pure but
//! for secrets that lie in files.

mod alertmanager;
mod common;
mod dingtalk;
mod email;
mod feishu;
mod pagerduty;
mod robot;
mod slack;
#[cfg(test)]
mod tests;
mod text;
mod webhook;
mod wecom;

use serde_json::Value;

pub use alertmanager::AlertmanagerConfig;
pub use common::Common;
pub use email::EmailConfig;
pub use pagerduty::PagerDutyConfig;
pub use robot::RobotConfig;
pub use slack::SlackConfig;
pub use text::Language;
pub use webhook::WebhookConfig;

pub(super) use email::Mail;

use super::group::Delivery;
use super::template::{Kind, Templates, Texts};
use crate::client::Secret;
use crate::options::is_http;

/// One way to tell a receiver.
#[derive(Debug, Clone, PartialEq)]
pub enum Channel {
    /// Alertmanager's webhook JSON.
    Webhook(WebhookConfig),
    /// A group robot of DingTalk.
    DingTalk(RobotConfig),
    /// A group robot of WeCom.
    WeCom(RobotConfig),
    /// A group robot of Feishu or Lark.
    Feishu(RobotConfig),
    /// An incoming webhook of Slack, its method `chat.postMessage`, or what speaks as one.
    Slack(SlackConfig),
    /// PagerDuty's events, version 2.
    PagerDuty(PagerDutyConfig),
    /// E-mail.
    Email(Box<EmailConfig>),
    /// An Alertmanager, by its version 2 interface.
    Alertmanager(AlertmanagerConfig),
}

/// What is sent.
pub(super) enum Request {
    Post(Post),
    Mail(Box<Mail>),
}

/// What is posted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Post {
    /// Where to; often a secret.
    pub(super) url: String,
    pub(super) body: Value,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    /// Not now; why.
    Again(String),
    /// Not at all as it is; why.
    Refused(String),
}

/// A text of a receiver: its key, how it is executed, and the template.
type Field<'a> = (String, Kind, &'a str);

impl Channel {
    /// As its key in a receiver begins.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::DingTalk(_) => "dingtalk",
            Self::WeCom(_) => "wecom",
            Self::Feishu(_) => "feishu",
            Self::Slack(_) => "slack",
            Self::PagerDuty(_) => "pagerduty",
            Self::Email(_) => "email",
            Self::Alertmanager(_) => "alertmanager",
        }
    }

    /// What all kinds have.
    pub(super) fn common(&self) -> &Common {
        match self {
            Self::Webhook(config) => &config.common,
            Self::DingTalk(config) | Self::WeCom(config) | Self::Feishu(config) => &config.common,
            Self::Slack(config) => &config.common,
            Self::PagerDuty(config) => &config.common,
            Self::Email(config) => &config.common,
            Self::Alertmanager(config) => &config.common,
        }
    }

    /// Whether it is told of resolved alerts.
    pub(super) fn send_resolved(&self) -> bool {
        self.common().send_resolved
    }

    /// Where to, if that is an address of HTTP.
    pub(super) fn address(&self) -> Option<&Secret> {
        match self {
            Self::Webhook(config) => Some(&config.url),
            Self::DingTalk(config) | Self::WeCom(config) | Self::Feishu(config) => Some(&config.url),
            Self::Slack(config) => Some(&config.api_url),
            Self::PagerDuty(config) => Some(&config.url),
            Self::Email(_) => None,
            Self::Alertmanager(config) => Some(&config.url),
        }
    }

    fn texts(&self) -> Vec<Field<'_>> {
        match self {
            Self::Webhook(_) | Self::Alertmanager(_) => Vec::new(),
            Self::DingTalk(config) | Self::WeCom(config) | Self::Feishu(config) => config.texts(),
            Self::Slack(config) => config.texts(),
            Self::PagerDuty(config) => config.texts(),
            Self::Email(config) => config.texts(),
        }
    }

    /// What cannot work: an address that is none, no time for an answer, files of TLS, and templates. Reads files: not for
    /// an async thread.
    pub(super) fn check(&self, templates: &Templates) -> Result<(), String> {
        if matches!(self.address(), Some(Secret::Text(url)) if !is_http(url)) {
            return Err("an address is not an http or https address".to_owned());
        }
        if self.common().timeout.0.is_zero() {
            return Err("timeout: must be longer than 0".to_owned());
        }
        match self {
            Self::Email(config) => config.check()?,
            _ => self.common().check()?,
        }
        for (key, kind, text) in self.texts() {
            templates.check(kind, text).map_err(|error| format!("{key}: {error}"))?;
        }
        Ok(())
    }

    /// What tells it of a delivery; an error where a secret cannot be read from its file. Reads files: not for an async
    /// thread.
    pub(super) fn request(&self, delivery: &Delivery, texts: &Texts<'_>) -> Result<Request, String> {
        match self {
            Self::Webhook(config) => {
                let body = serde_json::to_value(webhook::message(delivery, config.max_alerts, texts.external_url));
                Ok(Post { url: config.url.read()?, body: body.map_err(|error| error.to_string())? })
            }
            Self::DingTalk(config) => dingtalk::post(config, delivery, texts),
            Self::WeCom(config) => wecom::post(config, delivery, texts),
            Self::Feishu(config) => feishu::post(config, delivery, texts),
            Self::Slack(config) => slack::post(config, delivery, texts),
            Self::PagerDuty(config) => pagerduty::post(config, delivery, texts),
            Self::Email(config) => return email::mail(config, delivery, texts).map(Box::new).map(Request::Mail),
            Self::Alertmanager(config) => alertmanager::post(config, delivery, texts.now_ms),
        }
        .map(Request::Post)
    }

    /// Judges an answer of HTTP. Robots say 200 whatever they did, and a proxy that wants somebody to sign in answers in
    /// place of the receiver, so a status of success alone proves nothing.
    pub(super) fn judge(&self, status: u16, body: &[u8]) -> Answer {
        match status {
            200..=299 if is_page(body) => Answer::Again("it answered with a web page".to_owned()),
            200..=299 => match self {
                Self::DingTalk(_) => robot::judge(body, "errcode", "errmsg", &[-1, 130_101]),
                Self::WeCom(_) => robot::judge(body, "errcode", "errmsg", &[-1, 45_009]),
                Self::Feishu(_) => robot::judge(body, "code", "msg", &[9_499, 11_232]),
                Self::Slack(config) => slack::judge(config, body),
                Self::Webhook(_) | Self::PagerDuty(_) | Self::Email(_) | Self::Alertmanager(_) => Answer::Taken,
            },
            // Where a redirection leads a POST may not be repeated, and what sends it may be a gate before the receiver.
            300..=399 | 408 | 429 | 500.. => Answer::Again(format!("it answered {status}")),
            _ => Answer::Refused(format!("it answered {status}")),
        }
    }
}

/// Whether this is a page for people.
fn is_page(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag)))
}
