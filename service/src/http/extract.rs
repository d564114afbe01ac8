use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::Problem;

/// Query parameters; what is wrong becomes a [`Problem`] that names the parameter.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// A JSON body; what is wrong becomes a [`Problem`].
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|error| rejected(&error))
    }
}

fn rejected(error: &QueryRejection) -> Problem {
    let text = error.body_text();
    let detail = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, detail)| detail);
    // serde names the parameter either before a colon or, where it is unknown or missing, between backquotes.
    let quoted = detail.split('`').nth(1).filter(|_| detail.contains("field `"));
    let before = detail.split_once(": ").map(|(name, _)| name).filter(|name| !name.contains(' '));
    match quoted.or(before) {
        Some(name) => Problem::parameter(name, detail),
        None => Problem::new(error.status(), detail),
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = axum::Json::from_request(request, state).await;
        json.map(|json| Self(json.0)).map_err(|error: JsonRejection| Problem::new(error.status(), error.body_text()))
    }
}
