//! What is done with every request before its credential is checked.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, header};
use weir_service::http::Problem;

use crate::cookies::{Cookie, is_secure};
use crate::sessions::Session;
use crate::{CALLBACK, Shared, assets, origin, sign_in};

pub(crate) async fn before(shared: Arc<Shared>, mut request: Request) -> Result<Request, Response> {
    let headers = request.headers();
    let cookie = Cookie::Session.of(headers, is_secure(headers, shared.is_tls)).map(str::to_owned);
    if !origin::is_allowed(request.method(), request.uri(), headers, cookie.is_some()) {
        let detail = "a page of another site made the browser send this: writes must come from the console itself, or \
                      show `authorization`";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail).into_response());
    }
    // The provider may be told another address than the console's own.
    let callback = shared.code_flow.as_ref().map_or(CALLBACK, |flow| flow.callback());
    if request.method() == Method::GET && callback != CALLBACK && request.uri().path() == callback {
        return Err(assets::page(headers));
    }
    if headers.contains_key(header::AUTHORIZATION) {
        return Ok(request);
    }
    if let Some(session) = cookie.and_then(|cookie| shared.sessions.find(&cookie))
        && let Some(bearer) = bearer(&shared, &session).await
    {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        request.extensions_mut().insert(session);
    }
    Ok(request)
}

/// The credential of a session, renewed where its end is near; `None` where the session has ended.
async fn bearer(shared: &Arc<Shared>, session: &Session) -> Option<HeaderValue> {
    if let Some(bearer) = session.tokens.lock().await.usable(Instant::now()) {
        return Some(bearer);
    }
    // In a task of its own, which ends whatever the browser does: a refresh token may be good for one renewal.
    let (shared, session) = (shared.clone(), session.clone());
    let renewal = tokio::spawn(async move {
        let mut tokens = session.tokens.lock().await;
        if !sign_in::renew(&shared, &mut tokens).await {
            shared.sessions.end(&session);
            return None;
        }
        Some(tokens.bearer())
    });
    renewal.await.ok().flatten()
}
