//! What is asked for: the object `aggs` of a request.

use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json};
use weir_query::Matcher;
use weir_service::elastic::Fault;

use super::value::{Field, Scalar};
use crate::dates::{self, MILLI, Rounding, Step, zone};
use crate::query::dsl::{self, Compiler};

/// Deepest nesting of aggregations.
const MAX_DEPTH: usize = 8;
/// Most aggregations of a request.
const MAX_AGGREGATIONS: usize = 256;
/// Most buckets that a `terms` may ask for.
const MAX_SIZE: usize = 10_000;
/// Most percentiles of one aggregation.
const MAX_PERCENTS: usize = 100;
/// Most sources of a `composite`, and fields of a `multi_terms`.
const MAX_SOURCES: usize = 16;

/// Aggregations by name, in the order of the request.
#[derive(Debug, Default)]
pub(crate) struct Aggregations(Vec<(String, Aggregation)>);

/// One of them, with those inside each of its buckets.
#[derive(Debug)]
pub(crate) struct Aggregation {
    pub(super) kind: Kind,
    pub(super) inner: Aggregations,
    pub(super) meta: Option<Json>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Terms(Terms),
    Dates(Dates),
    Histogram(Histogram),
    Range(Ranges),
    Filters(Filters),
    Composite(Composite),
    Metric(Metric),
}

/// `terms`, and `multi_terms` where it has several fields.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) fields: Vec<(Field, Option<Scalar>)>,
    pub(super) is_multi: bool,
    pub(super) size: usize,
    pub(super) least: u64,
    pub(super) order: Vec<(Order, bool)>,
}

/// What buckets are ordered by; the flag beside it says whether the least is first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    Count,
    Key,
    /// An aggregation inside, and one of its values.
    Inner(String, Option<String>),
}

#[derive(Debug)]
pub(super) struct Dates {
    pub(super) field: Field,
    is_event_time: bool,
    pub(super) rounding: Rounding,
    pub(super) least: u64,
    /// Buckets are filled up to these times.
    pub(super) extended: Option<(i64, i64)>,
    pub(super) hard: Option<(i64, i64)>,
    pub(super) format: String,
    pub(super) is_keyed: bool,
    pub(super) order: Vec<(Order, bool)>,
    pub(super) missing: Option<Scalar>,
}

#[derive(Debug)]
pub(super) struct Histogram {
    pub(super) field: Field,
    pub(super) interval: f64,
    pub(super) offset: f64,
    pub(super) least: u64,
    pub(super) extended: Option<(f64, f64)>,
    pub(super) hard: Option<(f64, f64)>,
    pub(super) is_keyed: bool,
    pub(super) order: Vec<(Order, bool)>,
    pub(super) missing: Option<Scalar>,
}

#[derive(Debug)]
pub(super) struct Ranges {
    pub(super) field: Field,
    pub(super) is_date: bool,
    pub(super) is_keyed: bool,
    pub(super) spans: Vec<Span>,
}

/// From a number on, and below another; of dates, milliseconds.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) key: String,
    pub(super) from: Option<f64>,
    pub(super) to: Option<f64>,
}

#[derive(Debug)]
pub(super) struct Filters {
    /// One bucket, which is the answer itself.
    pub(super) is_single: bool,
    /// Buckets have names.
    pub(super) is_keyed: bool,
    pub(super) named: Vec<(String, Matcher)>,
    /// The name of the bucket for what none of them takes.
    pub(super) other: Option<String>,
}

#[derive(Debug)]
pub(super) struct Composite {
    pub(super) size: usize,
    pub(super) sources: Vec<Source>,
    pub(super) after: Option<Vec<Option<Scalar>>>,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) field: Field,
    pub(super) by: By,
    pub(super) keeps_missing: bool,
    pub(super) ascends: bool,
}

#[derive(Debug)]
pub(super) enum By {
    Value,
    Interval(f64),
    Time(Rounding),
}

