//! The alerter over HTTP: `/prometheus/api/v1/…` as Prometheus answers, `/api/v1/alerts` and `/api/v1/rules` as weir
//! does, and `/api/v1/silences` as Alertmanager does. Queries run off the async threads, a few at a time.

mod answer;
mod parameters;
mod prometheus;
mod silences;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use tokio::sync::Semaphore;
use weir_service::http::Problem;

use crate::engine::Engine;
use crate::notify::Book;
use crate::series::feed::Shared;

/// Queries that run at once; others wait.
const QUERIES: usize = 4;
/// A query that takes longer is answered with an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the handlers share; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    shared: Shared,
    engine: Engine,
    silences: Arc<Book>,
    late_after: Duration,
    permits: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(shared: Shared, engine: Engine, late_after: Duration) -> Self {
        let silences = engine.silences();
        Self { shared, engine, silences, late_after, permits: Arc::new(Semaphore::new(QUERIES)) }
    }

    /// Runs off the async threads what may take a while.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> T + Send + 'static) -> Result<T, Problem> {
        let api = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&api)).await;
        done.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the work ended without an answer"))
    }

    #[cfg(test)]
    pub(crate) fn watermark(&self) -> Option<u64> {
        self.shared.watermark()
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/api/v1/alerts", get(state::alerts))
            .route("/api/v1/rules", get(state::rules))
            .route("/api/v1/silences", get(silences::list).post(silences::post))
            .route("/api/v1/silences/{id}", get(silences::one).delete(silences::delete))
            .route("/prometheus/api/v1/query", get(prometheus::query).post(prometheus::query))
            .route("/prometheus/api/v1/query_range", get(prometheus::query_range).post(prometheus::query_range))
            .route("/prometheus/api/v1/series", get(prometheus::series).post(prometheus::series))
            .route("/prometheus/api/v1/labels", get(prometheus::labels).post(prometheus::labels))
            .route("/prometheus/api/v1/label/{name}/values", get(prometheus::values))
            .route("/prometheus/api/v1/metadata", get(prometheus::metadata))
            .route("/prometheus/api/v1/rules", get(state::prometheus_rules))
            .route("/prometheus/api/v1/alerts", get(state::prometheus_alerts))
            .route("/prometheus/api/v1/status/buildinfo", get(prometheus::buildinfo))
            .with_state(self)
    }
}
