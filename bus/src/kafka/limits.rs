//! How large a record each topic takes: what its configuration says, read now and then.
//!
//! Kafka measures a batch as it is stored, which may be compressed. What is compared here is not: whether a record fits
//! does not depend on what is in it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::admin::{AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::{ADMIN_TIMEOUT, Broker, kafka};
use crate::options::largest;
use crate::{BATCH_OVERHEAD, Error, MAX_LARGE_MESSAGE_BYTES, MAX_MESSAGE_BYTES, Options};

/// How often a limit is read.
const EVERY: Duration = Duration::from_mins(5);
/// How soon it is read again where that failed.
const RETRY: Duration = Duration::from_secs(5);
/// Both bound a record: it lies in one batch, and that in one segment.
const BOUNDS: [&str; 2] = ["max.message.bytes", "segment.bytes"];

/// By topic.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<HashMap<String, Limit>>);

#[derive(Debug, Clone, Copy)]
struct Limit {
    /// `None` while it is not known.
    bytes: Option<usize>,
    /// When to read it again.
    next: Instant,
    /// It was logged that Kafka does not tell it.
    is_hidden: bool,
}

impl Limits {
    /// What is known of a topic.
    pub(super) fn known(&self, topic: &str) -> Option<usize> {
        self.0.lock().get(topic)?.bytes
    }

    /// What is known of a topic, and whether the caller is to read it: one at a time is told so.
    fn look(&self, topic: &str, now: Instant) -> (Option<usize>, bool) {
        let mut limits = self.0.lock();
        if let Some(limit) = limits.get_mut(topic) {
            let is_due = now >= limit.next;
            if is_due {
                limit.next = now + RETRY;
            }
            return (limit.bytes, is_due);
        }
        limits.insert(topic.to_owned(), Limit { bytes: None, next: now + RETRY, is_hidden: false });
        (None, true)
    }

    /// A record was refused: what is known may be wrong.
    pub(super) fn doubt(&self, topic: &str, now: Instant) {
        if let Some(limit) = self.0.lock().get_mut(topic) {
            limit.next = limit.next.min(now);
        }
    }

    fn set(&self, topic: &str, answer: Result<usize, Code>, now: Instant) {
        let mut limits = self.0.lock();
        let hidden = matches!(answer, Err(code) if code != Code::UnknownTopicOrPartition);
        let was_hidden = limits.get(topic).is_some_and(|limit| limit.is_hidden);
        let limit = match answer {
            Ok(bytes) => Limit { bytes: Some(bytes), next: now + EVERY, is_hidden: false },
            Err(_) if hidden => Limit { bytes: Some(MAX_MESSAGE_BYTES), next: now + EVERY, is_hidden: true },
            // It is not there yet.
            Err(_) => Limit { bytes: None, next: now + RETRY, is_hidden: false },
        };
        limits.insert(topic.to_owned(), limit);
        drop(limits);
        // Of a topic that is made for no larger ones it is as good as known.
        if let (Err(code), true, false, Some(_)) = (answer, hidden, was_hidden, largest(topic)) {
            tracing::warn!(
                topic,
                %code,
                limit = MAX_MESSAGE_BYTES,
                "Kafka does not tell how large a record the topic takes, so larger ones are not sent; give this client \
                 DescribeConfigs on the topic"
            );
        }
    }
}

impl Broker {
    /// Greatest record of a topic, as far as it is known. Where it should be read, that begins.
    pub(super) fn limit(&self, topic: &str) -> Option<usize> {
        let (known, is_due) = self.0.limits.look(topic, Instant::now());
        if is_due && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (broker, topic) = (self.clone(), topic.to_owned());
            runtime.spawn(async move { broker.read_limits(&[&topic]).await });
        }
        known.map(|bytes| bytes.min(self.0.own_limit))
    }

    /// Reads the limits that were not read for a while.
    pub(super) async fn read_due_limits(&self, topics: &[&str]) {
        let now = Instant::now();
        let due: Vec<_> = topics.iter().copied().filter(|topic| self.0.limits.look(topic, now).1).collect();
        self.read_limits(&due).await;
    }

    /// Reads limits now. What cannot be read just now stays as it is known.
    pub(super) async fn read_limits(&self, topics: &[&str]) {
        if topics.is_empty() {
            return;
        }
        if let Err(error) = self.or_given_up(self.describe(topics)).await {
            tracing::debug!(?topics, %error, "Kafka: reading how large a record topics take");
        }
    }

    async fn describe(&self, topics: &[&str]) -> Result<(), Error> {
        let failed = |error| kafka("describing topics", error);
        let admin = self.admin()?;
        let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let options = AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT));
        let answers = admin.describe_configs(&asked, &options).await.map_err(failed)?;
        // In the order of the question.
        for (topic, answer) in topics.iter().zip(answers) {
            self.0.limits.set(topic, answer.map(|found| bound(&found)), Instant::now());
        }
        Ok(())
    }
}

