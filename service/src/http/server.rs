use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio_util::sync::CancellationToken;

use super::before::{self, Before};
use super::bind::{BindError, Bound};
use super::door::{self, Door};
use super::guard::{Guard, explained, guard};
use super::{Accept, Limits, Route, Routes, about, compress};
use crate::audit::Audit;
use crate::auth::Auth;
use crate::health::Health;
use crate::telemetry::Telemetry;
use crate::tls::Tls;

/// Serves HTTP/1.1 and HTTP/2 on one address, with TLS or without, within [`Limits`].
#[derive(Debug)]
pub struct Server {
    bound: Bound,
    routes: Routes,
    auth: Auth,
    audit: Option<Audit>,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    health: Health,
    telemetry: Option<Telemetry>,
    before: Option<Before>,
}

impl Server {
    /// Listens on `host:port`; port 0 picks one. Refuses what other machines can reach unless `allow_insecure`.
    pub async fn bind(address: &str, allow_insecure: bool) -> Result<Bound, BindError> {
        Bound::new(address, allow_insecure).await
    }

    pub(super) fn new(bound: Bound, routes: Routes) -> Self {
        Self {
            bound,
            routes,
            auth: Auth::off(),
            audit: None,
            tls: None,
            limits: Limits::default(),
            health: Health::default(),
            telemetry: None,
            before: None,
        }
    }

    /// Who is let in; without it, everybody who reaches the address.
    #[must_use]
    pub fn auth(self, auth: Auth) -> Self {
        Self { auth, ..self }
    }

    /// Where requests that read or change data leave a record.
    #[must_use]
    pub fn audit(self, audit: Audit) -> Self {
        Self { audit: Some(audit), ..self }
    }

    /// With certificates, where there are any.
    #[must_use]
    pub fn tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
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

    /// What is done with every request before its credential is checked.
    #[must_use]
    pub fn before(self, before: Before) -> Self {
        Self { before: Some(before), ..self }
    }

    /// Serves until `shutdown`; then takes no more connections, lets requests end, and cuts what is left after
    /// [`Limits::drain`].
    pub async fn serve(self, shutdown: CancellationToken) {
        let limits = self.limits;
        let meter = self.telemetry.as_ref().map(Telemetry::meter);
        let state = Guard::new(limits, meter.as_ref(), shutdown.clone());
        let door = Door::new(self.auth, self.audit, limits.requests);
        let vital = about::vital(self.health, self.telemetry);
        let table: Vec<Route> = self.routes.table().chain(vital.table()).cloned().collect();
        let routes = self.routes.merge(about::general(&table));
        let router = routes.behind(&door).fallback_service(nothing(&door));
        let router = router.layer(axum::middleware::from_fn_with_state(self.before.clone(), before::first));
        // The guard limits bodies already, and handlers should not have to know by how much.
        let router = router.layer(DefaultBodyLimit::disable());
        let router = router.layer(axum::middleware::from_fn_with_state(state, guard));
        let router = router.layer(compress::layer());
        // Outside the guard.
        let vital = vital.behind(&door);
        let vital = vital.layer(axum::middleware::from_fn_with_state(self.before, before::first));
        let vital = vital.layer(axum::middleware::from_fn(
            |request: axum::extract::Request, next: axum::middleware::Next| async {
                let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
                explained(next.run(request).await, &method, &path, 0).await
            },
        ));
        let vital = vital.layer(compress::layer());
        let accept = Accept {
            name: "http",
            builder: builder(limits),
            tls: self.tls,
            connections: limits.connections,
            drain: limits.drain,
        };
        accept.serve(self.bound.listener, vital.fallback_service(router), shutdown).await;
    }
}

/// Whoever asks for what is not there shows a credential first.
fn nothing(door: &Door) -> Router {
    let state: door::Doorway = (door.clone(), Arc::new([]));
    Router::new()
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(axum::middleware::from_fn_with_state(state, door::pass))
}

fn builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30)).max_buf_size(limits.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .max_concurrent_streams(256)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}
