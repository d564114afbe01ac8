//! Points of one series into what is shown: as they came, or a number for each step of time. Pure.
//!
//! Steps begin at multiples of their length since the epoch, so the same step has the same start whatever is asked for.
//! What a counter grew by from one point to the next belongs to the step of the later one. A cumulative counter began
//! again where its value fell, or its start lies behind the point before: it then grew by its value. The first point that
//! is known says what it grew by only where its start is of the time that was read.

use weir_query::line::LineId;

use super::run::{Kind, Point, Value};

/// How far before the time asked for points are read, so that the first ones of a counter have one before them.
pub(crate) const LOOKBACK: i64 = 300_000_000_000;

/// What is said of the points of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stat {
    Avg,
    Min,
    Max,
    Last,
    Sum,
    Count,
    /// What a counter grew by in a second.
    Rate,
    /// What it grew by.
    Increase,
}

/// How series become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agg {
    Sum,
    Avg,
    Min,
    Max,
    Count,
}

/// What of histograms and summaries is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Count,
    Sum,
}

/// What is made of points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Length of a step and what is said of it; `None` of points as they came.
    pub(crate) step: Option<(i64, Stat)>,
    pub(crate) part: Part,
}

impl Stat {
    pub(crate) const NAMES: [(&str, Self); 8] = [
        ("avg", Self::Avg),
        ("min", Self::Min),
        ("max", Self::Max),
        ("last", Self::Last),
        ("sum", Self::Sum),
        ("count", Self::Count),
        ("rate", Self::Rate),
        ("increase", Self::Increase),
    ];

    /// Whether it is of counters alone.
    pub(crate) fn is_growth(self) -> bool {
        matches!(self, Self::Rate | Self::Increase)
    }

    /// How series become one where nothing is said of it.
    pub(crate) fn usual_agg(self) -> Agg {
        match self {
            Self::Avg | Self::Last => Agg::Avg,
            Self::Min => Agg::Min,
            Self::Max => Agg::Max,
            Self::Sum | Self::Count | Self::Rate | Self::Increase => Agg::Sum,
        }
    }
}

impl Agg {
    pub(crate) const NAMES: [(&str, Self); 5] =
        [("sum", Self::Sum), ("avg", Self::Avg), ("min", Self::Min), ("max", Self::Max), ("count", Self::Count)];
}

impl Asked {
    /// Least time of points that are read.
    pub(crate) fn from(&self) -> i64 {
        let is_growth = self.step.is_some_and(|(_, stat)| stat.is_growth());
        if is_growth { self.start.saturating_sub(LOOKBACK) } else { self.start }
    }

    /// The number that a value is shown as; `None` where it has none.
    fn number(&self, value: Value) -> Option<Value> {
        match (value, self.part) {
            (Value::Counted { count, .. }, Part::Count) => Some(Value::Int(i64::try_from(count).unwrap_or(i64::MAX))),
            (Value::Counted { sum, .. }, Part::Sum) => sum.map(Value::Double),
            (other, _) => Some(other),
        }
    }
}

/// Numbers of one step, or of one time of several series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
}

impl Tally {
    fn of(number: f64) -> Self {
        Self { count: 1, sum: number, min: number, max: number, last: number }
    }

    pub(crate) fn add(&mut self, number: f64) {
        self.count += 1;
        self.sum += number;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        self.last = number;
    }

    /// The first number, or one more.
    pub(crate) fn put(tally: &mut Option<Self>, number: f64) {
        match tally {
            Some(tally) => tally.add(number),
            None => *tally = Some(Self::of(number)),
        }
    }

    /// What several series become.
    pub(crate) fn shown(&self, agg: Agg) -> f64 {
        match agg {
            Agg::Sum => self.sum,
            Agg::Avg => self.sum / self.count as f64,
            Agg::Min => self.min,
            Agg::Max => self.max,
            Agg::Count => self.count as f64,
        }
    }
}

/// A step that is under way.
#[derive(Debug, Default)]
struct Step {
    start: i64,
    tally: Option<Tally>,
    /// What the counter grew by, and in how many nanoseconds.
    grew: Option<(f64, i64)>,
}

impl Step {
    fn number(&self, stat: Stat) -> Option<f64> {
        let tally = self.tally?;
        match stat {
            Stat::Avg => Some(tally.shown(Agg::Avg)),
            Stat::Min => Some(tally.min),
            Stat::Max => Some(tally.max),
            Stat::Last => Some(tally.last),
            Stat::Sum => Some(tally.sum),
            Stat::Count => Some(tally.count as f64),
            Stat::Increase => self.grew.map(|(grew, _)| grew),
            Stat::Rate => self.grew.filter(|(_, nanos)| *nanos > 0).map(|(grew, nanos)| grew / (nanos as f64 / 1e9)),
        }
    }
}

