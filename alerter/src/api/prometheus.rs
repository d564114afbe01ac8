//! Queries, series and labels, as Prometheus answers them.
//!
//! Where `time` is not given, a query is answered as of the event time up to which all calls are here, if that is near
//! the wall clock, else as of now.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use weir_service::time::now_unix_ms;

use super::answer::{Answer, Failure, TRUNCATED, instant, list, matrix, success};
use super::parameters::{Asked, Parameters};
use super::{Api, PATIENCE};
use crate::promql::{self, MAX_STEPS, Query};
use crate::series::calls::HELP;
use crate::series::read::Labels;

/// Series that one answer is made of at most.
const LIST: usize = 100_000;
/// Event time further behind is not what a query without a time means.
const NEAR_MS: i64 = 60_000;

fn expression(parameters: &Parameters) -> Result<Query, Failure> {
    let missing = || Failure::parameter("query", "it is missing; it holds a PromQL expression");
    let text = parameters.get("query").ok_or_else(missing)?;
    let mut query = Query::parse(text).map_err(|error| Failure::parameter("query", error))?;
    if let Some(back_ms) = parameters.duration("lookback_delta")? {
        query.set_lookback(back_ms);
    }
    Ok(query)
}

/// What queries take beside the expression and its times.
struct Extras {
    limit: usize,
    within: Duration,
    is_timed: bool,
    begun: Instant,
}

impl Extras {
    fn read(parameters: &Parameters) -> Result<Self, Failure> {
        let timeout = parameters.duration("timeout")?.and_then(|ms| u64::try_from(ms).ok());
        Ok(Self {
            limit: parameters.limit()?,
            within: timeout.map_or(PATIENCE, |ms| PATIENCE.min(Duration::from_millis(ms))),
            is_timed: parameters.get("stats").is_some(),
            begun: Instant::now(),
        })
    }

    /// The answer, with at most as many series as were asked for; `evaluated` is how long the evaluation took.
    #[allow(clippy::unnecessary_wraps, reason = "what handlers return")]
    fn answer(&self, mut data: Value, evaluated: Duration) -> Answer {
        let total = self.begun.elapsed();
        if self.is_timed {
            data["stats"] = json!({"timings": {
                "evalTotalTime": evaluated.as_secs_f64(),
                "execQueueTime": total.saturating_sub(evaluated).as_secs_f64(),
                "execTotalTime": total.as_secs_f64(),
            }});
        }
        let is_list = matches!(data["resultType"].as_str(), Some("vector" | "matrix"));
        let series = data["result"].as_array_mut().filter(|_| is_list && self.limit != 0);
        let cut = series.is_some_and(|series| {
            let is_longer = series.len() > self.limit;
            series.truncate(self.limit);
            is_longer
        });
        let mut answer = json!({"status": "success", "data": data});
        if cut {
            answer["warnings"] = json!([TRUNCATED]);
        }
        Ok(Json(answer))
    }
}

impl Api {
    /// Event time up to which all calls are here, in whole seconds, where it is near the wall clock; else that.
    fn present_ms(&self) -> i64 {
        let (now, event) = (now_unix_ms(), self.sight.watermark().map(|nano| (nano / 1_000_000) as i64));
        event.filter(|event| (event - now).abs() < NEAR_MS).map_or(now, |event| event.div_euclid(1000) * 1000)
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, promql::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        self.run_within(PATIENCE, work).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        within: Duration,
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
        let done = tokio::time::timeout(within, work).await.map_err(|_| Failure::timeout())?;
        Ok(done.map_err(|_| Failure::internal("the query ended without an answer"))??)
    }
}

/// The work, and how long it took.
fn timed<T>(
    work: impl FnOnce(&Api) -> Result<T, promql::Error>,
) -> impl FnOnce(&Api) -> Result<(T, Duration), promql::Error> {
    |api| {
        let begun = Instant::now();
        Ok((work(api)?, begun.elapsed()))
    }
}

pub(super) async fn query(State(api): State<Api>, asked: Asked) -> Answer {
    let Asked { tenants, parameters } = asked;
    let (query, extras) = (expression(&parameters)?, Extras::read(&parameters)?);
    let time = parameters.time("time")?.unwrap_or_else(|| api.present_ms());
    let work = timed(move |api| query.at(&api.sight.of(&tenants), time));
    let (value, evaluated) = api.run_within(extras.within, work).await?;
    extras.answer(instant(&value, time), evaluated)
}

pub(super) async fn query_range(State(api): State<Api>, asked: Asked) -> Answer {
    let Asked { tenants, parameters } = asked;
    let (query, extras) = (expression(&parameters)?, Extras::read(&parameters)?);
    let missing = |name, what| Failure::parameter(name, format!("it is missing; it holds {what}"));
    let start = parameters.time("start")?.ok_or_else(|| missing("start", "the first time"))?;
    let end = parameters.time("end")?.ok_or_else(|| missing("end", "the last time"))?;
    let step = parameters.duration("step")?.ok_or_else(|| missing("step", "the distance of two times"))?;
    if end < start {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    if end.saturating_sub(start) / step >= MAX_STEPS {
        let text = "exceeded maximum resolution of 11,000 points per timeseries; use a longer step";
        return Err(Failure::parameter("step", text));
    }
    let work = timed(move |api| query.range(&api.sight.of(&tenants), start, end, step));
    let (ranges, evaluated) = api.run_within(extras.within, work).await?;
    extras.answer(matrix(&ranges), evaluated)
}

/// The expression as Prometheus lays it out.
pub(super) async fn format_query(asked: Asked) -> Answer {
    let missing = || Failure::parameter("query", "it is missing; it holds a PromQL expression");
    let text = asked.parameters.get("query").ok_or_else(missing)?;
    success(&json!(promql::pretty(text).map_err(|error| Failure::parameter("query", error))?))
}

/// There are no exemplars: the parameters are checked, and the list is empty.
pub(super) async fn query_exemplars(asked: Asked) -> Answer {
    expression(&asked.parameters)?;
    let (start, end) = (asked.parameters.time("start")?, asked.parameters.time("end")?);
    if end < start && end.is_some() {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    success(&json!([]))
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
    // A metric has one kind here, so every limit for each metric holds.
    parameters.count("limit_per_metric")?;
    let most = if limit == 0 { usize::MAX } else { limit };
    success(&Value::Object(kinds.into_iter().filter(wanted).take(most).map(entry).collect()))
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
