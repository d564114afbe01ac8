//! `/api/v1/captures/{name}/erase`: rows of a tenant or of a trace are taken out. A listed file never changes: one without
//! those rows is listed in its stead, and the old one is removed.

use axum::Json;
use axum::extract::{OriginalUri, Path, State};
use futures::TryStreamExt as _;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use weir_service::auth::Tenants;
use weir_service::http::{Problem, Query};
use weir_service::telemetry::whole;

use super::{Api, store_problem, unknown};
use crate::dataset::rewrite::{Kept, rewrite};
use crate::dataset::{Listed, Manifest, StoreError};
use crate::definition::{Definition, check_name};

pub(super) async fn erase(
    State(api): State<Api>,
    tenants: Tenants,
    Path(name): Path<String>,
    OriginalUri(address): OriginalUri,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    let given = |wanted: &str| parameters.iter().find(|(name, value)| name == wanted && !value.is_empty());
    let trace = given("trace_id").map(|(_, id)| id.to_ascii_lowercase());
    // The door takes it off the address, and narrows the tenants by it.
    let asked = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&address);
    let names_tenant = asked.is_ok_and(|asked| asked.iter().any(|(name, value)| name == "tenant" && !value.is_empty()));
    if trace.is_none() && !names_tenant {
        return Err(Problem::parameter("trace_id", "name a `trace_id`, or a `tenant` whose rows are to be erased"));
    }
    if trace.as_ref().is_some_and(|id| id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(Problem::parameter("trace_id", "a trace id has 32 hexadecimal digits"));
    }
    check_name(&name).map_err(|_| unknown())?;
    // One at a time: it is rare, and takes the disk and a core.
    let _turn = api.erasing.acquire().await.map_err(|_| Problem::busy("weir is stopping", 5))?;
    let manifest = api.store.manifest(&name).await.map_err(|error| store_problem(&error))?;
    let (manifest, _) = manifest.ok_or_else(unknown)?;
    let may_hold = |definition: &Definition| {
        definition.is_of_all() || definition.tenants.iter().any(|tenant| tenants.allows(Some(tenant)))
    };
    if !manifest.definitions.values().any(|made| may_hold(&made.definition)) {
        return Err(unknown());
    }
    let (mut rows, mut files) = (0, 0);
    for file in &manifest.files {
        let Some(made) = manifest.definitions.get(&file.definition) else { continue };
        if !may_hold(&made.definition) {
            continue;
        }
        let (tenants, trace) = (tenants.clone(), trace.clone());
        let is_kept = move |tenant: Option<&str>, of_trace: Option<&str>| {
            !(tenants.allows(tenant) && trace.as_deref().is_none_or(|trace| of_trace == Some(trace)))
        };
        let erased = api.erase_from(&name, file, &made.definition, is_kept).await.map_err(|error| {
            tracing::error!(capture = name, file = file.name, error = %whole(error.as_ref()), "rows cannot be erased");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!(
                    "rows of the file {} cannot be erased; weir's log says more. Ask again: what was done stays",
                    file.name
                ),
            )
        })?;
        rows += erased;
        files += u64::from(erased > 0);
    }
    Ok(Json(json!({ "rows": rows, "files": files })))
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Api {
    /// Rewrites a file without the rows that are not kept; gives their number.
    async fn erase_from(
        &self,
        name: &str,
        file: &Listed,
        definition: &Definition,
        is_kept: impl Fn(Option<&str>, Option<&str>) -> bool + Send + 'static,
    ) -> Result<u64, Failed> {
        let old = self.work.join(&file.name);
        let mut pieces = self.store.read(name, &file.name, 0..file.bytes).await?;
        let mut copy = tokio::fs::File::create(&old).await?;
        while let Some(piece) = pieces.try_next().await? {
            copy.write_all(&piece).await?;
        }
        copy.flush().await?;
        drop(copy);
        // The name says what it was made of; an `e` more for each time that rows were taken out.
        let new_name = match file.name.split_once('.') {
            Some((stem, ending)) => format!("{stem}e.{ending}"),
            None => format!("{}e", file.name),
        };
        let new = self.work.join(&new_name);
        let (from, to, definition) = (old.clone(), new.clone(), definition.clone());
        let kept = tokio::task::spawn_blocking(move || {
            let _ = std::fs::remove_file(&to);
            rewrite(&from, &to, &definition, is_kept)
        })
        .await?;
        tokio::fs::remove_file(&old).await?;
        let erased = match kept? {
            Kept::All => return Ok(0),
            Kept::Some(finished) => {
                self.store.put_file(name, &new_name, &finished.path).await?;
                let listed = Listed {
                    name: new_name,
                    rows: finished.rows,
                    bytes: finished.bytes,
                    sha256: finished.sha256,
                    created: file.created.clone(),
                    ..file.clone()
                };
                self.exchange(name, file, Some(listed)).await?
            }
            Kept::None => self.exchange(name, file, None).await?,
        };
        self.store.remove(name, &file.name).await?;
        Ok(erased)
    }

    /// Lists one file in another's stead; gives the number of rows that are gone. What retention took off the list
    /// meanwhile stays off.
    async fn exchange(&self, name: &str, old: &Listed, new: Option<Listed>) -> Result<u64, StoreError> {
        let rows = old.rows - new.as_ref().map_or(0, |new| new.rows);
        loop {
            let Some((mut manifest, stamp)) = self.store.manifest(name).await? else { return Ok(0) };
            let Some(at) = manifest.files.iter().position(|file| file.name == old.name) else {
                if let Some(new) = &new {
                    self.store.remove(name, &new.name).await?;
                }
                return Ok(rows);
            };
            match new.clone() {
                Some(new) => manifest.files[at] = new,
                None => drop(Manifest::take_off(&mut manifest, |file| file.name == old.name)),
            }
            match self.store.replace_manifest(name, &mut manifest, &stamp).await {
                Err(StoreError::Changed) => {}
                done => return done.map(|_| rows),
            }
        }
    }
}
