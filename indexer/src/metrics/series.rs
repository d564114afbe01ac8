//! `GET /api/v1/metrics/series`: points of metrics, as they came or by steps of time, of each series or of several
//! together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Instant;

use axum::extract::State;
use serde_json::{Map, Value as Json, json};
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_query::line::Line;
use weir_query::{FieldPath, Found, fields};
use weir_service::http::Problem;

use super::fold::{self, Agg, Fold, Part, Pending, Stat, Tally};
use super::read::{self, Places, Series, Sink, Stop, of_metric, refused};
use super::run::{self, Meta, Point, Value};
use super::{Answer, Api, asked, listed, nanos, range, shown};
use crate::api::answer;
use crate::api::extent::Extent;
use crate::api::params::Params;
use crate::schedule::{Budget, Caller};
use crate::snapshot::Snapshot;

/// Most series of an answer, and how many where no `limit` is given.
const MOST: usize = 1000;
const USUAL: usize = 100;
/// Most series that become those of an answer.
const MOST_GROUPED: usize = 10_000;
/// Most points of an answer.
pub(super) const MOST_POINTS: usize = 100_000;
/// Most steps of a series.
const MOST_STEPS: i64 = 11_000;
/// Most points that wait for others before them, of all series.
const MOST_PENDING: usize = 2_000_000;
/// Points that lie before this much more time are taken together, or as soon as many wait: of many sources, what holds
/// points of the same time is read one after the other.
const TOGETHER: i64 = 600_000_000_000;
const MANY_PENDING: usize = MOST_PENDING / 4;
/// Most metrics and fields that a request names.
const MOST_NAMES: usize = 64;

/// What is made of the series.
struct Shape {
    fold: fold::Asked,
    /// Fields by whose values series become one, and how; `None` where each stands for itself.
    group: Option<(Vec<(String, FieldPath)>, Agg)>,
    names: BTreeSet<String>,
    limit: usize,
}

/// What stands in an answer.
#[derive(Debug, PartialEq)]
struct Shown {
    head: Map<String, Json>,
    points: Vec<(i64, Value)>,
}