/// A point that waits, and the id of its run.
pub(crate) type Pending = (Point, LineId);

/// One series on its way.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    is_delta: bool,
    /// Points that others may come before, and the ids of their runs.
    pending: Vec<Pending>,
    /// The last point that was taken, gaps left out.
    last: Option<Point>,
    /// Time of the last point, gaps included.
    until: Option<i64>,
    step: Option<Step>,
    /// Times, of steps their starts, and numbers.
    pub(crate) shown: Vec<(i64, Value)>,
}

impl Fold {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { is_delta: kind.is_delta(), ..Self::default() }
    }

    /// Points that wait for those before them.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Adds points of the run of this id.
    pub(crate) fn add(&mut self, points: &[Point], id: LineId) {
        self.pending.extend(points.iter().map(|point| (*point, id)));
    }

    /// Takes the points before `until`, of which none is missing. Of points of one time the one is taken whose run has the
    /// least id: it came first on the bus ([`super::merge`]).
    pub(crate) fn complete(&mut self, until: i64, asked: &Asked) {
        self.pending.sort_by_key(|(point, id)| (point.time, *id));
        let count = self.pending.partition_point(|(point, _)| point.time < until);
        let mut pending = std::mem::take(&mut self.pending);
        for (point, _) in pending.drain(..count) {
            if self.until.is_none_or(|until| until < point.time) {
                self.until = Some(point.time);
                self.take(point, asked);
            }
        }
        self.pending = pending;
    }

    fn take(&mut self, point: Point, asked: &Asked) {
        let Some(value) = asked.number(point.value) else { return };
        let point = Point { value, ..point };
        let is_within = (asked.start..asked.end).contains(&point.time);
        let Some((length, stat)) = asked.step else {
            self.shown.extend(is_within.then_some((point.time, value)));
            return;
        };
        let Some(number) = float(value) else { return };
        let last = self.last.replace(point);
        if !is_within {
            return;
        }
        let start = point.time - point.time.rem_euclid(length);
        if self.step.as_ref().is_none_or(|step| step.start != start) {
            self.close(stat);
            self.step = Some(Step { start, ..Step::default() });
        }
        let grew = self.grew(last, point, asked.from());
        let Some(step) = &mut self.step else { return };
        Tally::put(&mut step.tally, number);
        if let Some((grew, nanos)) = grew {
            let (before, length) = step.grew.unwrap_or_default();
            step.grew = Some((before + grew, length.saturating_add(nanos)));
        }
    }

    /// What a counter grew by up to this point, and in how many nanoseconds.
    fn grew(&self, last: Option<Point>, point: Point, from: i64) -> Option<(f64, i64)> {
        let number = float(point.value)?;
        let since = (point.start != 0).then_some(point.start);
        if self.is_delta {
            let since = since.or(last.map(|last| last.time)).unwrap_or(point.time);
            return Some((number, point.time.saturating_sub(since).max(0)));
        }
        match last {
            Some(last) => {
                let began = since.is_some_and(|since| since > last.time);
                let difference = difference(last.value, point.value)?;
                let grew = if began || difference < 0.0 { number } else { difference };
                Some((grew, point.time.saturating_sub(last.time)))
            }
            None => since.filter(|since| *since >= from).map(|since| (number, point.time.saturating_sub(since).max(0))),
        }
    }

    /// Ends the step that is under way.
    fn close(&mut self, stat: Stat) {
        if let Some(step) = self.step.take()
            && let Some(number) = step.number(stat)
        {
            self.shown.push((step.start, Value::Double(number)));
        }
    }

    /// Ends the series.
    pub(crate) fn end(&mut self, asked: &Asked) {
        self.complete(i64::MAX, asked);
        if let Some((_, stat)) = asked.step {
            self.close(stat);
        }
    }
}

fn float(value: Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(number as f64),
        Value::Double(number) => Some(number),
        Value::Gap | Value::Counted { .. } => None,
    }
}

