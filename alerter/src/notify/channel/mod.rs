//! Ways to tell somebody: what is sent to each kind of receiver, and whether its answer means that it took it. Pure but
//! for secrets that lie in files.

mod alertmanager;
mod dingtalk;
mod feishu;
mod pagerduty;
mod robot;
mod secret;
mod slack;
#[cfg(test)]
mod tests;
mod text;
mod webhook;
mod wecom;

use std::time::Duration;

use serde_json::Value;

pub use alertmanager::AlertmanagerConfig;
pub use pagerduty::PagerDutyConfig;
pub use robot::RobotConfig;
pub use secret::Secret;
pub use slack::SlackConfig;
pub use text::Language;
pub use webhook::WebhookConfig;

use super::group::Delivery;

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
    /// An incoming webhook of Slack, or what speaks as one.
    Slack(SlackConfig),
    /// PagerDuty's events, version 2.
    PagerDuty(PagerDutyConfig),
    /// An Alertmanager, by its version 2 interface.
    Alertmanager(AlertmanagerConfig),
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
            Self::Alertmanager(_) => "alertmanager",
        }
    }

    /// Whether it is told of resolved alerts.
    pub(super) fn send_resolved(&self) -> bool {
        match self {
            Self::Webhook(config) => config.send_resolved,
            Self::DingTalk(config) | Self::WeCom(config) | Self::Feishu(config) => config.send_resolved,
            Self::Slack(config) => config.send_resolved,
            Self::PagerDuty(config) => config.send_resolved,
            Self::Alertmanager(config) => config.send_resolved,
        }
    }

    /// How long an answer may take.
    pub(super) fn timeout(&self) -> Duration {
        match self {
            Self::Webhook(config) => config.timeout.0,
            Self::DingTalk(config) | Self::WeCom(config) | Self::Feishu(config) => config.timeout.0,
            Self::Slack(config) => config.timeout.0,
            Self::PagerDuty(config) => config.timeout.0,
            Self::Alertmanager(config) => config.timeout.0,
        }
    }

    /// Where to.
    pub(super) fn address(&self) -> &Secret {
        match self {
            Self::Webhook(config) => &config.url,
            Self::DingTalk(config) | Self::WeCom(config) | Self::Feishu(config) => &config.url,
            Self::Slack(config) => &config.api_url,
            Self::PagerDuty(config) => &config.url,
            Self::Alertmanager(config) => &config.url,
        }
    }

    /// What tells it of a delivery at a time; an error where a secret cannot be read from its file.
    pub(super) fn post(&self, delivery: &Delivery, external_url: &str, now_ms: i64) -> Result<Post, String> {
        match self {
            Self::Webhook(config) => {
                let body = serde_json::to_value(webhook::message(delivery, config.max_alerts, external_url));
                Ok(Post { url: config.url.read()?, body: body.map_err(|error| error.to_string())? })
            }
            Self::DingTalk(config) => dingtalk::post(config, delivery, now_ms),
            Self::WeCom(config) => wecom::post(config, delivery),
            Self::Feishu(config) => feishu::post(config, delivery, now_ms),
            Self::Slack(config) => slack::post(config, delivery, external_url),
            Self::PagerDuty(config) => pagerduty::post(config, delivery, external_url),
            Self::Alertmanager(config) => alertmanager::post(config, delivery, now_ms),
        }
    }

    /// Judges an answer. Robots say 200 whatever they did, and a proxy that wants somebody to sign in answers in place of
    /// the receiver, so a status of success alone proves nothing.
    pub(super) fn judge(&self, status: u16, body: &[u8]) -> Answer {
        match status {
            200..=299 if is_page(body) => Answer::Again("it answered with a web page".to_owned()),
            200..=299 => match self {
                Self::DingTalk(_) => robot::judge(body, "errcode", "errmsg", &[-1, 130_101]),
                Self::WeCom(_) => robot::judge(body, "errcode", "errmsg", &[-1, 45_009]),
                Self::Feishu(_) => robot::judge(body, "code", "msg", &[9_499, 11_232]),
                Self::Slack(_) => slack::judge(body),
                Self::Webhook(_) | Self::PagerDuty(_) | Self::Alertmanager(_) => Answer::Taken,
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
