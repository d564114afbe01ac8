//! The traces with a span that passes, page by page.
//!
//! A trace's place in the order is that of its first span in this order that passes. So one walk over the newest (or
//! oldest, or all) spans gives a page, and holds no more than a page: the same trace may come up again behind the
//! cursor, with a later one of its spans, and is left out then, since all its spans are looked at for what is shown of
//! it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use weir_proto::otlp::trace::v1::Span;
use weir_query::line::{Line, Source};

use super::fetch;
use super::walk::{Stop, each_span, lines};
use crate::ingest::span_of;
use crate::schedule::Budget;
use crate::snapshot::{Needs, Snapshot};

/// How far before and behind the spans that pass the others of their traces are looked for.
pub(super) const AROUND: i64 = 3_600_000_000_000;
/// Most names of services that are shown of a trace.
const MOST_SERVICES: usize = 100;

/// Which spans pass.
pub(super) type Passes = Box<dyn Fn(&Line, &Span) -> bool + Send + Sync>;

/// By what traces are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Start of the span that passes.
    Start,
    /// Its duration.
    Duration,
}

/// What traces are asked for.
pub(super) struct Asked {
    pub(super) needs: Needs,
    /// Of starts of spans that pass, in nanoseconds since the epoch; the end is exclusive.
    pub(super) range: (i64, i64),
    pub(super) passes: Passes,
    pub(super) by: By,
    pub(super) ascending: bool,
    /// Most traces.
    pub(super) limit: usize,
    /// Those behind this one.
    pub(super) after: Option<Rank>,
}

/// The place of a trace: what it is ordered by, the greatest first, then its id.
pub(super) type Rank = (Reverse<i64>, Bytes);

/// A trace that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rank: Rank,
    /// The first of its spans that passes.
    pub(super) hit: Hit,
    /// Of the spans that began at most an hour before or behind those that pass.
    pub(super) summary: Summary,
}

/// A span that passes, without its attributes, events and links, which may be large.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) source: Arc<Source>,
    pub(super) time: i64,
    pub(super) span: Span,
}

/// What its spans say of a trace.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Service and name of its root: of the first span without parent, else of the first.
    pub(super) root: Option<(String, String)>,
    first: Option<(bool, i64)>,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) spans: u64,
    pub(super) errors: u64,
    /// By name; at most a hundred.
    pub(super) services: BTreeSet<String>,
    best: Option<Reverse<i64>>,
}

impl Asked {
    /// What a trace is ordered by, for one of its spans that passes: the greatest comes first.
    fn score(&self, line: &Line, span: &Span) -> i64 {
        let value = match self.by {
            By::Start => line.time,
            By::Duration => duration(span),
        };
        if self.ascending { value.saturating_neg() } else { value }
    }

    fn passes(&self, line: &Line, span: &Span) -> bool {
        (self.range.0..self.range.1).contains(&line.time) && (self.passes)(line, span)
    }

    /// The range in which what comes behind the cursor lies.
    fn rest(&self, after: Option<&Rank>) -> (i64, i64) {
        let (start, end) = self.range;
        match after {
            Some((Reverse(score), _)) if self.by == By::Start && self.ascending => {
                (start.max(score.saturating_neg()), end)
            }
            Some((Reverse(score), _)) if self.by == By::Start => (start, end.min(score.saturating_add(1))),
            _ => (start, end),
        }
    }
}

/// A page of traces in order, and where the next one begins.
pub(super) fn find(
    snapshot: &dyn Snapshot,
    asked: &Asked,
    budget: &Budget,
) -> Result<(Vec<Found>, Option<Rank>), Stop> {
    let (mut found, mut after) = (Vec::new(), asked.after.clone());
    loop {
        let (round, more) = round(snapshot, asked, after.as_ref(), budget)?;
        let last = round.last().map(|(rank, ..)| rank.clone());
        let mut summaries = summaries(snapshot, asked, &round, budget)?;
        for (rank, hit) in round {
            let summary = summaries.remove(&rank.1).unwrap_or_default();
            // Else it was on a page before, with a span that comes sooner.
            if summary.best.is_none_or(|best| best >= rank.0) {
                found.push(Found { rank, hit, summary });
            }
            if found.len() > asked.limit {
                found.truncate(asked.limit);
                let next = found.last().map(|found| found.rank.clone());
                return Ok((found, next));
            }
        }
        if !more || last.is_none() {
            return Ok((found, None));
        }
        if found.len() == asked.limit {
            let next = found.last().map(|found| found.rank.clone());
            return Ok((found, next));
        }
        after = last;
    }
}

type Ranked = (Rank, Hit);

