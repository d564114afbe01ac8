//! A file of a dataset while it is written, on this machine's disk; nobody sees it before it is whole.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{jsonl, parquet};
use crate::definition::{Definition, Format};
use crate::row::{Row, all_heads};

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk.
    #[error("{}: cannot be written", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The encoder of Parquet.
    #[error("{}: cannot be written as Parquet", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: ::parquet::errors::ParquetError,
    },
}

/// A file that takes rows.
pub struct Writer {
    path: PathBuf,
    rows: u64,
    definition: Definition,
    format: FormatFile,
}

enum FormatFile {
    Parquet(Box<parquet::File<Hashed>>),
    Jsonl(Box<jsonl::File<Hashed>>),
}

/// A file that is whole and synced, and not at its place yet.
#[derive(Debug)]
pub struct Finished {
    /// Where it lies.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// What made it.
    pub definition: Definition,
}

/// Hashes and counts what is written.
struct Hashed {
    to: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Writer {
    /// Makes a file for rows of this definition.
    pub fn create(path: &Path, definition: &Definition) -> Result<Self, WriteError> {
        let failed = |source| WriteError::Io { path: path.to_owned(), source };
        let file = File::create_new(path).map_err(failed)?;
        let to = Hashed { to: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
        let heads = all_heads(definition);
        let format = match definition.format {
            Format::Parquet => {
                let file = parquet::File::new(to, &heads);
                FormatFile::Parquet(Box::new(
                    file.map_err(|source| WriteError::Parquet { path: path.to_owned(), source })?,
                ))
            }
            Format::Jsonl | Format::Chat => FormatFile::Jsonl(Box::new(jsonl::File::new(to, &heads).map_err(failed)?)),
        };
        Ok(Self { path: path.to_owned(), rows: 0, definition: definition.clone(), format })
    }

    /// One more row.
    pub fn append(&mut self, row: Row) -> Result<(), WriteError> {
        self.rows += 1;
        match &mut self.format {
            FormatFile::Parquet(file) => {
                file.append(row).map_err(|source| WriteError::Parquet { path: self.path.clone(), source })
            }
            FormatFile::Jsonl(file) => {
                file.append(row).map_err(|source| WriteError::Io { path: self.path.clone(), source })
            }
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes that it will have, about.
    pub fn bytes(&self) -> u64 {
        match &self.format {
            FormatFile::Parquet(file) => file.bytes(),
            FormatFile::Jsonl(file) => file.bytes(),
        }
    }

    /// Ends the file and syncs it.
    pub fn finish(self) -> Result<Finished, WriteError> {
        let Self { path, rows, definition, format } = self;
        let failed = |source| WriteError::Io { path: path.clone(), source };
        let written = match format {
            FormatFile::Parquet(file) => file
                .finish(&[("weir.definition", definition.fingerprint())])
                .map_err(|source| WriteError::Parquet { path: path.clone(), source })?,
            FormatFile::Jsonl(file) => file.finish().map_err(failed)?,
        };
        let Hashed { to, hash, bytes } = written;
        let file = to.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        Ok(Finished { path, rows, bytes, sha256: hex::encode(hash.finalize()), definition })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
