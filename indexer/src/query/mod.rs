//! The query grammar: text to tree.

pub mod ast;
mod parse;

pub use parse::{ParseError, parse};
