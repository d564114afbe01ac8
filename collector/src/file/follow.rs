//! Which files are followed: those that globs find, and those that were rotated away before they were read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ahash::AHashMap;

use super::checkpoint::Entry;
use super::identity::{self, Fingerprint, Inode};
use super::names;
use super::source::Source;
use super::tail::Tail;
use crate::options::{Format, From};

/// Closed generations that are remembered, so that a file that shows up again is not read twice.
const MAX_CLOSED: usize = 4096;

/// Finds files that came, and notes those to which no path leads any more.
pub(super) fn look(source: &mut Source, first: bool) {
    source.watch.forget_missing();
    let mut found: AHashMap<Inode, (usize, PathBuf)> = AHashMap::new();
    for at in 0..source.groups.len() {
        let globs = Arc::clone(&source.groups[at].globs);
        let watch = &mut source.watch;
        globs.walk(
            |folder| watch.folder(folder),
            |path| {
                // A broken link, or gone again: the next look will tell.
                if let Ok(metadata) = fs::metadata(path)
                    && metadata.is_file()
                {
                    found.entry(identity::inode(&metadata)).or_insert_with(|| (at, path.to_owned()));
                }
            },
        );
    }
    let groups: Vec<_> = source.groups.iter().map(|group| Arc::clone(&group.globs)).collect();
    source.watch.wait_in(groups.iter().flat_map(|globs| globs.above_missing()));
    let mut new = Vec::new();
    for (inode, (group, path)) in &found {
        if let Some(id) = source.by_inode.get(inode).copied() {
            reached(source, id, path);
        } else if let Err(error) = take_in(source, *group, path, path, first, false).map(|id| new.push(id)) {
            tracing::warn!(path = %path.display(), %error, "a file cannot be followed; it is tried again");
        }
    }
    let gone: Vec<u64> =
        source.by_inode.iter().filter(|(inode, _)| !found.contains_key(*inode)).map(|(_, id)| *id).collect();
    for id in gone {
        lost_its_path(source, id);
    }
    let unfound = if first { take_in_left_over(source) } else { Vec::new() };
    for id in new.into_iter().flatten() {
        take_in_missed(source, id);
    }
    if source.closed_looked.is_none_or(|at| at.elapsed() >= source.settings.rescan) {
        source.closed_looked = Some(Instant::now());
        look_at_closed(source);
    }
    for inode in unfound {
        if let Some(entry) = source.known.remove(&inode) {
            count_lost(source, &entry);
        }
    }
    measure(source);
}

/// A path leads to a file that is followed already.
fn reached(source: &mut Source, id: u64, path: &Path) {
    let Some(tail) = source.tails.get_mut(&id) else { return };
    if tail.rotated.take().is_some() || tail.entry.path != path.to_string_lossy() {
        if source.by_target.get(&tail.target) == Some(&id) {
            source.by_target.remove(&tail.target);
        }
        tail.target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        source.by_target.insert(tail.target.clone(), id);
        if let Some(folder) = tail.target.parent() {
            source.watch.folder(folder);
        }
    }
    if !tail.at_end || fs::metadata(path).is_ok_and(|metadata| metadata.len() != tail.entry.size) {
        source.queue(id);
    }
}

fn lost_its_path(source: &mut Source, id: u64) {
    let Some(tail) = source.tails.get_mut(&id) else { return };
    if tail.rotated.is_none() {
        tail.rotated = Some(Instant::now());
        if source.by_target.get(&tail.target) == Some(&id) {
            source.by_target.remove(&tail.target);
        }
        source.timed.insert(id);
        source.queue(id);
    }
}