#[derive(Debug)]
pub(super) struct Metric {
    pub(super) field: Field,
    pub(super) of: Of,
    pub(super) missing: Option<Scalar>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Of {
    Min,
    Max,
    Sum,
    Avg,
    Count,
    Stats,
    Extended { sigma: f64 },
    Cardinality,
    Percentiles { percents: Vec<f64>, is_keyed: bool },
}

impl Aggregations {
    /// Reads the object; `now` is what the filters in it mean by it.
    pub(crate) fn read(json: &Json, now: i64) -> Result<Self, Fault> {
        let mut reader = ReadState { compiler: Compiler::new(now), now, count: 0 };
        reader.list(json, 0)
    }

    pub(crate) fn list(&self) -> &[(String, Aggregation)] {
        &self.0
    }
}

impl Dates {
    /// The length of buckets, where the index knows their counts: of event time, in UTC, from the epoch on.
    pub(super) fn whole_step(&self) -> Option<i64> {
        let Step::Fixed(step) = self.rounding.step else { return None };
        let is_plain = self.is_event_time && self.rounding.offset == 0 && self.hard.is_none();
        (is_plain && self.rounding.zone == TimeZone::UTC).then_some(step)
    }
}

struct ReadState {
    compiler: Compiler,
    now: i64,
    count: usize,
}

type About<'a> = &'a Map<String, Json>;

impl ReadState {
    fn list(&mut self, json: &Json, depth: usize) -> Result<Aggregations, Fault> {
        let Json::Object(named) = json else { return Err(Fault::parsing("[aggs] must be an object")) };
        if depth >= MAX_DEPTH {
            return Err(Fault::argument(format!("aggregations lie more than {MAX_DEPTH} deep in each other")));
        }
        let read = named.iter().map(|(name, about)| Ok((name.clone(), self.one(name, about, depth)?)));
        read.collect::<Result<_, _>>().map(Aggregations)
    }

    fn one(&mut self, name: &str, json: &Json, depth: usize) -> Result<Aggregation, Fault> {
        self.count += 1;
        if self.count > MAX_AGGREGATIONS {
            return Err(Fault::argument(format!("a request has at most {MAX_AGGREGATIONS} aggregations")));
        }
        let Json::Object(parts) = json else {
            return Err(Fault::parsing(format!("aggregation [{name}] must be an object")));
        };
        let (mut kind, mut inner, mut meta) = (None, Aggregations::default(), None);
        for (part, about) in parts {
            match part.as_str() {
                "aggs" | "aggregations" => inner = self.list(about, depth + 1)?,
                "meta" => meta = Some(about.clone()),
                _ if kind.is_some() => {
                    return Err(Fault::parsing(format!("aggregation [{name}] has two types: give one")));
                }
                of => {
                    let Json::Object(about) = about else {
                        return Err(Fault::parsing(format!("[{of}] of aggregation [{name}] must be an object")));
                    };
                    kind = Some(self.kind(of, about)?);
                }
            }
        }
        let kind = kind.ok_or_else(|| Fault::parsing(format!("missing definition for aggregation [{name}]")))?;
        if matches!(kind, Kind::Metric(_)) && !inner.0.is_empty() {
            return Err(Fault::new(
                http::StatusCode::BAD_REQUEST,
                "aggregation_initialization_exception",
                format!("aggregator [{name}] cannot accept sub-aggregations"),
            ));
        }
        if let Kind::Terms(Terms { order, .. })
        | Kind::Dates(Dates { order, .. })
        | Kind::Histogram(Histogram { order, .. }) = &kind
        {
            check_order(order, &inner)?;
        }
        Ok(Aggregation { kind, inner, meta })
    }

