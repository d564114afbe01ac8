//! The statistics service: cells into its database, reports out of it, and decisions for gateways.

mod ratelimit;
mod report;
mod rows;

pub(crate) use self::ratelimit::{feed, ratelimit};
pub(crate) use self::report::report;
pub(crate) use self::rows::{rows, rows_postgres};
