//! The query grammar: [`parse()`] makes text a tree ([`ast::Query`]), [`Matcher`] decides by it record by record, and
//! [`FieldPath`] reads a field by the same names. Log records and spans both are [`line::Line`]s, which [`decode`] makes
//! of the bus's records. What compiles a tree for an index is the index's own.

pub mod ast;
pub mod body;
pub mod decode;
mod error;
mod field;
pub mod fields;
mod fuzzy;
pub mod hints;
mod interface;
pub mod line;
pub mod matcher;
mod number;
mod parse;
pub mod pattern;
pub mod severity;
mod span_field;
mod value;
pub mod words;

pub use error::CompileError;
pub use fuzzy::Fuzzy;
pub use hints::{Hint, hints};
pub use matcher::Matcher;
pub use number::canonical;
pub use parse::{ParseError, parse, parse_any};
pub use value::{FieldError, FieldPath, Found, value};
