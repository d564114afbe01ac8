//! The two parts of a chunk, read as far as they are asked for. See [`super::encode`] for what lies where.
//!
//! Every length is checked, so damaged bytes are an error. Values that all lines share are written once, so lines may
//! take more memory than their bytes: it is bounded by [`MAX_DECODED`].

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::trace::v1::Span;
use weir_query::line::{Body, Line, LineId, Source};

use super::bytes::{Ordinals, Reader, any_value, text};
use super::column::Column;
use super::encode::{FIRST_COLUMNS, VERSION, ValueKind};
use super::template::{Kind, PLACE};
use crate::Error;

/// Memory of the lines of a chunk, above [`MAX_MEMORY`](super::MAX_MEMORY) with what sizes that are reckoned leave out.
const MAX_DECODED: usize = 128 << 20;
/// The same of a chunk of one line: more than the largest record can take, whatever it is full of.
const MAX_LINE_DECODED: usize = 1 << 30;

/// What a chunk's lines look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) count: usize,
    source: &'a [u8],
    times: &'a [u8],
    levels: &'a [u8],
    templates: &'a [u8],
    shapes: &'a [u8],
}

/// Distinct things, and which of them each line has.
#[derive(Debug, Clone)]
pub(super) struct Distinct<'a, T> {
    pub(super) list: Vec<T>,
    pub(super) ordinals: Ordinals<'a>,
}

/// A template of bodies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Template<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) places: usize,
}

/// Attributes of one key and kind.
#[derive(Debug, Clone)]
pub(super) struct Attribute<'a> {
    pub(super) key: &'a str,
    pub(super) kind: ValueKind,
    /// Least and greatest, of numbers.
    pub(super) zone: Option<(Value, Value)>,
}

/// Which attributes lines have.
#[derive(Debug, Clone)]
pub(super) struct Shapes<'a> {
    pub(super) columns: Vec<Attribute<'a>>,
    /// Places among the columns, in the order of a line's attributes.
    pub(super) of_lines: Distinct<'a, Vec<u32>>,
}

impl<'a> Head<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut input = Reader(bytes);
        if input.byte()? != VERSION {
            return Err(Error::Chunk("unknown version"));
        }
        let count = input.count()?;
        if count == 0 {
            return Ok(Self { count, source: &[], times: &[], levels: &[], templates: &[], shapes: &[] });
        }
        let mut section = || input.blob();
        let (source, times) = (section()?, section()?);
        if count > times.len() {
            return Err(Error::Chunk("it counts more than it holds"));
        }
        Ok(Self { count, source, times, levels: section()?, templates: section()?, shapes: section()? })
    }

    pub(super) fn source(&self) -> Result<Source, Error> {
        if self.count == 0 {
            return Ok(Source::default());
        }
        let mut input = Reader(self.source);
        let (tenant, service) = (input.text()?.to_owned(), input.text()?.to_owned());
        let mut attributes = || {
            let count = input.count()?;
            (0..count)
                .map(|_| Ok((input.text()?.to_owned(), any_value(input.blob()?)?)))
                .collect::<Result<Vec<_>, Error>>()
        };
        let (scope, resource) = (attributes()?, attributes()?);
        Ok(Source { tenant, service, resource, scope })
    }

    pub(super) fn times(&self) -> Result<Vec<i64>, Error> {
        Reader(self.times).deltas(self.count)
    }

    /// Severities with their texts.
    pub(super) fn levels(&self) -> Result<Distinct<'a, (u8, &'a str)>, Error> {
        self.distinct(self.levels, |input| Ok((input.byte()?, input.text()?)))
    }

    pub(super) fn templates(&self) -> Result<Distinct<'a, Template<'a>>, Error> {
        self.distinct(self.templates, |input| {
            let kind = usize::from(input.byte()?);
            let kind = *Kind::ALL.get(kind).ok_or(Error::Chunk("unknown kind of body"))?;
            let (places, text) = (input.number()?, input.text()?);
            let written = text.bytes().filter(|byte| *byte == PLACE).count();
            if places != written as u64 || (kind.is_whole() && places != 1) {
                return Err(Error::Chunk("a template has other places"));
            }
            Ok(Template { kind, text, places: written })
        })
    }

    pub(super) fn shapes(&self) -> Result<Shapes<'a>, Error> {
        let mut input = Reader(self.shapes);
        let count = if self.count == 0 { 0 } else { input.count()? };
        let mut columns = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = usize::from(input.byte()?);
            let kind = *ValueKind::ALL.get(kind).ok_or(Error::Chunk("unknown kind of value"))?;
            let key = input.text()?;
            let mut edge = || -> Result<[u8; 8], Error> {
                input.take(8)?.try_into().map_err(|_| Error::Chunk("it ends too early"))
            };
            let zone = match kind {
                ValueKind::Int => {
                    let (least, greatest) = (i64::from_le_bytes(edge()?), i64::from_le_bytes(edge()?));
                    Some((Value::IntValue(least), Value::IntValue(greatest)))
                }
                ValueKind::Double => {
                    let (least, greatest) = (f64::from_le_bytes(edge()?), f64::from_le_bytes(edge()?));
                    Some((Value::DoubleValue(least), Value::DoubleValue(greatest)))
                }
                _ => None,
            };
            columns.push(Attribute { key, kind, zone });
        }
        let of_lines = self.distinct(input.0, |input| {
            let length = input.count()?;
            let mut shape = Vec::with_capacity(length);
            for _ in 0..length {
                let column = input.number()?;
                if column >= columns.len() as u64 {
                    return Err(Error::Chunk("an attribute is missing"));
                }
                shape.push(column as u32);
            }
            Ok(shape)
        })?;
        Ok(Shapes { columns, of_lines })
    }

    fn distinct<T>(
        &self,
        bytes: &'a [u8],
        mut read: impl FnMut(&mut Reader<'a>) -> Result<T, Error>,
    ) -> Result<Distinct<'a, T>, Error> {
        let mut input = Reader(bytes);
        let distinct = if self.count == 0 { 0 } else { input.count()? };
        let mut list = Vec::with_capacity(distinct.min(self.count));
        for _ in 0..distinct {
            list.push(read(&mut input)?);
        }
        let ordinals = Ordinals::read(&mut input, self.count, distinct)?;
        Ok(Distinct { list, ordinals })
    }
}

