//! The reverse proxy in front of roles that run apart. Each request goes to one role with the visitor's own credential;
//! that role decides what it may see. Bodies pass in both directions as they come.

mod headers;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::{OriginalUri, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use weir_service::auth::Access;
use weir_service::http::{Peer, Problem, Route, Routes};
use weir_service::telemetry::whole;

use crate::options::{Options, RoleUrl};

/// A role that is there takes a connection at once.
const CONNECT: Duration = Duration::from_secs(5);
/// Until an answer begins.
const HEAD: Duration = Duration::from_mins(1);
/// An answer that brings nothing for so long has ended.
const SILENCE: Duration = Duration::from_mins(5);

/// A role that asked for a credential is believed to for so long.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// What is said of one that does not.
pub(crate) const OPEN: &str =
    "asks for no credential, so it would show every visitor everything: set `auth` there, too";

/// Which role serves what lies below `/api/v1/`, by the next part of the path.
const OF_WEIR: [(&str, &[&str]); 5] = [
    ("indexer", &["logs", "traces", "services", "dependencies", "metrics"]),
    ("alerter", &["alerts", "rules", "silences", "notifications", "interfaces", "scaling"]),
    ("usage", &["usage", "quotas"]),
    ("reflow", &["captures"]),
    ("collector", &["collector"]),
];
/// Which role serves the APIs of other systems, by the first part of the path.
const OF_OTHERS: [(&str, &[&str]); 2] =
    [("indexer", &["jaeger", "elastic"]), ("alerter", &["prometheus", "alertmanager"])];

/// What is passed on; of these, what no role has is 404.
const PATHS: [&str; 7] = [
    "/api/v1/{*path}",
    "/jaeger/{*path}",
    "/elastic",
    "/elastic/",
    "/elastic/{*path}",
    "/prometheus/{*path}",
    "/alertmanager/{*path}",
];
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of authorities cannot be read.
    #[error("console.ca: {}", path.display())]
    Read {
        /// As configured.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file holds no certificates.
    #[error("console.ca: {} holds no certificate in PEM", .0.display())]
    Empty(PathBuf),
    /// No client can be made.
    #[error("console: no HTTP client can be made")]
    Client(#[from] reqwest::Error),
}

/// The roles, and a client that speaks with them; cheap to clone.
#[derive(Debug, Clone)]
pub struct Proxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    roles: Vec<(&'static str, RoleUrl)>,
    client: reqwest::Client,
    /// Whether visitors show credentials, which each role must check.
    is_guarded: bool,
    /// Roles that were seen to ask for a credential, and when.
    seen: Mutex<HashMap<&'static str, Instant>>,
}

impl Proxy {
    /// Reads the file of authorities, where there is one; connects to nobody. Where `is_guarded`, a role that asks for no
    /// credential is not passed anything: to it every visitor would be its administrator.
    pub fn open(options: &Options, is_guarded: bool) -> Result<Self, Error> {
        let roles: Vec<_> = options.roles().map(|(name, url)| (name, url.clone())).collect();
        // The roles' addresses are exact: no proxy of the environment stands between, and none sends elsewhere.
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.connect_timeout(CONNECT).read_timeout(SILENCE);
        let is_tls = roles.iter().any(|(_, url)| url.as_str().starts_with("https://"));
        let client = if is_tls {
            client.tls_certs_merge(options.ca.as_deref().map(authorities).transpose()?.unwrap_or_default())
        } else {
            client.tls_certs_only([])
        };
        Ok(Self(Arc::new(Inner { roles, client: client.build()?, is_guarded, seen: Mutex::default() })))
    }

    /// Whether a role lets everybody do everything, as one without `auth` does. One that does not answer is not known to.
    pub(crate) async fn is_open(&self, role: &'static str, url: &str) -> bool {
        let Inner { client, is_guarded, seen, .. } = &*self.0;
        if !is_guarded || seen.lock().get(role).is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return false;
        }
        let asked = client.get(format!("{url}/api/v1/whoami")).timeout(CONNECT).send().await;
        let Ok(answer) = asked else { return false };
        let is_answered = answer.status().is_success();
        let nobody: serde_json::Value = answer.json().await.unwrap_or_default();
        // As `auth.anonymous` has it, a stranger may be let in, under a name.
        let is_open = is_answered && nobody["name"] == "" && nobody["role"] == "admin";
        if !is_open {
            seen.lock().insert(role, Instant::now());
        }
        is_open
    }

    pub(crate) fn roles(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.roles.iter().map(|(name, url)| (*name, url.as_str()))
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.0.client
    }

    pub(crate) fn routes(&self) -> Routes {
        let mut routes = Routes::new();
        for path in PATHS {
            for method in METHODS {
                // Which role and tenants it takes, the role behind knows.
                let route = Route::with(method, path, Access::Credential, "Passed on to the role that serves it");
                routes = routes.on(route, pass);
            }
        }
        routes.with_state(self)
    }
}

fn authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, Error> {
    let pem = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem)?;
    if certificates.is_empty() { Err(Error::Empty(path.to_owned())) } else { Ok(certificates) }
}

