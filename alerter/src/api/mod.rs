//! The alerter over HTTP: `/prometheus/api/v1/…` as Prometheus answers, `/api/v1/alerts`, `/api/v1/rules`, `/api/v1/notifications` and
//! `/api/v1/interfaces/latency` as weir does, `/api/v1/silences` and `/alertmanager/api/v2/…` as Alertmanager does. Queries run off the async threads, a few at a time.

mod alertmanager;
mod answer;
mod history;
mod latency;
mod notifications;
mod parameters;
mod prometheus;
mod replay;
mod silences;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Semaphore;
use weir_service::auth::Access;
use weir_service::http::{Parameter, Problem, Route, Routes};

pub(crate) use self::replay::Replays;
pub(crate) use self::state::number;
pub(crate) use self::view::Sight;
use crate::engine::Engine;
use crate::series::feed::Shared;

/// Queries that run at once; others wait.
const QUERIES: usize = 4;
/// A query that takes longer is answered with an error.
const PATIENCE: Duration = Duration::from_secs(30);

const REPLAY: &str = "What the rule file in the body would have fired over what the bus holds";

/// What the handlers share; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    sight: Sight,
    late_after: Duration,
    /// When it was opened, in unix nanoseconds.
    opened: i64,
    permits: Arc<Semaphore>,
    replays: Option<Replays>,
}

impl Api {
    pub(crate) fn new(shared: Shared, engine: Engine, late_after: Duration) -> Self {
        Self {
            sight: Sight::new(shared, engine),
            late_after,
            opened: weir_service::time::now_unix_nano(),
            permits: Arc::new(Semaphore::new(QUERIES)),
            replays: None,
        }
    }

    /// Lets rule files be replayed over this bus.
    pub(crate) fn with_replays(self, replays: Replays) -> Self {
        Self { replays: Some(replays), ..self }
    }

    /// Runs off the async threads what may take a while.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> T + Send + 'static) -> Result<T, Problem> {
        let api = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&api)).await;
        done.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the work ended without an answer"))
    }

    /// All there is to be seen.
    pub(crate) fn sight(&self) -> Sight {
        self.sight.clone()
    }

    #[cfg(test)]
    pub(crate) fn watermark(&self) -> Option<u64> {
        self.sight.watermark()
    }

    pub(crate) fn routes(self) -> Routes {
        let get = |path, about, parameters: &[Parameter]| Route::get(path, Access::Read, about).takes(parameters);
        let matching = ("match[]", "Series selector; may be there more than once");
        let times = [("start", "First time"), ("end", "Last time")];
        let limit = ("limit", "How many items the answer may have");
        let query = ("query", "PromQL expression");
        let extras = [
            ("timeout", "How long it may take, such as 10s"),
            ("limit", "How many series the answer may have"),
            ("lookback_delta", "How far back the latest sample of a series may lie, such as 5m"),
            ("stats", "With any value, the answer has its timings"),
        ];
        let time = ("time", "Evaluation time; the event time up to which all is here, if not given");
        let instant: Vec<Parameter> = [query, time].into_iter().chain(extras).collect();
        let step = ("step", "Distance of two times, such as 15s");
        let range: Vec<Parameter> = [query, times[0], times[1], step].into_iter().chain(extras).collect();
        let exemplars = [query, times[0], times[1]];
        let list = [matching, times[0], times[1], limit];
        let filter = [("filter", "Matcher such as severity=\"page\"; may be there more than once")];
        let silence = "/api/v1/silences/{id}";
        let routes = Routes::new()
            .on(get("/api/v1/alerts", "Alerts, and the state of the pipeline", &[]), state::alerts)
            .on(
                get("/api/v1/alerts/history", "Changes of alerts' states, newest first", &history::PARAMETERS),
                history::list,
            )
            .on(
                get("/api/v1/notifications", "What was sent to whom, newest first", &notifications::PARAMETERS),
                notifications::list,
            )
            .on(get("/api/v1/rules", "Rules, and how their last evaluation went", &[]), state::rules)
            .on(
                get("/api/v1/interfaces/latency", "How long calls of an interface took", &latency::PARAMETERS),
                latency::get,
            )
            .on(Route::post("/api/v1/rules/replay", Access::Read, REPLAY).takes(&replay::PARAMETERS), replay::run)
            .on(get("/api/v1/silences", "Silences", &filter), silences::list)
            .on(
                Route::post(
                    "/api/v1/silences",
                    Access::Operate,
                    "Makes or changes a silence; `comment` says why, and `createdBy` who, where the credential has no name",
                ),
                silences::post,
            )
            .on(get(silence, "One silence", &[]), silences::one)
            .on(Route::delete(silence, Access::Operate, "Ends a silence"), silences::delete)
            .on(get("/prometheus/api/v1/label/{name}/values", "Values of a label", &list), prometheus::values)
            .on(
                get(
                    "/prometheus/api/v1/metadata",
                    "Metrics, their types and help",
                    &[("metric", "Its name"), limit, ("limit_per_metric", "How many entries a metric may have")],
                ),
                prometheus::metadata,
            )
            .on(
                get(
                    "/prometheus/api/v1/rules",
                    "Rules, as Prometheus has them",
                    &[
                        ("type", "alert or record"),
                        ("rule_name[]", "Name of a rule; may be there more than once"),
                        ("rule_group[]", "Name of a group; may be there more than once"),
                        ("file[]", "File of a group; may be there more than once"),
                        ("exclude_alerts", "true: rules without their alerts"),
                    ],
                ),
                state::prometheus_rules,
            )
            .on(get("/prometheus/api/v1/alerts", "Alerts, as Prometheus has them", &[]), state::prometheus_alerts)
            .on(
                Route::get("/prometheus/api/v1/status/buildinfo", Access::Credential, "Version of the API"),
                status::buildinfo,
            )
            .on(
                get("/prometheus/api/v1/status/tsdb", "How many series there are, and of what", &[limit]),
                status::tsdb,
            );
        let routes = both(routes, "/prometheus/api/v1/query", "Evaluates at one time", &instant, prometheus::query);
        let path = "/prometheus/api/v1/query_range";
        let routes = both(routes, path, "Evaluates over a range of times", &range, prometheus::query_range);
        let routes = both(routes, "/prometheus/api/v1/series", "Labels of series", &list, prometheus::series);
        let routes = both(routes, "/prometheus/api/v1/labels", "Names of labels", &list, prometheus::labels);
        let path = "/prometheus/api/v1/query_exemplars";
        let routes = both(routes, path, "Exemplars, of which there are none", &exemplars, prometheus::query_exemplars);
        let path = "/prometheus/api/v1/format_query";
        let routes = both(routes, path, "Lays an expression out", &[query], prometheus::format_query);
        alertmanager::routes(routes).with_state(&self)
    }
}

/// GET, and POST with the parameters as a form.
fn both<T: 'static>(
    routes: Routes<Api>,
    path: &'static str,
    about: &'static str,
    parameters: &[Parameter],
    handler: impl axum::handler::Handler<T, Api>,
) -> Routes<Api> {
    let get = Route::get(path, Access::Read, about).takes(parameters);
    routes.on(get, handler.clone()).on(Route::post(path, Access::Read, about).takes(parameters), handler)
}
