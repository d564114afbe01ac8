//! Files that no glob leads to any more: rotated, copied or compressed before they were read.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ahash::AHashMap;

use super::checkpoint::Entry;
use super::content::Content;
use super::follow::take_in;
use super::identity::{self, Anchor, Inode};
use super::ledger::Reason;
use super::source::Source;
use super::successor::{self, Successor, is_there, siblings};

/// Closed generations that are remembered, so that a file that shows up again is not read twice.
pub(super) const MAX_CLOSED: usize = 4096;

/// Files of the last run that were renamed while nobody looked: they lie in the same folder under another name.
/// Returns those that do not. What cannot be read now may be there later.
pub(super) fn take_in_left_over(source: &mut Source) -> Vec<Inode> {
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
            let Some(group) = group_of(source, &entry) else {
                unfound.push(entry.inode());
                continue;
            };
            let files = match &files {
                Ok(files) => files,
                Err(_) if source.left.0.contains_key(&entry.inode()) => {
                    unfound.push(entry.inode());
                    continue;
                }
                Err(error) => {
                    source.odd.tell(&folder, error);
                    continue;
                }
            };
            let place = files.iter().find(|(path, metadata)| is_there(&entry, path, metadata));
            let taken = place.map(|(path, _)| {
                take_in(source, group, path, Path::new(&entry.path), false, true)
                    .inspect_err(|error| source.odd.tell(path, error))
            });
            match taken {
                Some(Ok(Some(_))) => {}
                Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {}
                _ => unfound.push(entry.inode()),
            }
        }
    }
    unfound
}

/// Closed files that a writer still holds and writes to are read on; those that are gone are forgotten.
pub(super) fn look_at_closed(source: &mut Source) {
    let mut folders: AHashMap<PathBuf, Vec<Inode>> = AHashMap::new();
    for entry in source.known.values().filter(|entry| entry.closed) {
        if let Some(folder) = Path::new(&entry.target).parent() {
            folders.entry(folder.to_owned()).or_default().push(entry.inode());
        }
    }
    for (folder, inodes) in folders {
        let Ok(files) = siblings(&folder, |_| true) else { continue };
        // Another may be in its place, as where a volume is not mounted.
        let away = files.is_empty();
        for inode in inodes {
            let Some(entry) = source.known.get(&inode) else { continue };
            let Some((path, metadata)) = files.iter().find(|(_, metadata)| entry.is_of(metadata)) else {
                source.closed.retain(|closed| *closed != inode);
                if let Some(entry) = source.known.remove(&inode) {
                    leave_closed(source, entry, away);
                }
                continue;
            };
            let shown = PathBuf::from(&entry.path);
            if !entry.packed
                && metadata.len() > entry.size
                && let Some(group) = group_of(source, entry)
                && let Err(error) = take_in(source, group, path, &shown, false, true)
            {
                source.odd.tell(path, &error);
            }
        }
    }
}

/// The file of a generation that was left by the last run is another now, or gone: reads on from what holds its bytes,
/// or counts what is lost.
pub(super) fn go_on_elsewhere(source: &mut Source, mut entry: Entry, reason: Reason) {
    source.must_write = true;
    if entry.closed {
        return leave_closed(source, entry, false);
    }
    let Some(group) = group_of(source, &entry) else {
        entry.ended = Some(Reason::NotConfigured);
        return source.doubtful.push(entry);
    };
    if let Some(content) = source.left.0.remove(&entry.inode()) {
        let place = PathBuf::from(&entry.target);
        source.begin_tail(entry, content, group, place, true);
        return;
    }
    let Some(mut found) = find(source, &entry) else {
        entry.ended = Some(reason);
        return source.doubtful.push(entry);
    };
    if !found.whole && !found.holds(entry.position) {
        remember_copy(source, &entry, found);
        entry.ended = Some(reason);
        return source.doubtful.push(entry);
    }
    tracing::info!(path = entry.path, from = %found.path.display(), "a file that was rotated away is read on");
    if !found.whole {
        // It is shorter than what was read, so the bytes before that cannot be compared.
        entry.anchor = Anchor::default();
    }
    let place = found.path.clone();
    let content = moved(&mut entry, found);
    source.begin_tail(entry, content, group, place, true);
}

/// The file that holds the bytes of a generation whose own file is another now, or gone.
pub(super) fn find(source: &Source, entry: &Entry) -> Option<Successor> {
    successor::find(entry, |metadata| source.is_known(metadata))
}

