//! `POST /api/v1/logs/erase` and `/api/v1/traces/erase`: what matches goes, for good.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use http::StatusCode;
use serde_json::json;
use weir_query::ast::{Query, Test};
use weir_service::auth::{AUDIT_TENANT, Access};
use weir_service::http::{Parameter, Problem, Route, Routes};

use super::answer;
use super::logs::Answer;
use super::params::{END, Params, QUERY, START};
use crate::schedule::{Budget, Caller, Scheduler};
use crate::search::{self, Selection};
use crate::store::Store;
use crate::store::erase::Erasure;

const DRY: Parameter = ("dry_run", "true: say how much would go, and let it be");

/// What may be erased, and by whom it is looked at.
#[derive(Clone)]
struct Api {
    store: Arc<Store>,
    searches: Scheduler,
    /// One erasure runs at a time.
    running: Arc<tokio::sync::Mutex<()>>,
}

/// The route of one store.
pub(crate) fn routes(path: &'static str, about: &'static str, store: Arc<Store>, searches: Scheduler) -> Routes {
    let route = Route::post(path, Access::Admin, about).takes(&[QUERY, START, END, DRY]);
    let route = Route { form: true, ..route };
    Routes::new().on(route, erase).with_state(&Api { store, searches, running: Arc::default() })
}

/// `{"erased","rewritten","windows","bytes_before","bytes_after","arrived_before","took_ms"}`: the lines that are gone, of
/// all that arrived before the request; those beside them that were written again; and the size of all files. With
/// `dry_run` `{"matching","arrived_before"}`. What is on the bus stays there until its retention takes it.
async fn erase(State(api): State<Api>, caller: Caller, params: Params) -> Answer {
    let began = Instant::now();
    if params.text("query").is_none() {
        return Err(Problem::parameter("query", "`query` is missing: say what is to go, or `*` for everything"));
    }
    let (matcher, needs, _) = params.query()?;
    let (start, end) = params.range()?;
    let snapshot = api.store.snapshot(&caller.tenants);
    let arrived_before = weir_service::time::format(snapshot.indexed_until());
    let place = api.searches.place(&caller)?;
    if params.is_on("dry_run")? {
        let audit = Query::Field("tenant".to_owned(), Test::Is(AUDIT_TENANT.to_owned()));
        let (matcher, needs, exact) = params.query_of(|query| Query::And(vec![query, Query::Not(Box::new(audit))]))?;
        let asked = Selection { matcher, needs, exact, start, end, budget: Budget::within(Duration::ZERO) };
        let counted = place.run(move |budget| {
            let asked = Selection { budget: budget.clone(), ..asked };
            search::count(snapshot.within(budget).as_ref(), &asked)
        });
        let matching = counted.await?;
        return Ok(answer::json(place, &json!({"matching": matching, "arrived_before": arrived_before})));
    }
    let Ok(running) = api.running.clone().try_lock_owned() else {
        return Err(Problem::new(StatusCode::CONFLICT, "another erasure is running: try again when it is done"));
    };
    let erasure = Erasure { tenants: caller.tenants.clone(), matcher, needs, start, end };
    let store = api.store.clone();
    // It goes on though the client leaves.
    let erasing = tokio::task::spawn_blocking(move || {
        let _running = running;
        store.erase(&erasure, weir_service::time::now_unix_nano() / 1_000_000)
    });
    let erased = erasing.await.map_err(crate::Error::from)??;
    tracing::info!(lines = erased.lines, windows = erased.windows, "erased");
    let report = json!({
        "erased": erased.lines,
        "rewritten": erased.rewritten,
        "windows": erased.windows,
        "bytes_before": erased.bytes_before,
        "bytes_after": erased.bytes_after,
        "arrived_before": arrived_before,
        "took_ms": began.elapsed().as_millis() as u64,
    });
    Ok(answer::json(place, &report))
}
