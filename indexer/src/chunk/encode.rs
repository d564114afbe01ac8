//! The bytes of a chunk, in two parts, so that a count reads little: the head says what lines look like, the data what
//! differs from line to line.
//!
//! | head | |
//! |---|---|
//! | version, number of lines, source | |
//! | times | the difference to the one before |
//! | levels | distinct pairs of severity and its text; each line's |
//! | templates | distinct templates of bodies ([`super::template`]); each line's |
//! | shapes | the attributes' columns: key, kind and, of numbers, least and greatest; distinct shapes: which columns a line has a value in, in order; each line's |
//!
//! | data | |
//! |---|---|
//! | version, length of each column | |
//! | partitions, offsets, numbers within the record | the difference to the one before |
//! | trace ids, span ids | [`super::column`] |
//! | variables | for each template and place a column of the lines that have the template |
//! | attributes | for each of the head's columns its values, of the lines that have it |

use ahash::AHashMap;
use prost::Message as _;
use weir_proto::otlp::common::v1::AnyValue;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_query::line::{Line, Source};

use super::bytes::{put, put_blob, put_deltas, put_ordinals, put_value};
use super::column;
use super::template::Templates;

pub(super) const VERSION: u8 = 2;

/// Columns of the data before those of variables.
pub(super) const FIRST_COLUMNS: usize = 5;

/// A chunk's two parts.
#[derive(Debug, Default)]
pub struct Encoded {
    /// What is read for every count.
    pub head: Vec<u8>,
    /// What is read for lines, and for what differs from line to line.
    pub data: Vec<u8>,
}

/// What an attribute's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ValueKind {
    Text,
    Bool,
    Int,
    Double,
    Bytes,
    /// Lists, maps, and what is to come.
    Other,
}

impl ValueKind {
    pub(super) const ALL: [Self; 6] = [Self::Text, Self::Bool, Self::Int, Self::Double, Self::Bytes, Self::Other];

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::StringValue(_) => Self::Text,
            Value::BoolValue(_) => Self::Bool,
            Value::IntValue(_) => Self::Int,
            Value::DoubleValue(_) => Self::Double,
            Value::BytesValue(_) => Self::Bytes,
            _ => Self::Other,
        }
    }
}

/// Both parts of `lines`, which all have the source of the first, and whose bodies are `templates`.
pub(super) fn encode(lines: &[&Line], templates: &Templates<'_>) -> Encoded {
    let mut head = vec![VERSION];
    put(&mut head, lines.len() as u64);
    let Some(first) = lines.first() else { return Encoded { head, data: vec![VERSION, 0] } };
    let attributes = Attributes::of(lines);
    let mut section = Vec::new();
    let mut close = |section: &mut Vec<u8>| {
        put_blob(&mut head, section);
        section.clear();
    };
    put_source(&mut section, &first.source);
    close(&mut section);
    put_deltas(&mut section, lines.iter().map(|line| line.time));
    close(&mut section);
    put_levels(&mut section, lines);
    close(&mut section);
    put_templates(&mut section, templates);
    close(&mut section);
    attributes.put_shapes(&mut section);
    close(&mut section);
    Encoded { head, data: data(lines, templates, &attributes) }
}

fn data(lines: &[&Line], templates: &Templates<'_>, attributes: &Attributes<'_>) -> Vec<u8> {
    let (mut columns, mut lengths, mut from) = (Vec::new(), Vec::new(), 0);
    let mut close = |columns: &mut Vec<u8>| {
        put(&mut lengths, (columns.len() - from) as u64);
        from = columns.len();
    };
    put_deltas(&mut columns, lines.iter().map(|line| i64::from(line.id.partition)));
    close(&mut columns);
    put_deltas(&mut columns, lines.iter().map(|line| line.id.offset));
    close(&mut columns);
    put_deltas(&mut columns, lines.iter().map(|line| i64::from(line.id.index)));
    close(&mut columns);
    let mut values: Vec<&[u8]> = lines.iter().map(|line| line.trace_id.as_ref()).collect();
    column::encode(&mut columns, &values);
    close(&mut columns);
    values.clear();
    values.extend(lines.iter().map(|line| line.span_id.as_ref()));
    column::encode(&mut columns, &values);
    close(&mut columns);
    let mut count = FIRST_COLUMNS;
    for template in &templates.distinct {
        for place in 0..template.places {
            values.clear();
            values.extend(template.variables.iter().skip(place).step_by(template.places));
            column::encode(&mut columns, &values);
            close(&mut columns);
            count += 1;
        }
    }
    for column in &attributes.columns {
        column.put_values(&mut columns);
        close(&mut columns);
        count += 1;
    }
    let mut data = vec![VERSION];
    put(&mut data, count as u64);
    data.append(&mut lengths);
    data.append(&mut columns);
    data
}

fn put_source(out: &mut Vec<u8>, source: &Source) {
    for text in [&source.tenant, &source.service] {
        put_blob(out, text.as_bytes());
    }
    for attributes in [&source.scope, &source.resource] {
        put(out, attributes.len() as u64);
        for (key, value) in attributes {
            put_blob(out, key.as_bytes());
            put_value(out, value);
        }
    }
}

fn put_levels(out: &mut Vec<u8>, lines: &[&Line]) {
    let (distinct, ordinals) = distinct(lines.iter().map(|line| (line.severity, line.severity_text.as_str())));
    put(out, distinct.len() as u64);
    for (severity, text) in &distinct {
        out.push(*severity);
        put_blob(out, text.as_bytes());
    }
    put_ordinals(out, &ordinals, distinct.len());
}

