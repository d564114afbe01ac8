use std::io;
use std::path::PathBuf;

/// What can go wrong in the collector.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work; the text names the key.
    #[error("{0}")]
    Options(String),
    /// The data folder or the checkpoint in it cannot be used.
    #[error("collector: cannot use {path}")]
    Storage {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another collector uses the data folder.
    #[error("collector: {0} is in use by another weir")]
    Locked(PathBuf),
    /// The bus cannot be used.
    #[error("collector: the bus cannot be used")]
    Bus(#[from] weir_bus::Error),
    /// A listener cannot be bound.
    #[error("collector: {key}: cannot listen on {address}")]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A task of the collector ended by itself.
    #[error("collector: {0} stopped")]
    Stopped(&'static str),
}
