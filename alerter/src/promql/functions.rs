//! Functions: their names, arguments and what they make of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::eval::{Evaluation, Samples, Window, without_name};
use super::plan::{Kind, Node, Selector};
use super::value::{Histogram, Number, Sample, Value};
use super::{Error, buckets};
use crate::series::read::{Labels, MatchOp};
use weir_calls::Hdr;

/// The functions that there are.
pub const FUNCTIONS: [&str; 29] = [
    "abs",
    "absent",
    "avg_over_time",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "count_over_time",
    "delta",
    "exp",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_quantile",
    "histogram_sum",
    "increase",
    "last_over_time",
    "ln",
    "log10",
    "log2",
    "max_over_time",
    "min_over_time",
    "rate",
    "round",
    "scalar",
    "sqrt",
    "sum_over_time",
    "time",
    "vector",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Rate,
    Increase,
    Delta,
    Over(Over),
    HistogramQuantile,
    HistogramCount,
    HistogramSum,
    HistogramAvg,
    Absent,
    Time,
    Vector,
    Scalar,
    Math(Math),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Avg,
    Min,
    Max,
    Sum,
    Count,
    Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Math {
    Abs,
    Ceil,
    Floor,
    Exp,
    Ln,
    Log2,
    Log10,
    Sqrt,
    Round,
    Clamp,
    ClampMin,
    ClampMax,
}

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "rate" => Self::Rate,
            "increase" => Self::Increase,
            "delta" => Self::Delta,
            "avg_over_time" => Self::Over(Over::Avg),
            "min_over_time" => Self::Over(Over::Min),
            "max_over_time" => Self::Over(Over::Max),
            "sum_over_time" => Self::Over(Over::Sum),
            "count_over_time" => Self::Over(Over::Count),
            "last_over_time" => Self::Over(Over::Last),
            "histogram_quantile" => Self::HistogramQuantile,
            "histogram_count" => Self::HistogramCount,
            "histogram_sum" => Self::HistogramSum,
            "histogram_avg" => Self::HistogramAvg,
            "absent" => Self::Absent,
            "time" => Self::Time,
            "vector" => Self::Vector,
            "scalar" => Self::Scalar,
            "abs" => Self::Math(Math::Abs),
            "ceil" => Self::Math(Math::Ceil),
            "floor" => Self::Math(Math::Floor),
            "exp" => Self::Math(Math::Exp),
            "ln" => Self::Math(Math::Ln),
            "log2" => Self::Math(Math::Log2),
            "log10" => Self::Math(Math::Log10),
            "sqrt" => Self::Math(Math::Sqrt),
            "round" => Self::Math(Math::Round),
            "clamp" => Self::Math(Math::Clamp),
            "clamp_min" => Self::Math(Math::ClampMin),
            "clamp_max" => Self::Math(Math::ClampMax),
            _ => return None,
        })
    }

    pub(super) fn gives(self) -> Kind {
        if matches!(self, Self::Time | Self::Scalar) { Kind::Scalar } else { Kind::Vector }
    }

    /// The arguments wanted; the last may be missing where the flag is set.
    fn takes(self) -> (&'static [Kind], bool) {
        match self {
            Self::Rate | Self::Increase | Self::Delta | Self::Over(_) => (&[Kind::Matrix], false),
            Self::HistogramQuantile => (&[Kind::Scalar, Kind::Vector], false),
            Self::HistogramCount | Self::HistogramSum | Self::HistogramAvg | Self::Absent | Self::Scalar => {
                (&[Kind::Vector], false)
            }
            Self::Time => (&[], false),
            Self::Vector => (&[Kind::Scalar], false),
            Self::Math(Math::Round) => (&[Kind::Vector, Kind::Scalar], true),
            Self::Math(Math::ClampMin | Math::ClampMax) => (&[Kind::Vector, Kind::Scalar], false),
            Self::Math(Math::Clamp) => (&[Kind::Vector, Kind::Scalar, Kind::Scalar], false),
            Self::Math(_) => (&[Kind::Vector], false),
        }
    }

    pub(super) fn check(self, name: &str, arguments: &[Node]) -> Result<(), Error> {
        let (wanted, optional) = self.takes();
        let few = wanted.len() - usize::from(optional);
        if arguments.len() < few || arguments.len() > wanted.len() {
            return Err(Error::Type(format!("{name}() takes {} arguments, not {}", wanted.len(), arguments.len())));
        }
        for (argument, wanted) in arguments.iter().zip(wanted) {
            if argument.kind() != *wanted {
                let wanted = match wanted {
                    Kind::Scalar => "a scalar",
                    Kind::Vector => "an instant vector",
                    Kind::Matrix => "a range vector such as x[5m]",
                };
                return Err(Error::Type(format!("{name}() takes {wanted} here")));
            }
        }
        Ok(())
    }
}

