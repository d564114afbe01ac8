//! The collector: log files and OTLP onto the bus.
//!
//! [`decode`], [`encode`] and [`severity`] are pure: lines as container runtimes write them, read in place and written
//! as OTLP. [`file`] follows files and promises that no byte is skipped or counted twice.

pub mod decode;
pub mod encode;
mod error;
pub mod file;
pub mod metrics;
pub mod options;
pub mod otlp;
pub mod severity;

pub use error::Error;
pub use options::Options;
