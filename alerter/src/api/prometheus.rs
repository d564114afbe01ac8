//! Queries, series and labels, as Prometheus answers them.
//!
//! Where `time` is not given, a query is answered as of the event time up to which all calls are here, if that is near
//! the wall clock, else as of now.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use serde_json::{Value, json};
use weir_service::config::Span;

use super::answer::{Answer, Failure, instant, list, matrix, success};
use super::parameters::{Asked, Parameters};
use super::{Api, PATIENCE};
use crate::promql::{self, MAX_STEPS, Query};
use crate::series::calls::HELP;
use crate::series::read::Labels;

/// Series that one answer is made of at most.
const LIST: usize = 100_000;
/// Event time further behind is not what a query without a time means.
const NEAR_MS: i64 = 60_000;

fn now_ms() -> i64 {
    weir_service::time::now_unix_nano() / 1_000_000
}

fn step(text: &str) -> Result<i64, Failure> {
    let seconds = text.parse::<f64>().ok().or_else(|| Some(text.parse::<Span>().ok()?.0.as_secs_f64()));
    let ms = seconds.map(|seconds| seconds * 1000.0).filter(|ms| (1.0..1e15).contains(ms));
    let wrong = || {
        Failure::parameter(
            "step",
            format!("«{text}» is neither seconds (15) nor a duration (1m), or it is not positive"),
        )
    };
    Ok(ms.ok_or_else(wrong)?.round() as i64)
}

fn expression(parameters: &Parameters) -> Result<Query, Failure> {
    let missing = || Failure::parameter("query", "it is missing; it holds a PromQL expression");
    let text = parameters.get("query").ok_or_else(missing)?;
    Query::parse(text).map_err(|error| Failure::parameter("query", error))
}

impl Api {
    /// Event time up to which all calls are here, in whole seconds, where it is near the wall clock; else that.
    fn present_ms(&self) -> i64 {
        let (now, event) = (now_ms(), self.sight.watermark().map(|nano| (nano / 1_000_000) as i64));
        event.filter(|event| (event - now).abs() < NEAR_MS).map_or(now, |event| event.div_euclid(1000) * 1000)
    }

