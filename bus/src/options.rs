use std::collections::BTreeMap;

use serde::Deserialize;

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
