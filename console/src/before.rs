//! What is done with every request before its credential is checked.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, header};
use weir_service::http::{Peer, Problem};

use crate::cookies::{Cookie, is_secure};
use crate::sessions::{Session, State};
use crate::{CALLBACK, Shared, assets, origin, sign_in};

pub(crate) async fn before(shared: Arc<Shared>, mut request: Request) -> Result<Request, Response> {
    let headers = request.headers();
    // What other machines reach without `auth` was opened to them on purpose.
    let is_local =
        request.extensions().get::<Peer>().is_some_and(|peer| peer.address.ip().to_canonical().is_loopback());
    if is_local && !shared.auth.is_on() && !origin::is_of_this_machine(request.uri(), headers) {
        let detail = "this weir asks for no credential, so it answers to addresses and to localhost alone: open it as \
                      http://127.0.0.1:PORT, have a proxy in front of it send such a Host, or configure `auth`";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response());
    }
    let cookie = Cookie::Session.of(headers, is_secure(headers, shared.is_tls)).map(str::to_owned);
    if !origin::is_allowed(request.method(), request.uri(), headers, cookie.is_some()) {
        let detail = "a page of another site made the browser send this: writes must come from the console itself. \
                      Where a proxy stands in front, it must leave Host as the browser sent it";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail).into_response());
    }
    // The provider may be told another address than the console's own.
    let callback = shared.code_flow.as_ref().map_or(CALLBACK, |flow| flow.callback());
    if request.method() == Method::GET && callback != CALLBACK && request.uri().path() == callback {
        return Err(assets::page(headers));
    }
    // Files of the page are everybody's.
    if headers.contains_key(header::AUTHORIZATION) || request.uri().path().starts_with("/assets/") {
        return Ok(request);
    }
    if let Some(session) = cookie.and_then(|cookie| shared.sessions.find(&cookie))
        && let Some(bearer) = bearer(&shared, &session).await?
    {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        request.extensions_mut().insert(session);
    }
    Ok(request)
}

/// The credential of a session, renewed where its end is near; `None` where the session has ended. An error where the
/// credential has ended and the provider that could renew it is away.
async fn bearer(shared: &Arc<Shared>, session: &Session) -> Result<Option<HeaderValue>, Response> {
    let state = session.state(Instant::now());
    if let State::Usable(bearer) = state {
        return Ok(Some(bearer));
    }
    // In a task of its own, which ends whatever the browser does: a refresh token may be good for one renewal.
    let renewal = tokio::spawn({
        let (shared, session) = (shared.clone(), session.clone());
        async move { sign_in::renew(&shared, &session).await }
    });
    if let State::Due(bearer) = state {
        // Good for some seconds still: nobody waits for the provider.
        return Ok(Some(bearer));
    }
    if renewal.await.is_err() {
        return Ok(None);
    }
    match session.state(Instant::now()) {
        State::Usable(bearer) | State::Due(bearer) => Ok(Some(bearer)),
        State::Ended => Ok(None),
        State::Over => {
            let detail = "the identity provider does not answer, and the sign-in has to be renewed: try again";
            Err(Problem::busy(detail, 5).into_response())
        }
    }
}
