//! What a container is called: from the names that the kubelet gives its log folders, so without the API.
//!
//! Whose it is may take the API: a pod's label names its tenant. Where somebody is asked, a pod that is not known yet is
//! waited for as its files wait, and nothing is told of it meanwhile, so that its first samples are its tenant's too. What
//! counts loses nothing, as long as its container is there: it is told with all that came together. A pod that does not
//! come is told by its names alone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
    /// Pods, by uid, that were not known, and since when each is waited for; None where that is over.
    waiting: HashMap<String, Option<Instant>>,
    looked: bool,
}

impl Resources {
    /// `root` is where the machine's `/var/log` lies.
    pub(crate) fn new(root: PathBuf, naming: Naming) -> Self {
        let (by_pod, by_container, waiting) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { root, naming, by_pod, by_container, waiting, looked: false }
    }

    /// Allows one more look at the folders: a container that nobody knew before may have come.
    pub(crate) fn begin_pass(&mut self) {
        self.looked = false;
    }

    /// The machine's own.
    pub(crate) fn machine(&self) -> Vec<(String, String)> {
        self.base(&self.naming.tenant(None, None))
    }

    /// A container's, or a pod's where the container's id is empty: all that is known of it, and its tenant. None as long
    /// as its pod is waited for.
    pub(crate) fn of(&mut self, identity: &Identity) -> Option<Vec<(String, String)>> {
        if !self.knows(identity) && !std::mem::replace(&mut self.looked, true) {
            self.look();
        }
        let by_pod = identity.pod.as_ref().and_then(|uid| self.by_pod.get(uid));
        let names = self.by_container.get(&identity.id).or(by_pod);
        let pod = names.zip(identity.pod.as_ref());
        let pod = pod.and_then(|(names, uid)| self.naming.pod(&names.namespace, &names.pod, uid));
        if let (Some(uid), Some(pods)) = (&identity.pod, self.naming.pods())
            && waits(&mut self.waiting, uid, pod.is_some(), pods.patience())
        {
            return None;
        }
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
        Some(resource)
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

/// Whether a pod is waited for still. Each is once.
fn waits(waiting: &mut HashMap<String, Option<Instant>>, uid: &str, is_known: bool, patience: Duration) -> bool {
    if is_known {
        waiting.entry(uid.to_owned()).and_modify(|since| *since = None);
        return false;
    }
    if waiting.len() >= MOST && !waiting.contains_key(uid) {
        waiting.clear();
    }
    let since = waiting.entry(uid.to_owned()).or_insert_with(|| Some(Instant::now()));
    *since = since.filter(|since| since.elapsed() < patience);
    since.is_some()
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.take(MOST).filter_map(|entry| entry.file_name().into_string().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::{Pod, Pods, State};
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
        assert!(has(&resources.of(&identity).unwrap(), "weir.tenant", "default"));
        fs::create_dir_all(folder.path().join(format!("var/log/pods/team-a_ocr-1_{uid}"))).unwrap();
        assert!(has(&resources.of(&identity).unwrap(), "weir.tenant", "default"), "one look a pass");
        resources.begin_pass();
        let found = resources.of(&identity).unwrap();
        assert!(has(&found, "weir.tenant", "acme") && has(&found, "k8s.pod.name", "ocr-1"), "{found:?}");
        fs::create_dir_all(folder.path().join("var/log/containers")).unwrap();
        fs::write(folder.path().join(format!("var/log/containers/ocr-1_team-a_main-{id}.log")), "").unwrap();
        resources.begin_pass();
        let found = resources.of(&identity).unwrap();
        assert!(has(&found, "k8s.container.name", "main") && has(&found, "k8s.namespace.name", "team-a"), "{found:?}");
        assert!(has(&resources.machine(), "host.name", "node"));
    }

    #[test]
    fn a_pod_that_is_not_known_is_waited_for_and_one_that_does_not_come_keeps_none_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pods = Pods::of_test(State::Away);
        let naming = Naming::of("node", &TenantOptions::default()).with(&pods);
        let mut resources = Resources::new(folder.path().to_owned(), naming);
        for uid in ["new", "static"] {
            fs::create_dir_all(folder.path().join(format!("var/log/pods/team-a_ocr-1_{uid}"))).unwrap();
        }
        let tenant = |resources: &mut Resources, uid: &str| {
            let found = resources.of(&Identity { id: "ab".repeat(32), pod: Some(uid.to_owned()) })?;
            found.into_iter().find_map(|(key, value)| (key == "weir.tenant").then_some(value))
        };
        let of = |tenant: &str| Some(tenant.to_owned());
        assert_eq!(["new", "static"].map(|uid| tenant(&mut resources, uid)), [None, None]);
        let long_ago = Instant::now().checked_sub(pods.patience()).unwrap();
        resources.waiting.insert("static".to_owned(), Some(long_ago));
        assert_eq!(["new", "static"].map(|uid| tenant(&mut resources, uid)), [None, of("default")]);
        pods.come(Pod::of_test("new", "acme"));
        assert_eq!(["new", "static"].map(|uid| tenant(&mut resources, uid)), [of("acme"), of("default")]);
        pods.come(Pod::of_test("static", "late"));
        assert_eq!(tenant(&mut resources, "static"), of("late"));
        // A container of no pod waits for none.
        assert!(resources.of(&Identity { id: "cd".repeat(32), pod: None }).is_some());
    }
}
