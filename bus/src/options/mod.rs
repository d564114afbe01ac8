mod value;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use weir_proto::topic;

use crate::{Error, MAX_LARGE_MESSAGE_BYTES, TopicSpec};

/// A keyspace each in the embedded broker; far more than one machine has use for.
const MAX_PARTITIONS: i32 = 1024;
/// Shorter, and a restart would take what nobody has read.
const LEAST_AGE: Duration = Duration::from_mins(1);
const LEAST_SIZE: u64 = 16 << 20;
/// `weir_alerts` restates each minute what still holds; an hour lets readers look back.
const ALERTS_AGE: Duration = Duration::from_hours(1);
/// `weir_progress` is compacted where the broker does that; what a collector said an hour ago nobody needs.
const PROGRESS_AGE: Duration = Duration::from_hours(1);
/// Of `weir_notifications` the newest of each key stays; what was not told again for so long is over.
const NOTIFICATIONS_AGE: Duration = Duration::from_hours(30 * 24);
/// Of one topic: a laptop's disk is not filled by what nobody set a limit to.
const EMBEDDED_SIZE: u64 = 20_000_000_000;

/// Section `bus` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Which broker.
    pub broker: Broker,
    /// `host:port,…` of Kafka.
    pub brokers: Option<String>,
    /// Any property of librdkafka, such as `security.protocol` or `sasl.password`; they win over weir's own.
    pub properties: BTreeMap<String, String>,
    /// Partitions of topics that weir makes.
    pub partitions: i32,
    /// Copies of topics that weir makes on Kafka; -1 is the broker's default.
    pub replication: i32,
    /// What is kept of topics that weir makes.
    pub retention: Retention,
}

/// How long, and how much, topics are kept that weir makes: all of them in the embedded broker; on Kafka weir's own
/// (`weir_calls`, `weir_dead_letters`) as they are made, while what is there already, and `otlp_*`, is its operator's.
/// `weir_alerts` is kept for an hour, and `weir_notifications` for thirty days, whatever the age says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Since a record was written; `null` is for ever in the embedded broker, and what its operator set on Kafka.
    #[serde(deserialize_with = "value::age")]
    pub age: Option<Duration>,
    /// Bytes of one topic as stored; `null` is 20 GB in the embedded broker, and what its operator set on Kafka.
    #[serde(deserialize_with = "value::size")]
    pub size: Option<u64>,
}

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Broker {
    /// In this process, durable, under `data_dir/bus`.
    Embedded,
    /// Apache Kafka.
    Kafka,
    /// Takes everything and keeps nothing: for benchmarks.
    Null,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            broker: Broker::Embedded,
            brokers: None,
            properties: BTreeMap::new(),
            partitions: 4,
            replication: -1,
            retention: Retention::default(),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Some(Duration::from_hours(7 * 24)), size: None }
    }
}

impl Options {
    /// What weir asks of a topic that it makes.
    pub(crate) fn topic_spec(&self, name: &str) -> TopicSpec {
        let is_embedded = self.broker == Broker::Embedded;
        let Retention { age, size } = self.retention;
        let size = if is_embedded { size.or(Some(EMBEDDED_SIZE)) } else { size };
        // What others feed and read too is kept as Kafka's operator wants.
        let is_ours = is_embedded || !name.starts_with("otlp_");
        // Its records are read in the order in which they were written, whatever their key.
        let (partitions, age) = match name {
            topic::ALERTS => (1, Some(ALERTS_AGE)),
            topic::PROGRESS => (1, Some(PROGRESS_AGE)),
            topic::NOTIFICATIONS => (1, Some(NOTIFICATIONS_AGE)),
            _ => (self.partitions, age),
        };
        TopicSpec {
            name: name.to_owned(),
            partitions,
            replication: self.replication,
            retention: age.filter(|_| is_ours),
            retention_bytes: size.filter(|_| is_ours).map(|size| size / u64::from(partitions.unsigned_abs())),
            max_message_bytes: largest(name),
            compacted: name == topic::NOTIFICATIONS,
        }
    }

    /// What cannot work, by the key's name. Properties of Kafka are tried on librdkafka, which connects to nothing.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::Options(text.to_owned()));
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            return wrong(&format!("bus.partitions: must be 1 to {MAX_PARTITIONS}"));
        }
        if self.retention.age.is_some_and(|age| age < LEAST_AGE) {
            return wrong("bus.retention.age: must be at least 1m, or null");
        }
        if self.retention.size.is_some_and(|size| size < LEAST_SIZE) {
            return wrong("bus.retention.size: must be at least 16MiB, or null");
        }
        if self.replication == 0 || self.replication < -1 {
            return wrong("bus.replication: must be at least 1, or -1 for the broker's default");
        }
        if self.broker == Broker::Kafka && self.brokers.as_deref().unwrap_or_default().trim().is_empty() {
            return wrong("bus.brokers: needed with `broker: kafka`, such as \"host:9092\"");
        }
        if self.broker == Broker::Kafka { crate::kafka::check(self) } else { Ok(()) }
    }
}

/// Greatest record of a topic of this name that weir makes; `None` where the usual will do.
pub(crate) fn largest(topic: &str) -> Option<usize> {
    // Those that hold spans and log records.
    [topic::LOGS, topic::SPANS].contains(&topic).then_some(MAX_LARGE_MESSAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_kept_as_configured_and_those_of_others_on_kafka_are_left_alone() {
        let week = Some(Duration::from_hours(168));
        let embedded = Options::default();
        for name in ["otlp_logs", "weir_calls"] {
            let spec = embedded.topic_spec(name);
            assert_eq!((spec.retention, spec.retention_bytes), (week, Some(5_000_000_000)), "{name}");
        }
        let kafka = Options { broker: Broker::Kafka, ..Options::default() };
        let spec = kafka.topic_spec("weir_calls");
        assert_eq!((spec.retention, spec.retention_bytes), (week, None));
        let spec = kafka.topic_spec("otlp_logs");
        assert_eq!((spec.retention, spec.retention_bytes), (None, None));
        for options in [embedded, kafka] {
            let spec = options.topic_spec("weir_alerts");
            assert_eq!((spec.partitions, spec.retention), (1, Some(Duration::from_hours(1))));
        }
    }

    #[test]
    fn topics_of_spans_and_log_records_are_made_for_large_ones() {
        for (name, largest) in
            [("otlp_logs", true), ("otlp_spans", true), ("otlp_metrics", false), ("weir_calls", false)]
        {
            assert_eq!(Options::default().topic_spec(name).max_message_bytes.is_some(), largest, "{name}");
        }
    }

    #[test]
    fn what_cannot_work_is_told_by_its_key() {
        let options = |retention| Options { retention, ..Options::default() };
        for (options, key) in [
            (Options { partitions: 0, ..Options::default() }, "bus.partitions"),
            (Options { replication: 0, ..Options::default() }, "bus.replication"),
            (Options { broker: Broker::Kafka, ..Options::default() }, "bus.brokers"),
            (options(Retention { age: Some(Duration::ZERO), size: None }), "bus.retention.age"),
            (options(Retention { age: None, size: Some(1) }), "bus.retention.size"),
        ] {
            assert!(options.check().unwrap_err().to_string().starts_with(key), "{key}");
        }
    }
}
