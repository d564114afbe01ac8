use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Error;

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
        Self { broker: Broker::Embedded, brokers: None, properties: BTreeMap::new(), partitions: 4, replication: -1 }
    }
}

impl Options {
    /// What cannot work, by the key's name.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::Options(text.to_owned()));
        if self.partitions < 1 {
            return wrong("bus.partitions: must be at least 1");
        }
        if self.replication == 0 || self.replication < -1 {
            return wrong("bus.replication: must be at least 1, or -1 for the broker's default");
        }
        if self.broker == Broker::Kafka && self.brokers.as_deref().unwrap_or_default().trim().is_empty() {
            return wrong("bus.brokers: needed with `broker: kafka`, such as \"host:9092\"");
        }
        Ok(())
    }
}
