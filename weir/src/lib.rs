//! The part of the weir program that others may use: its load generator, for tests, benchmarks and the demo.

pub mod load;

/// What threads pass to each other is freed by others than made it; the system's allocator keeps that in ever more
/// heaps. Its limits stand in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