    fn kind(&mut self, of: &str, about: About<'_>) -> Result<Kind, Fault> {
        Ok(match of {
            "terms" => Kind::Terms(terms(vec![(field(of, about)?, missing(about))], false, about)?),
            "multi_terms" => {
                let listed = about.get("terms").and_then(Json::as_array).ok_or_else(|| lacks(of, "terms"))?;
                if listed.len() > MAX_SOURCES {
                    return Err(Fault::argument(format!("[multi_terms] has at most {MAX_SOURCES} fields")));
                }
                let one = |json: &Json| {
                    let about = json.as_object().ok_or_else(|| lacks(of, "terms"))?;
                    Ok((field(of, about)?, missing(about)))
                };
                Kind::Terms(terms(listed.iter().map(one).collect::<Result<_, Fault>>()?, true, about)?)
            }
            "date_histogram" => Kind::Dates(self.dates(about)?),
            "histogram" => {
                let interval = number(about, "interval").filter(|interval| *interval > 0.0 && interval.is_finite());
                let interval = interval.ok_or_else(|| Fault::argument("[interval] must be a number greater than 0"))?;
                let bounds = |key: &str| {
                    let about = about.get(key)?.as_object()?;
                    Some((number(about, "min")?, number(about, "max")?))
                };
                Kind::Histogram(Histogram {
                    field: field(of, about)?,
                    interval,
                    offset: number(about, "offset").unwrap_or(0.0),
                    least: count(about, "min_doc_count", 0)?,
                    extended: bounds("extended_bounds"),
                    hard: bounds("hard_bounds"),
                    is_keyed: flag(about, "keyed"),
                    order: order(about, (Order::Key, true))?,
                    missing: missing(about),
                })
            }
            "range" | "date_range" => Kind::Range(self.ranges(of, about)?),
            "filter" => {
                let matcher = self.matcher(&Json::Object(about.clone()))?;
                let named = vec![(String::new(), matcher)];
                Kind::Filters(Filters { is_single: true, is_keyed: true, named, other: None })
            }
            "filters" => Kind::Filters(self.filters(about)?),
            "missing" => {
                let name = about.get("field").and_then(Json::as_str).ok_or_else(|| lacks(of, "field"))?;
                let matcher = self.matcher(&serde_json::json!({"bool": {"must_not": {"exists": {"field": name}}}}))?;
                let named = vec![(String::new(), matcher)];
                Kind::Filters(Filters { is_single: true, is_keyed: true, named, other: None })
            }
            "composite" => Kind::Composite(Self::composite(about)?),
            _ => Kind::Metric(Metric { field: field(of, about)?, of: metric(of, about)?, missing: missing(about) }),
        })
    }

    fn matcher(&mut self, json: &Json) -> Result<Matcher, Fault> {
        let query = self.compiler.query(json)?;
        Matcher::new(&query, self.now).map_err(|error| Fault::argument(error.to_string()))
    }

    fn rounding(about: About<'_>) -> Result<Rounding, Fault> {
        let text = |key: &str| about.get(key).and_then(Json::as_str);
        let of = |key: &str, value: &str| {
            Fault::argument(format!(
                "The supplied {key} [{}] could not be parsed",
                value.chars().take(64).collect::<String>()
            ))
        };
        let fixed = |key: &str, value: &str| dates::fixed(value).filter(|n| *n >= MILLI).ok_or_else(|| of(key, value));
        let calendar = |key: &str, value: &str| dates::calendar(value).ok_or_else(|| of(key, value));
        let step = match (text("fixed_interval"), text("calendar_interval"), text("interval")) {
            (Some(value), None, _) => Step::Fixed(fixed("fixed_interval", value)?),
            (None, Some(value), _) => Step::Calendar(calendar("calendar_interval", value)?),
            // As it was before there were two of them.
            (None, None, Some(value)) => match dates::calendar(value) {
                Some(unit) => Step::Calendar(unit),
                None => Step::Fixed(fixed("interval", value)?),
            },
            _ => return Err(Fault::argument("date_histogram needs one of [fixed_interval] and [calendar_interval]")),
        };
        let zone = match text("time_zone") {
            None => TimeZone::UTC,
            Some(name) => zone(name).ok_or_else(|| of("time_zone", name))?,
        };
        let offset = match text("offset") {
            None => 0,
            Some(value) => dates::fixed(value).ok_or_else(|| of("offset", value))?,
        };
        Ok(Rounding { step, zone, offset })
    }

