//! Searching one moment of the store: pages of lines, counts, histograms, fields and their values.
//!
//! Work is bounded by a deadline, and memory by the page: candidates are decoded one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::fields;
use crate::line::{Line, LineId};
use crate::query::Matcher;
use crate::snapshot::{Needs, Snapshot};

/// Most buckets of a histogram, fields of a listing, and distinct values counted of one field.
pub const MAX_GROUPS: usize = 10_000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be read.
    #[error("the index cannot be read")]
    Store(#[from] crate::Error),
    /// The deadline passed.
    #[error("the query took too long: narrow the time range or the query")]
    Deadline,
    /// The answer would be larger than [`MAX_GROUPS`].
    #[error("more than {MAX_GROUPS} groups: take a longer interval or a narrower query")]
    TooManyGroups,
}

/// What lines are asked for.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Decides line by line.
    pub matcher: Matcher,
    /// What a candidate must hold.
    pub needs: Needs,
    /// Least event time, in nanoseconds since the epoch.
    pub start: i64,
    /// Event time behind the greatest.
    pub end: i64,
    /// When to give up.
    pub deadline: Instant,
}

/// A place in the order of lines: event time, then place on the bus.
pub type Place = (i64, LineId);

/// Which page, in which order.
#[derive(Debug, Clone)]
pub struct Paging {
    /// Lines on the page.
    pub limit: usize,
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
    fn takes(&self, line: &Line) -> bool {
        (self.start..self.end).contains(&line.time) && self.matcher.matches(line)
    }

    fn each(&self, snapshot: &dyn Snapshot, mut each: impl FnMut(&Line) -> Result<(), Error>) -> Result<(), Error> {
        for candidate in snapshot.candidates(&self.needs, self.start, self.end)? {
            self.in_time()?;
            for line in candidate.lines()?.iter().filter(|line| self.takes(line)) {
                each(line)?;
            }
        }
        Ok(())
    }

    fn in_time(&self) -> Result<(), Error> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(Error::Deadline) }
    }
}

/// One page of matching lines; `also` may refuse lines that match.
pub fn page(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    paging: &Paging,
    also: &dyn Fn(&Line) -> bool,
) -> Result<Page, Error> {
    let mut candidates = snapshot.candidates(&selection.needs, selection.start, selection.end)?;
    if paging.oldest_first {
        candidates.sort_by_key(|candidate| candidate.min_time());
    } else {
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.max_time()));
    }
    // One line more than asked tells whether there is a next page.
    let wanted = paging.limit.saturating_add(1);
    let mut best: BTreeMap<Place, Line> = BTreeMap::new();
    for candidate in candidates {
        let worst = if best.len() < wanted { None } else { edge(&best, paging) };
        if worst.is_some_and(|worst| cannot_improve(candidate.as_ref(), worst, paging)) {
            break;
        }
        selection.in_time()?;
        for line in candidate.lines()?.iter() {
            let place = (line.time, line.id);
            let behind = |mark: Place| if paging.oldest_first { place > mark } else { place < mark };
            let before = |mark: Place| if paging.oldest_first { place < mark } else { place > mark };
            let full = best.len() >= wanted;
            if !paging.after.is_none_or(behind) || (full && !edge(&best, paging).is_none_or(before)) {
                continue;
            }
            if selection.takes(line) && also(line) {
                best.insert(place, line.clone());
                if best.len() > wanted {
                    if paging.oldest_first {
                        best.pop_last()
                    } else {
                        best.pop_first()
                    };
                }
            }
        }
    }
    let more = best.len() > paging.limit;
    let lines: Vec<Line> = if paging.oldest_first {
        best.into_values().take(paging.limit).collect()
    } else {
        best.into_values().rev().take(paging.limit).collect()
    };
    Ok(Page { lines, more })
}

/// The line that a better one would push out.
fn edge(best: &BTreeMap<Place, Line>, paging: &Paging) -> Option<Place> {
    let edge = if paging.oldest_first { best.last_key_value() } else { best.first_key_value() };
    edge.map(|(place, _)| *place)
}

