//! Keys `route` and `receivers` of the configuration: Alertmanager's names and fields.

use serde::{Deserialize, Deserializer};
use weir_service::config::Span;

use super::channel::{
    AlertmanagerConfig, Channel, EmailConfig, PagerDutyConfig, RobotConfig, SlackConfig, WebhookConfig,
};
use super::matcher::{self, LabelMatcher};
use super::template::{Templates, TemplatesError};

/// What the notifier is made from.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where alerts go.
    pub route: Route,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// Globs of files with templates of messages.
    pub templates: Vec<String>,
    /// Where this alerter can be reached, for links in notifications; without a slash at its end.
    pub external_url: String,
}

/// A node of the tree of routes. What is not set is as in the parent; at the root, `group_wait` is 0, `group_interval`
/// a minute and `repeat_interval` four hours.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// Name of the receiver.
    pub receiver: Option<String>,
    /// Labels by which alerts are put together; `...` is all of them.
    pub group_by: Option<Vec<String>>,
    /// How long the first notification of a group waits for more alerts.
    pub group_wait: Option<Span>,
    /// How long until the group is told of again when it has changed.
    pub group_interval: Option<Span>,
    /// How long until it is told of again when it has not.
    pub repeat_interval: Option<Span>,
    /// All of them must hold, such as `severity="page"` or `{team=~"a|b", region!="eu"}`.
    #[serde(deserialize_with = "matcher::deserialize_all")]
    pub matchers: Vec<LabelMatcher>,
    /// Whether the routes after this one are looked at too.
    pub r#continue: bool,
    /// The first that matches takes the alert; otherwise this one does.
    pub routes: Vec<Route>,
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
    /// There are receivers, but none at the root.
    #[error("route.receiver: is missing, so no alert would reach a receiver")]
    NoReceiver,
    /// No receiver has this name.
    #[error("route: there is no receiver `{0}`")]
    UnknownReceiver(String),
    /// Two have.
    #[error("receivers: there are two named `{0}`")]
    TwoReceivers(String),
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
    /// At the root all alerts must match.
    #[error("route: the root takes all alerts, so it has no matchers and no continue")]
    RootMatches,
    /// It would be told without end.
    #[error("route: group_interval and repeat_interval must be longer than 0")]
    NoInterval,
    /// Nested too deep.
    #[error("route: more than 16 levels of routes")]
    TooDeep,
}

impl Options {
    /// Whether it can work: names are there and unique, addresses are addresses, templates are templates. Reads files: not
    /// for an async thread.
    pub fn check(&self) -> Result<(), OptionsError> {
        let templates = Templates::load(&self.templates)?;
        let mut names = std::collections::BTreeSet::new();
        for receiver in &self.receivers {
            if !names.insert(receiver.name.as_str()) {
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
        if !self.route.matchers.is_empty() || self.route.r#continue {
            return Err(OptionsError::RootMatches);
        }
        if self.route.receiver.is_none() && !(self.receivers.is_empty() && self.route == Route::default()) {
            return Err(OptionsError::NoReceiver);
        }
        self.route.check(&names, 0)
    }
}

impl Route {
    fn check(&self, names: &std::collections::BTreeSet<&str>, depth: usize) -> Result<(), OptionsError> {
        if depth > 16 {
            return Err(OptionsError::TooDeep);
        }
        if let Some(name) = self.receiver.as_ref().filter(|name| !names.contains(name.as_str())) {
            return Err(OptionsError::UnknownReceiver(name.clone()));
        }
        if [&self.group_interval, &self.repeat_interval].into_iter().flatten().any(|span| span.0.is_zero()) {
            return Err(OptionsError::NoInterval);
        }
        self.routes.iter().try_for_each(|route| route.check(names, depth + 1))
    }
}
