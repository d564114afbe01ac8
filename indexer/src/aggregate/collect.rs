//! Counting, line by line.

use ahash::AHashMap;
use http::StatusCode;
use weir_service::elastic::Fault;

use super::request::{
    Aggregation, Aggregations, By, Composite, Dates, Filters, Histogram, Kind, Metric, Of, Ranges, Terms,
};
use super::sketch::{Distinct, Moments, Quantiles};
use super::value::{Field, Reader, Scalar};
use super::{MAX_BUCKETS, MAX_BYTES};
use crate::dates::MILLI;

/// Most combinations of values of one line in a bucket of several fields.
const MAX_COMBINATIONS: usize = 1024;

/// A bucket: lines in it, and what is inside.
pub(super) struct Node {
    pub(super) lines: u64,
    /// As the aggregations of the request.
    pub(super) inner: Vec<State>,
}

/// What one aggregation has counted.
pub(super) enum State {
    Keyed(Keyed),
    /// One bucket for each range or filter, and one for the rest where it is asked for.
    Fixed(Vec<Node>),
    Moments(Moments),
    Quantiles(Quantiles),
    Distinct(Distinct),
}

/// Buckets by key.
#[derive(Default)]
pub(super) struct Keyed {
    pub(super) buckets: AHashMap<Key, Node>,
    /// Lines that went into buckets, those that were let go included.
    pub(super) total: u64,
    /// The greatest count of a bucket that was let go.
    pub(super) error: u64,
}

/// The key of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Bool(bool),
    Int(i64),
    /// A float's bits.
    Float(u64),
    Time(i64),
    Text(Box<str>),
    /// Of several fields; a value that is missing is none.
    Several(Box<[Option<Key>]>),
}

/// What all buckets of an answer take.
#[derive(Debug, Default)]
pub(super) struct Budget {
    buckets: usize,
    bytes: usize,
}

impl Key {
    pub(super) fn of(value: &Scalar) -> Self {
        match value {
            Scalar::Bool(value) => Self::Bool(*value),
            Scalar::Int(value) => Self::Int(*value),
            // The same number, however it came, is one bucket.
            Scalar::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Self::Int(*value as i64),
            Scalar::Float(value) => Self::Float(value.to_bits()),
            // As keys are shown.
            Scalar::Time(value) => Self::Time(value.div_euclid(MILLI) * MILLI),
            Scalar::Text(text) => Self::Text(text.as_str().into()),
        }
    }

    pub(super) fn scalar(&self) -> Option<Scalar> {
        Some(match self {
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Int(value) => Scalar::Int(*value),
            Self::Float(bits) => Scalar::Float(f64::from_bits(*bits)),
            Self::Time(value) => Scalar::Time(*value),
            Self::Text(text) => Scalar::Text(text.to_string()),
            Self::Several(_) => return None,
        })
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Text(text) => text.len(),
                Self::Several(keys) => keys.iter().flatten().map(Self::bytes).sum(),
                _ => 0,
            }
    }
}

pub(super) fn too_many_buckets() -> Fault {
    let reason = format!(
        "Trying to create too many buckets. Must be less than or equal to: [{MAX_BUCKETS}]. Take a longer interval or a \
         narrower query"
    );
    Fault::new(StatusCode::BAD_REQUEST, "too_many_buckets_exception", reason)
}

impl Budget {
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        self.buckets += 1;
        self.bytes += bytes;
        if self.buckets > MAX_BUCKETS || self.bytes > MAX_BYTES { Err(too_many_buckets()) } else { Ok(()) }
    }

    fn is_nearly_spent(&self) -> bool {
        self.buckets >= MAX_BUCKETS - MAX_BUCKETS / 8 || self.bytes >= MAX_BYTES - MAX_BYTES / 8
    }

    fn give_back(&mut self, buckets: usize, bytes: usize) {
        self.buckets -= buckets;
        self.bytes -= bytes;
    }
}

impl Node {
    /// An empty one, for what is asked inside of it.
    pub(super) fn new(aggregations: &Aggregations) -> Self {
        let of = |aggregation: &Aggregation| match &aggregation.kind {
            Kind::Terms(_) | Kind::Dates(_) | Kind::Histogram(_) | Kind::Composite(_) => State::Keyed(Keyed::default()),
            Kind::Range(Ranges { spans: ranges, .. }) => {
                State::Fixed(ranges.iter().map(|_| Self::new(&aggregation.inner)).collect())
            }
            Kind::Filters(Filters { named: filters, other, .. }) => {
                let count = filters.len() + usize::from(other.is_some());
                State::Fixed((0..count).map(|_| Self::new(&aggregation.inner)).collect())
            }
            Kind::Metric(metric) => match metric.of {
                Of::Cardinality => State::Distinct(Distinct::new()),
                Of::Percentiles { .. } => State::Quantiles(Quantiles::new()),
                _ => State::Moments(Moments::default()),
            },
        };
        Self { lines: 0, inner: aggregations.list().iter().map(|(_, aggregation)| of(aggregation)).collect() }
    }

