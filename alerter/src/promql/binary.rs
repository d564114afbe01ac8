//! Operators between scalars and vectors, and how series of two vectors find each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Error;
use super::aggregate::same_scale;
use super::eval::without_name;
use super::plan::{Binary, Group, Op};
use super::value::{Histogram, Number, Sample, Value};
use crate::series::read::Labels;

pub(super) fn apply(binary: &Binary, lhs: Value, rhs: Value) -> Result<Value, Error> {
    match (lhs, rhs) {
        (Value::Scalar(a), Value::Scalar(b)) => Ok(Value::Scalar(float(binary.op, a, b))),
        (Value::Vector(samples), Value::Scalar(scalar)) => with_scalar(binary, samples, scalar, false),
        (Value::Scalar(scalar), Value::Vector(samples)) => with_scalar(binary, samples, scalar, true),
        (Value::Vector(lhs), Value::Vector(rhs)) => {
            if binary.op.is_set() {
                Ok(Value::Vector(set(binary, lhs, rhs)))
            } else {
                vectors(binary, lhs, rhs).map(Value::Vector)
            }
        }
    }
}

/// Comparisons give 1 or 0.
fn float(op: Op, a: f64, b: f64) -> f64 {
    let truth = |yes: bool| if yes { 1.0 } else { 0.0 };
    #[allow(clippy::float_cmp, reason = "PromQL's == is exact")]
    match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        Op::Mod => a % b,
        Op::Pow => a.powf(b),
        Op::Atan2 => a.atan2(b),
        Op::Equal => truth(a == b),
        Op::NotEqual => truth(a != b),
        Op::Less => truth(a < b),
        Op::LessEqual => truth(a <= b),
        Op::Greater => truth(a > b),
        Op::GreaterEqual => truth(a >= b),
        Op::And | Op::Or | Op::Unless => f64::NAN,
    }
}

/// The result of an operator on two values; `None` where a comparison filters it out.
fn number(binary: &Binary, a: &Number, b: &Number) -> Result<Option<Number>, Error> {
    let wrong = || Err(Error::Data("this operator does not take histograms".to_owned()));
    Ok(match (a, b) {
        (Number::Float(x), Number::Float(y)) => {
            let result = float(binary.op, *x, *y);
            if binary.op.is_comparison() && !binary.returns_bool {
                (result != 0.0).then(|| a.clone())
            } else {
                Some(Number::Float(result))
            }
        }
        (Number::Histogram(x), Number::Histogram(_)) if binary.op == Op::Add => {
            let mut merged = (*x.hdr).clone();
            merged.merge(&same_scale(x, b)?.hdr);
            Some(Number::Histogram(Histogram { hdr: Arc::new(merged), scale: x.scale }))
        }
        (Number::Histogram(x), Number::Float(y)) | (Number::Float(y), Number::Histogram(x)) if binary.op == Op::Mul => {
            Some(Number::Histogram(Histogram { hdr: x.hdr.clone(), scale: x.scale * y }))
        }
        (Number::Histogram(x), Number::Float(y)) if binary.op == Op::Div => {
            Some(Number::Histogram(Histogram { hdr: x.hdr.clone(), scale: x.scale / y }))
        }
        _ => return wrong(),
    })
}

fn drops_name(binary: &Binary) -> bool {
    binary.returns_bool || !binary.op.is_comparison()
}

fn with_scalar(binary: &Binary, samples: Vec<Sample>, scalar: f64, swapped: bool) -> Result<Value, Error> {
    let scalar = Number::Float(scalar);
    let mut made = Vec::with_capacity(samples.len());
    for sample in samples {
        let (a, b) = if swapped { (&scalar, &sample.value) } else { (&sample.value, &scalar) };
        if let Some(value) = number(binary, a, b)? {
            // A filter keeps the vector's own value, whichever side it stands on.
            let filters = binary.op.is_comparison() && !binary.returns_bool;
            let value = if filters { sample.value } else { value };
            let labels = if drops_name(binary) { without_name(&sample.labels) } else { sample.labels };
            made.push(Sample { labels, value });
        }
    }
    Ok(Value::Vector(made))
}

/// What two series must have in common to match.
fn signature<'a>(binary: &Binary, labels: &'a Labels) -> Vec<(&'a str, &'a str)> {
    let kept = |name: &String| {
        let listed = binary.labels.contains(name);
        if binary.on { listed } else { !listed && name != "__name__" }
    };
    labels.iter().filter(|(name, v)| kept(name) && !v.is_empty()).map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

fn set(binary: &Binary, lhs: Vec<Sample>, rhs: Vec<Sample>) -> Vec<Sample> {
    match binary.op {
        Op::Or => {
            let there: BTreeSet<_> = lhs.iter().map(|sample| signature(binary, &sample.labels)).collect();
            let added: Vec<Sample> =
                rhs.into_iter().filter(|sample| !there.contains(&signature(binary, &sample.labels))).collect();
            drop(there);
            lhs.into_iter().chain(added).collect()
        }
        op => {
            let there: BTreeSet<_> = rhs.iter().map(|sample| signature(binary, &sample.labels)).collect();
            let keep = |sample: &Sample| there.contains(&signature(binary, &sample.labels)) == (op == Op::And);
            lhs.into_iter().filter(keep).collect()
        }
    }
}

fn vectors(binary: &Binary, lhs: Vec<Sample>, rhs: Vec<Sample>) -> Result<Vec<Sample>, Error> {
    // "Many" is the left side unless group_right says otherwise.
    let swapped = matches!(binary.group, Group::Right(_));
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    let mut by_signature = BTreeMap::new();
    for sample in &one {
        if by_signature.insert(signature(binary, &sample.labels), sample).is_some() {
            let side = if swapped { "left" } else { "right" };
            return Err(Error::Data(format!(
                "found more than one series for the match group {:?} on the {side} hand side of the operation; \
                 many-to-many matching is not allowed",
                signature(binary, &sample.labels)
            )));
        }
    }
    let mut matched = BTreeSet::new();
    let mut results = BTreeSet::new();
    let mut made = Vec::new();
    for sample in &many {
        let group = signature(binary, &sample.labels);
        let Some(other) = by_signature.get(&group) else { continue };
        let (a, b) = if swapped { (&other.value, &sample.value) } else { (&sample.value, &other.value) };
        // As in Prometheus, pairs that a comparison drops do not count as matches.
        let Some(value) = number(binary, a, b)? else { continue };
        if binary.group == Group::None && !matched.insert(group) {
            return Err(Error::Data(
                "more than one series on the left hand side matches one on the right; many-to-one matching must be \
                 explicit (group_left or group_right)"
                    .to_owned(),
            ));
        }
        let labels = Arc::new(result_labels(binary, &sample.labels, &other.labels));
        if binary.group != Group::None && !results.insert(labels.clone()) {
            return Err(Error::Data("grouping labels must make the matches unique".to_owned()));
        }
        made.push(Sample { labels, value });
    }
    Ok(made)
}

fn result_labels(binary: &Binary, many: &Labels, one: &Labels) -> BTreeMap<String, String> {
    let mut labels = (**many).clone();
    if drops_name(binary) {
        labels.remove("__name__");
    }
    match &binary.group {
        Group::None if binary.on => labels.retain(|name, _| binary.labels.contains(name)),
        Group::None => labels.retain(|name, _| !binary.labels.contains(name)),
        Group::Left(include) | Group::Right(include) => {
            for name in include {
                match one.get(name).filter(|value| !value.is_empty()) {
                    Some(value) => labels.insert(name.clone(), value.clone()),
                    None => labels.remove(name),
                };
            }
        }
    }
    labels
}