/// `{"series":[{"metric","unit","type",…,"points":[[time, number],…]}],"step_seconds","took_ms","indexed_until",
/// "gaps"}`. A series has what [`Series::show`] shows, or with `by` or `agg` the `labels` that it was grouped by. A point of a step
/// stands at the step's start. A point without a value is null, and one that JSON does not know a text.
pub(super) async fn series(State(api): State<Api>, caller: Caller, params: Params) -> Answer {
    let began = Instant::now();
    let (shape, mut asked) = read_params(&params)?;
    asked.start = shape.fold.from();
    let place = api.searches.place(&caller)?;
    api.wait(&caller, &params).await?;
    let (store, tenants) = (api.store.clone(), caller.tenants.clone());
    let written = place.run(move |budget| {
        let snapshot = store.snapshot(&tenants).within(budget);
        let mut text = String::from(r#"{"series":["#);
        for (at, one) in find(snapshot.as_ref(), &asked, &shape, budget)?.iter().enumerate() {
            text.push_str(if at > 0 { "," } else { "" });
            put(&mut text, one);
        }
        let mut rest = json!({"took_ms": began.elapsed().as_millis() as u64});
        if let Some((step, _)) = shape.fold.step {
            rest["step_seconds"] = (step as f64 / 1e9).into();
        }
        Extent::of(snapshot.as_ref(), asked.start, asked.end).show(&mut rest);
        // The rest of the object that was begun.
        text.push_str(&rest.to_string().replacen('{', "],", 1));
        Ok::<_, Stop>(text)
    });
    let text = written.await?;
    Ok(answer::whole(place, "application/json", text))
}

fn put(text: &mut String, one: &Shown) {
    let head = Json::from(one.head.clone()).to_string();
    text.push_str(head.strip_suffix('}').unwrap_or(&head));
    text.push_str(r#","points":["#);
    for (at, (time, value)) in one.points.iter().enumerate() {
        text.push_str(if at > 0 { "," } else { "" });
        // A String takes what is written to it.
        let _ = write!(text, r#"["{}",{}]"#, shown(*time), number(*value));
    }
    text.push_str("]}");
}

/// A number as JSON has it.
pub(super) fn number(value: Value) -> Json {
    match value {
        Value::Int(number) => number.into(),
        Value::Double(number) => fields::json(&Attribute::DoubleValue(number)),
        Value::Counted { count, .. } => count.into(),
        Value::Gap => Json::Null,
    }
}

fn read_params(params: &Params) -> Result<(Shape, read::Asked), Problem> {
    let names = listed(params, "metric");
    if names.is_empty() {
        let detail = "name the metrics, as `/api/v1/metrics/search` lists them, separated by commas";
        return Err(Problem::parameter("metric", detail));
    }
    let by = listed(params, "by");
    for (name, list) in [("metric", &names), ("by", &by)] {
        if list.len() > MOST_NAMES {
            return Err(Problem::parameter(name, format!("at most {MOST_NAMES} names, not {}", list.len())));
        }
    }
    let (start, end) = range(params)?;
    let stat = one_of(params, "stat", &Stat::NAMES)?;
    let step = nanos(params, "step")?;
    let needs_step = |name: &str| Problem::parameter(name, format!("`{name}` is of steps: give `step`, such as 1m"));
    if step.is_none() && stat.is_some() {
        return Err(needs_step("stat"));
    }
    let stat = stat.unwrap_or(Stat::Avg);
    if let Some(step) = step {
        let steps = end.min(params.now).saturating_sub(start) / step;
        if steps > MOST_STEPS {
            let detail = format!("{steps} steps are more than {MOST_STEPS}: take a longer one, or a shorter time");
            return Err(Problem::parameter("step", detail));
        }
    }
    let agg = one_of(params, "agg", &Agg::NAMES)?;
    let mut paths = Vec::with_capacity(by.len());
    for name in by {
        let path = FieldPath::parse(&name).map_err(|error| Problem::parameter("by", error.to_string()))?;
        paths.push((name, path));
    }
    let is_grouped = agg.is_some() || !paths.is_empty();
    if is_grouped && step.is_none() {
        return Err(needs_step(if paths.is_empty() { "agg" } else { "by" }));
    }
    let part = one_of(params, "part", &[("count", Part::Count), ("sum", Part::Sum)])?.unwrap_or(Part::Count);
    let shape = Shape {
        fold: fold::Asked { start, end, step: step.map(|step| (step, stat)), part },
        group: is_grouped.then(|| (paths, agg.unwrap_or(stat.usual_agg()))),
        limit: params.number("limit", USUAL, 1..=MOST)?,
        names: names.iter().cloned().collect(),
    };
    let asked = asked(params, &names, (start, end))?;
    Ok((shape, asked))
}

/// The one of these that a parameter names.
fn one_of<T: Copy>(params: &Params, name: &str, known: &[(&str, T)]) -> Result<Option<T>, Problem> {
    let Some(text) = params.text(name) else { return Ok(None) };
    let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.map(Some).ok_or_else(|| Problem::parameter(name, format!("`{text}` is none of {}", names())))
}

/// Series on their way.
struct Folds<'a> {
    shape: &'a Shape,
    budget: &'a Budget,
    places: Places,
    list: Vec<One>,
    groups: BTreeMap<Group, usize>,
    /// Series with points that wait, and how many wait at most.
    waiting: Vec<usize>,
    pending: usize,
    /// Most that have waited, of which the budget was told.
    most_pending: usize,
    /// Series of the answer: places of series, or of groups, with points at `start` or behind it.
    within: BTreeSet<usize>,
    /// Time before which all points were taken.
    taken: i64,
    /// Points that are shown, counted as each step is.
    points: usize,
}

/// Metric, unit, kind, and values of the fields of `by`.
type Group = (String, Meta, Vec<Option<String>>);

struct One {
    series: Series,
    fold: Fold,
    group: usize,
    is_waiting: bool,
    counted: usize,
}

fn find(snapshot: &dyn Snapshot, asked: &read::Asked, shape: &Shape, budget: &Budget) -> Result<Vec<Shown>, Stop> {
    let mut folds = Folds {
        shape,
        budget,
        places: Places::default(),
        list: Vec::new(),
        groups: BTreeMap::new(),
        waiting: Vec::new(),
        pending: 0,
        most_pending: 0,
        within: BTreeSet::new(),
        taken: i64::MIN,
        points: 0,
    };
    read::runs(snapshot, asked, budget, &mut folds)?;
    folds.end()
}

impl Sink for Folds<'_> {
    fn take(&mut self, line: &Line) -> Result<(), Stop> {
        if !self.shape.names.contains(run::name(line)) {
            return Ok(());
        }
        let run = run::of(line)?;
        let points = read::within(&run, self.shape.fold.from(), self.shape.fold.end);
        if points.is_empty() {
            return Ok(());
        }
        let place = self.place(line, &run.meta)?;
        if points.last().is_some_and(|last| last.time >= self.shape.fold.start) {
            self.count(place)?;
        }
        let one = &mut self.list[place];
        one.fold.add(points, line.id);
        if !std::mem::replace(&mut one.is_waiting, true) {
            self.waiting.push(place);
        }
        self.pending += points.len();
        if self.pending > MOST_PENDING {
            return Err(refused("too many points lie beside each other in time: narrow `query`, `start` and `end`"));
        }
        if self.pending > self.most_pending {
            self.budget.hold((self.pending - self.most_pending) * size_of::<Pending>())?;
            self.most_pending = self.pending;
        }
        Ok(())
    }

    fn complete(&mut self, until: i64) -> Result<(), Stop> {
        if until.saturating_sub(self.taken) < TOGETHER && self.pending < MANY_PENDING && until < i64::MAX {
            return Ok(());
        }
        self.taken = until;
        let mut left = Vec::new();
        for place in std::mem::take(&mut self.waiting) {
            let one = &mut self.list[place];
            one.fold.complete(until, &self.shape.fold);
            one.is_waiting = one.fold.pending() > 0;
            if one.is_waiting {
                left.push(place);
            }
            let new = one.fold.shown.len() - one.counted;
            one.counted += new;
            self.points += new;
            self.budget.hold(new * size_of::<(i64, Value)>())?;
            if self.points > MOST_POINTS && self.shape.group.is_none() {
                return Err(too_many_points(self.shape.fold.step.is_some()));
            }
        }
        self.pending = left.iter().map(|place| self.list[*place].fold.pending()).sum();
        self.waiting = left;
        Ok(())
    }
}

fn too_many_points(has_step: bool) -> Stop {
    let advice = if has_step { "take a longer `step`" } else { "give a `step`" };
    refused(format!("more than {MOST_POINTS} points: {advice}, or narrow `query`, `start` and `end`"))
}

impl Folds<'_> {
    /// The place of a line's series.
    fn place(&mut self, line: &Line, meta: &Meta) -> Result<usize, Stop> {
        let place = self.places.of(line, meta, self.budget)?;
        if place < self.list.len() {
            return Ok(place);
        }
        let is_growth = self.shape.fold.step.is_some_and(|(_, stat)| stat.is_growth());
        if is_growth && !meta.kind.is_counter() {
            let name = run::name(line);
            let kind = meta.kind.name();
            return Err(refused(format!(
                "`{name}` of service `{}` is a {kind} that is no counter, and has no rate or increase: use another `stat`",
                line.source.service
            )));
        }
        let mut group = 0;
        if let Some((paths, _)) = &self.shape.group {
            let value = |path: &FieldPath| path.get(line).map(text);
            let values = paths.iter().map(|(_, path)| value(path)).collect();
            let meta = Meta { description: String::new(), ..meta.clone() };
            let next = self.groups.len();
            group = *self.groups.entry((run::name(line).to_owned(), meta, values)).or_insert(next);
        }
        if place >= MOST_GROUPED {
            return Err(refused(format!("more than {MOST_GROUPED} series become those asked for: narrow `query`")));
        }
        let fold = Fold::new(meta.kind);
        self.list.push(One { series: Series::of(line, meta.clone()), fold, group, is_waiting: false, counted: 0 });
        Ok(place)
    }

    /// Counts a series that has points of the time asked for; those before it alone are for what a counter grew by.
    fn count(&mut self, place: usize) -> Result<(), Stop> {
        let shown = if self.shape.group.is_some() { self.list[place].group } else { place };
        self.within.insert(shown);
        let most = self.shape.limit;
        if self.within.len() > most {
            let advice = if most < MOST { format!(", or raise `limit`, to at most {MOST}") } else { String::new() };
            return Err(refused(format!("more than {most} series: narrow `query`, or group them with `by`{advice}")));
        }
        Ok(())
    }

    fn end(mut self) -> Result<Vec<Shown>, Stop> {
        for one in &mut self.list {
            one.fold.end(&self.shape.fold);
        }
        let mut found = if let Some((paths, agg)) = &self.shape.group {
            grouped(self.list, self.groups, paths, *agg)
        } else {
            let show = |one: One| Shown { head: one.series.show(), points: one.fold.shown };
            self.list.into_iter().map(show).collect()
        };
        found.retain(|shown| !shown.points.is_empty());
        found
            .sort_by_cached_key(|shown| (shown.head["metric"].to_string(), Json::from(shown.head.clone()).to_string()));
        if found.iter().map(|shown| shown.points.len()).sum::<usize>() > MOST_POINTS {
            return Err(too_many_points(self.shape.fold.step.is_some()));
        }
        Ok(found)
    }
}

