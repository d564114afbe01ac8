//! `/auth/…`: who has signed in, with a token or by the identity provider, and the end of it.

mod attempts;
mod code_flow;
mod return_path;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use weir_service::auth::{Access, Credential, Denied};
use weir_service::http::{Peer, Problem, Query};

pub(crate) use code_flow::CodeFlow;

use crate::Shared;
use crate::cookies::{Cookie, is_secure};
use crate::sessions::{Session, State as SessionState, Tokens};
use code_flow::Failure;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A provider that was away is asked again for a session after this long.
const RETRY: Duration = Duration::from_secs(15);
/// Bodies of strangers: no larger, and read no longer.
const MAX_BODY: usize = 64 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

type Found = Option<Extension<Session>>;

/// A body of JSON, and of nothing else: a form of another site cannot send it.
async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body should be application/json"));
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, MAX_BODY)).await;
    let timed_out = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come within 5 seconds");
    let too_large = |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body cannot be read, or is over 64 KiB");
    let bytes = read.map_err(timed_out)?.map_err(too_large)?;
    // The error of the parser could show what it read, which is a secret.
    serde_json::from_slice(&bytes)
        .map_err(|_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the body is not the JSON that is wanted here"))
}

/// `GET /auth/session`: `{"auth", "tokens", "oidc", "callback", "version", "user": {"name", "role", "tenants"} | null}`.
pub(crate) async fn session(
    State(shared): State<Arc<Shared>>,
    peer: Option<Extension<Peer>>,
    session: Found,
    headers: HeaderMap,
) -> Response {
    let user = match credential(&shared, &headers, peer.as_deref(), headers.get(header::AUTHORIZATION)).await {
        Ok(user) => user,
        Err(denied) => {
            // Such as a token that was revoked: whoever asks signs in again.
            if let Some(session) = session.filter(|_| denied.status() == StatusCode::UNAUTHORIZED) {
                shared.sessions.end(&session);
            }
            None
        }
    };
    answer(&shared, user.as_ref())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    token: String,
}

/// `POST /auth/session` `{"token"}`: begins a session, and answers as GET does.
pub(crate) async fn with_token(
    State(shared): State<Arc<Shared>>,
    peer: Option<Extension<Peer>>,
    old: Found,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !shared.auth.is_on() {
        let detail = "there is no sign-in here: everybody may do everything, as `auth` is not configured";
        return Problem::new(StatusCode::CONFLICT, detail).into_response();
    }
    let token = match read(&headers, body).await {
        Ok(Shown { token }) => token,
        Err(problem) => return problem.into_response(),
    };
    let Some(tokens) = Tokens::new(token.trim(), None) else {
        return Problem::new(StatusCode::BAD_REQUEST, "`token` holds characters that no token has").into_response();
    };
    match begin(&shared, &headers, peer.as_deref(), old, tokens).await {
        Ok((cookie, user)) => with_cookies(answer(&shared, Some(&user)), [cookie]),
        Err(denied) => denied.into_response(),
    }
}

/// `DELETE /auth/session`: ends the session; `{"redirect": URL | null}` says where the provider's ends.
pub(crate) async fn out(State(shared): State<Arc<Shared>>, session: Found, headers: HeaderMap) -> Response {
    let mut redirect = None;
    if let Some(Extension(session)) = session {
        let granted = session.granted();
        shared.sessions.end(&session);
        if let (Some(granted), Some(flow), Some(provider)) = (granted, &shared.code_flow, shared.auth.provider()) {
            redirect = flow.end_session(provider, granted.id.as_deref()).await;
        }
    }
    let cleared = Cookie::Session.clear(is_secure(&headers, shared.is_tls));
    with_cookies(private(axum::Json(json!({ "redirect": redirect }))), [cleared])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    #[serde(default, rename = "return")]
    return_to: String,
}

