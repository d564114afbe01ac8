//! Queries, series and labels, as Prometheus answers them.
//!
//! Where `time` is not given, a query is answered as of the event time up to which all calls are here, if that is near
//! the wall clock, else as of now.

use std::collections::BTreeSet;

use axum::Form;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use weir_service::config::Span;

use super::answer::{Answer, Failure, instant, matrix, success};
use super::{Api, PATIENCE};
use crate::promql::{self, Query};
use crate::series::calls::HELP;
use crate::series::read::Labels;

/// Names and values; names repeat.
type Parameters = Form<Vec<(String, String)>>;

/// Series, labels or values in one answer at most.
const LIST: usize = 100_000;
/// Event time further behind is not what a query without a time means.
const NEAR_MS: i64 = 60_000;

fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
}

fn now_ms() -> i64 {
    weir_service::time::now_unix_nano() / 1_000_000
}

fn time(parameters: &[(String, String)], name: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = parameter(parameters, name) else { return Ok(None) };
    let time = weir_service::time::parse(text, weir_service::time::now_unix_nano());
    Ok(Some(
        time.map_err(|error| Failure::bad(format!("invalid parameter \"{name}\": {error}")))?.div_euclid(1_000_000),
    ))
}

fn step(text: &str) -> Result<i64, Failure> {
    let seconds = text.parse::<f64>().ok().or_else(|| Some(text.parse::<Span>().ok()?.0.as_secs_f64()));
    let ms = seconds.map(|seconds| seconds * 1000.0).filter(|ms| (1.0..1e15).contains(ms));
    let wrong =
        || Failure::bad(format!("invalid parameter \"step\": «{text}» is neither seconds (15) nor a duration (1m)"));
    Ok(ms.ok_or_else(wrong)?.round() as i64)
}

fn expression(parameters: &[(String, String)]) -> Result<Query, Failure> {
    let text = parameter(parameters, "query");
    let text = text.ok_or_else(|| Failure::bad("parameter \"query\" is missing: it holds a PromQL expression"))?;
    Ok(Query::parse(text)?)
}

impl Api {
    /// Event time up to which all calls are here, in whole seconds, where it is near the wall clock; else that.
    fn present_ms(&self) -> i64 {
        let (now, event) = (now_ms(), self.shared.watermark().map(|nano| (nano / 1_000_000) as i64));
        event.filter(|event| (event - now).abs() < NEAR_MS).map_or(now, |event| event.div_euclid(1000) * 1000)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, promql::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let work = async {
            let permit = self.permits.clone().acquire_owned().await;
            let api = self.clone();
            tokio::task::spawn_blocking(move || {
                let _held = permit;
                work(&api)
            })
            .await
        };
        let done = tokio::time::timeout(PATIENCE, work).await.map_err(|_| Failure::timeout())?;
        Ok(done.map_err(|_| Failure::internal("the query ended without an answer"))??)
    }
}

pub(super) async fn query(State(api): State<Api>, Form(parameters): Parameters) -> Answer {
    let query = expression(&parameters)?;
    let time = time(&parameters, "time")?.unwrap_or_else(|| api.present_ms());
    let value = api.run(move |api| query.at(&api.shared, time)).await?;
    success(&instant(&value, time))
}

pub(super) async fn query_range(State(api): State<Api>, Form(parameters): Parameters) -> Answer {
    let query = expression(&parameters)?;
    let missing = |name| Failure::bad(format!("parameter \"{name}\" is missing"));
    let start = time(&parameters, "start")?.ok_or_else(|| missing("start"))?;
    let end = time(&parameters, "end")?.ok_or_else(|| missing("end"))?;
    let step = step(parameter(&parameters, "step").ok_or_else(|| missing("step"))?)?;
    let ranges = api.run(move |api| query.range(&api.shared, start, end, step)).await?;
    success(&matrix(&ranges))
}

/// The labels of the series that any of `match[]` selects; all, where there is none and none is asked for.
async fn selected(api: &Api, parameters: &[(String, String)], all: bool) -> Result<Vec<Labels>, Failure> {
    let texts = parameters.iter().filter(|(name, _)| name == "match[]");
    let selectors = texts.map(|(_, text)| promql::parse_selector(text)).collect::<Result<Vec<_>, _>>()?;
    if selectors.is_empty() && !all {
        return Err(Failure::bad("parameter \"match[]\" is missing: it holds a series selector"));
    }
    let selectors = if selectors.is_empty() { vec![Vec::new()] } else { selectors };
    api.run(move |api| {
        let store = api.shared.store.read();
        let found = selectors.iter().flat_map(|matchers| store.labels(matchers)).take(LIST);
        Ok(found.collect::<BTreeSet<_>>().into_iter().collect())
    })
    .await
}

pub(super) async fn series(State(api): State<Api>, Form(parameters): Parameters) -> Answer {
    let found = selected(&api, &parameters, false).await?;
    success(&found.iter().map(|labels| json!(**labels)).collect())
}

pub(super) async fn labels(State(api): State<Api>, Form(parameters): Parameters) -> Answer {
    let found = selected(&api, &parameters, true).await?;
    success(&json!(found.iter().flat_map(|labels| labels.keys()).collect::<BTreeSet<_>>()))
}

pub(super) async fn values(
    State(api): State<Api>,
    Path(name): Path<String>,
    Form(mut parameters): Parameters,
) -> Answer {
    parameters.retain(|(key, _)| key == "match[]");
    let found = selected(&api, &parameters, true).await?;
    success(&json!(found.iter().filter_map(|labels| labels.get(&name)).collect::<BTreeSet<_>>()))
}

pub(super) async fn metadata(State(api): State<Api>) -> Answer {
    let kinds = api.shared.store.read().kinds();
    let entry = |(name, kind): (String, &str)| {
        let help = HELP.iter().find(|(own, _, _)| *own == name).map_or("", |(_, _, help)| help);
        (name, json!([{"type": kind, "help": help, "unit": ""}]))
    };
    success(&Value::Object(kinds.into_iter().map(entry).collect()))
}

/// Grafana asks for the version to know what it may ask; it is that of the API that is spoken here.
pub(super) async fn buildinfo() -> Answer {
    success(&json!({
        "version": "2.55.0", "revision": "weir", "branch": "weir", "buildUser": "", "buildDate": "", "goVersion": ""
    }))
}
