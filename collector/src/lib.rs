//! The collector: log files and OTLP onto the bus.
//!
//! [`Collector`] is the room. [`file`] follows files and promises that no byte is skipped or counted twice; [`otlp`]
//! answers when what it took is durable. [`decode`], [`encode`] and [`severity`] are pure: lines as container runtimes
//! write them, read in place and written as OTLP.

pub mod decode;
pub mod encode;
mod error;
pub mod file;
pub mod metrics;
pub mod options;
pub mod otlp;
mod room;
pub mod severity;

pub use error::Error;
pub use options::{FileOptions, Format, Options};
pub use room::{Collector, Handle};
