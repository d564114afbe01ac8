//! The collector: log files, OTLP and the host's metrics onto the bus.
//!
//! [`Collector`] is the room. [`mod@file`] follows files and promises that no byte is skipped or counted twice; [`otlp`]
//! answers when what it took is durable; [`host`] measures the machine and its containers, [`gpu`] its GPUs, and
//! neither waits for the bus. [`kubernetes`] knows pods and their labels. [`decode`], [`encode`], [`encoding`] and
//! [`severity`] are pure: lines as container runtimes write them, read in place and written as OTLP.

pub mod decode;
pub mod encode;
pub mod encoding;
mod error;
pub mod file;
mod following;
pub mod gpu;
pub mod host;
pub mod kubernetes;
mod ledgers;
pub mod limits;
mod measured;
pub mod metrics;
pub mod naming;
pub mod options;
pub mod otlp;
pub mod points;
mod progress;
mod room;
pub mod samples;
pub mod severity;
mod sources;

pub use error::Error;
pub use options::{FileOptions, Format, Options};
pub use room::{Collector, Handle};