/// What differs from line to line.
#[derive(Debug, Clone)]
pub(super) struct Data<'a> {
    columns: Vec<&'a [u8]>,
}

impl<'a> Data<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut input = Reader(bytes);
        if input.byte()? != VERSION {
            return Err(Error::Chunk("unknown version"));
        }
        let count = input.count()?;
        let lengths = (0..count).map(|_| input.number()).collect::<Result<Vec<_>, _>>()?;
        let take = |length| input.take(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(Self { columns: lengths.into_iter().map(take).collect::<Result<_, _>>()? })
    }

    fn bytes(&self, column: usize) -> Result<&'a [u8], Error> {
        self.columns.get(column).copied().ok_or(Error::Chunk("a column is missing"))
    }

    /// Places of the lines on the bus.
    pub(super) fn ids(&self, count: usize) -> Result<Vec<LineId>, Error> {
        let numbers = |column| Reader(self.bytes(column)?).deltas(count);
        let (partitions, offsets, indices) = (numbers(0)?, numbers(1)?, numbers(2)?);
        let ids = partitions.into_iter().zip(offsets).zip(indices);
        ids.map(|((partition, offset), index)| {
            let partition = i32::try_from(partition).map_err(|_| Error::Chunk("partition out of range"))?;
            let index = u32::try_from(index).map_err(|_| Error::Chunk("line number out of range"))?;
            Ok(LineId { partition, offset, index })
        })
        .collect()
    }

    pub(super) fn trace_ids(&self, count: usize) -> Result<Column<'a>, Error> {
        Column::open(self.bytes(3)?, count)
    }

    pub(super) fn span_ids(&self, count: usize) -> Result<Column<'a>, Error> {
        Column::open(self.bytes(4)?, count)
    }

    /// A place of a template that `lines` lines have; `before` places are those of the templates before it.
    pub(super) fn variables(&self, before: usize, place: usize, lines: usize) -> Result<Column<'a>, Error> {
        Column::open(self.bytes(FIRST_COLUMNS + before + place)?, lines)
    }

    /// The values of an attribute, `count` of them; `places` are those of all templates.
    pub(super) fn attribute(
        &self,
        places: usize,
        column: usize,
        kind: ValueKind,
        count: usize,
    ) -> Result<Values<'a>, Error> {
        let bytes = self.bytes(FIRST_COLUMNS + places + column)?;
        let exactly = |length: usize| {
            if Some(bytes.len()) == count.checked_mul(length) {
                Ok(bytes)
            } else {
                Err(Error::Chunk("a column has another length than its values"))
            }
        };
        Ok(match kind {
            ValueKind::Text => Values::Text(Column::open(bytes, count)?),
            ValueKind::Bytes => Values::Bytes(Column::open(bytes, count)?),
            ValueKind::Other => Values::Other(Column::open(bytes, count)?),
            ValueKind::Bool => Values::Bool(exactly(1)?),
            ValueKind::Double => Values::Double(exactly(8)?),
            ValueKind::Int => Values::Int(Reader(bytes).deltas(count)?),
        })
    }
}

