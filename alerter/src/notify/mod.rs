//! Notifications: from alerts to receivers, apart from evaluation.
//!
//! Evaluation hands over the firing and the lately resolved alerts ([`Notifier::update`], which never waits); grouping,
//! retry and what was told already are kept here. Delivery is **at least once**: a notification counts as taken when
//! the receiver says that it took it ([`Channel`]), and what was taken is part of the alerter's snapshot ([`Notifier::notified`]), so a
//! restart tells nothing twice unless it falls between the receiver's answer and the write of the snapshot. Times of
//! groups are wall-clock times, since receivers and people live by them; times of alerts are event times.

mod book;
mod channel;
mod deliver;
mod group;
mod matcher;
mod options;
mod owed;
mod send;
mod silence;
mod smtp;
mod template;
#[cfg(test)]
mod tests;

pub use book::{Book, BookError};
pub use channel::{
    AlertmanagerConfig, Channel, Common, EmailConfig, Language, PagerDutyConfig, RobotConfig, SlackConfig,
    WebhookConfig,
};
pub use deliver::{Error, Notifier};
pub(crate) use group::Grouping;
pub use group::{Alert, fingerprint};
pub use matcher::{LabelMatcher, MatcherError};
pub use options::{Options, OptionsError, Receiver, Route};
pub use silence::{PostedSilence, Silence, SilenceError, SilenceMatcher, Silences};
pub use template::TemplatesError;
