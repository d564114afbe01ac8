//! OTLP in: gRPC and HTTP, logs, spans and metrics; and documents of Elasticsearch's `_bulk` (`elastic`).
//!
//! **Delivery.** A request is answered with success when all of it is durable, on the bus or in the spool on disk
//! ([`weir_bus::spool`]), never before. A sender that gets an error, or no answer, sends it again, and then what had
//! already arrived is there twice: at least once, as OTLP says. The spool takes over when the bus is away, or does not
//! have a record within two seconds; it drains by itself, and while it holds anything, what comes is put behind it.
//! Before the embedded bus, which is durable in this process, there is no spool.
//!
//! **Bounds.** A body is at most 32 MiB, as sent and unpacked; all bodies in flight share 192 MiB (less where memory is
//! limited), and whoever finds no room, in memory or in the spool, or a bus that does not take it in time where there is
//! no spool, is told to try again (429, 503; `RESOURCE_EXHAUSTED`, `UNAVAILABLE` with `RetryInfo`): back-pressure reaches
//! the sender.
//!
//! **Records.** One resource each, so one tenant, under 1 MB; but a span or log record that is larger is a record alone,
//! of up to 16 MiB, or what its topic takes ([`weir_bus::Producer::limit`]): see [`split`]. The key is a hash of the
//! resource, so that one source stays in order.

mod body;
mod cors;
mod counts;
mod elastic;
mod gate;
mod grpc;
mod http;
mod intake;
mod metric;
mod refusal;
mod repair;
pub(crate) mod schema;
mod serve;
mod signal;
mod split;
mod store;
mod survey;
mod tenant;
mod verdict;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::HeaderMap;
use opentelemetry::metrics::Meter;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_service::auth::Auth;
use weir_service::http::Routes;
use weir_service::tls::{Tls, TlsError};

pub use self::cors::{CorsOptions, Origin};
pub(crate) use self::counts::Counts;
pub use self::gate::Gate;
pub use self::signal::Signal;
pub use self::split::{Part, Sizes, Split, SplitError, split};
pub(crate) use self::store::Store;
pub use self::tenant::{Foreign, Tenants};
pub use self::wire::Malformed;

use self::intake::Intake;
use crate::limits::{Limits, Windows};
use crate::options::{OtlpOptions, TenantOptions};

/// Where the configuration has the certificates.
pub(crate) const TLS_SECTION: &str = "collector.otlp.tls";

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
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Both servers, bound; they answer from [`Server::run`] on.
#[derive(Debug)]
pub struct Server {
    intake: Intake,
    grpc: Option<(TcpListener, SocketAddr)>,
    http: Option<(TcpListener, SocketAddr)>,
    tls: Option<Arc<Tls>>,
    cors: Option<CorsOptions>,
    windows: Windows,
}

impl Server {
    /// Binds the addresses that are not null; port 0 picks one. `spool` takes what the bus does not.
    pub async fn bind(
        options: &OtlpOptions,
        tenant: &TenantOptions,
        producer: weir_bus::Producer,
        spool: Option<weir_bus::spool::Spool>,
        auth: Auth,
        meter: &Meter,
    ) -> Result<Self, Error> {
        let tls = options.tls.as_ref().map(|tls| Tls::open(TLS_SECTION, tls, meter)).transpose()?.map(Arc::new);
        let limits = Limits::default();
        let budget = body::Budget::within(&limits);
        let tenants = Tenants::new(tenant, auth);
        let intake = Intake::new(Store::new(producer, spool, meter), tenants, budget, meter);
        let (grpc, http) = (listen("grpc", options.grpc).await?, listen("http", options.http).await?);
        Ok(Self { intake, grpc, http, tls, cors: options.cors.clone(), windows: limits.bounds().windows })
    }

    /// Takes requests as these limits allow.
    #[must_use]
    pub(crate) fn within(mut self, limits: &Limits) -> Self {
        self.intake.within(limits);
        self.windows = limits.bounds().windows;
        self
    }

    /// Open, unless it is closed.
    pub fn gate(&self) -> Gate {
        self.intake.store().gate()
    }

    /// What came, and what became of it.
    pub(crate) fn counts(&self) -> Counts {
        self.intake.counts().clone()
    }

    /// Where records go.
    pub(crate) fn store(&self) -> Store {
        self.intake.store().clone()
    }

    /// Elasticsearch's `_bulk`, for the listener of the role.
    pub(crate) fn elastic(&self) -> Routes {
        elastic::routes(&self.intake)
    }

    /// Who decides the tenants.
    pub(crate) fn tenants(&self) -> Tenants {
        self.intake.tenants().clone()
    }

    /// Where gRPC is taken.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().map(|(_, address)| *address)
    }

    /// Where HTTP is taken.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(_, address)| *address)
    }

    /// `https` with certificates, else `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves and drains the spool until cancelled; then answers what it has, within ten seconds.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let store = self.intake.store().clone();
        let http = cors::allow(http::router(&self.intake), self.cors.as_ref()).merge(elastic::router(&self.intake));
        let serving = [(self.grpc, grpc::router(&self.intake)), (self.http, http)];
        let serving = serving.into_iter().map(|(listener, router)| {
            let (shutdown, tls, windows) = (shutdown.clone(), self.tls.clone(), self.windows);
            async move {
                match listener {
                    Some((listener, _)) => serve::serve(listener, router, tls, windows, shutdown).await,
                    None => shutdown.cancelled().await,
                }
            }
        });
        let following = async {
            if let Some(tls) = &self.tls {
                tls.clone().follow(shutdown.clone()).await;
            }
        };
        tokio::join!(futures::future::join_all(serving), store.drain(&shutdown), following);
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
