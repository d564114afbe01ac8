//! The evaluator: all that a query needs is read once, then each step looks at its windows.

use std::cell::{Cell, OnceCell};
use std::ops::ControlFlow;

use super::face::{By, Evaluated, Face, Groups, Item, drop_names, same_labels, unique};
use super::plan::{Node, Plan, Selector, Source};
use super::value::{Number, Range};
use super::window::{Loaded, Window};
use super::{Error, MAX_SAMPLES, MAX_SERIES};
use crate::series::read::Read;

/// What one evaluation of a subquery, and a point that it gives, count for in samples: they cost more to make than to
/// read.
const SUBQUERY_COST: u64 = 10;

/// A plan with its data for a range of times.
pub(super) struct Evaluation<'a> {
    plan: &'a Plan,
    start_ms: i64,
    end_ms: i64,
    loaded: Vec<Vec<Loaded>>,
    /// What each subquery gives at all times that may be asked for; made when it is first needed.
    subqueries: Vec<OnceCell<Vec<Loaded>>>,
    /// Samples that may still be touched.
    left: Cell<u64>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn load(plan: &'a Plan, read: &dyn Read, start_ms: i64, end_ms: i64) -> Result<Self, Error> {
        let mut made = Self {
            plan,
            start_ms,
            end_ms,
            loaded: Vec::with_capacity(plan.selectors.len()),
            subqueries: plan.subqueries.iter().map(|_| OnceCell::new()).collect(),
            left: Cell::new(MAX_SAMPLES),
        };
        for selector in &plan.selectors {
            let (first, last) = made.reach(selector.within);
            let from = selector.anchor.time(first, start_ms, end_ms).saturating_sub(selector.back_ms);
            let to = selector.anchor.time(last, start_ms, end_ms);
            let (mut all, mut failed) = (Vec::new(), None);
            read.each(&selector.matchers, from, to, &mut |series| {
                if all.len() >= MAX_SERIES {
                    failed = Some(Error::Limit { what: "series of one selector", limit: MAX_SERIES as u64 });
                    return ControlFlow::Break(());
                }
                let one = Loaded::new(series, selector.is_instant);
                if let Err(error) = made.charge(one.len() as u64) {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
                all.push(one);
                ControlFlow::Continue(())
            });
            if let Some(error) = failed {
                return Err(error);
            }
            made.loaded.push(all);
        }
        Ok(made)
    }

    /// The first and last time at which what is inside of a subquery, or of none, is evaluated; with a subquery, the
    /// first time itself is left out.
    fn reach(&self, within: Option<usize>) -> (i64, i64) {
        let Some(subquery) = within.and_then(|at| self.plan.subqueries.get(at)) else {
            return (self.start_ms, self.end_ms);
        };
        let (first, last) = self.reach(subquery.within);
        let anchor = |time| subquery.anchor.time(time, self.start_ms, self.end_ms);
        (anchor(first).saturating_sub(subquery.range_ms), anchor(last))
    }

    pub(super) fn selector(&self, at: usize) -> &Selector {
        &self.plan.selectors[at]
    }

    pub(super) fn charge(&self, samples: u64) -> Result<(), Error> {
        let left = self.left.get().checked_sub(samples.saturating_add(1));
        self.left.set(left.ok_or(Error::Limit { what: "samples", limit: MAX_SAMPLES })?);
        Ok(())
    }

    /// The whole query at one time; labels are checked to be unique.
    pub(super) fn top(&self, time: i64) -> Result<Evaluated, Error> {
        let value = self.value(&self.plan.root, time)?;
        // The series of a selector are those of the store, each of which is there once.
        if let (Evaluated::Vector(items), false) = (&value, matches!(self.plan.root, Node::Selector(_))) {
            unique(items)?;
        }
        Ok(value)
    }

    pub(super) fn value(&self, node: &Node, time: i64) -> Result<Evaluated, Error> {
        Ok(match node {
            Node::Number(number) => Evaluated::Scalar(*number),
            Node::Text(_) | Node::Range(_) => {
                let what = node.kind().name();
                return Err(Error::Type(format!("{what} must be the argument of a function")));
            }
            Node::Selector(at) => Evaluated::Vector(self.instant(*at, time)?),
            Node::Negate(of) => match self.value(of, time)? {
                Evaluated::Scalar(value) => Evaluated::Scalar(-value),
                Evaluated::Vector(mut items) => {
                    for item in &mut items {
                        match &mut item.value {
                            Number::Float(value) => *value = -*value,
                            Number::Histogram(histogram) => histogram.scale = -histogram.scale,
                        }
                    }
                    drop_names(&mut items)?;
                    Evaluated::Vector(items)
                }
            },
            Node::Aggregate(aggregate) => Evaluated::Vector(self.aggregate(aggregate, time)?),
            Node::Relabel(relabel) => Evaluated::Vector(relabel.apply(self.vector(&relabel.of, time)?)?),
            Node::Call(function, arguments) => self.call(*function, arguments, time)?,
            Node::Binary(binary) => {
                let (lhs, rhs) = (self.value(&binary.lhs, time)?, self.value(&binary.rhs, time)?);
                super::binary::apply(binary, lhs, rhs)?
            }
        })
    }

    pub(super) fn vector(&self, node: &Node, time: i64) -> Result<Vec<Item>, Error> {
        match self.value(node, time)? {
            Evaluated::Vector(items) => Ok(items),
            Evaluated::Scalar(_) => Err(Error::Type("an instant vector is needed here".to_owned())),
        }
    }

    pub(super) fn scalar(&self, node: &Node, time: i64) -> Result<f64, Error> {
        match self.value(node, time)? {
            Evaluated::Scalar(value) => Ok(value),
            Evaluated::Vector(_) => Err(Error::Type("a scalar is needed here".to_owned())),
        }
    }

    fn instant(&self, at: usize, time: i64) -> Result<Vec<Item>, Error> {
        let mut items = Vec::with_capacity(self.loaded[at].len());
        self.windows(Source::Selector(at), time, |window| {
            let item = |(_, value)| Item { face: Face::new(window.labels.clone()), value };
            items.extend(window.latest().map(item));
            Ok(())
        })?;
        Ok(items)
    }

    /// Passes the windows of a range vector at a time: one for each series, in the order in which they were read.
    pub(super) fn windows<'s>(
        &'s self,
        source: Source,
        time: i64,
        mut take: impl FnMut(Window<'s>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (series, anchor, range_ms): (&[Loaded], _, _) = match source {
            Source::Selector(at) => {
                let selector = self.selector(at);
                (&self.loaded[at], selector.anchor, selector.back_ms)
            }
            Source::Subquery(at) => {
                let subquery = &self.plan.subqueries[at];
                (self.subquery(at)?, subquery.anchor, subquery.range_ms)
            }
        };
        let end_ms = anchor.time(time, self.start_ms, self.end_ms);
        for one in series {
            let window = one.window(end_ms, range_ms);
            self.charge(window.len() as u64)?;
            take(window)?;
        }
        Ok(())
    }

    /// How many series a range vector may have at most.
    pub(super) fn series(&self, source: Source) -> usize {
        match source {
            Source::Selector(at) => self.loaded[at].len(),
            Source::Subquery(_) => 0,
        }
    }

    /// A range vector as an answer of its own, in the order of its labels.
    pub(super) fn matrix(&self, source: Source, time: i64) -> Result<Vec<Range>, Error> {
        let mut ranges = Vec::with_capacity(self.series(source));
        self.windows(source, time, |window| {
            let points = window.points();
            if !points.is_empty() {
                ranges.push(Range { labels: window.labels.clone(), points });
            }
            Ok(())
        })?;
        ranges.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(ranges)
    }

    fn subquery(&self, at: usize) -> Result<&[Loaded], Error> {
        if let Some(done) = self.subqueries[at].get() {
            return Ok(done);
        }
        let made = self.run(at)?;
        Ok(self.subqueries[at].get_or_init(|| made))
    }

    fn run(&self, at: usize) -> Result<Vec<Loaded>, Error> {
        let subquery = &self.plan.subqueries[at];
        let (first, last) = self.reach(Some(at));
        let step = subquery.step_ms.unwrap_or(self.plan.resolution_ms).max(1);
        let mut groups: Groups<'_, Vec<(i64, f64)>> = Groups::new(By::All);
        let mut time = first.div_euclid(step).saturating_add(1).saturating_mul(step);
        // Before any work is done, because each step may be slow.
        let steps = last.saturating_sub(time).max(0) as u64 / step as u64;
        if steps > self.left.get() / SUBQUERY_COST {
            return Err(Error::Limit { what: "samples; use a longer step in the subquery", limit: MAX_SAMPLES });
        }
        while time <= last {
            self.charge(SUBQUERY_COST)?;
            for item in self.vector(&subquery.of, time)? {
                let Number::Float(value) = item.value else {
                    let text = "a subquery is of numbers, not histograms: put histogram_quantile() or another function \
                                that gives numbers inside of it";
                    return Err(Error::Data(text.to_owned()));
                };
                self.charge(SUBQUERY_COST)?;
                let samples = groups.entry(&item.face, Vec::new);
                if samples.last().is_some_and(|last| last.0 == time) {
                    return Err(same_labels(&item.face));
                }
                samples.push((time, value));
            }
            let Some(next) = time.checked_add(step) else { break };
            time = next;
        }
        Ok(groups.into_entries().map(|(face, samples)| Loaded::of_samples(face, samples)).collect())
    }
}
