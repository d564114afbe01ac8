//! Which files are followed: those that globs find.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;

use super::checkpoint::Entry;
use super::content::{Content, open, read_at};
use super::identity::{self, Anchor, Fingerprint, Inode};
use super::ledger::Reason;
use super::recall::{Is, back_again, is_still, known};
use super::source::Source;
use super::successor::{hold, is_after, is_place_of, is_there};
use super::tail::Tail;
use super::{kubelet, missed, rotated, turns};
use crate::encoding::Encoding;
use crate::options::{Format, From};

/// A file that was written to so long ago is one that is written.
const RECENT: Duration = Duration::from_secs(10);

/// What the birth of a file may be earlier than the clock: a tick of the kernel, and some.
const CLOCK_LAG: u64 = 10_000_000;

/// Now, as the births of files may say it.
fn now() -> u64 {
    (weir_service::time::now_unix_nano() as u64).saturating_sub(CLOCK_LAG)
}

/// Finds files that came, and notes those to which no path leads any more.
pub(super) fn look(source: &mut Source, first: bool) {
    let began = now();
    source.watch.forget_missing();
    source.held.clear();
    source.awaited.clear();
    let Source { by_target, tails, .. } = source;
    by_target.retain(|_, id| tails.contains_key(id));
    let mut found: AHashMap<Inode, (usize, PathBuf, Metadata)> = AHashMap::new();
    for at in 0..source.groups.len() {
        let globs = Arc::clone(&source.groups[at].globs);
        let Source { watch, odd, .. } = source;
        let odd = std::cell::RefCell::new(odd);
        globs.walk(
            |folder| watch.folder(folder),
            |path| match fs::metadata(path) {
                Ok(metadata) if metadata.is_file() => {
                    found.entry(identity::inode(&metadata)).or_insert_with(|| (at, path.to_owned(), metadata));
                }
                Ok(_) => odd.borrow_mut().tell(path, &"it is no regular file, and is left alone"),
                // A broken link, or gone again: the next look will tell.
                Err(_) => {}
            },
            |path, error| odd.borrow_mut().tell(path, error),
        );
    }
    let groups: Vec<_> = source.groups.iter().map(|group| Arc::clone(&group.globs)).collect();
    source.watch.wait_in(groups.iter().flat_map(|globs| globs.above_missing()));
    let gone: Vec<u64> =
        source.by_inode.iter().filter(|(inode, _)| !found.contains_key(*inode)).map(|(_, id)| *id).collect();
    for id in gone {
        lost_its_path(source, id);
    }
    let mut new = Vec::new();
    let mut found: Vec<_> = found.into_iter().collect();
    // First what was known before: it may go on in a file that would be taken for a new one. A file before its copies,
    // whose names go on from its own.
    let is_known = |inode: &Inode| source.by_inode.contains_key(inode) || source.known.contains_key(inode);
    found.sort_by_cached_key(|(inode, (_, path, _))| (!is_known(inode), path.clone()));
    let known = found.partition_point(|(inode, _)| is_known(inode));
    for (files, were_known) in [(&found[..known], true), (&found[known..], false)] {
        for (inode, (group, path, metadata)) in files {
            if let Some(id) = source.by_inode.get(inode).copied().filter(|id| is_its(source, *id, path, metadata)) {
                reached(source, id, path, metadata, began);
            } else {
                match take_in(source, *group, path, path, first, false) {
                    Ok(id) => new.extend(id),
                    Err(error) => source.odd.tell(path, &error),
                }
            }
        }
        if were_known {
            take_in_the_rest(source);
        }
    }
    source.left.0.clear();
    missed::take_in_later(source);
    missed::take_in_missed(source, &new);
    kubelet::look_ahead(source);
    source.looked = Some(began);
    source.began = source.began.or(source.looked);
    if source.closed_looked.is_none_or(|at| at.elapsed() >= source.rescan()) {
        source.closed_looked = Some(Instant::now());
        rotated::look_at_closed(source);
    }
    measure(source);
    source.publish();
}

/// Files of the last run to which no glob leads: where they were renamed to, or what holds their bytes now.
fn take_in_the_rest(source: &mut Source) {
    for inode in rotated::take_in_left_over(source) {
        if let Some(entry) = source.known.remove(&inode) {
            rotated::go_on_elsewhere(source, entry, Reason::DeletedWhileDown);
        }
    }
}