/// Greatest record that the user's properties let through, whatever a topic takes.
pub(super) fn of_properties(options: &Options) -> usize {
    let property = |name: &str| options.properties.get(name)?.trim().parse::<usize>().ok();
    let whole = property("message.max.bytes").map(without_overhead);
    // librdkafka's queue would be full for ever.
    let queue = property("queue.buffering.max.kbytes").map(|kbytes| without_overhead(kbytes.saturating_mul(1024)));
    [whole, queue].into_iter().flatten().fold(MAX_LARGE_MESSAGE_BYTES, usize::min)
}

/// Greatest record that fits this configuration of a topic.
fn bound(found: &ConfigResource) -> usize {
    let value = |name: &&str| found.get(name)?.value.as_ref()?.parse().ok();
    let bounds = BOUNDS.iter().filter_map(value).map(without_overhead);
    bounds.fold(MAX_LARGE_MESSAGE_BYTES, usize::min)
}

fn without_overhead(bytes: usize) -> usize {
    bytes.saturating_sub(BATCH_OVERHEAD)
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::{ConfigEntry, ConfigSource, OwnedResourceSpecifier};

    use super::*;

    #[test]
    fn a_limit_is_read_by_one_at_a_time_again_after_a_while_and_when_it_is_doubted() {
        let (limits, start) = (Limits::default(), Instant::now());
        assert_eq!(limits.look("t", start), (None, true));
        assert_eq!(limits.look("t", start), (None, false), "another reads it");
        assert_eq!(limits.look("t", start + RETRY), (None, true), "who did not get it");
        limits.set("t", Ok(7), start);
        assert_eq!(limits.look("t", start + RETRY), (Some(7), false));
        assert_eq!(limits.look("t", start + EVERY), (Some(7), true));
        limits.set("t", Ok(7), start);
        limits.doubt("t", start);
        assert_eq!(limits.look("t", start), (Some(7), true));
    }

    #[test]
    fn a_topic_whose_limit_is_not_told_takes_the_usual_and_one_that_is_not_there_is_unknown() {
        let (limits, start) = (Limits::default(), Instant::now());
        for (code, known) in
            [(Code::TopicAuthorizationFailed, Some(MAX_MESSAGE_BYTES)), (Code::UnknownTopicOrPartition, None)]
        {
            limits.set("t", Err(code), start);
            assert_eq!(limits.look("t", start), (known, false));
        }
    }

    #[test]
    fn a_record_fits_the_topics_batches_and_segments_and_is_never_larger_than_ours() {
        let entry = |(name, value): &(&str, &str)| ConfigEntry {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
            source: ConfigSource::Default,
            is_read_only: false,
            is_default: true,
            is_sensitive: false,
        };
        let of = |entries: &[(&str, &str)]| {
            let specifier = OwnedResourceSpecifier::Topic("t".to_owned());
            bound(&ConfigResource { specifier, entries: entries.iter().map(entry).collect() })
        };
        assert_eq!(of(&[("max.message.bytes", "200000")]), 191_808);
        assert_eq!(of(&[("max.message.bytes", "17825792"), ("segment.bytes", "1073741824")]), MAX_LARGE_MESSAGE_BYTES);
        assert_eq!(of(&[("max.message.bytes", "17825792"), ("segment.bytes", "1048576")]), 1_040_384);
        assert_eq!(of(&[("max.message.bytes", "100000000")]), MAX_LARGE_MESSAGE_BYTES);
        assert_eq!(of(&[("max.message.bytes", "5")]), 0);
    }

    #[test]
    fn the_users_properties_bound_it_too() {
        let with = |properties: &[(&str, &str)]| {
            let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            of_properties(&Options { properties, ..Options::default() })
        };
        assert_eq!(with(&[]), MAX_LARGE_MESSAGE_BYTES);
        assert_eq!(with(&[("message.max.bytes", "1000000")]), 991_808);
        assert_eq!(with(&[("queue.buffering.max.kbytes", "1024")]), (1 << 20) - BATCH_OVERHEAD);
    }
}
