//! What failed in a file of unit tests.

use std::collections::BTreeMap;
use std::fmt;

use super::super::load::{LoadError, LoadErrors};
use super::show;
use crate::promql;
use crate::series::read::Labels;

/// One thing that is wrong with a file of unit tests, or with the rules that it tests.
#[derive(Debug, thiserror::Error)]
pub enum TestFailure {
    /// The file cannot be used.
    #[error("    {0}")]
    File(#[source] Box<LoadError>),
    /// The rule files cannot be used.
    #[error("    {0}")]
    Rules(#[source] LoadErrors),
    /// A test asks for more than is evaluated.
    #[error("    {test}over the limit of {limit} evaluations; use a longer evaluation_interval")]
    Long {
        /// The test.
        test: TestName,
        /// How many there may be.
        limit: i64,
    },
    /// An input series is none.
    #[error("    {test}input series «{series}»: {source}")]
    Series {
        /// The test.
        test: TestName,
        /// As written.
        series: String,
        /// Why.
        source: promql::Error,
    },
    /// A rule failed.
    #[error("    {test}rule: {rule}, time: {}, err: {error}", show(*.time_ms))]
    Rule {
        /// The test.
        test: TestName,
        /// The rule.
        rule: String,
        /// From the start of the test.
        time_ms: i64,
        /// Why.
        error: String,
    },
    /// Other alerts fire than those that are expected.
    #[error(
        "    {test}alertname: {alertname}, time: {},\n        exp:{},\n        got:{}",
        show(*.time_ms), Alerts(.expected), Alerts(.got)
    )]
    Alerts {
        /// The test.
        test: TestName,
        /// The alert.
        alertname: String,
        /// From the start of the test.
        time_ms: i64,
        /// Expected.
        expected: Vec<Fired>,
        /// Firing.
        got: Vec<Fired>,
    },
    /// An expression, or what is expected of it, cannot be evaluated.
    #[error("    {test}expr: {expression:?}, time: {}, err: {source}", show(*.time_ms))]
    Expression {
        /// The test.
        test: TestName,
        /// As written.
        expression: String,
        /// From the start of the test.
        time_ms: i64,
        /// Why.
        source: promql::Error,
    },
    /// An expression gives something else than is expected.
    #[error(
        "    {test}expr: {expression:?}, time: {},\n        exp: {}\n        got: {}",
        show(*.time_ms), Series(.expected), Series(.got)
    )]
    Samples {
        /// The test.
        test: TestName,
        /// As written.
        expression: String,
        /// From the start of the test.
        time_ms: i64,
        /// Expected.
        expected: Vec<(Labels, f64)>,
        /// What it gives.
        got: Vec<(Labels, f64)>,
    },
}

/// The name of a test, which may have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestName(pub(super) String);

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "name: {},\n    ", self.0) }
    }
}

/// Labels and annotations of a firing alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fired {
    /// `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// As rendered.
    pub annotations: BTreeMap<String, String>,
}

fn set<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn set_of(map: &BTreeMap<String, String>) -> String {
    set(map.iter().map(|(name, value)| (&name[..], &value[..])))
}

struct Alerts<'a>(&'a [Fired]);

impl fmt::Display for Alerts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("[]");
        }
        f.write_str("[")?;
        for (at, alert) in self.0.iter().enumerate() {
            let (labels, annotations) = (set_of(&alert.labels), set_of(&alert.annotations));
            write!(f, "\n            {at}:\n              Labels:{labels}\n              Annotations:{annotations}")?;
        }
        f.write_str("\n            ]")
    }
}

struct Series<'a>(&'a [(Labels, f64)]);

impl fmt::Display for Series<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nil");
        }
        let shown: Vec<String> =
            self.0.iter().map(|(labels, value)| format!("{} {value}", set(labels.iter()))).collect();
        f.write_str(&shown.join(", "))
    }
}
