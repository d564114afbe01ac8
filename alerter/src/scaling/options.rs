//! Sections `alerter.keda` and `alerter.external_metrics` of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use weir_service::config::Address;
use weir_service::tls::{self, TlsOptions};

use super::trigger;
use crate::promql::Query;

/// Where the configuration has the certificates.
pub(super) const KEDA_TLS: &str = "alerter.keda.tls";
pub(super) const EXTERNAL_TLS: &str = "alerter.external_metrics.tls";

/// Metrics that are configured at most.
const MAX_METRICS: usize = 500;
/// Longest name of a metric, in bytes.
pub(super) const MAX_NAME: usize = 253;

/// KEDA's external scaler.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KedaOptions {
    /// gRPC; port 0 picks one.
    pub grpc: Address,
    /// Certificates of the listener; null is plain text. KEDA shows no token: beyond loopback it is known by its
    /// client certificate, so `client_ca` is needed there.
    #[serde(default)]
    pub tls: Option<TlsOptions>,
}

impl KedaOptions {
    /// Whether callers have to show who they are.
    pub fn asks_clients(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }

    /// Whether the certificates can be used. Reads files.
    pub(crate) fn check_files(&self) -> Result<(), String> {
        let Some(options) = &self.tls else { return Ok(()) };
        tls::check(KEDA_TLS, options).map_err(|error| error.to_string())
    }
}

/// `external.metrics.k8s.io`, asked through kube-apiserver.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalMetricsOptions {
    /// HTTPS; port 0 picks one.
    pub listen: Address,
    /// Certificate of the listener, which the APIService's `caBundle` trusts. Its clients' authority is the cluster's.
    pub tls: TlsOptions,
    /// The metrics that there are.
    #[serde(default)]
    pub metrics: Vec<MetricOptions>,
    /// A kubeconfig whose current context says whom to ask who the front proxy is and what users may, and as whom. Null is
    /// the service account of the pod that the alerter runs in.
    #[serde(default)]
    pub kubeconfig: Option<PathBuf>,
}

/// A metric that a HorizontalPodAutoscaler may name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricOptions {
    /// Its name.
    pub name: String,
    /// PromQL that gives one value.
    pub query: String,
}

impl ExternalMetricsOptions {
    /// What cannot work, by the key's name.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.tls.client_ca.is_some() {
            let text = "is learned from the cluster (kube-system/extension-apiserver-authentication): leave it out";
            return Err(format!("external_metrics.tls.client_ca: {text}"));
        }
        self.queries().map(drop)
    }

    /// The metrics' queries by name; the error names the key.
    pub(super) fn queries(&self) -> Result<BTreeMap<String, Query>, String> {
        if self.metrics.is_empty() || self.metrics.len() > MAX_METRICS {
            let right = format!("name 1 to {MAX_METRICS}, such as {{name: queue_depth, query: 'sum(queue_depth)'}}");
            return Err(format!("external_metrics.metrics: {right}"));
        }
        let mut queries = BTreeMap::new();
        for (at, metric) in self.metrics.iter().enumerate() {
            let wrong = |text: String| Err(format!("external_metrics.metrics[{at}].{text}"));
            let (name, letter) = (&metric.name, |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c));
            if !(1..=MAX_NAME).contains(&name.len()) || !name.chars().all(letter) || name.chars().all(|c| c == '.') {
                return wrong(format!("name: «{name}» stands in an address: it has letters, digits, `-`, `_` and `.`"));
            }
            match trigger::parse(&metric.query) {
                Ok(query) if !queries.contains_key(name) => queries.insert(name.clone(), query),
                Ok(_) => return wrong(format!("name: «{name}» is there twice")),
                Err(error) => return wrong(error),
            };
        }
        Ok(queries)
    }

    /// Whether the certificates can be used. Reads files.
    pub(crate) fn check_files(&self) -> Result<(), String> {
        tls::check(EXTERNAL_TLS, &self.tls).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_names_its_key() {
        let check = |metrics: &str, more: &str| {
            let text = format!("{{listen: '0.0.0.0:6443', tls: {{cert: a, key: b{more}}}, metrics: [{metrics}]}}");
            serde_saphyr::from_str::<ExternalMetricsOptions>(&text).unwrap().check()
        };
        assert_eq!(check("{name: queue.depth-1_s, query: sum(up)}", ""), Ok(()));
        for (metrics, more, told) in [
            ("", "", "external_metrics.metrics: name 1 to 500"),
            ("{name: a/b, query: up}", "", "external_metrics.metrics[0].name: «a/b»"),
            ("{name: '..', query: up}", "", "external_metrics.metrics[0].name: «..»"),
            ("{name: a, query: up}, {name: a, query: up}", "", "external_metrics.metrics[1].name: «a» is there twice"),
            ("{name: a, query: 'sum('}", "", "external_metrics.metrics[0].query: not a valid expression"),
            ("{name: a, query: 'up[5m]'}", "", "external_metrics.metrics[0].query: «up[5m]» gives no value"),
            ("{name: a, query: up}", ", client_ca: c", "external_metrics.tls.client_ca: is learned"),
        ] {
            let error = check(metrics, more).unwrap_err();
            assert!(error.starts_with(told), "{metrics}: {error}");
        }
        for text in ["{grpc: '127.0.0.1:0', grcp: x}", "{tls: null}"] {
            serde_saphyr::from_str::<KedaOptions>(text).unwrap_err();
        }
    }
}
