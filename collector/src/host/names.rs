//! What a container is called: from the names that the kubelet gives its log folders, so without the API.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use weir_proto::attribute;

use super::cgroup::Identity;
use crate::file::container;
use crate::naming::{Naming, labels};

/// Names that are remembered, and entries of a folder that are read, at most.
const MOST: usize = 10_000;

#[derive(Debug, Clone, Default)]
struct Names {
    namespace: String,
    pod: String,
    container: Option<String>,
}

/// Makes the resources of a machine's containers.
#[derive(Debug)]
pub(crate) struct Resources {
    root: PathBuf,
    naming: Naming,
    by_pod: HashMap<String, Names>,
    by_container: HashMap<String, Names>,
    looked: bool,
}

impl Resources {
    /// `root` is where the machine's `/var/log` lies.
    pub(crate) fn new(root: PathBuf, naming: Naming) -> Self {
        Self { root, naming, by_pod: HashMap::new(), by_container: HashMap::new(), looked: false }
    }

    /// Allows one more look at the folders: a container that nobody knew before may have come.
    pub(crate) fn begin_pass(&mut self) {
        self.looked = false;
    }

    /// The machine's own.
    pub(crate) fn machine(&self) -> Vec<(String, String)> {
        self.base(&self.naming.tenant(None, None))
    }

    /// A container's, or a pod's where the container's id is empty: all that is known of it, and its tenant.
    pub(crate) fn of(&mut self, identity: &Identity) -> Vec<(String, String)> {
        if !self.knows(identity) && !std::mem::replace(&mut self.looked, true) {
            self.look();
        }
        let by_pod = identity.pod.as_ref().and_then(|uid| self.by_pod.get(uid));
        let names = self.by_container.get(&identity.id).or(by_pod);
        let pod = names.zip(identity.pod.as_ref());
        let pod = pod.and_then(|(names, uid)| self.naming.pod(&names.namespace, &names.pod, uid));
        let namespace = names.map(|names| names.namespace.as_str());
        let mut resource = self.base(&self.naming.tenant(namespace, pod.as_deref()));
        let mut add = |key: &str, value: &str| resource.push((key.to_owned(), value.to_owned()));
        if !identity.id.is_empty() {
            add("container.id", &identity.id);
        }
        if let Some(uid) = &identity.pod {
            add("k8s.pod.uid", uid);
        }
        if let Some(names) = names {
            add("k8s.namespace.name", &names.namespace);
            add("k8s.pod.name", &names.pod);
            if let Some(container) = &names.container {
                add("k8s.container.name", container);
            }
        }
        resource.extend(pod.iter().flat_map(|pod| labels(pod)));
        resource
    }

    fn base(&self, tenant: &str) -> Vec<(String, String)> {
        let mut resource = vec![(attribute::TENANT.to_owned(), tenant.to_owned())];
        resource.extend(self.naming.machine());
        resource
    }

    fn knows(&self, identity: &Identity) -> bool {
        let pod = identity.pod.as_ref().filter(|_| identity.id.is_empty());
        self.by_container.contains_key(&identity.id) || pod.is_some_and(|uid| self.by_pod.contains_key(uid))
    }

    /// An id is never given again, so what is known stays; what was removed is forgotten with all else.
    fn look(&mut self) {
        if self.by_pod.len() + self.by_container.len() > MOST {
            self.by_pod.clear();
            self.by_container.clear();
        }
        for pod in entries(&self.root.join("var/log/pods")) {
            let mut parts = pod.splitn(3, '_');
            if let (Some(namespace), Some(pod), Some(uid)) = (parts.next(), parts.next(), parts.next()) {
                let names = Names { namespace: namespace.to_owned(), pod: pod.to_owned(), container: None };
                self.by_pod.insert(uid.to_owned(), names);
            }
        }
        for link in entries(&self.root.join("var/log/containers")) {
            if let Some(found) = container(Path::new(&link))
                && let Some(id) = found.id
            {
                let names = Names {
                    namespace: found.namespace.to_owned(),
                    pod: found.pod.to_owned(),
                    container: Some(found.name.to_owned()),
                };
                self.by_container.insert(id.to_owned(), names);
            }
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.take(MOST).filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::TenantOptions;
    use std::fs;

    #[test]
    fn names_and_tenant_come_from_the_kubelets_folders_and_late_ones_in_the_next_pass() {
        let folder = tempfile::tempdir().unwrap();
        let (id, uid) = ("ab".repeat(32), "11111111-2222-3333-4444-555555555555");
        let mut tenants = TenantOptions::default();
        tenants.namespaces.insert("team-a".to_owned(), "acme".to_owned());
        let mut resources = Resources::new(folder.path().to_owned(), Naming::of("node", &tenants));
        let identity = Identity { id: id.clone(), pod: Some(uid.to_owned()) };
        let has = |resource: &[(String, String)], key: &str, value: &str| {
            resource.iter().any(|(k, v)| k == key && v == value)
        };
        assert!(has(&resources.of(&identity), "weir.tenant", "default"));
        fs::create_dir_all(folder.path().join(format!("var/log/pods/team-a_ocr-1_{uid}"))).unwrap();
        assert!(has(&resources.of(&identity), "weir.tenant", "default"), "one look a pass");
        resources.begin_pass();
        let found = resources.of(&identity);
        assert!(has(&found, "weir.tenant", "acme") && has(&found, "k8s.pod.name", "ocr-1"), "{found:?}");
        fs::create_dir_all(folder.path().join("var/log/containers")).unwrap();
        fs::write(folder.path().join(format!("var/log/containers/ocr-1_team-a_main-{id}.log")), "").unwrap();
        resources.begin_pass();
        let found = resources.of(&identity);
        assert!(has(&found, "k8s.container.name", "main") && has(&found, "k8s.namespace.name", "team-a"), "{found:?}");
        assert!(has(&resources.machine(), "host.name", "node"));
    }
}
