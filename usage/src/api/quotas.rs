//! `GET /api/v1/quotas/{tenant}`: from memory.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use weir_service::auth::Tenants;
use weir_service::http::Problem;
use weir_service::time::{format, now_unix_nano};

use super::Api;
use crate::report::time;

pub(super) async fn get(
    State(api): State<Api>,
    tenants: Tenants,
    Path(tenant): Path<String>,
) -> Result<Json<Value>, Problem> {
    tenants.narrow([tenant.as_str()])?;
    let readings = api.meters.of(&tenant, now_unix_nano() / 1_000_000_000);
    let limits: Vec<Value> = readings
        .iter()
        .map(|reading| {
            json!({
                "quota": reading.limit.unit.as_str(),
                "per": reading.limit.per.as_str(),
                "limit": reading.limit.limit,
                "used": reading.used,
                "remaining": reading.remaining(),
                "resets_at": time(reading.resets_at),
            })
        })
        .collect();
    Ok(Json(json!({
        "tenant": tenant,
        "quotas": limits,
        "age_seconds": api.progress.age().map(|age| age.as_secs_f64()),
        "complete_until": api.progress.complete_until().map(|nano| format(i64::try_from(nano).unwrap_or(i64::MAX))),
    })))
}
