//! Whose data a Kubernetes namespace sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use weir_service::auth::{Auth, Tenants};

use super::answer::Unanswered;

/// Tenant by namespace, as the collector maps them; cheap to clone, and the same for all clones.
#[derive(Debug, Clone, Default)]
pub struct NamespaceTenants(Arc<ArcSwap<BTreeMap<String, String>>>);

impl NamespaceTenants {
    /// From now on, these.
    pub fn set(&self, tenants: BTreeMap<String, String>) {
        self.0.store(Arc::new(tenants));
    }
}

/// What is seen from a namespace; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Namespaces {
    auth: Auth,
    mapped: NamespaceTenants,
}

impl Namespaces {
    pub(super) fn new(auth: Auth, mapped: NamespaceTenants) -> Self {
        Self { auth, mapped }
    }

    /// What is seen from a namespace that the caller was trusted to name.
    pub(super) fn tenants(&self, namespace: &str) -> Result<Tenants, Unanswered> {
        let mapped = self.mapped.0.load();
        let tenant = mapped.get(namespace).map(String::as_str);
        self.auth.for_namespace(tenant).ok_or_else(|| Unanswered::Unmapped(namespace.to_owned()))
    }
}
