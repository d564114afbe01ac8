//! Operators between scalars and vectors, and how series of two vectors find each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Error;
use super::aggregate::{mixed, same_scale};
use super::face::{By, Evaluated, Face, Groups, Item, Show, drop_names};
use super::plan::{Binary, Group, Op};
use super::value::{Histogram, Number};
use crate::series::read::Labels;

pub(super) fn apply(binary: &Binary, lhs: Evaluated, rhs: Evaluated) -> Result<Evaluated, Error> {
    Ok(match (lhs, rhs) {
        (Evaluated::Scalar(a), Evaluated::Scalar(b)) => Evaluated::Scalar(float(binary.op, a, b)),
        (Evaluated::Vector(items), Evaluated::Scalar(scalar)) => {
            Evaluated::Vector(with_scalar(binary, items, scalar, false)?)
        }
        (Evaluated::Scalar(scalar), Evaluated::Vector(items)) => {
            Evaluated::Vector(with_scalar(binary, items, scalar, true)?)
        }
        (Evaluated::Vector(lhs), Evaluated::Vector(rhs)) => {
            Evaluated::Vector(if binary.op.is_set() { set(binary, lhs, rhs) } else { vectors(binary, lhs, rhs)? })
        }
    })
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
    let scaled = |of: &Histogram, scale: f64| Some(Number::Histogram(Histogram { hdr: of.hdr.clone(), scale }));
    Ok(match (a, b) {
        (Number::Float(x), Number::Float(y)) => {
            let result = float(binary.op, *x, *y);
            if binary.op.is_comparison() && !binary.returns_bool {
                (result != 0.0).then_some(Number::Float(*x))
            } else {
                Some(Number::Float(result))
            }
        }
        (Number::Histogram(x), Number::Histogram(y)) if binary.op == Op::Add => {
            same_scale(x.scale, y)?;
            let mut merged = (*x.hdr).clone();
            merged.merge(&y.hdr);
            Some(Number::Histogram(Histogram { hdr: Arc::new(merged), scale: x.scale }))
        }
        (Number::Histogram(_), Number::Float(_)) | (Number::Float(_), Number::Histogram(_)) if binary.op == Op::Add => {
            return Err(mixed());
        }
        (Number::Histogram(x), Number::Float(y)) | (Number::Float(y), Number::Histogram(x)) if binary.op == Op::Mul => {
            scaled(x, x.scale * y)
        }
        (Number::Histogram(x), Number::Float(y)) if binary.op == Op::Div => scaled(x, x.scale / y),
        _ => return Err(Error::Data("this operator does not take histograms".to_owned())),
    })
}

fn drops_name(binary: &Binary) -> bool {
    binary.returns_bool || !binary.op.is_comparison()
}

fn with_scalar(binary: &Binary, items: Vec<Item>, scalar: f64, swapped: bool) -> Result<Vec<Item>, Error> {
    let scalar = Number::Float(scalar);
    // A filter keeps the vector's own value, whichever side it stands on.
    let is_filter = binary.op.is_comparison() && !binary.returns_bool;
    let mut made = Vec::with_capacity(items.len());
    for item in items {
        let (a, b) = if swapped { (&scalar, &item.value) } else { (&item.value, &scalar) };
        if let Some(value) = number(binary, a, b)? {
            made.push(if is_filter { item } else { Item { face: item.face, value } });
        }
    }
    if drops_name(binary) {
        drop_names(&mut made)?;
    }
    Ok(made)
}

/// What two series must have in common to match.
fn matching(binary: &Binary) -> By<'_> {
    if binary.on { By::Only(&binary.labels) } else { By::Except(&binary.labels) }
}

fn set(binary: &Binary, mut lhs: Vec<Item>, rhs: Vec<Item>) -> Vec<Item> {
    let mut there = Groups::new(matching(binary));
    for item in if binary.op == Op::Or { &lhs } else { &rhs } {
        there.add(&item.face, ());
    }
    match binary.op {
        Op::Or => lhs.extend(rhs.into_iter().filter(|item| there.get(&item.face).is_none())),
        op => lhs.retain(|item| there.get(&item.face).is_some() == (op == Op::And)),
    }
    lhs
}

/// The one series of a match group, and whether it found another.
struct One<'a> {
    item: &'a Item,
    is_matched: bool,
}

fn vectors(binary: &Binary, lhs: Vec<Item>, rhs: Vec<Item>) -> Result<Vec<Item>, Error> {
    if lhs.is_empty() || rhs.is_empty() {
        return Ok(Vec::new());
    }
    // "Many" is the left side unless group_right says otherwise.
    let swapped = matches!(binary.group, Group::Right(_));
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    let by = matching(binary);
    let mut groups = Groups::new(by);
    for item in &one {
        if !groups.add(&item.face, One { item, is_matched: false }) {
            let side = if swapped { "left" } else { "right" };
            let group = Labels::from(by.labels(&item.face));
            return Err(Error::Data(format!(
                "found duplicate series for the match group {} on the {side} hand-side of the operation; many-to-many \
                 matching not allowed: matching labels must be unique on one side",
                Show(group.iter())
            )));
        }
    }
    let mut results = Groups::new(By::All);
    let mut made = Vec::with_capacity(many.len());
    for item in &many {
        let Some(other) = groups.get_mut(&item.face) else { continue };
        let (a, b) = if swapped { (&other.item.value, &item.value) } else { (&item.value, &other.item.value) };
        let value = number(binary, a, b)?;
        // Pairs that a comparison drops count as matches too, so that an error does not come and go with the values.
        if binary.group == Group::None && std::mem::replace(&mut other.is_matched, true) {
            return Err(Error::Data(
                "multiple matches for labels: more than one series on the left hand-side matches one on the right; \
                 many-to-one matching must be explicit (group_left/group_right)"
                    .to_owned(),
            ));
        }
        let Some(value) = value else { continue };
        let face = result(binary, &item.face, &other.item.face);
        if binary.group != Group::None && !results.add(&face, ()) {
            return Err(Error::Data(
                "multiple matches for labels: grouping labels must ensure unique matches".to_owned(),
            ));
        }
        made.push(Item { face, value });
    }
    Ok(made)
}

/// The labels of a match.
fn result(binary: &Binary, many: &Face, one: &Face) -> Face {
    let nameless = many.nameless || drops_name(binary);
    // Most matches change nothing but the name.
    let is_same = match &binary.group {
        Group::None => !binary.on && binary.labels.iter().all(|name| many.label(name).is_empty()),
        Group::Left(include) | Group::Right(include) => include.iter().all(|name| many.label(name) == one.label(name)),
    };
    if is_same {
        return Face { labels: many.labels.clone(), nameless };
    }
    let mut labels: BTreeMap<String, String> = Face { labels: many.labels.clone(), nameless }.to_map();
    match &binary.group {
        Group::None if binary.on => labels.retain(|name, _| binary.labels.contains(name)),
        Group::None => labels.retain(|name, _| !binary.labels.contains(name)),
        Group::Left(include) | Group::Right(include) => {
            for name in include {
                match one.label(name) {
                    "" => labels.remove(name),
                    value => labels.insert(name.clone(), value.to_owned()),
                };
            }
        }
    }
    Face::new(labels.into())
}
