//! Running a search: hits in order, how many there are, and aggregations.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value as Json, json};
use weir_query::line::Line;
use weir_service::elastic::Fault;

use super::indices::Indices;
use super::request::{Request, Track};
use super::sort::{self, Rank};
use super::{Asked, run, scroll, shards};
use crate::aggregate;
use crate::api::Api;
use crate::schedule::Caller;
use crate::search::{self, Error, Paging, Place, Selection};
use crate::snapshot::Snapshot;

/// Memory of the lines of an answer, about: of a scroll, what takes more is left to the next page.
const MAX_BYTES: usize = 32 << 20;

/// A search, compiled.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) request: Request,
    asked: Asked,
    pub(super) indices: Indices,
    /// Where the page before ended, in a scroll.
    pub(super) behind: Option<Place>,
}

/// Lines of a page.
struct Found {
    lines: Vec<Line>,
    /// More of them belong on it, and would take too much memory.
    is_cut: bool,
}

fn too_large() -> Fault {
    Fault::argument(format!(
        "Result window is too large: its hits take more than [{MAX_BYTES}] bytes. Ask for fewer with [size], or use the \
         scroll API"
    ))
}

impl Plan {
    pub(super) fn new(request: Request, asked: Asked, indices: Indices) -> Result<Self, Fault> {
        if let Some(after) = &request.after {
            match sort::by_time(&request.sort) {
                Some(oldest_first) => _ = sort::place_after(&request.sort, after, oldest_first)?,
                None => sort::check_after(&request.sort, after)?,
            }
        }
        Ok(Self { request, asked, indices, behind: None })
    }

    fn execute(&self, snapshot: &dyn Snapshot, selection: &Selection) -> Result<Result<Json, Fault>, Error> {
        let began = Instant::now();
        if let Err(fault) = self.indices.check(snapshot)? {
            return Ok(Err(fault));
        }
        let aggregated = match &self.request.aggregations {
            None => None,
            Some(aggregations) => match aggregate::run(snapshot, selection, aggregations)? {
                Ok(answer) => Some(answer),
                Err(fault) => return Ok(Err(fault)),
            },
        };
        let lines = match self.request.size {
            0 => Vec::new(),
            _ => match self.lines(snapshot, selection)? {
                // A page of a scroll may be short; one that is short elsewhere says that nothing is behind it.
                Found { is_cut: true, .. } if !self.request.scroll => return Ok(Err(too_large())),
                found => found.lines,
            },
        };
        let counted = match (&aggregated, self.request.track) {
            (_, Track::Not) => None,
            (Some(answer), _) => Some((answer.lines, "eq")),
            (None, track) => Some(count(snapshot, selection, track)?),
        };
        let hits: Vec<Json> = lines.iter().map(|line| self.hit(line)).collect();
        let mut found = json!({"max_score": Json::Null, "hits": hits});
        if let Some((value, relation)) = counted {
            found["total"] = json!({"value": value, "relation": relation});
        }
        let took = began.elapsed().as_millis() as u64;
        let mut answer = json!({"took": took, "timed_out": false, "_shards": shards(), "hits": found});
        if let Some(aggregated) = aggregated {
            answer["aggregations"] = aggregated.aggregations;
        }
        if self.request.scroll {
            let behind = lines.last().map(|line| (line.time, line.id)).or(self.behind);
            let values = lines.last().map(|line| self.sort_values(line)).or_else(|| self.request.after.clone());
            answer["_scroll_id"] = scroll::id(self, values.as_deref(), behind).into();
        }
        Ok(Ok(answer))
    }

    fn lines(&self, snapshot: &dyn Snapshot, selection: &Selection) -> Result<Found, Error> {
        let wanted = self.request.from + self.request.size;
        let mut found = match sort::by_time(&self.request.sort) {
            Some(oldest_first) => {
                let after = self.request.after.as_ref().filter(|_| self.behind.is_none());
                // It was checked when the plan was made.
                let after = after.and_then(|after| sort::place_after(&self.request.sort, after, oldest_first).ok());
                let paging = Paging { limit: wanted, bytes: MAX_BYTES, oldest_first, after: self.behind.or(after) };
                let page = search::page(snapshot, selection, &paging, &|_| true)?;
                Found { is_cut: page.more && page.lines.len() < wanted, lines: page.lines }
            }
            None => self.ranked(snapshot, selection, wanted)?,
        };
        found.lines.drain(..self.request.from.min(found.lines.len()));
        Ok(found)
    }

    /// The first lines of an order by fields: all that match are looked at, and as many are kept as are wanted.
    fn ranked(&self, snapshot: &dyn Snapshot, selection: &Selection, wanted: usize) -> Result<Found, Error> {
        let keys = &self.request.sort;
        let mut best: BTreeMap<Rank, Line> = BTreeMap::new();
        let mut bytes = 0;
        // The first that found no room: none behind it is in the answer.
        let mut cut: Option<Rank> = None;
        selection.each(snapshot, |line| {
            let rank = Rank::of(keys, line);
            let is_behind = |after: &Vec<Json>| rank.is_behind(keys, after, self.behind);
            if self.request.after.as_ref().is_some_and(|after| !is_behind(after))
                || cut.as_ref().is_some_and(|cut| rank > *cut)
            {
                return Ok(());
            }
            bytes += line.memory();
            best.insert(rank, line.clone());
            while best.len() > wanted || (bytes > MAX_BYTES && best.len() > 1) {
                let Some((rank, line)) = best.pop_last() else { break };
                bytes -= line.memory();
                cut = Some(rank);
            }
            Ok(())
        })?;
        Ok(Found { is_cut: cut.is_some() && best.len() < wanted, lines: best.into_values().collect() })
    }

    fn sort_values(&self, line: &Line) -> Vec<Json> {
        self.request.sort.iter().map(|key| key.shown(line)).collect()
    }

    fn hit(&self, line: &Line) -> Json {
        let mut hit = self.request.shape.hit(line, &self.asked.selection.matcher);
        if self.request.sort.is_empty() {
            hit["_score"] = 1.0.into();
        } else {
            hit["sort"] = self.sort_values(line).into();
        }
        hit
    }
}

/// How many lines match, as far as it is asked for.
fn count(snapshot: &dyn Snapshot, selection: &Selection, track: Track) -> Result<(u64, &'static str), Error> {
    let most = if let Track::UpTo(most) = track { most } else { u64::MAX };
    Ok(match search::count_up_to(snapshot, selection, most)? {
        (count, true) => (count, "eq"),
        (_, false) => (most, "gte"),
    })
}

/// Runs a search, and gives its answer.
pub(super) async fn answer(api: &Api, caller: &Caller, plan: Plan) -> Result<Json, Fault> {
    let asked = plan.asked.clone();
    run(api, caller, &asked, move |snapshot, selection| plan.execute(snapshot, selection)).await
}
