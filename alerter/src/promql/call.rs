//! Function calls.

use std::collections::BTreeMap;

use super::aggregate::{compare, rank};
use super::eval::Evaluation;
use super::face::{Evaluated, Face, Item, drop_names};
use super::functions::Function;
use super::over_time::{Over, over};
use super::plan::{Node, Selector, Source};
use super::value::{Histogram, Number};
use super::window::Samples;
use super::{Error, buckets};
use crate::series::read::{Labels, MatchOp};

impl Evaluation<'_> {
    pub(super) fn call(&self, function: Function, arguments: &[Node], time: i64) -> Result<Evaluated, Error> {
        let vector = |at: usize| arguments.get(at).map_or(Ok(Vec::new()), |node| self.vector(node, time));
        let scalar = |at: usize, or: f64| arguments.get(at).map_or(Ok(or), |node| self.scalar(node, time));
        let one = |value: f64| vec![Item::float(Labels::default(), value)];
        Ok(Evaluated::Vector(match function {
            Function::Time => return Ok(Evaluated::Scalar(time as f64 / 1000.0)),
            Function::Pi => return Ok(Evaluated::Scalar(std::f64::consts::PI)),
            Function::Scalar => return Ok(Evaluated::Scalar(single(&vector(0)?))),
            Function::Vector => one(scalar(0, 0.0)?),
            Function::Absent => {
                if vector(0)?.is_empty() {
                    vec![self.absent(arguments)]
                } else {
                    Vec::new()
                }
            }
            Function::AbsentOverTime => {
                let mut is_there = false;
                self.windows(range(arguments)?, time, |window| {
                    is_there |= !window.is_empty();
                    Ok(())
                })?;
                if is_there { Vec::new() } else { vec![self.absent(arguments)] }
            }
            Function::HistogramQuantile => {
                let q = scalar(0, f64::NAN)?;
                let of = |histogram: &Histogram| histogram.quantile(q);
                buckets::apply(vector(1)?, of, |bounds| buckets::quantile(q, bounds))
            }
            Function::HistogramFraction => {
                let (lower, upper) = (scalar(0, f64::NAN)?, scalar(1, f64::NAN)?);
                let of = |histogram: &Histogram| histogram.fraction(lower, upper);
                buckets::apply(vector(2)?, of, |bounds| buckets::fraction(lower, upper, bounds))
            }
            Function::HistogramCount => of_histograms("histogram_count", vector(0)?, Histogram::count)?,
            Function::HistogramSum => of_histograms("histogram_sum", vector(0)?, Histogram::sum)?,
            Function::HistogramAvg => of_histograms("histogram_avg", vector(0)?, |h| h.sum() / h.count())?,
            Function::HistogramStdvar => of_histograms("histogram_stdvar", vector(0)?, Histogram::variance)?,
            Function::HistogramStddev => of_histograms("histogram_stddev", vector(0)?, |h| h.variance().sqrt())?,
            Function::Math(math) => {
                let (a, b) = (scalar(1, 1.0)?, scalar(2, 0.0)?);
                let mut items = vector(0)?;
                if math == super::math::Math::Clamp && a > b {
                    items.clear();
                }
                map(items, |value| math.apply(value, a, b))?
            }
            Function::Date(part) if arguments.is_empty() => one(part.of(time as f64 / 1000.0)),
            Function::Date(part) => map(vector(0)?, |seconds| part.of(seconds))?,
            Function::Timestamp => match arguments.first() {
                Some(Node::Selector(at)) => self.timestamps(*at, time)?,
                _ => map(vector(0)?, |_| time as f64 / 1000.0)?,
            },
            Function::Sort | Function::SortDesc => sorted(vector(0)?, function == Function::SortDesc)?,
            Function::Over(function) => self.over(function, arguments, time)?,
            Function::LabelJoin | Function::LabelReplace => {
                return Err(Error::Type("labels are set by a node of their own".to_owned()));
            }
        }))
    }

    fn over(&self, function: Over, arguments: &[Node], time: i64) -> Result<Vec<Item>, Error> {
        let source = range(arguments)?;
        let parameter = arguments.iter().find(|node| !matches!(node, Node::Range(_)));
        let parameter = parameter.map_or(Ok(f64::NAN), |node| self.scalar(node, time))?;
        let mut items = Vec::with_capacity(self.series(source));
        self.windows(source, time, |window| {
            if let (Samples::Counter(counted), false) = (&window.samples, function.is_exact()) {
                self.charge(counted.totals.len() as u64)?;
            }
            if let Some(value) = over(function, &window, parameter, time)? {
                items.push(Item { face: Face::new(window.labels.clone()), value });
            }
            Ok(())
        })?;
        if function != Over::Last {
            drop_names(&mut items)?;
        }
        Ok(items)
    }

    fn timestamps(&self, at: usize, time: i64) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        self.windows(Source::Selector(at), time, |window| {
            let item = |(ms, _)| Item::float(window.labels.clone(), ms as f64 / 1000.0);
            items.extend(window.latest().map(item));
            Ok(())
        })?;
        drop_names(&mut items)?;
        Ok(items)
    }

    /// One, with the labels that the selector asks for.
    fn absent(&self, arguments: &[Node]) -> Item {
        let labels = match arguments.first() {
            Some(Node::Selector(at) | Node::Range(Source::Selector(at))) => asked_labels(self.selector(*at)),
            _ => Labels::default(),
        };
        Item::float(labels, 1.0)
    }
}

