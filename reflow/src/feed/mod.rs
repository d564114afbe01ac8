//! From the bus to datasets: one reader of this instance's partitions for all captures, and a sink for each.

mod batch;
mod catch_up;
mod inbox;
mod metrics;
mod open;
mod reader;
mod sink;

pub(crate) use self::batch::{Batch, by_partition};
pub(crate) use self::catch_up::AT_ONCE;
pub(crate) use self::metrics::Metrics;
pub(crate) use self::reader::Reader;
pub(crate) use self::sink::Making;
