//! One series of histograms that a rule records.

use std::collections::VecDeque;

use super::read::{Data, Recording};

/// By unix milliseconds; a [`Recording::is_end`] ends the series until the next one.
#[derive(Debug, Default)]
pub(super) struct Recordings(VecDeque<(i64, Recording)>);

impl Recordings {
    /// Takes a sample. One of the same time replaces.
    pub(super) fn add(&mut self, unix_ms: i64, recording: Recording) {
        let at = self.0.partition_point(|(time, _)| *time < unix_ms);
        match self.0.get_mut(at).filter(|(time, _)| *time == unix_ms) {
            Some(there) => there.1 = recording,
            None => self.0.insert(at, (unix_ms, recording)),
        }
    }

    /// Drops what is older; false when nothing is left.
    pub(super) fn forget(&mut self, before_ms: i64) -> bool {
        let old = self.0.partition_point(|(time, _)| *time < before_ms);
        self.0.drain(..old);
        !self.0.is_empty()
    }

    /// Whether there is a sample at a time in `[start_ms, end_ms]`.
    pub(super) fn any(&self, start_ms: i64, end_ms: i64) -> bool {
        let from = self.0.partition_point(|(time, _)| *time < start_ms);
        let to = self.0.partition_point(|(time, _)| *time <= end_ms).max(from);
        self.0.range(from..to).any(|(_, recording)| !recording.is_end())
    }

    /// Samples of times `(start_ms, end_ms]`.
    pub(super) fn data(&self, start_ms: i64, end_ms: i64) -> Data {
        let from = self.0.partition_point(|(time, _)| *time <= start_ms);
        let to = self.0.partition_point(|(time, _)| *time <= end_ms).max(from);
        Data::Recorded(self.0.range(from..to).cloned().collect())
    }
}
