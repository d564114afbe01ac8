//! Keys `route` and `receivers` of the configuration: Alertmanager's names and fields.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use weir_service::config::Span;

use super::matcher::LabelMatcher;
use crate::options::is_http;

/// What the notifier is made from.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where alerts go.
    pub route: Route,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
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
    /// All of them must hold, such as `severity="page"` or `team=~"a|b"`.
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
    /// Told over HTTP.
    pub webhook_configs: Vec<WebhookConfig>,
}

/// An HTTP endpoint that takes Alertmanager's webhook JSON.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to; never logged, since such addresses often hold a secret.
    pub url: String,
    /// Whether it is told of resolved alerts.
    #[serde(default = "yes")]
    pub send_resolved: bool,
    /// Greatest number of alerts in one notification; 0 is no limit.
    #[serde(default)]
    pub max_alerts: usize,
    /// How long an answer may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
}

impl std::fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url: _, send_resolved, max_alerts, timeout } = self;
        f.debug_struct("WebhookConfig")
            .field("url", &"<secret>")
            .field("send_resolved", send_resolved)
            .field("max_alerts", max_alerts)
            .field("timeout", timeout)
            .finish()
    }
}

fn yes() -> bool {
    true
}

fn ten_seconds() -> Span {
    Span(Duration::from_secs(10))
}

#[derive(Deserialize)]
struct RawReceiver {
    name: String,
    #[serde(default)]
    webhook_configs: Vec<WebhookConfig>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

impl<'de> Deserialize<'de> for Receiver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let raw = RawReceiver::deserialize(deserializer)?;
        if let Some(other) = raw.others.keys().next() {
            let name = &raw.name;
            return Err(D::Error::custom(if other.ends_with("_configs") && !other.starts_with("webhook") {
                format!("receiver `{name}`: `{other}` is not supported by this version; use webhook_configs")
            } else {
                format!("receiver `{name}`: unknown key `{other}`; there are `name` and `webhook_configs`")
            }));
        }
        Ok(Self { name: raw.name, webhook_configs: raw.webhook_configs })
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
    /// Not an address.
    #[error("receivers: a webhook url of `{receiver}` is not an http or https address")]
    Url {
        /// Whose.
        receiver: String,
    },
    /// No answer could come in time.
    #[error("receivers: timeout of a webhook of `{receiver}` must be longer than 0")]
    NoTime {
        /// Whose.
        receiver: String,
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
    /// Whether it can work: names are there and unique, addresses are addresses.
    pub fn check(&self) -> Result<(), OptionsError> {
        let mut names = std::collections::BTreeSet::new();
        for receiver in &self.receivers {
            if !names.insert(receiver.name.as_str()) {
                return Err(OptionsError::TwoReceivers(receiver.name.clone()));
            }
            for webhook in &receiver.webhook_configs {
                if !is_http(&webhook.url) {
                    return Err(OptionsError::Url { receiver: receiver.name.clone() });
                }
                if webhook.timeout.0.is_zero() {
                    return Err(OptionsError::NoTime { receiver: receiver.name.clone() });
                }
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
