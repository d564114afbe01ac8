//! The search API over HTTP.

mod aggregate;
pub(crate) mod answer;
pub(crate) mod erase;
mod export;
pub(crate) mod extent;
pub(crate) mod hit;
mod logs;
mod pages;
pub(crate) mod params;
pub(crate) mod tail;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use weir_service::auth::{Access, Tenants};
use weir_service::http::{Parameter, Problem, Route, Routes};

use self::params::{END, LIMIT, Params, QUERY, START};
use self::tail::Live;
use crate::schedule::{Caller, Place, Scheduler};
use crate::search::{self, Selection};
use crate::snapshot::Snapshot;

/// How often it is looked whether everything is there that an answer waits for.
const WAIT_STEP: Duration = Duration::from_millis(50);

/// Gives the store as it is now, to these tenants.
pub(crate) type Now = Arc<dyn Fn(&Tenants) -> Arc<dyn Snapshot> + Send + Sync>;

/// What handlers of searches share.
#[derive(Clone)]
pub(crate) struct Api {
    now: Now,
    live: Live,
    /// Where a request takes its place.
    pub(crate) searches: Scheduler,
}

/// The paths under `/api/v1/logs`.
pub(crate) fn routes(now: Now, live: Live, searches: Scheduler) -> Routes {
    let get = |path, about, parameters: &[Parameter]| Route::get(path, Access::Read, about).takes(parameters);
    let order = ("order", "asc or desc, by time; desc where it is not given");
    let cursor = ("cursor", "`next_cursor` of the page before");
    let interval = ("interval", "Length of a bucket, such as 1m");
    let field = ("field", "Count by the values of this field too");
    let most =
        ("limit", "How many values of the field are told apart: those with most lines; 100 where it is not given");
    let tz = ("tz", "Time zone whose days and hours the buckets are, such as Asia/Shanghai; UTC where it is not given");
    let wait = (
        "wait_for",
        "Wait until all is in the answer that had arrived by this time, or, for this long at most, by now",
    );
    let highlight = ("highlight", "true: hits say where their body matches, as offsets in bytes of its UTF-8");
    let format = ("format", "ndjson or csv");
    let names = ("fields", "Names of the fields to write, separated by commas");
    let around = [
        ("before", "Lines before it"),
        ("after", "Lines after it"),
        ("timestamp", "Of the line, which saves looking for it everywhere"),
    ];
    Routes::new()
        .on_query(
            get(
                "/api/v1/logs/search",
                "Log records that match",
                &[QUERY, START, END, LIMIT, order, cursor, highlight, wait],
            ),
            logs::search,
        )
        .on_query(get("/api/v1/logs/count", "How many log records match", &[QUERY, START, END, wait]), logs::count)
        .on_query(
            get(
                "/api/v1/logs/histogram",
                "How many match, over time",
                &[QUERY, START, END, interval, tz, field, most, wait],
            ),
            logs::histogram,
        )
        .on_query(
            get(
                "/api/v1/logs/fields",
                "Fields of the log records that match, with how many have each and the types of its values",
                &[QUERY, START, END],
            ),
            logs::fields,
        )
        .on_query(
            get("/api/v1/logs/fields/{name}/values", "Most frequent values of a field", &[QUERY, START, END, LIMIT]),
            logs::values,
        )
        .on_query(
            get("/api/v1/logs/export", "All log records that match, by time", &[QUERY, START, END, format, names]),
            export::export,
        )
        .on(get("/api/v1/logs/{id}/context", "Lines of the same source around one", &around), logs::context)
        .on_query(get("/api/v1/logs/tail", "Log records as they come, as server-sent events", &[QUERY]), tail::tail)
        .merge(aggregate::routes())
        .merge(crate::elastic::routes())
        .with_state(&Api { now, live, searches })
}

impl Api {
    /// Waits as the parameter `wait_for` says; what is not there by then is not in the answer, whose `indexed_until`
    /// says so.
    async fn wait(&self, caller: &Caller, params: &Params) -> Result<(), Problem> {
        let Some((time, longest)) = params.wait_for()? else { return Ok(()) };
        let indexed = async {
            while (self.now)(&caller.tenants).indexed_until() < time {
                tokio::time::sleep(WAIT_STEP).await;
            }
        };
        // The answer says up to when it is complete.
        let _ = tokio::time::timeout(longest, indexed).await;
        Ok(())
    }

    /// Runs a search over what there is when its first turn comes.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        caller: &Caller,
        place: &Place,
        asked: Selection,
        work: impl FnOnce(&dyn Snapshot, &Selection) -> Result<T, search::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let (now, tenants) = (self.now.clone(), caller.tenants.clone());
        let run = place.run(move |budget| {
            let asked = Selection { budget: budget.clone(), ..asked };
            work(now(&tenants).within(budget).as_ref(), &asked)
        });
        run.await
    }
}

impl From<search::Error> for Problem {
    fn from(error: search::Error) -> Self {
        match error {
            search::Error::Limit(limit) => limit.into(),
            search::Error::TooManyGroups | search::Error::TooManyFields => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            search::Error::Store(source) => source.into(),
        }
    }
}

#[cfg(test)]
mod client_tests;
#[cfg(test)]
pub(crate) mod tests;
