//! OTLP in: gRPC and HTTP, logs, spans and metrics.
//!
//! **Delivery.** A request is answered with success after the bus says that all of it is durable, never before. A
//! sender that gets an error, or no answer, sends it again, and then what had already arrived is there twice: at least
//! once, as OTLP says. Nothing is kept here between requests, so a crash loses only what was never acknowledged.
//!
//! **Bounds.** A body is at most 16 MiB, as sent and unpacked; all bodies in flight share 192 MiB, and whoever finds
//! no room, or a bus that does not take it in time, is told to try again (429, 503; `RESOURCE_EXHAUSTED`,
//! `UNAVAILABLE` with `RetryInfo`): back-pressure reaches the sender.
//!
//! **Records.** One resource each, so one tenant, under 1 MB: see [`split`]. The key is a hash of the resource, so that
//! one source stays in order.

mod body;
mod grpc;
mod http;
mod intake;
mod metric;
mod refusal;
pub(crate) mod schema;
mod serve;
mod signal;
mod split;
mod tenant;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::http::HeaderMap;
use opentelemetry::metrics::Meter;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::signal::Signal;
pub use self::split::{Part, Split, split};
pub use self::tenant::Tenants;
pub use self::wire::Malformed;

use self::intake::Intake;
use crate::options::{OtlpOptions, TenantOptions};

/// Why OTLP cannot be taken in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("collector.otlp.{key}: cannot listen on {address}")]
    Bind {
        /// `grpc` or `http`.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Whether the bus is there to take anything; while it is closed, senders are told to try again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    fn opened() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// The bus takes records, or does not.
    pub fn set_open(&self, open: bool) {
        self.0.store(open, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Both servers, bound; they answer from [`Server::run`] on.
#[derive(Debug)]
pub struct Server {
    intake: Intake,
    grpc: Option<(TcpListener, SocketAddr)>,
    http: Option<(TcpListener, SocketAddr)>,
}

impl Server {
    /// Binds the addresses that are not null; port 0 picks one.
    pub async fn bind(
        options: &OtlpOptions,
        tenant: &TenantOptions,
        producer: weir_bus::Producer,
        meter: &Meter,
    ) -> Result<Self, Error> {
        let budget = body::Budget::new(body::MAX_IN_FLIGHT);
        let intake = Intake::new(producer, Tenants::new(tenant), budget, meter);
        Ok(Self { intake, grpc: listen("grpc", options.grpc).await?, http: listen("http", options.http).await? })
    }

    /// Open, unless it is closed.
    pub fn gate(&self) -> Gate {
        self.intake.gate()
    }

    /// Where gRPC is taken.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().map(|(_, address)| *address)
    }

    /// Where HTTP is taken.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(_, address)| *address)
    }

    /// Serves until cancelled; then answers what it has, within ten seconds.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let serving = [(self.grpc, grpc::router(&self.intake)), (self.http, http::router(&self.intake))];
        let serving = serving.into_iter().map(|(listener, router)| {
            let shutdown = shutdown.clone();
            async move {
                match listener {
                    Some((listener, _)) => serve::serve(listener, router, shutdown).await,
                    None => shutdown.cancelled().await,
                }
            }
        });
        futures::future::join_all(serving).await;
        Ok(())
    }
}

async fn listen(key: &'static str, address: Option<SocketAddr>) -> Result<Option<(TcpListener, SocketAddr)>, Error> {
    let Some(address) = address else { return Ok(None) };
    let failed = |source| Error::Bind { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok(Some((listener, bound)))
}

/// Whether weir itself sent this: telling of it would make more of it, for ever.
fn is_own(headers: &HeaderMap) -> bool {
    headers.get("weir-telemetry").is_some_and(|value| value == "self")
}

fn span(signal: Signal, protocol: &'static str, quiet: bool) -> tracing::Span {
    if quiet { tracing::Span::none() } else { tracing::info_span!("otlp_export", signal = signal.name(), protocol) }
}
