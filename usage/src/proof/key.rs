//! The key that proofs are signed with, in the data folder.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::pem;

/// Bytes of an Ed25519 public key, and of the seed of a private one.
pub(super) const KEY_BYTES: usize = 32;

/// What stands before the seed in PKCS#8 of version 1 (RFC 8410, section 7): the form that OpenSSL writes and reads.
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A greater file is no key.
const MAX_FILE_BYTES: u64 = 16 << 10;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A file or its folder cannot be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The private key's file holds none.
    #[error("{}: is no Ed25519 private key in PEM (PKCS#8): restore it from a backup, or remove it to sign with a new key", .0.display())]
    Private(PathBuf),
    /// The public key's file holds none.
    #[error("{}: is no public key: 64 hexadecimal digits, as in key.pub", .0.display())]
    Public(PathBuf),
    /// The operating system gives no random numbers.
    #[error("no key can be made: the operating system gives no random numbers")]
    Random,
}

/// A private key of Ed25519. It shows its public half alone.
pub struct Key(Ed25519KeyPair);

impl Key {
    /// Reads `key.pem` of a folder (PKCS#8). Where it is missing, it is made, readable by its owner alone, and the folder
    /// with it. `key.pub` beside it has the public key, in hex. Reads and writes files: not for an async thread.
    pub fn open(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join("key.pem");
        let text = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path)?,
            read => read.map_err(|source| KeyError::Read { path: path.clone(), source })?,
        };
        let der = pem::decode(&text).ok_or_else(|| KeyError::Private(path.clone()))?;
        // Keys of OpenSSL come without the public one to check it with.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| KeyError::Private(path))?;
        let key = Self(pair);
        let (path, text) = (folder.join("key.pub"), key.public() + "\n");
        if !read(&path).is_ok_and(|there| there == text) {
            let write = weir_service::file::write_whole(&path, text.as_bytes());
            write.map_err(|source| KeyError::Write { path, source })?;
        }
        Ok(key)
    }

    /// The public key: 64 hexadecimal digits, lower case.
    pub fn public(&self) -> String {
        hex::encode(self.0.public_key().as_ref())
    }

    /// In hex.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.0.sign(message).as_ref())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.public())
    }
}

/// The public key that an argument names: 64 hexadecimal digits, or the path of a file that has them. Lower case.
pub fn public_key_of(arg: &str) -> Result<String, KeyError> {
    if let Some(key) = public_key(arg) {
        return Ok(key);
    }
    let path = Path::new(arg);
    let text = match read(path) {
        // Not text: some other file.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(KeyError::Public(path.to_owned())),
        read => read.map_err(|source| KeyError::Read { path: path.to_owned(), source })?,
    };
    public_key(text.trim()).ok_or_else(|| KeyError::Public(path.to_owned()))
}

pub(super) fn public_key(text: &str) -> Option<String> {
    let mut key = [0; KEY_BYTES];
    hex::decode_to_slice(text, &mut key).ok()?;
    Some(hex::encode(key))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Makes the file of a new key: there whole or not at all, and never readable by others.
fn create(path: &Path) -> Result<String, KeyError> {
    let mut seed = [0_u8; KEY_BYTES];
    SystemRandom::new().fill(&mut seed).map_err(|_| KeyError::Random)?;
    let text = pem::encode(&[PKCS8_HEAD.as_slice(), &seed].concat());
    weir_service::file::write_private(path, text.as_bytes())
        .map_err(|source| KeyError::Write { path: path.to_owned(), source })?;
    Ok(text)
}