    pub(super) async fn run<T: Send + 'static>(
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

pub(super) async fn query(State(api): State<Api>, asked: Asked) -> Answer {
    let Asked { tenants, parameters } = asked;
    let query = expression(&parameters)?;
    let time = parameters.time("time")?.unwrap_or_else(|| api.present_ms());
    let value = api.run(move |api| query.at(&api.sight.of(&tenants), time)).await?;
    success(&instant(&value, time))
}

pub(super) async fn query_range(State(api): State<Api>, asked: Asked) -> Answer {
    let Asked { tenants, parameters } = asked;
    let query = expression(&parameters)?;
    let missing = |name, what| Failure::parameter(name, format!("it is missing; it holds {what}"));
    let start = parameters.time("start")?.ok_or_else(|| missing("start", "the first time"))?;
    let end = parameters.time("end")?.ok_or_else(|| missing("end", "the last time"))?;
    let step = step(parameters.get("step").ok_or_else(|| missing("step", "the distance of two times"))?)?;
    if end < start {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    if end.saturating_sub(start) / step >= MAX_STEPS {
        let text = "exceeded maximum resolution of 11,000 points per timeseries; use a longer step";
        return Err(Failure::parameter("step", text));
    }
    let ranges = api.run(move |api| query.range(&api.sight.of(&tenants), start, end, step)).await?;
    success(&matrix(&ranges))
}

/// The labels of the series that any of `match[]` selects; all, where there is none and none is asked for. With the
/// number of them where there are more.
async fn selected(api: &Api, asked: &Asked, all: bool) -> Result<(BTreeSet<Labels>, Option<usize>), Failure> {
    let (parameters, tenants) = (&asked.parameters, asked.tenants.clone());
    let selector = |text: &str| promql::parse_selector(text).map_err(|error| Failure::parameter("match[]", error));
    let selectors = parameters.all("match[]").map(selector).collect::<Result<Vec<_>, _>>()?;
    if selectors.is_empty() && !all {
        return Err(Failure::parameter("match[]", "it is missing; it holds a series selector"));
    }
    let selectors = if selectors.is_empty() { vec![Vec::new()] } else { selectors };
    // With times, series that have samples between them.
    let (start, end) = (parameters.time("start")?, parameters.time("end")?);
    let between = start.zip(end).or(start.map(|start| (start, i64::MAX))).or(end.map(|end| (i64::MIN, end)));
    if let Some((start, end)) = between
        && end < start
    {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    api.run(move |api| {
        let view = api.sight.of(&tenants);
        let found = selectors.iter().flat_map(|matchers| view.labels(matchers, between));
        Ok(first(LIST, found))
    })
    .await
}

/// The first `most` of them, each once, and `most` itself where there are more.
fn first(most: usize, found: impl Iterator<Item = Labels>) -> (BTreeSet<Labels>, Option<usize>) {
    let mut all = BTreeSet::new();
    for labels in found {
        if all.len() >= most && !all.contains(&labels) {
            return (all, Some(most));
        }
        all.insert(labels);
    }
    (all, None)
}

pub(super) async fn series(State(api): State<Api>, asked: Asked) -> Answer {
    let (found, seen) = selected(&api, &asked, false).await?;
    list(found.iter().map(|labels| json!(labels)).collect(), asked.parameters.limit()?, seen)
}

pub(super) async fn labels(State(api): State<Api>, asked: Asked) -> Answer {
    let (found, seen) = selected(&api, &asked, true).await?;
    let names: BTreeSet<_> = found.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
    list(names.into_iter().map(|name| json!(name)).collect(), asked.parameters.limit()?, seen)
}

pub(super) async fn values(State(api): State<Api>, Path(name): Path<String>, asked: Asked) -> Answer {
    let (found, seen) = selected(&api, &asked, true).await?;
    let values: BTreeSet<_> = found.iter().filter_map(|labels| labels.get(&name)).collect();
    list(values.into_iter().map(|value| json!(value)).collect(), asked.parameters.limit()?, seen)
}

pub(super) async fn metadata(State(api): State<Api>, asked: Asked) -> Answer {
    let Asked { tenants, parameters } = asked;
    let kinds = api.run(move |api| Ok(api.sight.of(&tenants).kinds())).await?;
    let limit = parameters.limit()?;
    let wanted = |(name, _): &(String, &str)| parameters.get("metric").is_none_or(|wanted| wanted == name);
    let entry = |(name, kind): (String, &str)| {
        let help = HELP.iter().find(|(own, _, _)| *own == name).map_or("", |(_, _, help)| help);
        (name, json!([{"type": kind, "help": help, "unit": ""}]))
    };
    let most = if limit == 0 { usize::MAX } else { limit };
    success(&Value::Object(kinds.into_iter().filter(wanted).take(most).map(entry).collect()))
}

/// Grafana asks for the version to know what it may ask; it is that of the API that is spoken here.
pub(super) async fn buildinfo() -> Answer {
    success(&json!({
        "version": "2.55.0", "revision": "weir", "branch": "weir", "buildUser": "", "buildDate": "", "goVersion": ""
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_some_series_only_says_so() {
        let series = |name: &str| -> Labels { [("__name__".to_owned(), name.to_owned())].into_iter().collect() };
        let all = [series("a"), series("b"), series("a")];
        assert_eq!(first(2, all.iter().cloned()).1, None);
        let (found, seen) = first(1, all.into_iter());
        assert_eq!((found.len(), seen), (1, Some(1)));
        let answer = list(vec![json!("a"), json!("b")], 1, seen).unwrap().0;
        assert_eq!(answer["data"], json!(["a"]));
        assert!(answer["warnings"][0].as_str().unwrap().contains("the first 1 series"), "{answer}");
        assert_eq!(answer["warnings"][1], "results truncated due to limit");
    }
}