/// Whether a path leads to the file that is followed under its inode; that of one that is not open may have been used
/// again, which only its birth would tell at once.
fn is_its(source: &mut Source, id: u64, path: &Path, metadata: &Metadata) -> bool {
    let Some(tail) = source.tails.get_mut(&id) else { return false };
    let is_it = tail.content.is_open() || tail.entry.born.is_some() || tail.shown == path || {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        is_there(&tail.entry, &target, metadata)
    };
    if !is_it {
        source.by_inode.remove(&tail.entry.inode());
        // No file has these: it is gone.
        (tail.entry.device, tail.entry.inode) = (0, 0);
        lost_its_path(source, id);
    }
    is_it
}

/// A path leads to a file that is followed already.
fn reached(source: &mut Source, id: u64, path: &Path, metadata: &Metadata, began: u64) {
    let Some(tail) = source.tails.get_mut(&id) else { return };
    if tail.rotated.take().is_some() || tail.shown != path {
        path.clone_into(&mut tail.shown);
        tail.target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        source.by_target.insert(tail.target.clone(), id);
        if let Some(folder) = tail.target.parent() {
            source.watch.folder(folder);
        }
    }
    tail.outlook.saw(metadata.len(), Instant::now());
    if !tail.at_end || metadata.len() != tail.entry.size {
        source.queue(id);
    }
    let Some(tail) = source.tails.get_mut(&id) else { return };
    let before = source.looked.unwrap_or(0);
    let waits = source.missed.iter().any(|missed| missed.after.target == tail.entry.target);
    if waits || tail.target != Path::new(&tail.entry.target) {
        // Those before it are not found yet; or it was renamed itself.
    } else if tail.entry.fingerprint.is_empty() {
        // It may have been written, copied and truncated since it was seen to be empty first.
    } else if !tail.queued {
        tail.entry.seen = began;
    } else if tail.verified >= before {
        // The path led to it at the last look, and it was still the same after that.
        tail.entry.seen = before;
    }
}

fn lost_its_path(source: &mut Source, id: u64) {
    let Some(tail) = source.tails.get_mut(&id) else { return };
    if tail.rotated.is_none() {
        tail.rotated = Some(Instant::now());
        source.timed.insert(id);
        source.queue(id);
    }
}

/// Opens a file: goes on where the last run stopped, or begins a generation. `shown` is the path that it is known by,
/// `rotated` that no glob leads to it: then nothing is begun where another file was looked for.
pub(super) fn take_in(
    source: &mut Source,
    group: usize,
    path: &Path,
    shown: &Path,
    first: bool,
    rotated: bool,
) -> io::Result<Option<u64>> {
    let (file, metadata) = open(path)?;
    let inode = identity::inode(&metadata);
    if source.by_inode.contains_key(&inode) {
        return Ok(None);
    }
    let target = fs::canonicalize(path)?;
    let from_end = source.groups[group].from == From::End && first && source.first_start;
    let last_line = if from_end { last_line_end(&file, metadata.len(), source.groups[group].encoding)? } else { 0 };
    let known = known(source, inode, identity::born(&metadata));
    let packed = known.as_ref().is_some_and(|known| known.packed);
    let mut content = Content::of(file, packed);
    let mut entry = match known {
        Some(mut known) => match is_still(&mut known, &mut content, &metadata, &target) {
            Ok(Is::Same) => known,
            // It was truncated, and what was written then is another generation.
            Ok(is) if !known.closed || (!rotated && is == Is::Another) => {
                let seen = known.seen;
                rotated::go_on_elsewhere(source, known, Reason::Truncated);
                if packed {
                    content = Content::Plain(open(path)?.0);
                }
                let mut entry = begin(inode, &mut content, &metadata, shown, source.groups[group].format)?;
                entry.seen = if rotated { seen } else { entry.seen };
                entry
            }
            // Forgotten, it would be read again from its beginning under another name.
            other => {
                if known.closed {
                    source.closed.push_back(known.inode());
                }
                source.known.insert(known.inode(), known);
                return other.map(|_| None);
            }
        },
        None => match back_again(source, &mut content, &metadata, &target)? {
            Some(entry) => entry,
            None if !rotated && is_copy(source, &target, &metadata, &mut content)? => {
                source.held.insert(target);
                return Ok(None);
            }
            None => begin(inode, &mut content, &metadata, shown, source.groups[group].format)?,
        },
    };
    if entry.position == 0 {
        (entry.position, entry.start) = (last_line, last_line);
    }
    (entry.device, entry.inode) = inode;
    entry.format = source.groups[group].format;
    entry.closed = false;
    if !entry.packed {
        // It may have been cut behind what was read.
        source.ledger.lose(&entry, metadata.len().max(entry.position), entry.size, Reason::Truncated);
        entry.size = metadata.len();
    }
    // One that was renamed goes on under the path that it was first found at.
    let renamed =
        rotated || (Path::new(&entry.path) != shown && source.groups[group].globs.matches(Path::new(&entry.path)));
    if !renamed {
        entry.seen = now();
        entry.path = shown.to_string_lossy().into_owned();
        entry.target = target.to_string_lossy().into_owned();
    }
    if let Some(folder) = target.parent() {
        source.watch.folder(folder);
    }
    let id = source.begin_tail(entry, content, group, target, rotated);
    if let Some(tail) = source.tails.get_mut(&id) {
        shown.clone_into(&mut tail.shown);
        let age = metadata.modified().ok().and_then(|at| at.elapsed().ok());
        let left = metadata.len().saturating_sub(tail.entry.position);
        tail.recent = left <= turns::QUANTUM as u64 && age.is_some_and(|age| age < RECENT);
    }
    Ok(Some(id))
}

