//! Usage over HTTP: reports, proofs, statements and quotas.

mod params;
mod proof;
mod quotas;
mod statements;
mod usage;

use std::path::PathBuf;
use std::sync::Arc;

use http::StatusCode;
use parking_lot::RwLock;
use tokio::sync::Semaphore;
use weir_service::auth::Access;
use weir_service::http::{Parameter, Problem, Route, Routes};
use weir_service::telemetry::whole;

use crate::feed::Progress;
use crate::prices::Prices;
use crate::proof::Key;
use crate::quota::Meters;
use crate::report::ReportError;
use crate::store::{Store, StoreError};

/// Reports that are made at once; others wait.
const AT_ONCE: usize = 4;

/// What the handlers share; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) progress: Progress,
    pub(crate) meters: Meters,
    pub(crate) prices: PriceFile,
    pub(crate) key: Arc<Key>,
    permits: Arc<Semaphore>,
}

/// The prices of the configured file, as last read.
#[derive(Debug, Clone, Default)]
pub(crate) struct PriceFile {
    path: Option<PathBuf>,
    prices: Arc<RwLock<Option<Prices>>>,
}

impl PriceFile {
    pub(crate) fn new(path: Option<PathBuf>, prices: Option<Prices>) -> Self {
        Self { path, prices: Arc::new(RwLock::new(prices)) }
    }

    pub(crate) fn get(&self) -> Option<Prices> {
        self.prices.read().clone()
    }

    /// Takes a changed file every `pause`; one that is wrong changes nothing, and says so once.
    pub(crate) async fn follow(self, pause: std::time::Duration) {
        let Some(path) = self.path else { return std::future::pending().await };
        let look = || {
            let path = path.clone();
            tokio::task::spawn_blocking(move || (std::fs::read(&path).ok(), Prices::load(&path)))
        };
        let Ok((mut known, _)) = look().await else { return };
        loop {
            tokio::time::sleep(pause).await;
            let Ok((now, loaded)) = look().await else { return };
            if now == known {
                continue;
            }
            known = now;
            match loaded {
                Ok(prices) => {
                    *self.prices.write() = Some(prices);
                    tracing::info!(path = %path.display(), "the prices were read again");
                }
                Err(error) => {
                    tracing::error!(error = %whole(&error), "the price file cannot be used: the prices before stay");
                }
            }
        }
    }
}

impl Api {
    pub(crate) fn new(store: Store, progress: Progress, meters: Meters, prices: PriceFile, key: Key) -> Self {
        Self { store, progress, meters, prices, key: Arc::new(key), permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    pub(crate) fn routes(self) -> Routes {
        let get = |path, access, about, parameters: &[Parameter]| Route::get(path, access, about).takes(parameters);
        let months = [
            ("month", "Such as 2026-10"),
            ("tz", "Time zone of the month, such as Asia/Shanghai; UTC where it is not given"),
        ];
        Routes::new()
            .on(
                get("/api/v1/usage", Access::Read, "Usage by time, tenant, service and interface", &usage::PARAMETERS),
                usage::get,
            )
            .on(
                get(
                    "/api/v1/usage/proof",
                    Access::ReadAll,
                    "Signed reconciliation of usage and offsets",
                    &proof::PARAMETERS,
                ),
                proof::get,
            )
            .on(get("/api/v1/usage/key", Access::Credential, "Public key of proofs", &[]), proof::key)
            .on(
                get("/api/v1/usage/statements", Access::Read, "Statements, the newest first", &statements::PARAMETERS),
                statements::list,
            )
            .on(
                Route::post("/api/v1/usage/statements", Access::Operate, "Issues a tenant's statement of a month")
                    .takes(&months),
                statements::issue,
            )
            .on(
                get("/api/v1/quotas/{tenant}", Access::Read, "Quotas of a tenant, and what is left of them", &[]),
                quotas::get,
            )
            .with_state(&self)
    }

    /// Waits for its turn.
    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
        self.permits.acquire().await.map_err(|_| Problem::busy("weir is stopping", 5))
    }
}

fn problem(error: &ReportError) -> Problem {
    match error {
        ReportError::Store(error) => store_problem(error),
        ReportError::Buckets(error) => Problem::parameter("step", error.to_string()),
    }
}

fn store_problem(error: &StoreError) -> Problem {
    if let StoreError::Expired(_) = error {
        return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string());
    }
    tracing::error!(error = %whole(error), "the usage store cannot be read");
    Problem::busy("the usage store cannot be read now; its log says more", 5)
}
