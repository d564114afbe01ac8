//! What a query is to the index: what a chunk must hold ([`needs()`]), and what the index can count by itself ([`exact()`]).
//! [`weir_query::Matcher`] decides line by line.

pub mod dsl;
mod exact;
mod names;
mod needs;
#[cfg(test)]
mod property_tests;

pub use exact::exact;
pub use names::columns;
pub use needs::needs;
