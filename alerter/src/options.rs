//! Section `alerter` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use weir_service::config::Span;

use crate::fold::{Lateness, Rewrite, Rewrites};
use crate::notify::{self, ConfigError, ConfigSource, Document, InhibitRule, Kept, NamedIntervals, Node, Route};
use crate::remote::{self, RemoteWrite};
use crate::rules::{LoadErrors, load_files};
use crate::scaling::{ExternalMetricsOptions, KedaOptions, NamespaceTenants};
use crate::series::store::Store;

/// Section `alerter` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Globs of Prometheus rule files.
    pub rules: Vec<String>,
    /// How long a slot stays open behind the watermark.
    pub lateness: Waits,
    /// A collector that has said nothing for so long is absent: rules no longer wait for it.
    pub absent_after: Span,
    /// Alertmanager's configuration, in place of the keys that follow.
    pub alertmanager_config: Option<PathBuf>,
    /// What receivers have that do not say otherwise.
    pub global: Node,
    /// Where alerts go.
    pub route: Kept<Route>,
    /// Who can be told.
    pub receivers: Vec<Node>,
    /// Which alerts keep others from being told.
    pub inhibit_rules: Kept<Vec<InhibitRule>>,
    /// Times that routes refer to by name; the older key of both.
    pub mute_time_intervals: Kept<Vec<NamedIntervals>>,
    /// The same.
    pub time_intervals: Kept<Vec<NamedIntervals>>,
    /// Globs of files with templates of messages.
    pub templates: Vec<String>,
    /// How long series are kept in memory.
    pub history: Span,
    /// Series kept at most; more are refused and counted. The calls of one interface are three, of a model up
    /// to eleven.
    pub series_limit: usize,
    /// Series kept at most of one tenant; half of all where it is not set.
    pub series_per_tenant: Option<usize>,
    /// Interfaces kept apart for each tenant; the others are one, named `other`.
    pub interfaces_per_tenant: usize,
    /// How interfaces are renamed; the first rule that matches.
    pub interfaces: Vec<Rewrite>,
    /// Where this alerter can be reached by those who are told of an alert; `$externalURL` of templates.
    pub external_url: String,
    /// Labels of this alerter: `$externalLabels` of templates, and added to what is written to others.
    pub external_labels: BTreeMap<String, String>,
    /// Who is written all series, to keep them for long.
    pub remote_write: Vec<RemoteWrite>,
    /// The pipeline is told as late when event time is further behind the wall clock.
    pub late_after: Span,
    /// KEDA's external scaler; null is off.
    pub keda: Option<KedaOptions>,
    /// `external.metrics.k8s.io` for HorizontalPodAutoscalers; null is off.
    pub external_metrics: Option<ExternalMetricsOptions>,
    /// Tenant by Kubernetes namespace: `collector.tenant.namespaces` of the same file.
    #[serde(skip)]
    pub namespaces: NamespaceTenants,
}

/// A duration, or `auto`: learned of the calls of the last ten minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Waits(pub Lateness);

impl TryFrom<String> for Waits {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(Lateness::Learned));
        }
        let span: Span = text.parse().map_err(|error| format!("{error}, nor auto"))?;
        Ok(Self(Lateness::Fixed(span.0)))
    }
}

impl Default for Options {
    fn default() -> Self {
        let seconds = |n| Span(Duration::from_secs(n));
        Self {
            rules: Vec::new(),
            lateness: Waits(Lateness::Learned),
            absent_after: seconds(300),
            alertmanager_config: None,
            global: Node::default(),
            route: Kept::default(),
            receivers: Vec::new(),
            inhibit_rules: Kept::default(),
            mute_time_intervals: Kept::default(),
            time_intervals: Kept::default(),
            templates: Vec::new(),
            history: seconds(7200),
            series_limit: 200_000,
            series_per_tenant: None,
            interfaces_per_tenant: 1000,
            interfaces: Vec::new(),
            external_url: String::new(),
            external_labels: BTreeMap::new(),
            remote_write: Vec::new(),
            late_after: seconds(30),
            keda: None,
            external_metrics: None,
            namespaces: NamespaceTenants::default(),
        }
    }
}

impl Options {
    /// What cannot work, by the key's name.
    pub fn check(&self) -> Result<(), String> {
        let hour = Duration::from_hours(1);
        if matches!(self.lateness.0, Lateness::Fixed(fixed) if fixed > hour) {
            return Err("lateness: more than 1h; a slot stays open for so long before rules see it".to_owned());
        }
        if self.absent_after.0 < Duration::from_secs(5) || self.absent_after.0 > 24 * hour {
            return Err("absent_after: must be from 5s to 24h".to_owned());
        }
        if self.history.0 < Duration::from_mins(1) || self.history.0 > 24 * 7 * hour {
            return Err("history: must be from 1m to 7d".to_owned());
        }
        for (name, value) in [
            ("series_limit", self.series_limit),
            ("series_per_tenant", self.series_per_tenant()),
            ("interfaces_per_tenant", self.interfaces_per_tenant),
        ] {
            if value == 0 {
                return Err(format!("{name}: must be at least 1"));
            }
        }
        Rewrites::new(&self.interfaces).map_err(|error| {
            let why = std::error::Error::source(&error).map(|why| format!(": {}", reason(why))).unwrap_or_default();
            format!("{error}{why}")
        })?;
        if !self.external_url.is_empty() && !is_http(&self.external_url) {
            let text = "is not an http or https address, such as http://alerter.example:7400";
            return Err(format!("external_url: «{}» {text}", self.external_url));
        }
        remote::check_labels(&self.external_labels)?;
        remote::check(&self.remote_write)?;
        self.external_metrics.as_ref().map_or(Ok(()), ExternalMetricsOptions::check)?;
        let document = self.document();
        match (&self.alertmanager_config, document.keys().as_slice()) {
            (None, _) => document.options(None).map(drop),
            (Some(_), []) => Ok(()),
            (Some(_), keys) => {
                let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                Err(format!(
                    "alertmanager_config: the file has all of {} in it; one of both is needed",
                    keys.join(", ")
                ))
            }
        }
    }

