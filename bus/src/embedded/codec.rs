//! How records and the broker's own facts lie in the store. Pure.
//!
//! A record's key is its offset, big-endian; its value:
//! ```text
//! flags u8 (1: the value is lz4) · timestamp i64 · key length u32 (MAX: none) · headers u32
//! · (name length u32 · value length u32 · name · value)* · key · [length before compression u32] · value
//! ```
//! Values are compressed here rather than in the store, so that queue, journal, memory and tables all hold the small
//! form. Numbers are little-endian in values and big-endian in keys, which sort.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Message, Partition, Record};

const LZ4: u8 = 1;
const NO_KEY: u32 = u32::MAX;
/// Smaller values are not worth it.
const COMPRESS_FROM: usize = 512;
/// No record of ours is larger when decompressed: what says so is damaged.
const MAX_RAW: usize = 64 << 20;

/// A partition's place in the store: the topic's number, and the partition's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PartId {
    pub(super) topic: u32,
    pub(super) partition: i32,
}

/// The stored form of a record. It takes no more memory than it is long.
pub(crate) fn encode(record: &Record, timestamp_ms: i64) -> Bytes {
    let packed = packed(&record.value);
    let value = packed.as_deref().unwrap_or(&record.value);
    let head = crate::size(record) - record.value.len() + 32;
    let mut out = BytesMut::with_capacity(head + value.len());
    out.put_u8(if packed.is_some() { LZ4 } else { 0 });
    out.put_i64_le(timestamp_ms);
    out.put_u32_le(record.key.as_ref().map_or(NO_KEY, |key| key.len() as u32));
    out.put_u32_le(record.headers.len() as u32);
    for (name, value) in &record.headers {
        out.put_u32_le(name.len() as u32);
        out.put_u32_le(value.len() as u32);
        out.put_slice(name.as_bytes());
        out.put_slice(value);
    }
    if let Some(key) = &record.key {
        out.put_slice(key);
    }
    if packed.is_some() {
        out.put_u32_le(record.value.len() as u32);
    }
    out.put_slice(value);
    out.freeze()
}

/// The value compressed, where that is worth it.
fn packed(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() < COMPRESS_FROM {
        return None;
    }
    let mut out = vec![0; lz4_flex::block::get_maximum_output_size(value.len())];
    let written = lz4_flex::block::compress_into(value, &mut out).ok()?;
    out.truncate(written);
    (written < value.len() - value.len() / 8).then_some(out)
}

/// A message from its stored form; `None` if it is damaged.
pub(crate) fn decode(partition: Partition, offset: i64, mut data: Bytes) -> Option<Message> {
    let flags = data.try_get_u8().ok()?;
    let timestamp_ms = data.try_get_i64_le().ok()?;
    let key_length = data.try_get_u32_le().ok()?;
    let count = data.try_get_u32_le().ok()?;
    let mut headers = Vec::with_capacity((count as usize).min(64));
    for _ in 0..count {
        let name_length = data.try_get_u32_le().ok()? as usize;
        let value_length = data.try_get_u32_le().ok()? as usize;
        let name = String::from_utf8(take(&mut data, name_length)?.to_vec()).ok()?;
        headers.push((name, take(&mut data, value_length)?));
    }
    let key = if key_length == NO_KEY { None } else { Some(take(&mut data, key_length as usize)?) };
    let value = if flags & LZ4 == 0 {
        data
    } else {
        let raw = data.try_get_u32_le().ok()? as usize;
        if raw > MAX_RAW {
            return None;
        }
        Bytes::from(lz4_flex::block::decompress(&data, raw).ok()?)
    };
    Some(Message { partition, offset, key, value, headers, timestamp_ms })
}

fn take(data: &mut Bytes, length: usize) -> Option<Bytes> {
    (data.len() >= length).then(|| data.split_to(length))
}

/// Keys and values of the keyspace that holds everything but records.
pub(super) mod meta {
    use super::{Buf, BufMut, PartId};

