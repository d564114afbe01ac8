//! `/api/v1/logs/…`, but for the live tail.

use std::time::Instant;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use weir_query::fields;
use weir_query::line::{Line, LineId, Source};
use weir_service::auth::Tenants;
use weir_service::http::Problem;

use super::params::{Params, cursor, in_path};
use super::{Api, hit::hit};
use crate::search::{self, Page, Paging, Selection};
use crate::snapshot::{Needs, Snapshot};

/// Most lines on a page.
const MAX_PAGE: usize = 10_000;

type InPath = Result<Path<String>, PathRejection>;
type Answer = Result<Json<Value>, Problem>;

/// The selection that the parameters ask for; its deadline is set when it runs.
fn selection(params: &Params) -> Result<Selection, Problem> {
    let (matcher, needs, exact) = params.query()?;
    let (start, end) = params.range()?;
    Ok(Selection { matcher, needs, exact, start, end, deadline: Instant::now() })
}

pub(super) async fn search(State(api): State<Api>, tenants: Tenants, params: Params) -> Answer {
    let began = Instant::now();
    let asked = selection(&params)?;
    let paging = Paging {
        limit: params.number("limit", 100, 1..=MAX_PAGE)?,
        oldest_first: params.oldest_first()?,
        after: params.cursor()?,
    };
    let (hits, next, until) = api
        .run(&tenants, move |snapshot, deadline| {
            let asked = Selection { deadline, ..asked };
            let page = search::page(snapshot, &asked, &paging, &|_| true)?;
            let next = page.lines.last().filter(|_| page.more).map(cursor);
            Ok((page.lines.iter().map(hit).collect::<Vec<_>>(), next, snapshot.indexed_until()))
        })
        .await?;
    let until = weir_service::time::format(until);
    Ok(Json(
        json!({"hits": hits, "next_cursor": next, "took_ms": began.elapsed().as_millis() as u64, "indexed_until": until}),
    ))
}

pub(super) async fn count(State(api): State<Api>, tenants: Tenants, params: Params) -> Answer {
    let asked = selection(&params)?;
    let count =
        api.run(&tenants, move |snapshot, deadline| search::count(snapshot, &Selection { deadline, ..asked })).await?;
    Ok(Json(json!({"count": count})))
}

pub(super) async fn histogram(State(api): State<Api>, tenants: Tenants, params: Params) -> Answer {
    let asked = selection(&params)?;
    let interval = params.interval(asked.start, asked.end)?;
    let split = params.text("field").map(str::to_owned);
    let by_field = split.is_some();
    let buckets = api
        .run(&tenants, move |snapshot, deadline| {
            search::histogram(snapshot, &Selection { deadline, ..asked }, interval, split.as_deref())
        })
        .await?;
    let buckets: Vec<Value> = buckets
        .into_iter()
        .map(|(start, counts)| {
            let mut bucket = json!({"start": weir_service::time::format(start), "count": counts.values().sum::<u64>()});
            if by_field {
                bucket["values"] = json!(counts);
            }
            bucket
        })
        .collect();
    Ok(Json(json!({"interval_seconds": interval as f64 / 1e9, "buckets": buckets})))
}

pub(super) async fn fields(State(api): State<Api>, tenants: Tenants, params: Params) -> Answer {
    let asked = selection(&params)?;
    let names = api
        .run(&tenants, move |snapshot, deadline| search::field_names(snapshot, &Selection { deadline, ..asked }))
        .await?;
    Ok(Json(json!({"fields": names})))
}

pub(super) async fn values(State(api): State<Api>, name: InPath, tenants: Tenants, params: Params) -> Answer {
    let name = in_path("name", name)?;
    let asked = selection(&params)?;
    let limit = params.number("limit", 10, 1..=search::MAX_GROUPS)?;
    let field = name.clone();
    let values = api
        .run(&tenants, move |snapshot, deadline| {
            search::top_values(snapshot, &Selection { deadline, ..asked }, &name, limit)
        })
        .await?;
    let values: Vec<Value> = values.into_iter().map(|(value, count)| json!({"value": value, "count": count})).collect();
    Ok(Json(json!({"field": field, "values": values})))
}

/// Lines of the same source before and after one; `timestamp` (of the hit) saves looking for it everywhere. Where lines
/// are so large that there are fewer than asked for though there are more, the answer has `"truncated": true`.
pub(super) async fn context(State(api): State<Api>, id: InPath, tenants: Tenants, mut params: Params) -> Answer {
    let id: LineId = in_path("id", id)?.parse().map_err(|wrong: String| Problem::parameter("id", wrong))?;
    let sides = [params.number("before", 10, 0..=1000)?, params.number("after", 10, 0..=1000)?];
    let at = match params.text("timestamp").map(str::to_owned) {
        None => None,
        Some(text) => Some(
            weir_service::time::parse(&text, std::mem::take(&mut params.now))
                .map_err(|wrong| Problem::parameter("timestamp", wrong))?,
        ),
    };
    let everything = selection(&Params::new(Vec::new())?)?;
    let found = api
        .run(&tenants, move |snapshot, deadline| around(snapshot, &Selection { deadline, ..everything }, id, at, sides))
        .await?;
    let Some(Around { before, line, after, truncated }) = found else {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no line {id}")));
    };
    let hits = |lines: &[Line]| lines.iter().map(hit).collect::<Vec<_>>();
    let mut answer = json!({"before": hits(&before), "line": hit(&line), "after": hits(&after)});
    if truncated {
        answer["truncated"] = true.into();
    }
    Ok(Json(answer))
}

/// A line with those beside it, in order.
pub(super) struct Around {
    pub(super) before: Vec<Line>,
    pub(super) line: Line,
    pub(super) after: Vec<Line>,
    /// Fewer than were asked for, though there are more.
    pub(super) truncated: bool,
}

pub(super) fn around(
    snapshot: &dyn Snapshot,
    everything: &Selection,
    id: LineId,
    at: Option<i64>,
    [before, after]: [usize; 2],
) -> Result<Option<Around>, search::Error> {
    let (start, end) = at.map_or((i64::MIN, i64::MAX), |at| (at, at.saturating_add(1)));
    let needs = Needs::Field("record".to_owned(), format!("{}-{}", id.partition, id.offset));
    let there = Selection { needs, exact: None, start, end, ..everything.clone() };
    let one = Paging { limit: 1, oldest_first: false, after: None };
    let Some(line) = search::page(snapshot, &there, &one, &|line| line.id == id)?.lines.pop() else { return Ok(None) };
    let of_source = Selection { needs: needs_of(&line.source), exact: None, ..everything.clone() };
    let beside = |limit, oldest_first| {
        let paging = Paging { limit, oldest_first, after: Some((line.time, line.id)) };
        search::page(snapshot, &of_source, &paging, &|other| other.source == line.source)
    };
    let (mut earlier, later) = (beside(before, false)?, beside(after, true)?);
    let is_cut = |page: &Page, limit| page.more && page.lines.len() < limit;
    let truncated = is_cut(&earlier, before) || is_cut(&later, after);
    earlier.lines.reverse();
    Ok(Some(Around { before: earlier.lines, line, after: later.lines, truncated }))
}

/// What chunks of a source are listed under.
fn needs_of(source: &Source) -> Needs {
    let mut needs = vec![Needs::Field("tenant".to_owned(), source.tenant.to_lowercase())];
    needs.push(Needs::Field("service".to_owned(), source.service.to_lowercase()));
    fields::each(&source.resource, |name, text| {
        needs.push(Needs::Field(format!("resource.{name}"), text.to_lowercase()));
    });
    Needs::All(needs)
}
