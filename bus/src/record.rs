use std::sync::Arc;

use bytes::Bytes;

/// A record on its way to a topic.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Topic.
    pub topic: Arc<str>,
    /// Fixed partition; `None` chooses by the key's hash (the same as Kafka's default partitioner: murmur2), or in
    /// turn where there is no key.
    pub partition: Option<i32>,
    /// Records of one key stay in order.
    pub key: Option<Bytes>,
    /// With key and headers at most what its topic takes: see [`crate::Producer::limit`].
    pub value: Bytes,
    /// Name and value, in order; names may repeat.
    pub headers: Vec<(String, Bytes)>,
    /// Milliseconds since the epoch; `None` is now, which is what a record of weir's wants: Kafka's retention goes by it,
    /// so a record of old data with its old time would be removed before it is read.
    pub timestamp_ms: Option<i64>,
}

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// Topic.
    pub topic: Arc<str>,
    /// Number, from 0.
    pub partition: i32,
}

/// The next record to be read of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Which partition.
    pub partition: Partition,
    /// Offset of the next record.
    pub offset: i64,
}

/// A record as it was read.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where it lies.
    pub partition: Partition,
    /// Its place there. Offsets rise, and may have gaps (transactions, retention).
    pub offset: i64,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; empty for a record without one.
    pub value: Bytes,
    /// Headers.
    pub headers: Vec<(String, Bytes)>,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
}

impl Message {
    /// Bytes, as [`crate::MAX_MESSAGE_BYTES`] counts them.
    pub(crate) fn size(&self) -> usize {
        crate::bytes_of(self.key.as_ref(), &self.value, &self.headers)
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl Partition {
    /// A partition by its topic's name and number.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}
