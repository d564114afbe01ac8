//! Where the bytes of a generation went whose file is another now, or gone: into a copy, or into a gzip file.
//!
//! `copytruncate` writes a copy and empties the file; rotation renames, compresses and removes. Both leave the bytes in
//! the same folder under a name that goes on from the old one's stem, and what they hold is compared with what is
//! remembered of the generation. A copy that ends before the first bytes that are remembered do cannot be told.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint::Entry;
use super::content::{Content, is_packed, open};
use super::identity;

/// A file that holds what a generation held.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) path: PathBuf,
    pub(super) content: Content,
    pub(super) metadata: Metadata,
    /// It reaches as far as the generation was read. Otherwise it holds nothing new.
    pub(super) whole: bool,
}

impl Successor {
    /// Whether there is a byte at this offset.
    pub(super) fn holds(&mut self, offset: u64) -> bool {
        self.content.read_at(&mut [0], offset).is_ok_and(|(length, _)| length == 1)
    }
}

/// Regular files of a folder whose names are wanted; none where there is no folder. What cannot be read is an error.
pub(super) fn siblings(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(folder) {
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(&wanted) {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => files.push((entry.path(), metadata)),
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(files)
}

/// Whether rotation may have named a file `other` that was called `name`: `app.log.1`, `app.log-20260102`,
/// `0.log.20260102-030405`.
pub(super) fn is_after(name: &str, other: &str) -> bool {
    other.strip_prefix(name).is_some_and(|end| end.starts_with(['.', '-']))
}

/// Whether the file at `path` is that of the generation, though it may have been renamed. Where births are not told,
/// its inode may be another file's by now: then what lies at another place has to hold what was read.
pub(super) fn is_there(entry: &Entry, path: &Path, metadata: &Metadata) -> bool {
    entry.is_of(metadata) && (entry.born.is_some() || is_place_of(entry, path) || holds_all(entry, path))
}

/// What lies there is of the same source, whatever it is.
pub(super) fn is_place_of(entry: &Entry, path: &Path) -> bool {
    let end = path.to_str().and_then(|path| path.strip_prefix(&entry.target));
    end.is_some_and(|end| end.is_empty() || (end.starts_with(['.', '-']) && !end.contains('/')))
}

fn holds_all(entry: &Entry, path: &Path) -> bool {
    let found = if entry.fingerprint.is_empty() { Ok(None) } else { hold(entry, path) };
    found.is_ok_and(|found| found.is_some_and(|found| found.whole))
}

/// Looks for the file that holds this generation now, leaving out those that are `taken`.
pub(super) fn find(entry: &Entry, taken: impl Fn(&Metadata) -> bool) -> Option<Successor> {
    if entry.fingerprint.is_empty() {
        // Nothing is known that could be told again.
        return None;
    }
    let target = Path::new(&entry.target);
    let (folder, name) = (target.parent()?, target.file_name()?.to_str()?);
    let stem = name.split('.').next().unwrap_or(name);
    // Between the listing and the opening a file may have been compressed.
    for _ in 0..2 {
        let mut vanished = false;
        let mut found = Vec::new();
        let files = siblings(folder, |other| other.starts_with(stem) && other != name);
        let files = files.inspect_err(|error| tracing::debug!(%error, "a folder cannot be read")).unwrap_or_default();
        for (path, metadata) in files {
            let born = identity::born(&metadata);
            let younger = born.is_none() || entry.born.is_none() || born >= entry.born;
            if entry.is_of(&metadata) || taken(&metadata) || !younger {
                continue;
            }
            match hold(entry, &path) {
                Ok(Some(successor)) => found.push(successor),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => vanished = true,
                Err(error) => tracing::debug!(path = %path.display(), %error, "a file cannot be compared"),
            }
        }
        let strict = |successor: &Successor| {
            successor.path.file_name().and_then(|other| other.to_str()).is_some_and(|other| is_after(name, other))
        };
        found.retain(|successor| successor.whole || strict(successor));
        let plain = |successor: &Successor| matches!(successor.content, Content::Plain(_));
        let best = found.into_iter().max_by_key(|one| (one.whole, plain(one), identity::born(&one.metadata)));
        if best.is_some() || !vanished {
            return best;
        }
    }
    None
}

/// The file at `path`, if it begins as the generation and, where it is long enough, is the same up to where that was
/// read.
pub(super) fn hold(entry: &Entry, path: &Path) -> io::Result<Option<Successor>> {
    let packed = path.extension().is_some_and(|end| end == "gz");
    if !packed && path.to_str().is_none_or(is_packed) {
        return Ok(None);
    }
    let (file, metadata) = open(path)?;
    let mut content = Content::of(file, packed);
    let mut fingerprint = entry.fingerprint;
    if !fingerprint.follow(&mut content)? {
        return Ok(None);
    }
    let holds = entry.anchor.holds(&mut content)?;
    let reach = entry.anchor.end.max(entry.position);
    let whole = holds && (reach == 0 || content.read_at(&mut [0], reach - 1)?.0 == 1);
    let shorter = reach > 0 && !whole && content.read_at(&mut [0], reach - 1)?.0 == 0;
    let path = path.to_owned();
    Ok((whole || shorter).then_some(Successor { path, content, metadata, whole }))
}
