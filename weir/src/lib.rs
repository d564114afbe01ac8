//! The part of the weir program that others may use: its load generator, for tests, benchmarks and the demo; and how its
//! commands reach a running weir.

pub mod allocator;
pub mod client;
pub mod load;
