//! `GET /api/v1/metrics/search`: which metrics have points.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use axum::extract::State;
use regex::Regex;
use serde_json::{Value, json};
use weir_query::fields;
use weir_query::line::Line;
use weir_service::http::Problem;

use super::read::{self, Places, Sink, Stop, of_metric};
use super::run::{self, Kind, Meta};
use super::{Answer, Api, asked, range};
use crate::api::answer;
use crate::api::extent::Extent;
use crate::api::params::Params;
use crate::schedule::{Budget, Caller};

/// Most metrics of a page, and how many where no `limit` is given.
const MOST: usize = 1000;
const USUAL: usize = 100;
/// Most values of a label that are shown.
const MOST_VALUES: usize = 100;

/// What metrics are told apart by, in their order: name, unit, kind.
type Key = (String, String, Kind);

/// A metric.
#[derive(Default)]
struct Metric {
    description: String,
    series: usize,
    /// Values by name as queries have it.
    labels: BTreeMap<String, BTreeSet<String>>,
    /// A label has more values than are kept.
    is_cut: bool,
}

/// `{"metrics":[{"metric","prometheus_name","unit","type","temporality","monotonic","description","series",
/// "labels":{}}],"next_cursor","took_ms","indexed_until","gaps"}`, by name. `series` is how many there are, and `labels` has up
/// to 100 values of each of their fields, by the field's name in queries; a metric with more has `"truncated": true`.
pub(super) async fn search(State(api): State<Api>, caller: Caller, params: Params) -> Answer {
    let began = Instant::now();
    let limit = params.number("limit", USUAL, 1..=MOST)?;
    let wrong = || Problem::parameter("cursor", "no such cursor: use the `next_cursor` of the page before, as it is");
    let after = params.text("cursor").map(|text| read_cursor(text).ok_or_else(wrong)).transpose()?;
    let text = params.text("name").unwrap_or("*").to_owned();
    let is_plain = !text.contains(['*', '?']);
    let wrong = |_| Problem::parameter("name", "the pattern is too long");
    let name = Regex::new(&pattern(&text)).map_err(wrong)?;
    let names = if is_plain { vec![text] } else { Vec::new() };
    let asked = asked(&params, &names, range(&params)?)?;
    let place = api.searches.place(&caller)?;
    api.wait(&caller, &params).await?;
    let (store, tenants) = (api.store.clone(), caller.tenants.clone());
    let written = place.run(move |budget| {
        let snapshot = store.snapshot(&tenants).within(budget);
        let range = (asked.start, asked.end);
        let mut found =
            Listing { name, after, range, budget, places: Places::default(), count: 0, metrics: BTreeMap::new() };
        read::runs(snapshot.as_ref(), &asked, budget, &mut found)?;
        let mut page = page(found.metrics, limit);
        page["took_ms"] = (began.elapsed().as_millis() as u64).into();
        Extent::of(snapshot.as_ref(), range.0, range.1).show(&mut page);
        Ok::<_, Stop>(page.to_string())
    });
    let text = written.await?;
    Ok(answer::whole(place, "application/json", text))
}

fn page(metrics: BTreeMap<Key, Metric>, limit: usize) -> Value {
    let more = metrics.len() > limit;
    let next = metrics.keys().nth(limit.saturating_sub(1)).filter(|_| more).map(cursor);
    let metrics: Vec<Value> = metrics.into_iter().take(limit).map(show).collect();
    json!({"metrics": metrics, "next_cursor": next})
}

fn show(((name, unit, kind), metric): (Key, Metric)) -> Value {
    let mut shown = of_metric(&name, &unit, kind);
    shown.insert("prometheus_name".to_owned(), kind.prometheus_name(&name, &unit).into());
    shown.insert("description".to_owned(), metric.description.into());
    shown.insert("series".to_owned(), metric.series.into());
    shown.insert("labels".to_owned(), json!(metric.labels));
    if metric.is_cut {
        shown.insert("truncated".to_owned(), true.into());
    }
    shown.into()
}

/// An expression for the whole of a name.
fn pattern(text: &str) -> String {
    let mut expression = String::from("(?s)^");
    for c in text.chars() {
        match c {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    expression
}

/// A [`Key`] as a cursor, which is opaque to its reader.
fn cursor((name, unit, kind): &Key) -> String {
    hex::encode(json!([name, unit, kind.byte()]).to_string())
}

fn read_cursor(text: &str) -> Option<Key> {
    let (name, unit, kind) = serde_json::from_slice::<(String, String, u8)>(&hex::decode(text).ok()?).ok()?;
    Some((name, unit, Kind::of(kind)?))
}

/// Metrics on their way.
struct Listing<'a> {
    name: Regex,
    after: Option<Key>,
    range: (i64, i64),
    budget: &'a Budget,
    places: Places,
    count: usize,
    metrics: BTreeMap<Key, Metric>,
}

impl Sink for Listing<'_> {
    fn take(&mut self, line: &Line) -> Result<(), Stop> {
        let (start, end) = self.range;
        if !self.name.is_match(run::name(line)) {
            return Ok(());
        }
        if line.time < start && read::within(&run::of(line)?, start, end).is_empty() {
            return Ok(());
        }
        let meta = run::meta(line)?;
        if self.places.of(line, &meta, self.budget)? < self.count {
            return Ok(());
        }
        self.count += 1;
        let Meta { kind, unit, description } = meta;
        let key = (run::name(line).to_owned(), unit, kind);
        if self.after.as_ref().is_some_and(|after| key <= *after) {
            return Ok(());
        }
        let metric = self.metrics.entry(key).or_default();
        metric.series += 1;
        metric.description = description;
        let (budget, mut enough) = (self.budget, Ok(()));
        for (part, pairs) in [("resource.", line.source.resource.as_slice()), ("attributes.", run::labels(line))] {
            fields::each(pairs, |name, value| {
                let name = format!("{part}{name}");
                let values = metric.labels.entry(name).or_default();
                if values.contains(value) {
                    return;
                }
                if values.len() >= MOST_VALUES {
                    metric.is_cut = true;
                } else if enough.is_ok() {
                    enough = budget.hold(value.len() + 100);
                    values.insert(value.to_owned());
                }
            });
        }
        Ok(enough?)
    }

    fn complete(&mut self, _until: i64) -> Result<(), Stop> {
        Ok(())
    }
}