impl Evaluation<'_> {
    pub(super) fn call(&self, function: Function, arguments: &[Node], time: i64) -> Result<Value, Error> {
        let vector = |at: usize| arguments.get(at).map_or(Ok(Vec::new()), |node| self.vector(node, time));
        let scalar = |at: usize, or: f64| arguments.get(at).map_or(Ok(or), |node| self.scalar(node, time));
        Ok(match function {
            Function::Time => Value::Scalar(time as f64 / 1000.0),
            Function::Vector => {
                Value::Vector(vec![Sample { labels: Labels::default(), value: Number::Float(scalar(0, 0.0)?) }])
            }
            Function::Scalar => match vector(0)?.as_slice() {
                [Sample { value: Number::Float(value), .. }] => Value::Scalar(*value),
                _ => Value::Scalar(f64::NAN),
            },
            Function::Absent => {
                if vector(0)?.is_empty() {
                    let labels = match arguments.first() {
                        Some(Node::Selector(at)) => absent_labels(self.selector(*at)),
                        _ => Labels::default(),
                    };
                    Value::Vector(vec![Sample { labels, value: Number::Float(1.0) }])
                } else {
                    Value::Vector(Vec::new())
                }
            }
            Function::HistogramQuantile => {
                let q = scalar(0, f64::NAN)?;
                let (buckets, samples): (Vec<_>, Vec<_>) =
                    vector(1)?.into_iter().partition(|sample| sample.labels.contains_key("le"));
                let mut made = buckets::quantiles(q, buckets);
                made.extend(of_histograms("histogram_quantile", samples, |histogram| histogram.quantile(q))?);
                Value::Vector(made)
            }
            Function::HistogramCount => Value::Vector(of_histograms("histogram_count", vector(0)?, Histogram::count)?),
            Function::HistogramSum => Value::Vector(of_histograms("histogram_sum", vector(0)?, Histogram::sum)?),
            Function::HistogramAvg => {
                Value::Vector(of_histograms("histogram_avg", vector(0)?, |h| h.sum() / h.count())?)
            }
            Function::Math(math) => {
                let (a, b) = (scalar(1, 1.0)?, scalar(2, 0.0)?);
                let mut samples = vector(0)?;
                if math == Math::Clamp && a > b {
                    samples.clear();
                }
                for sample in &mut samples {
                    let Number::Float(value) = &mut sample.value else {
                        return Err(Error::Data("this function takes numbers, not histograms".to_owned()));
                    };
                    *value = math.apply(*value, a, b);
                    sample.labels = without_name(&sample.labels);
                }
                Value::Vector(samples)
            }
            Function::Rate | Function::Increase | Function::Delta | Function::Over(_) => {
                let Some(Node::Range(at)) = arguments.first() else {
                    return Err(Error::Type("a range vector is needed here".to_owned()));
                };
                let mut samples = Vec::new();
                for window in self.windows(*at, time)? {
                    if let Some(value) = over(function, &window)? {
                        let keeps_name = function == Function::Over(Over::Last);
                        let labels = if keeps_name { window.labels.clone() } else { without_name(window.labels) };
                        samples.push(Sample { labels, value });
                    }
                }
                Value::Vector(samples)
            }
        })
    }
}

fn absent_labels(selector: &Selector) -> Labels {
    let mut labels = BTreeMap::new();
    let mut twice = Vec::new();
    for matcher in &selector.matchers {
        if matcher.op == MatchOp::Equal && matcher.name != "__name__" && !matcher.value.is_empty() {
            if labels.insert(matcher.name.clone(), matcher.value.clone()).is_some() {
                twice.push(matcher.name.clone());
            }
        } else {
            twice.push(matcher.name.clone());
        }
    }
    labels.retain(|name, _| !twice.contains(name));
    Arc::new(labels)
}

fn of_histograms(name: &str, samples: Vec<Sample>, of: impl Fn(&Histogram) -> f64) -> Result<Vec<Sample>, Error> {
    let mut made = Vec::with_capacity(samples.len());
    for sample in samples {
        let Number::Histogram(histogram) = &sample.value else {
            return Err(Error::Data(format!("{name} takes histograms; here is a number")));
        };
        made.push(Sample { labels: without_name(&sample.labels), value: Number::Float(of(histogram)) });
    }
    Ok(made)
}

