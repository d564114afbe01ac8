//! What a capture takes: rows of cells, and the columns that weir adds.

use crate::definition::{Column, Definition, Format};

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where its parts lay on the bus, as line ids with spaces between them; with the dataset's source it is of one row
    /// alone.
    pub source: String,
    /// Whose it is.
    pub tenant: String,
    /// In hexadecimal digits; empty where there is none.
    pub trace_id: String,
    /// Event time in nanoseconds since the epoch.
    pub time: i64,
    /// Whether the sender says that it dropped some of it.
    pub is_incomplete: bool,
    /// Of the definition's columns, in their order.
    pub cells: Vec<Cell>,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Nanoseconds since the epoch.
    Time(i64),
    /// A list or a map.
    Json(serde_json::Value),
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub column: Column,
}

/// What `format: chat` writes a call's messages into, and the tools that the model could call.
pub const CHAT: [&str; 2] = ["messages", "tools"];

/// The columns that weir adds behind those of the definition.
pub const ADDED: [(&str, Column); 5] = [
    ("_source", Column::String),
    ("_tenant", Column::String),
    ("_trace_id", Column::String),
    ("_time", Column::Timestamp),
    ("_incomplete", Column::Bool),
];

/// The columns of a definition, without those that weir adds.
pub fn heads(definition: &Definition) -> Vec<Head> {
    let has_chat = definition.format == Format::Chat;
    let chat = CHAT.iter().filter(|_| has_chat).map(|name| Head { name: (*name).to_owned(), column: Column::Json });
    let fields = definition.fields.iter().map(|field| Head { name: field.name.clone(), column: field.column });
    chat.chain(fields).collect()
}

/// All columns of a file.
pub fn all_heads(definition: &Definition) -> Vec<Head> {
    let added = ADDED.iter().map(|(name, column)| Head { name: (*name).to_owned(), column: *column });
    heads(definition).into_iter().chain(added).collect()
}

impl Row {
    /// The cells of the columns that weir adds.
    pub fn added(&self) -> [Cell; 5] {
        let text = |text: &str| if text.is_empty() { Cell::Null } else { Cell::Text(text.to_owned()) };
        [
            text(&self.source),
            text(&self.tenant),
            text(&self.trace_id),
            Cell::Time(self.time),
            Cell::Bool(self.is_incomplete),
        ]
    }

    /// About the memory that it takes.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.source.len()
            + self.tenant.len()
            + self.trace_id.len()
            + self.cells.iter().map(Cell::memory).sum::<usize>()
    }
}

impl Cell {
    fn memory(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Text(text) => text.len(),
                // Its text is much of it.
                Self::Json(value) => 2 * json_bytes(value),
                _ => 0,
            }
    }

    /// As a JSON value.
    pub fn into_json(self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Text(text) => text.into(),
            Self::Int(number) => number.into(),
            Self::Float(number) => number.into(),
            Self::Bool(value) => value.into(),
            Self::Time(nanos) => weir_service::time::format(nanos).into(),
            Self::Json(value) => value,
        }
    }

    /// What a column of this type holds of it; nothing, where it is of another type.
    #[must_use]
    pub fn cast(self, column: Column) -> Self {
        match (column, self) {
            (_, Self::Null) => Self::Null,
            (Column::String | Column::Json, Self::Text(text)) => Self::Text(text),
            (Column::String, Self::Json(value)) => Self::Text(value.to_string()),
            (Column::String, other) => Self::Text(match other.into_json() {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            }),
            (Column::Int, Self::Float(number)) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Self::Int(number as i64)
            }
            (Column::Int, Self::Text(text)) => text.trim().parse().map_or(Self::Null, Self::Int),
            (Column::Int, Self::Bool(value)) => Self::Int(value.into()),
            (Column::Float, Self::Int(number)) => Self::Float(number as f64),
            (Column::Float, Self::Text(text)) => text.trim().parse().map_or(Self::Null, Self::Float),
            (Column::Bool, Self::Text(text)) => text.trim().to_ascii_lowercase().parse().map_or(Self::Null, Self::Bool),
            (Column::Timestamp, Self::Text(text)) => text
                .trim()
                .parse::<jiff::Timestamp>()
                .ok()
                .map_or(Self::Null, |time| i64::try_from(time.as_nanosecond()).map_or(Self::Null, Self::Time)),
            // A number without a unit: nanoseconds, as OTLP writes times.
            (Column::Timestamp, Self::Int(nanos)) => Self::Time(nanos),
            (Column::Int, cell @ Self::Int(_))
            | (Column::Float, cell @ Self::Float(_))
            | (Column::Bool, cell @ Self::Bool(_))
            | (Column::Timestamp, cell @ Self::Time(_)) => cell,
            (Column::Json, cell) => Self::Json(cell.into_json()),
            _ => Self::Null,
        }
    }
}

/// About the length of its text.
fn json_bytes(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len() + 2,
        serde_json::Value::Array(items) => 2 + items.iter().map(|item| 1 + json_bytes(item)).sum::<usize>(),
        serde_json::Value::Object(map) => {
            2 + map.iter().map(|(key, item)| 4 + key.len() + json_bytes(item)).sum::<usize>()
        }
        _ => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_value_of_another_type_then_it_is_converted_or_nothing() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let json = serde_json::json!({"a": 1});
        for (from, column, to) in [
            (Cell::Int(3), Column::String, text("3")),
            (Cell::Json(json.clone()), Column::String, text(r#"{"a":1}"#)),
            (Cell::Time(1_500_000_000), Column::String, text("1970-01-01T00:00:01.5Z")),
            (text(" 42 "), Column::Int, Cell::Int(42)),
            (text("42 apples"), Column::Int, Cell::Null),
            (Cell::Float(2.0), Column::Int, Cell::Int(2)),
            (Cell::Float(2.5), Column::Int, Cell::Null),
            (Cell::Float(f64::NAN), Column::Int, Cell::Null),
            (Cell::Int(2), Column::Float, Cell::Float(2.0)),
            (text("TRUE"), Column::Bool, Cell::Bool(true)),
            (text("1970-01-01T00:00:01Z"), Column::Timestamp, Cell::Time(1_000_000_000)),
            (Cell::Int(5), Column::Json, Cell::Json(5.into())),
            (Cell::Json(json), Column::Bool, Cell::Null),
            (Cell::Null, Column::String, Cell::Null),
        ] {
            assert_eq!(from.clone().cast(column), to, "{from:?} as {column:?}");
        }
    }
}
