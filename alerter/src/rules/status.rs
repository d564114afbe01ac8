//! What there is to show of rules.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Alert, Rule};

/// How the last evaluation of a rule went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// Not yet evaluated.
    #[default]
    Unknown,
    /// It went well.
    Ok,
    /// It failed, and the alerts are as they were.
    Failed(String),
}

/// One group, at one moment.
#[derive(Debug, Clone)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// Milliseconds between two evaluations.
    pub interval_ms: i64,
    /// Greatest number of alerts or series of a rule; 0 is no limit.
    pub limit: usize,
    /// Event time of the last evaluation.
    pub evaluated_ms: Option<i64>,
    /// In order.
    pub rules: Vec<RuleStatus>,
}

impl GroupStatus {
    /// What makes it the same group after a change: its file and name.
    pub(crate) fn identity(&self) -> String {
        super::file::group_identity(&self.file, &self.name)
    }
}

/// One rule, at one moment.
#[derive(Debug, Clone)]
pub struct RuleStatus {
    /// The rule.
    pub rule: Arc<Rule>,
    /// How it went.
    pub health: Health,
    /// Pending, firing and lately resolved, in the order of their labels.
    pub alerts: Vec<Alert>,
}
