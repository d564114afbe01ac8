//! The tasks of the service: gRPC listener, reload of limits, upkeep of the store.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_service::Context;
use weir_service::auth::Auth;
use weir_service::health::Part;
use weir_service::http::Accept;
use weir_service::tls::Tls;

use super::grpc::{self, Grpc};
use super::options::{Options, TLS_SECTION};
use super::reload::{Change, Files, POLL_INTERVAL};
use super::service::Service;
use super::store::Store;
use super::tally::{Failures, Tallies};
use super::{Error, Quotas};

/// More callers wait in the listener's backlog; one address has at most half of them.
const MAX_CONNECTIONS: usize = 1024;

/// Requests at once on one connection: an Envoy has one for each of its threads.
const MAX_STREAMS: u32 = 1024;

/// Metadata of a request, in bytes.
const MAX_METADATA: u32 = 64 << 10;

/// What is being answered at the shutdown has this long to end.
const DRAIN: Duration = Duration::from_secs(5);

/// The service, bound; it answers from [`Run::run`] on.
pub struct Run {
    service: Arc<Service>,
    auth: Auth,
    has_headers: bool,
    listener: Option<(TcpListener, SocketAddr)>,
    tls: Option<Arc<Tls>>,
    files: Files,
    part: Part,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Run {
    pub(super) async fn open(options: &Options, context: &Context, quotas: Arc<dyn Quotas>) -> Result<Self, Error> {
        let tallies = Tallies::default();
        let (globs, of) = (options.limits.clone(), tallies.clone());
        let read = tokio::task::spawn_blocking(move || Files::open(&globs, &of)).await;
        let (files, limits) = read.map_err(|_| Error::Reader)??;
        let tls = options.tls.as_ref().map(|tls| Tls::open(TLS_SECTION, tls, &context.meter)).transpose()?;
        let failures = Failures::new(&context.meter);
        let store = Store::open(&options.store, &context.health).map_err(|_| Error::Store)?;
        let listener = match options.grpc {
            Some(address) => Some(listen(address.0).await?),
            None => None,
        };
        let part = context.health.part("ratelimit limits");
        part.ready();
        let service = Service {
            limits: ArcSwap::new(limits),
            store,
            quotas,
            without_store: options.without_store,
            tallies,
            failures,
            asked: AtomicUsize::new(0),
        };
        let service = Arc::new(service);
        service.observe(&context.meter);
        Ok(Self {
            service,
            auth: context.auth.clone(),
            has_headers: options.headers,
            listener,
            tls: tls.map(Arc::new),
            files,
            part,
        })
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(|(_, address)| *address)
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Answers and follows the files until cancelled; then answers what it has, within some seconds.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { service, auth, has_headers, listener, tls, files, part } = self;
        let serving = async {
            let Some((listener, _)) = listener else { return };
            let router = grpc::router(Grpc { service: service.clone(), auth, has_headers });
            let accept = Accept {
                name: "ratelimit",
                builder: builder(),
                tls: tls.clone(),
                connections: MAX_CONNECTIONS,
                drain: DRAIN,
            };
            accept.serve(listener, router, shutdown.clone()).await;
        };
        let certificates = async {
            if let Some(tls) = &tls {
                tls.clone().follow(shutdown.clone()).await;
            }
        };
        let following = follow(&service, files, &part, &shutdown);
        let storing = async {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = service.store.run() => {}
            }
        };
        tokio::join!(serving, certificates, following, storing);
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_METADATA)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Reads the files again when they change.
async fn follow(service: &Service, files: Files, part: &Part, shutdown: &CancellationToken) {
    let mut files = Some(files);
    while !is_over(POLL_INTERVAL, shutdown).await {
        let Some(mut at_work) = files.take() else { return };
        let polled = tokio::task::spawn_blocking(move || {
            let change = at_work.poll();
            (at_work, change)
        });
        let Ok((at_work, change)) = polled.await else {
            tracing::error!("reading the files of limits failed: limits stay as they are until a restart");
            part.degraded("files of limits are no longer read");
            return;
        };
        files = Some(at_work);
        match change {
            None => {}
            Some(Change::Limits(limits)) => {
                tracing::info!(limits = limits.len(), "the files of limits changed");
                service.tallies.forget();
                service.limits.store(limits);
                part.ready();
            }
            Some(Change::Restored) => part.ready(),
            Some(Change::Refused(errors)) => {
                service.failures.reloads.add(1, &[]);
                tracing::error!(%errors, "changed files of limits cannot be used: the limits of before stay in force");
                part.degraded("changed files of limits cannot be used: the limits of before stay in force");
            }
        }
    }
}

/// Waits; whether the end came before.
async fn is_over(interval: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => true,
        () = tokio::time::sleep(interval) => false,
    }
}
