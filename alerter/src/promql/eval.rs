//! The evaluator: all that a query needs is read once, then each step looks at its windows.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{Node, Plan, Selector};
use super::value::{Histogram, Number, Sample, Value, is_stale};
use super::{Error, MAX_SAMPLES, MAX_SERIES};
use crate::series::read::{Data, Labels, Read};
use weir_calls::Hdr;

/// A plan with its data for a range of times.
pub(super) struct Evaluation<'a> {
    plan: &'a Plan,
    loaded: Vec<Vec<Loaded>>,
    /// Samples that may still be touched.
    left: Cell<u64>,
}

struct Loaded {
    labels: Labels,
    data: LoadedData,
}

enum LoadedData {
    /// Seconds and the total behind each, so that any window's increase is one subtraction.
    Counter {
        before: f64,
        totals: Vec<(i64, f64)>,
        lasts: bool,
    },
    Gauge(Vec<(i64, f64)>),
    Histogram(Vec<(i64, Arc<Hdr>)>),
}

/// The samples of one series in `(end_ms - range_ms, end_ms]`.
pub(super) struct Window<'a> {
    pub(super) labels: &'a Labels,
    pub(super) samples: Samples<'a>,
    pub(super) end_ms: i64,
    pub(super) range_ms: i64,
}

