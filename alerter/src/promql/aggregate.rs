//! Aggregations over the series of a vector.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Error;
use super::eval::Evaluation;
use super::face::{By, Face, Groups, Item};
use super::numeric::{Mean, Sum, quantile};
use super::plan::{Aggregate, Aggregation, Grouping};
use super::value::{Histogram, Number};
use weir_calls::Hdr;

impl Evaluation<'_> {
    pub(super) fn aggregate(&self, aggregate: &Aggregate, time: i64) -> Result<Vec<Item>, Error> {
        let Aggregate { op, grouping, of } = aggregate;
        match op {
            Aggregation::Topk(wanted) | Aggregation::Bottomk(wanted) => {
                let wanted = how_many(self.scalar(wanted, time)?)?;
                let items = self.vector(of, time)?;
                ranked(items, by(grouping), wanted, matches!(op, Aggregation::Topk(_)))
            }
            Aggregation::Quantile(q) => {
                let q = self.scalar(q, time)?;
                quantiles(&self.vector(of, time)?, by(grouping), q)
            }
            Aggregation::CountValues(label) => Ok(count_values(self.vector(of, time)?, grouping, label)),
            _ => grouped(op, by(grouping), &self.vector(of, time)?),
        }
    }
}

fn by(grouping: &Grouping) -> By<'_> {
    match grouping {
        Grouping::By(names) => By::Only(names),
        Grouping::Without(names) => By::Except(names),
    }
}

/// What is known of a group so far.
#[derive(Default)]
struct Group {
    count: f64,
    sum: Sum,
    mean: Mean,
    /// Of `min` and `max`; the running mean of the variance.
    value: f64,
    /// Sum of the squares of the distances from the mean.
    squares: f64,
    histogram: Option<Box<(Hdr, f64)>>,
}

fn grouped(op: &Aggregation, by: By<'_>, items: &[Item]) -> Result<Vec<Item>, Error> {
    let mut groups = Groups::new(by);
    for item in items {
        groups.entry(&item.face, Group::default).add(op, &item.value)?;
    }
    let mut made = Vec::new();
    for (face, group) in groups.into_entries() {
        let labels = by.labels(&face).into();
        made.push(Item { face: Face::new(labels), value: group.finish(op) });
    }
    Ok(made)
}

impl Group {
    fn add(&mut self, op: &Aggregation, value: &Number) -> Result<(), Error> {
        self.count += 1.0;
        let is_first = self.count <= 1.0;
        if matches!(op, Aggregation::Count | Aggregation::Group) {
            return Ok(());
        }
        let value = match value {
            Number::Float(_) if self.histogram.is_some() => return Err(mixed()),
            Number::Float(value) => *value,
            Number::Histogram(histogram) => return self.add_histogram(op, histogram, is_first),
        };
        match op {
            Aggregation::Avg => self.mean.add(value),
            // NaN is ignored as long as there is anything else.
            Aggregation::Min => self.value = if is_first { value } else { self.value.min(value) },
            Aggregation::Max => self.value = if is_first { value } else { self.value.max(value) },
            Aggregation::Stddev | Aggregation::Stdvar => {
                let delta = value - self.value;
                self.value += delta / self.count;
                self.squares += delta * (value - self.value);
            }
            _ => self.sum.add(value),
        }
        Ok(())
    }

    fn add_histogram(&mut self, op: &Aggregation, histogram: &Histogram, is_first: bool) -> Result<(), Error> {
        if !matches!(op, Aggregation::Sum | Aggregation::Avg) {
            return Err(Error::Data("histograms have no least, no greatest and no deviation".to_owned()));
        }
        match &mut self.histogram {
            Some(merged) => {
                same_scale(merged.1, histogram)?;
                merged.0.merge(&histogram.hdr);
            }
            None if is_first => self.histogram = Some(Box::new(((*histogram.hdr).clone(), histogram.scale))),
            None => return Err(mixed()),
        }
        Ok(())
    }

