//! Series in memory, how they are read, and the task that feeds them.
//!
//! A sample of `weir_calls` is what ended in one second of event time, so `rate` and `increase` are sums of what really
//! happened, not Prometheus' extrapolation between scrapes: the first error of a new series counts, and the rate of a
//! window is exact.

pub(crate) mod buckets;
pub(crate) mod calls;
mod exponential;
pub(crate) mod export;
pub mod feed;
mod foreign;
mod identity;
mod labels;
mod limits;
mod matching;
mod metrics;
mod otlp;
mod points;
pub(crate) mod presence;
pub mod progress;
pub mod read;
mod recordings;
pub mod store;
#[cfg(test)]
mod tests;
mod totals;
