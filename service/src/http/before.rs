//! What a server does with a request before its credential is checked, such as turning a cookie into a credential.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt as _;
use futures::future::BoxFuture;

type Step = dyn Fn(Request) -> BoxFuture<'static, Result<Request, Response>> + Send + Sync;

/// Returns each request, changed or not, or answers it. It adds no route: what it returns passes the door like any other.
#[derive(Clone)]
pub struct Before(Arc<Step>);

impl Before {
    /// From a function.
    pub fn new<F>(step: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Request, Response>> + Send + 'static,
    {
        Self(Arc::new(move |request| step(request).boxed()))
    }
}

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Before")
    }
}

pub(super) async fn first(State(before): State<Option<Before>>, request: Request, next: Next) -> Response {
    let request = match before {
        Some(before) => (before.0)(request).await,
        None => Ok(request),
    };
    match request {
        Ok(request) => next.run(request).await,
        Err(response) => response,
    }
}
