//! `/api/v1/captures`: what is defined, defining, and ending.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::http::{Json as Posted, Problem};

use super::{Api, define_problem, is_visible, store_problem, unknown};
use crate::catalog::Origin;
use crate::dataset::Manifest;
use crate::definition::Definition;

fn shown(name: &str, definition: &Definition, origin: Option<Origin>, manifest: Option<&Manifest>) -> Value {
    let files = manifest.map(|manifest| manifest.files.as_slice()).unwrap_or_default();
    json!({
        "name": name,
        "source": definition.source,
        "query": definition.query,
        "tenants": definition.tenants,
        "format": definition.format,
        "defined_in": match origin {
            Some(Origin::File) => Some("file"),
            Some(Origin::Request) => Some("request"),
            // It has ended; its files are still there.
            None => None,
        },
        "files": files.len(),
        "rows": files.iter().map(|file| file.rows).sum::<u64>(),
        "bytes": files.iter().map(|file| file.bytes).sum::<u64>(),
        "updated": manifest.map(|manifest| &manifest.updated),
    })
}

pub(super) async fn list(State(api): State<Api>, tenants: Tenants) -> Result<Json<Value>, Problem> {
    let mut names: BTreeSet<String> = api.catalog.names().into_iter().collect();
    names.extend(api.store.datasets().await.map_err(|error| store_problem(&error))?);
    let mut all = Vec::new();
    for name in names {
        // What these tenants may not see is not there.
        let Ok(manifest) = api.dataset(&tenants, &name).await else { continue };
        let defined = api.catalog.get(&name);
        let definition = defined.as_ref().map(|(capture, _)| &capture.definition);
        let Some(definition) = definition.or_else(|| manifest.as_ref()?.newest()) else { continue };
        all.push(shown(&name, definition, defined.as_ref().map(|(_, origin)| *origin), manifest.as_ref()));
    }
    Ok(Json(json!({ "captures": all })))
}

pub(super) async fn one(
    State(api): State<Api>,
    tenants: Tenants,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let manifest = api.dataset(&tenants, &name).await?;
    let defined = api.catalog.get(&name);
    let definition = defined.as_ref().map(|(capture, _)| &capture.definition);
    let definition = definition.or_else(|| manifest.as_ref()?.newest()).ok_or_else(unknown)?;
    let mut shown = shown(&name, definition, defined.as_ref().map(|(_, origin)| *origin), manifest.as_ref());
    shown["definition"] = serde_json::to_value(definition).unwrap_or_default();
    shown["manifest"] = serde_json::to_value(&manifest).unwrap_or_default();
    Ok(Json(shown))
}

/// `/api/v1/captures/preview` is no capture.
const PREVIEW: &str = "preview";

/// A definition that can be, and is of no other tenants than the credential.
pub(super) fn definition(tenants: &Tenants, body: Value) -> Result<Definition, Problem> {
    let wrong = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let definition: Definition = serde_json::from_value(body).map_err(|error| wrong(error.to_string()))?;
    definition.check().map_err(wrong)?;
    // Files may name one so, as they always could.
    if definition.name == PREVIEW {
        return Err(wrong(format!("name: `{PREVIEW}` is a path of the API, below which captures are: use another")));
    }
    if definition.is_of_all() {
        if !tenants.is_all() {
            let detail = "tenants: `*` is all tenants, and the credential is not of all: name its own";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
    } else {
        tenants.narrow(definition.tenants.iter().map(String::as_str))?;
    }
    Ok(definition)
}

pub(super) async fn define(
    State(api): State<Api>,
    tenants: Tenants,
    Posted(body): Posted<Value>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let definition = definition(&tenants, body)?;
    // One that others' data is in is not there for these.
    let name = definition.name.clone();
    let is_new = match api.dataset(&tenants, &name).await {
        Ok(_) => false,
        Err(problem) => {
            let is_taken = api.catalog.get(&name).is_some()
                || api.store.manifest(&name).await.map_err(|error| store_problem(&error))?.is_some();
            if is_taken || problem.status != StatusCode::NOT_FOUND.as_u16() {
                return Err(Problem::new(StatusCode::CONFLICT, format!("the name `{name}` is taken: use another")));
            }
            true
        }
    };
    let capture = api.catalog.define(definition).await.map_err(|error| define_problem(&error))?;
    let body = serde_json::to_value(&capture.definition).unwrap_or_default();
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(body)))
}

pub(super) async fn end(
    State(api): State<Api>,
    tenants: Tenants,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let (capture, _) = api.catalog.get(&name).ok_or_else(unknown)?;
    if !is_visible(&tenants, &capture.definition) {
        return Err(unknown());
    }
    api.catalog.end(&name).await.map_err(|error| define_problem(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests;
