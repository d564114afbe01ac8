//! The topics that are there, as all may see them; the writing thread alone changes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::RwLock;

use super::codec::PartId;
use super::codec::meta::{self, End, Mark};
use super::retention::Marks;
use super::store::Store;
use crate::options::largest;
use crate::{Error, Partition};

#[derive(Debug, Default)]
pub(super) struct Topics(RwLock<HashMap<Arc<str>, Topic>>);

#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) facts: meta::Topic,
    pub(super) parts: Vec<Arc<Part>>,
}

/// A partition, as readers see it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) id: PartId,
    low: AtomicI64,
    high: AtomicI64,
}

/// A partition, as the writing thread knows it: with what is not durable yet.
#[derive(Debug)]
pub(super) struct PartState {
    pub(super) part: Arc<Part>,
    pub(super) end: End,
    pub(super) marks: Marks,
    /// Records below `low` may still take room.
    pub(super) reclaim: bool,
}

impl Topics {
    /// Number of partitions; 0 where there is no such topic.
    pub(super) fn count(&self, topic: &str) -> i32 {
        self.0.read().get(topic).map_or(0, |topic| topic.facts.partitions)
    }

    /// Greatest record that a topic takes, where it says so; of a topic that is not there, what it would be made with.
    pub(super) fn largest(&self, topic: &str) -> Option<usize> {
        match self.0.read().get(topic) {
            Some(topic) => topic.facts.max_message_bytes.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            None => largest(topic),
        }
    }

    pub(super) fn part(&self, partition: &Partition) -> Result<Arc<Part>, Error> {
        let topics = self.0.read();
        let part = topics.get(&partition.topic).zip(usize::try_from(partition.partition).ok());
        part.and_then(|(topic, n)| topic.parts.get(n).cloned())
            .ok_or_else(|| Error::Unknown(format!("{}/{}", partition.topic, partition.partition)))
    }

    pub(super) fn get(&self, name: &str) -> Option<Topic> {
        self.0.read().get(name).cloned()
    }

    pub(super) fn set(&self, name: Arc<str>, topic: Topic) {
        self.0.write().insert(name, topic);
    }

    pub(super) fn remove(&self, name: &str) {
        self.0.write().remove(name);
    }

    pub(super) fn all(&self) -> Vec<Topic> {
        self.0.read().values().cloned().collect()
    }
}

impl Part {
    /// First offset that is left.
    pub(super) fn low(&self) -> i64 {
        self.low.load(Ordering::Acquire)
    }

    /// First offset that is not durable yet.
    pub(super) fn high(&self) -> i64 {
        self.high.load(Ordering::Acquire)
    }

    /// Shows what is durable now.
    pub(super) fn publish(&self, end: &End) {
        self.low.store(end.low, Ordering::Release);
        self.high.store(end.next, Ordering::Release);
    }
}

impl PartState {
    pub(super) fn new(id: PartId, end: End, marks: Marks) -> Self {
        let part = Part { id, low: AtomicI64::new(end.low), high: AtomicI64::new(end.next) };
        Self { part: Arc::new(part), end, marks, reclaim: end.low > 0 }
    }
}

/// What the store holds. Keyspaces of topics that are no more (a crash within their removal) are removed.
pub(super) fn load(store: &Store) -> fjall::Result<(Topics, HashMap<PartId, PartState>)> {
    let (mut topics, mut state) = (HashMap::new(), HashMap::new());
    for (key, value) in store.scan(meta::TOPICS)? {
        let name = std::str::from_utf8(key.get(meta::TOPICS.len()..).unwrap_or_default());
        let (Ok(name), Some(facts)) = (name, meta::Topic::decode(&value)) else { continue };
        let mut parts = Vec::new();
        for partition in 0..facts.partitions {
            let id = PartId { topic: facts.id, partition };
            store.add(id)?;
            let end = store.get(&meta::end_key(id))?.and_then(|end| End::decode(&end)).unwrap_or_default();
            let marks = store.scan(&meta::marks_prefix(id))?;
            let marks = marks.iter().filter_map(|(key, value)| Mark::decode(key, value));
            let part = PartState::new(id, end, Marks::new(marks));
            parts.push(part.part.clone());
            state.insert(id, part);
        }
        topics.insert(Arc::from(name), Topic { facts, parts });
    }
    for id in store.partitions() {
        if !state.contains_key(&id) {
            store.remove(id)?;
        }
    }
    Ok((Topics(RwLock::new(topics)), state))
}
