//! Runs of the same series into fewer and longer ones: in the head as points come, and of all that a seal takes.

use std::collections::HashMap;
use std::sync::Arc;

use weir_query::line::{Line, Source};

use super::run::{self, MOST_POINTS, Point, SPAN};
use crate::Error;
use crate::chunk::bytes::{put_blob, put_value};

/// Points of one series, as they came.
struct Series<'a> {
    like: &'a Line,
    points: Vec<Point>,
}

/// The same points in one line for each series and stretch of time, and more where they are many or their values are of
/// several forms: no line's points lie in two stretches of `window` nanoseconds, or of an hour where that is less. Of
/// points of a series that have the same time the first is kept.
pub(crate) fn merge<'a>(lines: impl Iterator<Item = &'a Line>, window: i64) -> Result<Vec<Line>, Error> {
    let stretch = window.clamp(1, SPAN);
    let mut series: Vec<Series<'a>> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize, ahash::RandomState> = HashMap::default();
    let mut key = Vec::new();
    for line in lines {
        put_key(&mut key, line)?;
        let place = places.get(&key).copied().unwrap_or_else(|| {
            places.insert(key.clone(), series.len());
            series.push(Series { like: line, points: Vec::new() });
            series.len() - 1
        });
        series[place].points.append(&mut run::of(line)?.points);
    }
    let mut merged = Vec::with_capacity(series.len());
    for Series { like, mut points } in series {
        points.sort_by_key(|point| point.time);
        points.dedup_by_key(|point| point.time);
        let meta = run::meta_bytes(like)?;
        for stretch in points.chunk_by(|a, b| a.time.div_euclid(stretch) == b.time.div_euclid(stretch)) {
            let mut rest = stretch;
            while !rest.is_empty() {
                let (some, behind) = rest.split_at(run::of_one_form(&rest[..rest.len().min(MOST_POINTS)]));
                merged.push(run::line(like, meta, some));
                rest = behind;
            }
        }
    }
    Ok(merged)
}

/// What tells series apart, of lines whose sources are shared.
fn put_key(key: &mut Vec<u8>, line: &Line) -> Result<(), Error> {
    key.clear();
    let source: *const Source = Arc::as_ptr(&line.source);
    key.extend_from_slice(&(source as usize).to_le_bytes());
    put_blob(key, run::meta_bytes(line)?);
    put_blob(key, run::name(line).as_bytes());
    for (name, value) in run::labels(line) {
        put_blob(key, name.as_bytes());
        put_value(key, value);
    }
    Ok(())
}
