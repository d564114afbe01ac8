//! The part of the weir program that others may use: its load generator, for tests, benchmarks and the demo.

pub mod allocator;
pub mod load;
