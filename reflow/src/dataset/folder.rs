//! Datasets in a folder. What is written is written beside its place, synced, and renamed.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use sha2::Digest as _;
use tokio::io::AsyncReadExt as _;

use super::store::{OWN, Stamp, StoreError, Stored};

/// What is read at once.
const PIECE: usize = 256 << 10;
/// Begins the name of what is being copied to its place.
const PART: &str = ".part-";

/// A folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { path: path.to_owned(), what, source }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Broken)?
}

/// Keeps other processes out of a folder; ends with the file, whatever happens.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let lock = File::open(folder).map_err(failed(folder, "cannot be locked"))?;
    lock.lock().map_err(failed(folder, "cannot be locked"))?;
    Ok(lock)
}

fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed(path, "cannot be synced"))
}

impl Folder {
    /// Makes it where it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.as_os_str().is_empty() {
            fs::create_dir_all(path).map_err(failed(path, "cannot be made"))?;
        }
        Ok(Self(path.to_owned()))
    }

    fn of(&self, dataset: &str) -> Result<PathBuf, StoreError> {
        let path = self.0.join(dataset);
        if !path.is_dir() {
            fs::create_dir_all(&path).map_err(failed(&path, "cannot be made"))?;
            sync_folder(&self.0)?;
        }
        Ok(path)
    }

    pub(super) async fn put_file(&self, dataset: &str, name: &str, from: &Path) -> Result<(), StoreError> {
        let (this, dataset, name, from) = (self.clone(), dataset.to_owned(), name.to_owned(), from.to_owned());
        blocking(move || {
            let folder = this.of(&dataset)?;
            let to = folder.join(&name);
            match fs::rename(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    let part = folder.join(format!("{PART}{name}"));
                    fs::copy(&from, &part).map_err(failed(&part, "cannot be written"))?;
                    File::open(&part).and_then(|file| file.sync_all()).map_err(failed(&part, "cannot be synced"))?;
                    fs::rename(&part, &to).map_err(failed(&to, "cannot be put at its place"))?;
                    fs::remove_file(&from).map_err(failed(&from, "cannot be removed"))?;
                }
                moved => moved.map_err(failed(&to, "cannot be put at its place"))?,
            }
            sync_folder(&folder)
        })
        .await
    }

    pub(super) async fn read(
        &self,
        dataset: &str,
        name: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        let path = self.0.join(dataset).join(name);
        let opened = path.clone();
        let file = blocking(move || {
            let mut file = File::open(&opened).map_err(failed(&opened, "cannot be read"))?;
            file.seek(SeekFrom::Start(range.start)).map_err(failed(&opened, "cannot be read"))?;
            Ok(file)
        })
        .await?;
        let left = range.end.saturating_sub(range.start);
        let begin = (tokio::fs::File::from_std(file), left, path);
        let pieces = stream::try_unfold(begin, |(mut file, left, path)| async move {
            if left == 0 {
                return Ok(None);
            }
            let mut piece = vec![0; usize::try_from(left).unwrap_or(PIECE).min(PIECE)];
            let read = file.read(&mut piece).await.map_err(failed(&path, "cannot be read"))?;
            if read == 0 {
                return Err(StoreError::Damaged { place: path.display().to_string(), message: "is too short".into() });
            }
            piece.truncate(read);
            Ok(Some((Bytes::from(piece), (file, left - read as u64, path))))
        });
        Ok(pieces.boxed())
    }

    pub(super) async fn remove(&self, dataset: &str, name: &str) -> Result<(), StoreError> {
        let folder = self.0.join(dataset);
        let path = folder.join(name);
        blocking(move || {
            if !folder.is_dir() {
                return Ok(());
            }
            // What a manifest was about to become may be another's, who has the lock then.
            let _lock = lock(&folder)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path, "cannot be removed")(error)),
                _ => Ok(()),
            }
        })
        .await
    }

    pub(super) async fn list(&self, dataset: &str) -> Result<Vec<Stored>, StoreError> {
        let folder = self.0.join(dataset);
        blocking(move || {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries.map_err(failed(&folder, "cannot be read"))?,
            };
            let mut found = Vec::new();
            for entry in entries {
                let entry = entry.map_err(failed(&folder, "cannot be read"))?;
                // What is gone meanwhile is none.
                let Some(metadata) = entry.metadata().ok().filter(fs::Metadata::is_file) else { continue };
                let Ok(name) = entry.file_name().into_string() else { continue };
                found.push(Stored { name, written: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH) });
            }
            Ok(found)
        })
        .await
    }

    pub(super) async fn datasets(&self) -> Result<Vec<String>, StoreError> {
        let folder = self.0.clone();
        blocking(move || {
            let entries = fs::read_dir(&folder).map_err(failed(&folder, "cannot be read"))?;
            let folders = entries.filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir()));
            Ok(folders.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name != OWN).collect())
        })
        .await
    }

    pub(super) async fn small(
        &self,
        folder: &str,
        name: &str,
        most: u64,
    ) -> Result<Option<(Bytes, Stamp)>, StoreError> {
        let path = self.0.join(folder).join(name);
        blocking(move || Ok(read_small(&path, most)?.map(|bytes| (bytes.clone(), stamp(&bytes))))).await
    }

    pub(super) async fn replace_small(
        &self,
        folder: &str,
        name: &str,
        bytes: Bytes,
        was: &Stamp,
    ) -> Result<Stamp, StoreError> {
        let (this, folder, name, was) = (self.clone(), folder.to_owned(), name.to_owned(), was.clone());
        blocking(move || {
            let folder = this.of(&folder)?;
            let path = folder.join(&name);
            let _lock = lock(&folder)?;
            let there = read_small(&path, u64::MAX)?.map(|bytes| stamp(&bytes)).unwrap_or_default();
            if there != was {
                return Err(StoreError::Changed);
            }
            weir_service::file::write_whole(&path, &bytes).map_err(failed(&path, "cannot be written"))?;
            Ok(stamp(&bytes))
        })
        .await
    }
}

fn stamp(bytes: &[u8]) -> Stamp {
    Stamp(Some(hex::encode(sha2::Sha256::digest(bytes))))
}

fn read_small(path: &Path, most: u64) -> Result<Option<Bytes>, StoreError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed(path, "cannot be read"))?,
    };
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed(path, "cannot be read"))?;
    if bytes.len() as u64 > most {
        let message = format!("is larger than {most} bytes");
        return Err(StoreError::Damaged { place: path.display().to_string(), message });
    }
    Ok(Some(bytes.into()))
}
