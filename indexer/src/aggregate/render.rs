//! What was counted, as Elasticsearch answers it.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json, json};
use weir_service::elastic::Fault;

use super::MAX_BUCKETS;
use super::collect::{Budget, Key, Keyed, Node, State, too_many_buckets};
use super::request::{
    Aggregation, Aggregations, By, Composite, Dates, Filters, Histogram, Kind, Of, Order, Ranges, Terms,
};
use super::sketch::Moments;
use super::value::Scalar;
use crate::dates::MILLI;

/// The object `aggregations` of an answer. Buckets without lines, which fill gaps, are taken of the same budget as those
/// that were counted: one gap may be filled in each of many buckets.
pub(super) fn aggregations(aggregations: &Aggregations, node: &Node, budget: &mut Budget) -> Result<Json, Fault> {
    let mut shown = Map::new();
    for ((name, aggregation), state) in aggregations.list().iter().zip(&node.inner) {
        let mut answer = one(aggregation, state, budget)?;
        if let Some(meta) = &aggregation.meta {
            answer["meta"] = meta.clone();
        }
        shown.insert(name.clone(), answer);
    }
    Ok(Json::Object(shown))
}

fn one(aggregation: &Aggregation, state: &State, budget: &mut Budget) -> Result<Json, Fault> {
    let inner = &aggregation.inner;
    match (&aggregation.kind, state) {
        (Kind::Terms(terms), State::Keyed(keyed)) => of_terms(terms, keyed, inner, budget),
        (Kind::Dates(dates), State::Keyed(keyed)) => of_dates(dates, keyed, inner, budget),
        (Kind::Histogram(histogram), State::Keyed(keyed)) => of_histogram(histogram, keyed, inner, budget),
        (Kind::Composite(composite), State::Keyed(keyed)) => of_composite(composite, keyed, inner, budget),
        (Kind::Range(ranges), State::Fixed(nodes)) => of_ranges(ranges, nodes, inner, budget),
        (Kind::Filters(filters), State::Fixed(nodes)) => of_filters(filters, nodes, inner, budget),
        (Kind::Metric(metric), state) => Ok(of_metric(&metric.of, state)),
        _ => Ok(json!({})),
    }
}

/// A bucket with what is inside of it.
fn bucket(mut head: Map<String, Json>, node: &Node, inner: &Aggregations, budget: &mut Budget) -> Result<Json, Fault> {
    head.insert("doc_count".to_owned(), node.lines.into());
    if let Json::Object(inside) = aggregations(inner, node, budget)? {
        head.extend(inside);
    }
    Ok(Json::Object(head))
}

fn keyed_or_listed(is_keyed: bool, buckets: Vec<(String, Json)>) -> Json {
    if is_keyed {
        json!({"buckets": buckets.into_iter().collect::<Map<_, _>>()})
    } else {
        json!({"buckets": buckets.into_iter().map(|(_, bucket)| bucket).collect::<Vec<_>>()})
    }
}

fn head(key: Json) -> Map<String, Json> {
    Map::from_iter([("key".to_owned(), key)])
}

fn of_terms(terms: &Terms, keyed: &Keyed, inner: &Aggregations, budget: &mut Budget) -> Result<Json, Fault> {
    let mut buckets: Vec<_> = keyed.buckets.iter().filter(|(_, node)| node.lines >= terms.least).collect();
    sort(&mut buckets, &terms.order, inner);
    let counted: u64 = buckets.iter().take(terms.size).map(|(_, node)| node.lines).sum();
    let shown = buckets.into_iter().take(terms.size).map(|(key, node)| {
        let mut head = head(shown_key(key));
        match key {
            Key::Several(_) => _ = head.insert("key_as_string".to_owned(), several_text(key).into()),
            Key::Bool(value) => _ = head.insert("key_as_string".to_owned(), value.to_string().into()),
            Key::Time(at) => {
                head.insert("key_as_string".to_owned(), weir_service::time::format(*at).into());
            }
            _ => {}
        }
        bucket(head, node, inner, budget)
    });
    let shown: Vec<Json> = shown.collect::<Result<_, _>>()?;
    Ok(json!({
        "doc_count_error_upper_bound": keyed.error,
        "sum_other_doc_count": keyed.total - counted,
        "buckets": shown,
    }))
}

