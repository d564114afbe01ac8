//! Datasets in a bucket of S3, or of what speaks as it. A large file is sent in parts; the parts become a file at once.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Key;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions,
    PutPayload, RetryConfig, UpdateVersion, WriteMultipart,
};
use tokio::io::AsyncReadExt as _;

use super::store::{OWN, Stamp, StoreError, Stored};

/// Larger files are sent in parts of this size; S3 takes 10,000 of at least 5 MiB.
const PART: usize = 8 << 20;
/// Parts on their way at once.
const AT_ONCE: usize = 2;
/// How long a request is tried anew; what is above tries again, with what it has kept.
const RETRY: Duration = Duration::from_secs(20);

/// A prefix of a bucket; cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Arc<AmazonS3>,
    prefix: Key,
}

impl Bucket {
    /// `s3://BUCKET/PREFIX`; region, endpoint and credentials are those of the environment (`AWS_…`).
    pub(super) fn open(address: &str) -> Result<Self, StoreError> {
        let wrong = |why: &str| StoreError::Address(format!("«{}» {why}", address.escape_debug()));
        let rest = address.strip_prefix("s3://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong("names no bucket: use s3://BUCKET/PREFIX"));
        }
        let prefix = Key::parse(prefix.trim_end_matches('/')).map_err(|_| wrong("has a prefix that is no path"))?;
        // On loopback only does a bucket answer without TLS.
        let endpoint = AmazonS3Builder::from_env().get_config_value(&AmazonS3ConfigKey::Endpoint);
        let is_local = endpoint.is_some_and(|url| {
            ["http://127.", "http://localhost", "http://[::1]"].iter().any(|local| url.starts_with(local))
        });
        let options =
            ClientOptions::new().with_timeout(Duration::from_mins(5)).with_connect_timeout(Duration::from_secs(5));
        let retry = RetryConfig { max_retries: 5, retry_timeout: RETRY, ..RetryConfig::default() };
        let mut builder =
            AmazonS3Builder::from_env().with_bucket_name(bucket).with_client_options(options).with_retry(retry);
        if is_local {
            builder = builder.with_allow_http(true);
        }
        Ok(Self { client: Arc::new(builder.build()?), prefix })
    }

    fn key(&self, folder: &str, name: &str) -> Key {
        self.prefix.clone().join(folder).join(name)
    }

    pub(super) async fn put_file(&self, dataset: &str, name: &str, from: &Path) -> Result<(), StoreError> {
        let failed = |what| move |source| StoreError::Io { path: from.to_owned(), what, source };
        let key = self.key(dataset, name);
        let mut file = tokio::fs::File::open(from).await.map_err(failed("cannot be read"))?;
        let length = file.metadata().await.map_err(failed("cannot be read"))?.len();
        if length <= PART as u64 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(failed("cannot be read"))?;
            self.client.put(&key, PutPayload::from(bytes)).await?;
        } else {
            let upload = self.client.put_multipart_opts(&key, PutMultipartOptions::default()).await?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
            let mut piece = vec![0; 1 << 20];
            loop {
                let read = file.read(&mut piece).await.map_err(failed("cannot be read"))?;
                if read == 0 {
                    break;
                }
                upload.wait_for_capacity(AT_ONCE).await?;
                upload.write(&piece[..read]);
            }
            // Takes back its parts where it fails.
            upload.finish().await?;
        }
        tokio::fs::remove_file(from).await.map_err(failed("cannot be removed"))
    }

    pub(super) async fn read(
        &self,
        dataset: &str,
        name: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        if range.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.client.get_opts(&self.key(dataset, name), options).await?;
        Ok(found.into_stream().map_err(StoreError::from).boxed())
    }

    pub(super) async fn remove(&self, dataset: &str, name: &str) -> Result<(), StoreError> {
        match self.client.delete(&self.key(dataset, name)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn list(&self, dataset: &str) -> Result<Vec<Stored>, StoreError> {
        let prefix = self.prefix.clone().join(dataset);
        let objects: Vec<_> = self.client.list(Some(&prefix)).try_collect().await?;
        let stored = objects.into_iter().filter_map(|object| {
            let name = object.location.filename()?.to_owned();
            Some(Stored { name, written: object.last_modified.into() })
        });
        Ok(stored.collect())
    }

    pub(super) async fn datasets(&self) -> Result<Vec<String>, StoreError> {
        let found = self.client.list_with_delimiter(Some(&self.prefix)).await?;
        let names = found.common_prefixes.iter().filter_map(|key| key.filename().map(str::to_owned));
        Ok(names.filter(|name| name != OWN).collect())
    }

    pub(super) async fn small(
        &self,
        folder: &str,
        name: &str,
        most: u64,
    ) -> Result<Option<(Bytes, Stamp)>, StoreError> {
        let key = self.key(folder, name);
        let found = match self.client.get(&key).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        if found.meta.size > most {
            let message = format!("is larger than {most} bytes");
            return Err(StoreError::Damaged { place: key.to_string(), message });
        }
        let stamp = Stamp(found.meta.e_tag.clone());
        Ok(Some((found.bytes().await?, stamp)))
    }

    pub(super) async fn replace_small(
        &self,
        folder: &str,
        name: &str,
        bytes: Bytes,
        was: &Stamp,
    ) -> Result<Stamp, StoreError> {
        let mode = match &was.0 {
            Some(e_tag) => PutMode::Update(UpdateVersion { e_tag: Some(e_tag.clone()), version: None }),
            None => PutMode::Create,
        };
        match self.client.put_opts(&self.key(folder, name), bytes.into(), mode.into()).await {
            Ok(put) => Ok(Stamp(put.e_tag)),
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => Err(StoreError::Changed),
            Err(error) => Err(error.into()),
        }
    }
}
