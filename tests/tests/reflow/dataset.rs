//! A dataset as its consumer sees it: the manifest, the files that it lists, and their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub(super) type Row = Map<String, Value>;

/// What lies in the folder of a dataset.
#[derive(Debug)]
pub(super) struct Dataset {
    pub(super) manifest: Value,
    pub(super) rows: Vec<Row>,
    pub(super) files: usize,
}

impl Dataset {
    /// Reads all of it. Each file has to be as listed, and nothing else may be there.
    pub(super) fn read(folder: &Path) -> Self {
        let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let listed = manifest["files"].as_array().unwrap();
        let mut names = BTreeSet::from(["manifest.json".to_owned()]);
        let mut rows = Vec::new();
        for file in listed {
            let name = file["name"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is listed twice");
            let bytes = std::fs::read(folder.join(name)).unwrap();
            assert_eq!(file["bytes"], bytes.len(), "{name}");
            assert_eq!(file["sha256"], hex::encode(Sha256::digest(&bytes)), "{name}");
            let before = rows.len();
            rows.extend(rows_of(&folder.join(name)));
            assert_eq!(file["rows"], rows.len() - before, "{name}");
        }
        let there: BTreeSet<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(there, names, "strays in {}", folder.display());
        Self { files: listed.len(), manifest, rows }
    }

    /// How many rows each value of a column has; nothing may be taken from one place twice.
    pub(super) fn count(&self, column: &str) -> BTreeMap<String, u64> {
        let places: BTreeSet<&str> = self.rows.iter().map(|row| row["_source"].as_str().unwrap()).collect();
        assert_eq!(places.len(), self.rows.len(), "some places are there twice");
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(row[column].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }
}

/// The rows of a file, whichever its format.
pub(super) fn rows_of(path: &Path) -> Vec<Row> {
    let file = std::fs::File::open(path).unwrap();
    if path.extension().is_some_and(|ending| ending == "parquet") {
        let reader = SerializedFileReader::new(file).unwrap();
        assert!(reader.num_row_groups() > 0, "{}", path.display());
        let row = |row: parquet::record::Row| row.into_columns().into_iter().map(|(name, field)| (name, value(field)));
        return reader.get_row_iter(None).unwrap().map(|read| row(read.unwrap()).collect()).collect();
    }
    let lines = BufReader::new(zstd::Decoder::new(file).unwrap()).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn value(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => value.into(),
        Field::Long(number) | Field::TimestampMicros(number) => number.into(),
        Field::Double(number) => number.into(),
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) => String::from_utf8(bytes.data().to_vec()).unwrap().into(),
        other => panic!("no column of weir's: {other:?}"),
    }
}

/// Nothing that was begun is left behind in a data folder.
pub(super) fn check_clean(data_dir: &Path) {
    for folder in ["open", "erase"] {
        let left: Vec<_> = std::fs::read_dir(data_dir.join("reflow").join(folder)).unwrap().collect();
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
}
