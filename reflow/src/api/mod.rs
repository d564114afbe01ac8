//! Captures and their datasets over HTTP.

mod captures;
mod erase;
mod files;
mod preview;
mod range;

use std::path::PathBuf;
use std::sync::Arc;

use http::StatusCode;
use tokio::sync::Semaphore;
use weir_service::auth::{Access, Tenants};
use weir_service::http::{Parameter, Problem, Route, Routes};
use weir_service::telemetry::whole;

use crate::catalog::{Catalog, DefineError};
use crate::dataset::{Manifest, Store, StoreError};
use crate::definition::{Definition, check_name};
use crate::preview::Previews;

/// Downloads at once; others are told to come back.
const DOWNLOADS: usize = 64;

/// What the handlers share; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    store: Store,
    catalog: Catalog,
    previews: Previews,
    /// Where files lie while rows are taken out of them.
    work: PathBuf,
    downloads: Arc<Semaphore>,
    erasing: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(store: Store, catalog: Catalog, previews: Previews, work: PathBuf) -> Self {
        let (downloads, erasing) = (Arc::new(Semaphore::new(DOWNLOADS)), Arc::new(Semaphore::new(1)));
        Self { store, catalog, previews, work, downloads, erasing }
    }

    pub(crate) fn routes(self) -> Routes {
        let get = |path, about| Route::get(path, Access::Read, about);
        let of_erase: [Parameter; 1] = [("trace_id", "Rows of this trace, as hexadecimal digits")];
        let capture = "/api/v1/captures/{name}";
        Routes::new()
            .on(get("/api/v1/captures", "Captures, and what their datasets hold"), captures::list)
            .on(
                Route::post("/api/v1/captures", Access::Operate, "Makes a capture, or changes one made by request"),
                captures::define,
            )
            .on(
                Route::post(
                    "/api/v1/captures/preview",
                    Access::Operate,
                    "Rows that the definition in the body would take of what came lately; nothing is written",
                )
                .takes(&preview::PARAMETERS),
                preview::preview,
            )
            .on(get(capture, "Definition and manifest of a capture"), captures::one)
            .on(
                Route::delete(capture, Access::Operate, "Ends a capture that was made by request; its files stay"),
                captures::end,
            )
            .on(get("/api/v1/captures/{name}/files", "Files of a dataset"), files::list)
            .on(
                Route::get(
                    "/api/v1/captures/{name}/files/{file}",
                    Access::Operate,
                    "A file of a dataset, or its manifest.json; ranges and If-Range work",
                ),
                files::get,
            )
            .on(
                Route::post(
                    "/api/v1/captures/{name}/erase",
                    Access::Admin,
                    "Takes rows of a `tenant`, or of a trace, out of all files of a dataset",
                )
                .takes(&of_erase),
                erase::erase,
            )
            .with_state(&self)
    }

    /// A dataset that these tenants may see: all whose data is or was taken into it. `None` for the manifest where
    /// nothing has been written yet.
    async fn dataset(&self, tenants: &Tenants, name: &str) -> Result<Option<Manifest>, Problem> {
        check_name(name).map_err(|_| unknown())?;
        let manifest = self.store.manifest(name).await.map_err(|error| store_problem(&error))?;
        let manifest = manifest.map(|(manifest, _)| manifest);
        let defined = self.catalog.get(name);
        let made = manifest.iter().flat_map(|manifest| manifest.definitions.values().map(|made| &made.definition));
        let mut all = made.chain(defined.iter().map(|(capture, _)| &capture.definition)).peekable();
        if all.peek().is_none() || !all.all(|definition| is_visible(tenants, definition)) {
            return Err(unknown());
        }
        Ok(manifest)
    }
}

/// Whether all of a capture's tenants are among these.
fn is_visible(tenants: &Tenants, definition: &Definition) -> bool {
    if definition.is_of_all() {
        return tenants.is_all();
    }
    definition.tenants.iter().all(|tenant| tenants.allows(Some(tenant)))
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such capture: see /api/v1/captures")
}

fn store_problem(error: &StoreError) -> Problem {
    tracing::error!(error = %whole(error), "the store of datasets cannot be used");
    Problem::busy("the store of datasets cannot be used now; weir's log says more", 5)
}

fn define_problem(error: &DefineError) -> Problem {
    match error {
        DefineError::Wrong(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        DefineError::Unknown(_) => Problem::new(StatusCode::NOT_FOUND, error.to_string()),
        DefineError::InFile(_) | DefineError::TooMany => Problem::new(StatusCode::CONFLICT, error.to_string()),
        DefineError::Store(error) => store_problem(error),
    }
}
