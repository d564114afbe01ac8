//! Envoy's `RateLimitService` over gRPC: one unary call.
//!
//! Read by hand rather than through a generated server: a credential is asked for before the message is read, and a
//! decision takes little more than its frames.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::post;
use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use tonic::{Code, Status};
use weir_proto::envoy::config::core::v3::HeaderValue as Added;
use weir_proto::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use weir_service::auth::{Access, Auth};
use weir_service::http::Peer;

use super::headers::headers;
use super::request::{MAX_BODY, Refusal};
use super::service::Service;

/// As Envoy asks for it.
pub(super) const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// Health checks of Envoy and Kubernetes, which hold no tenant's data.
const HEALTH_PATH: &str = "/grpc.health.v1.Health/Check";

/// `grpc.health.v1.HealthCheckResponse` that says `SERVING`.
const SERVING: &[u8] = &[0x08, 0x01];

/// Flag and length before a message.
const PREFIX: usize = 5;

/// A message has this long to come.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What the call needs; cheap to clone.
#[derive(Clone)]
pub(super) struct Grpc {
    pub(super) service: Arc<Service>,
    pub(super) auth: Auth,
    /// Whether answers carry `x-ratelimit-*`.
    pub(super) has_headers: bool,
}

pub(super) fn router(grpc: Grpc) -> Router {
    let health = || async { framed(SERVING.len(), |frame| frame.put_slice(SERVING)) };
    Router::new()
        .route(PATH, post(should_rate_limit).with_state(grpc))
        .route(HEALTH_PATH, post(health))
        .fallback(unknown)
}

async fn unknown() -> Response<Body> {
    Status::unimplemented("envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit is here, nothing else")
        .into_http()
}

async fn should_rate_limit(State(grpc): State<Grpc>, request: Request) -> Response<Body> {
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !kind.starts_with(b"application/grpc") {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    match grpc.answer(request).await {
        // It has room for all of it.
        Ok(response) => framed(response.encoded_len(), |frame| {
            let _ = response.encode(frame);
        }),
        Err(status) => status.into_http(),
    }
}

impl Grpc {
    async fn answer(&self, request: Request) -> Result<RateLimitResponse, Status> {
        let refused = |refusal: Refusal| Status::new(refusal.code(), refusal.to_string());
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.address.ip());
        let admitted = self.auth.admit(Access::Send, &parts.headers, &[], peer).await;
        let tenants = admitted.map_err(|denied| refused(denied.into()))?.tenants;
        let message = tokio::time::timeout(READ_TIMEOUT, message(body)).await;
        let message = message.map_err(|_| Status::deadline_exceeded("the message did not come in time"))??;
        let request = RateLimitRequest::decode(message);
        let request = request.map_err(|error| Status::invalid_argument(format!("not a RateLimitRequest: {error}")))?;
        let mut response = self.service.answer(&request, &tenants, super::now_unix()).await.map_err(refused)?;
        if self.has_headers {
            let added = headers(&response).into_iter().flatten();
            let added = added.map(|(key, value)| Added { key: key.to_owned(), value });
            response.response_headers_to_add = added.collect();
        }
        Ok(response)
    }
}

/// The one message of a body.
async fn message(mut body: Body) -> Result<Bytes, Status> {
    let mut read = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::cancelled(format!("the message broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + read.len() + data.len() > MAX_BODY + PREFIX {
            return Err(Status::resource_exhausted(format!("the message is larger than {MAX_BODY} bytes")));
        }
        // Nearly always there is one piece, which need not be copied.
        if first.is_empty() && read.is_empty() {
            first = data;
        } else {
            read.extend_from_slice(&std::mem::take(&mut first));
            read.extend_from_slice(&data);
        }
    }
    let mut frame = if read.is_empty() { first } else { read.freeze() };
    if frame.len() < PREFIX {
        return Err(Status::internal("the message ends inside its prefix"));
    }
    if frame.get_u8() != 0 {
        return Err(Status::new(Code::Unimplemented, "compressed messages are not read; send them as they are"));
    }
    if frame.get_u32() as usize != frame.len() {
        return Err(Status::internal("the length of the message is not that of its prefix"));
    }
    Ok(frame)
}

fn framed(length: usize, write: impl FnOnce(&mut BytesMut)) -> Response<Body> {
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    write(&mut frame);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
