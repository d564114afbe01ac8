//! Scrolls: an id holds the search and where it stands, so nothing is kept between requests, and lines that come in the
//! meantime do not move the pages of what was there.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use serde_json::{Value as Json, json};
use weir_service::elastic::Fault;

use super::indices::Indices;
use super::request::{Params, Request};
use super::search::{self, Plan};
use super::{body_of, shown, sort};
use crate::api::Api;
use crate::schedule::Caller;
use crate::search::Place;

/// The id of what comes behind these values of `sort`, and this place.
pub(super) fn id(plan: &Plan, after: Option<&[Json]>, behind: Option<Place>) -> String {
    let state = json!({
        "index": plan.indices.expression(),
        "search": plan.request.body,
        "after": after,
        "behind": behind.map(sort::shown_place),
    });
    URL_SAFE_NO_PAD.encode(state.to_string())
}

pub(super) async fn next(State(api): State<Api>, caller: Caller, uri: Uri, body: Bytes) -> Response {
    let params = Params::of(&uri);
    let plan = body_of(&body).and_then(|body| {
        let id = body.get("scroll_id").and_then(Json::as_str).or_else(|| params.get("scroll_id"));
        read(id.ok_or_else(|| Fault::argument("scrollId is missing"))?)
    });
    shown(match plan {
        Ok(plan) => search::answer(&api, &caller, plan).await,
        Err(fault) => Err(fault),
    })
}

pub(super) async fn end() -> Response {
    shown(Ok(json!({"succeeded": true, "num_freed": 1})))
}

fn read(id: &str) -> Result<Plan, Fault> {
    let wrong = || Fault::argument("Cannot parse scroll id: use the `_scroll_id` of the answer before, as it is");
    let state: Json = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(id).map_err(|_| wrong())?).map_err(|_| wrong())?;
    let mut search = state.get("search").and_then(Json::as_object).ok_or_else(wrong)?.clone();
    let behind = state.get("behind").and_then(sort::read_place);
    // What is behind the first page is counted and aggregated once.
    for done in ["aggs", "aggregations", "from"] {
        search.remove(done);
    }
    if let Some(after) = state.get("after").filter(|after| after.is_array() && behind.is_some()) {
        search.insert("search_after".to_owned(), after.clone());
    }
    let mut request = Request::of(search, true)?;
    // In an order by time, the place alone says where the next page begins.
    if sort::by_time(&request.sort).is_some() {
        request.after = None;
    }
    let index = state.get("index").and_then(Json::as_str).unwrap_or_default();
    let mut plan = request.plan(Indices::read(index, true))?;
    plan.behind = behind;
    // The next id is made of the search as it was first, but for what was done.
    if let Json::Object(body) = &mut plan.request.body {
        body.remove("search_after");
    }
    Ok(plan)
}