/// What a function over a range makes of one series; `None` where it has no value.
fn over(function: Function, window: &Window<'_>) -> Result<Option<Number>, Error> {
    let seconds = window.range_ms as f64 / 1000.0;
    let values: Vec<(i64, f64)> = match (&window.samples, function) {
        (Samples::Counter { totals: [], lasts: false, .. }, _) => return Ok(None),
        (Samples::Counter { increase, .. }, Function::Rate) => return Ok(Some(Number::Float(increase / seconds))),
        (Samples::Counter { increase, .. }, Function::Increase | Function::Delta) => {
            return Ok(Some(Number::Float(*increase)));
        }
        (Samples::Histogram(slots), Function::Rate | Function::Increase | Function::Over(Over::Sum)) => {
            let mut merged = Hdr::default();
            slots.iter().for_each(|slot| merged.merge(&slot.1));
            let scale = if function == Function::Rate { 1.0 / seconds } else { 1.0 };
            let some = !slots.is_empty();
            return Ok(some.then(|| Number::Histogram(Histogram { hdr: Arc::new(merged), scale })));
        }
        (Samples::Histogram(slots), Function::Over(Over::Last)) => {
            return Ok(slots.last().map(|slot| Number::Histogram(Histogram { hdr: slot.1.clone(), scale: 1.0 })));
        }
        (Samples::Histogram(slots), Function::Over(Over::Count)) => {
            return Ok((!slots.is_empty()).then_some(Number::Float(slots.len() as f64)));
        }
        (Samples::Histogram(_), _) => {
            return Err(Error::Data("this function takes numbers, not histograms".to_owned()));
        }
        (Samples::Counter { totals, .. }, _) => totals.iter().map(|&(s, total)| (s * 1000, total)).collect(),
        (Samples::Gauge(samples), _) => samples.iter().copied().filter(|s| !super::is_stale(s.1)).collect(),
    };
    let Some(&(_, last)) = values.last() else { return Ok(None) };
    let count = values.len() as f64;
    let fold = |first: f64, with: fn(f64, f64) -> f64| values.iter().fold(first, |a, v| with(a, v.1));
    let value = match function {
        Function::Rate => extrapolated(&values, window, true).map(|increase| increase / seconds),
        Function::Increase => extrapolated(&values, window, true),
        Function::Delta => extrapolated(&values, window, false),
        Function::Over(Over::Avg) => Some(super::aggregate::sum(values.iter().map(|v| v.1)) / count),
        Function::Over(Over::Sum) => Some(super::aggregate::sum(values.iter().map(|v| v.1))),
        Function::Over(Over::Min) => Some(fold(f64::NAN, f64::min)),
        Function::Over(Over::Max) => Some(fold(f64::NAN, f64::max)),
        Function::Over(Over::Count) => Some(count),
        _ => Some(last),
    };
    Ok(value.map(Number::Float))
}

/// Prometheus' estimate of an increase from samples of a running total: `extrapolatedRate` in its functions.go.
fn extrapolated(values: &[(i64, f64)], window: &Window<'_>, counter: bool) -> Option<f64> {
    let (&(first_ms, first), &(last_ms, last)) = (values.first()?, values.last()?);
    if values.len() < 2 || last_ms <= first_ms {
        return None;
    }
    let mut increase = last - first;
    if counter {
        increase += values.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum::<f64>();
    }
    let sampled = (last_ms - first_ms) as f64 / 1000.0;
    let between = sampled / (values.len() - 1) as f64;
    let mut to_start = (first_ms - (window.end_ms - window.range_ms)) as f64 / 1000.0;
    let mut to_end = (window.end_ms - last_ms) as f64 / 1000.0;
    let threshold = between * 1.1;
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    if counter && increase > 0.0 && first >= 0.0 {
        to_start = to_start.min(sampled * (first / increase));
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    Some(increase * (sampled + to_start + to_end) / sampled)
}

impl Math {
    fn apply(self, value: f64, a: f64, b: f64) -> f64 {
        match self {
            Self::Abs => value.abs(),
            Self::Ceil => value.ceil(),
            Self::Floor => value.floor(),
            Self::Exp => value.exp(),
            Self::Ln => value.ln(),
            Self::Log2 => value.log2(),
            Self::Log10 => value.log10(),
            Self::Sqrt => value.sqrt(),
            Self::Round => {
                // As Prometheus: the inverse is exact for more steps than the step itself.
                let inverse = 1.0 / a;
                (value * inverse + 0.5).floor() / inverse
            }
            Self::Clamp if a.is_nan() || b.is_nan() => f64::NAN,
            Self::Clamp => value.max(a).min(b),
            Self::ClampMin => {
                if a.is_nan() {
                    a
                } else {
                    value.max(a)
                }
            }
            Self::ClampMax => {
                if a.is_nan() {
                    a
                } else {
                    value.min(a)
                }
            }
        }
    }
}
