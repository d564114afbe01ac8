//! Elasticsearch's `_bulk`: documents become log records and go the way of OTLP exports, spool and back-pressure included.
//!
//! **Delivery.** A request is answered when all of its documents that could be read are durable, as an OTLP export is; each
//! of the others has its own error in the answer. Documents have no identity here: the `_id` that is sent is kept as an
//! attribute of that name, and one that is sent twice is there twice.

mod bulk;
mod document;
#[cfg(test)]
mod tests;
mod values;

use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;
use tracing::Instrument as _;
use weir_service::auth::Access;
use weir_service::elastic::{Fault, answer, handshake};
use weir_service::http::{Route, Routes};

use self::bulk::Bulk;
use super::body::{self, Encoding, RECORDS_OF_JSON};
use super::intake::Intake;
use super::refusal::Refusal;
use super::signal::Signal;
use super::split::{Sizes, split};

const PROTOCOL: &str = "elastic";

/// `_bulk`, for the listener of the role.
pub(super) fn routes(intake: &Intake) -> Routes {
    let mut routes = Routes::new();
    for path in ["/elastic/_bulk", "/elastic/{index}/_bulk"] {
        for method in [Method::POST, Method::PUT] {
            let about = "Elasticsearch's API: documents in, which become log records";
            let route = Route { method, ..Route::post(path, Access::Send, about) };
            routes = routes.on(route, bulk);
        }
    }
    routes.with_state(intake)
}

/// The handshake and `_bulk`, for OTLP's listener; whoever may not send is let into neither.
pub(super) fn router(intake: &Intake) -> Router {
    let admit = |State(intake): State<Intake>, request: Request, next: Next| async move {
        let (parts, body) = request.into_parts();
        match intake.tenants_of(&parts).await {
            Ok(_) => next.run(Request::from_parts(parts, body)).await,
            Err(refusal) => refused(&refusal),
        }
    };
    let handshake = handshake().open().route_layer(axum::middleware::from_fn_with_state(intake.clone(), admit));
    // `_bulk` asks by itself who sends.
    routes(intake).open().merge(handshake)
}

async fn bulk(
    State(intake): State<Intake>,
    index: Result<Option<Path<String>>, PathRejection>,
    request: Request,
) -> Response {
    let began = Instant::now();
    let quiet = super::is_own(request.headers());
    let (parts, mut body) = request.into_parts();
    let index = match index {
        Ok(index) => index.map(|Path(index)| index),
        Err(rejection) => return Fault::argument(rejection.body_text()).into_response(),
    };
    let span = super::span(Signal::Logs, PROTOCOL, quiet);
    let outcome = taken(&intake, index, &parts, &mut body).instrument(span).await;
    intake.answered(Signal::Logs, PROTOCOL, quiet, outcome.as_ref().map(|_| ()));
    match outcome {
        Ok(Ok(bulk)) => {
            let items = bulk.answers();
            let took = began.elapsed().as_millis() as u64;
            answer(StatusCode::OK, json!({"took": took, "errors": bulk.has_errors(), "items": items}))
        }
        Ok(Err(fault)) => fault.into_response(),
        Err(refusal) => {
            body::pass_over(&parts.headers, body);
            refused(&refusal)
        }
    }
}

/// Takes a request in; the inner error is one of the whole request's content.
async fn taken(
    intake: &Intake,
    index: Option<String>,
    parts: &Parts,
    body: &mut Body,
) -> Result<Result<Bulk, Fault>, Refusal> {
    let tenants = intake.tenants_of(parts).await?;
    let encoding = Encoding::of(&parts.headers, "content-encoding")?;
    let mut share = intake.enter().await?;
    let limit = share.body();
    let body = body::read(&parts.headers, body, limit, &mut share, encoding.times(true), |_| 0).await?;
    let most = intake.most(Signal::Logs)?;
    let sizes = Sizes::of(Signal::Logs, most.unwrap_or(weir_proto::MAX_SINGLE_BYTES));
    let reading = tokio::task::spawn_blocking(move || {
        let body = encoding.unpack(body, &mut share)?;
        share.grow(body.len() * RECORDS_OF_JSON)?;
        let mut bulk = match Bulk::read(&body, index.as_deref(), &tenants, sizes) {
            Ok(bulk) => bulk,
            Err(fault) => return Ok(Err(fault)),
        };
        let split = split(Signal::Logs, &bulk.take_request(), &tenants, sizes)?;
        Ok::<_, Refusal>(Ok((bulk, split, share)))
    });
    let (bulk, split, share) = match reading.await.map_err(|_| Refusal::Internal)?? {
        Ok(read) => read,
        Err(fault) => return Ok(Err(fault)),
    };
    let partial = intake.deliver(Signal::Logs, split, most).await?;
    drop(share);
    // What is too large was left out before, by its item.
    if let Some(reason) = partial.reason.filter(|_| partial.refused > 0) {
        return Ok(Err(Fault::argument(format!("{} documents were not taken: {reason}", partial.refused))));
    }
    Ok(Ok(bulk))
}

/// As Elasticsearch answers: 429 and 503 say when to try again.
fn refused(refusal: &Refusal) -> Response {
    let status = refusal.http_status();
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => "es_rejected_execution_exception",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "security_exception",
        status if status.is_server_error() => "unavailable_shards_exception",
        _ => "illegal_argument_exception",
    };
    let retry_after = refusal.retry_after().map(|after| after.as_secs());
    let mut response = Fault { retry_after, ..Fault::new(status, kind, refusal.to_string()) }.into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static(r#"Basic realm="weir""#);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
