//! Silences in the shapes of Alertmanager's API, version 2.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use weir_service::http::{Json as Posted, Problem, Query};
use weir_service::telemetry::whole;

use super::Api;
use super::parameters::{NoParameters, only};
use crate::notify::{BookError, LabelMatcher, MatcherError, PostedSilence, Silence};

fn now_ms() -> i64 {
    weir_service::time::now_unix_nano() / 1_000_000
}

fn shown(silence: &Silence) -> Value {
    let time = |ms: i64| weir_service::time::format(ms.saturating_mul(1_000_000));
    json!({
        "id": silence.id,
        "status": {"state": silence.state(now_ms())},
        "matchers": silence.matchers,
        "startsAt": time(silence.starts_at_ms),
        "endsAt": time(silence.ends_at_ms),
        "updatedAt": time(silence.updated_at_ms),
        "createdBy": silence.created_by,
        "comment": silence.comment,
    })
}

fn problem(error: &BookError) -> Problem {
    match error {
        BookError::Silence(error) if error.field == "id" => Problem::new(StatusCode::NOT_FOUND, error.to_string()),
        BookError::Silence(error) => Problem::parameter(error.field, error.to_string()),
        BookError::Unknown(_) => Problem::new(StatusCode::NOT_FOUND, error.to_string()),
        BookError::Io(source) => {
            tracing::error!(error = %whole(source), "silences cannot be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    }
}

impl Api {
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Self) -> Result<T, BookError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.blocking(change).await?.map_err(|error| problem(&error))
    }
}

/// All, or those of the matchers in `filter`, which may be there more than once.
pub(super) async fn list(
    State(api): State<Api>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    only(&["filter"], &parameters)?;
    let matcher =
        |text: &str| text.parse().map_err(|error: MatcherError| Problem::parameter("filter", error.to_string()));
    let asked = parameters.iter().map(|(_, text)| matcher(text)).collect::<Result<Vec<LabelMatcher>, _>>()?;
    api.blocking(move |api| {
        let silences = api.silences.silences();
        Json(silences.all().filter(|silence| silence.is_of(&asked)).map(shown).collect())
    })
    .await
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(id): Path<String>,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let silences = api.silences.silences();
    let found = silences.all().find(|silence| silence.id == id);
    found.map(|silence| Json(shown(silence))).ok_or_else(|| problem(&BookError::Unknown(id)))
}

pub(super) async fn post(
    State(api): State<Api>,
    _: NoParameters,
    Posted(posted): Posted<PostedSilence>,
) -> Result<Json<Value>, Problem> {
    let id = api.change(move |api| api.silences.put(posted, now_ms())).await?;
    Ok(Json(json!({"silenceID": id})))
}

pub(super) async fn delete(
    State(api): State<Api>,
    Path(id): Path<String>,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    api.change(move |api| api.silences.expire(&id, now_ms())).await?;
    Ok(StatusCode::OK)
}
