//! The query grammar: text to tree, and the tree's two compilations: [`needs()`] for the index, [`Matcher`] for lines.

pub mod ast;
mod exact;
mod matcher;
mod needs;
mod parse;

pub use matcher::{CompileError, Matcher};
pub use needs::needs;
pub use parse::{ParseError, parse};