    fn dates(&self, about: About<'_>) -> Result<Dates, Fault> {
        let name = about.get("field").and_then(Json::as_str).ok_or_else(|| lacks("date_histogram", "field"))?;
        let bounds = |key: &str| -> Result<Option<(i64, i64)>, Fault> {
            let Some(about) = about.get(key).and_then(Json::as_object) else { return Ok(None) };
            let at = |key: &str| about.get(key).and_then(dsl::scalar).map(|text| dsl::time(&text, "", self.now));
            Ok(at("min").transpose()?.zip(at("max").transpose()?))
        };
        Ok(Dates {
            field: Field::new(name),
            is_event_time: crate::query::columns(name) == ["timestamp"],
            rounding: Self::rounding(about)?,
            least: count(about, "min_doc_count", 0)?,
            extended: bounds("extended_bounds")?,
            hard: bounds("hard_bounds")?,
            format: about.get("format").and_then(Json::as_str).unwrap_or_default().to_owned(),
            is_keyed: flag(about, "keyed"),
            order: order(about, (Order::Key, true))?,
            missing: missing(about),
        })
    }

    fn ranges(&self, of: &str, about: About<'_>) -> Result<Ranges, Fault> {
        let is_date = of == "date_range";
        let listed = about.get("ranges").and_then(Json::as_array).ok_or_else(|| lacks(of, "ranges"))?;
        let read = |json: &Json| -> Result<Span, Fault> {
            let about = json.as_object().ok_or_else(|| lacks(of, "ranges"))?;
            let edge = |key: &str| -> Result<Option<f64>, Fault> {
                let Some(value) = about.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
                if is_date {
                    let text = dsl::scalar(value).unwrap_or_default();
                    return Ok(Some(dsl::time(&text, "", self.now)? as f64 / 1e6));
                }
                let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
                number.map(Some).ok_or_else(|| Fault::parsing(format!("[{key}] of a range must be a number")))
            };
            let (from, to) = (edge("from")?, edge("to")?);
            let shown = |edge: Option<f64>| match edge {
                None => "*".to_owned(),
                Some(millis) if is_date => weir_service::time::format((millis * 1e6) as i64),
                Some(number) => format!("{number:?}"),
            };
            let key = about.get("key").and_then(Json::as_str).map(str::to_owned);
            Ok(Span { key: key.unwrap_or_else(|| format!("{}-{}", shown(from), shown(to))), from, to })
        };
        let ranges: Vec<Span> = listed.iter().map(read).collect::<Result<_, _>>()?;
        if ranges.is_empty() || ranges.len() > MAX_SIZE {
            return Err(Fault::argument(format!("No [ranges] specified, or more than {MAX_SIZE}")));
        }
        Ok(Ranges { field: field(of, about)?, is_date, is_keyed: flag(about, "keyed"), spans: ranges })
    }

    fn filters(&mut self, about: About<'_>) -> Result<Filters, Fault> {
        let (is_keyed, named) = match about.get("filters") {
            Some(Json::Object(named)) => {
                let read = named.iter().map(|(name, json)| Ok((name.clone(), self.matcher(json)?)));
                (true, read.collect::<Result<Vec<_>, Fault>>()?)
            }
            Some(Json::Array(listed)) => {
                let read = listed.iter().map(|json| Ok((String::new(), self.matcher(json)?)));
                (false, read.collect::<Result<Vec<_>, Fault>>()?)
            }
            _ => return Err(lacks("filters", "filters")),
        };
        let key = about.get("other_bucket_key").and_then(Json::as_str);
        let other = key.or_else(|| flag(about, "other_bucket").then_some("_other_")).map(str::to_owned);
        Ok(Filters { is_single: false, is_keyed, named, other })
    }

    fn composite(about: About<'_>) -> Result<Composite, Fault> {
        let listed = about.get("sources").and_then(Json::as_array).ok_or_else(|| lacks("composite", "sources"))?;
        let sources: Vec<Source> = listed.iter().map(Self::source).collect::<Result<_, _>>()?;
        if sources.is_empty() {
            return Err(lacks("composite", "sources"));
        }
        if sources.len() > MAX_SOURCES {
            return Err(Fault::argument(format!("[composite] has at most {MAX_SOURCES} sources")));
        }
        let after = about.get("after").and_then(Json::as_object).map(|after| {
            let of = |source: &Source| after.get(&source.name).and_then(|json| composite_key(json, source));
            sources.iter().map(of).collect()
        });
        Ok(Composite { size: size(about)?, sources, after })
    }

