//! Notifications: from alerts to receivers, apart from evaluation.
//!
//! Evaluation hands over the firing and the lately resolved alerts ([`Notifier::update`], which never waits); grouping,
//! retry and what was told already are kept here. Delivery is **at least once**: a notification counts as taken when
//! the receiver says that it took it ([`Channel`]), and what was taken is part of the alerter's snapshot ([`Notifier::notified`]), so a
//! restart tells nothing twice unless it falls between the receiver's answer and the write of the snapshot. Another
//! configuration ([`ConfigSource`]) takes over in the same way ([`Notifier::replace`]). Times of
//! groups are wall-clock times, since receivers and people live by them; times of alerts are event times.

mod alert;
mod book;
mod channel;
mod config;
mod deliver;
mod global;
mod group;
mod inhibit;
mod interval;
mod lead;
mod log;
mod matcher;
mod node;
mod options;
mod owed;
mod redact;
mod route;
mod send;
mod sharing;
mod silence;
mod smtp;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod tree;

pub use alert::{Alert, fingerprint};
pub use book::{Book, BookError};
pub use channel::{
    AlertmanagerConfig, Channel, Common, EmailConfig, Language, PagerDutyConfig, RobotConfig, SlackConfig,
    WebhookConfig,
};
pub use config::{ConfigError, Document};
pub use deliver::{Error, Notifier};
pub use group::AlertGroup;
pub use inhibit::InhibitRule;
pub use interval::{NamedIntervals, TimeInterval};
pub use log::{Notification, NotificationLog, NotifiedAlert, Outcome};
pub use matcher::{LabelMatcher, MatcherError};
pub use node::{Kept, Node};
pub use options::{Options, OptionsError, Receiver};
pub use route::{Route, RouteError};
pub(crate) use sharing::Sharing;
pub use silence::{PostedSilence, Silence, SilenceError, SilenceMatcher, Silences};
pub use source::ConfigSource;
pub use template::TemplatesError;
pub(crate) use tree::Grouping;
