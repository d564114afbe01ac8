//! Parameters of Prometheus' API: of the address and of a form alike, as Go's `FormValue` has it, and whatever else a
//! client adds.

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts as _, Query, Request};
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::CONTENT_TYPE;
use weir_service::audit::Note;
use weir_service::auth::Tenants;

use super::answer::Failure;
use crate::rules::parse_duration;

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
        self.count("limit")
    }

    /// A number of items; 0 where it is not given.
    pub(super) fn count(&self, name: &str) -> Result<usize, Failure> {
        let Some(text) = self.get(name) else { return Ok(0) };
        text.parse().map_err(|_| Failure::parameter(name, format!("«{text}» is not a number of items, such as 100")))
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            None | Some("false" | "0" | "f") => Ok(false),
            Some("true" | "1" | "t") => Ok(true),
            Some(text) => Err(Failure::parameter(name, format!("«{text}» is neither true nor false"))),
        }
    }

    /// A duration in milliseconds, as seconds (15, 0.5) or as Prometheus writes it (1m30s); more than zero.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().map(|seconds| (seconds * 1000.0).round());
        let ms = seconds.or_else(|| Some(parse_duration(text)? as f64)).filter(|ms| (1.0..1e15).contains(ms));
        let wrong = || format!("«{text}» is neither seconds (15) nor a duration (1m30s), or it is not positive");
        ms.map(|ms| Some(ms as i64)).ok_or_else(|| Failure::parameter(name, wrong()))
    }
}

/// What is asked for, and by whom: a form narrows to tenants as the address does.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) tenants: Tenants,
    pub(super) parameters: Parameters,
}

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let tenants = Tenants::from_request_parts(&mut parts, state).await;
        let tenants = tenants.map_err(IntoResponse::into_response)?;
        let note = parts.extensions.get::<Note>().cloned();
        let parameters = Parameters::read(Request::from_parts(parts, body), state, note.as_ref()).await;
        let parameters = parameters.map_err(IntoResponse::into_response)?;
        let narrowed: Vec<&str> = parameters.all(super::view::TENANT).collect();
        let tenants = if narrowed.is_empty() {
            tenants
        } else {
            tenants.narrow(narrowed).map_err(IntoResponse::into_response)?
        };
        Ok(Self { tenants, parameters })
    }
}

impl Parameters {
    async fn read<S: Send + Sync>(request: Request, state: &S, note: Option<&Note>) -> Result<Self, Failure> {
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
            if let Some(note) = note {
                let pairs = of_form.iter().map(|(name, value)| format!("{name}={value}"));
                note.add(&pairs.collect::<Vec<_>>().join("&"));
            }
            all = of_form;
        }
        all.extend(of_address);
        Ok(Self(all))
    }
}