fn shown_key(key: &Key) -> Json {
    match key {
        Key::Bool(value) => u8::from(*value).into(),
        Key::Several(keys) => keys.iter().map(|key| key.as_ref().map_or(Json::Null, shown_key)).collect(),
        key => key.scalar().map_or(Json::Null, |scalar| scalar.json()),
    }
}

fn several_text(key: &Key) -> String {
    match key {
        Key::Several(keys) => {
            let texts = keys.iter().map(|key| key.as_ref().map(several_text).unwrap_or_default());
            texts.collect::<Vec<_>>().join("|")
        }
        key => key.scalar().map(|scalar| scalar.text()).unwrap_or_default(),
    }
}

fn of_dates(dates: &Dates, keyed: &Keyed, inner: &Aggregations, budget: &mut Budget) -> Result<Json, Fault> {
    let mut found: Vec<(i64, &Node)> = Vec::new();
    for (key, node) in &keyed.buckets {
        if let Key::Time(at) = key {
            found.push((*at, node));
        }
    }
    found.sort_by_key(|(at, _)| *at);
    let empty = Node::new(inner);
    if dates.least == 0 {
        let ends = found.first().map(|(at, _)| *at).zip(found.last().map(|(at, _)| *at));
        let asked = dates.extended.map(|(min, max)| (dates.rounding.floor(min), dates.rounding.floor(max)));
        let (first, last) = match (ends, asked) {
            (Some((a, b)), Some((c, d))) => (a.min(c), b.max(d)),
            (Some(ends), None) | (None, Some(ends)) => ends,
            (None, None) => (0, -1),
        };
        let mut filled = Vec::new();
        let (mut at, mut rest) = (first, found.into_iter().peekable());
        // Behind a change of the clock, the last may begin before one step is over.
        while at <= last || rest.peek().is_some() {
            if filled.len() >= MAX_BUCKETS {
                return Err(too_many_buckets());
            }
            if let Some(bucket) = rest.next_if(|(start, _)| *start <= at) {
                at = bucket.0;
                filled.push(bucket);
            } else {
                budget.take(Node::bytes(inner))?;
                filled.push((at, &empty));
            }
            at = dates.rounding.next(at);
        }
        found = filled;
    } else {
        found.retain(|(_, node)| node.lines >= dates.least);
    }
    let keys: Vec<(Key, &Node)> = found.into_iter().map(|(at, node)| (Key::Time(at), node)).collect();
    let mut refs: Vec<(&Key, &Node)> = keys.iter().map(|(key, node)| (key, *node)).collect();
    if dates.order != [(Order::Key, true)] {
        sort(&mut refs, &dates.order, inner);
    }
    let shown = refs.into_iter().map(|(key, node)| {
        let at = if let Key::Time(at) = key { *at } else { 0 };
        let mut head = head(at.div_euclid(MILLI).into());
        let text = dates.shown(at);
        head.insert("key_as_string".to_owned(), text.as_str().into());
        Ok((text, bucket(head, node, inner, budget)?))
    });
    Ok(keyed_or_listed(dates.is_keyed, shown.collect::<Result<_, Fault>>()?))
}

impl Dates {
    /// A time in the format that is asked for: milliseconds, seconds, a day, or RFC 3339.
    fn shown(&self, at: i64) -> String {
        match self.format.as_str() {
            "epoch_millis" => at.div_euclid(MILLI).to_string(),
            "epoch_second" => at.div_euclid(1000 * MILLI).to_string(),
            "yyyy-MM-dd" => self.local(at).map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default(),
            _ if self.rounding.zone == jiff::tz::TimeZone::UTC => weir_service::time::format(at),
            _ => self.local(at).map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()).unwrap_or_default(),
        }
    }

    fn local(&self, at: i64) -> Option<jiff::ZonedDateTime> {
        let time = jiff::Timestamp::from_nanosecond(at.into()).ok()?;
        Some(jiff::ZonedDateTime::new(time, self.rounding.zone.clone()))
    }
}

