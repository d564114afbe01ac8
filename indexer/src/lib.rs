//! Logs, spans and metric points off the bus into tantivy, and the search API.

mod aggregate;
mod api;
pub mod bits;
pub mod chunk;
mod dates;
mod elastic;
mod error;
pub mod fields;
pub mod head;
pub mod ingest;
pub mod interval;
mod metrics;
mod options;
pub mod query;
mod room;
mod schedule;
pub mod search;
pub mod snapshot;
pub mod store;
mod traces;

pub use error::Error;
pub use options::{Options, Partitions, Retention, Seal, Search};
pub use room::{Handle, Indexer};
pub use schedule::{Budget, Limit};
