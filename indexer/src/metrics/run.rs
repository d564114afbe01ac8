//! A run: points of one series by time, as one line of a store.
//!
//! The line's body is the metric's name, so that words find it; its attributes are those of the points, by name; and what
//! the points are is the value of the last attribute, [`chunk::OPAQUE`], in columns:
//!
//! | bytes | |
//! |---|---|
//! | version, what the metric is, unit, description | the same for all runs of a series |
//! | what values are, number of points | |
//! | times, starts | [`super::column`]; of delta sums how long each took, in the place of its start |
//! | gaps | places of points without a value |
//! | values | whole numbers, floats, or counts and where they are known sums |
//!
//! Of histograms and summaries count and sum are kept, and no buckets, quantiles or exemplars. A run never spans more than
//! [`SPAN`], by which a search reads runs that begin before the time that is asked for.

use bytes::Bytes;
use weir_proto::metric_name::{self, Shape};
use weir_proto::otlp::common::v1::any_value::Value as Attribute;
use weir_query::line::{Body, Line};

use super::column;
use crate::Error;
use crate::chunk::OPAQUE;
use crate::chunk::bytes::{Reader, put, put_blob};

/// Longest time from a run's first point to behind its last, in nanoseconds.
pub(crate) const SPAN: i64 = 3_600_000_000_000;
/// Most points of a run.
pub(super) const MOST_POINTS: usize = 1024;

const VERSION: u8 = 1;

/// What a metric is, besides its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Meta {
    pub(crate) kind: Kind,
    pub(crate) unit: String,
    pub(crate) description: String,
}

/// What the values of a metric mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Gauge,
    Sum {
        is_delta: bool,
        is_monotonic: bool,
    },
    Histogram {
        is_delta: bool,
    },
    ExponentialHistogram {
        is_delta: bool,
    },
    /// Count and sum since its start.
    Summary,
}

/// A point; times are nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) time: i64,
    /// From when on it counts; 0 where that is not known.
    pub(crate) start: i64,
    pub(crate) value: Value,
}

/// The value of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// No value was recorded, though one was due.
    Gap,
    Int(i64),
    Double(f64),
    /// Of a histogram or summary.
    Counted {
        count: u64,
        sum: Option<f64>,
    },
}

/// A run, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) meta: Meta,
    pub(crate) points: Vec<Point>,
}

/// What the values of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Ints = 0,
    Doubles = 1,
    Counts = 2,
    CountsAndSums = 3,
}

impl Kind {
    const DELTA: u8 = 0x10;
    const MONOTONIC: u8 = 0x20;

    pub(super) fn byte(self) -> u8 {
        let (number, is_delta, is_monotonic) = match self {
            Self::Gauge => (0, false, false),
            Self::Sum { is_delta, is_monotonic } => (1, is_delta, is_monotonic),
            Self::Histogram { is_delta } => (2, is_delta, false),
            Self::ExponentialHistogram { is_delta } => (3, is_delta, false),
            Self::Summary => (4, false, false),
        };
        number | if is_delta { Self::DELTA } else { 0 } | if is_monotonic { Self::MONOTONIC } else { 0 }
    }

    pub(super) fn of(byte: u8) -> Option<Self> {
        let (is_delta, is_monotonic) = (byte & Self::DELTA != 0, byte & Self::MONOTONIC != 0);
        let kind = match byte & 0x0f {
            0 => Self::Gauge,
            1 => Self::Sum { is_delta, is_monotonic },
            2 => Self::Histogram { is_delta },
            3 => Self::ExponentialHistogram { is_delta },
            4 => Self::Summary,
            _ => return None,
        };
        (kind.byte() == byte).then_some(kind)
    }

