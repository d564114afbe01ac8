//! Quotas: what a tenant may use in a day or a month, and what it has used.

pub mod file;
mod meters;
pub mod period;
mod publish;

pub use meters::Meters;
pub(crate) use publish::Publish;
