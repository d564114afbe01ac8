//! Connections of one listener: HTTP/1 and HTTP/2, bounded in number, ended gracefully.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use weir_service::http::{Peers, Place, Prompt, set_up};

use super::client::Client;
use super::tls::Tls;
use crate::limits::Windows;

/// More callers wait in the listener's backlog; one address has at most half of them.
const MAX_CONNECTIONS: usize = 1024;

/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// Of one HTTP/2 frame, where the sender makes such: most requests are one.
const MAX_FRAME: u32 = 256 << 10;

/// What is being answered has this long to end.
const DRAIN: Duration = Duration::from_secs(9);

/// Serves until cancelled; then takes no new requests and answers those it has.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Tls>>,
    windows: Windows,
    shutdown: CancellationToken,
) {
    let server = Server { builder: builder(windows), router, tls };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let peers = Peers::new(MAX_CONNECTIONS);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepting = async {
            // It cannot fail: nobody closes the semaphore.
            let permit = room.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accepting => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = peers.place(peer.ip()) else { continue };
                let serving = server.clone().serve(stream, graceful.watcher(), (permit, place), shutdown.clone());
                connections.spawn(serving);
            }
            Err(error) => {
                // Out of file descriptors, as a rule: it passes when connections end.
                tracing::warn!(%error, "cannot accept an OTLP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "OTLP connections were cut at shutdown");
    }
}

/// What every connection is served with.
#[derive(Clone)]
struct Server {
    builder: Builder<TokioExecutor>,
    router: Router,
    tls: Option<Arc<Tls>>,
}

impl Server {
    /// One connection; `_held` is given back with it.
    async fn serve(
        self,
        stream: TcpStream,
        watcher: Watcher,
        _held: (Option<OwnedSemaphorePermit>, Place),
        shutdown: CancellationToken,
    ) {
        set_up(&stream);
        let Some(tls) = &self.tls else { return self.answer(stream, None, watcher).await };
        // Who has not said hello has nothing to be answered.
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            () = shutdown.cancelled() => None,
        };
        if let Some((stream, client)) = accepted {
            self.answer(stream, client, watcher).await;
        }
    }

    /// Every request knows its client.
    async fn answer<S>(&self, stream: S, client: Option<Client>, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.router.clone().map_request(move |mut request: Request<_>| {
            if let Some(client) = &client {
                request.extensions_mut().insert(client.clone());
            }
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = self.builder.serve_connection(TokioIo::new(Prompt::new(stream)), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error = %error, "OTLP connection ended");
        }
    }
}

fn builder(windows: Windows) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Also how long a connection may be idle between requests: exporters of metrics come once a minute.
    builder.http1().timer(TokioTimer::new()).max_buf_size(windows.http1).header_read_timeout(Duration::from_secs(90));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_frame_size(MAX_FRAME)
        .initial_stream_window_size(windows.stream)
        .initial_connection_window_size(windows.connection)
        .keep_alive_interval(Duration::from_mins(1))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
