//! The accept loop of every listener: HTTP/1 and HTTP/2, with TLS or without, bounded in number, ended gracefully.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::peer::{Prompt, Shares, set_up};
use crate::tls::{Client, Tls};

/// How connections are taken.
#[derive(Debug, Clone)]
pub struct Accept {
    /// For logs: whose listener it is.
    pub name: &'static str,
    /// How HTTP is spoken.
    pub builder: Builder<TokioExecutor>,
    /// With certificates, where there are any.
    pub tls: Option<Arc<Tls>>,
    /// Connections that are open at the same time; others wait. One address has half of them at most: what is more is
    /// closed.
    pub connections: usize,
    /// What is being answered at the shutdown has this long to end.
    pub drain: Duration,
}

/// Where a request comes from; every request has it among its extensions.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Of the connection.
    pub address: SocketAddr,
    /// By its certificate, where one is asked for.
    pub client: Option<Client>,
}

impl Accept {
    /// Serves until cancelled; then takes no more connections, and answers what it has.
    pub async fn serve(self, listener: TcpListener, router: Router, shutdown: CancellationToken) {
        let room = Arc::new(Semaphore::new(self.connections));
        let peers = Shares::<IpAddr>::new(self.connections);
        let graceful = GracefulShutdown::new();
        let mut tasks = JoinSet::new();
        loop {
            while tasks.try_join_next().is_some() {}
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
                Ok((stream, address)) => {
                    let Some(place) = peers.place(address.ip().to_canonical()) else {
                        tracing::debug!(listener = self.name, %address, "a connection is closed: its address has too many");
                        continue;
                    };
                    let (accept, router, watcher) = (self.clone(), router.clone(), graceful.watcher());
                    let shutdown = shutdown.clone();
                    tasks.spawn(async move {
                        accept.connection(stream, address, router, watcher, shutdown).await;
                        drop((permit, place));
                    });
                }
                Err(error) => {
                    // Mostly too many open files: to spin would make that worse.
                    tracing::warn!(listener = self.name, %error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(self.drain, graceful.shutdown()).await.is_err() {
            let connections = tasks.len();
            tracing::warn!(listener = self.name, connections, "connections are cut that did not end in time");
        }
        tasks.shutdown().await;
    }

    async fn connection(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        router: Router,
        watcher: Watcher,
        shutdown: CancellationToken,
    ) {
        set_up(&stream);
        let Some(tls) = &self.tls else {
            return self.answer(stream, Peer { address, client: None }, router, watcher).await;
        };
        // Who has not said hello has nothing to be answered.
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            () = shutdown.cancelled() => None,
        };
        if let Some((stream, client)) = accepted {
            self.answer(stream, Peer { address, client }, router, watcher).await;
        }
    }

    async fn answer<S>(&self, stream: S, peer: Peer, router: Router, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = router.map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(peer.clone());
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = self.builder.serve_connection(TokioIo::new(Prompt::new(stream)), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(listener = self.name, error, "a connection ended early");
        }
    }
}
