//! Rows as JSON, one object a line, compressed with zstd.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use zstd::stream::Encoder;

use crate::row::{Cell, Head, Row};

/// Level of zstd.
const LEVEL: i32 = 3;

/// A file that is being written.
pub(super) struct File<W: Write> {
    to: Encoder<'static, Counted<W>>,
    heads: Vec<Head>,
    unwritten: u64,
}

struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

struct Line<'a> {
    heads: &'a [Head],
    cells: Vec<Cell>,
}

impl<W: Write> File<W> {
    pub(super) fn new(to: W, heads: &[Head]) -> io::Result<Self> {
        let mut encoder = Encoder::new(Counted { to, bytes: 0 }, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self { to: encoder, heads: heads.to_vec(), unwritten: 0 })
    }

    pub(super) fn append(&mut self, mut row: Row) -> io::Result<()> {
        self.unwritten += row.memory() as u64;
        let added = row.added();
        let mut cells = std::mem::take(&mut row.cells);
        cells.extend(added);
        let before = self.to.get_ref().bytes;
        serde_json::to_writer(&mut self.to, &Line { heads: &self.heads, cells })?;
        self.to.write_all(b"\n")?;
        if self.to.get_ref().bytes != before {
            self.unwritten = 0;
        }
        Ok(())
    }

    /// Bytes that it will have, about.
    pub(super) fn bytes(&self) -> u64 {
        self.to.get_ref().bytes + self.unwritten / 3
    }

    pub(super) fn finish(self) -> io::Result<W> {
        Ok(self.to.finish()?.to)
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.heads.len()))?;
        for (head, cell) in self.heads.iter().zip(&self.cells) {
            map.serialize_entry(&head.name, cell)?;
        }
        map.end()
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Time(nanos) => serializer.serialize_str(&weir_service::time::format(*nanos)),
            Self::Json(value) => value.serialize(serializer),
        }
    }
}
