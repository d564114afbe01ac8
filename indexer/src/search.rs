//! Searching one moment of the store: pages of lines, counts, histograms, fields and their values.
//!
//! Work is bounded by a budget, and memory by the page: candidates are decoded one after the other.

mod fields;

use std::collections::{BTreeMap, BTreeSet};

use weir_query::Matcher;
use weir_query::line::{Line, LineId};

use crate::bits::Bits;
use crate::fields::MAX_FIELDS;
use crate::interval::Interval;
use crate::schedule::{Budget, Limit};
use crate::snapshot::{Candidate, Counted, Exact, Needs, Opened, Snapshot};

use self::fields::values;
pub use self::fields::{fields, top_values};
pub(crate) use self::fields::{missing, names_fields};

/// Most buckets of a histogram, distinct values counted of one field, and names of Elasticsearch's indices.
pub const MAX_GROUPS: usize = 10_000;
/// Most values of a field that a histogram tells apart.
pub const MAX_VALUES: usize = 1000;
/// Most bytes of their names.
pub(crate) const MAX_GROUP_BYTES: usize = 32 << 20;
/// Memory of a page, about: lines that take more are left to the next one.
pub const MAX_PAGE_BYTES: usize = 32 << 20;

/// Lines of a candidate that are decoded at once at least.
const LEAST_TAKEN: usize = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be read.
    #[error("the index cannot be read")]
    Store(#[source] crate::Error),
    /// It was cancelled, or would take more than it may.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// The answer would have more than [`MAX_GROUPS`].
    #[error("more than {MAX_GROUPS} groups: take a longer interval or a narrower query")]
    TooManyGroups,
    /// A listing of fields would have more than [`MAX_FIELDS`].
    #[error("more than {MAX_FIELDS} fields: narrow the query")]
    TooManyFields,
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::Limit(limit) => Self::Limit(limit),
            error => Self::Store(error),
        }
    }
}

/// What lines are asked for.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Decides line by line.
    pub matcher: Matcher,
    /// What a candidate must hold.
    pub needs: Needs,
    /// The same query as the index counts it; `None` where it has to be decided line by line.
    pub exact: Option<Exact>,
    /// Least event time, in nanoseconds since the epoch.
    pub start: i64,
    /// Event time behind the greatest.
    pub end: i64,
    /// What it may use.
    pub budget: Budget,
}

/// A place in the order of lines: event time, then place on the bus.
pub type Place = (i64, LineId);

/// Which page, in which order.
#[derive(Debug, Clone)]
pub struct Paging {
    /// Lines on the page.
    pub limit: usize,
    /// Memory of its lines, about; see [`MAX_PAGE_BYTES`].
    pub bytes: usize,
    /// Oldest first, else newest first.
    pub oldest_first: bool,
    /// The last line of the page before.
    pub after: Option<Place>,
}

/// A page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Its lines, in order.
    pub lines: Vec<Line>,
    /// There are more behind them.
    pub more: bool,
}

impl Selection {
    /// Calls `each` with every line that is asked for, in any order.
    pub(crate) fn each(
        &self,
        snapshot: &dyn Snapshot,
        mut each: impl FnMut(&Line) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for candidate in self.tally(snapshot, |_| false)? {
            self.read(&candidate)?.iter().try_for_each(&mut each)?;
        }
        Ok(())
    }

    /// The lines of a candidate that are asked for, once it is this search's turn.
    pub(crate) fn read(&self, candidate: &Candidate) -> Result<Vec<Line>, Error> {
        let lines = self.open(candidate)?;
        let matching = self.matching(&*lines)?;
        let taken = if matching.is_empty() { Vec::new() } else { lines.take(&matching)? };
        self.budget.read(lines.bytes_read())?;
        Ok(taken)
    }

    /// How many lines of a candidate are asked for.
    pub(crate) fn count(&self, candidate: &Candidate) -> Result<u64, Error> {
        let lines = self.open(candidate)?;
        let count = u64::from(self.matching(&*lines)?.count());
        self.budget.read(lines.bytes_read())?;
        Ok(count)
    }

    fn open(&self, candidate: &Candidate) -> Result<Box<dyn Opened>, Error> {
        self.budget.check()?;
        Ok(candidate.open()?)
    }

    fn matching(&self, lines: &dyn Opened) -> Result<Bits, Error> {
        Ok(lines.matching(&self.matcher, self.start, self.end)?)
    }

