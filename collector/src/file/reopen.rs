//! The limit on open files: which are closed for others, and how they are found again.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::content::{Content, open};
use super::source::Source;
use super::successor::{is_there, siblings};

impl Source {
    /// Opens the file of a generation where it is not open; `false` if it is there no more.
    pub(super) fn open_again(&mut self, id: u64) -> io::Result<bool> {
        let Some(tail) = self.tails.get_mut(&id) else { return Ok(false) };
        if tail.content.is_open() {
            return Ok(true);
        }
        let found = match open(&tail.target) {
            Ok((file, metadata)) if is_there(&tail.entry, &tail.target, &metadata) => Some(file),
            Err(error) if tail.rotated.is_none() && error.kind() != io::ErrorKind::NotFound => return Err(error),
            // It was renamed.
            _ => {
                let folder = Path::new(&tail.entry.target).parent();
                let files = folder.map(|folder| siblings(folder, |_| true)).transpose()?.unwrap_or_default();
                let place = files.into_iter().find(|(path, metadata)| is_there(&tail.entry, path, metadata));
                place.map(|(path, _)| open(&path)).transpose()?.map(|(file, _)| file)
            }
        };
        let Some(file) = found else { return Ok(false) };
        tail.content = Content::of(file, tail.entry.packed);
        self.opened(id);
        Ok(true)
    }

    /// Counts an open file, and closes others where there are too many.
    pub(super) fn opened(&mut self, id: u64) {
        self.open.push_back(id);
        // First those that are read to their end and were not visited lately, then any.
        for any in [false, true] {
            for _ in 0..self.open.len() {
                if self.open.len() <= self.max_open {
                    return;
                }
                let Some(other) = self.open.pop_front() else { return };
                if other == id || !self.shut(other, any) {
                    self.open.push_back(other);
                }
            }
        }
    }

    /// Closes a file if it can be found again. Where it is gone already there is nothing to close.
    fn shut(&mut self, id: u64, any: bool) -> bool {
        let Some(tail) = self.tails.get_mut(&id) else { return true };
        let busy = std::mem::take(&mut tail.visited) || !tail.at_end;
        // Closed before its pod is known and it was read, it may be gone by then.
        if (busy && !any) || tail.waits_for_pod.is_some() {
            return false;
        }
        let may = match &tail.content {
            Content::Shut => return true,
            // It would have to be read from its beginning again.
            Content::Packed(_) => any,
            Content::Plain(file) => file.metadata().is_ok_and(|metadata| metadata.nlink() > 0),
        };
        if may {
            tail.content = Content::Shut;
        }
        may
    }
}
