//! Files that came and were rotated away between two looks, or while the collector was down: no glob ever led to them.
//!
//! They are named after the file that is followed now (`app.log.1`, `app.log-20260102`, `0.log.20260102-030405.gz`), came
//! to be after the one before it was seen last, and are none that is known. A compressed file is one only where it holds
//! no generation that is known. Where the file system does not tell births, none of them is found.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use ahash::AHashMap;

use super::checkpoint::Entry;
use super::content::{Content, is_packed, open};
use super::follow::{begin, is_copy, take_in};
use super::identity;
use super::source::Source;
use super::successor::{hold, is_after, siblings};

/// So many files wait at most for those before them.
const MAX_MISSED: usize = 1000;

/// A file before which there may have been others.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) after: Entry,
    group: usize,
    /// When the one that is known to have been before it was there last.
    since: u64,
}

/// Takes in those before files that are new. One pass over all files and folders serves them all: there may be many.
pub(super) fn take_in_missed(source: &mut Source, ids: &[u64]) {
    let new = ids.iter().filter_map(|id| source.tails.get(id));
    let new: Vec<_> = new.map(|tail| (tail.entry.clone(), tail.group)).collect();
    let mut before: AHashMap<&str, Vec<&Entry>> = new.iter().map(|(after, _)| (&*after.target, Vec::new())).collect();
    for entry in source.tails.values().map(|tail| &tail.entry).chain(source.known.values()) {
        if let Some(before) = before.get_mut(&*entry.target) {
            before.push(entry);
        }
    }
    let mut names: AHashMap<&Path, Vec<String>> = AHashMap::new();
    let mut missed = Vec::new();
    for (after, group) in &new {
        let others = before.get(&*after.target).into_iter().flatten().filter(|other| other.identity != after.identity);
        // One that an older version wrote down does not say when.
        let seen = others.map(|other| other.seen).filter(|seen| *seen > 0).max();
        let Some(since) = seen.or(source.began) else { continue };
        let target = Path::new(&after.target);
        let (Some(folder), Some(name)) = (target.parent(), target.file_name().and_then(|name| name.to_str())) else {
            continue;
        };
        let names = names.entry(folder).or_insert_with(|| names_in(folder));
        let from = names.partition_point(|other| other.as_str() < name);
        if names[from..].iter().take_while(|other| other.starts_with(name)).any(|other| is_after(name, other)) {
            missed.push(Missed { after: after.clone(), group: *group, since });
        }
    }
    for missed in missed {
        take_in_since(source, missed);
    }
}

/// What lies in a folder, in order.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// Looks again for those that could not be told before.
pub(super) fn take_in_later(source: &mut Source) {
    for missed in std::mem::take(&mut source.missed) {
        take_in_since(source, missed);
    }
}

fn take_in_since(source: &mut Source, missed: Missed) {
    let Missed { after, group, since } = &missed;
    let (group, since) = (*group, *since);
    let target = Path::new(&after.target);
    let (Some(folder), Some(name)) = (target.parent(), target.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let mut found = siblings(folder, |other| is_after(name, other) && !is_unfinished(other)).unwrap_or_default();
    found.retain(|(path, metadata)| is_missed(source, path, metadata, since));
    let (packed, plain): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(path, _)| path.to_str().is_none_or(is_packed));
    let mut later = false;
    for (path, metadata) in plain {
        // The file itself stays where it is copied and truncated: then its copies are younger.
        let is_older = identity::born(&metadata) < after.born;
        if !is_older && !is_numbered(name, &path) {
            continue;
        }
        let copy = open(&path).and_then(|(file, _)| is_copy(source, &path, &metadata, &mut Content::Plain(file)));
        if copy.unwrap_or(true) {
            // Of one that is followed: that goes on in it when it is truncated.
            later = true;
            continue;
        }
        match take_in(source, group, &path, Path::new(&after.path), false, true) {
            Ok(Some(new)) => {
                if let Some(tail) = source.tails.get_mut(&new) {
                    tail.entry.target.clone_from(&after.target);
                    tail.entry.seen = since;
                }
            }
            Ok(None) => {}
            Err(error) => source.odd.tell(&path, &error),
        }
    }
    for (path, metadata) in packed {
        let is_gzip = path.extension().is_some_and(|end| end == "gz");
        if !is_gzip || !is_numbered(name, &path.with_extension("")) {
            continue;
        }
        if !are_visited(source, after, identity::born(&metadata)) {
            // It may hold what one of them is truncated to by now.
            later = true;
        } else if let Err(error) = take_in_packed(source, after, group, &path, since) {
            source.odd.tell(&path, &error);
        }
    }
    if later && source.missed.len() < MAX_MISSED {
        // A crash before that does not forget them.
        for tail in source.tails.values_mut().filter(|tail| tail.entry.target == after.target) {
            tail.entry.seen = tail.entry.seen.min(since);
        }
        source.missed.push(missed);
    }
}

/// Nothing is known of the file, and it came later than this.
fn is_missed(source: &Source, path: &Path, metadata: &Metadata, since: u64) -> bool {
    // What seems to be a copy is looked at again once its original was visited.
    identity::born(metadata).is_some_and(|born| born >= since)
        && !source.is_known(metadata)
        && !source.held.contains(path)
}

/// What a compressor writes until it is through.
fn is_unfinished(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "tmp")
}

/// What comes behind the name looks like a number or a date.
fn is_numbered(name: &str, path: &Path) -> bool {
    let end = path.file_name().and_then(|other| other.to_str()?.strip_prefix(name));
    end.is_some_and(|end| end.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | 'T')))
}

/// Whether every file that lay at this place before then was found to be what it was since; those that were not are
/// visited.
fn are_visited(source: &mut Source, after: &Entry, since: Option<u64>) -> bool {
    let beside = source.tails.iter().filter(|(_, tail)| {
        let entry = &tail.entry;
        entry.target == after.target && !entry.packed && entry.born < since && entry.ended.is_none()
    });
    let unvisited = beside.filter(|(_, tail)| Some(tail.verified) < since);
    let unvisited: Vec<u64> = unvisited.map(|(id, _)| *id).collect();
    source.visit_first(&unvisited);
    unvisited.is_empty()
}

/// Takes in a compressed file, unless it holds a generation that is known.
fn take_in_packed(source: &mut Source, after: &Entry, group: usize, path: &Path, since: u64) -> io::Result<()> {
    let folder = Path::new(&after.target).parent();
    for entry in source.tails.values().map(|tail| &tail.entry).chain(source.known.values()) {
        let is_near = Path::new(&entry.target).parent() == folder;
        if is_near && !entry.fingerprint.is_empty() && hold(entry, path)?.is_some() {
            return Ok(());
        }
    }
    let (file, metadata) = open(path)?;
    let mut content = Content::of(file, true);
    let format = source.groups[group].format;
    let mut entry = begin(identity::inode(&metadata), &mut content, &metadata, Path::new(&after.path), format)?;
    entry.target.clone_from(&after.target);
    (entry.packed, entry.seen) = (true, since);
    tracing::info!(path = entry.path, from = %path.display(), "a file that was rotated away before it was seen is read");
    source.begin_tail(entry, content, group, path.to_owned(), true);
    Ok(())
}
