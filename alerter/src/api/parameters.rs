//! Parameters of Prometheus' API: of the address and of a form alike, as Go's `FormValue` has it, and whatever else a
//! client adds. Those of weir's own paths are refused where they are not known.

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use weir_service::http::Problem;

use super::answer::Failure;

/// Names and values; names repeat. Those of the form come first.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The first value of a name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// All values of a name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A time in unix milliseconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let time = weir_service::time::parse(text, weir_service::time::now_unix_nano());
        Ok(Some(time.map_err(|error| Failure::parameter(name, error))?.div_euclid(1_000_000)))
    }

    /// How many items an answer may have; 0 is as many as there are.
    pub(super) fn limit(&self) -> Result<usize, Failure> {
        let Some(text) = self.get("limit") else { return Ok(0) };
        text.parse().map_err(|_| Failure::parameter("limit", format!("«{text}» is not a number of items, such as 100")))
    }
}

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let Query(of_address) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|error| Failure::bad(format!("the address' parameters: {error}")))?;
        let form = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        let mut all = Vec::new();
        if form && request.method() == Method::POST {
            let Form(of_form) = Form::<Vec<(String, String)>>::from_request(request, state)
                .await
                .map_err(|error| Failure::bad(format!("the form's parameters: {error}")))?;
            all = of_form;
        }
        all.extend(of_address);
        Ok(Self(all))
    }
}

/// Refuses a parameter that is not `known`: the answer would be as if nothing had been asked for.
pub(super) fn only(known: &[&str], parameters: &[(String, String)]) -> Result<(), Problem> {
    let Some((name, _)) = parameters.iter().find(|(name, _)| !known.contains(&name.as_str())) else { return Ok(()) };
    let right = if known.is_empty() { "it takes none".to_owned() } else { format!("use {}", known.join(", ")) };
    Err(Problem::parameter(name, format!("there is no parameter `{name}`: {right}")))
}

/// A path of weir's own that takes no parameters.
#[derive(Debug)]
pub(super) struct NoParameters;

impl<S: Send + Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let of_address = weir_service::http::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        only(&[], &of_address.0).map(|()| Self)
    }
}
