//! A record as it lies in the spool. Pure.
//!
//! ```text
//! magic [u8; 4] · crc32 u32 of all that follows · length of the body u32 · number u64 · spooled at u64 (ms) · body
//! body: fixed partition i32 (-1: none) · length of the topic u16 · topic · the record as the embedded broker stores it
//! ```
//! Numbers are little-endian. Every frame carries its number, so that what is missing between two is known exactly.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::embedded::codec;
use crate::{Error, Partition, Record};

/// Bytes that no UTF-8 text holds, so hardly ever inside a record.
const MAGIC: [u8; 4] = [0xf7, 0xfe, 0xf9, 0xfb];
/// What lies before the body.
const HEAD: usize = 28;
/// Of the body; a record has at most [`crate::MAX_LARGE_MESSAGE_BYTES`].
const MAX_BODY: usize = 18 << 20;
/// A record without a time of its own.
const NO_TIME: i64 = i64::MIN;

/// A frame that is whole.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) number: u64,
    pub(super) spooled_ms: u64,
    pub(super) body: Bytes,
}

/// Appends a frame.
pub(super) fn put(out: &mut Vec<u8>, number: u64, spooled_ms: u64, record: &Record) -> Result<(), Error> {
    let bytes = crate::size(record);
    let topic = u16::try_from(record.topic.len()).map_err(|_| Error::Unknown(record.topic.to_string()))?;
    if bytes > crate::MAX_LARGE_MESSAGE_BYTES {
        return Err(Error::TooLarge { topic: record.topic.to_string(), bytes });
    }
    let stored = codec::encode(record, record.timestamp_ms.unwrap_or(NO_TIME));
    let length = 6 + record.topic.len() + stored.len();
    if length > MAX_BODY {
        return Err(Error::TooLarge { topic: record.topic.to_string(), bytes });
    }
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&spooled_ms.to_le_bytes());
    out.extend_from_slice(&record.partition.unwrap_or(-1).to_le_bytes());
    out.extend_from_slice(&topic.to_le_bytes());
    out.extend_from_slice(record.topic.as_bytes());
    out.extend_from_slice(&stored);
    let sum = crc32fast::hash(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// What a frame's head says.
struct Head {
    sum: u32,
    /// Of the frame.
    length: usize,
    number: u64,
    spooled_ms: u64,
}

/// The head at the front; `None` if no frame of one of these numbers can begin so.
fn head(bytes: &[u8], numbers: &Range<u64>) -> Option<Head> {
    let mut head = bytes.get(..HEAD)?;
    if !head.starts_with(&MAGIC) {
        return None;
    }
    head.advance(MAGIC.len());
    let (sum, body) = (head.get_u32_le(), head.get_u32_le() as usize);
    let (number, spooled_ms) = (head.get_u64_le(), head.get_u64_le());
    (body <= MAX_BODY && numbers.contains(&number)).then_some(Head { sum, length: HEAD + body, number, spooled_ms })
}

/// So many bytes tell whether a frame of one of these numbers is at the front: more than are there, where they end
/// within it.
pub(super) fn needed(bytes: &[u8], numbers: &Range<u64>) -> usize {
    head(bytes, numbers).map_or(HEAD, |head| head.length)
}

/// The frame at the front, and its length; `None` if there is no whole frame of one of these numbers.
pub(super) fn parse(bytes: &[u8], numbers: &Range<u64>) -> Option<(Frame, usize)> {
    let Head { sum, length, number, spooled_ms } = head(bytes, numbers)?;
    let whole = bytes.get(..length)?;
    let body = || Bytes::copy_from_slice(&whole[HEAD..]);
    (crc32fast::hash(&whole[8..]) == sum).then(|| (Frame { number, spooled_ms, body: body() }, whole.len()))
}

/// Where the next frame may begin, behind the first byte; the end if nowhere.
pub(super) fn next_start(bytes: &[u8]) -> usize {
    let behind = bytes.get(1..).unwrap_or_default();
    memchr::memmem::find(behind, &MAGIC).map_or(bytes.len(), |at| at + 1)
}

impl Frame {
    /// The record; `None` if it is none.
    pub(super) fn record(&self) -> Option<Record> {
        let mut body = self.body.clone();
        let partition = body.try_get_i32_le().ok()?;
        let length = usize::from(body.try_get_u16_le().ok()?);
        let topic = (body.len() >= length).then(|| body.split_to(length))?;
        let topic: Arc<str> = std::str::from_utf8(&topic).ok()?.into();
        let message = codec::decode(Partition::new(topic.clone(), 0), 0, body)?;
        Some(Record {
            topic,
            partition: (partition >= 0).then_some(partition),
            key: message.key,
            value: message.value,
            headers: message.headers,
            timestamp_ms: (message.timestamp_ms != NO_TIME).then_some(message.timestamp_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_what_is_read(
            topic in "[a-z_]{1,20}", partition in prop::option::of(0..9_i32), key in prop::option::of("[a-z]{0,9}"),
            value in prop::collection::vec(any::<u8>(), 0..2000), timestamp_ms in prop::option::of(0..9_i64),
        ) {
            let headers = vec![("weir-origin".to_owned(), Bytes::from(value.clone()))];
            let (topic, key) = (topic.as_str().into(), key.map(Bytes::from));
            let record = Record { topic, partition, key, value: value.into(), headers, timestamp_ms };
            let mut out = Vec::new();
            put(&mut out, 7, 9, &record).unwrap();
            let (frame, length) = parse(&out, &(0..8)).unwrap();
            prop_assert_eq!((frame.number, frame.spooled_ms, length), (7, 9, out.len()));
            prop_assert_eq!(format!("{:?}", frame.record().unwrap()), format!("{record:?}"));
            prop_assert!(parse(&out, &(0..7)).is_none());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&[&MAGIC, &bytes[..]].concat(), &(0..u64::MAX));
            let _ = Frame { number: 0, spooled_ms: 0, body: bytes.into() }.record();
        }
    }
}
