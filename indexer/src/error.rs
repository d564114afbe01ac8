use std::io;
use std::path::PathBuf;

/// What can go wrong in the indexer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work; the text names the key.
    #[error("{0}")]
    Options(String),
    /// `indexer.partitions` has one that the topic has not.
    #[error("indexer.partitions: {topic} has no partition {missing}; its first is 0 and its last is {last}")]
    NoPartition {
        /// The topic.
        topic: &'static str,
        /// What is in the list.
        missing: i32,
        /// What the bus has.
        last: i32,
    },
    /// A file or folder cannot be used.
    #[error("cannot use {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A file of the index does not hold what it should.
    #[error("{path} is damaged")]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: serde_json::Error,
    },
    /// The index was written by a version that keeps chunks in another way.
    #[error(
        "{path} has an index of format {found}, and this version reads format {} alone: remove the folder, and it is \
         filled again with what the bus still holds",
        crate::store::FORMAT
    )]
    Format {
        /// The store's folder.
        path: PathBuf,
        /// The format that is there.
        found: u32,
    },
    /// An index cannot be read or written.
    #[error("index {path}")]
    Index {
        /// Its folder.
        path: PathBuf,
        /// Cause.
        source: tantivy::TantivyError,
    },
    /// A chunk does not hold what it should.
    #[error("damaged chunk: {0}")]
    Chunk(&'static str),
    /// A search may not go on.
    #[error(transparent)]
    Limit(#[from] crate::Limit),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    /// A thread of the room ended before its work was done.
    #[error("a thread of the indexer failed")]
    Thread(#[from] tokio::task::JoinError),
}

impl Error {
    /// For `map_err` around a call on a file.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// For `map_err` around a call on an index.
    pub(crate) fn index(path: impl Into<PathBuf>) -> impl FnOnce(tantivy::TantivyError) -> Self {
        let path = path.into();
        move |source| Self::Index { path, source }
    }
}
