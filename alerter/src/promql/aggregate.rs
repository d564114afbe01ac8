//! Aggregations over the series of a vector.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Error;
use super::plan::{Aggregation, Grouping};
use super::value::{Histogram, Number, Sample};
use crate::series::read::Labels;

/// Neumaier's compensated sum, so that the order of the series does not show.
pub(super) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for value in values {
        let next = sum + value;
        if next.is_finite() {
            lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        }
        sum = next;
    }
    if sum.is_finite() { sum + lost } else { sum }
}

fn group_of(grouping: &Grouping, labels: &Labels) -> BTreeMap<String, String> {
    match grouping {
        Grouping::By(names) => names
            .iter()
            .filter_map(|name| labels.get(name).filter(|value| !value.is_empty()).map(|v| (name.clone(), v.clone())))
            .collect(),
        Grouping::Without(names) => labels
            .iter()
            .filter(|(name, _)| *name != "__name__" && !names.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    }
}

pub(super) fn aggregate(op: Aggregation, grouping: &Grouping, samples: Vec<Sample>) -> Result<Vec<Sample>, Error> {
    let mut groups: BTreeMap<BTreeMap<String, String>, Vec<Number>> = BTreeMap::new();
    for sample in samples {
        groups.entry(group_of(grouping, &sample.labels)).or_default().push(sample.value);
    }
    groups
        .into_iter()
        .map(|(labels, values)| Ok(Sample { labels: Arc::new(labels), value: of_group(op, &values)? }))
        .collect()
}

fn of_group(op: Aggregation, values: &[Number]) -> Result<Number, Error> {
    let count = values.len() as f64;
    match op {
        Aggregation::Count => return Ok(Number::Float(count)),
        Aggregation::Group => return Ok(Number::Float(1.0)),
        _ => {}
    }
    if let Some(Number::Histogram(first)) = values.first() {
        let mut merged = (*first.hdr).clone();
        for value in &values[1..] {
            merged.merge(&same_scale(first, value)?.hdr);
        }
        let scale = match op {
            Aggregation::Sum => first.scale,
            Aggregation::Avg => first.scale / count,
            _ => return Err(Error::Data("histograms have no least and no greatest".to_owned())),
        };
        return Ok(Number::Histogram(Histogram { hdr: Arc::new(merged), scale }));
    }
    let mut floats = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Number::Float(value) => floats.push(*value),
            Number::Histogram(_) => return Err(mixed()),
        }
    }
    Ok(Number::Float(match op {
        Aggregation::Avg => sum(floats.into_iter()) / count,
        Aggregation::Min => floats.into_iter().fold(f64::NAN, f64::min),
        Aggregation::Max => floats.into_iter().fold(f64::NAN, f64::max),
        _ => sum(floats.into_iter()),
    }))
}

fn mixed() -> Error {
    Error::Data("numbers and histograms cannot be put together".to_owned())
}

/// The histogram of a value, if its counts mean the same as another's.
#[allow(clippy::float_cmp, reason = "scales come from the same range or they do not")]
pub(super) fn same_scale<'a>(one: &Histogram, other: &'a Number) -> Result<&'a Histogram, Error> {
    match other {
        Number::Histogram(other) if other.scale == one.scale => Ok(other),
        Number::Histogram(_) => Err(Error::Data("histograms over different ranges cannot be put together".to_owned())),
        Number::Float(_) => Err(mixed()),
    }
}
