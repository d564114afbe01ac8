//! `/api/v1/logs/…`, but for the live tail.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};
use weir_query::line::{Line, LineId, Source};
use weir_query::{Matcher, fields};
use weir_service::http::Problem;

use super::extent::Extent;
use super::pages::{self, End, Format};
use super::params::{Params, cursor, in_path};
use super::{Api, answer, hit::hit};
use crate::fields::ListedField;
use crate::schedule::{Budget, Caller, Limit, Place};
use crate::search::{self, Histogram, Page, Paging, Selection};
use crate::snapshot::{Needs, Snapshot};

/// Most lines on a page.
const MAX_PAGE: usize = 10_000;

type InPath = Result<Path<String>, PathRejection>;
pub(super) type Answer = Result<Response, Problem>;

/// The selection that the parameters ask for; its budget is set when it runs.
pub(super) fn selection(params: &Params) -> Result<Selection, Problem> {
    let (matcher, needs, exact) = params.query()?;
    let (start, end) = params.range()?;
    Ok(Selection { matcher, needs, exact, start, end, budget: Budget::within(Duration::ZERO) })
}

pub(super) async fn search(State(api): State<Api>, caller: Caller, params: Params) -> Answer {
    let asked = selection(&params)?;
    let paging = Paging {
        limit: params.number("limit", 100, 1..=MAX_PAGE)?,
        bytes: 0,
        oldest_first: params.oldest_first()?,
        after: params.cursor()?,
    };
    let highlight = params.is_on("highlight")?.then(|| asked.matcher.clone());
    let place = api.searches.place(&caller)?;
    api.wait(&caller, &params).await?;
    let hints = hints(&api, &caller, &place, &params, &asked).await?;
    let hits = Hits { of: params.cursor_of(), highlight, hints };
    pages::answer(api, caller, place, asked, paging, hits).await
}

/// What the query may have meant, as answers have it: `[{"message","query"}]`; no `query` where there is none to offer.
/// Fields that no line has are named once, on the first page, and not where that would take more than a search may.
async fn hints(
    api: &Api,
    caller: &Caller,
    place: &Place,
    params: &Params,
    asked: &Selection,
) -> Result<Value, Problem> {
    let text = params.text("query").unwrap_or_default();
    let mut hints = weir_query::hints(text);
    let is_first = params.text("cursor").unwrap_or_default().is_empty();
    if let Some(query) = weir_query::parse(text).ok().filter(|query| is_first && search::names_fields(query)) {
        let missing = api.run(caller, place, asked.clone(), move |snapshot, asked| {
            match search::missing(snapshot, &query, &asked.budget) {
                Err(search::Error::Limit(limit)) if limit != Limit::Cancelled => Ok(Vec::new()),
                done => done,
            }
        });
        hints.extend(missing.await?);
    }
    let shown = |hint: weir_query::Hint| {
        let mut shown = json!({"message": hint.message});
        if !hint.query.is_empty() {
            shown["query"] = hint.query.into();
        }
        shown
    };
    Ok(hints.into_iter().map(shown).collect())
}

/// A page: `{"hits":[…],"next_cursor","took_ms","hints":[…]}`, and its [`Extent`].
struct Hits {
    /// Whose cursors they are.
    of: String,
    /// Shows what matched in bodies: `"highlights":[[start, end],…]`, in bytes of the body's UTF-8 text, which of a
    /// structured body is its JSON.
    highlight: Option<Matcher>,
    hints: Value,
}

impl Format for Hits {
    const KIND: &'static str = "application/json";

    fn head(&self) -> String {
        r#"{"hits":["#.to_owned()
    }

    fn line(&self, line: &Line, first: bool, text: &mut Vec<u8>) {
        if !first {
            text.push(b',');
        }
        let mut hit = hit(line);
        if let Some(matcher) = &self.highlight {
            let found = matcher.highlights(&line.body.text());
            hit["highlights"] = found.into_iter().map(|range| json!([range.start, range.end])).collect();
        }
        text.extend_from_slice(hit.to_string().as_bytes());
    }

    fn tail(&self, end: &End) -> String {
        let mut rest = json!({
            "next_cursor": end.next.map(|place| cursor(place, &self.of)),
            "took_ms": end.began.elapsed().as_millis() as u64,
            "hints": self.hints,
        });
        if let Some(extent) = &end.extent {
            extent.show(&mut rest);
        }
        // The rest of the object that the head began.
        rest.to_string().replacen('{', "],", 1)
    }
}

pub(super) async fn count(State(api): State<Api>, caller: Caller, params: Params) -> Answer {
    let asked = selection(&params)?;
    let place = api.searches.place(&caller)?;
    api.wait(&caller, &params).await?;
    let hints = hints(&api, &caller, &place, &params, &asked).await?;
    let counted = api.run(&caller, &place, asked, |snapshot, asked| {
        Ok((search::count(snapshot, asked)?, Extent::of(snapshot, asked.start, asked.end)))
    });
    let (count, extent) = counted.await?;
    let mut answer = json!({"count": count, "hints": hints});
    extent.show(&mut answer);
    Ok(answer::json(place, &answer))
}

