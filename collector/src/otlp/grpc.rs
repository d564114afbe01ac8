//! OTLP/gRPC: the three unary `Export` calls.
//!
//! Read by hand rather than through generated services, which would decode every message only to have it encoded
//! again, and which answer what is broken or too large with codes that OTLP does not know.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::post;
use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use tonic::Status;
use tracing::Instrument;

use super::body::{self, Encoding};
use super::http::success_protobuf;
use super::intake::{Intake, Partial, Sent};
use super::refusal::Refusal;
use super::signal::Signal;

/// What `grpc-accept-encoding` says.
pub(super) const ENCODINGS: &str = "identity,gzip,deflate,zstd";

/// Flag and length before a message.
const PREFIX: usize = 5;

pub(super) fn router(intake: &Intake) -> Router {
    let router = Router::new().fallback(unknown);
    Signal::ALL.into_iter().fold(router, |router, signal| {
        let export = move |State(intake): State<Intake>, request: Request| export(intake, signal, request);
        router.route(signal.grpc_path(), post(export).with_state(intake.clone()))
    })
}

async fn unknown() -> Response<Body> {
    Status::unimplemented("OTLP's Export calls of logs, traces and metrics are here, nothing else").into_http()
}

async fn export(intake: Intake, signal: Signal, request: Request) -> Response<Body> {
    if !is_grpc(request.headers()) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let quiet = super::is_own(request.headers());
    let span = super::span(signal, "grpc", quiet);
    let outcome = taken(&intake, signal, request).instrument(span).await;
    intake.answered(signal, "grpc", quiet, outcome.as_ref().map(|_| ()));
    match outcome {
        Ok(partial) => success(&partial),
        Err(refusal) => refusal.grpc(),
    }
}

async fn taken(intake: &Intake, signal: Signal, request: Request) -> Result<Partial, Refusal> {
    let (parts, mut body) = request.into_parts();
    let tenants = intake.tenants_of(&parts).await?;
    let named = Encoding::of(&parts.headers, "grpc-encoding")?;
    let mut share = intake.enter().await?;
    let limit = share.body() + PREFIX;
    let length = |first: &[u8]| match first {
        [_, a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]) as usize + PREFIX,
        _ => 0,
    };
    let mut frame = body::read(&parts.headers, &mut body, limit, &mut share, named.times(false), length).await?;
    if frame.len() < PREFIX {
        return Err(Refusal::Frame("it ends inside its prefix"));
    }
    let encoding = match frame.get_u8() {
        0 => Encoding::Identity,
        1 => named,
        _ => return Err(Refusal::Frame("its flag is neither 0 nor 1")),
    };
    if frame.get_u32() as usize != frame.len() {
        return Err(Refusal::Frame("its length is not that of its prefix"));
    }
    intake.take(Sent { signal, encoding, json: false, body: frame, tenants, share }).await
}

fn success(partial: &Partial) -> Response<Body> {
    let message = success_protobuf(partial);
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(ENCODINGS));
    response
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["application/grpc", "application/grpc+proto"].iter().any(|known| kind.eq_ignore_ascii_case(known))
}
