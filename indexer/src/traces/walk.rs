//! Spans of a snapshot, one after the other, and why a walk over them stopped.

use std::sync::Arc;

use http::StatusCode;
use weir_proto::otlp::trace::v1::Span;
use weir_query::line::Line;
use weir_service::http::Problem;
use weir_service::telemetry::whole;

use crate::Error;
use crate::ingest::span_of;
use crate::metrics::read;
use crate::schedule::{Budget, Limit};
use crate::snapshot::{Candidate, Needs, Snapshot};

/// Why a walk over spans stopped before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It may not go on.
    Limit(Limit),
    /// The answer would hold too many of these.
    Large(&'static str),
    /// The store cannot be read.
    Store(Error),
    /// Another reason, which is an answer.
    Other(Problem),
}

impl From<read::Stop> for Stop {
    fn from(stop: read::Stop) -> Self {
        match stop {
            read::Stop::Limit(limit) => Self::Limit(limit),
            read::Stop::Store(error) => Self::Store(error),
            read::Stop::Refused(problem) => Self::Other(problem),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Limit(limit) => Self::Limit(limit),
            error => Self::Store(error),
        }
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
            Stop::Other(problem) => problem,
            Stop::Large(what) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("too many {what}: narrow `start` and `end`"))
            }
            Stop::Store(error) => {
                tracing::error!(error = %whole(&error), "cannot read spans");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the spans cannot be read")
            }
        }
    }
}

/// The lines of a candidate, against the budget.
pub(super) fn lines(candidate: &Candidate, budget: &Budget) -> Result<Arc<Vec<Line>>, Stop> {
    budget.check()?;
    let lines = candidate.lines()?;
    budget.read(lines.iter().map(Line::content).sum())?;
    Ok(lines)
}

/// Calls `each` with the spans that began in `[start, end)` (nanoseconds since the epoch), the newest chunks first. A
/// span that came twice is given twice.
pub(super) fn each_span(
    snapshot: &dyn Snapshot,
    needs: &Needs,
    (start, end): (i64, i64),
    budget: &Budget,
    mut each: impl FnMut(&Line, Span) -> Result<(), Stop>,
) -> Result<(), Stop> {
    for candidate in snapshot.candidates(needs, start, end)? {
        for line in lines(&candidate, budget)?.iter().filter(|line| (start..end).contains(&line.time)) {
            if let Some(span) = span_of(line) {
                each(line, span)?;
            }
        }
    }
    Ok(())
}
