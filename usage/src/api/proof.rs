//! `GET /api/v1/usage/proof` and the key that it is signed with.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::http::{Parameter, Problem};
use weir_service::telemetry::whole;
use weir_service::time::now_unix_nano;

use super::params::{END, Params, START};
use super::{Api, store_problem};
use crate::proof::{self, Fault, Inputs, RangeProof, SourceProof};
use crate::store::{Proven, RangeRow};

pub(super) const PARAMETERS: [Parameter; 3] =
    [START, END, ("tz", "Time zone of the month that is meant where there is no start; UTC where it is not given")];

pub(super) async fn get(State(api): State<Api>, tenants: Tenants, params: Params) -> Result<Json<Value>, Problem> {
    let (start, end) = params.hours(&params.zone()?)?;
    if start == end {
        return Err(Problem::parameter("end", "the time is empty: give an end behind the start"));
    }
    if !tenants.is_all() {
        let detail = "a proof is of all tenants, since offsets are: leave `tenant` and X-Scope-OrgID out";
        return Err(Problem::parameter("tenant", detail));
    }
    let _turn = api.turn().await?;
    let complete_until = api.progress.complete_until().map_or(0, |nano| (nano / 1_000_000_000) as i64);
    let proven = api.store.proof(&tenants, start, end).await;
    let Proven { rows, ranges, faults } = proven.map_err(|error| store_problem(&error))?;
    let faults = faults.into_iter().filter(|fault| touches(fault, &ranges)).collect();
    let inputs = Inputs {
        start_unix: start,
        end_unix: end,
        rows,
        sources: sources(ranges),
        faults,
        complete_until_unix: complete_until,
        generated_at_unix: now_unix_nano() / 1_000_000_000,
    };
    let document = proof::document(inputs, &api.key).map_err(|error| {
        tracing::error!(error = %whole(&error), "a proof cannot be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the proof cannot be written; the log says more")
    })?;
    Ok(Json(document))
}

pub(super) async fn key(State(api): State<Api>) -> Json<Value> {
    Json(json!({ "public_key": api.key.public() }))
}

/// Whether a fault lies within the ranges that a proof shows of its partition, or at their ends.
fn touches(fault: &Fault, ranges: &[RangeRow]) -> bool {
    let of = ranges.iter().filter(|range| range.topic == fault.topic && range.partition == fault.partition);
    of.into_iter().any(|range| fault.from_offset <= range.offsets.1 && range.offsets.0 <= fault.to_offset)
}

/// Rows that follow each other become one range; a gap, and a topic that was made again, begin another.
fn sources(rows: Vec<RangeRow>) -> Vec<SourceProof> {
    let mut sources: Vec<SourceProof> = Vec::new();
    let mut generation = 0;
    for row in rows {
        let [spans, counted, duplicates, rejected] = row.spans;
        let range = RangeProof {
            first_offset: row.offsets.0,
            end_offset: row.offsets.1,
            spans,
            counted,
            duplicates,
            rejected,
            counted_in_window: row.counted_in_window,
            begins_anew: false,
        };
        match sources.last_mut().filter(|source| source.topic == row.topic && source.partition == row.partition) {
            None => {
                let (topic, partition) = (row.topic, row.partition);
                sources.push(SourceProof { topic, partition, ranges: vec![range] });
            }
            Some(source) => {
                let is_same = generation == row.generation;
                match source.ranges.last_mut().filter(|last| is_same && last.end_offset == range.first_offset) {
                    Some(last) => {
                        last.end_offset = range.end_offset;
                        last.spans += range.spans;
                        last.counted += range.counted;
                        last.duplicates += range.duplicates;
                        last.rejected += range.rejected;
                        last.counted_in_window += range.counted_in_window;
                    }
                    None => source.ranges.push(RangeProof { begins_anew: !is_same, ..range }),
                }
            }
        }
        generation = row.generation;
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_rows_of_ranges_then_those_that_follow_each_other_are_one() {
        let row = |partition, generation, offsets, counted: u64, counted_in_window| RangeRow {
            topic: "otlp_spans".to_owned(),
            partition,
            generation,
            offsets,
            spans: [counted + 3, counted, 2, 1],
            counted_in_window,
        };
        let sources = sources(vec![
            row(0, 0, (0, 10), 5, 5),
            row(0, 0, (10, 20), 7, 0),
            row(0, 0, (25, 30), 1, 1),
            row(0, 1, (0, 4), 2, 2),
            row(1, 0, (0, 9), 3, 3),
        ]);
        let shown = |source: &SourceProof| {
            source
                .ranges
                .iter()
                .map(|r| (r.first_offset, r.end_offset, r.spans, r.counted_in_window, r.begins_anew))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&sources[0]), [(0, 20, 18, 5, false), (25, 30, 4, 1, false), (0, 4, 5, 2, true)]);
        assert_eq!((sources.len(), shown(&sources[1])), (2, vec![(0, 9, 6, 3, false)]));
    }
}
