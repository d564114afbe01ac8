//! Reading `weir_calls`: histograms of durations that merge, and ranges of a source partition that follow each other.
//! What the series of the alerter and the cells of usage have in common. [`alerts`] reads `weir_alerts`: whether an alert
//! fires at an event time.

pub mod alerts;
pub mod attributes;
mod durations;
pub mod hdr;
pub mod interface;
mod outcome;
mod recorder;
mod sources;

pub use attributes::Attributes;
pub use durations::{Durations, DurationsError};
pub use hdr::{Hdr, HdrError};
pub use outcome::Status;
pub use recorder::Recorder;
pub use sources::{Follows, Source};