    /// As OTLP names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Sum { .. } => "sum",
            Self::Histogram { .. } => "histogram",
            Self::ExponentialHistogram { .. } => "exponential_histogram",
            Self::Summary => "summary",
        }
    }

    /// `delta` or `cumulative`; `None` of a gauge.
    pub(crate) fn temporality(self) -> Option<&'static str> {
        if self == Self::Gauge {
            return None;
        }
        Some(if self.is_delta() { "delta" } else { "cumulative" })
    }

    /// Whether each point counts from the one before.
    pub(crate) fn is_delta(self) -> bool {
        self.byte() & Self::DELTA != 0
    }

    /// Whether its values only grow, but for restarts, or are what they grew by.
    pub(crate) fn is_counter(self) -> bool {
        !matches!(self, Self::Gauge | Self::Sum { is_monotonic: false, .. })
    }

    /// The name by which Prometheus' users know a metric, which the alerter has too.
    pub(crate) fn prometheus_name(self, name: &str, unit: &str) -> String {
        let shape = match self {
            Self::Gauge => Shape::Gauge,
            Self::Sum { is_monotonic: false, .. } => Shape::UpDown,
            Self::Sum { .. } => Shape::Counter,
            Self::Histogram { .. } | Self::ExponentialHistogram { .. } => Shape::Histogram,
            Self::Summary => Shape::Summary,
        };
        metric_name::prometheus(name, unit, shape)
    }
}

impl Meta {
    /// What the runs of a series begin with.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.kind.byte()];
        put_blob(&mut bytes, self.unit.as_bytes());
        put_blob(&mut bytes, self.description.as_bytes());
        bytes
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Error> {
        if input.byte()? != VERSION {
            return Err(Error::Chunk("unknown version"));
        }
        let kind = Kind::of(input.byte()?).ok_or(Error::Chunk("unknown kind of metric"))?;
        Ok(Self { kind, unit: input.text()?.to_owned(), description: input.text()?.to_owned() })
    }
}

impl Form {
    /// `None` of a gap, which lies among values of any form.
    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Gap => None,
            Value::Int(_) => Some(Self::Ints),
            Value::Double(_) => Some(Self::Doubles),
            Value::Counted { sum: None, .. } => Some(Self::Counts),
            Value::Counted { sum: Some(_), .. } => Some(Self::CountsAndSums),
        }
    }
}

/// The first points that fit into one run: whose values have one form.
pub(super) fn of_one_form(points: &[Point]) -> usize {
    let mut form = None;
    for (at, point) in points.iter().enumerate() {
        match (form, Form::of(point.value)) {
            (Some(one), Some(other)) if one != other => return at,
            (None, found) => form = found,
            _ => {}
        }
    }
    points.len()
}

/// The bytes of a run that begins as [`Meta::bytes`] says, of points of one form by time.
pub(super) fn encode(meta: &[u8], points: &[Point]) -> Vec<u8> {
    let is_delta = meta.get(1).is_some_and(|kind| kind & Kind::DELTA != 0);
    let form = points.iter().find_map(|point| Form::of(point.value)).unwrap_or(Form::Doubles);
    let mut out = meta.to_vec();
    out.push(form as u8);
    put(&mut out, points.len() as u64);
    column::put_ints(&mut out, &points.iter().map(|point| point.time).collect::<Vec<_>>());
    let start = |point: &Point| if is_delta { point.time.wrapping_sub(point.start) } else { point.start };
    column::put_ints(&mut out, &points.iter().map(start).collect::<Vec<_>>());
    column::put_places(&mut out, points.iter().map(|point| point.value == Value::Gap));
    let values = || points.iter().map(|point| point.value).filter(|value| *value != Value::Gap);
    let whole = |value| match value {
        Value::Int(number) => number,
        Value::Counted { count, .. } => count as i64,
        Value::Gap | Value::Double(_) => 0,
    };
    let float = |value| match value {
        Value::Double(number) | Value::Counted { sum: Some(number), .. } => number,
        _ => 0.0,
    };
    if form != Form::Doubles {
        column::put_ints(&mut out, &values().map(whole).collect::<Vec<_>>());
    }
    if matches!(form, Form::Doubles | Form::CountsAndSums) {
        column::put_floats(&mut out, &values().map(float).collect::<Vec<_>>());
    }
    out
}

