//! Datasets: files, and the manifest that lists them, in a folder or in a bucket of S3.

mod bucket;
mod folder;
mod jsonl;
pub mod manifest;
mod parquet;
pub mod rewrite;
mod store;
mod writer;

pub(crate) use self::manifest::schema;
pub use self::manifest::{Listed, Manifest, Step};
pub(crate) use self::store::OWN;
pub use self::store::{MANIFEST, Stamp, Store, StoreError, Stored};
pub use self::writer::{Finished, WriteError, Writer};

#[cfg(test)]
mod tests;
