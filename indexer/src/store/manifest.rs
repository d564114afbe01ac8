//! What of the windows counts, and how far the bus was read for it: one small file, replaced whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::gaps::Gaps;
use crate::Error;
use crate::ingest::Marks;

const NAME: &str = "manifest.json";
const TEMPORARY: &str = "manifest.json.new";

/// What chunks look like and what they are listed under: one more with every change after which an older chunk would be
/// read wrongly, or passed over by a query that it answers. Manifests without it are older than 1.
pub(crate) const FORMAT: u32 = 5;

/// The commit of a store: chunks of a seal count once the manifest names that seal or a later one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// [`FORMAT`] of the chunks.
    pub format: u32,
    /// Number of the last seal that counts.
    pub seal: u64,
    /// By partition, the offset of the first record that is not on disk.
    pub positions: BTreeMap<i32, i64>,
    /// By partition, the time of the last record before that, in milliseconds since the epoch.
    #[serde(default)]
    pub times: BTreeMap<i32, i64>,
    /// What was never read.
    #[serde(default)]
    pub gaps: Gaps,
    /// How far each file is on disk.
    pub marks: Marks,
    /// By folder, when a window was last written, in milliseconds since the epoch.
    pub windows: BTreeMap<String, i64>,
}

/// Read before the rest, which may be another one's.
#[derive(Deserialize)]
struct Format {
    #[serde(default)]
    format: u32,
}

impl Default for Manifest {
    fn default() -> Self {
        let (positions, times, windows) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { format: FORMAT, seal: 0, positions, times, gaps: Gaps::default(), marks: Marks::default(), windows }
    }
}

impl Manifest {
    /// The manifest in `root`; an empty one where there is none, and an error where its chunks are not of [`FORMAT`].
    pub(crate) fn read(root: &Path) -> Result<Self, Error> {
        let path = root.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io(path)(error)),
        };
        match serde_json::from_slice::<Format>(&bytes) {
            Ok(Format { format }) if format != FORMAT => Err(Error::Format { path: root.into(), found: format }),
            read => {
                read.and_then(|_| serde_json::from_slice(&bytes)).map_err(|source| Error::Manifest { path, source })
            }
        }
    }

    /// Writes it beside the old one, durably; [`Manifest::install`] makes it count.
    pub(crate) fn write(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(TEMPORARY);
        let bytes = serde_json::to_vec(self).map_err(|source| Error::Manifest { path: path.clone(), source })?;
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()
        };
        write().map_err(Error::io(&path))
    }

    /// Puts what was written in the place of the old one; durable after [`sync_folder`].
    pub(crate) fn install(root: &Path) -> Result<(), Error> {
        let path = root.join(NAME);
        fs::rename(root.join(TEMPORARY), &path).map_err(Error::io(path))
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io(path))
}
