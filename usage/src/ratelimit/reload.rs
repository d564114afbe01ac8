//! Files of limits that are read again when they change: all of them, or none.

use std::sync::Arc;
use std::time::Duration;

use super::limits::Limits;
use super::load::{self, LoadErrors, Stamp};
use super::tally::Tallies;

/// How often the files are polled.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The files, and what was read of them last.
#[derive(Debug)]
pub(super) struct Files {
    globs: Vec<String>,
    tallies: Tallies,
    /// Of what is in force.
    used: Stamp,
    /// Of what changed and is read at the next poll, if it has not changed again by then: an editor that empties a file
    /// before it writes it must not remove the limits.
    changing: Option<Stamp>,
    /// Of what could not be used.
    refused: Option<Stamp>,
    /// Why, as it was reported.
    reported: Option<LoadErrors>,
}

/// What a poll found.
#[derive(Debug)]
pub(super) enum Change {
    /// These are in force from now on.
    Limits(Arc<Limits>),
    /// The files are as they were when they were read last; an error that was reported is over.
    Restored,
    /// The files cannot be used: what was in force stays. Reported once.
    Refused(LoadErrors),
}

impl Files {
    /// Reads the files.
    pub(super) fn open(globs: &[String], tallies: &Tallies) -> Result<(Self, Arc<Limits>), LoadErrors> {
        let used = load::stamp(globs)?;
        let limits = load::read(&used, tallies)?;
        let files = Self {
            globs: globs.to_vec(),
            tallies: tallies.clone(),
            used,
            changing: None,
            refused: None,
            reported: None,
        };
        Ok((files, Arc::new(limits)))
    }

    /// Polls the files. Blocks: not for an async thread.
    pub(super) fn poll(&mut self) -> Option<Change> {
        let stamp = match load::stamp(&self.globs) {
            Ok(stamp) => stamp,
            Err(errors) => return self.refuse(None, errors),
        };
        if stamp == self.used {
            (self.changing, self.refused) = (None, None);
            return self.reported.take().map(|_| Change::Restored);
        }
        if self.refused.as_ref() == Some(&stamp) {
            return None;
        }
        if self.changing.as_ref() != Some(&stamp) {
            self.changing = Some(stamp);
            return None;
        }
        match load::read(&stamp, &self.tallies) {
            Ok(limits) => {
                (self.used, self.changing, self.refused, self.reported) = (stamp, None, None, None);
                Some(Change::Limits(Arc::new(limits)))
            }
            Err(errors) => self.refuse(Some(stamp), errors),
        }
    }

    fn refuse(&mut self, stamp: Option<Stamp>, errors: LoadErrors) -> Option<Change> {
        (self.changing, self.refused) = (None, stamp);
        let is_new = self.reported.as_ref() != Some(&errors);
        self.reported = Some(errors.clone());
        is_new.then_some(Change::Refused(errors))
    }
}