/// Reads what [`encode`] wrote; any other bytes are an error, or some points.
pub(crate) fn decode(bytes: &[u8]) -> Result<Run, Error> {
    let mut input = Reader(bytes);
    let meta = Meta::read(&mut input)?;
    let form = input.byte()?;
    let count = input.number()?;
    if count > MOST_POINTS as u64 {
        return Err(Error::Chunk("it counts more than it holds"));
    }
    let count = count as usize;
    let times = column::ints(&mut input, count)?;
    let starts = column::ints(&mut input, count)?;
    let gaps = column::places(&mut input, count)?;
    let there = gaps.iter().filter(|gap| !**gap).count();
    let mut values: Box<dyn Iterator<Item = Value>> = match form {
        form if form == Form::Ints as u8 => Box::new(column::ints(&mut input, there)?.into_iter().map(Value::Int)),
        form if form == Form::Doubles as u8 => {
            Box::new(column::floats(&mut input, there)?.into_iter().map(Value::Double))
        }
        form if form == Form::Counts as u8 => {
            let counts = column::ints(&mut input, there)?.into_iter();
            Box::new(counts.map(|count| Value::Counted { count: count as u64, sum: None }))
        }
        form if form == Form::CountsAndSums as u8 => {
            let (counts, sums) = (column::ints(&mut input, there)?, column::floats(&mut input, there)?);
            let both = counts.into_iter().zip(sums);
            Box::new(both.map(|(count, sum)| Value::Counted { count: count as u64, sum: Some(sum) }))
        }
        _ => return Err(Error::Chunk("unknown kind of value")),
    };
    let is_delta = meta.kind.is_delta();
    let point = |((time, start), gap): ((i64, i64), bool)| {
        let start = if is_delta { time.wrapping_sub(start) } else { start };
        let value = if gap { Value::Gap } else { values.next().unwrap_or(Value::Gap) };
        Point { time, start, value }
    };
    let points = times.into_iter().zip(starts).zip(gaps).map(point).collect();
    Ok(Run { meta, points })
}

/// The bytes of the run that a line is.
pub(super) fn bytes_of(line: &Line) -> Result<&[u8], Error> {
    match line.attributes.last() {
        Some((key, Attribute::BytesValue(bytes))) if key == OPAQUE => Ok(bytes),
        _ => Err(Error::Chunk("a line is no run of points")),
    }
}

/// The run that a line is.
pub(crate) fn of(line: &Line) -> Result<Run, Error> {
    decode(bytes_of(line)?)
}

/// What the run of a line begins with, as [`Meta::bytes`] has it.
pub(super) fn meta_bytes(line: &Line) -> Result<&[u8], Error> {
    let bytes = bytes_of(line)?;
    let mut input = Reader(bytes);
    input.take(2)?;
    input.blob()?;
    input.blob()?;
    Ok(&bytes[..bytes.len() - input.0.len()])
}

/// What the metric of a line is.
pub(crate) fn meta(line: &Line) -> Result<Meta, Error> {
    Meta::read(&mut Reader(bytes_of(line)?))
}

/// The attributes of a run's points.
pub(crate) fn labels(line: &Line) -> &[(String, Attribute)] {
    match line.attributes.split_last() {
        Some(((key, _), labels)) if key == OPAQUE => labels,
        _ => &line.attributes,
    }
}

/// The metric's name.
pub(crate) fn name(line: &Line) -> &str {
    match &line.body {
        Body::Text(name) | Body::Json(name) => name,
        Body::Bytes(_) => "",
    }
}

