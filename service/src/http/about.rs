//! What every program serves: health, metrics, who one is, and what else is there.

use std::fmt::Write as _;

use axum::extract::Extension;
use axum::response::{Html, IntoResponse as _, Response};
use http::{StatusCode, header};
use serde_json::json;

use super::openapi::{self, escaped};
use super::{Problem, Route, Routes};
use crate::auth::{Access, Credential};
use crate::health::Health;
use crate::telemetry::Telemetry;

/// Of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What answers though the program is too busy for anything else: it is still alive, and its metrics are wanted most
/// then.
pub(super) fn vital(health: Health, telemetry: Option<Telemetry>) -> Routes {
    let ready = move || async move {
        let (waiting, away) = (health.waiting_for(), health.degraded());
        let status = if waiting.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (
            status,
            axum::Json(
                json!({ "ready": waiting.is_empty(), "waiting_for": waiting, "degraded": away, "version": VERSION }),
            ),
        )
    };
    let metrics = move || async move {
        match telemetry.as_ref().map(Telemetry::metrics) {
            Some(Ok(text)) => {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
            }
            Some(Err(error)) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
            None => Response::new(axum::body::Body::empty()),
        }
    };
    Routes::new()
        .on(Route::get("/healthz", Access::Open, "Whether the program is alive"), || async { "ok" })
        .on(Route::get("/readyz", Access::Open, "Whether it does its work, and what it waits for"), ready)
        .on(Route::get("/metrics", Access::ReadAll, "Its metrics, in Prometheus' text format"), metrics)
}

/// The rest, made of the table of all routes.
pub(super) fn general(table: &[Route]) -> Routes {
    let routes = Routes::new().on(
        Route::get("/api/v1/whoami", Access::Credential, "Name, role and tenants of the credential"),
        |Extension(credential): Extension<Credential>| async move { axum::Json(credential) },
    );
    let described = Route::get("/api/v1/openapi.json", Access::Credential, "This API, as an OpenAPI 3.1 document");
    // The console has a page of its own there.
    let has_home = table.iter().any(|route| route.path == "/");
    let home = (!has_home).then(|| Route::get("/", Access::Open, "What is here"));
    let all: Vec<&Route> = table.iter().chain(routes.table()).chain([&described]).chain(&home).collect();
    let (document, page) = (openapi::document(&all), Html(index(&all)));
    let routes = routes.on(described, move || async move { axum::Json(document) });
    match home {
        Some(home) => routes.on(home, move || async move { page }),
        None => routes,
    }
}

/// A page for a person who types the address into a browser.
fn index(routes: &[&Route]) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>weir</title>\n<h1>weir</h1>\n<p>This program \
         serves:</p>\n<table>\n",
    );
    for route in routes {
        let (method, path, about) = (&route.method, escaped(route.path), escaped(route.about));
        let shown = if *method == http::Method::GET && !route.path.contains('{') {
            format!("<a href=\"{path}\">{path}</a>")
        } else {
            path
        };
        // A String takes what is written to it.
        let _ = writeln!(page, "<tr><td>{method}<td>{shown}<td>{about}");
    }
    page.push_str("</table>\n</html>\n");
    page
}
