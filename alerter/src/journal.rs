//! A file that records are appended to, each behind its length in bytes; it is written whole again when it is too long,
//! and after a start that found its end damaged.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use prost::Message;
use weir_service::file::write_whole;

/// The file. Does I/O: not for an async thread.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// At more bytes it is written whole again.
    most: usize,
    /// Whether what is appended outlasts a crash of the machine.
    is_synced: bool,
    /// Its bytes; `None` where it has to be written whole.
    bytes: Option<usize>,
}

impl Journal {
    /// Reads the file, if there is one: whole records in their order. One that is four times as large as it can become is
    /// not read.
    pub(crate) fn open<M: Message + Default>(path: &Path, most: usize, is_synced: bool) -> io::Result<(Self, Vec<M>)> {
        let mut journal = Self { path: path.to_owned(), most, is_synced, bytes: None };
        let mut records = Vec::new();
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() > 4 * most as u64 => {
                tracing::error!(path = %path.display(), bytes = metadata.len(),
                    "a file of the alerter is larger than it can be; beginning without it");
            }
            Ok(_) => {
                let all = std::fs::read(path)?;
                let mut rest = all.as_slice();
                journal.bytes = Some(all.len());
                while !rest.is_empty() {
                    let Ok(record) = M::decode_length_delimited(&mut rest) else {
                        tracing::warn!(path = %path.display(), "the end of a file of the alerter is damaged, and is left out");
                        journal.bytes = None;
                        break;
                    };
                    records.push(record);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok((journal, records))
    }

    /// Adds records; `all` are those that are kept, these among them. After an error the next call writes all.
    pub(crate) fn append<M: Message>(&mut self, records: &[M], all: impl IntoIterator<Item = M>) -> io::Result<()> {
        let frames: Vec<u8> = records.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
        let before = self.bytes.take();
        let bytes = match before {
            Some(bytes) if bytes.saturating_add(frames.len()) < self.most => {
                let mut file = File::options().create(true).append(true).open(&self.path)?;
                file.write_all(&frames)?;
                if self.is_synced {
                    file.sync_data()?;
                }
                bytes + frames.len()
            }
            _ => {
                let all: Vec<u8> = all.into_iter().flat_map(|record| record.encode_length_delimited_to_vec()).collect();
                write_whole(&self.path, &all)?;
                all.len()
            }
        };
        self.bytes = Some(bytes);
        Ok(())
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
