use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bind::{BindError, Bound};
use super::guard::{Guard, explained, guard};
use super::peer::{Peers, Prompt, set_up};
use super::{Limits, Problem};
use crate::health::Health;
use crate::telemetry::Telemetry;

/// Serves HTTP/1.1 and HTTP/2 without TLS on one address, within [`Limits`].
#[derive(Debug)]
pub struct Server {
    bound: Bound,
    router: Router,
    limits: Limits,
    health: Health,
    telemetry: Option<Telemetry>,
}

impl Server {
    /// Listens on `host:port`; port 0 picks one. Refuses what other machines can reach unless `allow_insecure`.
    pub async fn bind(address: &str, allow_insecure: bool) -> Result<Bound, BindError> {
        Bound::new(address, allow_insecure).await
    }

    pub(super) fn new(bound: Bound, router: Router) -> Self {
        Self { bound, router, limits: Limits::default(), health: Health::default(), telemetry: None }
    }

    /// Other limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// What `/readyz` tells.
    #[must_use]
    pub fn health(self, health: Health) -> Self {
        Self { health, ..self }
    }

    /// What `/metrics` tells; requests are measured too.
    #[must_use]
    pub fn telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry: Some(telemetry), ..self }
    }

    /// Serves until `shutdown`; then takes no more connections, lets requests end, and cuts what is left after
    /// [`Limits::drain`].
    pub async fn serve(self, shutdown: CancellationToken) {
        let limits = self.limits;
        let meter = self.telemetry.as_ref().map(Telemetry::meter);
        let state = Guard::new(limits, meter.as_ref(), shutdown.clone());
        // The guard limits bodies already, and handlers should not have to know by how much.
        let router = self.router.layer(DefaultBodyLimit::disable());
        let router = router.layer(axum::middleware::from_fn_with_state(state, guard));
        // Outside the guard: a program that is busy is still alive, and its metrics are wanted most then.
        let router = about(self.health, self.telemetry).fallback_service(router);
        accept(self.bound.listener, router, limits, shutdown).await;
    }
}

fn about(health: Health, telemetry: Option<Telemetry>) -> Router {
    let ready = move || async move {
        let waiting = health.waiting_for();
        let status = if waiting.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, axum::Json(serde_json::json!({ "ready": waiting.is_empty(), "waiting_for": waiting })))
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
    let router = Router::new().route("/healthz", get(|| async { "ok" }));
    let router = router.route("/readyz", get(ready)).route("/metrics", get(metrics));
    router.layer(axum::middleware::from_fn(|request: axum::extract::Request, next: axum::middleware::Next| async {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        explained(next.run(request).await, &method, &path, 0).await
    }))
}

async fn accept(listener: TcpListener, router: Router, limits: Limits, shutdown: CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30)).max_buf_size(limits.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .keep_alive_interval(Duration::from_secs(30));
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(limits.connections));
    let peers = Peers::new(limits.connections);
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = async {
                let permit = connections.clone().acquire_owned().await.ok();
                (listener.accept().await, permit)
            } => accepted,
        };
        let (stream, place, permit) = match accepted {
            (Ok((stream, peer)), permit) => (stream, peers.place(peer.ip()), permit),
            (Err(error), _) => {
                // Mostly too many open files: to spin would make that worse.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = place else { continue };
        set_up(&stream);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(Prompt::new(stream)), service).into_owned();
        let connection = graceful.watch(connection);
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection ended early");
            }
            drop((permit, place));
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections are cut that did not end in time");
    }
    tasks.shutdown().await;
}
