//! What a search looks at: one consistent moment of the store, in which every line is there exactly once.

use std::sync::Arc;

use weir_query::Matcher;
use weir_query::line::Line;

use crate::bits::Bits;
use crate::fields::FieldList;
use crate::schedule::Budget;
use crate::store::Gap;

/// Lines of one source, in memory or on disk, with what is needed to pass over them unread.
pub trait Lines: Send + Sync {
    /// Least event time.
    fn min_time(&self) -> i64;
    /// Greatest event time.
    fn max_time(&self) -> i64;
    /// Number of lines.
    fn count(&self) -> usize;
    /// Whether nothing is read of the disk for them.
    fn is_in_memory(&self) -> bool;
    /// The lines, decoded, in any order; an error where the disk cannot be read.
    fn lines(&self) -> Result<Arc<Vec<Line>>, crate::Error>;
    /// The same, to be decided before it is decoded.
    fn open(&self) -> Result<Box<dyn Opened>, crate::Error>;
}

/// Lines of a [`Lines`], each by its place from 0, read as far as is asked for.
pub trait Opened {
    /// The lines that match and whose times lie in `[start, end)`.
    fn matching(&self, matcher: &Matcher, start: i64, end: i64) -> Result<Bits, crate::Error>;
    /// Event times of all lines.
    fn times(&self) -> Result<Vec<i64>, crate::Error>;
    /// Bytes that were read of the disk for what was asked by now.
    fn bytes_read(&self) -> usize;
    /// The lines that are `wanted`, by rising place.
    fn take(&self, wanted: &Bits) -> Result<Vec<Line>, crate::Error>;
    /// Adds the fields of these lines.
    fn fields(&self, of: &Bits, found: &mut FieldList) -> Result<(), crate::Error>;
}

/// A set of lines that a query may match; the store offers them newest first.
pub type Candidate = Arc<dyn Lines>;

/// A consistent moment of the store.
pub trait Snapshot: Send + Sync {
    /// The same moment for a search that may use this: where it may not go on, the search for candidates ends too.
    fn within(self: Arc<Self>, budget: &Budget) -> Arc<dyn Snapshot>;
    /// Head batches and chunks whose times meet `[start, end)` and that may hold a match of `needs` (a superset of those
    /// that do), by falling greatest time.
    fn candidates(&self, needs: &Needs, start: i64, end: i64) -> Result<Vec<Candidate>, crate::Error>;
    /// [`Snapshot::candidates`] for what takes lines in any order: in the order in which they lie on disk, which is quicker
    /// to read. Where the index knows from `exact` (the same query as `needs`) how many lines of a chunk match, it asks
    /// `take` first, and leaves out what that takes, and where none match.
    fn tally(
        &self,
        _exact: Option<&Exact>,
        needs: &Needs,
        start: i64,
        end: i64,
        _take: &mut dyn FnMut(&Counted) -> bool,
    ) -> Result<Vec<Candidate>, crate::Error> {
        self.candidates(needs, start, end)
    }
    /// Adds the fields of the lines that match, as far as the index lists them by themselves, and gives what is to be read
    /// for the others, as [`Snapshot::tally`] does.
    fn fields(
        &self,
        _exact: Option<&Exact>,
        needs: &Needs,
        start: i64,
        end: i64,
        _found: &mut FieldList,
    ) -> Result<Vec<Candidate>, crate::Error> {
        self.candidates(needs, start, end)
    }
    /// Everything that reached the bus before this time (nanoseconds since the epoch) is in the snapshot.
    fn indexed_until(&self) -> i64;
    /// Where records that arrived in `[start, end)` may be missing, because they could not be read.
    fn gaps(&self, _start: i64, _end: i64) -> Vec<Gap> {
        Vec::new()
    }
}

/// What a chunk must hold for a query to match in it; terms as [`weir_query::words`] and the store list them.
#[derive(Debug, Clone, PartialEq)]
pub enum Needs {
    /// No condition.
    Anything,
    /// Nothing can match.
    Nothing,
    /// A word of the body, as [`weir_query::words`] cuts it (lowercase).
    Word(String),
    /// A word of the body that starts so.
    WordPrefix(String),
    /// A word of the body that is like this pattern (lowercase; see [`weir_query::Matcher`]).
    WordGlob(String),
    /// A field's whole value, lowercase: `service`, `tenant`, `trace_id`, `span_id`, `resource.X`, `scope.X`,
    /// `attributes.X`, what a span has of its own, or `record` (`PARTITION-OFFSET` on the bus).
    Field(String, String),
    /// A severity from the first number to the last.
    Severity(u8, u8),
    /// The field is there.
    HasField(String),
    /// All of these.
    All(Vec<Needs>),
    /// Any of these.
    Any(Vec<Needs>),
}

/// A query as the index counts it: how many lines of a chunk match at least and at most. Where that is one number, no line
/// is read.
#[derive(Debug, Clone, PartialEq)]
pub enum Exact {
    /// All lines.
    All,
    /// All lines of the chunks that are listed so, as all lines of a chunk have one source.
    Source(Needs),
    /// The lines that are listed so, by a term with their number, or by severities.
    Lines(Needs),
    /// None but lines of the chunks that may hold this.
    AtMost(Needs),
    /// Lines that match all of these.
    And(Vec<Exact>),
    /// Lines that match any of these.
    Or(Vec<Exact>),
    /// Lines that do not match this.
    Not(Box<Exact>),
}

/// Lines of a chunk that match, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Least event time of the chunk.
    pub min: i64,
    /// Greatest event time of the chunk.
    pub max: i64,
    /// How many match.
    pub lines: u64,
}