    fn finish(self, op: &Aggregation) -> Number {
        if let Some(merged) = self.histogram {
            let (hdr, scale) = *merged;
            let scale = if matches!(op, Aggregation::Avg) { scale / self.count } else { scale };
            return Number::Histogram(Histogram { hdr: Arc::new(hdr), scale });
        }
        Number::Float(match op {
            Aggregation::Count => self.count,
            Aggregation::Group => 1.0,
            Aggregation::Avg => self.mean.mean(),
            Aggregation::Min | Aggregation::Max => self.value,
            Aggregation::Stdvar => self.squares / self.count,
            Aggregation::Stddev => (self.squares / self.count).sqrt(),
            _ => self.sum.total(),
        })
    }
}

fn quantiles(items: &[Item], by: By<'_>, q: f64) -> Result<Vec<Item>, Error> {
    let mut groups: Groups<'_, Vec<f64>> = Groups::new(by);
    for item in items {
        let Number::Float(value) = item.value else {
            return Err(Error::Data("quantile takes numbers; histogram_quantile takes histograms".to_owned()));
        };
        groups.entry(&item.face, Vec::new).push(value);
    }
    let item = |(face, mut values): (Face, Vec<f64>)| Item::float(by.labels(&face).into(), quantile(q, &mut values));
    Ok(groups.into_entries().map(item).collect())
}

fn how_many(wanted: f64) -> Result<usize, Error> {
    if wanted.is_nan() {
        return Err(Error::Data("Parameter value is NaN: topk and bottomk take a number of series".to_owned()));
    }
    if wanted > i64::MAX as f64 {
        return Err(Error::Data(format!("Scalar value {wanted} overflows int64")));
    }
    Ok(wanted.max(0.0) as usize)
}

/// An order of values in which NaN comes last either way.
pub(super) fn compare(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if descending => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
    }
}

/// The greatest or least of each group, best first.
fn ranked(items: Vec<Item>, by: By<'_>, wanted: usize, greatest: bool) -> Result<Vec<Item>, Error> {
    let mut groups: Groups<'_, Vec<(f64, Item)>> = Groups::new(by);
    for item in items {
        let value = rank(&item)?;
        groups.entry(&item.face.clone(), Vec::new).push((value, item));
    }
    let mut made = Vec::new();
    for (_, mut members) in groups.into_entries() {
        members.sort_by(|(a, _), (b, _)| compare(*a, *b, greatest));
        members.truncate(wanted);
        made.extend(members.into_iter().map(|(_, item)| item));
    }
    Ok(made)
}

/// The value that an order goes by.
pub(super) fn rank(item: &Item) -> Result<f64, Error> {
    match item.value {
        Number::Float(value) => Ok(value),
        Number::Histogram(_) => Err(Error::Data("histograms have no order".to_owned())),
    }
}

fn count_values(items: Vec<Item>, grouping: &Grouping, label: &str) -> Vec<Item> {
    let grouping = match grouping {
        Grouping::By(names) => {
            let mut names = names.clone();
            names.push(label.to_owned());
            Grouping::By(names)
        }
        Grouping::Without(names) => Grouping::Without(names.clone()),
    };
    let by = by(&grouping);
    let mut groups: Groups<'_, f64> = Groups::new(by);
    for item in items {
        let text = match &item.value {
            Number::Float(value) => number(*value),
            Number::Histogram(histogram) => format!("histogram of {}", number(histogram.count())),
        };
        let mut labels = item.face.to_map();
        labels.insert(label.to_owned(), text);
        *groups.entry(&Face::new(labels.into()), || 0.0) += 1.0;
    }
    groups.into_entries().map(|(face, count)| Item::float(by.labels(&face).into(), count)).collect()
}

/// As Go writes a float without an exponent.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

pub(super) fn mixed() -> Error {
    Error::Data("numbers and histograms cannot be put together".to_owned())
}

/// That the counts of a histogram mean the same as those of one with this scale.
#[allow(clippy::float_cmp, reason = "scales come from the same range or they do not")]
pub(super) fn same_scale(scale: f64, other: &Histogram) -> Result<(), Error> {
    if other.scale == scale {
        return Ok(());
    }
    Err(Error::Data("histograms over different ranges cannot be put together".to_owned()))
}