impl Source {
    /// Follows a generation, from its position on, in the file at `place`.
    pub(super) fn begin_tail(
        &mut self,
        mut entry: Entry,
        content: Content,
        group: usize,
        place: PathBuf,
        rotated: bool,
    ) -> u64 {
        let read_as = self.groups[group].read_as;
        // Of what may be on the bus and is not written down, other records would be made now: readers that have passed
        // it would drop them under the old name. Twice is better than never.
        let others = entry.read_as != 0 && entry.read_as != read_as && !self.before.clean;
        if others || entry.torn {
            entry.identity = identity::fresh(entry.inode());
        }
        (entry.read_as, entry.torn) = (read_as, false);
        if let Some(until) = self.unsettled.get_mut(&entry.identity) {
            // The last run cannot have read beyond what is there now.
            until.get_or_insert(entry.size);
        }
        let facts = self.facts(Path::new(&entry.path), Path::new(&entry.target));
        let multiline = Arc::clone(&self.groups[group].multiline);
        let encoding = self.groups[group].encoding;
        entry.belong_to(&facts.tenant);
        let mut tail = Tail::new(entry, content, group, facts, multiline, encoding, self.max_line);
        tail.target = place;
        tail.rotated = rotated.then(Instant::now);
        let id = self.add(tail);
        self.await_pod(id);
        id
    }
}

/// Where the last whole line ends before `end`. Begun elsewhere, the first line would be half a one.
fn last_line_end(file: &File, end: u64, encoding: Encoding) -> io::Result<u64> {
    let mut tail = vec![0; end.min(1 << 20) as usize];
    let start = end - tail.len() as u64;
    file.read_exact_at(&mut tail, start)?;
    let mut first = [0; 2];
    let first_length = read_at(file, &mut first, 0)?;
    let encoding = encoding.told_by(&first[..first_length]);
    let last = match encoding.foreign() {
        None => memchr::memrchr(b'\n', &tail).map(|at| at + 1),
        Some(foreign) => foreign.end_of_lines(&tail, start),
    };
    // A longer line is begun in its middle.
    let middle = if start == 0 { 0 } else { end - end % encoding.unit() };
    Ok(last.map_or(middle, |last| start + last as u64))
}

