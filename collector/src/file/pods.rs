//! Files of pods: their labels and their tenant come from the Kubernetes API, when they come.
//!
//! A file whose pod is not known yet waits a little before it is read, so that its first lines have the right tenant
//! too; then what its path says has to do. What comes later is in all that is sent from then on. What was known of a
//! pod is kept with the positions: after a restart it may be gone, and its last lines are its own all the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::names;
use super::source::Source;
use crate::kubernetes::Pod;

/// Pods that are kept at most whose files are followed no more.
const MOST_OTHERS: usize = 1000;

/// What is kept of pods, by uid as their folders have it.
pub(super) type Kept = BTreeMap<String, Arc<Pod>>;

impl Source {
    /// What is known of a file from where it lies, and of its pod.
    pub(super) fn facts(&self, path: &Path, target: &Path) -> names::Facts {
        names::facts(path, target, &self.naming, &self.pods)
    }

    /// Whether a file has to wait for its pod.
    pub(super) fn waits_for_pod(&mut self, id: u64) -> bool {
        let Some(tail) = self.tails.get_mut(&id) else { return false };
        let Some(since) = tail.waits_for_pod else { return false };
        let Some(pods) = self.naming.pods() else { return false };
        let waits = since.elapsed() < pods.patience() && tail.facts.pod.is_none();
        if waits {
            self.timed.insert(id);
        } else {
            tail.waits_for_pod = None;
        }
        waits
    }

    /// Whether something is new of pods since this was asked last.
    pub(super) fn pods_changed(&mut self) -> bool {
        let changes = self.pod_changes.as_mut();
        changes.is_some_and(|changes| {
            changes.has_changed().is_ok_and(|changed| changed && *changes.borrow_and_update() > 0)
        })
    }

    /// Files learn what is new of their pods.
    pub(super) fn learn_of_pods(&mut self) {
        let Some(pods) = self.naming.pods() else { return };
        let mut changed = Vec::new();
        for (id, tail) in &self.tails {
            if let Some((namespace, name, uid)) = &tail.facts.folder
                && let Some(pod) = pods.of_folder(namespace, name, uid)
                && tail.facts.pod.as_ref().is_none_or(|known| **known != *pod)
            {
                changed.push(*id);
            }
        }
        for id in changed {
            let Some(tail) = self.tails.get(&id) else { continue };
            let facts = self.facts(Path::new(&tail.entry.path), Path::new(&tail.entry.target));
            if let Some(tail) = self.tails.get_mut(&id) {
                tail.facts = facts;
                tail.waits_for_pod = None;
                self.must_write = true;
            }
            self.queue(id);
        }
    }

    /// A file that was just taken in waits for its pod, where that is not known and somebody is asked.
    pub(super) fn await_pod(&mut self, id: u64) {
        if let Some(tail) = self.tails.get_mut(&id)
            && self.naming.pods().is_some()
            && tail.facts.folder.is_some()
            && tail.facts.pod.is_none()
        {
            tail.waits_for_pod = Some(Instant::now());
        }
    }

    /// What is to be kept of the pods whose files are followed.
    pub(super) fn keep_pods(&mut self) {
        let of = |facts: &names::Facts| Some((facts.folder.as_ref()?.2.clone(), facts.pod.clone()?));
        let followed: Kept = self.tails.values().filter_map(|tail| of(&tail.facts)).collect();
        // The others are asked for only where something of theirs was lost.
        if self.pods.len() > followed.len() + MOST_OTHERS {
            self.pods.clear();
        }
        self.pods.extend(followed);
    }
}