/// Series of the same group as one: what their numbers of a step are together.
fn grouped(list: Vec<One>, groups: BTreeMap<Group, usize>, paths: &[(String, FieldPath)], agg: Agg) -> Vec<Shown> {
    let mut tallies: Vec<BTreeMap<i64, Option<Tally>>> = groups.iter().map(|_| BTreeMap::new()).collect();
    for one in list {
        let Some(steps) = tallies.get_mut(one.group) else { continue };
        for (time, value) in one.fold.shown {
            if let Value::Double(number) = value {
                Tally::put(steps.entry(time).or_default(), number);
            }
        }
    }
    let show = |((name, meta, values), place): (Group, usize)| {
        let mut head = of_metric(&name, &meta.unit, meta.kind);
        let pairs = paths.iter().zip(values).map(|((name, _), value)| (name.clone(), Json::from(value)));
        head.insert("labels".to_owned(), Json::Object(pairs.collect()));
        let steps = tallies.get_mut(place).map(std::mem::take).unwrap_or_default();
        let point = |(time, tally): (i64, Option<Tally>)| Some((time, Value::Double(tally?.shown(agg))));
        Shown { head, points: steps.into_iter().filter_map(point).collect() }
    };
    groups.into_iter().map(show).collect()
}

/// A value as a label.
fn text(found: Found) -> String {
    match found {
        Found::Text(text) => text,
        Found::Int(number) => number.to_string(),
        Found::Float(number) => number.to_string(),
        Found::Bool(value) => value.to_string(),
        Found::Time(time) => shown(time),
        Found::Nested(value) => value.to_string(),
    }
}