/// The first traces behind `after` by one of their spans, and whether there may be more.
fn round(
    snapshot: &dyn Snapshot,
    asked: &Asked,
    after: Option<&Rank>,
    budget: &Budget,
) -> Result<(Vec<Ranked>, bool), Stop> {
    let (start, end) = asked.rest(after);
    let mut candidates = snapshot.candidates(&asked.needs, start, end)?;
    if asked.by == By::Start && asked.ascending {
        candidates.sort_by_key(|candidate| candidate.min_time());
    }
    let mut best: HashMap<Bytes, (Reverse<i64>, Hit)> = HashMap::new();
    // The last that is on the page: what lies behind it is not.
    let mut cut: Option<Rank> = None;
    for candidate in candidates {
        let reach = match (asked.by, asked.ascending) {
            (By::Start, false) => candidate.max_time(),
            (By::Start, true) => candidate.min_time().saturating_neg(),
            (By::Duration, _) => i64::MAX,
        };
        if cut.as_ref().is_some_and(|(Reverse(cut), _)| reach < *cut) {
            break;
        }
        for line in lines(&candidate, budget)?.iter().filter(|line| (start..end).contains(&line.time)) {
            let Some(span) = span_of(line) else { continue };
            let rank = (Reverse(asked.score(line, &span)), line.trace_id.clone());
            let is_outside = after.is_some_and(|after| rank <= *after) || cut.as_ref().is_some_and(|cut| rank > *cut);
            if is_outside || best.get(&rank.1).is_some_and(|(score, ..)| *score <= rank.0) || !asked.passes(line, &span)
            {
                continue;
            }
            let (attributes, events, links) = Default::default();
            let span = Span { attributes, events, links, ..span };
            best.insert(rank.1, (rank.0, Hit { source: line.source.clone(), time: line.time, span }));
        }
        if best.len() > asked.limit {
            let mut ranks: Vec<Rank> = best.iter().map(|(id, (score, ..))| (*score, id.clone())).collect();
            let (_, last, _) = ranks.select_nth_unstable(asked.limit - 1);
            best.retain(|id, (score, ..)| (*score, id) <= (last.0, &last.1));
            cut = Some(last.clone());
        }
    }
    let mut page: Vec<Ranked> = best.into_iter().map(|(id, (score, hit))| ((score, id), hit)).collect();
    page.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    Ok((page, cut.is_some()))
}

/// What all spans of these traces say, within an hour of those that passed.
fn summaries(
    snapshot: &dyn Snapshot,
    asked: &Asked,
    round: &[Ranked],
    budget: &Budget,
) -> Result<BTreeMap<Bytes, Summary>, Stop> {
    let times = || round.iter().map(|(_, hit)| hit.time);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(BTreeMap::new()) };
    let range = (first.saturating_sub(AROUND), last.saturating_add(AROUND));
    let mut found: BTreeMap<Bytes, Summary> =
        round.iter().map(|((_, id), ..)| (id.clone(), Summary::default())).collect();
    let hasher = ahash::RandomState::new();
    let mut seen = HashSet::new();
    let needs = Needs::Any(found.keys().map(|id| fetch::needs(id)).collect());
    each_span(snapshot, &needs, range, budget, |line, span| {
        let Some(summary) = found.get_mut(&line.trace_id) else { return Ok(()) };
        if !seen.insert(hasher.hash_one((&line.trace_id, fetch::key(line, &span)))) {
            return Ok(());
        }
        budget.hold(2 * size_of::<u64>())?;
        if asked.passes(line, &span) {
            let score = Reverse(asked.score(line, &span));
            summary.best = Some(summary.best.map_or(score, |best| best.min(score)));
        }
        summary.add(line, span);
        Ok(())
    })?;
    Ok(found)
}

impl Summary {
    fn add(&mut self, line: &Line, span: Span) {
        let end = line.time.saturating_add(duration(&span));
        self.start = if self.spans == 0 { line.time } else { self.start.min(line.time) };
        self.end = if self.spans == 0 { end } else { self.end.max(end) };
        self.spans += 1;
        self.errors += u64::from(span.status.as_ref().is_some_and(|status| status.code == 2));
        if self.services.len() < MOST_SERVICES && !self.services.contains(&line.source.service) {
            self.services.insert(line.source.service.clone());
        }
        let place = (!span.parent_span_id.is_empty(), line.time);
        if self.first.is_none_or(|first| place < first) {
            self.first = Some(place);
            self.root = Some((line.source.service.clone(), span.name));
        }
    }
}

/// In nanoseconds; 0 where it ends before it begins.
pub(super) fn duration(span: &Span) -> i64 {
    i64::try_from(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano)).unwrap_or(i64::MAX)
}
