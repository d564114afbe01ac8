//! Which fields lines of a chunk have: of attributes that hold no others and of bodies that are plain text, as its shapes,
//! levels and ids say; of other lines, line by line.

use weir_query::fields::{Holds, Kind as Value};

use super::decode::{self, Data, Head, Shapes, Template};
use super::encode::ValueKind;
use super::template::Kind;
use crate::Error;
use crate::bits::Bits;
use crate::fields::{self, FieldList, TEXT};

/// Adds the fields of the lines that are `wanted`.
pub(super) fn fields<'a>(
    head: &Head<'a>,
    data: &dyn Fn() -> Result<&'a [u8], Error>,
    wanted: &Bits,
    found: &mut FieldList,
) -> Result<(), Error> {
    let (templates, shapes) = (head.templates()?, head.shapes()?);
    let is_plain = |at: u32| {
        let at = at as usize;
        templates.list.get(templates.ordinals.get(at) as usize).is_some_and(is_text)
            && shapes
                .of_lines
                .list
                .get(shapes.of_lines.ordinals.get(at) as usize)
                .is_some_and(|of| holds_values(of, &shapes))
    };
    let plain = Bits::of(head.count as u32, |at| wanted.contains(at) && is_plain(at));
    let mut other = wanted.clone();
    other.minus(&plain);
    if !other.is_empty() {
        let lines = decode::lines(head, &Data::open(data()?)?, |at| other.contains(at))?;
        for line in &lines {
            found.add_line(line);
        }
    }
    let lines = u64::from(plain.count());
    if lines == 0 {
        return Ok(());
    }
    found.begin(lines);
    fields::each_of_source(&head.source()?, |name, holds| found.add(name, holds));
    for name in ["timestamp", "body", "message"] {
        found.add(name, TEXT);
    }
    of_levels(head, &plain, found)?;
    of_shapes(&shapes, &plain, found);
    let data = Data::open(data()?)?;
    for (name, column) in [("trace_id", data.trace_ids(head.count)?), ("span_id", data.span_ids(head.count)?)] {
        found.begin(plain.iter().filter(|at| !column.get(*at as usize).is_empty()).count() as u64);
        found.add(name, TEXT);
    }
    Ok(())
}

/// Bodies of the template say something, and are no objects.
fn is_text(template: &Template<'_>) -> bool {
    let text = template.text.trim_start();
    matches!(template.kind, Kind::Text | Kind::Json) && !text.is_empty() && !text.starts_with('{')
}

/// Attributes of the shape hold no others.
fn holds_values(shape: &[u32], shapes: &Shapes<'_>) -> bool {
    shape.iter().all(|column| shapes.columns.get(*column as usize).is_some_and(|one| one.kind != ValueKind::Other))
}

fn of_levels(head: &Head<'_>, lines: &Bits, found: &mut FieldList) -> Result<(), Error> {
    let levels = head.levels()?;
    for (level, lines) in (0..).zip(tally(lines, levels.list.len(), |at| levels.ordinals.get(at))) {
        let Some((severity, text)) = levels.list.get::<usize>(level) else { continue };
        found.begin(lines);
        if *severity > 0 || weir_query::severity::range(text).is_some_and(|(first, _)| first > 0) {
            found.add("severity", TEXT);
        }
        if !text.is_empty() {
            found.add("severity_text", TEXT);
        }
    }
    Ok(())
}

fn of_shapes(shapes: &Shapes<'_>, lines: &Bits, found: &mut FieldList) {
    let mut name = String::new();
    let tallied = tally(lines, shapes.of_lines.list.len(), |at| shapes.of_lines.ordinals.get(at));
    for (shape, lines) in shapes.of_lines.list.iter().zip(tallied) {
        found.begin(lines);
        for column in shape.iter().filter_map(|column| shapes.columns.get(*column as usize)) {
            let kind = match column.kind {
                ValueKind::Text | ValueKind::Other => Value::Text,
                ValueKind::Bool => Value::Bool,
                ValueKind::Int => Value::Int,
                ValueKind::Double => Value::Double,
                ValueKind::Bytes => Value::Bytes,
            };
            name.clear();
            name.push_str("attributes.");
            name.push_str(column.key);
            found.add(&name, Holds::Value(kind));
        }
    }
}

/// How many of the lines have each of `distinct` things.
fn tally(lines: &Bits, distinct: usize, of: impl Fn(usize) -> u32) -> Vec<u64> {
    let mut counts = vec![0; distinct];
    for at in lines.iter() {
        if let Some(count) = counts.get_mut(of(at as usize) as usize) {
            *count += 1;
        }
    }
    counts
}
