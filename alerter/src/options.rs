//! Section `alerter` of the configuration.

use std::time::Duration;

use serde::Deserialize;
use weir_service::config::Span;

use crate::fold::Rewrite;

/// Section `alerter` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Globs of Prometheus rule files.
    pub rules: Vec<String>,
    /// How long a slot stays open behind the watermark.
    pub lateness: Span,
    /// How long series are kept in memory.
    pub history: Span,
    /// Series kept at most; more are refused and counted.
    pub series_limit: usize,
    /// Interfaces kept apart for each tenant; the others are one, named `other`.
    pub interfaces_per_tenant: usize,
    /// How interfaces are renamed; the first rule that matches.
    pub interfaces: Vec<Rewrite>,
    /// Where this alerter can be reached by those who are told of an alert; `$externalURL` of templates.
    pub external_url: Option<String>,
    /// The pipeline is told as late when event time is further behind the wall clock.
    pub late_after: Span,
}

impl Default for Options {
    fn default() -> Self {
        let seconds = |n| Span(Duration::from_secs(n));
        Self {
            rules: Vec::new(),
            lateness: seconds(1),
            history: seconds(7200),
            series_limit: 200_000,
            interfaces_per_tenant: 1000,
            interfaces: Vec::new(),
            external_url: None,
            late_after: seconds(30),
        }
    }
}

impl Options {
    /// What cannot work, by the key's name.
    pub fn check(&self) -> Result<(), String> {
        let hour = Duration::from_hours(1);
        if self.lateness.0 > hour {
            return Err("lateness: more than 1h; a slot stays open for so long before rules see it".to_owned());
        }
        if self.history.0 < Duration::from_mins(1) || self.history.0 > 24 * 7 * hour {
            return Err("history: must be from 1m to 7d".to_owned());
        }
        for (name, value) in [("series_limit", self.series_limit), ("interfaces_per_tenant", self.interfaces_per_tenant)]
        {
            if value == 0 {
                return Err(format!("{name}: must be at least 1"));
            }
        }
        Ok(())
    }
}