pub(super) fn begin(
    inode: Inode,
    content: &mut Content,
    metadata: &Metadata,
    path: &Path,
    format: Format,
) -> io::Result<Entry> {
    let mut fingerprint = Fingerprint::default();
    fingerprint.follow(content)?;
    let path = path.to_string_lossy().into_owned();
    Ok(Entry {
        identity: identity::fresh(inode),
        device: inode.0,
        inode: inode.1,
        born: identity::born(metadata),
        fingerprint,
        anchor: Anchor::default(),
        packed: false,
        start: 0,
        position: 0,
        left_out: 0,
        over_rate: 0,
        dropped: Vec::new(),
        tenant: String::new(),
        is_of_several: false,
        counted: None,
        waiting_since: None,
        size: 0,
        breaks: Vec::new(),
        format,
        target: path.clone(),
        path,
        seen: now(),
        closed: false,
        torn: false,
        read_as: 0,
        ended: None,
    })
}

/// The same file as a new generation, from its beginning.
pub(super) fn again(
    source: &mut Source,
    old: &Entry,
    mut content: Content,
    group: usize,
    rotated: bool,
) -> io::Result<()> {
    let Content::Plain(file) = &content else { return Ok(()) };
    let metadata = file.metadata()?;
    let format = source.groups[group].format;
    let mut entry = begin(identity::inode(&metadata), &mut content, &metadata, Path::new(&old.path), format)?;
    entry.target.clone_from(&old.target);
    entry.size = metadata.len();
    let place = PathBuf::from(&entry.target);
    let id = source.begin_tail(entry, content, group, place, rotated);
    missed::take_in_missed(source, &[id]);
    Ok(())
}

/// Whether a file that was never seen is a copy of one that is followed and named after it, as `copytruncate` makes
/// it: it is not read, but looked at again until the followed file is truncated, and goes on in the copy, or is seen
/// to be another.
pub(super) fn is_copy(source: &mut Source, path: &Path, metadata: &Metadata, copy: &mut Content) -> io::Result<bool> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(false);
    };
    // One that was read to its end may have been copied before it was renamed.
    let mut closed = source.known.values().filter(|entry| {
        let may_be = entry.closed && !entry.fingerprint.is_empty() && metadata.len() <= entry.size.max(entry.position);
        may_be && path != Path::new(&entry.target) && is_place_of(entry, path) && identity::born(metadata) >= entry.born
    });
    if closed.any(|entry| matches!(hold(entry, path), Ok(Some(_)))) {
        return Ok(true);
    }
    let mut stems = name.char_indices().filter(|(_, c)| matches!(c, '.' | '-')).map(|(at, _)| folder.join(&name[..at]));
    if !stems.any(|stem| source.by_target.contains_key(&stem)) {
        return Ok(false);
    }
    // The one that was copied may have been renamed since, and another may be where it was.
    let mut unvisited = Vec::new();
    for (id, tail) in &mut source.tails {
        let of = Path::new(&tail.entry.target);
        let is_named_after = of.file_name().and_then(|of| of.to_str()).is_some_and(|of| is_after(of, name));
        // What is packed is copied no more.
        if tail.entry.ended.is_some()
            || tail.entry.packed
            || !is_named_after
            || of.parent() != Some(folder)
            || identity::born(metadata) < tail.entry.born
        {
            continue;
        }
        let anchor = tail.entry.anchor;
        let opened = match &tail.content {
            Content::Plain(file) => file.try_clone().and_then(|file| file.metadata().map(|now| (file, now))),
            Content::Packed(_) | Content::Shut => open(&tail.target),
        };
        let is_there = |now: &Metadata| tail.entry.is_of(now) && now.len() >= anchor.end;
        let Some((file, now)) = opened.ok().filter(|(_, now)| is_there(now)) else {
            unvisited.push(*id);
            continue;
        };
        let mut original = Content::Plain(file);
        if !tail.entry.fingerprint.follow(&mut original)? || !anchor.holds(&mut original)? {
            unvisited.push(*id);
        } else if metadata.len() <= now.len()
            && identity::begin_alike(&mut original, copy)?
            && (metadata.len() < anchor.end || anchor.holds(copy)?)
        {
            return Ok(true);
        }
    }
    // Those were truncated or renamed, and have not been visited since: that comes first.
    source.visit_first(&unvisited);
    Ok(!unvisited.is_empty())
}

pub(super) fn measure(source: &Source) {
    let lag = source.tails.values().map(|tail| tail.size().saturating_sub(tail.acks.durable())).sum();
    source.metrics.lag.record(lag, &[]);
    source.metrics.files.record(source.tails.len() as u64, &[]);
}
