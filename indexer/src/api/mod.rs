//! The search API over HTTP. Searches run on blocking threads, a bounded number at once, each with a deadline.

mod hit;
mod logs;
pub(crate) mod params;
pub(crate) mod tail;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use opentelemetry::metrics::{Histogram, Meter};
use tokio::sync::Semaphore;
use weir_service::auth::{Access, Tenants};
use weir_service::http::{Parameter, Problem, Route, Routes};
use weir_service::telemetry::whole;

use self::params::{END, LIMIT, QUERY, START};
use self::tail::Live;
use crate::search;
use crate::snapshot::Snapshot;

/// Searches at once; others wait for at most [`LONGEST`].
const AT_ONCE: usize = 16;
/// Longest time of one search.
const LONGEST: Duration = Duration::from_secs(30);

/// Gives the store as it is now, to these tenants.
pub(crate) type Now = Arc<dyn Fn(&Tenants) -> Arc<dyn Snapshot> + Send + Sync>;

#[derive(Clone)]
struct Api {
    now: Now,
    live: Live,
    places: Arc<Semaphore>,
    seconds: Histogram<f64>,
}

/// The paths under `/api/v1/logs`.
pub(crate) fn routes(now: Now, live: Live, meter: &Meter) -> Routes {
    let seconds = meter.f64_histogram("weir_indexer_search_duration").with_unit("s").build();
    let get = |path, about, parameters: &[Parameter]| Route::get(path, Access::Read, about).takes(parameters);
    let order = ("order", "asc or desc, by time; desc where it is not given");
    let cursor = ("cursor", "`next_cursor` of the page before");
    let interval = ("interval", "Length of a bucket, such as 1m");
    let field = ("field", "Count by the values of this field too");
    let around = [
        ("before", "Lines before it"),
        ("after", "Lines after it"),
        ("timestamp", "Of the line, which saves looking for it everywhere"),
    ];
    Routes::new()
        .on(
            get("/api/v1/logs/search", "Log records that match", &[QUERY, START, END, LIMIT, order, cursor]),
            logs::search,
        )
        .on(get("/api/v1/logs/count", "How many log records match", &[QUERY, START, END]), logs::count)
        .on(
            get("/api/v1/logs/histogram", "How many match, over time", &[QUERY, START, END, interval, field]),
            logs::histogram,
        )
        .on(get("/api/v1/logs/fields", "Fields of the log records that match", &[QUERY, START, END]), logs::fields)
        .on(
            get("/api/v1/logs/fields/{name}/values", "Most frequent values of a field", &[QUERY, START, END, LIMIT]),
            logs::values,
        )
        .on(get("/api/v1/logs/{id}/context", "Lines of the same source around one", &around), logs::context)
        .on(get("/api/v1/logs/tail", "Log records as they come, as server-sent events", &[QUERY]), tail::tail)
        .with_state(&Api { now, live, places: Arc::new(Semaphore::new(AT_ONCE)), seconds })
}

impl Api {
    /// Runs a search on a blocking thread.
    async fn run<T: Send + 'static>(
        &self,
        tenants: &Tenants,
        work: impl FnOnce(&dyn Snapshot, Instant) -> Result<T, search::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let began = Instant::now();
        let place = tokio::time::timeout(LONGEST, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(Problem::busy("too many searches at once: try again later", 5));
        };
        let snapshot = (self.now)(tenants);
        let done = tokio::task::spawn_blocking(move || {
            let answer = work(snapshot.as_ref(), Instant::now() + LONGEST);
            drop(place);
            answer
        })
        .await;
        self.seconds.record(began.elapsed().as_secs_f64(), &[]);
        match done {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(problem(&error)),
            Err(error) => {
                tracing::error!(%error, "a search broke off");
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the search broke off"))
            }
        }
    }
}

fn problem(error: &search::Error) -> Problem {
    match error {
        search::Error::Deadline => Problem::new(StatusCode::GATEWAY_TIMEOUT, error.to_string()),
        search::Error::TooManyGroups => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        search::Error::Store(source) => {
            tracing::error!(error = %whole(source), "the index cannot be read");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    }
}

#[cfg(test)]
mod tests;