/// Notes that a generation lies in another file.
pub(super) fn moved(entry: &mut Entry, found: Successor) -> Content {
    (entry.device, entry.inode) = identity::inode(&found.metadata);
    entry.born = identity::born(&found.metadata);
    entry.packed = matches!(found.content, Content::Packed(_));
    found.content
}

fn group_of(source: &Source, entry: &Entry) -> Option<usize> {
    source.groups.iter().position(|group| group.globs.matches(Path::new(&entry.path)))
}

/// A file was read to its end after it was rotated away.
pub(super) fn close(source: &mut Source, id: u64) {
    source.timed.remove(&id);
    let Some(mut tail) = source.tails.remove(&id) else { return };
    let entry = tail.checkpoint();
    source.by_inode.remove(&entry.inode());
    source.must_write = true;
    let gone = matches!(&tail.content, Content::Plain(file) if file.metadata().is_ok_and(|now| now.nlink() == 0));
    tracing::debug!(path = entry.path, size = entry.size, "a rotated file was read to its end");
    if gone {
        leave_closed(source, entry, false);
    } else {
        remember(source, entry);
    }
}

/// Keeps a generation that was read to its end in mind.
pub(super) fn remember(source: &mut Source, mut entry: Entry) {
    entry.closed = true;
    source.closed.push_back(entry.inode());
    let identity = entry.identity.clone();
    if let Some(old) = source.known.insert(entry.inode(), entry)
        && old.identity != identity
    {
        // Its inode was used again.
        go_on_elsewhere(source, old, Reason::Deleted);
    }
    while source.closed.len() > MAX_CLOSED
        && let Some(inode) = source.closed.pop_front()
    {
        if let Some(entry) = source.known.remove(&inode) {
            source.ledger.end(&entry, Reason::Deleted);
            source.must_write = true;
        }
    }
}

/// The file of a generation that was read to its end is gone. Where another holds the same, nothing of that is read
/// again. It may come back where it is only `away`.
fn leave_closed(source: &mut Source, mut entry: Entry, away: bool) {
    source.must_write = true;
    let Some(mut found) = find(source, &entry) else {
        return if away {
            source.ledger.end(&entry, Reason::Deleted);
        } else {
            source.ledger.forget(&entry, Reason::Deleted);
        };
    };
    if !found.whole {
        remember_copy(source, &entry, found);
        return source.ledger.forget(&entry, Reason::Deleted);
    }
    // It may have grown before it went there.
    let group = group_of(source, &entry).filter(|_| found.holds(entry.position));
    let place = found.path.clone();
    let content = moved(&mut entry, found);
    if let Some(group) = group {
        entry.closed = false;
        source.begin_tail(entry, content, group, place, true);
    } else {
        remember(source, entry);
    }
}

/// A copy that is shorter than what was read holds nothing new. Forgotten, it would be read as a file of its own.
fn remember_copy(source: &mut Source, of: &Entry, found: Successor) {
    let mut copy = of.clone();
    moved(&mut copy, found);
    copy.size = copy.size.min(copy.position);
    // The one that ended has the numbers.
    (copy.start, copy.left_out, copy.over_rate, copy.waiting_since) = (copy.position, 0, 0, None);
    copy.counted = None;
    copy.dropped.clear();
    remember(source, copy);
}

impl Source {
    /// The file of a followed generation is another now, or gone. Goes on with the file that holds its bytes; where
    /// there is none, what was read is sent, and the rest is lost. Returns the old file.
    pub(super) fn leave(&mut self, id: u64, reason: Reason) -> Option<(Entry, Content, usize, bool)> {
        let found = self.tails.get(&id).and_then(|tail| find(self, &tail.entry));
        let tail = self.tails.get_mut(&id)?;
        let old = tail.entry.clone();
        let (group, rotated) = (tail.group, tail.rotated.is_some());
        let content = std::mem::replace(&mut tail.content, Content::Shut);
        self.by_inode.remove(&old.inode());
        self.must_write = true;
        match found {
            Some(found) if found.whole => {
                tracing::info!(path = old.path, from = %found.path.display(), "a file was truncated or is gone, and is read on from its copy");
                let content = moved(&mut tail.entry, found);
                tail.go_on_from(content);
                tail.rotated = Some(Instant::now());
                self.by_inode.insert(tail.entry.inode(), id);
                self.timed.insert(id);
                self.queue(id);
            }
            found => {
                tail.entry.ended = Some(reason);
                if let Some(found) = found {
                    remember_copy(self, &old, found);
                }
            }
        }
        Some((old, content, group, rotated))
    }
}
