//! The collector's core: lines as container runtimes write them, read in place and written as OTLP.
//!
//! Everything here is pure: no files, no clock, no broker. [`decode`] reads one physical line, [`encode`] writes log
//! records straight from those bytes, [`severity`] finds the level word, [`file`] keeps the positions that decide what
//! a restart reads again.

pub mod decode;
pub mod encode;
pub mod file;
pub mod severity;
