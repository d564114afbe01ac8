//! Files of unit tests, as promtool reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::duration::Millis;
use super::super::load::{LoadError, Problem};

/// A file of unit tests.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    /// Globs, from the folder of the file.
    pub(super) rule_files: Vec<String>,
    evaluation_interval: Option<Millis>,
    /// Names of groups in the order in which they are evaluated.
    pub(super) group_eval_order: Vec<String>,
    /// Whether values may differ in their last bit.
    pub(super) fuzzy_compare: bool,
    pub(super) tests: Vec<Test>,
}

/// Series, and what rules and expressions make of them.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Test {
    pub(super) name: String,
    interval: Option<Millis>,
    start_timestamp: Option<Start>,
    pub(super) input_series: Vec<Input>,
    #[serde(rename = "alert_rule_test")]
    pub(super) alerts: Vec<AlertTest>,
    #[serde(rename = "promql_expr_test")]
    pub(super) expressions: Vec<ExpressionTest>,
    pub(super) external_labels: BTreeMap<String, String>,
    pub(super) external_url: String,
}

/// The time of the first sample.
#[derive(Deserialize)]
#[serde(untagged)]
enum Start {
    Unix(f64),
    Rfc3339(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    pub(super) series: String,
    pub(super) values: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertTest {
    eval_time: Option<Millis>,
    #[serde(default)]
    pub(super) alertname: String,
    #[serde(default)]
    exp_alerts: Option<Vec<ExpectedAlert>>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectedAlert {
    pub(super) exp_labels: Option<BTreeMap<String, String>>,
    pub(super) exp_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpressionTest {
    pub(super) expr: String,
    eval_time: Option<Millis>,
    #[serde(default)]
    exp_samples: Option<Vec<ExpectedSample>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectedSample {
    pub(super) labels: String,
    pub(super) value: f64,
    pub(super) histogram: Option<String>,
}

const MINUTE_MS: i64 = 60_000;

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, Box<LoadError>> {
        let wrong = |line, problem| {
            let (group, rule) = (String::new(), String::new());
            Box::new(LoadError { file: path.to_owned(), line, group, rule, problem })
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(None, Problem::Io(error.into())))?;
        let file: Self = serde_saphyr::from_str(&text).map_err(|error| {
            let line = error.location().map(|location| location.line());
            wrong(line, Problem::from_yaml(&error))
        })?;
        let invalid = |text: String| Err(wrong(None, Problem::Invalid(text)));
        let order = &file.group_eval_order;
        if let Some(twice) = order.iter().enumerate().find(|(at, name)| order[..*at].contains(name)) {
            return invalid(format!("group_eval_order names the group `{}` twice", twice.1));
        }
        for test in &file.tests {
            if let Some(Start::Rfc3339(text)) = &test.start_timestamp
                && text.parse::<jiff::Timestamp>().is_err()
            {
                return invalid(format!("start_timestamp: «{text}» is neither RFC 3339 nor unix seconds"));
            }
            if let Some(alert) = test.alerts.iter().find(|alert| alert.alertname.is_empty()) {
                let time = super::show(alert.time_ms());
                return invalid(format!("test `{}`: an item of alert_rule_test at {time} has no alertname", test.name));
            }
        }
        Ok(file)
    }

    /// Milliseconds between two evaluations of the rules.
    pub(super) fn interval_ms(&self) -> i64 {
        self.evaluation_interval.map(|interval| interval.0).filter(|ms| *ms > 0).unwrap_or(MINUTE_MS)
    }

    /// The globs of rule files, from the working folder.
    pub(super) fn globs(&self, path: &Path) -> Vec<String> {
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        self.rule_files.iter().map(|glob| folder.join(glob).display().to_string()).collect()
    }
}

impl Test {
    /// Milliseconds between two samples; `or` where it does not say.
    pub(super) fn interval_ms(&self, or: i64) -> i64 {
        self.interval.map(|interval| interval.0).filter(|ms| *ms > 0).unwrap_or(or)
    }

    /// Unix milliseconds of the first sample.
    pub(super) fn start_ms(&self) -> i64 {
        match &self.start_timestamp {
            Some(Start::Unix(seconds)) => (seconds * 1000.0).round() as i64,
            Some(Start::Rfc3339(text)) => text.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond),
            None => 0,
        }
    }

    /// The latest time that is asked for, in milliseconds from the start.
    pub(super) fn last_ms(&self) -> i64 {
        let alerts = self.alerts.iter().map(AlertTest::time_ms);
        alerts.chain(self.expressions.iter().map(ExpressionTest::time_ms)).max().unwrap_or(0)
    }
}

impl AlertTest {
    pub(super) fn time_ms(&self) -> i64 {
        self.eval_time.map_or(0, |time| time.0)
    }

    pub(super) fn expected(&self) -> &[ExpectedAlert] {
        self.exp_alerts.as_deref().unwrap_or_default()
    }
}

impl ExpressionTest {
    pub(super) fn time_ms(&self) -> i64 {
        self.eval_time.map_or(0, |time| time.0)
    }

    pub(super) fn expected(&self) -> &[ExpectedSample] {
        self.exp_samples.as_deref().unwrap_or_default()
    }
}