fn of_histogram(
    histogram: &Histogram,
    keyed: &Keyed,
    inner: &Aggregations,
    budget: &mut Budget,
) -> Result<Json, Fault> {
    let mut found: Vec<(f64, &Node)> = Vec::new();
    for (key, node) in &keyed.buckets {
        if let Key::Float(bits) = key {
            found.push((f64::from_bits(*bits), node));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let empty = Node::new(inner);
    if histogram.least == 0 {
        let ends = found.first().map(|(at, _)| *at).zip(found.last().map(|(at, _)| *at));
        let asked = histogram.extended.map(|(min, max)| (histogram.floor(min), histogram.floor(max)));
        let ends = match (ends, asked) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (ends, asked) => ends.or(asked),
        };
        let mut filled = Vec::new();
        if let Some((first, last)) = ends {
            let steps = ((last - first) / histogram.interval).round();
            if steps >= MAX_BUCKETS as f64 {
                return Err(too_many_buckets());
            }
            let mut rest = found.into_iter().peekable();
            for step in 0..=steps.max(0.0) as usize {
                let at = first + step as f64 * histogram.interval;
                // Steps are sums, and keys are products: the same but for the last bits.
                let same = |start: &f64| (start - at).abs() < histogram.interval / 2.0;
                let counted = rest.next_if(|(start, _)| same(start));
                if counted.is_none() {
                    budget.take(Node::bytes(inner))?;
                }
                filled.push(counted.unwrap_or((at, &empty)));
            }
        }
        found = filled;
    } else {
        found.retain(|(_, node)| node.lines >= histogram.least);
    }
    let keys: Vec<(Key, &Node)> = found.into_iter().map(|(at, node)| (Key::Float(at.to_bits()), node)).collect();
    let mut refs: Vec<(&Key, &Node)> = keys.iter().map(|(key, node)| (key, *node)).collect();
    if histogram.order != [(Order::Key, true)] {
        sort(&mut refs, &histogram.order, inner);
    }
    let shown = refs.into_iter().map(|(key, node)| {
        let at = if let Key::Float(bits) = key { f64::from_bits(*bits) } else { 0.0 };
        Ok((format!("{at:?}"), bucket(head(at.into()), node, inner, budget)?))
    });
    Ok(keyed_or_listed(histogram.is_keyed, shown.collect::<Result<_, Fault>>()?))
}

fn of_ranges(ranges: &Ranges, nodes: &[Node], inner: &Aggregations, budget: &mut Budget) -> Result<Json, Fault> {
    let mut order: Vec<_> = ranges.spans.iter().zip(nodes).collect();
    let edge = |edge: Option<f64>, open: f64| edge.unwrap_or(open);
    order.sort_by(|(a, _), (b, _)| {
        let from = edge(a.from, f64::NEG_INFINITY).total_cmp(&edge(b.from, f64::NEG_INFINITY));
        from.then(edge(a.to, f64::INFINITY).total_cmp(&edge(b.to, f64::INFINITY)))
    });
    let shown = order.into_iter().map(|(range, node)| {
        let mut head = if ranges.is_keyed { Map::new() } else { head(range.key.as_str().into()) };
        for (name, edge) in [("from", range.from), ("to", range.to)] {
            let Some(edge) = edge else { continue };
            head.insert(name.to_owned(), edge.into());
            if ranges.is_date {
                head.insert(format!("{name}_as_string"), weir_service::time::format((edge * 1e6) as i64).into());
            }
        }
        Ok((range.key.clone(), bucket(head, node, inner, budget)?))
    });
    Ok(keyed_or_listed(ranges.is_keyed, shown.collect::<Result<_, Fault>>()?))
}

fn of_filters(filters: &Filters, nodes: &[Node], inner: &Aggregations, budget: &mut Budget) -> Result<Json, Fault> {
    if let (true, [node]) = (filters.is_single, nodes) {
        return bucket(Map::new(), node, inner, budget);
    }
    let names = filters.named.iter().map(|(name, _)| name).chain(&filters.other);
    let shown = names.zip(nodes).map(|(name, node)| Ok((name.clone(), bucket(Map::new(), node, inner, budget)?)));
    Ok(keyed_or_listed(filters.is_keyed, shown.collect::<Result<_, Fault>>()?))
}

fn of_composite(
    composite: &Composite,
    keyed: &Keyed,
    inner: &Aggregations,
    budget: &mut Budget,
) -> Result<Json, Fault> {
    let scalars = |key: &Key| -> Vec<Option<Scalar>> {
        match key {
            Key::Several(keys) => keys.iter().map(|key| key.as_ref().and_then(Key::scalar)).collect(),
            _ => Vec::new(),
        }
    };
    // What is missing is first.
    let compare = |a: &[Option<Scalar>], b: &[Option<Scalar>]| {
        let each = composite.sources.iter().zip(a.iter().zip(b)).map(
            |(source, (a, b))| {
                if source.ascends { a.cmp(b) } else { b.cmp(a) }
            },
        );
        each.fold(Ordering::Equal, Ordering::then)
    };
    let mut buckets: Vec<_> = keyed.buckets.iter().map(|(key, node)| (scalars(key), node)).collect();
    if let Some(after) = &composite.after {
        buckets.retain(|(key, _)| {
            // A time is shown in milliseconds, as a number.
            let of = |(key, after): (&Option<Scalar>, &Option<Scalar>)| match (key, after) {
                (Some(Scalar::Time(_)), Some(after)) => after.time().map(Scalar::Time).or(Some(after.clone())),
                (_, after) => after.clone(),
            };
            let after: Vec<Option<Scalar>> = key.iter().zip(after).map(of).collect();
            compare(key, &after).is_gt()
        });
    }
    buckets.sort_by(|(a, _), (b, _)| compare(a, b));
    buckets.truncate(composite.size);
    let named = |key: &[Option<Scalar>]| -> Json {
        let of = |(source, value): (&super::request::Source, &Option<Scalar>)| {
            let shown = match (value, &source.by) {
                (None, _) => Json::Null,
                (Some(value), By::Interval(_)) => value.number().map_or(Json::Null, Json::from),
                (Some(value), _) => value.json(),
            };
            (source.name.clone(), shown)
        };
        Json::Object(composite.sources.iter().zip(key).map(of).collect())
    };
    let last = buckets.last().map(|(key, _)| named(key));
    let shown = buckets.iter().map(|(key, node)| bucket(head(named(key)), node, inner, budget));
    let mut answer = json!({"buckets": shown.collect::<Result<Vec<_>, _>>()?});
    if let Some(last) = last {
        answer["after_key"] = last;
    }
    Ok(answer)
}

fn of_metric(of: &Of, state: &State) -> Json {
    let finite = |number: f64, moments: &Moments| (moments.count > 0 && number.is_finite()).then_some(number);
    match (of, state) {
        (Of::Cardinality, State::Distinct(distinct)) => json!({"value": distinct.count()}),
        (Of::Percentiles { percents, is_keyed }, State::Quantiles(quantiles)) => {
            let values = percents.iter().map(|percent| (*percent, quantiles.at(*percent)));
            if *is_keyed {
                json!({"values": values.map(|(percent, value)| (format!("{percent:?}"), json!(value))).collect::<Map<_, _>>()})
            } else {
                json!({"values": values.map(|(percent, value)| json!({"key": percent, "value": value})).collect::<Vec<_>>()})
            }
        }
        (of, State::Moments(moments)) => {
            let (min, max) = (finite(moments.min, moments), finite(moments.max, moments));
            match of {
                Of::Min => json!({"value": min}),
                Of::Max => json!({"value": max}),
                Of::Sum => json!({"value": moments.sum}),
                Of::Avg => json!({"value": moments.mean()}),
                Of::Count => json!({"value": moments.count}),
                Of::Stats => {
                    json!({"count": moments.count, "min": min, "max": max, "avg": moments.mean(), "sum": moments.sum})
                }
                Of::Extended { sigma } => extended(moments, *sigma, min, max),
                Of::Cardinality | Of::Percentiles { .. } => Json::Null,
            }
        }
        _ => Json::Null,
    }
}

fn extended(moments: &Moments, sigma: f64, min: Option<f64>, max: Option<f64>) -> Json {
    let (mean, variance) = (moments.mean(), moments.variance());
    let sampling = variance.filter(|_| moments.count > 1);
    let sampling = sampling.map(|variance| variance * moments.count as f64 / (moments.count - 1) as f64);
    let (deviation, sampled) = (variance.map(f64::sqrt), sampling.map(f64::sqrt));
    let bound = |deviation: Option<f64>, sign: f64| Some(mean? + sign * sigma * deviation?);
    json!({
        "count": moments.count, "min": min, "max": max, "avg": mean, "sum": moments.sum,
        "sum_of_squares": moments.squares,
        "variance": variance, "variance_population": variance, "variance_sampling": sampling,
        "std_deviation": deviation, "std_deviation_population": deviation, "std_deviation_sampling": sampled,
        "std_deviation_bounds": {
            "upper": bound(deviation, 1.0), "lower": bound(deviation, -1.0),
            "upper_population": bound(deviation, 1.0), "lower_population": bound(deviation, -1.0),
            "upper_sampling": bound(sampled, 1.0), "lower_sampling": bound(sampled, -1.0),
        },
    })
}

/// Orders buckets as asked; those that are alike by their keys, from the least on.
fn sort(buckets: &mut [(&Key, &Node)], order: &[(Order, bool)], inner: &Aggregations) {
    buckets.sort_by_cached_key(|(key, node)| Place {
        by: order.iter().map(|(order, ascends)| (sort_value(order, key, node, inner), *ascends)).collect(),
        key: sort_key(key),
    });
}

#[derive(PartialEq, Eq)]
struct Place {
    by: Vec<(Option<Vec<Option<Scalar>>>, bool)>,
    key: Vec<Option<Scalar>>,
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let each = self.by.iter().zip(&other.by).map(|((a, ascends), (b, _))| match (a, b) {
            // A bucket without the value is last either way.
            (None, _) | (_, None) => b.is_some().cmp(&a.is_some()),
            (a, b) if *ascends => a.cmp(b),
            (a, b) => b.cmp(a),
        });
        each.fold(Ordering::Equal, Ordering::then).then_with(|| self.key.cmp(&other.key))
    }
}

fn sort_key(key: &Key) -> Vec<Option<Scalar>> {
    match key {
        Key::Several(keys) => keys.iter().map(|key| key.as_ref().and_then(Key::scalar)).collect(),
        key => vec![key.scalar()],
    }
}

fn sort_value(order: &Order, key: &Key, node: &Node, inner: &Aggregations) -> Option<Vec<Option<Scalar>>> {
    match order {
        Order::Count => Some(vec![Some(Scalar::Int(node.lines as i64))]),
        Order::Key => Some(sort_key(key)),
        Order::Inner(name, part) => {
            let at = inner.list().iter().position(|(inner, _)| inner == name)?;
            let number = match (&inner.list()[at].1.kind, &node.inner[at]) {
                (Kind::Metric(_), State::Quantiles(quantiles)) => quantiles.at(part.as_deref()?.parse().ok()?),
                (Kind::Metric(metric), state) => {
                    let shown = of_metric(&metric.of, state);
                    shown.get(part.as_deref().unwrap_or("value")).and_then(Json::as_f64)
                }
                (_, State::Fixed(nodes)) => nodes.first().map(|node| node.lines as f64),
                _ => None,
            };
            number.map(|number| vec![Some(Scalar::Float(number))])
        }
    }
}
