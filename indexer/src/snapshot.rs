//! What a search looks at: one consistent moment of the store, in which every line is there exactly once.

use std::sync::Arc;

use crate::line::Line;

/// Lines of one source, in memory or on disk, with what is needed to pass over them unread.
pub trait Lines: Send + Sync {
    /// Least event time.
    fn min_time(&self) -> i64;
    /// Greatest event time.
    fn max_time(&self) -> i64;
    /// Number of lines.
    fn count(&self) -> usize;
    /// The lines, decoded, in any order; an error where the disk cannot be read.
    fn lines(&self) -> Result<Arc<Vec<Line>>, crate::Error>;
}

/// A set of lines that a query may match; the store offers them newest first.
pub type Candidate = Arc<dyn Lines>;

/// A consistent moment of the store.
pub trait Snapshot: Send + Sync {
    /// Head batches and chunks whose times meet `[start, end)` and that may hold a match of `needs` (a superset of those
    /// that do), by falling greatest time.
    fn candidates(&self, needs: &Needs, start: i64, end: i64) -> Result<Vec<Candidate>, crate::Error>;
    /// Everything that reached the bus before this time (nanoseconds since the epoch) is in the snapshot.
    fn indexed_until(&self) -> i64;
}

/// What a chunk must hold for a query to match in it; terms as [`crate::words`] and the store list them.
#[derive(Debug, Clone, PartialEq)]
pub enum Needs {
    /// No condition.
    Anything,
    /// Nothing can match.
    Nothing,
    /// A word of the body, as [`crate::words`] cuts it (lowercase).
    Word(String),
    /// A word of the body that starts so.
    WordPrefix(String),
    /// A field's whole value, lowercase: `service`, `tenant`, `trace_id`, `span_id`, `resource.X`, `attributes.X`, or
    /// `record` (`PARTITION-OFFSET` on the bus).
    Field(String, String),
    /// The field is there.
    HasField(String),
    /// All of these.
    All(Vec<Needs>),
    /// Any of these.
    Any(Vec<Needs>),
}
