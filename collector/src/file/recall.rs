//! What is known of a file that is found: which generation it was, and whether it still is.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use super::checkpoint::Entry;
use super::content::Content;
use super::gone;
use super::identity::{self, Inode};
use super::source::Source;
use super::successor::is_place_of;

/// What is known of an inode. The number of a device may be another after a reboot; inode and birth tell enough then,
/// beside the fingerprint.
pub(super) fn known(source: &mut Source, inode: Inode, born: Option<u64>) -> Option<Entry> {
    let moved = || {
        let mut others = source.known.values().filter(|entry| entry.inode == inode.1);
        others.find(|entry| born.is_some() && entry.born == born).map(Entry::inode)
    };
    let key = if source.known.contains_key(&inode) { inode } else { moved()? };
    source.closed.retain(|closed| *closed != key);
    source.known.remove(&key)
}

/// What was given up, where its file is there again.
pub(super) fn back_again(
    source: &mut Source,
    content: &mut Content,
    metadata: &Metadata,
    target: &Path,
) -> io::Result<Option<Entry>> {
    // Where births are not told, another file that begins alike may have the inode: only its place tells then.
    let may_be = |entry: &Entry| entry.is_of(metadata) && (entry.born.is_some() || is_place_of(entry, target));
    // It may not be known yet how far the bus has it.
    let mut doubtful = source.doubtful.iter();
    if let Some(at) = doubtful.position(|entry| gone::may_return(entry.ended) && may_be(entry)) {
        let mut entry = source.doubtful[at].clone();
        if is_still(&mut entry, content, metadata, target)? == Is::Same {
            source.doubtful.swap_remove(at);
            entry.ended = None;
            return Ok(Some(entry));
        }
    }
    let Some(mut entry) = source.ledger.gone(metadata).filter(may_be) else { return Ok(None) };
    if is_still(&mut entry, content, metadata, target)? != Is::Same {
        return Ok(None);
    }
    tracing::info!(path = entry.path, "a file that was given up is there again, and is read on");
    Ok(Some(source.ledger.take_back(entry)))
}

/// Whether the file is the generation that its inode was: an inode is used again, and a file is truncated and written
/// anew, perhaps beyond where it was read to and with the same beginning.
pub(super) fn is_still(known: &mut Entry, content: &mut Content, metadata: &Metadata, target: &Path) -> io::Result<Is> {
    // Where nothing is known of it, an inode that was used again tells nothing.
    let is_told = known.born.is_some() || !known.fingerprint.is_empty() || is_place_of(known, target);
    if known.born != identity::born(metadata) || !is_told {
        return Ok(Is::Another);
    }
    let reach = known.position.max(known.anchor.end);
    let is_part = !known.packed && metadata.len() < reach;
    let same = known.fingerprint.follow(content).and_then(|same| Ok(same && (is_part || known.anchor.holds(content)?)));
    // What was a gzip file and is none is another file.
    let same = if known.packed { same.unwrap_or(false) } else { same? };
    Ok(match (same, is_part) {
        (true, false) => Is::Same,
        (true, true) => Is::Part,
        (false, _) => Is::Another,
    })
}

/// What a file is beside the generation that its inode was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Same,
    /// It begins like it and is shorter than what was read. So is a copy that was made before all was read; a file that
    /// is followed was truncated.
    Part,
    Another,
}