/// A line like another one of its series, of these points.
pub(super) fn line(like: &Line, meta: &[u8], points: &[Point]) -> Line {
    let mut attributes = labels(like).to_vec();
    attributes.push((OPAQUE.to_owned(), Attribute::BytesValue(encode(meta, points))));
    Line {
        id: like.id,
        time: points.first().map_or(like.time, |point| point.time),
        severity: 0,
        severity_text: String::new(),
        body: like.body.clone(),
        trace_id: Bytes::new(),
        span_id: Bytes::new(),
        attributes,
        source: like.source.clone(),
        span: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = Kind> {
        (0..5, any::<bool>(), any::<bool>()).prop_map(|(kind, is_delta, is_monotonic)| match kind {
            0 => Kind::Gauge,
            1 => Kind::Sum { is_delta, is_monotonic },
            2 => Kind::Histogram { is_delta },
            3 => Kind::ExponentialHistogram { is_delta },
            _ => Kind::Summary,
        })
    }

    fn value(form: u8) -> BoxedStrategy<Value> {
        let some = match form {
            0 => any::<i64>().prop_map(Value::Int).boxed(),
            1 => any::<f64>().prop_map(Value::Double).boxed(),
            2 => any::<u64>().prop_map(|count| Value::Counted { count, sum: None }).boxed(),
            _ => any::<(u64, f64)>().prop_map(|(count, sum)| Value::Counted { count, sum: Some(sum) }).boxed(),
        };
        prop_oneof![4 => some, 1 => Just(Value::Gap)].boxed()
    }

    /// Bit for bit.
    fn shown(points: &[Point]) -> Vec<(i64, i64, u8, u64, u64)> {
        let value = |value| match value {
            Value::Gap => (0, 0, 0),
            Value::Int(number) => (1, number as u64, 0),
            Value::Double(number) => (2, number.to_bits(), 0),
            Value::Counted { count, sum: None } => (3, count, 0),
            Value::Counted { count, sum: Some(sum) } => (4, count, sum.to_bits()),
        };
        let show = |point: &Point| {
            let (kind, first, second) = value(point.value);
            (point.time, point.start, kind, first, second)
        };
        points.iter().map(show).collect()
    }

    proptest! {
        #[test]
        fn a_run_reads_back_bit_for_bit(
            kind in kind(), unit in "[a-z]{0,3}", description in ".{0,10}",
            points in (0_u8..4).prop_flat_map(|form| {
                let point = (any::<i64>(), any::<i64>(), value(form));
                prop::collection::vec(point.prop_map(|(time, start, value)| Point { time, start, value }), 0..40)
            }),
        ) {
            prop_assert_eq!(of_one_form(&points), points.len());
            let meta = Meta { kind, unit, description };
            let run = decode(&encode(&meta.bytes(), &points)).unwrap();
            prop_assert_eq!(run.meta, meta);
            prop_assert_eq!(shown(&run.points), shown(&points));
        }

        #[test]
        fn given_any_bytes_then_reading_them_is_an_error_or_a_run(bytes: Vec<u8>, kind in kind(), form in 0_u8..5) {
            let _ = decode(&bytes);
            let mut behind = Meta { kind, unit: String::new(), description: String::new() }.bytes();
            behind.push(form);
            behind.extend(bytes);
            if let Ok(run) = decode(&behind) {
                prop_assert!(run.points.len() <= MOST_POINTS);
            }
        }
    }

    #[test]
    fn points_of_another_form_begin_another_run_and_gaps_fit_into_any() {
        let point = |value| Point { time: 0, start: 0, value };
        let points = [Value::Gap, Value::Int(1), Value::Gap, Value::Int(2), Value::Double(2.5)].map(point);
        assert_eq!((of_one_form(&points), of_one_form(&points[4..]), of_one_form(&points[..1])), (4, 1, 1));
    }

    #[test]
    fn a_gauge_of_regular_times_takes_a_byte_a_point() {
        let point = |at: i64| Point {
            time: at * 5_000_000_000,
            start: 0,
            value: Value::Double((at * 37 % 101) as f64 / 100.0),
        };
        let meta = Meta { kind: Kind::Gauge, unit: "1".into(), description: String::new() };
        let bytes = encode(&meta.bytes(), &(0..120).map(point).collect::<Vec<_>>());
        assert!(bytes.len() < 160, "{} bytes for 120 points", bytes.len());
    }
}
