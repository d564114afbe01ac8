//! What a fold that takes over a partition reads back: the ranges last written of it, and the spans before its position.

use std::time::Duration;

use ahash::AHashMap;
use prost::Message as _;
use weir_bus::{Bus, Error, Event, Message, Partition, Position};
use weir_proto::{topic, v1};

use super::records::arrival;
use super::{Fold, Interfaces};

/// Ranges read back at first, of each partition of the calls topic.
const RANGES: i64 = 2048;
/// Records of spans read back at most.
const RECORDS: i64 = 1 << 16;
const WAIT: Duration = Duration::from_secs(2);

/// What was written last of a source partition.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The ranges found, in order.
    pub(super) ranges: Vec<v1::CallDeltas>,
}

impl Written {
    /// Where the next range begins; `None` where there is none yet.
    pub(super) fn end(&self) -> Option<i64> {
        let of_this_topic = self.ranges.iter().rposition(|range| range.begins_anew).unwrap_or(0);
        self.ranges.get(of_this_topic..)?.iter().map(|range| range.end_offset).max()
    }
}

/// The last ranges of each of these source partitions; `interfaces` learns what is read of all partitions. A partition that was committed but is not among the last
/// ranges is looked for further back, to the beginning.
pub(super) async fn written(
    bus: &Bus,
    of: &[Position],
    interfaces: &Interfaces,
) -> Result<AHashMap<Partition, Written>, Error> {
    let mut found: AHashMap<Partition, Written> = AHashMap::new();
    let mut bounds = Vec::new();
    for number in 0..bus.partitions(topic::CALLS).await? {
        let partition = Partition::new(topic::CALLS, number);
        let (low, high) = bus.offsets(&partition).await?;
        bounds.push((partition, low, high, high));
    }
    let mut depth = RANGES;
    loop {
        let mut older = Vec::new();
        let mut parts = Vec::new();
        for (partition, low, high, done) in &mut bounds {
            let from = (*high - depth).max(*low);
            parts.push((partition.clone(), from, *done));
            *done = from;
        }
        read(bus, &parts, |message| {
            if let Ok(range) = v1::CallDeltas::decode(&message.value[..]) {
                older.push(range);
            }
        })
        .await?;
        for range in older {
            interfaces.learn(&range);
            let partition = Partition::new(range.source_topic.as_str(), range.source_partition);
            if of.iter().any(|position| position.partition == partition) {
                found.entry(partition).or_default().ranges.push(range);
            }
        }
        let missing = of.iter().any(|position| position.offset > 0 && !found.contains_key(&position.partition));
        if !missing || bounds.iter().all(|(_, low, _, done)| done <= low) {
            return Ok(found);
        }
        depth = depth.saturating_mul(4);
    }
}

/// Fills the fold's memory of ids with the calls of the window before `position`. `wall_nano` is the wall clock: records
/// that say to be of later arrived by then.
pub(super) async fn refill(
    bus: &Bus,
    position: &Position,
    window: Duration,
    wall_nano: u64,
    fold: &mut Fold,
) -> Result<(), Error> {
    let arrived = |message: &Message| arrival(message.timestamp_ms, wall_nano);
    let partition = &position.partition;
    let (low, high) = bus.offsets(partition).await?;
    let end = position.offset.min(high);
    let Some(last) = first(bus, partition, (end - 1).max(low), end).await? else { return Ok(()) };
    let since = arrived(&last).saturating_sub(window.as_nanos() as u64);
    let mut back = 1024;
    let from = loop {
        let from = (end - back).max(low);
        if from == low || back >= RECORDS {
            break from;
        }
        match first(bus, partition, from, end).await? {
            Some(message) if arrived(&message) >= since => back *= 4,
            _ => break from,
        }
    };
    read(bus, &[(partition.clone(), from, end)], |message| {
        let arrived = arrived(&message);
        if arrived >= since {
            // What cannot be decoded became a dead letter when it was folded.
            let _ = fold.remember(&message.value, arrived);
        }
    })
    .await
}

/// The first record of offsets `[from, to)`.
pub(crate) async fn first(bus: &Bus, partition: &Partition, from: i64, to: i64) -> Result<Option<Message>, Error> {
    if from >= to {
        return Ok(None);
    }
    let mut consumer = bus.consumer(&[Position { partition: partition.clone(), offset: from }])?;
    match consumer.next(1, WAIT).await? {
        Event::Batch(messages) => Ok(messages.into_iter().find(|message| message.offset < to)),
        _ => Ok(None),
    }
}

/// All records of offsets `[from, to)` of each of these partitions. Ends where nothing more comes: the last offsets may
/// be no records.
async fn read(bus: &Bus, parts: &[(Partition, i64, i64)], mut take: impl FnMut(Message)) -> Result<(), Error> {
    let mut left: AHashMap<Partition, i64> =
        parts.iter().filter(|(_, from, to)| from < to).map(|(partition, _, to)| (partition.clone(), *to)).collect();
    let position =
        |(partition, from, _): &(Partition, i64, i64)| Position { partition: partition.clone(), offset: *from };
    let wanted = parts.iter().filter(|(partition, _, _)| left.contains_key(partition));
    let positions: Vec<_> = wanted.map(position).collect();
    if positions.is_empty() {
        return Ok(());
    }
    let mut consumer = bus.consumer(&positions)?;
    while !left.is_empty() {
        let Event::Batch(messages) = consumer.next(512, WAIT).await? else { return Ok(()) };
        for message in messages {
            let Some(to) = left.get(&message.partition).copied() else { continue };
            if message.offset + 1 >= to {
                left.remove(&message.partition);
            }
            if message.offset < to {
                take(message);
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}
