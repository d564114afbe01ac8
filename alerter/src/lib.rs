//! Call statistics: the pure half of the alerter.
//!
//! [`fold`] turns the spans of a range of offsets into deltas by one-second slot of their end time; [`hdr`] holds their
//! durations. Neither does I/O or reads a clock.

pub mod fold;
pub mod hdr;
