//! A file without some of its rows.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use super::writer::{Finished, WriteError, Writer};
use crate::definition::{Column, Definition, Format};
use crate::row::{ADDED, Cell, Row, all_heads};

/// What is left of a file.
#[derive(Debug)]
pub enum Kept {
    /// All of it: nothing was written.
    All,
    /// Some rows, in a new file.
    Some(Box<Finished>),
    /// Nothing.
    None,
}

/// Why a file cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The new file.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The old one, as Parquet.
    #[error("the file cannot be read as Parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// The old one.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// A line of it.
    #[error("a line of the file is no JSON")]
    Json(#[from] serde_json::Error),
}

/// Writes the rows of `from` that are kept, by tenant and trace id, to `to`; both are of `definition`.
pub fn rewrite(
    from: &Path,
    to: &Path,
    definition: &Definition,
    is_kept: impl Fn(Option<&str>, Option<&str>) -> bool,
) -> Result<Kept, RewriteError> {
    let mut writer = Writer::create(to, definition)?;
    let mut rows = 0_u64;
    let mut put = |cells: Vec<Cell>| -> Result<(), RewriteError> {
        rows += 1;
        let row = row_of(cells);
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if is_kept(some(&row.tenant).as_deref(), some(&row.trace_id).as_deref()) {
            writer.append(row)?;
        }
        Ok(())
    };
    let heads = all_heads(definition);
    match definition.format {
        Format::Parquet => {
            let reader = SerializedFileReader::new(File::open(from)?)?;
            for row in reader.get_row_iter(None)? {
                put(row?.into_columns().into_iter().map(|(_, field)| cell_of(field)).collect())?;
            }
        }
        Format::Jsonl | Format::Chat => {
            let decoder = zstd::Decoder::new(File::open(from)?)?;
            for line in BufReader::new(decoder).lines() {
                let mut line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line?)?;
                let cell =
                    |head: &crate::row::Head| json_cell(line.remove(&head.name).unwrap_or_default(), head.column);
                put(heads.iter().map(cell).collect())?;
            }
        }
    }
    let kept = writer.rows();
    let finished = writer.finish()?;
    if kept == rows || kept == 0 {
        std::fs::remove_file(&finished.path)?;
        return Ok(if kept == 0 { Kept::None } else { Kept::All });
    }
    Ok(Kept::Some(Box::new(finished)))
}

/// A row of all its cells.
fn row_of(mut cells: Vec<Cell>) -> Row {
    let added = cells.split_off(cells.len().saturating_sub(ADDED.len()));
    let text = |at: usize| match added.get(at) {
        Some(Cell::Text(text)) => text.clone(),
        _ => String::new(),
    };
    Row {
        source: text(0),
        tenant: text(1),
        trace_id: text(2),
        time: match added.get(3) {
            Some(Cell::Time(time)) => *time,
            _ => 0,
        },
        is_incomplete: matches!(added.get(4), Some(Cell::Bool(true))),
        cells,
    }
}

fn cell_of(field: Field) -> Cell {
    match field {
        Field::Bool(value) => Cell::Bool(value),
        Field::Long(number) => Cell::Int(number),
        Field::Double(number) => Cell::Float(number),
        Field::TimestampMicros(micros) => Cell::Time(micros.saturating_mul(1000)),
        Field::Str(text) => Cell::Text(text),
        Field::Bytes(bytes) => Cell::Text(String::from_utf8_lossy(bytes.data()).into_owned()),
        _ => Cell::Null,
    }
}

fn json_cell(value: serde_json::Value, column: Column) -> Cell {
    match (value, column) {
        (serde_json::Value::Null, _) => Cell::Null,
        (value, Column::Json) => Cell::Json(value),
        (serde_json::Value::String(text), column) => Cell::Text(text).cast(column),
        (serde_json::Value::Bool(value), column) => Cell::Bool(value).cast(column),
        (serde_json::Value::Number(number), column) => {
            let float = || number.as_f64().map_or(Cell::Null, Cell::Float);
            number.as_i64().map_or_else(float, Cell::Int).cast(column)
        }
        (value, column) => Cell::Json(value).cast(column),
    }
}
