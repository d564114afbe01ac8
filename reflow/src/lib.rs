//! The data service: inference data, sampled, redacted, and given back to those who train models.
//!
//! A [`definition`] says what a capture takes. Spans and log records are read off the bus once, each [`capture`] decides
//! what it takes and makes [`row`]s of it, with nothing in them that is to be [`redact`]ed, and its sink writes them as
//! files of a [`dataset`], whose manifest says how far the bus was gone through. [`Reflow`] is the room that drives all of
//! them.

mod api;
pub mod capture;
mod catalog;
pub mod chat;
pub mod dataset;
pub mod definition;
mod feed;
mod options;
mod preview;
pub mod redact;
mod room;
pub mod row;
mod signals;

pub use options::Options;
pub use room::{Error, Handle, Reflow};
