//! Ports of the faces.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use opentelemetry::metrics::Meter;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_service::http::Accept;
use weir_service::tls::{Authorities, Tls};

use super::Error;
use super::options::{EXTERNAL_TLS, ExternalMetricsOptions, KEDA_TLS, KedaOptions};

/// More callers wait in the listener's backlog; one address has at most half of them. One KEDA operator has one
/// connection for each way that it is told to connect.
const MAX_CONNECTIONS: usize = 128;
/// Calls at once on one connection: streams of all ScaledObjects are among them.
const MAX_CALLS: u32 = 512;
/// Head of a request, in bytes.
const MAX_HEAD: u32 = 64 << 10;
/// What is being answered at the shutdown has this long to end.
const DRAIN: Duration = Duration::from_secs(5);

/// A port that is bound.
#[derive(Debug)]
pub(super) struct Listener {
    name: &'static str,
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    builder: Builder<TokioExecutor>,
}

impl Listener {
    /// Where KEDA asks: HTTP/2 alone.
    pub(super) async fn keda(options: &KedaOptions, meter: &Meter) -> Result<Self, Error> {
        let tls = options.tls.as_ref().map(|tls| Tls::open(KEDA_TLS, tls, meter)).transpose()?;
        Self::bind("keda", "keda.grpc", options.grpc.0, tls, builder().http2_only()).await
    }

    /// Where kube-apiserver asks, known by a certificate of these authorities.
    pub(super) async fn external(
        options: &ExternalMetricsOptions,
        authorities: Arc<Authorities>,
        meter: &Meter,
    ) -> Result<Self, Error> {
        let tls = Tls::open_with(EXTERNAL_TLS, &options.tls, Some(authorities), meter)?;
        Self::bind("external_metrics", "external_metrics.listen", options.listen.0, Some(tls), builder()).await
    }

    async fn bind(
        name: &'static str,
        key: &'static str,
        address: SocketAddr,
        tls: Option<Tls>,
        builder: Builder<TokioExecutor>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Bind { key, address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { name, socket, address, tls: tls.map(Arc::new), builder })
    }

    /// Where it is reached.
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Serves, and follows its certificates, until cancelled.
    pub(super) async fn serve(self, router: Router, shutdown: CancellationToken) {
        let Self { name, socket, tls, builder, .. } = self;
        let accept = Accept { name, builder, tls: tls.clone(), connections: MAX_CONNECTIONS, drain: DRAIN };
        let serving = accept.serve(socket, router, shutdown.clone());
        let certificates = async {
            if let Some(tls) = tls {
                tls.follow(shutdown.clone()).await;
            }
        };
        tokio::join!(serving, certificates);
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .max_buf_size(MAX_HEAD as usize)
        .header_read_timeout(Duration::from_secs(90))
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CALLS)
        .max_header_list_size(MAX_HEAD)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
