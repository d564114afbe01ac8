//! Whose data it is, and where it comes from: what no log file and no cgroup says of itself.

use std::sync::Arc;

use arc_swap::ArcSwap;
use weir_service::auth::is_tenant_name;

use crate::kubernetes::{Pod, Pods};
use crate::options::{Options, TenantOptions};

/// Makes tenants and the attributes that all sources have in common; cheap to clone, and clones name alike.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    tenants: Arc<ArcSwap<TenantOptions>>,
    /// `k8s.node.name`.
    node: Option<Arc<str>>,
    /// `host.name`; empty where it cannot be told.
    host: Arc<str>,
    pods: Option<Pods>,
}

impl Naming {
    /// By these options, and with what is known of pods.
    pub fn new(options: &Options, pods: Option<Pods>) -> Self {
        let node = options.kubernetes.as_ref().and_then(|kubernetes| kubernetes.node.as_deref());
        Self {
            tenants: Arc::new(ArcSwap::from_pointee(options.tenant.clone())),
            node: node.map(Into::into),
            // The name that a pod has is its own, not the machine's.
            host: node.map_or_else(hostname, ToOwned::to_owned).into(),
            pods,
        }
    }

    /// Of a machine of this name.
    #[cfg(test)]
    pub(crate) fn of(host: &str, tenants: &TenantOptions) -> Self {
        Self { tenants: Arc::new(ArcSwap::from_pointee(tenants.clone())), host: host.into(), ..Self::default() }
    }

    /// The same with what is known of pods.
    #[cfg(test)]
    pub(crate) fn with(self, pods: &Pods) -> Self {
        Self { pods: Some(pods.clone()), ..self }
    }

    /// Names tenants by another configuration from now on.
    pub(crate) fn replace(&self, tenants: &TenantOptions) {
        let old = self.tenants.swap(Arc::new(tenants.clone()));
        if old.label != tenants.label && self.pods.is_some() {
            tracing::warn!(
                label = tenants.label,
                "collector.tenant.label has changed: a pod's label names its tenant from now on, an annotation, or one of \
                 more than 64 labels, from the next start on"
            );
        }
    }

    /// This machine's name; empty where it cannot be told.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What is known of pods, where somebody is asked.
    pub fn pods(&self) -> Option<&Pods> {
        self.pods.as_ref()
    }

    /// The pod whose log folder has these names.
    pub fn pod(&self, namespace: &str, name: &str, uid: &str) -> Option<Arc<Pod>> {
        self.pods.as_ref()?.of_folder(namespace, name, uid)
    }

    /// Whose it is: by the pod's label or annotation, else by its namespace.
    pub fn tenant(&self, namespace: Option<&str>, pod: Option<&Pod>) -> String {
        let tenants = self.tenants.load();
        let named = pod.and_then(|pod| pod.value(&tenants.label)).filter(|tenant| is_tenant_name(tenant));
        named.unwrap_or_else(|| tenants.of_namespace(namespace)).to_owned()
    }

    /// Attributes of the machine.
    pub fn machine(&self) -> impl Iterator<Item = (String, String)> {
        let node = self.node.as_deref().map(|node| ("k8s.node.name".to_owned(), node.to_owned()));
        let host = (!self.host.is_empty()).then(|| ("host.name".to_owned(), (*self.host).to_owned()));
        host.into_iter().chain(node)
    }
}

/// A pod's labels, as attributes.
pub fn labels(pod: &Pod) -> impl Iterator<Item = (String, String)> {
    pod.labels.iter().map(|(key, value)| (format!("k8s.pod.label.{key}"), value.clone()))
}

fn hostname() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