/// Series with their points as they came, until they have `most` points; the second is whether these are all.
pub(crate) fn samples(
    snapshot: &dyn Snapshot,
    asked: &read::Asked,
    is_wanted: &dyn Fn(&Line) -> bool,
    most: usize,
    budget: &Budget,
) -> Result<(Vec<Json>, bool), Stop> {
    struct Samples<'a> {
        asked: fold::Asked,
        is_wanted: &'a dyn Fn(&Line) -> bool,
        budget: &'a Budget,
        places: Places,
        list: Vec<(Series, Fold)>,
        count: usize,
        most: usize,
    }
    impl Sink for Samples<'_> {
        fn take(&mut self, line: &Line) -> Result<(), Stop> {
            if !(self.is_wanted)(line) {
                return Ok(());
            }
            let run = run::of(line)?;
            let points: &[Point] = read::within(&run, self.asked.start, self.asked.end);
            self.count += points.len();
            if points.is_empty() || self.count > self.most {
                return Ok(());
            }
            let place = self.places.of(line, &run.meta, self.budget)?;
            if place >= self.list.len() {
                self.list.push((Series::of(line, run.meta.clone()), Fold::new(run.meta.kind)));
            }
            self.list[place].1.add(points, line.id);
            Ok(())
        }

        fn complete(&mut self, _until: i64) -> Result<(), Stop> {
            Ok(())
        }
    }
    let fold = fold::Asked { start: asked.start, end: asked.end, step: None, part: Part::Count };
    let (places, list) = (Places::default(), Vec::new());
    let mut samples = Samples { asked: fold, is_wanted, budget, places, list, count: 0, most };
    read::runs(snapshot, asked, budget, &mut samples)?;
    let is_whole = samples.count <= most;
    let show = |(series, mut points): (Series, Fold)| {
        points.end(&fold);
        let mut head = series.show();
        let point = |(time, value): &(i64, Value)| Json::from(vec![shown(*time).into(), number(*value)]);
        head.insert("points".to_owned(), points.shown.iter().map(point).collect());
        Json::Object(head)
    };
    Ok((samples.list.into_iter().map(show).collect(), is_whole))
}
