//! The columns of a capture, in the order in which they are written down.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Columns, each with what it is taken from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Vec<Field>);

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// A field of the query grammar.
    pub from: String,
    /// What it holds.
    pub column: Column,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Column {
    /// Text; of lists and maps their JSON.
    String,
    /// A whole number of 64 bits.
    Int,
    /// A number of double precision.
    Float,
    /// True or false.
    Bool,
    /// A point in time, in UTC, to the microsecond.
    Timestamp,
    /// JSON: in `jsonl` the value itself.
    Json,
}

impl Column {
    /// What a field of the grammar holds where nothing else is said. Attributes are of any type, so text.
    pub fn of(from: &str) -> Self {
        match from {
            "timestamp" | "end_timestamp" => Self::Timestamp,
            "duration_ms" => Self::Float,
            "severity_number" | "dropped_attributes" => Self::Int,
            "attributes" | "resource" | "events" => Self::Json,
            _ => Self::String,
        }
    }

    /// As definitions and manifests name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Timestamp => "timestamp",
            Self::Json => "json",
        }
    }
}

impl Fields {
    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A field as it is written: where it is taken from, and perhaps its type.
struct Written {
    from: String,
    column: Option<Column>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    from: String,
    #[serde(rename = "type")]
    column: Column,
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadField)
    }
}

struct ReadField;

impl<'de> Visitor<'de> for ReadField {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field such as `attributes.user.id`, or {from: FIELD, type: TYPE}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written { from: text.to_owned(), column: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
        let typed = Typed::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Written { from: typed.from, column: Some(typed.column) })
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for field in &self.0 {
            if field.column == Column::of(&field.from) {
                map.serialize_entry(&field.name, &field.from)?;
            } else {
                map.serialize_entry(&field.name, &Typed { from: field.from.clone(), column: field.column })?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields, such as {answer: attributes.gen_ai.output.messages, ms: duration_ms}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let wrong = <A::Error as serde::de::Error>::custom::<String>;
        let mut fields: Vec<Field> = Vec::new();
        while let Some((name, written)) = map.next_entry::<String, Written>()? {
            if name.is_empty() || name.len() > super::MAX_NAME || name.chars().any(char::is_control) {
                return Err(wrong(format!("fields: `{}` is no name of a column", name.escape_debug())));
            }
            if name.starts_with('_') {
                let text = format!("fields: `{name}`: names that begin with `_` are the columns that weir adds");
                return Err(wrong(text));
            }
            // Readers that do not tell letters of either case apart (DuckDB, Spark) would see one column twice.
            if fields.iter().any(|other| other.name.to_lowercase() == name.to_lowercase()) {
                return Err(wrong(format!("fields: `{name}` is there twice")));
            }
            let column = written.column.unwrap_or_else(|| Column::of(&written.from));
            fields.push(Field { name, from: written.from, column });
        }
        Ok(Fields(fields))
    }
}
