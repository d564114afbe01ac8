//! OTLP/HTTP: `POST /v1/logs|traces|metrics`, protobuf or JSON.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::post;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, header};
use tracing::Instrument;

use super::body::{self, Encoding};
use super::intake::{Intake, Partial, Sent};
use super::refusal::Refusal;
use super::signal::Signal;
use super::wire;

pub(super) fn router(intake: &Intake) -> Router {
    Signal::ALL.into_iter().fold(Router::new(), |router, signal| {
        let export = move |State(intake): State<Intake>, request: Request| export(intake, signal, request);
        router.route(signal.http_path(), post(export).with_state(intake.clone()))
    })
}

async fn export(intake: Intake, signal: Signal, request: Request) -> Response<Body> {
    let quiet = super::is_own(request.headers());
    let (parts, mut body) = request.into_parts();
    let json = is_json(&parts.headers);
    let span = super::span(signal, "http", quiet);
    let outcome = taken(&intake, signal, &parts, &mut body).instrument(span).await;
    intake.answered(signal, "http", quiet, outcome.as_ref().map(|_| ()));
    match outcome {
        Ok(partial) => success(signal, &partial, json.unwrap_or_default()),
        Err(refusal) => {
            body::pass_over(&parts.headers, body);
            refusal.http(json.unwrap_or(true))
        }
    }
}

async fn taken(intake: &Intake, signal: Signal, parts: &Parts, body: &mut Body) -> Result<Partial, Refusal> {
    let (headers, tenants) = (&parts.headers, intake.tenants_of(parts).await?);
    let json = is_json(headers).ok_or_else(|| unknown_type(headers))?;
    let encoding = Encoding::of(headers, "content-encoding")?;
    let mut share = intake.enter().await?;
    let limit = share.body();
    let body = body::read(headers, body, limit, &mut share, encoding.times(json), |_| 0).await?;
    intake.take(Sent { signal, encoding, json, body, tenants, share }).await
}

fn success(signal: Signal, partial: &Partial, json: bool) -> Response<Body> {
    let (kind, body) = if json {
        ("application/json", success_json(signal, partial))
    } else {
        ("application/x-protobuf", success_protobuf(partial))
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An `Export…ServiceResponse`: all three are written alike.
pub(super) fn success_protobuf(partial: &Partial) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(reason) = &partial.reason {
        let mut inner = Vec::new();
        if partial.refused > 0 {
            inner.push(1 << 3);
            wire::put_varint(&mut inner, partial.refused);
        }
        wire::put_bytes(&mut inner, 2, reason.as_bytes());
        wire::put_bytes(&mut out, 1, &inner);
    }
    out
}

fn success_json(signal: Signal, partial: &Partial) -> Vec<u8> {
    let Some(reason) = &partial.reason else { return b"{}".to_vec() };
    let mut inner = serde_json::Map::new();
    inner.insert(signal.rejected_name().to_owned(), partial.refused.to_string().into());
    inner.insert("errorMessage".to_owned(), reason.as_str().into());
    serde_json::json!({ "partialSuccess": inner }).to_string().into_bytes()
}

/// Whether the body is JSON (else protobuf); `None` for a type that is neither.
fn is_json(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default().trim();
    match kind.to_ascii_lowercase().as_str() {
        "application/json" => Some(true),
        "application/x-protobuf" | "application/protobuf" => Some(false),
        _ => None,
    }
}

fn unknown_type(headers: &HeaderMap) -> Refusal {
    let value = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    Refusal::UnknownType(String::from_utf8_lossy(value).chars().take(100).collect())
}
