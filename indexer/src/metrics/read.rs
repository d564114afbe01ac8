//! Runs of a snapshot, and the series that they are of.

use std::collections::HashMap;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_query::line::{Line, Source};
use weir_query::{Matcher, fields};
use weir_service::http::Problem;

use super::merge::put_labels;
use super::run::{self, Kind, Meta, Run, SPAN};
use crate::Error;
use crate::chunk::bytes::{put, put_blob, put_value};
use crate::schedule::{Budget, Limit};
use crate::snapshot::{Needs, Snapshot};

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It may not go on.
    Limit(Limit),
    /// The store cannot be read.
    Store(Error),
    /// The answer would be too large, or means nothing.
    Refused(Problem),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Limit> for Stop {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl From<Stop> for Problem {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Limit(limit) => limit.into(),
            Stop::Store(error) => error.into(),
            Stop::Refused(problem) => problem,
        }
    }
}

/// An answer that cannot be given, and what could be asked instead.
pub(crate) fn refused(detail: impl Into<String>) -> Stop {
    Stop::Refused(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
}

/// Which runs.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) matcher: Matcher,
    pub(crate) needs: Needs,
    /// Least time of points, in nanoseconds since the epoch.
    pub(crate) start: i64,
    /// Time behind the greatest.
    pub(crate) end: i64,
}

/// What takes runs.
pub(crate) trait Sink {
    /// A run with points that may lie in the time asked for; others of it may not.
    fn take(&mut self, line: &Line) -> Result<(), Stop>;
    /// All points before this time were given.
    fn complete(&mut self, until: i64) -> Result<(), Stop>;
}

/// Gives the runs that match, each once, by the least time of what holds them.
pub(crate) fn runs(snapshot: &dyn Snapshot, asked: &Asked, budget: &Budget, sink: &mut dyn Sink) -> Result<(), Stop> {
    let start = asked.start.saturating_sub(SPAN);
    let mut candidates = snapshot.candidates(&asked.needs, start, asked.end)?;
    candidates.sort_by_key(|candidate| candidate.min_time());
    for (at, candidate) in candidates.iter().enumerate() {
        budget.check()?;
        let opened = candidate.open()?;
        let matching = opened.matching(&asked.matcher, start, asked.end)?;
        if !matching.is_empty() {
            for line in opened.take(&matching)? {
                sink.take(&line)?;
            }
        }
        budget.read(opened.bytes_read())?;
        sink.complete(candidates.get(at + 1).map_or(i64::MAX, |next| next.min_time()))?;
    }
    sink.complete(i64::MAX)
}

/// A series: whose points they are, and what they mean.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) meta: Meta,
    pub(crate) source: Arc<Source>,
    pub(crate) labels: Vec<(String, Attribute)>,
}

impl Series {
    pub(crate) fn of(line: &Line, meta: Meta) -> Self {
        let labels = run::labels(line).to_vec();
        Self { name: run::name(line).to_owned(), meta, source: line.source.clone(), labels }
    }

    /// `{"metric","unit","type","temporality","monotonic","tenant","service","scope","scope_attributes":{},"resource":{},
    /// "attributes":{}}`; `temporality` of what is no gauge, `monotonic` of sums.
    pub(crate) fn show(&self) -> Map<String, Value> {
        let object = |pairs: &[(String, Attribute)]| -> Map<String, Value> {
            pairs.iter().map(|(key, value)| (key.clone(), fields::json(value))).collect()
        };
        let mut shown = of_metric(&self.name, &self.meta.unit, self.meta.kind);
        let source = &self.source;
        let rest = [
            ("tenant", json!(source.tenant)),
            ("service", json!(source.service)),
            ("scope", json!(source.scope_name())),
            ("scope_attributes", object(&source.scope).into()),
            ("resource", object(&source.resource).into()),
            ("attributes", object(&self.labels).into()),
        ];
        shown.extend(rest.map(|(key, value)| (key.to_owned(), value)));
        shown
    }
}

/// What a metric is.
pub(crate) fn of_metric(name: &str, unit: &str, kind: Kind) -> Map<String, Value> {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| shown.insert(key.to_owned(), value);
    put("metric", name.into());
    put("unit", unit.into());
    put("type", kind.name().into());
    if let Some(temporality) = kind.temporality() {
        put("temporality", temporality.into());
    }
    if let Kind::Sum { is_monotonic, .. } = kind {
        put("monotonic", is_monotonic.into());
    }
    shown
}

/// Tells series apart.
#[derive(Debug, Default)]
pub(crate) struct Places {
    known: HashMap<Vec<u8>, usize, ahash::RandomState>,
    key: Vec<u8>,
    /// The last source, and what it is in a key.
    source: Option<(Arc<Source>, Vec<u8>)>,
}

impl Places {
    /// The number of a line's series, from 0; the one behind the last that was given where it is new, which the budget
    /// is told of.
    pub(crate) fn of(&mut self, line: &Line, meta: &Meta, budget: &Budget) -> Result<usize, Limit> {
        self.key.clear();
        match &self.source {
            Some((known, bytes)) if Arc::ptr_eq(known, &line.source) => self.key.extend_from_slice(bytes),
            _ => {
                put_source(&mut self.key, &line.source);
                self.source = Some((line.source.clone(), self.key.clone()));
            }
        }
        for text in [run::name(line), meta.unit.as_str(), meta.kind.name()] {
            put_blob(&mut self.key, text.as_bytes());
        }
        self.key.extend([u8::from(meta.kind.is_delta()), u8::from(meta.kind.is_counter())]);
        put_labels(&mut self.key, run::labels(line));
        if let Some(place) = self.known.get(&self.key) {
            return Ok(*place);
        }
        budget.hold(3 * self.key.len() + size_of::<Series>())?;
        let place = self.known.len();
        self.known.insert(self.key.clone(), place);
        Ok(place)
    }
}

fn put_source(key: &mut Vec<u8>, source: &Source) {
    put_blob(key, source.tenant.as_bytes());
    for attributes in [&source.scope, &source.resource] {
        let mut sorted: Vec<_> = attributes.iter().collect();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        put(key, sorted.len() as u64);
        for (name, value) in sorted {
            put_blob(key, name.as_bytes());
            put_value(key, value);
        }
    }
}

/// Points of a run with their values, of the time asked for.
pub(crate) fn within(run: &Run, start: i64, end: i64) -> &[run::Point] {
    let from = run.points.partition_point(|point| point.time < start);
    let to = run.points.partition_point(|point| point.time < end);
    run.points.get(from..to).unwrap_or_default()
}
