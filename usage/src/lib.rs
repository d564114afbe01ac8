//! The statistics service: what each tenant called, how often, how well and for how much.
//!
//! `feed` reads `weir_calls` and the GPU counters of pods, and keeps hourly cells in the [`store`]; [`report`] adds
//! them up, priced by [`prices`]; [`proof`] signs what they were counted from; [`quota`] says what is left, and
//! [`ratelimit`] answers gateways. [`Usage`] is the room that drives all of them.

mod api;
pub mod cell;
mod feed;
mod options;
pub mod prices;
pub mod proof;
pub mod quota;
pub mod ratelimit;
pub mod report;
mod room;
pub mod store;

pub use options::{Options, StoreAddress};
pub use room::{Error, Handle, Usage};