/// `GET /auth/login?return=/logs`: sends the browser to the identity provider.
pub(crate) async fn login(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(Login { return_to }): Query<Login>,
) -> Response {
    let (Some(flow), Some(provider)) = (&shared.code_flow, shared.auth.provider()) else { return not_configured() };
    match flow.login(provider, return_path::checked(&return_to)).await {
        Ok((attempt, address)) => {
            let seconds = Some(attempts::MAX_AGE.as_secs());
            let cookie = Cookie::SignIn.set(&attempt, seconds, is_secure(&headers, shared.is_tls));
            with_cookies(private((StatusCode::FOUND, [(header::LOCATION, address)])), [cookie])
        }
        Err(failure) => failed(failure),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Callback {
    code: String,
    state: String,
}

/// `POST /auth/callback` `{"code", "state"}`, of the page that the provider sent the browser to: begins a session;
/// `{"return"}` is the path to go to.
pub(crate) async fn callback(
    State(shared): State<Arc<Shared>>,
    peer: Option<Extension<Peer>>,
    old: Found,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (Some(flow), Some(provider)) = (&shared.code_flow, shared.auth.provider()) else { return not_configured() };
    let Callback { code, state } = match read(&headers, body).await {
        Ok(told) => told,
        Err(problem) => return problem.into_response(),
    };
    let is_secure = is_secure(&headers, shared.is_tls);
    let attempt = Cookie::SignIn.of(&headers, is_secure);
    let (tokens, return_to) = match flow.finish(provider, attempt, &state, &code).await {
        Ok(finished) => finished,
        Err(failure) => return failed(failure),
    };
    match begin(&shared, &headers, peer.as_deref(), old, tokens).await {
        Ok((cookie, _)) => {
            let answer = private(axum::Json(json!({ "return": return_to })));
            with_cookies(answer, [cookie, Cookie::SignIn.clear(is_secure)])
        }
        Err(denied) => denied.into_response(),
    }
}

/// Renews the tokens of a session where that is due; ends it where the provider says no.
pub(crate) async fn renew(shared: &Shared, session: &Session) {
    let _renewal = session.renewal.lock().await;
    let now = Instant::now();
    // Whoever held this before may have done it.
    if !matches!(session.state(now), SessionState::Due(_) | SessionState::Over) {
        return;
    }
    let (Some(granted), Some(flow), Some(provider)) = (session.granted(), &shared.code_flow, shared.auth.provider())
    else {
        return shared.sessions.end(session);
    };
    if !granted.may_ask(now) {
        return;
    }
    match flow.renew(provider, &granted).await {
        Ok(tokens) => session.renewed(tokens),
        Err(Failure::Away(error)) => {
            tracing::warn!(error, "the identity provider does not answer: an access token is not renewed");
            session.retry_at(Instant::now() + RETRY);
        }
        Err(Failure::Refused(error)) => {
            tracing::info!(error, "the identity provider does not renew an access token: the session ends");
            shared.sessions.end(session);
        }
        Err(Failure::Attempt(_)) => shared.sessions.end(session),
    }
}

/// A session for whoever shows these tokens, in place of the one before; its cookie, and who it is of.
async fn begin(
    shared: &Shared,
    headers: &HeaderMap,
    peer: Option<&Peer>,
    old: Found,
    tokens: Tokens,
) -> Result<(HeaderValue, Credential), Denied> {
    let user = credential(shared, headers, peer, Some(&tokens.bearer())).await?;
    let user = user.ok_or(Denied::Unknown)?;
    if let Some(old) = old {
        shared.sessions.end(&old);
    }
    tracing::info!(name = &*user.name, role = %user.role, "signed in to the console");
    let secret = shared.sessions.begin(user.name.clone(), tokens);
    Ok((Cookie::Session.set(&secret, None, is_secure(headers, shared.is_tls)), user))
}

/// Who a bearer is of, by the rules of the door: failures are counted, and many are told to wait. `None` where there is
/// no credential, and one is needed.
async fn credential(
    shared: &Shared,
    headers: &HeaderMap,
    peer: Option<&Peer>,
    bearer: Option<&HeaderValue>,
) -> Result<Option<Credential>, Denied> {
    let mut asked = HeaderMap::new();
    for forwarded in headers.get_all(FORWARDED_FOR) {
        asked.append(FORWARDED_FOR, forwarded.clone());
    }
    match bearer {
        Some(bearer) => drop(asked.insert(header::AUTHORIZATION, bearer.clone())),
        None if shared.auth.options().is_some_and(|options| options.anonymous.is_none()) => return Ok(None),
        None => {}
    }
    let peer = peer.map(|peer| peer.address.ip());
    let admitted = shared.auth.admit(Access::Credential, &asked, &[], peer).await?;
    Ok(Some(admitted.credential))
}

fn answer(shared: &Shared, user: Option<&Credential>) -> Response {
    let options = shared.auth.options();
    let callback: Option<&str> = shared.code_flow.as_ref().map(CodeFlow::callback);
    let shown: Value = json!({
        "auth": shared.auth.is_on(),
        "tokens": options.is_some_and(|options| options.tokens.is_some()),
        "oidc": shared.code_flow.is_some(),
        "callback": callback,
        "version": env!("CARGO_PKG_VERSION"),
        "user": user,
    });
    private(axum::Json(shown))
}

/// An answer that nobody keeps.
fn private(answer: impl axum::response::IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_cookies<const N: usize>(mut response: Response, cookies: [HeaderValue; N]) -> Response {
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn not_configured() -> Response {
    let detail = "there is no sign-in by an identity provider here: set `auth.oidc.client_id` and \
                  `auth.oidc.redirect_url`";
    Problem::new(StatusCode::NOT_FOUND, detail).into_response()
}

fn failed(failure: Failure) -> Response {
    match failure {
        Failure::Attempt(why) => Problem::new(StatusCode::FORBIDDEN, why),
        Failure::Refused(why) => {
            tracing::warn!(error = why, "the identity provider refused a sign-in");
            Problem::new(StatusCode::UNAUTHORIZED, format!("the identity provider refused the sign-in: {why}"))
        }
        Failure::Away(why) => {
            tracing::warn!(error = why, "the identity provider does not answer a sign-in");
            Problem::busy("the identity provider does not answer: try again", 5)
        }
    }
    .into_response()
}
