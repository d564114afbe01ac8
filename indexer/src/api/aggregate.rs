//! `/api/v1/logs/aggregate`: aggregations over log records, in the form of Elasticsearch's `aggs`.

use std::time::Instant;

use axum::extract::State;
use serde_json::json;
use weir_service::auth::Access;
use weir_service::http::{Parameter, Problem, Route, Routes};

use super::Api;
use super::extent::Extent;
use super::logs::{Answer, selection};
use super::params::{END, Params, QUERY, START};
use crate::aggregate::{self, Aggregations};
use crate::schedule::Caller;

const AGGS: Parameter = ("aggs", "What to aggregate, as Elasticsearch's `aggs`: JSON");

pub(super) fn routes() -> Routes<Api> {
    let route = Route::get("/api/v1/logs/aggregate", Access::Read, "Aggregations over the log records that match");
    Routes::new().on_query(route.takes(&[QUERY, START, END, AGGS]), run)
}

async fn run(State(api): State<Api>, caller: Caller, params: Params) -> Answer {
    let began = Instant::now();
    let wrong = |detail: String| Problem::parameter("aggs", detail);
    let text = params.text("aggs").ok_or_else(|| {
        wrong("`aggs` is missing: write one such as {\"by\": {\"terms\": {\"field\": \"service\"}}}".to_owned())
    })?;
    let aggs = serde_json::from_str(text).map_err(|error| wrong(format!("no JSON: {error}")))?;
    let aggregations = Aggregations::read(&aggs, params.now).map_err(|fault| wrong(fault.reason))?;
    let asked = selection(&params)?;
    let place = api.searches.place(&caller)?;
    let counted = api.run(&caller, &place, asked, move |snapshot, asked| {
        let counted = aggregate::run(snapshot, asked, &aggregations)?;
        Ok((counted, Extent::of(snapshot, asked.start, asked.end)))
    });
    let (counted, extent) = counted.await?;
    let answer = counted.map_err(|fault| wrong(fault.reason))?;
    let mut shown = json!({
        "count": answer.lines,
        "aggregations": answer.aggregations,
        "took_ms": began.elapsed().as_millis() as u64,
    });
    extent.show(&mut shown);
    Ok(super::answer::json(place, &shown))
}