fn range(arguments: &[Node]) -> Result<Source, Error> {
    let source = arguments.iter().find_map(|node| if let Node::Range(source) = node { Some(*source) } else { None });
    source.ok_or_else(|| Error::Type("a range vector is needed here".to_owned()))
}

/// The value of the only series that has one; else NaN.
fn single(items: &[Item]) -> f64 {
    let mut floats =
        items.iter().filter_map(|item| if let Number::Float(value) = item.value { Some(value) } else { None });
    match (floats.next(), floats.next()) {
        (Some(value), None) => value,
        _ => f64::NAN,
    }
}

fn map(mut items: Vec<Item>, of: impl Fn(f64) -> f64) -> Result<Vec<Item>, Error> {
    for item in &mut items {
        let Number::Float(value) = &mut item.value else {
            return Err(Error::Data("this function takes numbers, not histograms".to_owned()));
        };
        *value = of(*value);
    }
    drop_names(&mut items)?;
    Ok(items)
}

/// By value; NaN comes last either way.
fn sorted(items: Vec<Item>, descending: bool) -> Result<Vec<Item>, Error> {
    let mut sorted = items.into_iter().map(|item| Ok((rank(&item)?, item))).collect::<Result<Vec<_>, Error>>()?;
    sorted.sort_by(|(a, _), (b, _)| compare(*a, *b, descending));
    Ok(sorted.into_iter().map(|(_, item)| item).collect())
}

fn asked_labels(selector: &Selector) -> Labels {
    let mut labels = BTreeMap::new();
    let mut set = Vec::new();
    for matcher in selector.matchers.iter().filter(|matcher| matcher.name != "__name__") {
        // A label that is asked for in two ways has no value of its own.
        if matcher.op == MatchOp::Equal && !set.contains(&&matcher.name) {
            set.push(&matcher.name);
            labels.insert(matcher.name.clone(), matcher.value.clone());
        } else {
            labels.remove(&matcher.name);
        }
    }
    labels.retain(|_, value| !value.is_empty());
    labels.into()
}

fn of_histograms(name: &str, items: Vec<Item>, of: impl Fn(&Histogram) -> f64) -> Result<Vec<Item>, Error> {
    let mut made = Vec::with_capacity(items.len());
    for item in items {
        let Number::Histogram(histogram) = &item.value else {
            return Err(Error::Data(format!("{name} takes histograms; here is a number")));
        };
        let value = Number::Float(of(histogram));
        made.push(Item { face: item.face, value });
    }
    drop_names(&mut made)?;
    Ok(made)
}
