//! `/api/v1/usage/statements`: what was issued, and issuing one.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::http::{Parameter, Problem};

use super::params::Params;
use super::{Api, store_problem};
use crate::report::statement::{self, StatementError};
use crate::store::StoreError;

/// Statements of a page where nothing else is said, and at most.
const STATEMENTS: usize = 100;
const MOST_STATEMENTS: usize = 1000;

pub(super) const PARAMETERS: [Parameter; 2] =
    [("limit", "How many statements the answer may have"), ("cursor", "`next_cursor` of the page before")];

pub(super) async fn list(State(api): State<Api>, tenants: Tenants, params: Params) -> Result<Json<Value>, Problem> {
    let limit = params.number("limit", STATEMENTS, MOST_STATEMENTS)?;
    let before = params.text("cursor").map(|text| {
        let wrong =
            || Problem::parameter("cursor", "no such cursor: use the `next_cursor` of the page before, as it is");
        text.parse().map_err(|_| wrong())
    });
    let before = before.transpose()?.unwrap_or(i64::MAX);
    let _turn = api.turn().await?;
    let issued = api.store.statements(&tenants, before, limit).await.map_err(|error| store_problem(&error))?;
    let next = issued.last().filter(|_| issued.len() == limit).map(|last| last.id.to_string());
    let documents: Vec<Value> =
        issued.iter().filter_map(|issued| serde_json::from_str(&issued.document).ok()).collect();
    Ok(Json(json!({ "statements": documents, "next_cursor": next })))
}

pub(super) async fn issue(State(api): State<Api>, tenants: Tenants, params: Params) -> Result<Json<Value>, Problem> {
    let tenant = tenants
        .only()
        .ok_or_else(|| Problem::parameter("tenant", "a statement is of one tenant: name it with `tenant`"))?;
    let zone = params.zone()?;
    let text = params.text("month").ok_or_else(|| Problem::parameter("month", "name a month, such as 2026-10"))?;
    let wrong =
        || Problem::parameter("month", format!("`{}` is no month: use one such as 2026-10", text.escape_debug()));
    let month = statement::month(text, &zone).ok_or_else(wrong)?;
    let month = month.map_err(|error| Problem::parameter("tz", error.to_string()))?;
    let _turn = api.turn().await?;
    let prices = api.prices.get();
    let complete_until = api.progress.complete_until();
    let issued = statement::issue(&api.store, &tenants, tenant, month, prices.as_ref(), complete_until).await;
    let issued = issued.map_err(|error| match &error {
        StatementError::Store(StoreError::Conflict) => {
            Problem::new(StatusCode::CONFLICT, "another statement was issued at the same time: try again")
        }
        StatementError::Store(error) => store_problem(error),
        StatementError::Month(error) => Problem::parameter("tz", error.to_string()),
        StatementError::Incomplete { .. }
        | StatementError::Closed(_)
        | StatementError::Zone { .. }
        | StatementError::NoPrices => Problem::new(StatusCode::CONFLICT, error.to_string()),
    })?;
    Ok(Json(serde_json::from_str(&issued.document).unwrap_or_default()))
}
