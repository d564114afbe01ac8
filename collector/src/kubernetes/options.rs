use std::path::PathBuf;

use serde::Deserialize;

use super::api::Source;
use crate::Error;

/// Where pods and their labels are learned from. By default it is the API server of the cluster whose pod the collector
/// runs in, asked as the service account of that pod, which needs to `list` and `watch` pods; where the collector runs in
/// no pod, or in one without a service account's token, nobody is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesOptions {
    /// A kubeconfig whose current context says whom to ask instead, and as whom. It is read again, with the files that it
    /// names, for every connection. Proxies are not used, whether it or the environment names one.
    pub kubeconfig: Option<PathBuf>,
    /// The node whose pods are of interest: this one's name, which a pod gets by the downward API
    /// (`fieldPath: spec.nodeName`). Null asks for the pods of all nodes. What pods request and may use is measured of
    /// this node's alone.
    pub node: Option<String>,
}

impl KubernetesOptions {
    /// What cannot work, by the key's name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::Options(format!("collector.kubernetes.{text}")));
        if self.kubeconfig.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return wrong("kubeconfig: must be a path, or null for the service account");
        }
        let is_name = |node: &String| {
            let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            (1..=253).contains(&node.len()) && node.bytes().all(letter)
        };
        if self.node.as_ref().is_some_and(|node| !is_name(node)) {
            return wrong("node: must be a node's name (small letters, digits, `-` and `.`), or null for all nodes");
        }
        Ok(())
    }

    /// Whether the kubeconfig can be used, where there is one.
    pub(crate) fn check_file(&self) -> Result<(), super::Error> {
        let Some(path) = &self.kubeconfig else { return Ok(()) };
        // Only files are read, so nothing is waited for.
        futures::executor::block_on(Source::Kubeconfig(path.clone()).config()).map(drop)
    }
}
