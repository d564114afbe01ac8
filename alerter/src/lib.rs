//! Call statistics, series, rules and notifications.
//!
//! [`fold`] turns the spans of a range of offsets into deltas by one-second slot of their end time; [`weir_calls::Hdr`] holds their
//! durations; [`series`] keeps them for queries ([`promql`]) and [`rules`], which are evaluated as event time goes on;
//! [`notify`] tells receivers of the alerts, and their state is published on `weir_alerts`. [`remote`] writes series to others, `scaling` answers autoscalers. [`Alerter`] is the room that drives all of them.

mod api;
pub mod client;
mod engine;
pub mod fold;
mod history;
mod journal;
pub mod notify;
pub mod options;
pub mod pipeline;
pub mod promql;
mod publish;
pub mod remote;
pub mod replay;
mod room;
pub mod rules;
mod scaling;
pub mod series;

pub use options::Options;
pub use room::{Alerter, Error, Handle};
pub use scaling::{ExternalMetricsOptions, KedaOptions, MetricOptions, NamespaceTenants};