/// Opens a file: goes on where the last run stopped, or begins a generation. `shown` is the path that it is known by,
/// `rotated` that no glob leads to it.
fn take_in(
    source: &mut Source,
    group: usize,
    path: &Path,
    shown: &Path,
    first: bool,
    rotated: bool,
) -> io::Result<Option<u64>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let inode = identity::inode(&metadata);
    if !metadata.is_file() || source.by_inode.contains_key(&inode) {
        return Ok(None);
    }
    let target = fs::canonicalize(path)?;
    let from_end = source.groups[group].from == From::End && first && source.first_start;
    let group_format = source.groups[group].format;
    let mut entry = match known(source, inode, identity::born(&metadata)) {
        Some(mut known) => {
            let same = known.born == identity::born(&metadata) && metadata.len() >= known.position;
            let followed = if same { known.fingerprint.follow(&file) } else { Ok(false) };
            if let Err(error) = followed {
                // Forgotten, it would be read again from its beginning under another name.
                if known.closed {
                    source.closed.push_back(known.inode());
                }
                source.known.insert(known.inode(), known);
                return Err(error);
            }
            if followed.is_ok_and(|same| same) {
                known
            } else {
                count_lost(source, &known);
                begin(inode, &file, shown, source, group)?
            }
        }
        None => begin(inode, &file, shown, source, group)?,
    };
    if from_end && entry.position == 0 {
        entry.position = last_line_end(&file, metadata.len())?;
    }
    (entry.device, entry.inode) = inode;
    if group_format != Format::Auto {
        entry.format = group_format;
    }
    entry.closed = false;
    entry.size = metadata.len();
    if !rotated {
        entry.path = shown.to_string_lossy().into_owned();
        entry.target = target.to_string_lossy().into_owned();
    }
    if let Some(folder) = target.parent() {
        source.watch.folder(folder);
    }
    let named = PathBuf::from(&entry.target);
    let facts = names::facts(Path::new(&entry.path), &named, &source.host, &source.tenants);
    let multiline = Arc::clone(&source.groups[group].multiline);
    let mut tail = Tail::new(entry, file, group, facts, multiline, source.max_line);
    tail.rotated = rotated.then(Instant::now);
    Ok(Some(source.add(tail)))
}

/// Where the last whole line ends before `end`. Begun elsewhere, the first line would be half a one, and say nothing of
/// the file's format.
fn last_line_end(file: &File, end: u64) -> io::Result<u64> {
    let mut tail = vec![0; end.min(1 << 20) as usize];
    let start = end - tail.len() as u64;
    file.read_exact_at(&mut tail, start)?;
    // A longer line is begun in its middle.
    let middle = if start == 0 { 0 } else { end };
    Ok(memchr::memrchr(b'\n', &tail).map_or(middle, |at| start + at as u64 + 1))
}

/// What is known of an inode. The number of a device may be another after a reboot; inode and birth tell enough then,
/// beside the fingerprint.
fn known(source: &mut Source, inode: Inode, born: Option<u64>) -> Option<Entry> {
    let moved = || {
        let mut others = source.known.values().filter(|entry| entry.inode == inode.1 && entry.position > 0);
        others.find(|entry| born.is_some() && entry.born == born).map(Entry::inode)
    };
    let key = if source.known.contains_key(&inode) { inode } else { moved()? };
    source.closed.retain(|closed| *closed != key);
    source.known.remove(&key)
}

fn begin(inode: Inode, file: &File, path: &Path, source: &Source, group: usize) -> io::Result<Entry> {
    let mut fingerprint = Fingerprint::default();
    fingerprint.follow(file)?;
    let path = path.to_string_lossy().into_owned();
    Ok(Entry {
        identity: identity::fresh(inode),
        device: inode.0,
        inode: inode.1,
        born: identity::born(&file.metadata()?),
        fingerprint,
        position: 0,
        size: 0,
        breaks: Vec::new(),
        format: source.groups[group].format,
        target: path.clone(),
        path,
        closed: false,
    })
}

/// The same file as a new generation, from its beginning.
pub(super) fn again(source: &mut Source, old: Tail) -> io::Result<()> {
    source.by_inode.remove(&old.entry.inode());
    let path = PathBuf::from(&old.entry.path);
    let mut entry = begin(old.entry.inode(), &old.file, &path, source, old.group)?;
    entry.target.clone_from(&old.entry.target);
    entry.size = old.file.metadata()?.len();
    let multiline = Arc::clone(&source.groups[old.group].multiline);
    let mut tail = Tail::new(entry, old.file, old.group, old.facts, multiline, source.max_line);
    tail.rotated = old.rotated;
    tail.target = old.target;
    source.add(tail);
    Ok(())
}

/// Files of the last run that were renamed while nobody looked: they lie in the same folder under another name.
/// Returns those that do not.
fn take_in_left_over(source: &mut Source) -> Vec<Inode> {
    let mut unfound = Vec::new();
    let mut folders: AHashMap<PathBuf, Vec<Entry>> = AHashMap::new();
    for entry in source.known.values().filter(|entry| !entry.closed) {
        if let Some(folder) = Path::new(&entry.target).parent() {
            folders.entry(folder.to_owned()).or_default().push(entry.clone());
        }
    }
    for (folder, entries) in folders {
        let files = siblings(&folder, |_| true);
        for entry in entries {
            let place = files.iter().find(|(_, metadata)| entry.is_of(metadata));
            let group = group_of(source, &entry);
            let taken = match (place, group) {
                (Some((path, _)), Some(group)) => take_in(source, group, path, Path::new(&entry.path), false, true)
                    .unwrap_or_else(|error| {
                        tracing::warn!(path = %path.display(), %error, "a rotated file cannot be read");
                        None
                    }),
                _ => None,
            };
            if taken.is_none() {
                unfound.push(entry.inode());
            }
        }
    }
    unfound
}

