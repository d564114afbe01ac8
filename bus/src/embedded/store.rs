//! The store under the broker: a fjall database with one keyspace for each partition's records, and one for all else.
//!
//! A keyspace of its own keeps a partition's keys rising, so its tables never overlap, are moved instead of merged, and
//! every byte is written twice only: to the journal and to its table. fjall's FIFO compaction would drop the oldest
//! tables for nothing, but it knows neither a partition's first offset nor a changed limit, and it fails when a key is
//! written again, as a batch is whose sync failed; so retention raises the first offset and then drops the tables
//! that lie wholly below it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use fjall::config::{BlockSizePolicy, FilterPolicy};
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::RwLock;

use super::codec::PartId;

/// Cached blocks; readers follow the writer, and what they read is mostly in memory still.
const CACHE_BYTES: u64 = 8 << 20;
/// fjall's least; journals hold what no table holds yet.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Of one partition, in memory.
const MEMTABLE_BYTES: u64 = 4 << 20;
/// Of all partitions together; the largest are written out beyond it.
const ACTIVE_BYTES: u64 = 24 << 20;
/// Memtables that wait for their table. At four of one partition fjall would block without end if its worker is gone.
const SEALED_MEMTABLES: usize = 3;

/// What is written at once.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) records: Vec<(PartId, i64, Bytes)>,
    /// `None` removes the key.
    pub(super) meta: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

pub(super) struct Store {
    database: Database,
    meta: Keyspace,
    records: RwLock<HashMap<PartId, Keyspace>>,
}

impl Store {
    pub(super) fn open(path: &Path) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .max_cached_files(Some(128))
            .manual_journal_persist(true)
            // A second one would only pass compactions to and fro.
            .worker_threads(1)
            .open()?;
        let meta = database.keyspace("meta", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))?;
        let store = Self { database, meta, records: RwLock::default() };
        for name in store.database.list_keyspace_names() {
            if let Some(id) = part_of(&name) {
                store.add(id)?;
            }
        }
        // What was read back from the journal may lie in the page cache only.
        store.database.persist(PersistMode::SyncAll)?;
        Ok(store)
    }

    /// The partitions that have a keyspace.
    pub(super) fn partitions(&self) -> Vec<PartId> {
        self.records.read().keys().copied().collect()
    }

    /// Makes a partition's keyspace, if it is not there.
    pub(super) fn add(&self, id: PartId) -> fjall::Result<()> {
        if !self.records.read().contains_key(&id) {
            let keyspace = self.database.keyspace(&name_of(id), || {
                KeyspaceCreateOptions::default()
                    .max_memtable_size(MEMTABLE_BYTES)
                    .data_block_size_policy(BlockSizePolicy::all(32 << 10))
                    // Nobody asks for an offset that is not there.
                    .filter_policy(FilterPolicy::disabled())
            })?;
            self.records.write().insert(id, keyspace);
        }
        Ok(())
    }

    /// Removes a partition's records and keyspace.
    pub(super) fn remove(&self, id: PartId) -> fjall::Result<()> {
        let keyspace = self.records.write().remove(&id);
        keyspace.map_or(Ok(()), |keyspace| self.database.delete_keyspace(keyspace))
    }

    /// Writes a change durably, whole or not at all. After an error the store must be opened anew; the change may be
    /// there or not, and may be applied again.
    pub(super) fn apply(&self, change: &Change) -> fjall::Result<()> {
        self.make_room()?;
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        {
            let records = self.records.read();
            for (id, offset, value) in &change.records {
                let keyspace = records.get(id).ok_or(fjall::Error::KeyspaceDeleted)?;
                batch.insert(keyspace, offset.to_be_bytes(), value.clone());
            }
        }
        for (key, value) in &change.meta {
            match value {
                Some(value) => batch.insert(&self.meta, key.as_slice(), value.as_slice()),
                None => batch.remove(&self.meta, key.as_slice()),
            }
        }
        batch.commit()
    }

    /// Keeps what is in memory bounded. fjall asks its worker to do this, but lets memtables grow while that is busy.
    fn make_room(&self) -> fjall::Result<()> {
        // Says whether the worker that writes tables has failed.
        self.database.persist(PersistMode::Buffer)?;
        // A size is read once: fjall's worker changes it at any moment, and an order that changes cannot be sorted by.
        let sized = |keyspace: &Keyspace| (keyspace.tree.active_memtable().size(), keyspace.clone());
        let mut keyspaces: Vec<_> = self.records.read().values().chain([&self.meta]).map(sized).collect();
        keyspaces.sort_unstable_by_key(|(size, _)| std::cmp::Reverse(*size));
        let mut all: u64 = keyspaces.iter().map(|(size, _)| size).sum();
        for (size, keyspace) in &keyspaces {
            if *size <= MEMTABLE_BYTES && all <= ACTIVE_BYTES {
                break;
            }
            keyspace.rotate_memtable()?;
            all = all.saturating_sub(*size);
        }
        while keyspaces.iter().map(|(_, keyspace)| keyspace.tree.sealed_memtable_count()).sum::<usize>()
            >= SEALED_MEMTABLES
        {
            self.database.persist(PersistMode::Buffer)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Hands the stored records of offsets [from, to) to `take`, in order, until it says no more.
    pub(super) fn read(
        &self,
        id: PartId,
        from: i64,
        to: i64,
        mut take: impl FnMut(i64, Bytes) -> bool,
    ) -> fjall::Result<()> {
        let Some(keyspace) = self.records.read().get(&id).cloned() else { return Ok(()) };
        for item in keyspace.range(from.to_be_bytes()..to.to_be_bytes()) {
            let (key, value) = item.into_inner()?;
            let Ok(offset) = <[u8; 8]>::try_from(key.as_ref()) else { continue };
            if !take(i64::from_be_bytes(offset), value.into()) {
                break;
            }
        }
        Ok(())
    }

    /// One fact.
    pub(super) fn get(&self, key: &[u8]) -> fjall::Result<Option<Bytes>> {
        Ok(self.meta.get(key)?.map(Bytes::from))
    }

    /// All facts whose keys begin so.
    pub(super) fn scan(&self, prefix: &[u8]) -> fjall::Result<Vec<(Bytes, Bytes)>> {
        self.meta
            .prefix(prefix)
            .map(|item| item.into_inner().map(|(key, value)| (Bytes::from(key), Bytes::from(value))))
            .collect()
    }

    /// Gives back the disk of records before `low`, as far as whole tables go.
    pub(super) fn reclaim(&self, id: PartId, low: i64, all: bool) -> fjall::Result<()> {
        let Some(keyspace) = self.records.read().get(&id).cloned() else { return Ok(()) };
        if all {
            // Nothing more may come that would push these out of memory and journal.
            keyspace.rotate_memtable()?;
        }
        keyspace.tree.drop_range(0_i64.to_be_bytes()..low.to_be_bytes())?;
        Ok(())
    }
}

/// Why a store cannot be opened, for a person.
pub(super) fn storage(path: impl Into<PathBuf>, error: fjall::Error) -> crate::Error {
    let reason = match &error {
        fjall::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    crate::Error::Storage { path: path.into(), reason, source: Some(Box::new(error)) }
}

fn name_of(id: PartId) -> String {
    format!("r.{}.{}", id.topic, id.partition)
}

fn part_of(name: &str) -> Option<PartId> {
    let (topic, partition) = name.strip_prefix("r.")?.split_once('.')?;
    Some(PartId { topic: topic.parse().ok()?, partition: partition.parse().ok()? })
}
