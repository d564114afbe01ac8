//! Whose data a Kubernetes namespace sees.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_service::auth::{Auth, Tenants};

use super::answer::Unanswered;

/// Tenant by namespace, as the collector maps them; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Namespaces {
    auth: Auth,
    mapped: Arc<BTreeMap<String, String>>,
}

impl Namespaces {
    pub(super) fn new(auth: Auth, mapped: BTreeMap<String, String>) -> Self {
        Self { auth, mapped: Arc::new(mapped) }
    }

    /// What is seen from a namespace that the caller was trusted to name.
    pub(super) fn tenants(&self, namespace: &str) -> Result<Tenants, Unanswered> {
        let tenant = self.mapped.get(namespace).map(String::as_str);
        self.auth.for_namespace(tenant).ok_or_else(|| Unanswered::Unmapped(namespace.to_owned()))
    }
}