    /// A topic, under [`topic_key`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) struct Topic {
        pub(in super::super) id: u32,
        pub(in super::super) partitions: i32,
        pub(in super::super) retention_ms: Option<u64>,
        pub(in super::super) retention_bytes: Option<u64>,
        pub(in super::super) max_message_bytes: Option<u64>,
    }

    /// Where a partition stands, under [`end_key`]; written with every batch of records.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(in super::super) struct End {
        /// Offset of the next record.
        pub(in super::super) next: i64,
        /// First offset that is left.
        pub(in super::super) low: i64,
        /// Bytes ever written.
        pub(in super::super) bytes: u64,
        /// When the last record was written.
        pub(in super::super) appended_ms: i64,
    }

    /// When and after how many bytes an offset was written, under [`mark_key`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) struct Mark {
        pub(in super::super) offset: i64,
        pub(in super::super) appended_ms: i64,
        pub(in super::super) bytes: u64,
    }

    pub(in super::super) const TOPICS: &[u8] = b"t";
    pub(in super::super) const NEXT_TOPIC: &[u8] = b"i";
    pub(in super::super) const POSITIONS: &[u8] = b"g";

    pub(in super::super) fn topic_key(name: &str) -> Vec<u8> {
        [TOPICS, name.as_bytes()].concat()
    }

    fn part_key(kind: u8, id: PartId) -> Vec<u8> {
        let mut key = vec![kind];
        key.put_u32(id.topic);
        key.put_i32(id.partition);
        key
    }

    pub(in super::super) fn end_key(id: PartId) -> Vec<u8> {
        part_key(b'p', id)
    }

    pub(in super::super) fn marks_prefix(id: PartId) -> Vec<u8> {
        part_key(b'm', id)
    }

    pub(in super::super) fn mark_key(id: PartId, offset: i64) -> Vec<u8> {
        let mut key = marks_prefix(id);
        key.put_i64(offset);
        key
    }

    pub(in super::super) fn position_key(group: &str, id: PartId) -> Vec<u8> {
        let mut key = POSITIONS.to_vec();
        key.put_u32(group.len() as u32);
        key.put_slice(group.as_bytes());
        key.put_u32(id.topic);
        key.put_i32(id.partition);
        key
    }

    /// The topic's number in a key of [`position_key`].
    pub(in super::super) fn topic_of_position(key: &[u8]) -> Option<u32> {
        let from = key.len().checked_sub(8)?;
        key.get(from..from + 4).map(|mut id| id.get_u32())
    }

    impl Topic {
        pub(in super::super) fn encode(self) -> Vec<u8> {
            let mut out = Vec::with_capacity(32);
            out.put_u32_le(self.id);
            out.put_i32_le(self.partitions);
            out.put_u64_le(self.retention_ms.unwrap_or(u64::MAX));
            out.put_u64_le(self.retention_bytes.unwrap_or(u64::MAX));
            out.put_u64_le(self.max_message_bytes.unwrap_or(u64::MAX));
            out
        }

        pub(in super::super) fn decode(mut data: &[u8]) -> Option<Self> {
            let limit = |value: u64| (value != u64::MAX).then_some(value);
            Some(Self {
                id: data.try_get_u32_le().ok()?,
                partitions: data.try_get_i32_le().ok()?,
                retention_ms: limit(data.try_get_u64_le().ok()?),
                retention_bytes: limit(data.try_get_u64_le().ok()?),
                // Not written by earlier versions.
                max_message_bytes: data.try_get_u64_le().ok().and_then(limit),
            })
        }
    }

    impl End {
        pub(in super::super) fn encode(self) -> Vec<u8> {
            let mut out = Vec::with_capacity(32);
            out.put_i64_le(self.next);
            out.put_i64_le(self.low);
            out.put_u64_le(self.bytes);
            out.put_i64_le(self.appended_ms);
            out
        }

        pub(in super::super) fn decode(mut data: &[u8]) -> Option<Self> {
            Some(Self {
                next: data.try_get_i64_le().ok()?,
                low: data.try_get_i64_le().ok()?,
                bytes: data.try_get_u64_le().ok()?,
                appended_ms: data.try_get_i64_le().ok()?,
            })
        }
    }

    impl Mark {
        pub(in super::super) fn encode(self) -> Vec<u8> {
            let mut out = Vec::with_capacity(16);
            out.put_i64_le(self.appended_ms);
            out.put_u64_le(self.bytes);
            out
        }

        pub(in super::super) fn decode(key: &[u8], mut data: &[u8]) -> Option<Self> {
            let mut offset = key.get(key.len().checked_sub(8)?..)?;
            Some(Self {
                offset: offset.try_get_i64().ok()?,
                appended_ms: data.try_get_i64_le().ok()?,
                bytes: data.try_get_u64_le().ok()?,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was(
            key in option::of(vec(any::<u8>(), 0..40)),
            value in vec(0..4_u8, 0..4_000),
            headers in vec((".{0,12}", vec(any::<u8>(), 0..30)), 0..4),
            timestamp in any::<i64>(),
        ) {
            let record = Record {
                topic: "t".into(),
                key: key.map(Bytes::from),
                value: value.into(),
                headers: headers.into_iter().map(|(name, value)| (name, Bytes::from(value))).collect(),
                ..Record::default()
            };
            let message = decode(Partition::new("t", 3), 7, encode(&record, timestamp)).unwrap();
            prop_assert_eq!(message.offset, 7);
            prop_assert_eq!(message.timestamp_ms, timestamp);
            prop_assert_eq!(message.key, record.key);
            prop_assert_eq!(message.value, record.value);
            prop_assert_eq!(message.headers, record.headers);
        }

        #[test]
        fn damage_is_seen_and_never_panics(data in vec(any::<u8>(), 0..300)) {
            let _ = decode(Partition::new("t", 0), 0, data.into());
        }
    }

    #[test]
    fn text_is_kept_small() {
        let record = Record { value: "error: connection reset by peer\n".repeat(100).into(), ..Record::default() };
        assert!(encode(&record, 0).len() < record.value.len() / 4);
    }

    #[test]
    fn the_brokers_facts_come_back_as_they_were() {
        let topic = meta::Topic {
            id: 3,
            partitions: 4,
            retention_ms: None,
            retention_bytes: Some(9),
            max_message_bytes: Some(7),
        };
        assert_eq!(meta::Topic::decode(&topic.encode()), Some(topic));
        let earlier = &topic.encode()[..24];
        assert_eq!(meta::Topic::decode(earlier), Some(meta::Topic { max_message_bytes: None, ..topic }));
        let end = meta::End { next: 5, low: 2, bytes: 77, appended_ms: 1 };
        assert_eq!(meta::End::decode(&end.encode()), Some(end));
        let id = PartId { topic: 258, partition: 1 };
        let mark = meta::Mark { offset: 12, appended_ms: 8, bytes: 6 };
        assert_eq!(meta::Mark::decode(&meta::mark_key(id, 12), &mark.encode()), Some(mark));
        assert_eq!(meta::topic_of_position(&meta::position_key("indexer", id)), Some(258));
    }
}
