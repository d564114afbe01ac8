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
    /// The data folder cannot be had, or another collector uses it.
    #[error(transparent)]
    Locked(#[from] weir_service::lock::LockError),
    /// The bus cannot be used.
    #[error("collector: the bus cannot be used")]
    Bus(#[from] weir_bus::Error),
    /// OTLP cannot be taken in.
    #[error(transparent)]
    Otlp(#[from] crate::otlp::Error),
    /// Pods cannot be asked for.
    #[error(transparent)]
    Kubernetes(#[from] crate::kubernetes::Error),
    /// A task of the collector ended by itself.
    #[error("collector: {0} stopped")]
    Stopped(&'static str),
}
