//! The head: lines that were read and are not on disk yet, by batch and source, searchable as they are.

use std::collections::HashMap;
use std::sync::Arc;

use weir_query::Matcher;
use weir_query::line::{Line, Source};

use crate::Error;
use crate::bits::Bits;
use crate::fields::FieldList;
use crate::snapshot::{Lines, Opened};

/// Lines of one source that came at once; never empty.
#[derive(Debug)]
pub struct Batch {
    source: Arc<Source>,
    lines: Arc<Vec<Line>>,
    min: i64,
    max: i64,
}

/// Batches in the order in which they came. A clone is a moment of it, and costs nothing until the head grows on.
#[derive(Debug, Clone, Default)]
pub struct Head {
    batches: Arc<Vec<Arc<Batch>>>,
    bytes: usize,
    /// Bytes of the part that was merged.
    merged: usize,
}

/// Bytes that a head grows by, besides as many as it had, before merging its lines pays.
const GROWTH: usize = 4 << 20;

impl Batch {
    /// A batch; `None` of no lines.
    pub fn new(lines: Vec<Line>) -> Option<Self> {
        let min = lines.iter().map(|line| line.time).min()?;
        let max = lines.iter().map(|line| line.time).max()?;
        Some(Self { source: lines.first()?.source.clone(), lines: Arc::new(lines), min, max })
    }

    /// Whose its lines are.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Its lines, shared.
    pub fn shared(&self) -> &Arc<Vec<Line>> {
        &self.lines
    }
}

impl Lines for Batch {
    fn min_time(&self) -> i64 {
        self.min
    }

    fn max_time(&self) -> i64 {
        self.max
    }

    fn count(&self) -> usize {
        self.lines.len()
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn lines(&self) -> Result<Arc<Vec<Line>>, Error> {
        Ok(self.lines.clone())
    }

    fn open(&self) -> Result<Box<dyn Opened>, Error> {
        Ok(Box::new(InMemory(self.lines.clone())))
    }
}

/// Lines that are decoded.
pub(crate) struct InMemory(pub(crate) Arc<Vec<Line>>);

impl Opened for InMemory {
    fn matching(&self, matcher: &Matcher, start: i64, end: i64) -> Result<Bits, Error> {
        let takes = |line: &Line| (start..end).contains(&line.time) && matcher.matches(line);
        Ok(Bits::of(self.0.len() as u32, |at| self.0.get(at as usize).is_some_and(takes)))
    }

    fn times(&self) -> Result<Vec<i64>, Error> {
        Ok(self.0.iter().map(|line| line.time).collect())
    }

    fn bytes_read(&self) -> usize {
        0
    }

    fn take(&self, wanted: &Bits) -> Result<Vec<Line>, Error> {
        Ok(wanted.iter().filter_map(|at| self.0.get(at as usize).cloned()).collect())
    }

    fn fields(&self, of: &Bits, found: &mut FieldList) -> Result<(), Error> {
        of.iter().filter_map(|at| self.0.get(at as usize)).for_each(|line| found.add_line(line));
        Ok(())
    }
}

impl Head {
    /// A head of lines that were merged, by source.
    pub fn merged(lines: Vec<Line>) -> Self {
        let mut sources: Vec<Vec<Line>> = Vec::new();
        let mut places: HashMap<*const Source, usize, ahash::RandomState> = HashMap::default();
        for line in lines {
            let place = *places.entry(Arc::as_ptr(&line.source)).or_insert_with(|| {
                sources.push(Vec::new());
                sources.len() - 1
            });
            sources[place].push(line);
        }
        let mut head = Self::default();
        head.extend(sources.into_iter().filter_map(Batch::new).map(Arc::new));
        head.merged = head.bytes;
        head
    }

    /// Whether it has grown so much that merging pays: what is merged each time grows as a power of two.
    pub fn has_grown(&self) -> bool {
        self.bytes >= 2 * self.merged + GROWTH
    }

    /// Takes batches in.
    pub fn extend(&mut self, batches: impl IntoIterator<Item = Arc<Batch>>) {
        let kept = Arc::make_mut(&mut self.batches);
        for batch in batches {
            // Its source may be its own.
            self.bytes += batch.source.memory() + batch.lines.iter().map(Line::memory).sum::<usize>();
            kept.push(batch);
        }
    }

    /// About the memory that it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its batches.
    pub fn batches(&self) -> &[Arc<Batch>] {
        &self.batches
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}