    fn source(json: &Json) -> Result<Source, Fault> {
        let wrong = || Fault::parsing("a source of [composite] is one name with terms, histogram or date_histogram");
        let (name, by) = json.as_object().and_then(|named| named.iter().next()).ok_or_else(wrong)?;
        let (kind, about) = by.as_object().and_then(|kinds| kinds.iter().next()).ok_or_else(wrong)?;
        let about = about.as_object().ok_or_else(wrong)?;
        let by = match kind.as_str() {
            "terms" => By::Value,
            "histogram" => {
                let interval = number(about, "interval").filter(|interval| *interval > 0.0);
                By::Interval(interval.ok_or_else(|| Fault::argument("[interval] must be a number greater than 0"))?)
            }
            "date_histogram" => By::Time(Self::rounding(about)?),
            _ => return Err(wrong()),
        };
        let ascends = about.get("order").and_then(Json::as_str).is_none_or(|order| order == "asc");
        let keeps_missing = flag(about, "missing_bucket");
        Ok(Source { name: name.clone(), field: field(kind, about)?, by, keeps_missing, ascends })
    }
}

/// A key of `after`; dates are milliseconds, and a type before a colon, as Quickwit writes it, is taken off.
fn composite_key(json: &Json, source: &Source) -> Option<Scalar> {
    let plain = json.as_str().and_then(|text| text.strip_prefix("str:").map(|text| Scalar::Text(text.to_owned())));
    let typed = json.as_str().and_then(|text| {
        let number = text.strip_prefix("f64:").or_else(|| text.strip_prefix("i64:"))?;
        number.parse().ok().map(Scalar::Float)
    });
    let value = plain.or(typed).or_else(|| Scalar::of(json))?;
    match source.by {
        By::Time(_) => value.time().map(Scalar::Time),
        By::Interval(_) => value.number().map(Scalar::Float),
        By::Value => Some(value),
    }
}

fn terms(fields: Vec<(Field, Option<Scalar>)>, is_multi: bool, about: About<'_>) -> Result<Terms, Fault> {
    for key in ["include", "exclude", "script"] {
        if about.contains_key(key) {
            return Err(Fault::argument(format!("[terms] does not support [{key}] here: narrow the query instead")));
        }
    }
    let order = order(about, (Order::Count, false))?;
    Ok(Terms { fields, is_multi, size: size(about)?, least: count(about, "min_doc_count", 1)?.max(1), order })
}

fn metric(of: &str, about: About<'_>) -> Result<Of, Fault> {
    Ok(match of {
        "min" => Of::Min,
        "max" => Of::Max,
        "sum" => Of::Sum,
        "avg" => Of::Avg,
        "value_count" => Of::Count,
        "stats" => Of::Stats,
        "extended_stats" => Of::Extended { sigma: number(about, "sigma").unwrap_or(2.0) },
        "cardinality" => Of::Cardinality,
        "percentiles" => {
            let given = about.get("percents").and_then(Json::as_array);
            let read = |json: &Json| json.as_f64().or_else(|| json.as_str()?.parse().ok());
            let percents = match given {
                None => vec![1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0],
                Some(given) => given.iter().filter_map(read).collect(),
            };
            if percents.is_empty() || percents.iter().any(|percent| !(0.0..=100.0).contains(percent)) {
                return Err(Fault::argument("percents must be in [0,100]"));
            }
            if percents.len() > MAX_PERCENTS {
                return Err(Fault::argument(format!("[percents] has at most {MAX_PERCENTS} percents")));
            }
            let is_keyed = about.get("keyed").and_then(Json::as_bool).unwrap_or(true);
            Of::Percentiles { percents, is_keyed }
        }
        _ => {
            let shown: String = of.chars().take(64).collect();
            return Err(Fault::parsing(format!("Unknown aggregation type [{shown}]")));
        }
    })
}

/// Buckets can be ordered by a number of what is inside of them: by a metric, or by how many lines one bucket has.
fn check_order(order: &[(Order, bool)], inner: &Aggregations) -> Result<(), Fault> {
    for (order, _) in order {
        let Order::Inner(name, part) = order else { continue };
        let wrong = |why: String| {
            let shown: String = name.chars().take(64).collect();
            Err(Fault::argument(format!("Invalid aggregation order path [{shown}]: {why}")))
        };
        let Some((_, found)) = inner.list().iter().find(|(inner, _)| inner == name) else {
            return wrong("there is no such aggregation within the buckets".to_owned());
        };
        let part = part.as_deref();
        match &found.kind {
            Kind::Filters(Filters { is_single: true, .. }) if matches!(part, None | Some("doc_count" | "_count")) => {}
            Kind::Metric(metric) if metric.of.has(part) => {}
            Kind::Metric(_) => return wrong(format!("[{}] is none of its values", part.unwrap_or("value"))),
            _ => return wrong("it is neither a metric nor a single bucket".to_owned()),
        }
    }
    Ok(())
}

impl Of {
    /// Whether buckets can be ordered by this value of the metric, or by its only one.
    fn has(&self, part: Option<&str>) -> bool {
        match self {
            Self::Percentiles { .. } => part.is_some_and(|part| part.parse::<f64>().is_ok()),
            Self::Stats => part.is_some_and(|part| STATS.contains(&part)),
            Self::Extended { .. } => part.is_some_and(|part| STATS.contains(&part) || EXTENDED.contains(&part)),
            _ => matches!(part, None | Some("value")),
        }
    }
}

/// Values of `stats`, and of `extended_stats` beside them.
const STATS: [&str; 5] = ["count", "min", "max", "avg", "sum"];
const EXTENDED: [&str; 7] = [
    "sum_of_squares",
    "variance",
    "variance_population",
    "variance_sampling",
    "std_deviation",
    "std_deviation_population",
    "std_deviation_sampling",
];

/// One order, or a list of them.
fn order(about: About<'_>, default: (Order, bool)) -> Result<Vec<(Order, bool)>, Fault> {
    let wrong = || Fault::parsing("[order] is an object such as {\"_count\": \"desc\"}, or a list of them");
    let one = |json: &Json| -> Result<Vec<(Order, bool)>, Fault> {
        let read = |(name, way): (&String, &Json)| {
            let ascends = match way.as_str() {
                Some("asc") => true,
                Some("desc") => false,
                _ => return Err(wrong()),
            };
            let order = match name.as_str() {
                "_count" => Order::Count,
                "_key" | "_term" | "_time" => Order::Key,
                path => match path.split_once(['.', '[']) {
                    Some((name, part)) => Order::Inner(name.to_owned(), Some(part.trim_end_matches(']').to_owned())),
                    None => Order::Inner(path.to_owned(), None),
                },
            };
            Ok((order, ascends))
        };
        json.as_object().ok_or_else(wrong)?.iter().map(read).collect()
    };
    match about.get("order") {
        None => Ok(vec![default]),
        Some(Json::Array(orders)) => Ok(orders.iter().map(one).collect::<Result<Vec<_>, _>>()?.concat()),
        Some(order) => one(order),
    }
}

fn size(about: About<'_>) -> Result<usize, Fault> {
    let size = count(about, "size", 10)? as usize;
    if (1..=MAX_SIZE).contains(&size) {
        Ok(size)
    } else {
        Err(Fault::argument(format!("[size] must be from 1 to {MAX_SIZE}")))
    }
}

fn field(of: &str, about: About<'_>) -> Result<Field, Fault> {
    about.get("field").and_then(Json::as_str).map(Field::new).ok_or_else(|| lacks(of, "field"))
}

fn lacks(of: &str, key: &str) -> Fault {
    let of: String = of.chars().take(64).collect();
    Fault::parsing(format!("[{of}] requires [{key}]"))
}

fn missing(about: About<'_>) -> Option<Scalar> {
    about.get("missing").and_then(Scalar::of)
}

fn flag(about: About<'_>, key: &str) -> bool {
    about.get(key).and_then(Json::as_bool).unwrap_or(false)
}

fn number(about: About<'_>, key: &str) -> Option<f64> {
    let value = about.get(key)?;
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number: &f64| number.is_finite())
}

fn count(about: About<'_>, key: &str, default: u64) -> Result<u64, Fault> {
    match about.get(key) {
        None | Some(Json::Null) => Ok(default),
        // Grafana sends some of them as text.
        Some(value) => value
            .as_u64()
            .or_else(|| value.as_str()?.parse().ok())
            .ok_or_else(|| Fault::argument(format!("[{key}] must be a whole number from 0 on"))),
    }
}
