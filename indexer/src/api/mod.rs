//! The search API over HTTP. Searches run on blocking threads, a bounded number at once, each with a deadline.

mod hit;
mod logs;
pub(crate) mod params;
mod tail;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use opentelemetry::metrics::{Histogram, Meter};
use tokio::sync::{Semaphore, broadcast};
use weir_service::http::Problem;
use weir_service::telemetry::whole;

use crate::line::Line;
use crate::search;
use crate::snapshot::Snapshot;

/// Searches at once; others wait for at most [`LONGEST`].
const AT_ONCE: usize = 16;
/// Longest time of one search.
const LONGEST: Duration = Duration::from_secs(30);

/// Gives the store as it is now.
pub(crate) type Now = Arc<dyn Fn() -> Arc<dyn Snapshot> + Send + Sync>;

#[derive(Clone)]
struct Api {
    now: Now,
    live: broadcast::Sender<Arc<Vec<Line>>>,
    places: Arc<Semaphore>,
    seconds: Histogram<f64>,
}

/// The paths under `/api/v1/logs`.
pub(crate) fn router(now: Now, live: broadcast::Sender<Arc<Vec<Line>>>, meter: &Meter) -> Router {
    let seconds = meter.f64_histogram("weir_indexer_search_duration").with_unit("s").build();
    Router::new()
        .route("/api/v1/logs/search", get(logs::search))
        .route("/api/v1/logs/count", get(logs::count))
        .route("/api/v1/logs/histogram", get(logs::histogram))
        .route("/api/v1/logs/fields", get(logs::fields))
        .route("/api/v1/logs/fields/{name}/values", get(logs::values))
        .route("/api/v1/logs/{id}/context", get(logs::context))
        .route("/api/v1/logs/tail", get(tail::tail))
        .with_state(Api { now, live, places: Arc::new(Semaphore::new(AT_ONCE)), seconds })
}

impl Api {
    /// Runs a search on a blocking thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Snapshot, Instant) -> Result<T, search::Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let began = Instant::now();
        let place = tokio::time::timeout(LONGEST, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(Problem::busy("too many searches at once: try again later", 5));
        };
        let snapshot = (self.now)();
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
