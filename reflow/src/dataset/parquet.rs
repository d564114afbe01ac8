//! Rows as Apache Parquet: one row group for some ten megabytes, all columns optional, compressed with zstd.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use crate::definition::Column;
use crate::row::{Cell, Head, Row};

/// Rows are held until they take so much memory, and are then a row group.
const GROUP_BYTES: usize = 16 << 20;
/// Level of zstd: what columns of text gain from more is little.
const LEVEL: i32 = 3;

/// A file that is being written.
pub(super) struct File<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Buffer>,
    buffered: usize,
}

/// What a column holds of the row group that is being filled: its values, and for each row whether there is one.
struct Buffer {
    values: Values,
    levels: Vec<i16>,
}

enum Values {
    Bytes(Vec<ByteArray>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
}

impl<W: Write + Send> File<W> {
    pub(super) fn new(to: W, heads: &[Head]) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
            // Of pages too, so that readers can pass over them; cut, since a value may have megabytes.
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_column_index_truncate_length(Some(64))
            .set_statistics_truncate_length(Some(64))
            .set_created_by("weir".to_owned())
            .build();
        let writer = SerializedFileWriter::new(to, schema(heads)?, Arc::new(properties))?;
        let columns = heads.iter().map(|head| Buffer { values: Values::of(head.column), levels: Vec::new() }).collect();
        Ok(Self { writer, columns, buffered: 0 })
    }

    pub(super) fn append(&mut self, row: Row) -> Result<()> {
        self.buffered += row.memory();
        let added = row.added();
        for (buffer, cell) in self.columns.iter_mut().zip(row.cells.into_iter().chain(added)) {
            buffer.push(cell);
        }
        if self.buffered >= GROUP_BYTES { self.end_group() } else { Ok(()) }
    }

    /// Bytes that it will have, about.
    pub(super) fn bytes(&self) -> u64 {
        // Text is pressed to a third or less.
        (self.writer.bytes_written() + self.buffered / 3) as u64
    }

    fn end_group(&mut self) -> Result<()> {
        if self.columns.first().is_none_or(|column| column.levels.is_empty()) {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for buffer in &mut self.columns {
            buffer.write(&mut group)?;
        }
        group.close()?;
        self.buffered = 0;
        Ok(())
    }

    /// Ends the file. `about` is kept in its metadata.
    pub(super) fn finish(mut self, about: &[(&str, String)]) -> Result<W> {
        self.end_group()?;
        for (key, value) in about {
            self.writer.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        self.writer.into_inner()
    }
}

impl Values {
    fn of(column: Column) -> Self {
        match column {
            Column::String | Column::Json => Self::Bytes(Vec::new()),
            Column::Int | Column::Timestamp => Self::Int(Vec::new()),
            Column::Float => Self::Float(Vec::new()),
            Column::Bool => Self::Bool(Vec::new()),
        }
    }
}

impl Buffer {
    fn push(&mut self, cell: Cell) {
        let is_there = match (&mut self.values, cell) {
            (Values::Bytes(values), Cell::Text(text)) => {
                values.push(ByteArray::from(text.into_bytes()));
                true
            }
            (Values::Bytes(values), Cell::Json(json)) => {
                values.push(ByteArray::from(json.to_string().into_bytes()));
                true
            }
            (Values::Int(values), Cell::Int(number)) => {
                values.push(number);
                true
            }
            // To the microsecond: what reads Parquet rarely knows more.
            (Values::Int(values), Cell::Time(nanos)) => {
                values.push(nanos.div_euclid(1000));
                true
            }
            (Values::Float(values), Cell::Float(number)) => {
                values.push(number);
                true
            }
            (Values::Bool(values), Cell::Bool(value)) => {
                values.push(value);
                true
            }
            _ => false,
        };
        self.levels.push(is_there.into());
    }

    fn write<W: Write + Send>(&mut self, group: &mut SerializedRowGroupWriter<'_, W>) -> Result<()> {
        fn column<T: DataType, W: Write + Send>(
            group: &mut SerializedRowGroupWriter<'_, W>,
            values: &mut Vec<T::T>,
            levels: &[i16],
        ) -> Result<()> {
            let missing = || ParquetError::General("the schema has fewer columns than a row".to_owned());
            let mut writer = group.next_column()?.ok_or_else(missing)?;
            writer.typed::<T>().write_batch(values, Some(levels), None)?;
            values.clear();
            writer.close()
        }
        match &mut self.values {
            Values::Bytes(values) => column::<ByteArrayType, W>(group, values, &self.levels)?,
            Values::Int(values) => column::<Int64Type, W>(group, values, &self.levels)?,
            Values::Float(values) => column::<DoubleType, W>(group, values, &self.levels)?,
            Values::Bool(values) => column::<BoolType, W>(group, values, &self.levels)?,
        }
        self.levels.clear();
        Ok(())
    }
}

fn schema(heads: &[Head]) -> Result<TypePtr> {
    let columns = heads.iter().map(|head| {
        let (physical, logical) = match head.column {
            Column::String => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Column::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
            Column::Int => (Physical::INT64, None),
            Column::Timestamp => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
            Column::Float => (Physical::DOUBLE, None),
            Column::Bool => (Physical::BOOLEAN, None),
        };
        let built = Type::primitive_type_builder(&head.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build();
        built.map(Arc::new)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Type::group_type_builder("row").with_fields(columns).build()?))
}
