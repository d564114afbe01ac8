//! What the notifier is made from; key `receivers` of the configuration: Alertmanager's names and fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

use super::channel::{
    AlertmanagerConfig, Channel, EmailConfig, PagerDutyConfig, RobotConfig, SlackConfig, WebhookConfig,
};
use super::inhibit::InhibitRule;
use super::interval::{NamedIntervals, TimeInterval};
use super::route::{Route, RouteError};
use super::template::{Templates, TemplatesError};

/// What the notifier is made from.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where alerts go.
    pub route: Route,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// Which alerts keep others from being told.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Times that routes refer to by name.
    pub time_intervals: Vec<NamedIntervals>,
    /// Globs of files with templates of messages.
    pub templates: Vec<String>,
    /// Where this alerter can be reached, for links in notifications; without a slash at its end.
    pub external_url: String,
    /// The configuration as it may be shown: YAML, with `<secret>` in place of what is one.
    pub shown: String,
}

/// Who can be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// Unique.
    pub name: String,
    /// How; each is told on its own.
    pub channels: Vec<Channel>,
}

#[derive(Deserialize)]
struct RawReceiver {
    name: String,
    #[serde(default)]
    webhook_configs: Vec<WebhookConfig>,
    #[serde(default)]
    dingtalk_configs: Vec<RobotConfig>,
    #[serde(default)]
    wecom_configs: Vec<RobotConfig>,
    #[serde(default)]
    feishu_configs: Vec<RobotConfig>,
    #[serde(default)]
    slack_configs: Vec<SlackConfig>,
    #[serde(default)]
    pagerduty_configs: Vec<PagerDutyConfig>,
    #[serde(default)]
    email_configs: Vec<EmailConfig>,
    #[serde(default)]
    alertmanager_configs: Vec<AlertmanagerConfig>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

const KEYS: &str = "`name`, `webhook_configs`, `dingtalk_configs`, `wecom_configs`, `feishu_configs`, `slack_configs`, \
    `pagerduty_configs`, `email_configs` and `alertmanager_configs`";

impl<'de> Deserialize<'de> for Receiver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let raw = RawReceiver::deserialize(deserializer)?;
        if let Some(other) = raw.others.keys().next() {
            let name = &raw.name;
            let what = if other.ends_with("_configs") { "is not supported" } else { "is no key" };
            return Err(D::Error::custom(format!("receiver `{name}`: `{other}` {what}; there are {KEYS}")));
        }
        if raw.wecom_configs.iter().any(|robot| robot.secret.is_some()) {
            let name = &raw.name;
            return Err(D::Error::custom(format!("receiver `{name}`: wecom_configs: WeCom's robots have no `secret`")));
        }
        let webhooks = raw.webhook_configs.into_iter().map(Channel::Webhook);
        let channels = webhooks
            .chain(raw.dingtalk_configs.into_iter().map(Channel::DingTalk))
            .chain(raw.wecom_configs.into_iter().map(Channel::WeCom))
            .chain(raw.feishu_configs.into_iter().map(Channel::Feishu))
            .chain(raw.slack_configs.into_iter().map(Channel::Slack))
            .chain(raw.pagerduty_configs.into_iter().map(Channel::PagerDuty))
            .chain(raw.email_configs.into_iter().map(Box::new).map(Channel::Email))
            .chain(raw.alertmanager_configs.into_iter().map(Channel::Alertmanager));
        Ok(Self { name: raw.name, channels: channels.collect() })
    }
}

/// What cannot work; each names its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The tree of routes.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Two have.
    #[error("receivers: there are two named `{0}`")]
    TwoReceivers(String),
    /// Two have.
    #[error("time_intervals, mute_time_intervals: there are two named `{0}`")]
    TwoIntervals(String),
    /// Nothing could refer to it.
    #[error("{0}: a name is empty")]
    NoName(&'static str),
    /// Files of templates.
    #[error(transparent)]
    Templates(#[from] TemplatesError),
    /// A way to tell a receiver.
    #[error("receivers: `{receiver}`: {kind}_configs: {why}")]
    Channel {
        /// Whose.
        receiver: String,
        /// Of which kind.
        kind: &'static str,
        /// What cannot work, with its key.
        why: String,
    },
}

impl Options {
    /// Whether it can work: names are there and unique, addresses are addresses, templates are templates. Reads files: not
    /// for an async thread.
    pub fn check(&self) -> Result<(), OptionsError> {
        let templates = Templates::load(&self.templates)?;
        let (mut receivers, mut intervals) = (BTreeSet::new(), BTreeSet::new());
        for receiver in &self.receivers {
            if receiver.name.is_empty() {
                return Err(OptionsError::NoName("receivers"));
            }
            if !receivers.insert(receiver.name.as_str()) {
                return Err(OptionsError::TwoReceivers(receiver.name.clone()));
            }
            for channel in &receiver.channels {
                channel.check(&templates).map_err(|why| OptionsError::Channel {
                    receiver: receiver.name.clone(),
                    kind: channel.kind(),
                    why,
                })?;
            }
        }
        for NamedIntervals { name, .. } in &self.time_intervals {
            if name.is_empty() {
                return Err(OptionsError::NoName("time_intervals, mute_time_intervals"));
            }
            if !intervals.insert(name.as_str()) {
                return Err(OptionsError::TwoIntervals(name.clone()));
            }
        }
        Ok(self.route.check(&receivers, &intervals)?)
    }

    /// The time intervals by their names.
    pub(super) fn intervals(&self) -> BTreeMap<&str, &[TimeInterval]> {
        self.time_intervals.iter().map(|named| (named.name.as_str(), named.time_intervals.as_slice())).collect()
    }
}