fn cannot_improve(candidate: &dyn crate::snapshot::Lines, worst: Place, paging: &Paging) -> bool {
    if paging.oldest_first { candidate.min_time() > worst.0 } else { candidate.max_time() < worst.0 }
}

/// Number of matching lines.
pub fn count(snapshot: &dyn Snapshot, selection: &Selection) -> Result<u64, Error> {
    let mut count = 0;
    for candidate in snapshot.candidates(&selection.needs, selection.start, selection.end)? {
        selection.in_time()?;
        let whole = candidate.min_time() >= selection.start && candidate.max_time() < selection.end;
        count += if whole && selection.matcher.is_all() {
            candidate.count() as u64
        } else {
            candidate.lines()?.iter().filter(|line| selection.takes(line)).count() as u64
        };
    }
    Ok(count)
}

/// Matching lines by start of their interval (nanoseconds) and value of a field; without a field the value is empty.
pub fn histogram(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    interval: i64,
    split: Option<&str>,
) -> Result<BTreeMap<i64, BTreeMap<String, u64>>, Error> {
    let mut buckets: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
    let mut groups = 0;
    selection.each(snapshot, |line| {
        let bucket = buckets.entry(line.time - line.time.rem_euclid(interval.max(1))).or_default();
        let before = bucket.len();
        let value = split.and_then(|name| values(line, name).into_iter().next()).unwrap_or_default();
        *bucket.entry(value).or_default() += 1;
        groups += bucket.len() - before;
        if groups > MAX_GROUPS { Err(Error::TooManyGroups) } else { Ok(()) }
    })?;
    Ok(buckets)
}

/// Names of the fields of matching lines.
pub fn field_names(snapshot: &dyn Snapshot, selection: &Selection) -> Result<BTreeSet<String>, Error> {
    let mut names: BTreeSet<String> = ["body", "service", "severity", "tenant", "timestamp"].map(String::from).into();
    selection.each(snapshot, |line| {
        for (part, attributes) in [("resource", &line.source.resource), ("attributes", &line.attributes)] {
            fields::each(attributes, |name, _| {
                names.insert(format!("{part}.{name}"));
            });
        }
        for (name, id) in [("trace_id", &line.trace_id), ("span_id", &line.span_id)] {
            if !id.is_empty() && !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
        if names.len() > MAX_GROUPS { Err(Error::TooManyGroups) } else { Ok(()) }
    })?;
    Ok(names)
}

/// Most frequent values of a field, with their counts, most frequent first.
pub fn top_values(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    name: &str,
    limit: usize,
) -> Result<Vec<(String, u64)>, Error> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    selection.each(snapshot, |line| {
        for value in values(line, name) {
            *counts.entry(value).or_default() += 1;
        }
        if counts.len() > MAX_GROUPS { Err(Error::TooManyGroups) } else { Ok(()) }
    })?;
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    sorted.truncate(limit);
    Ok(sorted)
}

/// Values of a field of one line, by the names that queries use.
fn values(line: &Line, name: &str) -> Vec<String> {
    let one = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    let of = |attributes, wanted: &str| {
        let mut found = Vec::new();
        fields::each(attributes, |name, text| {
            if name == wanted {
                found.push(text.to_owned());
            }
        });
        found
    };
    match name {
        "body" => one(&line.body.text()),
        "service" => one(&line.source.service),
        "tenant" => one(&line.source.tenant),
        "severity" => one(crate::severity::shown(line)),
        "trace_id" => one(&hex::encode(&line.trace_id)),
        "span_id" => one(&hex::encode(&line.span_id)),
        "timestamp" => one(&weir_service::time::format(line.time)),
        _ => match (name.strip_prefix("resource."), name.strip_prefix("attributes.")) {
            (Some(name), _) => of(&line.source.resource, name),
            (_, Some(name)) => of(&line.attributes, name),
            _ => [of(&line.source.resource, name), of(&line.attributes, name)].concat(),
        },
    }
}
