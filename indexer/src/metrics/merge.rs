//! Runs of the same series into fewer and longer ones: in the head as points come, and of all that a seal takes.

use std::collections::HashMap;
use std::sync::Arc;

use weir_proto::otlp::common::v1::any_value::Value;
use weir_query::line::{Line, Source};

use super::run::{self, MOST_POINTS, Point, SPAN};
use crate::Error;
use crate::chunk::bytes::{put_blob, put_value};

/// The same points in one line for each series and stretch of time, and more where they are many or their values are of
/// several forms: no line's points lie in two windows, which begin at multiples of `window` nanoseconds, or in two hours.
/// Of points of a series that have the same time the one whose line came first on the bus is kept.
pub(crate) fn merge<'a>(lines: impl Iterator<Item = &'a Line>, window: i64) -> Result<Vec<Line>, Error> {
    let mut series: Vec<Vec<&'a Line>> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize, ahash::RandomState> = HashMap::default();
    let mut key = Vec::new();
    for line in lines {
        put_key(&mut key, line)?;
        let place = places.get(&key).copied().unwrap_or_else(|| {
            places.insert(key.clone(), series.len());
            series.push(Vec::new());
            series.len() - 1
        });
        series[place].push(line);
    }
    drop(places);
    let mut merged = Vec::with_capacity(series.len());
    for mut lines in series {
        // A series has one partition, whose records a head takes in their order, so the first id tells for all points of
        // a run whether they came before those of another run.
        lines.sort_by_key(|line| line.id);
        let Some(first) = lines.first() else { continue };
        let mut points = Vec::new();
        for line in &lines {
            points.append(&mut run::of(line)?.points);
        }
        each_once(&mut points);
        merged.extend(runs(first, run::meta_bytes(first)?, &points, window));
    }
    Ok(merged)
}

/// Points by time; of those that have the same time the first is kept.
pub(super) fn each_once(points: &mut Vec<Point>) {
    points.sort_by_key(|point| point.time);
    points.dedup_by_key(|point| point.time);
}

/// Points by time in lines like another one of their series, as [`merge`] has them.
pub(super) fn runs<'a>(
    like: &'a Line,
    meta: &'a [u8],
    points: &'a [Point],
    window: i64,
) -> impl Iterator<Item = Line> + 'a {
    let window = window.max(1);
    let stretch = move |point: &Point| (point.time.div_euclid(SPAN), point.time.div_euclid(window));
    points.chunk_by(move |a, b| stretch(a) == stretch(b)).flat_map(move |mut rest| {
        std::iter::from_fn(move || {
            let (some, behind) = rest.split_at(run::of_one_form(&rest[..rest.len().min(MOST_POINTS)]));
            rest = behind;
            (!some.is_empty()).then(|| run::line(like, meta, some))
        })
    })
}

/// What tells series apart, of lines whose sources are shared.
fn put_key(key: &mut Vec<u8>, line: &Line) -> Result<(), Error> {
    key.clear();
    let source: *const Source = Arc::as_ptr(&line.source);
    key.extend_from_slice(&(source as usize).to_le_bytes());
    put_blob(key, run::meta_bytes(line)?);
    put_blob(key, run::name(line).as_bytes());
    put_labels(key, run::labels(line));
    Ok(())
}

/// Attributes of points, by name, as part of what tells series apart.
pub(super) fn put_labels(key: &mut Vec<u8>, labels: &[(String, Value)]) {
    for (name, value) in labels {
        put_blob(key, name.as_bytes());
        put_value(key, value);
    }
}
