//! What a query is to the index: what a chunk must hold ([`needs()`]), and what the index can count by itself ([`exact()`]).
//! [`weir_query::Matcher`] decides line by line.

mod exact;
mod needs;

pub use exact::exact;
pub use needs::needs;
