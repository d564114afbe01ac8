//! What the fold writes: ranges of calls, and records that it could not read.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use weir_bus::{Message, Record};
use weir_proto::{MAX_RECORD_BYTES, header, topic, v1};

pub(super) fn record(mut deltas: v1::CallDeltas) -> Record {
    if deltas.encoded_len() > MAX_RECORD_BYTES {
        // Only one record of spans made to be so (thousands of slots and interfaces) can come here.
        tracing::error!(
            partition = deltas.source_partition,
            first = deltas.first_offset,
            calls = deltas.counted,
            "a range is larger than a record may be; its calls are rejected"
        );
        deltas.rejected += std::mem::take(&mut deltas.counted);
        deltas.series.clear();
    }
    Record {
        topic: Arc::from(topic::CALLS),
        partition: None,
        key: Some(Bytes::from(format!("{}/{}", deltas.source_topic, deltas.source_partition))),
        value: Bytes::from(deltas.encode_to_vec()),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

/// A record that could not be used, as it was, with its place and the reason.
pub(super) fn dead_letter(message: &Message, reason: &str) -> Record {
    let place = format!("{}/{}/{}", message.partition.topic, message.partition.partition, message.offset);
    tracing::warn!(place, reason, "a record goes to the dead letters");
    let headers = vec![
        (header::DEAD_POSITION.to_owned(), Bytes::from(place)),
        (header::DEAD_REASON.to_owned(), Bytes::from(reason.to_owned())),
    ];
    Record {
        topic: Arc::from(topic::DEAD_LETTERS),
        partition: None,
        key: message.key.clone().filter(|key| key.len() <= 1024),
        value: message.value.slice(..message.value.len().min(MAX_RECORD_BYTES)),
        headers,
        timestamp_ms: None,
    }
}

/// When a record arrived, in nanoseconds. Who wrote it may have set its time: one that lies ahead would carry the
/// watermark away for ever, and one that is not there would hold it back.
pub(crate) fn arrival(timestamp_ms: i64, wall_nano: u64) -> u64 {
    if timestamp_ms > 0 { nanos(timestamp_ms).min(wall_nano) } else { wall_nano }
}

/// Milliseconds as nanoseconds; times before the epoch are the epoch.
fn nanos(unix_ms: i64) -> u64 {
    u64::try_from(unix_ms).unwrap_or(0).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_did_not_arrive_in_the_future() {
        let now = 1_700_000_000_000_000_000;
        assert_eq!(arrival(1_600_000_000_000, now), 1_600_000_000_000_000_000);
        for odd in [4_102_444_800_000, i64::MAX, 0, -1] {
            assert_eq!(arrival(odd, now), now);
        }
    }
}