fn put_templates(out: &mut Vec<u8>, templates: &Templates<'_>) {
    put(out, templates.distinct.len() as u64);
    for template in &templates.distinct {
        out.push(template.kind as u8);
        put(out, template.places as u64);
        put_blob(out, template.text.as_bytes());
    }
    put_ordinals(out, &templates.ordinals, templates.distinct.len());
}

/// The distinct things, and each one's place among them.
fn distinct<T: Clone + Eq + std::hash::Hash>(things: impl Iterator<Item = T>) -> (Vec<T>, Vec<u32>) {
    let (mut places, mut distinct) = (AHashMap::new(), Vec::new());
    let ordinals = things
        .map(|thing| {
            *places.entry(thing).or_insert_with_key(|thing| {
                distinct.push(thing.clone());
                distinct.len() as u32 - 1
            })
        })
        .collect();
    (distinct, ordinals)
}

/// The attributes of a chunk's lines.
struct Attributes<'a> {
    columns: Vec<AttributeColumn<'a>>,
    shapes: Vec<Vec<u32>>,
    ordinals: Vec<u32>,
}

/// Values of one kind under one key.
struct AttributeColumn<'a> {
    key: &'a str,
    kind: ValueKind,
    values: Vec<&'a Value>,
}

impl<'a> Attributes<'a> {
    fn of(lines: &[&'a Line]) -> Self {
        let mut columns: Vec<AttributeColumn<'a>> = Vec::new();
        let mut places: AHashMap<(&str, ValueKind), u32> = AHashMap::new();
        let mut known: AHashMap<Vec<u32>, u32> = AHashMap::new();
        let (mut shape, mut ordinals) = (Vec::new(), Vec::with_capacity(lines.len()));
        for line in lines {
            shape.clear();
            // Those of a span are in its protobuf.
            let own = if line.span.is_some() { &[] } else { line.attributes.as_slice() };
            for (key, value) in own {
                let kind = ValueKind::of(value);
                let place = *places.entry((key, kind)).or_insert_with(|| {
                    columns.push(AttributeColumn { key, kind, values: Vec::new() });
                    columns.len() as u32 - 1
                });
                columns[place as usize].values.push(value);
                shape.push(place);
            }
            let ordinal = known.get(shape.as_slice()).copied().unwrap_or_else(|| {
                let ordinal = known.len() as u32;
                known.insert(shape.clone(), ordinal);
                ordinal
            });
            ordinals.push(ordinal);
        }
        let mut shapes: Vec<(Vec<u32>, u32)> = known.into_iter().collect();
        shapes.sort_unstable_by_key(|(_, ordinal)| *ordinal);
        Self { columns, shapes: shapes.into_iter().map(|(shape, _)| shape).collect(), ordinals }
    }

    fn put_shapes(&self, out: &mut Vec<u8>) {
        put(out, self.columns.len() as u64);
        for column in &self.columns {
            out.push(column.kind as u8);
            put_blob(out, column.key.as_bytes());
            column.put_zone(out);
        }
        put(out, self.shapes.len() as u64);
        for shape in &self.shapes {
            put(out, shape.len() as u64);
            for column in shape {
                put(out, u64::from(*column));
            }
        }
        put_ordinals(out, &self.ordinals, self.shapes.len());
    }
}

impl AttributeColumn<'_> {
    fn ints(&self) -> impl Iterator<Item = i64> + '_ {
        self.values.iter().filter_map(|value| if let Value::IntValue(number) = value { Some(*number) } else { None })
    }

    fn doubles(&self) -> impl Iterator<Item = f64> + '_ {
        self.values.iter().filter_map(|value| if let Value::DoubleValue(number) = value { Some(*number) } else { None })
    }

    /// Least and greatest of the numbers, by eight bytes each.
    fn put_zone(&self, out: &mut Vec<u8>) {
        match self.kind {
            ValueKind::Int => {
                let (least, greatest) = (self.ints().min().unwrap_or(0), self.ints().max().unwrap_or(0));
                out.extend([least.to_le_bytes(), greatest.to_le_bytes()].concat());
            }
            ValueKind::Double => {
                let (least, greatest) = (self.doubles().min_by(f64::total_cmp), self.doubles().max_by(f64::total_cmp));
                out.extend([least, greatest].into_iter().flat_map(|edge| edge.unwrap_or(0.0).to_le_bytes()));
            }
            _ => {}
        }
    }

    fn put_values(&self, out: &mut Vec<u8>) {
        match self.kind {
            ValueKind::Bool => out.extend(self.values.iter().map(|value| u8::from(**value == Value::BoolValue(true)))),
            ValueKind::Int => put_deltas(out, self.ints()),
            ValueKind::Double => out.extend(self.doubles().flat_map(f64::to_le_bytes)),
            ValueKind::Text | ValueKind::Bytes => {
                let values: Vec<&[u8]> = self.values.iter().map(|value| bytes_of(value)).collect();
                column::encode(out, &values);
            }
            ValueKind::Other => {
                let any = |value: &&Value| AnyValue { value: Some((*value).clone()) }.encode_to_vec();
                let values: Vec<Vec<u8>> = self.values.iter().map(any).collect();
                let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
                column::encode(out, &values);
            }
        }
    }
}

fn bytes_of(value: &Value) -> &[u8] {
    match value {
        Value::StringValue(text) => text.as_bytes(),
        Value::BytesValue(bytes) => bytes.as_slice(),
        _ => &[],
    }
}