/// Files that came and were renamed between two looks: younger than what was followed at this path before, older than
/// what is there now, and named after it (`app.log.1`, `app.log-20260102`, `0.log.20260102-030405`).
fn take_in_missed(source: &mut Source, id: u64) {
    let Some(tail) = source.tails.get(&id) else { return };
    let (entry, group) = (tail.entry.clone(), tail.group);
    let entries = source.tails.values().map(|tail| &tail.entry).chain(source.known.values());
    let before = entries.filter(|e| e.target == entry.target && e.identity != entry.identity && e.born < entry.born);
    let (Some(before), Some(now)) = (before.filter_map(|e| e.born).max(), entry.born) else { return };
    let target = PathBuf::from(&entry.target);
    let (Some(folder), Some(name)) = (target.parent(), target.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let after = |name: &str, other: &str| other.strip_prefix(name).is_some_and(|end| end.starts_with(['.', '-']));
    let packed = |name: &str| [".gz", ".zst", ".bz2", ".xz", ".tmp"].iter().any(|end| name.ends_with(end));
    for (path, metadata) in siblings(folder, |other| after(name, other) && !packed(other)) {
        let between = identity::born(&metadata).is_some_and(|born| born > before && born < now);
        let inode = identity::inode(&metadata);
        if between && !source.by_inode.contains_key(&inode) && !source.known.contains_key(&inode) {
            match take_in(source, group, &path, Path::new(&entry.path), false, true) {
                Ok(Some(new)) => {
                    if let Some(tail) = source.tails.get_mut(&new) {
                        tail.entry.target.clone_from(&entry.target);
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(path = %path.display(), %error, "a rotated file cannot be read"),
            }
        }
    }
}

fn siblings(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(PathBuf, fs::Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .filter(|(_, metadata)| metadata.is_file())
        .collect()
}

/// Closed files that a writer still holds and writes to are read on; those that are gone are forgotten.
fn look_at_closed(source: &mut Source) {
    let mut folders: AHashMap<PathBuf, Vec<Inode>> = AHashMap::new();
    for entry in source.known.values().filter(|entry| entry.closed) {
        if let Some(folder) = Path::new(&entry.target).parent() {
            folders.entry(folder.to_owned()).or_default().push(entry.inode());
        }
    }
    for (folder, inodes) in folders {
        let files = siblings(&folder, |_| true);
        for inode in inodes {
            let Some(entry) = source.known.get(&inode) else { continue };
            let Some((path, metadata)) = files.iter().find(|(_, metadata)| entry.is_of(metadata)) else {
                source.known.remove(&inode);
                source.closed.retain(|closed| *closed != inode);
                source.must_write = true;
                continue;
            };
            let shown = PathBuf::from(&entry.path);
            if metadata.len() > entry.size
                && let Some(group) = group_of(source, entry)
                && let Err(error) = take_in(source, group, path, &shown, false, true)
            {
                tracing::warn!(path = %path.display(), %error, "a rotated file cannot be read on; it is tried again");
            }
        }
    }
}

fn group_of(source: &Source, entry: &Entry) -> Option<usize> {
    source.groups.iter().position(|group| group.globs.matches(Path::new(&entry.path)))
}

/// A file was read to its end after it was rotated away.
pub(super) fn close(source: &mut Source, id: u64) {
    source.timed.remove(&id);
    let Some(mut tail) = source.tails.remove(&id) else { return };
    let mut entry = tail.checkpoint();
    source.by_inode.remove(&entry.inode());
    source.must_write = true;
    let links = tail.file.metadata().map_or(0, |metadata| metadata.nlink());
    tracing::debug!(path = entry.path, size = entry.size, "a rotated file was read to its end");
    if links > 0 {
        entry.closed = true;
        source.closed.push_back(entry.inode());
        source.known.insert(entry.inode(), entry);
    }
    while source.closed.len() > MAX_CLOSED
        && let Some(inode) = source.closed.pop_front()
    {
        source.known.remove(&inode);
    }
}

fn count_lost(source: &Source, entry: &Entry) {
    source.metrics.lose(&entry.path, entry.size.saturating_sub(entry.position));
}

fn measure(source: &Source) {
    let lag = source.tails.values().map(|tail| tail.entry.size.saturating_sub(tail.acks.durable())).sum();
    source.metrics.lag.record(lag, &[]);
    source.metrics.files.record(source.tails.len() as u64, &[]);
}
