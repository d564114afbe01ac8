//! What happens to every request before and after its handler.

use std::hash::{BuildHasher as _, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::{FutureExt as _, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Problem;
use crate::telemetry::{REQUEST_TARGET, SELF_HEADER, continue_trace};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Limits of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Greatest body of a request, in bytes as sent.
    pub body: usize,
    /// Greatest head of a request, in bytes; at least 8192.
    pub head: usize,
    /// Requests that are answered at the same time; others get 503. A stream counts until its first byte only.
    pub requests: usize,
    /// Connections that are open at the same time; others wait. One address has half of them at most: what is more is
    /// closed.
    pub connections: usize,
    /// Until an answer begins, the body of the request included. A stream may then go on.
    pub answer: Duration,
    /// After the request to stop, until connections are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 << 20,
            head: 64 << 10,
            requests: 256,
            connections: 4096,
            answer: Duration::from_mins(1),
            drain: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Guard {
    limits: Limits,
    permits: Arc<Semaphore>,
    ids: Arc<(RandomState, AtomicU64)>,
    seconds: Option<Histogram<f64>>,
    shutdown: CancellationToken,
}

impl Guard {
    pub(super) fn new(limits: Limits, meter: Option<&Meter>, shutdown: CancellationToken) -> Self {
        let seconds = meter.map(|meter| {
            meter
                .f64_histogram("weir_http_request_duration")
                .with_unit("s")
                .with_description("Time until the answer to a request began")
                .with_boundaries(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0])
                .build()
        });
        let permits = Arc::new(Semaphore::new(limits.requests));
        Self { limits, permits, ids: Arc::default(), seconds, shutdown }
    }

    fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        let sane = |id: &&HeaderValue| {
            (1..=128).contains(&id.len())
                && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:/=+".contains(b))
        };
        headers.get(REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
            let (random, count) = &*self.ids;
            let id = random.hash_one(count.fetch_add(1, Ordering::Relaxed));
            HeaderValue::from_str(&format!("{id:016x}")).unwrap_or(HeaderValue::from_static("none"))
        })
    }

    async fn answer(&self, request: Request, next: Next) -> Response {
        let limit = self.limits.body;
        if request.body().size_hint().lower() > limit as u64 {
            return too_large(limit).into_response();
        }
        let Ok(_permit) = self.permits.try_acquire() else {
            return Problem::busy("too many requests at the same time", 1).into_response();
        };
        let waits = Arc::new(AtomicBool::new(false));
        let request = request.map(|body| Body::new(http_body_util::Limited::new(watched(body, waits.clone()), limit)));
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(self.limits.answer, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(_panic)) => {
                tracing::error!("a request ended in a panic");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "an error in weir; its log says more").into_response()
            }
            Err(_) if waits.load(Ordering::Relaxed) => {
                let detail = format!("the body did not come whole within {:?}", self.limits.answer);
                Problem::new(StatusCode::REQUEST_TIMEOUT, detail).into_response()
            }
            Err(_) => Problem::busy(format!("no answer within {:?}", self.limits.answer), 5).into_response(),
        }
    }
}

/// The same body; `waits` says whether more of it is being waited for.
fn watched(body: Body, waits: Arc<AtomicBool>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let mut pieces = body.into_data_stream();
    Body::from_stream(futures::stream::poll_fn(move |context| {
        let piece = pieces.poll_next_unpin(context);
        waits.store(piece.is_pending(), Ordering::Relaxed);
        piece
    }))
}

/// Methods that nobody has defined would make ever more series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
}

pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = guard.request_id(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let span = if request.headers().contains_key(SELF_HEADER) {
        tracing::Span::none()
    } else {
        tracing::info_span!(
            target: REQUEST_TARGET,
            "request",
            otel.name = %format_args!("{method} {route}"),
            otel.kind = "server",
            http.request.method = %method,
            http.route = %route,
            http.response.status_code = tracing::field::Empty,
            request_id = id.to_str().unwrap_or_default(),
        )
    };
    continue_trace(&span, request.headers());
    let response = guard.answer(request, next).instrument(span.clone()).await;
    let mut response = explained(response, method.as_str(), &path, guard.limits.body).await;
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    if let Some(seconds) = &guard.seconds {
        let labels = [
            KeyValue::new("method", known(&method)),
            KeyValue::new("route", route),
            KeyValue::new("status", i64::from(status)),
        ];
        seconds.record(started.elapsed().as_secs_f64(), &labels);
    }
    if super::door::is_live(&response) {
        // A live stream has no end of its own, and would hold up a graceful stop.
        let stop = guard.shutdown.clone().cancelled_owned();
        response = response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(stop))));
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Errors that no handler wrote (no such path, a body that could not be read) are plain text or empty; they become
/// problems too. What a handler wrote with a type of its own is left alone.
pub(super) async fn explained(response: Response, method: &str, path: &str, body_limit: usize) -> Response {
    let status = response.status();
    let plain =
        response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !plain || !(status.is_client_error() || status.is_server_error()) || method == "HEAD" {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let problem = match status {
        StatusCode::NOT_FOUND if text.is_empty() => Problem::new(status, format!("there is nothing at {path}")),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(status, format!("{path} does not take {method}")),
        StatusCode::PAYLOAD_TOO_LARGE => too_large(body_limit),
        _ => Problem::new(status, text.into_owned()),
    };
    let mut response = problem.into_response();
    for (name, value) in &parts.headers {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}