/// The values of an attribute.
#[derive(Debug, Clone)]
pub(super) enum Values<'a> {
    Text(Column<'a>),
    Bytes(Column<'a>),
    Other(Column<'a>),
    Bool(&'a [u8]),
    Int(Vec<i64>),
    Double(&'a [u8]),
}

impl Values<'_> {
    pub(super) fn get(&self, at: usize) -> Result<Value, Error> {
        let missing = Error::Chunk("a value is missing");
        Ok(match self {
            Self::Text(column) => Value::StringValue(text(column.get(at))?.to_owned()),
            Self::Bytes(column) => Value::BytesValue(column.get(at).to_vec()),
            Self::Other(column) => any_value(column.get(at))?,
            Self::Bool(flags) => Value::BoolValue(*flags.get(at).ok_or(missing)? == 1),
            Self::Int(numbers) => Value::IntValue(*numbers.get(at).ok_or(missing)?),
            Self::Double(bytes) => {
                let bytes = bytes.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
                Value::DoubleValue(f64::from_le_bytes(bytes.ok_or(missing)?))
            }
        })
    }
}

/// How many of the lines have each of `distinct` things.
pub(super) fn tally(ordinals: Ordinals<'_>, distinct: usize) -> Vec<usize> {
    let mut counts = vec![0; distinct];
    for ordinal in ordinals.iter() {
        if let Some(count) = counts.get_mut(ordinal as usize) {
            *count += 1;
        }
    }
    counts
}

/// Puts bodies together out of templates and variables.
#[derive(Debug)]
pub(super) struct Bodies<'a> {
    templates: Vec<Template<'a>>,
    columns: Vec<Option<Vec<Column<'a>>>>,
    /// Lines that have each template, and places of the templates before it.
    lines: Vec<usize>,
    before: Vec<usize>,
    data: &'a Data<'a>,
}

impl<'a> Bodies<'a> {
    pub(super) fn new(templates: &Distinct<'a, Template<'a>>, data: &'a Data<'a>) -> Self {
        let list = &templates.list;
        let before = list.iter().scan(0, |sum, template| {
            let before = *sum;
            *sum += template.places;
            Some(before)
        });
        Self {
            columns: vec![None; list.len()],
            lines: tally(templates.ordinals, list.len()),
            before: before.collect(),
            templates: list.clone(),
            data,
        }
    }

    /// Columns of a template's places.
    pub(super) fn columns(&mut self, template: usize) -> Result<&[Column<'a>], Error> {
        let missing = Error::Chunk("a template is missing");
        let (Some(columns), Some(one)) = (self.columns.get_mut(template), self.templates.get(template)) else {
            return Err(missing);
        };
        if columns.is_none() {
            let (before, lines) = (self.before[template], self.lines[template]);
            let opened = (0..one.places).map(|place| self.data.variables(before, place, lines));
            *columns = Some(opened.collect::<Result<_, _>>()?);
        }
        columns.as_deref().ok_or(missing)
    }

    /// The body of the template's `rank`th line.
    pub(super) fn body(&mut self, template: usize, rank: usize) -> Result<Body, Error> {
        let Some(one) = self.templates.get(template).copied() else {
            return Err(Error::Chunk("a template is missing"));
        };
        let columns = self.columns(template)?;
        if one.kind.is_whole() {
            let whole = columns.first().map(|column| column.get(rank)).unwrap_or_default();
            return Ok(match one.kind {
                Kind::WholeText => Body::Text(text(whole)?.to_owned()),
                Kind::WholeJson => Body::Json(text(whole)?.to_owned()),
                _ => Body::Bytes(Bytes::copy_from_slice(whole)),
            });
        }
        let mut body = String::with_capacity(one.text.len() + one.places * 8);
        let mut columns = columns.iter();
        for (at, kept) in one.text.split(char::from(PLACE)).enumerate() {
            if at > 0 {
                body.push_str(text(columns.next().map(|column| column.get(rank)).unwrap_or_default())?);
            }
            body.push_str(kept);
        }
        Ok(if one.kind == Kind::Json { Body::Json(body) } else { Body::Text(body) })
    }

    /// All places of the templates.
    pub(super) fn places(&self) -> usize {
        self.templates.iter().map(|template| template.places).sum()
    }
}

/// Which value of each column is a line's: counts on from line to line.
pub(super) struct Cursor {
    next: Vec<usize>,
}

impl Cursor {
    pub(super) fn new(columns: usize) -> Self {
        Self { next: vec![0; columns] }
    }

    /// The place of the column's next value.
    pub(super) fn step(&mut self, column: u32) -> usize {
        self.next.get_mut(column as usize).map_or(0, |next| {
            *next += 1;
            *next - 1
        })
    }
}

/// The lines that are `wanted`, in order.
pub(super) fn lines(head: &Head<'_>, data: &Data<'_>, wanted: impl Fn(u32) -> bool) -> Result<Vec<Line>, Error> {
    let count = head.count;
    if count == 0 {
        return Ok(Vec::new());
    }
    let source = Arc::new(head.source()?);
    let (times, levels, templates, shapes) = (head.times()?, head.levels()?, head.templates()?, head.shapes()?);
    let (ids, trace_ids, span_ids) = (data.ids(count)?, data.trace_ids(count)?, data.span_ids(count)?);
    let mut bodies = Bodies::new(&templates, data);
    let attributes = attributes(&shapes, data, bodies.places())?;
    let mut of_templates = Cursor::new(templates.list.len());
    let mut of_attributes = Cursor::new(shapes.columns.len());
    let (mut lines, mut memory) = (Vec::new(), 0);
    for (at, id) in ids.into_iter().enumerate() {
        let template = templates.ordinals.get(at);
        let rank = of_templates.step(template);
        let shape = shapes.of_lines.list.get(shapes.of_lines.ordinals.get(at) as usize);
        let shape = shape.map(Vec::as_slice).unwrap_or_default();
        if !wanted(at as u32) {
            for column in shape {
                of_attributes.step(*column);
            }
            continue;
        }
        let mut values = Vec::with_capacity(shape.len());
        for column in shape {
            let place = of_attributes.step(*column);
            let (Some(of), Some(column)) = (attributes.get(*column as usize), shapes.columns.get(*column as usize))
            else {
                return Err(Error::Chunk("an attribute is missing"));
            };
            values.push((column.key.to_owned(), of.get(place)?));
        }
        let (severity, severity_text) = levels.list.get(levels.ordinals.get(at) as usize).copied().unwrap_or_default();
        let line = Line {
            id,
            time: times.get(at).copied().unwrap_or_default(),
            severity,
            severity_text: severity_text.to_owned(),
            body: bodies.body(template as usize, rank)?,
            trace_id: Bytes::copy_from_slice(trace_ids.get(at)),
            span_id: Bytes::copy_from_slice(span_ids.get(at)),
            attributes: values,
            source: source.clone(),
            span: None,
        };
        let is_span = templates.list.get(template as usize).is_some_and(|template| template.kind == Kind::Span);
        let line = if is_span { span(line)? } else { line };
        memory += line.memory();
        if memory > if count == 1 { MAX_LINE_DECODED } else { MAX_DECODED } {
            return Err(Error::Chunk("its lines take too much memory"));
        }
        lines.push(line);
    }
    Ok(lines)
}

/// The line of a span whose protobuf is the body.
fn span(line: Line) -> Result<Line, Error> {
    let span = Span::decode(line.body.bytes()).map_err(|_| Error::Chunk("a span cannot be read"))?;
    let decoded = weir_query::decode::span(span, line.id, 0, line.source);
    Ok(Line { time: line.time, body: line.body, ..decoded })
}

/// All columns of attributes.
pub(super) fn attributes<'a>(shapes: &Shapes<'_>, data: &Data<'a>, places: usize) -> Result<Vec<Values<'a>>, Error> {
    let counts = values(shapes);
    let columns = shapes.columns.iter().zip(counts).enumerate();
    columns.map(|(at, (column, count))| data.attribute(places, at, column.kind, count)).collect()
}

/// How many values each column of attributes has.
pub(super) fn values(shapes: &Shapes<'_>) -> Vec<usize> {
    let mut counts = vec![0_usize; shapes.columns.len()];
    let of_shapes = tally(shapes.of_lines.ordinals, shapes.of_lines.list.len());
    for (shape, lines) in shapes.of_lines.list.iter().zip(of_shapes) {
        for column in shape {
            if let Some(count) = counts.get_mut(*column as usize) {
                *count += lines;
            }
        }
    }
    counts
}
