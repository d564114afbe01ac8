//! Logs and spans off the bus into tantivy, and the search API.

mod api;
pub mod chunk;
mod error;
pub mod fields;
pub mod head;
pub mod ingest;
pub mod line;
mod options;
pub mod query;
mod room;
pub mod search;
mod severity;
pub mod snapshot;
pub mod store;
mod traces;
pub mod words;

pub use error::Error;
pub use options::{Options, Partitions, Retention, Seal};
pub use room::{Handle, Indexer};
