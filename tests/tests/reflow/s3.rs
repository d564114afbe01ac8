//! An S3 server for tests: `s3s-fs` in the test's own process, on a free port of loopback, over a temporary folder.
//!
//! Replacements under a condition (`If-Match`, `If-None-Match`) are atomic, as those of S3 are: requests that change
//! something come one after the other. It can be stopped and started again, and lose answers to what it has done.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use hyper::body::Incoming;
use hyper::{Method, Request, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tokio::task::{JoinHandle, JoinSet};

const KEY: &str = "weir-test";
const SECRET: &str = "weir-test-secret";

/// A server with one bucket; ended, and its data removed, when it is dropped.
#[derive(Debug)]
pub(super) struct S3 {
    folder: TempDir,
    bucket: String,
    port: u16,
    handler: Handler,
    serving: Option<JoinHandle<()>>,
}

/// What it was asked for so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Objects, and parts of objects, that were put.
    pub puts: AtomicU64,
    /// Of these, under a condition.
    pub conditional: AtomicU64,
    /// Conditions that did not hold.
    pub refused: AtomicU64,
    /// Objects that came in parts.
    pub multipart: AtomicU64,
    /// Answers that were lost.
    pub lost: AtomicU64,
}

#[derive(Debug, Clone)]
struct Handler {
    service: S3Service,
    /// Held to change something, and shared to read.
    changes: Arc<RwLock<()>>,
    counts: Arc<Counts>,
    /// Of so many changes, the answer to one is lost; 0 is never.
    lose: Arc<AtomicU64>,
}

impl S3 {
    /// Starts one.
    pub(super) async fn start(bucket: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join(bucket))?;
        let files = FileSystem::new(folder.path()).map_err(|error| anyhow::anyhow!("s3s-fs: {error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let handler =
            Handler { service: builder.build(), changes: Arc::default(), counts: Arc::default(), lose: Arc::default() };
        let mut s3 = Self { folder, bucket: bucket.to_owned(), port: 0, handler, serving: None };
        s3.restart().await?;
        Ok(s3)
    }

    /// What a client's environment holds.
    pub(super) fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// Where the bucket's objects lie as files.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().join(&self.bucket)
    }

    /// What it was asked for.
    pub(super) fn counts(&self) -> &Counts {
        &self.handler.counts
    }

    /// From now on, the answer to one of so many changes is lost, after the change was made; 0 is never.
    pub(super) fn lose_answers(&self, one_of: u64) {
        self.handler.lose.store(one_of, Ordering::Relaxed);
    }

    /// Cuts all connections and listens no longer.
    pub(super) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // An error says that it was aborted.
            let _ = serving.await;
        }
    }

    /// Listens again on the same port.
    pub(super) async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        self.port = listener.local_addr()?.port();
        self.serving = Some(tokio::spawn(serve(listener, self.handler.clone())));
        Ok(())
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

/// Connections end with the task.
async fn serve(listener: TcpListener, handler: Handler) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let handler = handler.clone();
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let handler = handler.clone();
                async move { handler.answer(request).await }
            });
            // A client that goes away is its own matter.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("lost")]
struct Lost;

impl Handler {
    async fn answer(&self, request: Request<Incoming>) -> Result<s3s::HttpResponse, Lost> {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            let _shared = self.changes.read().await;
            return self.service.call(request.map(s3s::Body::from)).await.map_err(|_| Lost);
        }
        // Whole or not at all, even where the client goes away meanwhile.
        let handler = self.clone();
        tokio::spawn(async move { handler.change(request).await }).await.map_err(|_| Lost)?
    }

    async fn change(&self, request: Request<Incoming>) -> Result<s3s::HttpResponse, Lost> {
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed) + 1;
        let headers = request.headers();
        let is_conditional = headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH);
        let is_put = *request.method() == Method::PUT;
        let is_multipart = request.uri().query().is_some_and(|query| query.starts_with("uploads"));
        let _alone = self.changes.write().await;
        let answer = self.service.call(request.map(s3s::Body::from)).await.map_err(|_| Lost)?;
        let counts = &self.counts;
        if is_multipart {
            count(&counts.multipart);
        }
        if is_conditional {
            count(&counts.conditional);
        }
        if answer.status() == hyper::StatusCode::PRECONDITION_FAILED {
            count(&counts.refused);
        }
        let lose = self.lose.load(Ordering::Relaxed);
        let puts = if is_put { count(&counts.puts) } else { 0 };
        if is_put && lose > 0 && puts.is_multiple_of(lose) {
            count(&counts.lost);
            return Err(Lost);
        }
        Ok(answer)
    }
}
