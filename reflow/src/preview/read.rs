//! Reads stretches of partitions, up to where they end now.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{Instant, timeout_at};
use weir_bus::{Bus, Consumer, Event, Message, Partition, Position};

use super::Error;

/// Records taken at once.
const BATCH: usize = 1024;
/// Bytes that Kafka's client fetches ahead.
const FETCH: usize = 16 << 20;
/// Partitions that are asked for their offsets at once.
const AT_ONCE: usize = 16;
/// Where nothing comes for so long, it is not waited for more: the last offsets of a partition may be no records.
const IDLE: Duration = Duration::from_millis(700);

/// Offsets `[first, end)` of a partition.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    pub(super) partition: Partition,
    pub(super) first: i64,
    pub(super) end: i64,
}

impl Stretch {
    /// Its last offsets, this many.
    pub(super) fn last(&self, count: i64) -> Self {
        Self { first: self.first.max(self.end.saturating_sub(count)), ..self.clone() }
    }
}

/// All that a topic holds now; nothing where nobody has made it yet.
pub(super) async fn stretches(bus: &Bus, topic: &str, deadline: Instant) -> Result<Vec<Stretch>, Error> {
    let find = async {
        let count = match bus.partitions(topic).await {
            Err(weir_bus::Error::Unknown(_)) => return Ok(Vec::new()),
            count => count?,
        };
        let stretch = |number| async move {
            let partition = Partition::new(topic, number);
            let (first, end) = bus.offsets(&partition).await?;
            Ok::<_, Error>(Stretch { partition, first, end })
        };
        stream::iter(0..count).map(stretch).buffered(AT_ONCE).try_collect().await
    };
    timeout_at(deadline, find).await.unwrap_or(Err(Error::Late))
}

/// A read of stretches, in the order of each partition.
pub(super) struct Reading {
    consumer: Option<Consumer>,
    /// Ends of the stretches, and of those that were not read to them.
    ends: BTreeMap<Partition, i64>,
    pending: BTreeMap<Partition, i64>,
    deadline: Instant,
    has_begun: bool,
}

impl Reading {
    pub(super) fn begin(bus: &Bus, stretches: &[Stretch], deadline: Instant) -> Result<Self, Error> {
        let pending = || stretches.iter().filter(|stretch| stretch.first < stretch.end);
        let ends: BTreeMap<Partition, i64> = pending().map(|one| (one.partition.clone(), one.end)).collect();
        let position = |one: &Stretch| Position { partition: one.partition.clone(), offset: one.first };
        let positions: Vec<Position> = pending().map(position).collect();
        let consumer = if positions.is_empty() { None } else { Some(bus.consumer_of(&positions, FETCH)?) };
        Ok(Self { consumer, pending: ends.clone(), ends, deadline, has_begun: false })
    }

    /// The next records; `None` once all was read, nothing more comes, or the deadline has passed.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Message>>, Error> {
        let Some(consumer) = &mut self.consumer else { return Ok(None) };
        while !self.pending.is_empty() {
            let event = match timeout_at(self.deadline, consumer.next(BATCH, IDLE)).await {
                Err(_) => return Ok(None),
                Ok(event) => event?,
            };
            match event {
                Event::Batch(mut messages) => {
                    self.has_begun = true;
                    for message in &messages {
                        if self.pending.get(&message.partition).is_some_and(|end| message.offset + 1 >= *end) {
                            self.pending.remove(&message.partition);
                        }
                    }
                    // What came since is of no interest.
                    let is_before =
                        |message: &Message| self.ends.get(&message.partition).map(|end| message.offset < *end);
                    messages.retain(|message| is_before(message).unwrap_or_default());
                    return Ok(Some(messages));
                }
                // What is pending may have no records left, or be late: it counts as not read.
                Event::Idle if self.has_begun => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether all was read.
    pub(super) fn is_whole(&self) -> bool {
        self.pending.is_empty()
    }
}