    /// Reads and checks the rule files, and gives the number of rules; what is wrong names file, line, group and rule,
    /// one a line. An alerter does not start over bad rule files, so this is for whoever is about to start one, before
    /// a port is bound. Reads files: not for an async thread.
    pub fn check_rules(&self) -> Result<usize, LoadErrors> {
        Ok(load_files(&self.rules)?.groups.iter().map(|group| group.rules.len()).sum())
    }

    /// Whether the certificates of listeners can be used. Reads files.
    pub fn check_files(&self) -> Result<(), String> {
        self.keda.as_ref().map_or(Ok(()), KedaOptions::check_files)?;
        self.external_metrics.as_ref().map_or(Ok(()), ExternalMetricsOptions::check_files)
    }

    /// Series kept at most of one tenant.
    pub(crate) fn series_per_tenant(&self) -> usize {
        self.series_per_tenant.unwrap_or(self.series_limit.div_ceil(2))
    }

    /// An empty store of this size.
    pub(crate) fn store(&self) -> Store {
        Store::new(self.history.0.as_millis() as i64, self.series_limit)
            .with_series_per_tenant(self.series_per_tenant())
            .with_interfaces_per_tenant(self.interfaces_per_tenant)
    }

    fn document(&self) -> Document {
        Document {
            global: self.global.clone(),
            route: self.route.clone(),
            receivers: self.receivers.clone(),
            inhibit_rules: self.inhibit_rules.clone(),
            mute_time_intervals: self.mute_time_intervals.clone(),
            time_intervals: self.time_intervals.clone(),
            templates: self.templates.clone(),
        }
    }

    /// The notifier's part. Reads `alertmanager_config`: not for an async thread.
    pub fn notify(&self) -> Result<notify::Options, ConfigError> {
        self.notify_source().read()
    }

    /// Where the notifier's part is.
    pub(crate) fn notify_source(&self) -> ConfigSource {
        let external_url = self.external_url.trim_end_matches('/').to_owned();
        match &self.alertmanager_config {
            Some(path) => ConfigSource::file(path.clone(), external_url),
            None => ConfigSource::section(self.document(), external_url),
        }
    }
}

/// Whether this is an address that HTTP can be spoken with.
pub(crate) fn is_http(address: &str) -> bool {
    reqwest::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// In one line what is wrong with a regular expression, without the drawing of where.
pub(crate) fn reason(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_names_its_key() {
        let check = |text: &str| serde_saphyr::from_str::<Options>(text).unwrap().check();
        assert_eq!(check("{}"), Ok(()));
        assert_eq!(check("{external_url: 'https://weir.example/alerter/'}"), Ok(()));
        for (text, key) in [
            ("{history: 1s}", "history"),
            ("{lateness: 2h}", "lateness"),
            ("{absent_after: 1s}", "absent_after"),
            ("{series_limit: 0}", "series_limit"),
            ("{series_per_tenant: 0}", "series_per_tenant"),
            ("{route: {receiver: ops}}", "route"),
            (
                "{alertmanager_config: f, route: {receiver: ops}, templates: [t]}",
                "alertmanager_config: the file has all of `route`, `templates` in it",
            ),
            ("{global: {smtp: x}}", "global: unknown key `smtp`"),
            ("{receivers: [{name: a, webhook_configs: [{urk: x}]}]}", "receiver `a`: webhook_configs[0].urk: unknown"),
            ("{external_url: not a url}", "external_url: «not a url» is not an http"),
            ("{external_url: 'ftp://h/'}", "external_url"),
            ("{external_url: 'h:7400'}", "external_url"),
            ("{interfaces: [{match: '(', replace: x}]}", "interfaces: «(» is not a regular expression: unclosed group"),
            (
                "{interfaces: [{match: 'a{9999}{9999}', replace: x}]}",
                "interfaces: «a{9999}{9999}» is not a regular expression: Compiled",
            ),
        ] {
            let told = check(text).unwrap_err();
            assert!(told.starts_with(key) && !told.contains('\n'), "{text}: {told}");
        }
        assert_eq!(check("{lateness: auto}"), Ok(()));
        let told = serde_saphyr::from_str::<Options>("{lateness: often}").unwrap_err().to_string();
        assert!(told.contains("nor auto"), "{told}");
        serde_saphyr::from_str::<Options>("{latenes: 2h}").unwrap_err();
    }

    #[test]
    fn rule_files_are_checked_without_starting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let options = Options { rules: vec![file.display().to_string()], ..Options::default() };
        assert!(options.check_rules().unwrap_err().to_string().ends_with("a.yaml: is not there"));
        std::fs::write(
            &file,
            "groups: [{name: g, rules: [{record: a, expr: 1}, {alert: B, expr: 'mad_over_time(a[1m])'}]}]",
        )
        .unwrap();
        assert!(
            options
                .check_rules()
                .unwrap_err()
                .to_string()
                .contains("a.yaml:1: group `g`: rule `B`: function `mad_over_time`")
        );
        std::fs::write(&file, "groups: [{name: g, rules: [{record: a, expr: 1}]}]").unwrap();
        assert_eq!(options.check_rules().unwrap(), 1);
    }
}
