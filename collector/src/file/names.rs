//! What a file's path says of where its lines come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_proto::attribute;

use super::pods;
use crate::encode;
use crate::kubernetes::Pod;
use crate::naming::{Naming, labels};

/// A container, as the kubelet names its log files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Container<'a> {
    /// Pod.
    pub pod: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Container's name in the pod.
    pub name: &'a str,
    /// Its id, from `/var/log/containers`.
    pub id: Option<&'a str>,
    /// The pod's uid, from `/var/log/pods`.
    pub uid: Option<&'a str>,
    /// How often it was restarted, from `/var/log/pods`.
    pub restarts: Option<&'a str>,
}

/// Reads `…/<pod>_<namespace>_<container>-<id>.log` (an id of 64 hex digits) or
/// `…/<namespace>_<pod>_<uid>/<container>/<n>.log[.<rotated>]`.
pub fn container(path: &Path) -> Option<Container<'_>> {
    let name = path.file_name()?.to_str()?;
    from_link(name).or_else(|| {
        let container = path.parent()?;
        let pod = container.parent()?.file_name()?.to_str()?;
        from_folder(pod, container.file_name()?.to_str()?, name)
    })
}

fn from_link(name: &str) -> Option<Container<'_>> {
    let (stem, _) = name.split_once(".log")?;
    let (names, id) = stem.rsplit_once('-')?;
    let hex = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let mut parts = names.splitn(3, '_');
    let (pod, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = hex && !pod.is_empty() && !namespace.is_empty() && !name.is_empty();
    whole.then_some(Container { pod, namespace, name, id: Some(id), ..Container::default() })
}

fn from_folder<'a>(pod: &'a str, container: &'a str, file: &'a str) -> Option<Container<'a>> {
    let (restarts, _) = file.split_once(".log")?;
    let mut parts = pod.splitn(3, '_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = restarts.bytes().all(|b| b.is_ascii_digit()) && !restarts.is_empty() && !uid.is_empty();
    whole.then_some(Container { pod, namespace, name: container, id: None, uid: Some(uid), restarts: Some(restarts) })
}

/// The path and what each symbolic link on the way names, the file itself last.
fn chain(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    while paths.len() < 8
        && let Some(last) = paths.last()
        && let Ok(next) = std::fs::read_link(last)
    {
        let next = last.parent().map_or_else(|| next.clone(), |folder| folder.join(&next));
        paths.push(next);
    }
    paths
}

/// What all records of a file have in common.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Their resource, encoded.
    pub(super) resource: Arc<[u8]>,
    pub(super) tenant: Arc<str>,
    /// Namespace, name and uid of its pod, as the folder has them.
    pub(super) folder: Option<(String, String, String)>,
    /// The pod, where it is known.
    pub(super) pod: Option<Arc<Pod>>,
}

/// What is known of a file from where it lies; of its pod what the API says, else what was kept.
pub(super) fn facts(path: &Path, target: &Path, naming: &Naming, kept: &pods::Kept) -> Facts {
    let mut paths = chain(path);
    paths.push(target.to_owned());
    let mut known = Container::default();
    for path in &paths {
        if let Some(found) = container(path) {
            known = Container {
                pod: found.pod,
                namespace: found.namespace,
                name: found.name,
                id: known.id.or(found.id),
                uid: known.uid.or(found.uid),
                restarts: known.restarts.or(found.restarts),
            };
        }
    }
    let namespace = (!known.namespace.is_empty()).then_some(known.namespace);
    let stem = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let stem = stem.split_once(".log").map_or(&*stem, |(stem, _)| stem);
    let shown = path.to_string_lossy();
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let folder = known.uid.map(|uid| (known.namespace.to_owned(), known.pod.to_owned(), uid.to_owned()));
    let pod = folder
        .as_ref()
        .and_then(|(namespace, name, uid)| naming.pod(namespace, name, uid).or_else(|| kept.get(uid).cloned()));
    let tenant = naming.tenant(namespace, pod.as_deref());
    let mut attributes = vec![
        (attribute::TENANT, &*tenant),
        ("service.name", if known.name.is_empty() { stem } else { known.name }),
        ("log.file.path", &*shown),
        ("log.file.name", &*name),
    ];
    let machine: Vec<_> = naming.machine().collect();
    attributes.extend(machine.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    if let Some(namespace) = namespace {
        attributes.push(("k8s.namespace.name", namespace));
        attributes.push(("k8s.pod.name", known.pod));
        attributes.push(("k8s.container.name", known.name));
    }
    for (key, value) in
        [("container.id", known.id), ("k8s.pod.uid", known.uid), ("k8s.container.restart_count", known.restarts)]
    {
        attributes.extend(value.map(|value| (key, value)));
    }
    let labels: Vec<_> = pod.iter().flat_map(|pod| labels(pod)).collect();
    attributes.extend(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    Facts { resource: encode::resource(&attributes).into(), tenant: tenant.into(), folder, pod }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_of_the_kubelets_names_are_read() {
        let id = "0123456789abcdef".repeat(4);
        let link = format!("/var/log/containers/ocr-7d4b_team-a_main-c-{id}.log");
        let read = container(Path::new(&link)).unwrap();
        assert_eq!((read.pod, read.namespace, read.name, read.id), ("ocr-7d4b", "team-a", "main-c", Some(id.as_str())));
        for file in ["3.log", "3.log.20260102-030405"] {
            let path = format!("/var/log/pods/team-a_ocr-7d4b_11-22/main/{file}");
            let read = container(Path::new(&path)).unwrap();
            assert_eq!((read.pod, read.namespace, read.name), ("ocr-7d4b", "team-a", "main"));
            assert_eq!((read.uid, read.restarts), (Some("11-22"), Some("3")));
        }
    }

    #[test]
    fn other_names_are_no_containers() {
        for path in ["/var/log/syslog", "/a/b_c_d-xyz.log", "/a/b/c.log", "/1.log", ""] {
            assert_eq!(container(Path::new(path)), None, "{path}");
        }
    }
}
