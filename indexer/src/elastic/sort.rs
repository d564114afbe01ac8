//! The order of hits, and places in it.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};
use weir_query::line::{Line, LineId};
use weir_service::elastic::{Fault, date};

use crate::aggregate::{Field, Reader, Scalar};
use crate::dates::MILLI;
use crate::query::columns;
use crate::search::Place;

/// Most keys of an order.
const MAX_KEYS: usize = 16;

/// One key of an order.
#[derive(Debug, Clone)]
pub(super) struct SortKey {
    by: By,
    pub(super) ascends: bool,
    missing_first: bool,
    format: String,
}

#[derive(Debug, Clone)]
enum By {
    Time,
    /// The place of a line: its time, then its place on the bus.
    Doc,
    /// All lines are alike.
    Score,
    Field(Field),
}

/// Where a line stands in an order; ordered so that what comes first is least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rank {
    values: Vec<(Option<Scalar>, Way)>,
    place: Place,
    ascends: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    ascends: bool,
    missing_first: bool,
}

/// Reads `sort`: a name, an object, or a list of both.
pub(super) fn read(json: &Json) -> Result<Vec<SortKey>, Fault> {
    let mut keys = Vec::new();
    match json {
        Json::Array(listed) => {
            for one in listed {
                keys.append(&mut read(one)?);
            }
        }
        Json::String(names) => {
            for name in names.split(',').filter(|name| !name.is_empty()) {
                let (name, way) = name.rsplit_once(':').map_or((name, None), |(name, way)| (name, Some(way)));
                let about = way.map_or(Json::Null, Json::from);
                keys.push(key(name, &about)?);
            }
        }
        Json::Object(named) => {
            for (name, about) in named {
                keys.push(key(name, about)?);
            }
        }
        _ => return Err(Fault::parsing("[sort] is a name, an object, or a list of them")),
    }
    if keys.len() > MAX_KEYS {
        return Err(Fault::argument(format!("[sort] has at most {MAX_KEYS} keys")));
    }
    Ok(keys)
}

fn key(name: &str, about: &Json) -> Result<SortKey, Fault> {
    let none = Map::new();
    let (way, about) = match about {
        Json::Object(about) => (about.get("order").and_then(Json::as_str), about),
        Json::String(way) => (Some(way.as_str()), &none),
        _ => (None, &none),
    };
    let ascends = match way.map(str::to_lowercase).as_deref() {
        Some("asc") => true,
        Some("desc") => false,
        None => name != "_score",
        Some(other) => {
            let shown: String = other.chars().take(64).collect();
            return Err(Fault::argument(format!("[sort] of [{name}]: `{shown}` is no order: use asc or desc")));
        }
    };
    let by = match name {
        "_doc" | "_shard_doc" => By::Doc,
        "_score" => By::Score,
        name if columns(name) == ["timestamp"] => By::Time,
        name => By::Field(Field::new(name)),
    };
    let text = |key: &str| about.get(key).and_then(Json::as_str).unwrap_or_default();
    let missing_first = text("missing") == "_first";
    Ok(SortKey { by, ascends, missing_first, format: text("format").to_owned() })
}

/// The direction of an order by time alone, which pages of the store have: whether the oldest is first.
pub(super) fn by_time(keys: &[SortKey]) -> Option<bool> {
    let keys: Vec<_> = keys.iter().filter(|key| !matches!(key.by, By::Score)).collect();
    match keys.as_slice() {
        [] => Some(false),
        [first] if matches!(first.by, By::Time | By::Doc) => Some(first.ascends),
        [first, second] if matches!((&first.by, &second.by), (By::Time, By::Doc)) => {
            (first.ascends == second.ascends).then_some(first.ascends)
        }
        _ => None,
    }
}

/// The place behind which an order by time goes on.
pub(super) fn place_after(keys: &[SortKey], after: &[Json], oldest_first: bool) -> Result<Place, Fault> {
    check_length(keys, after)?;
    let mut place = None;
    for (key, json) in keys.iter().zip(after) {
        match key.by {
            By::Doc => return read_place(json).ok_or_else(|| wrong_after(json)),
            By::Time => place = Some(moment(json).ok_or_else(|| wrong_after(json))?),
            By::Score | By::Field(_) => {}
        }
    }
    let time = place.ok_or_else(|| Fault::argument("[search_after] needs a sort by @timestamp or _doc"))?;
    let least = LineId { partition: i32::MIN, offset: i64::MIN, index: 0 };
    let greatest = LineId { partition: i32::MAX, offset: i64::MAX, index: u32::MAX };
    // A time is shown in milliseconds: the next page begins behind all lines of that one.
    Ok(if oldest_first { (time.saturating_add(MILLI - 1), greatest) } else { (time, least) })
}

fn check_length(keys: &[SortKey], after: &[Json]) -> Result<(), Fault> {
    if keys.len() == after.len() {
        return Ok(());
    }
    let reason = format!("search_after has {} value(s) but sort has {}.", after.len(), keys.len());
    Err(Fault::argument(reason))
}

