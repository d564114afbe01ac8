//! Metric points: kept as runs, one line for the points of a series of about ten minutes ([`run`]), and searched.
//!
//! Points are lines of a store as log records are, so what a store promises holds of them, and tenants are told apart
//! there alone. `GET /api/v1/metrics/search` is which metrics there are ([`search`]), `GET /api/v1/metrics/series` what
//! their points are, as they came or by steps of time ([`series`]). What is read of a store is [`read`], what becomes of
//! it [`fold`].

mod column;
mod decode;
mod fold;
mod merge;
pub(crate) mod read;
pub(crate) mod run;
mod search;
mod series;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use weir_query::ast::Query;
use weir_query::{Matcher, ast};
use weir_service::auth::Access;
use weir_service::config::Span;
use weir_service::http::{Parameter, Problem, Route, Routes};
use weir_service::time;

pub(crate) use self::decode::{MOST_MEMORY, MOST_TEXT, points};
pub(crate) use self::merge::merge;
pub(crate) use self::series::samples;
use crate::api::params::{END, LIMIT, Params, QUERY};
use crate::query;
use crate::schedule::{Caller, Scheduler};
use crate::store::Store;

/// What is asked for where no `start` is given: this long before `end`, or now.
const USUAL_RANGE: i64 = 3_600_000_000_000;
/// How often it is looked whether everything is there that an answer waits for.
const WAIT_STEP: Duration = Duration::from_millis(50);

#[derive(Clone)]
struct Api {
    store: Arc<Store>,
    searches: Scheduler,
}

type Answer = Result<Response, Problem>;

/// The paths under `/api/v1/metrics`.
pub(crate) fn routes(store: Arc<Store>, searches: Scheduler) -> Routes {
    let get = |path, about, parameters: &[Parameter]| Route::get(path, Access::Read, about).takes(parameters);
    let start = ("start", "From this time on; an hour before `end` where it is not given");
    let wait = (
        "wait_for",
        "Wait until all is in the answer that had arrived by this time, or, for this long at most, by now",
    );
    let name = ("name", "OTLP names of metrics, with `*` and `?` for any characters");
    let most = (
        "limit",
        "Most series of the answer, up to 1000, and 100 where it is not given: where there are more, it is refused",
    );
    let cursor = ("cursor", "`next_cursor` of the page before");
    let of_series = [
        ("metric", "OTLP names of metrics, separated by commas"),
        QUERY,
        start,
        END,
        ("step", "Length of the steps of time, such as 1m; all points as they came, where it is not given"),
        (
            "stat",
            "Of the points of a step: avg, min, max, last, sum, count, rate or increase; avg where it is not given",
        ),
        ("part", "Of histograms and summaries: count or sum; count where it is not given"),
        ("by", "Names of fields, separated by commas: series with the same values become one"),
        ("agg", "How they do: sum, avg, min, max or count; sum where it is not given, or avg, min or max as `stat` is"),
        most,
        wait,
    ];
    Routes::new()
        .on_query(
            get("/api/v1/metrics/search", "Metrics that have points", &[name, QUERY, start, END, LIMIT, cursor, wait]),
            search::search,
        )
        .on_query(get("/api/v1/metrics/series", "Points of metrics over time", &of_series), series::series)
        .with_state(&Api { store, searches })
}

impl Api {
    /// Waits as the parameter `wait_for` says; what is not there by then is not in the answer, whose `indexed_until`
    /// says so.
    async fn wait(&self, caller: &Caller, params: &Params) -> Result<(), Problem> {
        let Some((time, longest)) = params.wait_for()? else { return Ok(()) };
        let indexed = async {
            while self.store.snapshot(&caller.tenants).indexed_until() < time {
                tokio::time::sleep(WAIT_STEP).await;
            }
        };
        // The answer says up to when it is complete.
        let _ = tokio::time::timeout(longest, indexed).await;
        Ok(())
    }
}

/// `start` inclusive, `end` exclusive.
fn range(params: &Params) -> Result<(i64, i64), Problem> {
    let (start, end) = params.range()?;
    if params.text("start").is_some() {
        return Ok((start, end));
    }
    Ok((end.min(params.now).saturating_sub(USUAL_RANGE), end))
}

/// The runs that the parameters ask for, of metrics of any of these names, where there are some.
fn asked(params: &Params, names: &[String], (start, end): (i64, i64)) -> Result<read::Asked, Problem> {
    let wrong = |error: &dyn std::error::Error| Problem::parameter("query", error.to_string());
    let mut parsed = weir_query::parse(params.text("query").unwrap_or_default()).map_err(|error| wrong(&error))?;
    if !names.is_empty() {
        let name = |name: &String| Query::Field("body".to_owned(), ast::Test::Is(name.clone()));
        parsed = Query::And(vec![Query::Or(names.iter().map(name).collect()), parsed]);
    }
    let matcher = Matcher::new(&parsed, params.now).map_err(|error| wrong(&error))?;
    Ok(read::Asked { matcher, needs: query::needs(&parsed), start, end })
}

/// Texts that are separated by commas.
fn listed(params: &Params, name: &str) -> Vec<String> {
    let texts = params.text(name).unwrap_or_default().split(',').map(str::trim).filter(|text| !text.is_empty());
    texts.map(str::to_owned).collect()
}

/// A length of time in nanoseconds.
fn nanos(params: &Params, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = params.text(name) else { return Ok(None) };
    let wrong = || Problem::parameter(name, format!("`{text}` is no length of time: use one such as 10s, 5m or 1h"));
    let span: Span = text.parse().map_err(|_| wrong())?;
    i64::try_from(span.0.as_nanos()).ok().filter(|nanos| *nanos > 0).map(Some).ok_or_else(wrong)
}

/// A time as answers have it.
fn shown(nanos: i64) -> String {
    time::format(nanos)
}