/// `{"interval_seconds","buckets":[{"start","count"}]}`, and with `field` `"values":{…}` of its most frequent values (of
/// all that match; at most `limit`), and `other`, the lines with another one.
pub(super) async fn histogram(State(api): State<Api>, caller: Caller, params: Params) -> Answer {
    let asked = selection(&params)?;
    let interval = params.interval(asked.start, asked.end)?;
    let seconds = interval.nanos() as f64 / 1e9;
    let limit = params.number("limit", 100, 1..=search::MAX_VALUES)?;
    let split = params.text("field").map(str::to_owned);
    let by_field = split.is_some();
    let place = api.searches.place(&caller)?;
    api.wait(&caller, &params).await?;
    let counted = api.run(&caller, &place, asked, move |snapshot, asked| {
        let mut found = search::histogram(snapshot, asked, interval, split.as_deref())?;
        found.keep_largest(limit);
        Ok((found, Extent::of(snapshot, asked.start, asked.end)))
    });
    let (Histogram { buckets, other }, extent) = counted.await?;
    let bucket = |(start, counts): (i64, BTreeMap<String, u64>)| {
        let other = other.get(&start).copied().unwrap_or(0);
        let count = counts.values().sum::<u64>() + other;
        let mut bucket = json!({"start": weir_service::time::format(start), "count": count});
        if by_field {
            bucket["values"] = json!(counts);
            bucket["other"] = other.into();
        }
        bucket
    };
    let buckets: Vec<Value> = buckets.into_iter().map(bucket).collect();
    let mut answer = json!({"interval_seconds": seconds, "buckets": buckets});
    extent.show(&mut answer);
    Ok(answer::json(place, &answer))
}

/// `{"fields":[{"name","count","types":{"int":3}}]}`: the lines that have each field, and what it holds there.
pub(super) async fn fields(State(api): State<Api>, caller: Caller, params: Params) -> Answer {
    let asked = selection(&params)?;
    let place = api.searches.place(&caller)?;
    let found = api.run(&caller, &place, asked, search::fields).await?;
    let shown = |(name, field): (&str, &ListedField)| {
        let types: Map<String, Value> =
            field.holds().map(|(holds, lines)| (holds.name().to_owned(), lines.into())).collect();
        json!({"name": name, "count": field.lines(), "types": types})
    };
    let fields: Vec<Value> = found.iter().map(shown).collect();
    Ok(answer::json(place, &json!({"fields": fields})))
}

pub(super) async fn values(State(api): State<Api>, name: InPath, caller: Caller, params: Params) -> Answer {
    let name = in_path("name", name)?;
    let asked = selection(&params)?;
    let limit = params.number("limit", 10, 1..=search::MAX_GROUPS)?;
    let field = name.clone();
    let place = api.searches.place(&caller)?;
    let values = api
        .run(&caller, &place, asked, move |snapshot, asked| search::top_values(snapshot, asked, &name, limit))
        .await?;
    let values: Vec<Value> = values.into_iter().map(|(value, count)| json!({"value": value, "count": count})).collect();
    Ok(answer::json(place, &json!({"field": field, "values": values})))
}

/// Lines of the same source before and after one; `timestamp` (of the hit) saves looking for it everywhere. Where lines
/// are so large that there are fewer than asked for though there are more, the answer has `"truncated": true`.
pub(super) async fn context(State(api): State<Api>, id: InPath, caller: Caller, mut params: Params) -> Answer {
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
    let place = api.searches.place(&caller)?;
    let bytes = place.piece();
    let found = api
        .run(&caller, &place, everything, move |snapshot, everything| {
            around(snapshot, everything, id, at, sides, bytes)
        })
        .await?;
    let Some(Around { before, line, after, truncated }) = found else {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no line {id}")));
    };
    let hits = |lines: &[Line]| lines.iter().map(hit).collect::<Vec<_>>();
    let mut answer = json!({"before": hits(&before), "line": hit(&line), "after": hits(&after)});
    if truncated {
        answer["truncated"] = true.into();
    }
    Ok(answer::json(place, &answer))
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
    bytes: usize,
) -> Result<Option<Around>, search::Error> {
    let (start, end) = at.map_or((i64::MIN, i64::MAX), |at| (at, at.saturating_add(1)));
    let needs = Needs::Field("record".to_owned(), format!("{}-{}", id.partition, id.offset));
    let there = Selection { needs, exact: None, start, end, ..everything.clone() };
    let one = Paging { limit: 1, bytes, oldest_first: false, after: None };
    let Some(line) = search::page(snapshot, &there, &one, &|line| line.id == id)?.lines.pop() else { return Ok(None) };
    let of_source = Selection { needs: needs_of(&line.source), exact: None, ..everything.clone() };
    let beside = |limit, oldest_first| {
        let paging = Paging { limit, bytes, oldest_first, after: Some((line.time, line.id)) };
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
