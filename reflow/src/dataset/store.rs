//! Where datasets lie: `NAME/FILE` and `NAME/manifest.json`, in a folder or below a prefix of a bucket.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::BoxStream;

use super::bucket::Bucket;
use super::folder::Folder;
use super::manifest::Manifest;

/// The manifest's name.
pub const MANIFEST: &str = "manifest.json";
/// Larger manifests are none of ours.
const MAX_MANIFEST: u64 = 256 << 20;
/// What lies beside the datasets: definitions that were made by request, and the key of hashes.
pub(crate) const OWN: &str = "_weir";

/// A store that cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A folder.
    #[error("{}: {what}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Cause.
        source: std::io::Error,
    },
    /// A bucket.
    #[error("the bucket of datasets")]
    Bucket(#[from] object_store::Error),
    /// It changed since it was read; nothing was written.
    #[error("was changed by another since it was read")]
    Changed,
    /// What lies there cannot be used.
    #[error("{place}: {message}")]
    Damaged {
        /// Where.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// The address.
    #[error("{0}")]
    Address(String),
    /// Work on another thread broke off.
    #[error("broke off")]
    Broken,
}

/// What a small object was when it was read, so that it is replaced only if it still is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp(pub(super) Option<String>);

/// What lies in a dataset's place, listed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// When it was written.
    pub written: SystemTime,
}

/// A store of datasets; cheap to clone.
#[derive(Debug, Clone)]
pub enum Store {
    /// On disk.
    Folder(Folder),
    /// On S3, or what speaks as it.
    Bucket(Bucket),
}

macro_rules! either {
    ($self:expr, $store:ident => $do:expr) => {
        match $self {
            Store::Folder($store) => $do,
            Store::Bucket($store) => $do,
        }
    };
}

impl Store {
    /// `address` is a folder, or `s3://BUCKET/PREFIX`; without one it is `data_dir/datasets`.
    pub fn open(address: Option<&str>, data_dir: &Path) -> Result<Self, StoreError> {
        match address {
            Some(address) if address.starts_with("s3://") => Ok(Self::Bucket(Bucket::open(address)?)),
            Some(address) if address.contains("://") => {
                let (scheme, _) = address.split_once("://").unwrap_or_default();
                Err(StoreError::Address(format!("«{scheme}://» is not known: use a folder, or s3://BUCKET/PREFIX")))
            }
            Some("") => Err(StoreError::Address("«» is no folder; leave it out for data_dir/datasets".to_owned())),
            Some(folder) => Folder::open(Path::new(folder)).map(Self::Folder),
            None => Folder::open(&data_dir.join("datasets")).map(Self::Folder),
        }
    }

    /// What is wrong with an address, without opening it.
    pub fn check(address: Option<&str>) -> Result<(), String> {
        match address {
            Some(address) if address.starts_with("s3://") => {
                Bucket::open(address).map(drop).map_err(|error| error.to_string())
            }
            Some(address) if address.is_empty() || address.contains("://") => {
                Self::open(Some(address), Path::new("")).map(drop).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }

    /// Puts a finished file at its place, whole and durable; it lies at `from` on this machine, and is gone there then.
    pub async fn put_file(&self, dataset: &str, name: &str, from: &Path) -> Result<(), StoreError> {
        either!(self, store => store.put_file(dataset, name, from).await)
    }

    /// A part of a file, piece by piece.
    pub async fn read(
        &self,
        dataset: &str,
        name: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        either!(self, store => store.read(dataset, name, range).await)
    }

    /// Removes a file; one that is not there is no error.
    pub async fn remove(&self, dataset: &str, name: &str) -> Result<(), StoreError> {
        either!(self, store => store.remove(dataset, name).await)
    }

    /// What lies at a dataset's place, without the manifest.
    pub async fn list(&self, dataset: &str) -> Result<Vec<Stored>, StoreError> {
        let mut found = either!(self, store => store.list(dataset).await)?;
        found.retain(|stored| !stored.name.starts_with(MANIFEST));
        Ok(found)
    }

    /// Names of all datasets.
    pub async fn datasets(&self) -> Result<Vec<String>, StoreError> {
        let mut names = either!(self, store => store.datasets().await)?;
        names.retain(|name| crate::definition::check_name(name).is_ok());
        names.sort_unstable();
        Ok(names)
    }

    /// A dataset's manifest, and what it has to be for a replacement.
    pub async fn manifest(&self, dataset: &str) -> Result<Option<(Manifest, Stamp)>, StoreError> {
        let Some((bytes, stamp)) = self.small(dataset, MANIFEST).await? else { return Ok(None) };
        let damaged = |error: serde_json::Error| StoreError::Damaged {
            place: format!("{dataset}/{MANIFEST}"),
            message: error.to_string(),
        };
        Ok(Some((serde_json::from_slice(&bytes).map_err(damaged)?, stamp)))
    }

    /// Replaces a manifest that is still what it was; [`StoreError::Changed`] otherwise.
    pub async fn replace_manifest(
        &self,
        dataset: &str,
        manifest: &mut Manifest,
        was: &Stamp,
    ) -> Result<Stamp, StoreError> {
        manifest.version += 1;
        manifest.updated = weir_service::time::format(weir_service::time::now_unix_nano());
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(|_| StoreError::Broken)?;
        self.replace_small(dataset, MANIFEST, bytes.into(), was).await
    }

    /// A small object; `None` where there is none.
    pub(crate) async fn small(&self, folder: &str, name: &str) -> Result<Option<(Bytes, Stamp)>, StoreError> {
        either!(self, store => store.small(folder, name, MAX_MANIFEST).await)
    }

    /// Replaces a small object that is still what it was; the stamp of nothing makes a new one.
    pub(crate) async fn replace_small(
        &self,
        folder: &str,
        name: &str,
        bytes: Bytes,
        was: &Stamp,
    ) -> Result<Stamp, StoreError> {
        either!(self, store => store.replace_small(folder, name, bytes, was).await)
    }
}