/// Whole numbers are subtracted exactly.
fn difference(from: Value, to: Value) -> Option<f64> {
    match (from, to) {
        (Value::Int(from), Value::Int(to)) => Some((i128::from(to) - i128::from(from)) as f64),
        (from, to) => Some(float(to)? - float(from)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// Of (second, start, value); what is shown by second.
    fn fold(
        kind: Kind,
        step: Option<(i64, Stat)>,
        (from, to): (i64, i64),
        points: &[(i64, i64, Value)],
    ) -> Vec<(i64, Value)> {
        let step = step.map(|(seconds, stat)| (seconds * SECOND, stat));
        let asked = Asked { start: from * SECOND, end: to * SECOND, step, part: Part::Count };
        let mut fold = Fold::new(kind);
        let points: Vec<Point> = points
            .iter()
            .map(|(time, start, value)| Point { time: time * SECOND, start: start * SECOND, value: *value })
            .collect();
        fold.add(&points, LineId { partition: 0, offset: 0, index: 0 });
        fold.end(&asked);
        fold.shown.iter().map(|(time, value)| (time / SECOND, *value)).collect()
    }

    fn counter() -> Kind {
        Kind::Sum { is_delta: false, is_monotonic: true }
    }

    #[test]
    fn given_no_step_then_points_are_as_they_came_by_time_and_each_once() {
        let big = Value::Int(i64::MAX);
        let points =
            [(30, 0, Value::Gap), (10, 0, big), (20, 0, Value::Double(0.5)), (10, 0, Value::Int(1)), (40, 0, big)];
        let shown = fold(Kind::Gauge, None, (10, 40), &points);
        assert_eq!(shown, [(10, big), (20, Value::Double(0.5)), (30, Value::Gap)]);
    }

    #[test]
    fn each_stat_is_of_the_points_of_a_step_and_steps_without_points_are_left_out() {
        let points = [(60, 3.0), (70, 1.0), (80, 2.0), (200, 5.0)].map(|(time, value)| (time, 0, Value::Double(value)));
        for (stat, first, last) in [
            (Stat::Avg, 2.0, 5.0),
            (Stat::Min, 1.0, 5.0),
            (Stat::Max, 3.0, 5.0),
            (Stat::Last, 2.0, 5.0),
            (Stat::Sum, 6.0, 5.0),
            (Stat::Count, 3.0, 1.0),
        ] {
            let shown = fold(Kind::Gauge, Some((60, stat)), (0, 1000), &points);
            assert_eq!(shown, [(60, Value::Double(first)), (180, Value::Double(last))], "{stat:?}");
        }
    }

    #[test]
    fn a_counter_that_began_again_grew_by_its_value_and_one_that_is_first_seen_by_what_came_since_its_start() {
        let int = Value::Int;
        let increase = |points: &[(i64, i64, Value)]| fold(counter(), Some((60, Stat::Increase)), (600, 1000), points);
        let fell = [(590, 1, int(90)), (610, 1, int(100)), (630, 1, int(5)), (670, 1, int(8))];
        assert_eq!(increase(&fell), [(600, Value::Double(15.0)), (660, Value::Double(3.0))]);
        let restarted = [(600, 1, int(10)), (610, 605, int(30))];
        assert_eq!(increase(&restarted), [(600, Value::Double(30.0))]);
        let new = [(620, 610, int(7)), (630, 610, int(8))];
        assert_eq!(increase(&new), [(600, Value::Double(8.0))]);
        let old = [(620, 1, int(7)), (630, 1, int(8))];
        assert_eq!(increase(&old), [(600, Value::Double(1.0))], "what came before is of an unknown time");
    }

    #[test]
    fn whole_numbers_grow_exactly_and_a_rate_is_by_the_time_between_points() {
        let points = [(600, 0, Value::Int(i64::MAX - 100)), (610, 0, Value::Int(i64::MAX - 50))];
        let shown = fold(counter(), Some((60, Stat::Rate)), (600, 1000), &points);
        assert_eq!(shown, [(600, Value::Double(5.0))]);
        let delta = Kind::Sum { is_delta: true, is_monotonic: true };
        let points = [(610, 600, Value::Int(20)), (620, 610, Value::Int(40))];
        let shown = fold(delta, Some((60, Stat::Rate)), (600, 1000), &points);
        assert_eq!(shown, [(600, Value::Double(3.0))]);
    }

    #[test]
    fn of_a_histogram_the_count_or_the_sum_is_shown() {
        let counted = |count, sum| Value::Counted { count, sum };
        let points = [(10, 0, counted(3, Some(1.5))), (20, 0, counted(4, None))];
        let shown = fold(Kind::Histogram { is_delta: false }, None, (0, 100), &points);
        assert_eq!(shown, [(10, Value::Int(3)), (20, Value::Int(4))]);
    }
}
