//! Reads a group's share, or fixed partitions, straight from the store; woken when something became durable.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::groups::Membership;
use super::topics::Part;
use super::writer::Command;
use super::{Broker, Shared, codec, store};
use crate::{Error, Event, MAX_BATCH_BYTES, Message, Partition, Position};

/// Reads a group's share, or fixed partitions.
#[derive(Debug)]
pub(crate) struct Consumer {
    broker: Broker,
    member: Option<Member>,
    positions: Vec<Position>,
    /// Which of the positions is read first next time, so that none starves.
    first: usize,
}

#[derive(Debug)]
struct Member {
    group: Arc<str>,
    id: u64,
    /// The generation whose partitions the owner was told of.
    generation: Option<u64>,
}

/// Part of a position that was read: what came, and where to go on.
struct Read {
    index: usize,
    next: i64,
    messages: Vec<Message>,
}

impl Consumer {
    pub(crate) fn fixed(broker: Broker, positions: &[Position]) -> Self {
        Self { broker, member: None, positions: positions.to_vec(), first: 0 }
    }

    pub(crate) fn member(broker: Broker, group: &str, topics: &[&str]) -> Self {
        let group: Arc<str> = Arc::from(group);
        let shared = &broker.0.shared;
        let topics = topics.iter().map(|topic| Arc::from(*topic)).collect();
        let id = shared.groups.lock().join(&group, topics, |topic| shared.topics.count(topic));
        shared.changed.notify_waiters();
        Self { member: Some(Member { group, id, generation: None }), broker, positions: Vec::new(), first: 0 }
    }

    pub(crate) async fn next(&mut self, max: usize, wait: Duration) -> Result<Event, Error> {
        let shared = self.broker.0.shared.clone();
        let deadline = Instant::now() + wait;
        loop {
            let mut changed = pin!(shared.changed.notified());
            changed.as_mut().enable();
            if let Some(event) = self.rebalanced().await? {
                return Ok(event);
            }
            let batch = self.read(max).await?;
            if !batch.is_empty() {
                return Ok(Event::Batch(batch));
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return Ok(Event::Idle);
            }
        }
    }

    /// The change of this member's share that its owner was not told of yet.
    async fn rebalanced(&mut self) -> Result<Option<Event>, Error> {
        let Some(member) = &mut self.member else { return Ok(None) };
        let (generation, assigned) = {
            let groups = self.broker.0.shared.groups.lock();
            let (generation, assigned) = groups.assignment(&member.group, member.id).ok_or(Error::Closed)?;
            if member.generation == Some(generation) {
                return Ok(None);
            }
            (generation, assigned.to_vec())
        };
        if member.generation.take().is_some() {
            let revoked = self.positions.drain(..).map(|position| position.partition).collect();
            return Ok(Some(Event::Revoked(revoked)));
        }
        let committed = self.broker.committed(&member.group, &assigned).await?;
        self.positions = assigned
            .iter()
            .map(|partition| {
                let position = committed.iter().find(|position| position.partition == *partition);
                position.cloned().unwrap_or_else(|| Position { partition: partition.clone(), offset: 0 })
            })
            .collect();
        member.generation = Some(generation);
        Ok(Some(Event::Assigned(assigned)))
    }

    async fn read(&mut self, max: usize) -> Result<Vec<Message>, Error> {
        let topics = &self.broker.0.shared.topics;
        let mut waiting = Vec::new();
        let count = self.positions.len();
        for index in (self.first..count).chain(0..self.first.min(count)) {
            let Some(position) = self.positions.get_mut(index) else { continue };
            // A topic that is not there yet, or no more, gives nothing.
            let Ok(part) = topics.part(&position.partition) else { continue };
            let (low, high) = (part.low(), part.high());
            if !(low..=high).contains(&position.offset) {
                position.offset = low;
            }
            if position.offset < high {
                waiting.push((index, position.clone(), part));
            }
        }
        if waiting.is_empty() || max == 0 {
            return Ok(Vec::new());
        }
        let shared = self.broker.0.shared.clone();
        let reads = tokio::task::spawn_blocking(move || read(&shared, waiting, max)).await;
        // Nothing of self changed until here, so a dropped future loses nothing.
        let mut batch = Vec::new();
        for read in reads.map_err(|_| Error::Closed)?? {
            if let Some(position) = self.positions.get_mut(read.index) {
                position.offset = read.next;
            }
            self.first = read.index + 1;
            batch.extend(read.messages);
        }
        Ok(batch)
    }

    pub(crate) fn seek(&mut self, to: &Position) -> Result<(), Error> {
        let position = self.positions.iter_mut().find(|position| position.partition == to.partition);
        let Some(position) = position else { return Err(not_read(&to.partition)) };
        position.offset = to.offset;
        Ok(())
    }

    pub(crate) async fn commit(&self, positions: &[Position]) -> Result<(), Error> {
        let (by, positions) = (self.membership()?, positions.to_vec());
        self.broker.ask(|reply| Command::Commit { by, positions, reply }).await
    }

    pub(crate) async fn committed(&self, partitions: &[Partition]) -> Result<Vec<Position>, Error> {
        let member = self.member.as_ref().ok_or_else(no_group)?;
        self.broker.committed(&member.group, partitions).await
    }

    /// Who commits.
    pub(super) fn membership(&self) -> Result<Membership, Error> {
        let member = self.member.as_ref().ok_or_else(no_group)?;
        let fenced = || Error::Fenced(format!("group {}: no partitions are assigned", member.group));
        let generation = member.generation.ok_or_else(fenced)?;
        Ok(Membership { group: member.group.clone(), member: member.id, generation })
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some(member) = &self.member {
            let shared = &self.broker.0.shared;
            shared.groups.lock().leave(&member.group, member.id, |topic| shared.topics.count(topic));
            shared.changed.notify_waiters();
        }
    }
}

fn no_group() -> Error {
    Error::Options("a consumer of fixed partitions has no group to commit for".to_owned())
}

fn not_read(partition: &Partition) -> Error {
    Error::Unknown(format!("{}/{} is not read by this consumer", partition.topic, partition.partition))
}

fn read(shared: &Shared, waiting: Vec<(usize, Position, Arc<Part>)>, max: usize) -> Result<Vec<Read>, Error> {
    let guard = shared.store.read();
    let Some(store) = guard.as_ref() else {
        return if shared.closing.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(Vec::new()) };
    };
    let (mut left, mut bytes, mut reads) = (max, 0, Vec::new());
    for (index, from, part) in waiting {
        if left == 0 || bytes >= MAX_BATCH_BYTES {
            break;
        }
        let high = part.high();
        let mut read = Read { index, next: from.offset, messages: Vec::new() };
        let mut damaged = None;
        let result = store.read(part.id, from.offset, high, |offset, data| {
            let Some(message) = codec::decode(from.partition.clone(), offset, data) else {
                damaged = Some(offset);
                return false;
            };
            read.next = offset + 1;
            left -= 1;
            bytes += message.value.len() + 64;
            read.messages.push(message);
            left > 0 && bytes < MAX_BATCH_BYTES
        });
        result.map_err(|error| store::storage(&shared.folder, error))?;
        if let Some(offset) = damaged {
            return Err(Error::Storage {
                path: shared.folder.clone(),
                reason: format!("record {}/{}/{offset} is damaged", from.partition.topic, from.partition.partition),
                source: None,
            });
        }
        reads.push(read);
    }
    Ok(reads)
}
