//! What was read of one partition: decoded once, for all captures.

use std::ops::Range;
use std::sync::Arc;

use weir_bus::{Message, Partition};
use weir_query::decode::{self, Place, Sources};
use weir_query::line::Line;

use crate::definition::Source;

/// Records of one partition that follow each other.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Which.
    pub(crate) partition: Partition,
    /// Where its reader was before: no record lies between that and the first of these.
    pub(crate) first: i64,
    /// Behind the last.
    pub(crate) end: i64,
    /// In order.
    pub(crate) records: Vec<Record>,
    /// Of all records.
    pub(crate) lines: Vec<Line>,
    /// Bytes as they came.
    pub(crate) bytes: usize,
    /// When they were read.
    pub(crate) read: tokio::time::Instant,
}

/// A record, decoded.
#[derive(Debug)]
pub(crate) struct Record {
    /// Its offset.
    pub(crate) offset: i64,
    /// Its own timestamp, in milliseconds since the epoch.
    pub(crate) arrival_ms: i64,
    /// Its lines, among those of the batch.
    pub(crate) lines: Range<usize>,
}

impl Batch {
    /// Decodes messages of one partition; gives the number of those that could not be.
    pub(crate) fn decode(
        source: Source,
        first: i64,
        messages: Vec<Message>,
        sources: &mut Sources,
    ) -> (Option<Self>, u64) {
        let Some(partition) = messages.first().map(|message| message.partition.clone()) else { return (None, 0) };
        let records = Vec::with_capacity(messages.len());
        let read = tokio::time::Instant::now();
        let mut batch = Self { partition, first, end: first, records, lines: Vec::new(), bytes: 0, read };
        let mut undecodable = 0;
        for message in messages {
            batch.bytes += message.value.len();
            batch.end = message.offset + 1;
            let place = Place {
                partition: message.partition.partition,
                offset: message.offset,
                arrival_ms: message.timestamp_ms,
            };
            let decoded = match source {
                Source::Spans => decode::spans(message.value, place, sources),
                Source::Logs => decode::logs(message.value, place, sources),
            };
            match decoded {
                Ok(lines) => {
                    let from = batch.lines.len();
                    batch.lines.extend(lines);
                    let lines = from..batch.lines.len();
                    batch.records.push(Record { offset: message.offset, arrival_ms: message.timestamp_ms, lines });
                }
                Err(error) => {
                    undecodable += 1;
                    tracing::warn!(
                        partition = %message.partition.partition, offset = message.offset, topic = %message.partition.topic,
                        %error, "a record cannot be decoded: captures pass over it"
                    );
                }
            }
        }
        (Some(batch), undecodable)
    }
}

/// Cuts what was read into runs of one partition, in order.
pub(crate) fn by_partition(messages: Vec<Message>) -> Vec<Vec<Message>> {
    let mut runs: Vec<Vec<Message>> = Vec::new();
    for message in messages {
        match runs.iter_mut().find(|run| run.first().is_some_and(|first| first.partition == message.partition)) {
            Some(run) => run.push(message),
            None => runs.push(vec![message]),
        }
    }
    runs
}

/// What a sink is given: a batch, and from where on it is new to it.
#[derive(Debug)]
pub(crate) struct Offer {
    /// The batch, which all captures share.
    pub(crate) batch: Arc<Batch>,
    /// What lies before was given before.
    pub(crate) from: i64,
    /// Where what was given before ends; less than `from` where something was skipped.
    pub(crate) follows: i64,
    /// Of which assignment.
    pub(crate) epoch: u64,
    /// Its place in the queue, as long as it is held.
    pub(crate) _room: tokio::sync::OwnedSemaphorePermit,
}
