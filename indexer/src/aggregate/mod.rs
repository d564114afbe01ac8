//! Aggregations in Elasticsearch's form: what is asked ([`request`]), counted line by line ([`collect`]), and shown
//! ([`render`]). Buckets and their keys are bounded in number and bytes; where a `terms` has more values than that, the
//! rare ones are let go and the answer says how far counts may be off, as Elasticsearch's shards do.

mod collect;
mod render;
mod request;
mod sketch;
#[cfg(test)]
mod tests;
mod value;

use serde_json::Value as Json;
use weir_service::elastic::Fault;

use crate::interval::Interval;
use crate::search::{self, Selection};
use crate::snapshot::Snapshot;

pub(crate) use self::request::Aggregations;
pub(crate) use self::value::{Field, Reader, Scalar};

use self::collect::{Budget, Node};
use self::request::Kind;

/// Most buckets of an answer.
pub(crate) const MAX_BUCKETS: usize = 65_536;

/// Most bytes of keys, sketches and kept buckets.
const MAX_BYTES: usize = 64 << 20;

/// An answer: how many lines match, and the aggregations over them.
pub(crate) struct Answer {
    pub(crate) lines: u64,
    pub(crate) aggregations: Json,
}

/// Runs aggregations over matching lines. The outer error is the store's or the deadline's, the inner one is the request's.
pub(crate) fn run(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    aggregations: &Aggregations,
) -> Result<Result<Answer, Fault>, search::Error> {
    if let Some(answer) = from_index(snapshot, selection, aggregations)? {
        return Ok(answer);
    }
    let mut budget = Budget::default();
    if let Err(fault) = Node::check(aggregations) {
        return Ok(Err(fault));
    }
    let mut root = Node::new(aggregations);
    let mut fault = None;
    selection
        .each(snapshot, |line| {
            if fault.is_none() {
                fault = root.add(aggregations, &Reader::new(line), &mut budget).err();
            }
            if fault.is_some() { Err(search::Error::TooManyGroups) } else { Ok(()) }
        })
        .or_else(|error| if fault.is_some() { Ok(()) } else { Err(error) })?;
    Ok(match fault {
        Some(fault) => Err(fault),
        None => render::aggregations(aggregations, &root, &mut budget)
            .map(|json| Answer { lines: root.lines(), aggregations: json }),
    })
}

/// Dates in buckets of a fixed length, and nothing in them, which the index counts without reading lines.
fn from_index(
    snapshot: &dyn Snapshot,
    selection: &Selection,
    aggregations: &Aggregations,
) -> Result<Option<Result<Answer, Fault>>, search::Error> {
    let [(_, only)] = aggregations.list() else { return Ok(None) };
    let Kind::Dates(dates) = &only.kind else { return Ok(None) };
    let Some(step) = dates.whole_step().filter(|_| selection.exact.is_some() && only.inner.list().is_empty()) else {
        return Ok(None);
    };
    let counted = match search::histogram(snapshot, selection, Interval::of(step), None) {
        Ok(counted) => counted,
        Err(search::Error::TooManyGroups) => return Ok(Some(Err(collect::too_many_buckets()))),
        Err(error) => return Err(error),
    };
    let counts: Vec<(i64, u64)> = counted.buckets.into_iter().map(|(at, values)| (at, values.values().sum())).collect();
    let lines = counts.iter().map(|(_, count)| count).sum();
    let root = Node::of_dates(&counts);
    let shown = render::aggregations(aggregations, &root, &mut Budget::default());
    Ok(Some(shown.map(|aggregations| Answer { lines, aggregations })))
}