    /// Of one date histogram, whose buckets were counted elsewhere.
    pub(super) fn of_dates(counts: &[(i64, u64)]) -> Self {
        let bucket = |(at, lines): &(i64, u64)| (Key::Time(*at), Self { lines: *lines, inner: Vec::new() });
        let total = counts.iter().map(|(_, count)| count).sum();
        let keyed = Keyed { buckets: counts.iter().map(bucket).collect(), total, error: 0 };
        Self { lines: total, inner: vec![State::Keyed(keyed)] }
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether it can be made at all: ranges and filters have all of their buckets from the start.
    pub(super) fn check(aggregations: &Aggregations) -> Result<(), Fault> {
        if Self::bytes(aggregations) > MAX_BYTES { Err(too_many_buckets()) } else { Ok(()) }
    }

    /// About the bytes that a node takes, before anything is in it, and as JSON in the answer.
    pub(super) fn bytes(aggregations: &Aggregations) -> usize {
        let of = |aggregation: &Aggregation| {
            size_of::<State>().saturating_add(match &aggregation.kind {
                Kind::Metric(Metric { of: Of::Cardinality, .. }) => Distinct::BYTES,
                Kind::Metric(Metric { of: Of::Percentiles { .. }, .. }) => Quantiles::BYTES,
                Kind::Metric(Metric { of: Of::Extended { .. }, .. }) => 2048,
                Kind::Metric(Metric { of: Of::Stats, .. }) => 512,
                Kind::Range(ranges) => ranges.spans.len().saturating_mul(Self::bytes(&aggregation.inner)),
                Kind::Filters(filters) => (filters.named.len() + 1).saturating_mul(Self::bytes(&aggregation.inner)),
                _ => 0,
            })
        };
        let sizes = aggregations.list().iter().map(|(_, aggregation)| of(aggregation));
        sizes.fold(size_of::<Self>(), usize::saturating_add)
    }

    /// Counts a line in.
    pub(super) fn add(
        &mut self,
        aggregations: &Aggregations,
        reader: &Reader<'_>,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        self.lines += 1;
        for ((_, aggregation), state) in aggregations.list().iter().zip(&mut self.inner) {
            let inner = &aggregation.inner;
            match (&aggregation.kind, state) {
                (Kind::Terms(terms), State::Keyed(keyed)) => {
                    for key in keys_of_terms(terms, reader) {
                        keyed.add(key, inner, reader, budget)?;
                    }
                    if inner.list().is_empty() && terms.order_is_count() && budget.is_nearly_spent() {
                        keyed.let_go(inner, budget);
                    }
                }
                (Kind::Dates(dates), State::Keyed(keyed)) => {
                    for at in keys_of_dates(dates, reader) {
                        keyed.add(Key::Time(at), inner, reader, budget)?;
                    }
                }
                (Kind::Histogram(histogram), State::Keyed(keyed)) => {
                    for at in keys_of_numbers(histogram, reader) {
                        keyed.add(Key::Float(at.to_bits()), inner, reader, budget)?;
                    }
                }
                (Kind::Composite(composite), State::Keyed(keyed)) => {
                    for key in keys_of_composite(composite, reader) {
                        keyed.add(key, inner, reader, budget)?;
                    }
                }
                (Kind::Range(ranges), State::Fixed(nodes)) => {
                    let values = values_of(&ranges.field, None, reader);
                    let numbers = values.iter().filter_map(|value| {
                        if ranges.is_date { value.time().map(|at| at as f64 / 1e6) } else { value.number() }
                    });
                    let numbers: Vec<f64> = numbers.collect();
                    for (range, node) in ranges.spans.iter().zip(nodes) {
                        let is_in = |number: &f64| {
                            range.from.is_none_or(|from| *number >= from) && range.to.is_none_or(|to| *number < to)
                        };
                        if numbers.iter().any(is_in) {
                            node.add(inner, reader, budget)?;
                        }
                    }
                }
                (Kind::Filters(filters), State::Fixed(nodes)) => {
                    let mut is_taken = false;
                    for ((_, matcher), node) in filters.named.iter().zip(&mut *nodes) {
                        if matcher.matches(reader.line) {
                            is_taken = true;
                            node.add(inner, reader, budget)?;
                        }
                    }
                    if let Some(node) = nodes.get_mut(filters.named.len()).filter(|_| !is_taken) {
                        node.add(inner, reader, budget)?;
                    }
                }
                (Kind::Metric(metric), state) => {
                    for value in values_of(&metric.field, metric.missing.as_ref(), reader) {
                        state.add(&metric.of, &value);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl State {
    fn add(&mut self, of: &Of, value: &Scalar) {
        match self {
            Self::Distinct(distinct) => distinct.add(value),
            Self::Quantiles(quantiles) => {
                if let Some(number) = value.number() {
                    quantiles.add(number);
                }
            }
            Self::Moments(moments) => match value.number() {
                Some(number) => moments.add(number),
                None if *of == Of::Count => moments.count += 1,
                None => {}
            },
            Self::Keyed(_) | Self::Fixed(_) => {}
        }
    }
}

impl Keyed {
    fn add(&mut self, key: Key, inner: &Aggregations, reader: &Reader<'_>, budget: &mut Budget) -> Result<(), Fault> {
        self.total += 1;
        let node = if let Some(node) = self.buckets.get_mut(&key) {
            node
        } else {
            budget.take(key.bytes() + Node::bytes(inner))?;
            self.buckets.entry(key).or_insert_with(|| Node::new(inner))
        };
        node.add(inner, reader, budget)
    }

    /// Lets the rarer half of the buckets go.
    fn let_go(&mut self, inner: &Aggregations, budget: &mut Budget) {
        let mut counts: Vec<u64> = self.buckets.values().map(|node| node.lines).collect();
        if counts.len() < MAX_BUCKETS / 4 {
            return;
        }
        let half = counts.len() / 2;
        let (_, median, _) = counts.select_nth_unstable(half);
        let (median, mut room, mut bytes) = (*median, half, 0);
        let before = self.buckets.len();
        self.buckets.retain(|key, node| {
            // Among those that are as frequent as the median, the first ones stay.
            let stays = node.lines > median || (node.lines == median && room > 0);
            if stays {
                room = room.saturating_sub(1);
            } else {
                bytes += key.bytes() + Node::bytes(inner);
            }
            stays
        });
        self.error += median;
        budget.give_back(before - self.buckets.len(), bytes);
    }
}

fn values_of(field: &Field, missing: Option<&Scalar>, reader: &Reader<'_>) -> Vec<Scalar> {
    let mut values = reader.values(field);
    if values.is_empty() {
        values.extend(missing.cloned());
    }
    values
}

/// The different keys of a line.
fn distinct<T: Ord>(mut keys: Vec<T>) -> Vec<T> {
    if keys.len() > 1 {
        keys.sort();
        keys.dedup();
    }
    keys
}

fn keys_of_terms(terms: &Terms, reader: &Reader<'_>) -> Vec<Key> {
    let of = |(field, missing): &(Field, Option<Scalar>)| distinct(values_of(field, missing.as_ref(), reader));
    if !terms.is_multi {
        return terms.fields.first().map(of).unwrap_or_default().iter().map(Key::of).collect();
    }
    let each = terms.fields.iter().map(|field| of(field).iter().map(|value| Some(Key::of(value))).collect());
    combined(each.collect())
}

/// Every combination of one key of each list.
fn combined(lists: Vec<Vec<Option<Key>>>) -> Vec<Key> {
    let mut keys: Vec<Vec<Option<Key>>> = vec![Vec::new()];
    for list in lists {
        let longer = keys.iter().flat_map(|key| {
            list.iter().map(move |next| {
                let mut key = key.clone();
                key.push(next.clone());
                key
            })
        });
        keys = longer.take(MAX_COMBINATIONS).collect();
    }
    keys.into_iter().map(|key| Key::Several(key.into())).collect()
}

fn keys_of_dates(dates: &Dates, reader: &Reader<'_>) -> Vec<i64> {
    let times = values_of(&dates.field, dates.missing.as_ref(), reader);
    let times =
        times.iter().filter_map(Scalar::time).filter(|at| dates.hard.is_none_or(|(min, max)| (min..=max).contains(at)));
    distinct(times.map(|at| dates.rounding.floor(at)).collect())
}

fn keys_of_numbers(histogram: &Histogram, reader: &Reader<'_>) -> Vec<f64> {
    let values = values_of(&histogram.field, histogram.missing.as_ref(), reader);
    let numbers = values.iter().filter_map(Scalar::number);
    let numbers = numbers.filter(|n| histogram.hard.is_none_or(|(min, max)| (min..=max).contains(n)));
    let mut keys: Vec<f64> = numbers.map(|number| histogram.floor(number)).collect();
    keys.sort_by(f64::total_cmp);
    keys.dedup();
    keys
}

fn keys_of_composite(composite: &Composite, reader: &Reader<'_>) -> Vec<Key> {
    let of = |source: &super::request::Source| {
        let values = reader.values(&source.field);
        let keys: Vec<Scalar> = match &source.by {
            By::Value => values,
            By::Interval(interval) => {
                let floor = |number: f64| Scalar::Float((number / interval).floor() * interval);
                values.iter().filter_map(Scalar::number).map(floor).collect()
            }
            By::Time(rounding) => {
                let floor = |at| Scalar::Time(rounding.floor(at).div_euclid(MILLI) * MILLI);
                values.iter().filter_map(Scalar::time).map(floor).collect()
            }
        };
        let mut keys: Vec<_> = distinct(keys).iter().map(|value| Some(Key::of(value))).collect();
        if keys.is_empty() && source.keeps_missing {
            keys.push(None);
        }
        keys
    };
    combined(composite.sources.iter().map(of).collect())
}

impl Histogram {
    /// The start of the bucket that a number lies in; never minus zero.
    pub(super) fn floor(&self, number: f64) -> f64 {
        ((number - self.offset) / self.interval).floor() * self.interval + self.offset + 0.0
    }
}

impl Terms {
    fn order_is_count(&self) -> bool {
        matches!(self.order.first(), Some((super::request::Order::Count, false)))
    }
}
