//! `/api/v1/captures/{name}/files`: what is listed, and downloads that can be resumed.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::http::Problem;

use super::range::{self, Asked};
use super::{Api, store_problem};
use crate::dataset::{Listed, MANIFEST};

pub(super) async fn list(
    State(api): State<Api>,
    tenants: Tenants,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let manifest = api.dataset(&tenants, &name).await?;
    let files = manifest.map(|manifest| manifest.files).unwrap_or_default();
    let shown = |file: &Listed| {
        json!({
            "name": file.name,
            "rows": file.rows,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "created": file.created,
        })
    };
    Ok(Json(json!({ "files": files.iter().map(shown).collect::<Vec<_>>() })))
}

pub(super) async fn get(
    State(api): State<Api>,
    tenants: Tenants,
    Path((name, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let missing = || Problem::new(StatusCode::NOT_FOUND, "there is no such file: see the list of files");
    let manifest = api.dataset(&tenants, &name).await?.ok_or_else(missing)?;
    if file == MANIFEST {
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(|_| missing())?;
        return Ok(respond(StatusCode::OK, header_value("application/json"), Body::from(bytes)));
    }
    // A name is taken off the list, never put together to a path.
    let listed = manifest.file(&file).ok_or_else(missing)?;
    let e_tag = format!("\"{}\"", listed.sha256);
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::IF_NONE_MATCH)
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == e_tag || tag.trim() == "*"))
    {
        let mut response = respond(StatusCode::NOT_MODIFIED, None, Body::empty());
        response.headers_mut().extend(header_value(&e_tag).map(|value| (header::ETAG, value)));
        return Ok(response);
    }
    let is_same = text(header::IF_RANGE).is_none_or(|tag| tag.trim() == e_tag);
    let asked = range::read(text(header::RANGE).filter(|_| is_same), listed.bytes);
    let (status, first, end) = match asked {
        Asked::All => (StatusCode::OK, 0, listed.bytes),
        Asked::Part(first, end) => (StatusCode::PARTIAL_CONTENT, first, end),
        Asked::Nothing => {
            let mut response = respond(StatusCode::RANGE_NOT_SATISFIABLE, None, Body::empty());
            let range = header_value(&format!("bytes */{}", listed.bytes));
            response.headers_mut().extend(range.map(|value| (header::CONTENT_RANGE, value)));
            return Ok(response);
        }
    };
    let Ok(permit) = api.downloads.clone().try_acquire_owned() else {
        return Err(Problem::busy("too many downloads at once: try again later", 5));
    };
    let pieces = api.store.read(&name, &listed.name, first..end).await.map_err(|error| store_problem(&error))?;
    // Held until the last piece was sent, or the caller went away.
    let pieces = pieces.map(move |piece| {
        let _held = &permit;
        piece.map_err(std::io::Error::other)
    });
    let kind = if file.ends_with(".parquet") { "application/vnd.apache.parquet" } else { "application/zstd" };
    let mut response = respond(status, header_value(kind), Body::from_stream(pieces));
    let added = [
        (header::ETAG, Some(e_tag)),
        (header::ACCEPT_RANGES, Some("bytes".to_owned())),
        (header::CONTENT_LENGTH, Some((end - first).to_string())),
        (header::CONTENT_DISPOSITION, Some(format!("attachment; filename=\"{}\"", listed.name))),
        (
            header::CONTENT_RANGE,
            (status == StatusCode::PARTIAL_CONTENT).then(|| format!("bytes {first}-{}/{}", end - 1, listed.bytes)),
        ),
    ];
    for (name, value) in added {
        if let Some(value) = value.and_then(|value| header_value(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

fn respond(status: StatusCode, kind: Option<HeaderValue>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().extend(kind.map(|kind| (header::CONTENT_TYPE, kind)));
    response
}
