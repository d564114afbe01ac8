//! The records of several partitions in the order in which they were written.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::Instant;
use weir_bus::{Bus, Consumer, Error, Event, Message, Partition, Position};
use weir_proto::topic;

use crate::series::feed::{READ, offset_since};

/// Records taken of one partition at once.
const BATCH: usize = 64;
/// What is fetched ahead of each partition.
const AHEAD_BYTES: usize = 1 << 20;
const WAIT: Duration = Duration::from_millis(100);
/// How long a partition may be silent before what it holds counts as read: its last offsets may be no records, …
const SILENCE: Duration = Duration::from_secs(5);
/// … above all its very last one, which ends a transaction.
const END_SILENCE: Duration = Duration::from_millis(300);

/// Reads each partition from a time to where it ended as the reading began.
pub(super) struct Merge {
    parts: Vec<Part>,
    /// Time and number of the partition of each that has a record left.
    heads: BinaryHeap<Reverse<(i64, usize)>>,
}

struct Part {
    consumer: Consumer,
    partition: Partition,
    buffer: VecDeque<Message>,
    /// Next offset to be read.
    next: i64,
    goal: i64,
}

impl Merge {
    /// All partitions of what feeds series that have records of `since_ms` or later. A topic that is not there has none.
    pub(super) async fn open(bus: &Bus, since_ms: i64) -> Result<Self, Error> {
        let mut partitions = Vec::new();
        for name in READ {
            let count = match bus.partitions(name).await {
                Err(Error::Unknown(_)) => 0,
                count => count?,
            };
            partitions.extend((0..count).map(|number| Partition::new(name, number)));
        }
        // At the same time: on Kafka, each look at an offset takes a client of its own.
        let parts = try_join_all(partitions.into_iter().map(|partition| Part::open(bus, partition, since_ms))).await?;
        let parts: Vec<Part> = parts.into_iter().flatten().collect();
        let head = |(at, part): (usize, &Part)| Some(Reverse((part.buffer.front()?.timestamp_ms, at)));
        let heads = parts.iter().enumerate().filter_map(head).collect();
        Ok(Self { parts, heads })
    }

    /// When the first record of calls or metrics was written, in unix milliseconds; before anything is taken.
    pub(super) fn first_ms(&self) -> Option<i64> {
        let of_series = self.parts.iter().filter(|part| *part.partition.topic != *topic::PROGRESS);
        of_series.filter_map(|part| Some(part.buffer.front()?.timestamp_ms)).min()
    }

    /// Offsets that are still to be read, of which some may be no records.
    pub(super) fn left(&self) -> u64 {
        let left = |part: &Part| u64::try_from(part.goal - part.next).unwrap_or(0) + part.buffer.len() as u64;
        self.parts.iter().map(left).sum()
    }

    /// The next records, at most `most`; none at the end.
    pub(super) async fn next(&mut self, most: usize) -> Result<Vec<Message>, Error> {
        let mut messages = Vec::new();
        while messages.len() < most {
            let Some(Reverse((_, at))) = self.heads.pop() else { break };
            let Some(part) = self.parts.get_mut(at) else { break };
            messages.extend(part.buffer.pop_front());
            if part.buffer.is_empty() {
                part.fill().await?;
            }
            if let Some(head) = part.buffer.front() {
                self.heads.push(Reverse((head.timestamp_ms, at)));
            }
        }
        Ok(messages)
    }
}

impl Part {
    /// `None` for one that holds nothing.
    async fn open(bus: &Bus, partition: Partition, since_ms: i64) -> Result<Option<Self>, Error> {
        let (low, goal) = bus.offsets(&partition).await?;
        if low >= goal {
            return Ok(None);
        }
        let next = offset_since(bus, &partition, since_ms).await?;
        let position = Position { partition: partition.clone(), offset: next };
        let consumer = bus.consumer_of(&[position], AHEAD_BYTES)?;
        let mut part = Self { consumer, partition, buffer: VecDeque::new(), next, goal };
        part.fill().await?;
        Ok(Some(part))
    }

    /// Waits for its next records; there are none only at its end.
    async fn fill(&mut self) -> Result<(), Error> {
        let since = Instant::now();
        while self.buffer.is_empty() && self.next < self.goal {
            if let Event::Batch(messages) = self.consumer.next(BATCH, WAIT).await? {
                for message in messages {
                    self.next = message.offset + 1;
                    if message.offset < self.goal {
                        self.buffer.push_back(message);
                    }
                }
            } else {
                let silence = if self.next + 1 >= self.goal { END_SILENCE } else { SILENCE };
                if since.elapsed() >= silence {
                    self.next = self.goal;
                }
            }
        }
        Ok(())
    }
}
