//! Call statistics, series, rules and notifications.
//!
//! [`fold`] turns the spans of a range of offsets into deltas by one-second slot of their end time; [`hdr`] holds their
//! durations; [`series`] keeps them for queries and rules.

mod api;
mod engine;
pub mod fold;
pub mod hdr;
pub mod options;
pub mod pipeline;
pub mod notify;
pub mod promql;
pub mod rules;
mod room;
pub mod series;

pub use options::Options;
pub use room::{Alerter, Error, Handle};