    /// Counts what the index knows without reading lines, where `take` says yes; gives back what is to be read.
    fn tally(&self, snapshot: &dyn Snapshot, mut take: impl FnMut(&Counted) -> bool) -> Result<Vec<Candidate>, Error> {
        Ok(snapshot.tally(self.exact.as_ref(), &self.needs, self.start, self.end, &mut take)?)
    }
}

/// One page of matching lines; `also` may refuse lines that match. It ends early where its lines would take more
/// memory than it may, but has one at least.
pub fn page(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    paging: &Paging,
    also: &dyn Fn(&Line) -> bool,
) -> Result<Page, Error> {
    let (mut start, mut end) = (selection.start, selection.end);
    match paging.after {
        Some((time, _)) if paging.oldest_first => start = start.max(time),
        Some((time, _)) => end = end.min(time.saturating_add(1)),
        None => {}
    }
    let mut candidates = snapshot.candidates(&selection.needs, start, end)?;
    if paging.oldest_first {
        candidates.sort_by_key(|candidate| candidate.min_time());
    } else {
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.max_time()));
    }
    let before = |a: Place, b: Place| if paging.oldest_first { a < b } else { a > b };
    let mut best = Best { lines: BTreeMap::new(), bytes: 0, cut: None };
    for candidate in candidates {
        let cannot_improve = best.cut.is_some_and(|(cut, _)| {
            if paging.oldest_first { candidate.min_time() > cut } else { candidate.max_time() < cut }
        });
        if cannot_improve {
            break;
        }
        let opened = selection.open(&candidate)?;
        let matching = opened.matching(&selection.matcher, start, end)?;
        if matching.is_empty() {
            selection.budget.read(opened.bytes_read())?;
            continue;
        }
        let times = opened.times()?;
        let time = |at: &u32| times.get(*at as usize).copied().unwrap_or_default();
        let mut places: Vec<u32> = matching.iter().collect();
        places.sort_by_key(time);
        if !paging.oldest_first {
            places.reverse();
        }
        // No more at once than the page may need.
        for some in places.chunks(paging.limit.max(LEAST_TAKEN)) {
            let is_behind = |(cut, _): Place, time| if paging.oldest_first { time > cut } else { time < cut };
            if some.first().is_some_and(|at| best.cut.is_some_and(|cut| is_behind(cut, time(at)))) {
                break;
            }
            let mut wanted = Bits::none(times.len() as u32);
            for at in some {
                wanted.insert(*at);
            }
            for line in opened.take(&wanted)? {
                let place = (line.time, line.id);
                let on_page = paging.after.is_none_or(|after| before(after, place))
                    && best.cut.is_none_or(|cut| before(place, cut));
                if on_page && also(&line) {
                    best.insert(place, line, paging);
                }
            }
        }
        selection.budget.read(opened.bytes_read())?;
    }
    let lines = best.lines.into_values();
    let lines = if paging.oldest_first { lines.collect() } else { lines.rev().collect() };
    Ok(Page { lines, more: best.cut.is_some() })
}

/// The lines of a page so far.
struct Best {
    lines: BTreeMap<Place, Line>,
    bytes: usize,
    /// The first line that found no room: none behind it is on the page.
    cut: Option<Place>,
}

impl Best {
    fn insert(&mut self, place: Place, line: Line, paging: &Paging) {
        self.bytes += line.memory();
        self.lines.insert(place, line);
        while self.lines.len() > paging.limit || (self.bytes > paging.bytes && self.lines.len() > 1) {
            let last = if paging.oldest_first { self.lines.pop_last() } else { self.lines.pop_first() };
            let Some((place, line)) = last else { return };
            self.bytes -= line.memory();
            self.cut = Some(place);
        }
    }
}

/// Number of matching lines.
pub fn count(snapshot: &dyn Snapshot, selection: &Selection) -> Result<u64, Error> {
    Ok(count_up_to(snapshot, selection, u64::MAX)?.0)
}

/// Number of matching lines, and whether it is all of them: no more are read once there are more than `most`.
pub(crate) fn count_up_to(snapshot: &dyn Snapshot, selection: &Selection, most: u64) -> Result<(u64, bool), Error> {
    let (start, end) = (selection.start, selection.end);
    let mut count = 0;
    let rest = selection.tally(snapshot, |counted| {
        let whole = counted.min >= start && counted.max < end;
        count += if whole { counted.lines } else { 0 };
        whole
    })?;
    for candidate in rest {
        if count > most {
            return Ok((count, false));
        }
        count += selection.count(&candidate)?;
    }
    Ok((count, true))
}

