//! `GET /api/v1/collector/sources`: is everything of these files on the bus?

use axum::extract::State;
use serde::{Deserialize, Serialize};
use weir_service::auth::Access;
use weir_service::http::{Query, Route, Routes};

use crate::file::{Row, Sources};

/// What may be asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Only sources whose path contains this.
    path: Option<String>,
    /// Only sources of which something waits or is lost.
    #[serde(default)]
    incomplete: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    /// By path.
    sources: Vec<Row>,
    /// Of those, without a path; `waiting_seconds` is the greatest.
    total: Row,
}

/// The collector's paths. Files of a node are of many tenants, and their paths name what runs there.
pub(crate) fn routes(sources: &Sources) -> Routes {
    let about = "Files, and what of them waits or is lost";
    let route = Route::get("/api/v1/collector/sources", Access::ReadAll, about);
    let path = ("path", "Only files whose path contains this");
    let incomplete = ("incomplete", "true: only files of which something waits or is lost");
    Routes::new().on(route.takes(&[path, incomplete]), answer).with_state(sources)
}

async fn answer(State(sources): State<Sources>, Query(asked): Query<Asked>) -> axum::Json<Answer> {
    let mut rows = sources.rows();
    rows.retain(|row| {
        asked.path.as_ref().is_none_or(|part| row.path.contains(part)) && (!asked.incomplete || !row.is_complete())
    });
    let total = rows.iter().fold(Row::default(), Row::plus);
    axum::Json(Answer { sources: rows, total })
}
