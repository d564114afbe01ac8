//! Silences in the shapes of Alertmanager's API, version 2.

use axum::Json;
use axum::extract::{Extension, Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use weir_service::auth::{Credential, Tenants};
use weir_service::http::{Json as Posted, Problem, Query};
use weir_service::telemetry::whole;
use weir_service::time::now_unix_ms;

use super::Api;
use super::view::{TENANT, is_for};
use crate::notify::{BookError, LabelMatcher, MatcherError, PostedSilence, Silence, SilenceMatcher};

fn shown(silence: &Silence) -> Value {
    let time = |ms: i64| weir_service::time::format(ms.saturating_mul(1_000_000));
    json!({
        "id": silence.id,
        "status": {"state": silence.state(now_unix_ms())},
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

/// The matchers of all parameters `filter`.
pub(super) fn filters(parameters: &[(String, String)]) -> Result<Vec<LabelMatcher>, Problem> {
    let matcher =
        |text: &str| text.parse().map_err(|error: MatcherError| Problem::parameter("filter", error.to_string()));
    parameters.iter().filter(|(name, _)| name == "filter").map(|(_, text)| matcher(text)).collect()
}

/// All, or those of the matchers in `filter`, which may be there more than once.
pub(super) async fn list(
    State(api): State<Api>,
    tenants: Tenants,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    let asked = filters(&parameters)?;
    api.blocking(move |api| {
        let silences = api.sight.of(&tenants).silences();
        Json(silences.iter().filter(|silence| silence.is_of(&asked)).map(shown).collect())
    })
    .await
}

pub(super) async fn one(
    State(api): State<Api>,
    tenants: Tenants,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let silences = api.sight.of(&tenants).silences();
    let found = silences.iter().find(|silence| silence.id == id);
    found.map(|silence| Json(shown(silence))).ok_or_else(|| problem(&BookError::Unknown(id)))
}

/// As [`put`], of a silence that says who made it and why; of a credential with a name, it need not say who.
pub(super) async fn post(
    api: State<Api>,
    tenants: Tenants,
    credential: Extension<Credential>,
    Posted(posted): Posted<PostedSilence>,
) -> Result<Json<Value>, Problem> {
    let author = if posted.created_by.is_empty() { &credential.name } else { posted.created_by.as_str() };
    for (name, text, detail) in [
        ("createdBy", author, "createdBy: name who silences"),
        ("comment", &posted.comment, "comment: say why it is silenced, for those who look for the alert"),
    ] {
        if text.trim().is_empty() {
            return Err(Problem::parameter(name, detail));
        }
    }
    put(api, tenants, credential, Posted(posted)).await
}

/// Makes or changes a silence. One of a credential that is not of all tenants is for one of its tenants: one that names
/// none gets the only one.
pub(super) async fn put(
    State(api): State<Api>,
    tenants: Tenants,
    Extension(credential): Extension<Credential>,
    Posted(mut posted): Posted<PostedSilence>,
) -> Result<Json<Value>, Problem> {
    if !tenants.is_all() && !posted.matchers.iter().any(|matcher| is_for(matcher, &tenants)) {
        let named = posted.matchers.iter().find(|matcher| matcher.name == TENANT);
        let only = tenants.only().filter(|_| named.is_none()).map(str::to_owned);
        let value = only.ok_or_else(|| {
            let wanted = tenants.names().join(", ");
            let detail = format!("name a tenant of the credential by a plain matcher, tenant=\"…\": one of {wanted}");
            Problem { status: 403, ..Problem::parameter("matchers", detail) }
        })?;
        posted.matchers.push(SilenceMatcher { name: TENANT.to_owned(), value, is_regex: false, is_equal: true });
    }
    if posted.created_by.is_empty() {
        credential.name.to_string().clone_into(&mut posted.created_by);
    }
    let put = move |api: &Api| {
        let view = api.sight.of(&tenants);
        if posted.id.is_empty() {
            return view.new_silences().put(posted, now_unix_ms());
        }
        let book = view.book(&posted.id).ok_or_else(|| BookError::Unknown(posted.id.clone()))?;
        book.put(posted, now_unix_ms())
    };
    Ok(Json(json!({"silenceID": api.change(put).await?})))
}

pub(super) async fn delete(
    State(api): State<Api>,
    tenants: Tenants,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let expire = move |api: &Api| {
        let view = api.sight.of(&tenants);
        let book = view.book(&id).ok_or_else(|| BookError::Unknown(id.clone()))?;
        book.expire(&id, now_unix_ms())
    };
    api.change(expire).await?;
    Ok(StatusCode::OK)
}