/// Matching lines over time.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Counts by start of the bucket (nanoseconds), then by value of the field; without a field the value is empty.
    pub buckets: BTreeMap<i64, BTreeMap<String, u64>>,
    /// Lines whose value is not among those of the buckets.
    pub other: BTreeMap<i64, u64>,
}

/// Matching lines by bucket, and by value of a field: of a field with more than [`MAX_VALUES`] values, the first that are
/// found have counts of their own.
pub fn histogram(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    mut interval: Interval,
    split: Option<&str>,
) -> Result<Histogram, Error> {
    let (start, end) = (selection.start, selection.end);
    let mut found = Histogram::default();
    let mut known: BTreeSet<String> = BTreeSet::new();
    let most = if split.is_some() { MAX_GROUPS * 10 } else { MAX_GROUPS };
    let mut groups = Groups { most, ..Groups::new(&selection.budget) };
    let mut too_many: Result<(), Error> = Ok(());
    let mut add = |start: i64, value: String, lines: u64| -> Result<(), Error> {
        let bucket = found.buckets.entry(start).or_default();
        if let Some(count) = bucket.get_mut(&value) {
            *count += lines;
            return Ok(());
        }
        if !known.contains(&value) {
            if known.len() >= MAX_VALUES {
                if !found.other.contains_key(&start) {
                    groups.add(0)?;
                }
                *found.other.entry(start).or_default() += lines;
                return Ok(());
            }
            selection.budget.hold(value.len() + GROUP_BYTES)?;
            known.insert(value.clone());
        }
        groups.add(value.len())?;
        bucket.insert(value, lines);
        Ok(())
    };
    let rest = selection.tally(snapshot, |counted| {
        let is_within = split.is_none() && counted.min >= start && counted.max < end;
        let bucket = if is_within { interval.start_of(counted.min) } else { 0 };
        let whole = is_within && bucket == interval.start_of(counted.max);
        if whole && counted.lines > 0 && too_many.is_ok() {
            too_many = add(bucket, String::new(), counted.lines);
        }
        whole
    })?;
    too_many?;
    for candidate in rest {
        let lines = selection.open(&candidate)?;
        let matching = selection.matching(&*lines)?;
        if matching.is_empty() {
            selection.budget.read(lines.bytes_read())?;
            continue;
        }
        if let Some(name) = split {
            for line in lines.take(&matching)? {
                add(interval.start_of(line.time), values(&line, name).into_iter().next().unwrap_or_default(), 1)?;
            }
        } else {
            let times = lines.times()?;
            let mut by_bucket: BTreeMap<i64, u64> = BTreeMap::new();
            let of_lines = matching.iter().filter_map(|at| times.get(at as usize));
            of_lines.for_each(|time| *by_bucket.entry(interval.start_of(*time)).or_default() += 1);
            by_bucket.into_iter().try_for_each(|(time, lines)| add(time, String::new(), lines))?;
        }
        selection.budget.read(lines.bytes_read())?;
    }
    Ok(found)
}

impl Histogram {
    /// Keeps counts of the values with most lines in all buckets, so many at most; those of others are added to `other`.
    pub fn keep_largest(&mut self, most: usize) {
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for (value, lines) in self.buckets.values().flatten() {
            *totals.entry(value).or_default() += lines;
        }
        let mut sorted: Vec<(u64, &str)> = totals.into_iter().map(|(value, lines)| (lines, value)).collect();
        sorted.sort_by(|(more, a), (less, b)| less.cmp(more).then_with(|| a.cmp(b)));
        let dropped: BTreeSet<String> = sorted.into_iter().skip(most).map(|(_, value)| value.to_owned()).collect();
        for (start, values) in &mut self.buckets {
            let other: u64 = values.iter().filter(|(value, _)| dropped.contains(*value)).map(|(_, lines)| lines).sum();
            values.retain(|value, _| !dropped.contains(value));
            *self.other.entry(*start).or_default() += other;
        }
    }
}

/// What an answer takes.
struct Groups<'a> {
    count: usize,
    most: usize,
    budget: &'a Budget,
}

/// Memory of a group beside its name, about.
const GROUP_BYTES: usize = 100;

impl<'a> Groups<'a> {
    fn new(budget: &'a Budget) -> Self {
        Self { count: 0, most: MAX_GROUPS, budget }
    }

    /// One more, whose name has so many bytes.
    fn add(&mut self, bytes: usize) -> Result<(), Error> {
        self.count += 1;
        self.budget.hold(bytes + GROUP_BYTES)?;
        if self.count > self.most { Err(Error::TooManyGroups) } else { Ok(()) }
    }
}