pub(super) enum Samples<'a> {
    /// Unix seconds and running totals; the total at the end, and what was added.
    Counter {
        totals: &'a [(i64, f64)],
        total: f64,
        increase: f64,
        /// Whether there is a value although there may be no totals.
        lasts: bool,
    },
    Gauge(&'a [(i64, f64)]),
    Histogram(&'a [(i64, Arc<Hdr>)]),
}

pub(super) fn without_name(labels: &Labels) -> Labels {
    if !labels.contains_key("__name__") {
        return labels.clone();
    }
    let mut labels = (**labels).clone();
    labels.remove("__name__");
    Arc::new(labels)
}

fn up_to<T>(samples: &[(i64, T)], unit_ms: i64, end_ms: i64) -> usize {
    samples.partition_point(|sample| sample.0.saturating_mul(unit_ms) <= end_ms)
}

impl<'a> Evaluation<'a> {
    pub(super) fn load(plan: &'a Plan, read: &dyn Read, start_ms: i64, end_ms: i64) -> Result<Self, Error> {
        let made = Self { plan, loaded: Vec::new(), left: Cell::new(MAX_SAMPLES) };
        let mut loaded = Vec::with_capacity(plan.selectors.len());
        for selector in &plan.selectors {
            let from = start_ms.saturating_sub(selector.offset_ms).saturating_sub(selector.back_ms);
            let series = read.select(&selector.matchers, from, end_ms.saturating_sub(selector.offset_ms));
            if series.len() > MAX_SERIES {
                return Err(Error::Limit { what: "series of one selector", limit: MAX_SERIES as u64 });
            }
            let mut all = Vec::with_capacity(series.len());
            for one in series {
                let data = match one.data {
                    Data::Counter { before, deltas, lasts } => {
                        let mut total = before;
                        let totals = deltas.into_iter().map(|(second, delta)| {
                            total += delta;
                            (second, total)
                        });
                        LoadedData::Counter { before, totals: totals.collect(), lasts }
                    }
                    Data::Gauge(samples) => LoadedData::Gauge(samples),
                    Data::Histogram(slots) => LoadedData::Histogram(slots),
                };
                made.charge(match &data {
                    LoadedData::Counter { totals, .. } => totals.len(),
                    LoadedData::Gauge(samples) => samples.len(),
                    LoadedData::Histogram(slots) => slots.len(),
                })?;
                all.push(Loaded { labels: one.labels, data });
            }
            loaded.push(all);
        }
        Ok(Self { loaded, ..made })
    }

    pub(super) fn selector(&self, at: usize) -> &Selector {
        &self.plan.selectors[at]
    }

    fn charge(&self, samples: usize) -> Result<(), Error> {
        let left = self.left.get().checked_sub(samples as u64 + 1);
        self.left.set(left.ok_or(Error::Limit { what: "samples", limit: MAX_SAMPLES })?);
        Ok(())
    }

    /// The whole query at one time; labels are checked to be unique.
    pub(super) fn top(&self, time: i64) -> Result<Value, Error> {
        let value = self.value(&self.plan.root, time)?;
        if let Value::Vector(samples) = &value {
            let mut seen = BTreeSet::new();
            if let Some(twice) = samples.iter().find(|sample| !seen.insert(&sample.labels)) {
                return Err(Error::Data(format!("the result has two series with the labels {:?}", twice.labels)));
            }
        }
        Ok(value)
    }

    pub(super) fn value(&self, node: &Node, time: i64) -> Result<Value, Error> {
        match node {
            Node::Number(number) => Ok(Value::Scalar(*number)),
            Node::Selector(at) => self.instant(*at, time).map(Value::Vector),
            Node::Range(_) => Err(Error::Type("a range vector must be the argument of a function".to_owned())),
            Node::Negate(of) => Ok(match self.value(of, time)? {
                Value::Scalar(value) => Value::Scalar(-value),
                Value::Vector(mut samples) => {
                    for sample in &mut samples {
                        match &mut sample.value {
                            Number::Float(value) => *value = -*value,
                            Number::Histogram(histogram) => histogram.scale = -histogram.scale,
                        }
                        sample.labels = without_name(&sample.labels);
                    }
                    Value::Vector(samples)
                }
            }),
            Node::Aggregate { op, grouping, of } => {
                super::aggregate::aggregate(*op, grouping, self.vector(of, time)?).map(Value::Vector)
            }
            Node::Call(function, arguments) => self.call(*function, arguments, time),
            Node::Binary(binary) => {
                let (lhs, rhs) = (self.value(&binary.lhs, time)?, self.value(&binary.rhs, time)?);
                super::binary::apply(binary, lhs, rhs)
            }
        }
    }

    pub(super) fn vector(&self, node: &Node, time: i64) -> Result<Vec<Sample>, Error> {
        match self.value(node, time)? {
            Value::Vector(samples) => Ok(samples),
            Value::Scalar(_) => Err(Error::Type("an instant vector is needed here".to_owned())),
        }
    }

    pub(super) fn scalar(&self, node: &Node, time: i64) -> Result<f64, Error> {
        match self.value(node, time)? {
            Value::Scalar(value) => Ok(value),
            Value::Vector(_) => Err(Error::Type("a scalar is needed here".to_owned())),
        }
    }

    fn instant(&self, at: usize, time: i64) -> Result<Vec<Sample>, Error> {
        let windows = self.windows(at, time)?;
        let mut samples = Vec::with_capacity(windows.len());
        for window in windows {
            let value = match &window.samples {
                // What was never added to is not there yet.
                Samples::Counter { total, totals, lasts, .. } => {
                    ((*lasts && *total != 0.0) || !totals.is_empty()).then_some(Number::Float(*total))
                }
                Samples::Gauge(values) => {
                    values.last().filter(|last| !is_stale(last.1)).map(|last| Number::Float(last.1))
                }
                Samples::Histogram(slots) => {
                    slots.last().map(|last| Number::Histogram(Histogram { hdr: last.1.clone(), scale: 1.0 }))
                }
            };
            samples.extend(value.map(|value| Sample { labels: window.labels.clone(), value }));
        }
        Ok(samples)
    }

    /// The windows of a selector at a time: one for each series loaded, in that order.
    pub(super) fn windows(&self, at: usize, time: i64) -> Result<Vec<Window<'_>>, Error> {
        let selector = self.selector(at);
        let end_ms = time.saturating_sub(selector.offset_ms);
        let start_ms = end_ms.saturating_sub(selector.back_ms);
        let mut windows = Vec::with_capacity(self.loaded[at].len());
        for loaded in &self.loaded[at] {
            let samples = match &loaded.data {
                LoadedData::Counter { before, totals, lasts } => {
                    let (from, to) = (up_to(totals, 1000, start_ms), up_to(totals, 1000, end_ms));
                    let total = |until: usize| until.checked_sub(1).map_or(*before, |last| totals[last].1);
                    Samples::Counter {
                        totals: &totals[from..to],
                        total: total(to),
                        increase: total(to) - total(from),
                        lasts: *lasts,
                    }
                }
                LoadedData::Gauge(values) => {
                    Samples::Gauge(&values[up_to(values, 1, start_ms)..up_to(values, 1, end_ms)])
                }
                LoadedData::Histogram(slots) => {
                    Samples::Histogram(&slots[up_to(slots, 1000, start_ms)..up_to(slots, 1000, end_ms)])
                }
            };
            self.charge(match &samples {
                Samples::Counter { .. } => 1,
                Samples::Gauge(values) => values.len(),
                Samples::Histogram(slots) => slots.len(),
            })?;
            windows.push(Window { labels: &loaded.labels, samples, end_ms, range_ms: selector.back_ms });
        }
        Ok(windows)
    }
}