fn wrong_after(json: &Json) -> Fault {
    let shown: String = json.to_string().chars().take(64).collect();
    Fault::argument(format!("[search_after] {shown} is no value of [sort] of a hit: use it as it is"))
}

/// Start of a millisecond.
fn moment(json: &Json) -> Option<i64> {
    match json {
        Json::String(text) => date(text),
        json => json.as_i64()?.checked_mul(MILLI),
    }
}

pub(super) fn shown_place(place: Place) -> String {
    format!("{}_{}", place.0, place.1)
}

pub(super) fn read_place(json: &Json) -> Option<Place> {
    let (time, id) = json.as_str()?.split_once('_')?;
    Some((time.parse().ok()?, id.parse().ok()?))
}

impl SortKey {
    fn value(&self, reader: &Reader<'_>) -> Option<Scalar> {
        match &self.by {
            By::Time => Some(Scalar::Time(reader.line.time)),
            By::Doc | By::Score => None,
            By::Field(field) => {
                let values = reader.values(field).into_iter().map(dated);
                if self.ascends { values.min() } else { values.max() }
            }
        }
    }

    /// The value of a hit's `sort`.
    pub(super) fn shown(&self, line: &Line) -> Json {
        match &self.by {
            By::Score => 1.0.into(),
            By::Doc => shown_place((line.time, line.id)).into(),
            _ => match self.value(&Reader::new(line)) {
                Some(Scalar::Time(nanos)) => match self.format.as_str() {
                    "epoch_nanos_int" => nanos.into(),
                    "" | "epoch_millis" => nanos.div_euclid(MILLI).into(),
                    _ => weir_service::time::format(nanos).into(),
                },
                value => value.map_or(Json::Null, |value| value.json()),
            },
        }
    }
}

/// Text that is a date as JSON has it is one, as Elasticsearch finds dates by itself.
fn dated(value: Scalar) -> Scalar {
    match &value {
        Scalar::Text(text) if text.len() >= 10 && text.as_bytes().get(4) == Some(&b'-') => {
            date(text).map_or(value, Scalar::Time)
        }
        _ => value,
    }
}

impl Rank {
    pub(super) fn of(keys: &[SortKey], line: &Line) -> Self {
        let reader = Reader::new(line);
        let of = |key: &SortKey| (key.value(&reader), Way { ascends: key.ascends, missing_first: key.missing_first });
        // The key that places lines is behind all others: it tells any two lines apart.
        let doc = keys.iter().find(|key| matches!(key.by, By::Doc)).or(keys.first());
        Self {
            values: keys.iter().map(of).collect(),
            place: (line.time, line.id),
            ascends: doc.is_some_and(|key| key.ascends),
        }
    }

    /// Whether the line stands behind these values of `sort`; `place` tells lines apart that are alike in them.
    pub(super) fn is_behind(&self, keys: &[SortKey], after: &[Json], place: Option<Place>) -> bool {
        for ((key, json), (value, way)) in keys.iter().zip(after).zip(&self.values) {
            let order = match key.by {
                By::Score => Ordering::Equal,
                By::Doc => match read_place(json) {
                    Some(place) => self.compare_place(place),
                    None => Ordering::Equal,
                },
                _ => compare(value.as_ref(), coerced(json, value.as_ref(), &key.format).as_ref(), *way),
            };
            if order.is_ne() {
                return order.is_gt();
            }
        }
        place.is_some_and(|place| self.compare_place(place).is_gt())
    }

    fn compare_place(&self, other: Place) -> Ordering {
        if self.ascends { self.place.cmp(&other) } else { other.cmp(&self.place) }
    }
}

/// The number of values must be that of the keys.
pub(super) fn check_after(keys: &[SortKey], after: &[Json]) -> Result<(), Fault> {
    check_length(keys, after)
}

/// A value of `search_after` as the kind that the line has.
fn coerced(json: &Json, value: Option<&Scalar>, format: &str) -> Option<Scalar> {
    let given = Scalar::of(json)?;
    Some(match (value, given) {
        (Some(Scalar::Time(_)), Scalar::Int(nanos)) if format == "epoch_nanos_int" => Scalar::Time(nanos),
        (Some(Scalar::Time(_)), given) => given.time().map_or(given, Scalar::Time),
        (Some(Scalar::Int(_) | Scalar::Float(_)), Scalar::Text(text)) => match (text.parse(), text.parse()) {
            (Ok(whole), _) => Scalar::Int(whole),
            (_, Ok(float)) => Scalar::Float(float),
            _ => Scalar::Text(text),
        },
        (_, given) => given,
    })
}

fn compare(a: Option<&Scalar>, b: Option<&Scalar>, way: Way) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if way.ascends => a.cmp(b),
        (Some(a), Some(b)) => b.cmp(a),
        (None, None) => Ordering::Equal,
        (None, Some(_)) if way.missing_first => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) if way.missing_first => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let each =
            self.values.iter().zip(&other.values).map(|((a, way), (b, _))| compare(a.as_ref(), b.as_ref(), *way));
        each.fold(Ordering::Equal, Ordering::then).then_with(|| self.compare_place(other.place))
    }
}