/// The role that serves a path. One that a client would shorten first (`..`, `%2e`, backslashes) is served by none: it
/// would be another path at the role.
fn role_of(path: &str) -> Option<&'static str> {
    let is_dots = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.contains('\\') || path.split('/').any(is_dots) {
        return None;
    }
    let mut parts = path.strip_prefix('/')?.split('/');
    let mut first = parts.next()?;
    let table: &[(&str, &[&str])] = match first {
        "api" if parts.next() == Some("v1") => {
            first = parts.next()?;
            &OF_WEIR
        }
        _ => &OF_OTHERS,
    };
    table.iter().find(|(_, names)| names.contains(&first)).map(|(role, _)| *role)
}

/// Answers a request with the role's answer. The address is the original: the door has taken `tenant` out.
async fn pass(State(proxy): State<Proxy>, OriginalUri(target): OriginalUri, request: Request) -> Response {
    let path = target.path();
    let Some(role) = role_of(path) else {
        return Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")).into_response();
    };
    let Some((_, url)) = proxy.roles().find(|(name, _)| *name == role) else {
        let detail = format!("{path} is served by the role {role}, and `console.{role}` does not say where that is");
        return Problem::new(StatusCode::NOT_FOUND, detail).into_response();
    };
    if proxy.is_open(role, url).await {
        let detail = format!("the role {role} at {url} {OPEN}");
        tracing::error!(role, url, "this role asks for no credential: nothing is passed on to it");
        return Problem::new(StatusCode::BAD_GATEWAY, detail).into_response();
    }
    let peer = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
    let (parts, body) = request.into_parts();
    let address = format!("{url}{}", target.path_and_query().map_or(path, http::uri::PathAndQuery::as_str));
    let mut asked = proxy.client().request(parts.method, address).headers(headers::of_request(&parts.headers, peer));
    if !body.is_end_stream() {
        asked = asked.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    match tokio::time::timeout(HEAD, asked.send()).await {
        Ok(Ok(answer)) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = answer.status();
            *response.headers_mut() = headers::of_answer(answer.headers());
            *response.body_mut() = Body::from_stream(answer.bytes_stream());
            response
        }
        Ok(Err(error)) => {
            let status = if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
            let why = whole(&error.without_url()).to_string();
            tracing::debug!(role, url, error = why, "a role does not answer");
            Problem::new(status, format!("the role {role} at {url} does not answer: {why}")).into_response()
        }
        Err(_) => {
            let detail = format!("the role {role} at {url} did not begin to answer within {HEAD:?}");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_served_by_one_role() {
        for (path, right) in [
            ("/api/v1/logs", Some("indexer")),
            ("/api/v1/logs/search", Some("indexer")),
            ("/api/v1/traces/search", Some("indexer")),
            ("/api/v1/services", Some("indexer")),
            ("/api/v1/dependencies", Some("indexer")),
            ("/api/v1/metrics/series", Some("indexer")),
            ("/jaeger/api/services", Some("indexer")),
            ("/elastic/", Some("indexer")),
            ("/elastic/weir-logs/_search", Some("indexer")),
            ("/api/v1/alerts", Some("alerter")),
            ("/api/v1/rules/replay", Some("alerter")),
            ("/api/v1/silences/1", Some("alerter")),
            ("/api/v1/notifications", Some("alerter")),
            ("/api/v1/interfaces", Some("alerter")),
            ("/api/v1/scaling", Some("alerter")),
            ("/prometheus/api/v1/query", Some("alerter")),
            ("/alertmanager/api/v2/alerts", Some("alerter")),
            ("/api/v1/usage/proof", Some("usage")),
            ("/api/v1/quotas/acme", Some("usage")),
            ("/api/v1/captures/a/files/b", Some("reflow")),
            ("/api/v1/collector/sources", Some("collector")),
            ("/elastic", Some("indexer")),
            ("/api/v1/logs/../../../metrics", None),
            ("/api/v1/logs/%2E%2e/x", None),
            ("/api/v1/logs/.%2e", None),
            ("/api/v1/logs/./x", None),
            ("/api/v1/logs\\..\\x", None),
            ("/api/v1/captures/a..b", Some("reflow")),
            ("/api/v1/logsx", None),
            ("/api/v1/", None),
            ("/api/v2/logs", None),
            ("/logs", None),
            ("/metrics", None),
            ("", None),
        ] {
            assert_eq!(role_of(path), right, "{path}");
        }
    }
}
