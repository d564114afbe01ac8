//! Silences on disk: a file that is written whole before a change is answered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use weir_service::file::write_whole;

use super::silence::{PostedSilence, Silence, SilenceError, Silences};
use crate::room::set_aside;

/// All silences, kept in a file.
#[derive(Debug, Default)]
pub struct Book {
    /// `None` keeps them in memory alone.
    path: Option<PathBuf>,
    silences: RwLock<Arc<Silences>>,
    writing: Mutex<()>,
    changed: watch::Sender<u64>,
}

/// A silence could not be made or ended.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// It cannot be.
    #[error(transparent)]
    Silence(#[from] SilenceError),
    /// There is none of this id.
    #[error("there is no silence {0}")]
    Unknown(String),
    /// The file; nothing was changed.
    #[error("the silences cannot be written")]
    Io(#[from] std::io::Error),
}

impl Book {
    /// Reads the file, if there is one. One that is no list of silences is moved aside and told, since alerts that are
    /// told are better than none.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let all = match std::fs::read(path) {
            Ok(bytes) => match serde_json::from_slice::<Vec<Silence>>(&bytes) {
                Ok(all) => all,
                Err(error) => {
                    set_aside(path, &error)?;
                    Vec::new()
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let silences = RwLock::new(Arc::new(Silences::restore(all)));
        Ok(Self { path: Some(path.to_owned()), silences, ..Self::default() })
    }

    /// As they are.
    pub fn silences(&self) -> Arc<Silences> {
        self.silences.read().clone()
    }

    /// Changes whenever a silence does.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes a silence that another alerter made or changed, unless what is known of it is as new. Writes a file: not for
    /// an async thread.
    pub(crate) fn learn(&self, silence: Silence, now_ms: i64) -> Result<(), BookError> {
        if self.silences().is_known(&silence, now_ms) {
            return Ok(());
        }
        self.change(|silences| {
            silences.learn(silence, now_ms);
            Ok(())
        })
    }

    /// Makes or changes a silence and gives its id. Writes a file: not for an async thread.
    pub fn put(&self, posted: PostedSilence, now_ms: i64) -> Result<String, BookError> {
        self.change(|silences| Ok(silences.put(posted, id(), now_ms)?))
    }

    /// Ends a silence. Writes a file: not for an async thread.
    pub fn expire(&self, id: &str, now_ms: i64) -> Result<(), BookError> {
        self.change(|silences| {
            let there = silences.expire(id, now_ms);
            if there { Ok(()) } else { Err(BookError::Unknown(id.to_owned())) }
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Silences) -> Result<T, BookError>) -> Result<T, BookError> {
        let _one = self.writing.lock();
        let mut silences = (*self.silences()).clone();
        let result = change(&mut silences)?;
        if let Some(path) = &self.path {
            let all: Vec<&Silence> = silences.all().collect();
            write_whole(path, &serde_json::to_vec(&all).map_err(std::io::Error::from)?)?;
        }
        *self.silences.write() = Arc::new(silences);
        self.changed.send_modify(|version| *version += 1);
        Ok(result)
    }
}

/// A random UUID, as Alertmanager's ids are.
fn id() -> String {
    let mut bytes = rand::random::<[u8; 16]>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn silences_are_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silences");
        let posted = r#"{"matchers":[{"name":"a","value":"b"}],"endsAt":"now+1h"}"#;
        let book = Book::open(&path).unwrap();
        let id = book.put(serde_json::from_str(posted).unwrap(), 1_700_000_000_000).unwrap();
        assert_eq!(id.len(), 36);
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let book = Book::open(&path).unwrap();
        assert_eq!(book.silences().of(&labels, 1_700_000_000_000), [id.as_str()]);
        book.expire(&id, 1_700_000_001_000).unwrap();
        assert!(matches!(book.expire("x", 1_700_000_001_000), Err(BookError::Unknown(_))));
        assert!(Book::open(&path).unwrap().silences().of(&labels, 1_700_000_001_000).is_empty());
        std::fs::write(&path, "{").unwrap();
        assert!(Book::open(&path).unwrap().silences().all().next().is_none());
        let aside = std::fs::read_to_string(folder.path().join("silences.damaged")).unwrap();
        assert!(aside == "{" && !path.exists());
    }
}
