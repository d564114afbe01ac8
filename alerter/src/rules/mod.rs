//! Prometheus rule files, and their evaluation in event time.
//!
//! [`load_files`] reads and checks files; [`Evaluator`] holds the state of their alerts. Evaluation is pure: it reads
//! series through [`Read`](crate::series::read::Read), never waits, and knows no clock but the event time that it is
//! given. The same data and the same times give the same alerts, so that a snapshot and a replay of the data after it
//! end where an alerter that never stopped would be.

mod alert;
mod asking;
mod duration;
mod evaluator;
mod file;
pub(crate) mod go;
mod humanize;
mod load;
mod matching;
mod orphans;
mod overlay;
mod periods;
mod status;
mod template;
#[cfg(test)]
mod tests;
mod transition;
mod unit;

pub use alert::{Alert, AlertLabels, RESOLVED_KEPT_MS, State};
pub use duration::parse_duration;
pub use evaluator::{Evaluator, EvaluatorOptions, Step};
pub use file::{Group, Rule, RuleKind};
pub(crate) use load::texts as read_files;
pub use load::{LoadError, LoadErrors, Problem, RuleFiles, RuleSet, load_files};
pub use overlay::Recorded;
pub use periods::Period;
pub use status::{GroupStatus, Health, RuleStatus};
pub use template::{Templates, Text};
pub use transition::Transition;
pub use unit::{Fired, TestFailure, TestName, test_file};
