//! What is known of pods, by uid: a name that is given again to another pod inherits nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::resources::Runs;

/// Pods that are remembered at most, and bytes of what is known of them. Where there are more, the ones that are gone are
/// forgotten first, and then no new ones are taken in.
const MOST: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;
/// How long a pod is waited for while the API tells of every change: the event comes about as fast as the pod's first
/// file and process.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same while the API is away or has not told of all pods yet.
const PATIENCE_AWAY: Duration = Duration::from_secs(10);
/// How long what is known of pods is what they are while the API is away: between two watches it is for a moment.
const FRESH: Duration = Duration::from_mins(2);
/// How long a pod is remembered that is gone: its last lines are read after it.
const KEPT: Duration = Duration::from_mins(10);
/// Labels of one pod, and bytes of its labels and annotations.
const MOST_LABELS: usize = 64;
const MOST_LABEL_BYTES: usize = 64 << 10;

/// The annotations by which a pod that the API only mirrors is known: the kubelet made it from a file, and names its log
/// folder by the hash of that.
const MIRROR: &str = "kubernetes.io/config.mirror";
const HASH: &str = "kubernetes.io/config.hash";

/// Whether what is known is what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Pods may be missing: there was no whole list yet, what came after it was missed, or the API does not answer.
    Away,
    /// The list was whole, and changes come as they happen.
    InStep,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// `k8s.namespace.name`.
    pub namespace: String,
    /// `k8s.pod.name`.
    pub name: String,
    /// `k8s.pod.uid`; of a pod that the kubelet made from a file, the one that the API gave.
    pub uid: String,
    /// `k8s.node.name`, where only one node's pods are asked for.
    #[serde(skip)]
    pub node: Option<Arc<str>>,
    /// Its labels; the first 64 where there are more.
    pub labels: BTreeMap<String, String>,
    /// The annotation that names the tenant, and those of a pod that the kubelet made from a file.
    pub annotations: BTreeMap<String, String>,
    /// Whether it was deleted.
    #[serde(skip)]
    pub gone: bool,
}

impl Pod {
    /// `team-a/ocr-1` of a test, whose label names this tenant.
    #[cfg(test)]
    pub(crate) fn of_test(uid: &str, tenant: &str) -> Self {
        let labels = [("weir.io/tenant", tenant), ("app", "ocr")];
        Self {
            namespace: "team-a".to_owned(),
            name: "ocr-1".to_owned(),
            uid: uid.to_owned(),
            node: None,
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            annotations: BTreeMap::new(),
            gone: false,
        }
    }

    /// The value of a label, or of an annotation that is kept, of that name.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.labels.get(key).or_else(|| self.annotations.get(key)).map(String::as_str)
    }

    /// The log folder of a pod that the kubelet made from a file.
    fn hashed(&self) -> Option<String> {
        let hash = self.annotations.get(MIRROR).or_else(|| self.annotations.get(HASH))?;
        Some(folder(&self.namespace, &self.name, hash))
    }

    fn bytes(&self) -> usize {
        let texts = |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| k.len() + v.len() + 64).sum::<usize>();
        256 + self.namespace.len() + self.name.len() + texts(&self.labels) + texts(&self.annotations)
    }
}

/// No part of it has a `_` of its own.
fn folder(namespace: &str, name: &str, uid: &str) -> String {
    format!("{namespace}_{name}_{uid}")
}

/// Takes of a pod's labels and annotations what is kept of them. `tenant` names the one that is kept before all others.
pub(super) fn kept(
    tenant: &str,
    mut labels: BTreeMap<String, String>,
    mut annotations: BTreeMap<String, String>,
) -> [BTreeMap<String, String>; 2] {
    let mut bytes = 0;
    let mut fits = |(key, value): &(String, String)| {
        let fits = bytes + key.len() + value.len() <= MOST_LABEL_BYTES;
        bytes += if fits { key.len() + value.len() } else { 0 };
        fits
    };
    let first = labels.remove_entry(tenant).filter(&mut fits);
    let annotations = [tenant, MIRROR, HASH].into_iter().filter_map(|key| annotations.remove_entry(key));
    let annotations = annotations.filter(&mut fits).collect();
    let labels = first.into_iter().chain(labels.into_iter().filter(fits)).take(MOST_LABELS).collect();
    [labels, annotations]
}

/// What is known of pods; cheap to clone, and to ask.
#[derive(Debug, Clone)]
pub struct Pods(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: RwLock<Known>,
    /// Counts what is worth another look.
    changes: watch::Sender<u64>,
    state: watch::Sender<State>,
    /// When that was in step last.
    in_step: Mutex<Instant>,
}

impl Pods {
    pub(super) fn new() -> Self {
        let (changes, state) = (watch::Sender::new(0), watch::Sender::new(State::Away));
        Self(Arc::new(Shared { known: RwLock::default(), changes, state, in_step: Mutex::new(Instant::now()) }))
    }

    /// Pods that a test knows.
    #[cfg(test)]
    pub(crate) fn of_test(state: State) -> Self {
        let pods = Self::new();
        pods.set(state);
        pods
    }

    /// A pod comes, or changes.
    #[cfg(test)]
    pub(crate) fn come(&self, pod: Pod) {
        assert!(self.update(|known| known.put(pod, None, Instant::now())));
    }

    /// The same, and it is known how it runs.
    #[cfg(test)]
    pub(crate) fn run(&self, pod: Pod, runs: Runs) {
        assert!(self.update(|known| known.put(pod, Some(runs), Instant::now())));
    }

    /// A pod goes.
    #[cfg(test)]
    pub(crate) fn go(&self, uid: &str) {
        self.update(|known| known.remove(uid, Instant::now()));
    }

    /// The pod with this uid, also some minutes after it is gone.
    pub fn by_uid(&self, uid: &str) -> Option<Arc<Pod>> {
        self.0.known.read().entries.get(uid).map(|entry| entry.pod.clone())
    }

    /// The pod whose logs lie in the folder `<namespace>_<name>_<uid>`. The folder of a pod that the kubelet made from a
    /// file has the hash of that in its uid's place; any pod may claim a hash, so the names must be right too.
    pub fn of_folder(&self, namespace: &str, name: &str, uid: &str) -> Option<Arc<Pod>> {
        let known = self.0.known.read();
        let of_hash = || known.entries.get(known.by_hash.get(&folder(namespace, name, uid))?);
        let pod = &known.entries.get(uid).or_else(of_hash)?.pod;
        (pod.namespace == namespace && pod.name == name).then(|| pod.clone())
    }

    /// Whether what is known is what there is.
    pub fn state(&self) -> State {
        *self.0.state.borrow()
    }

    /// How long what is a pod's may wait for it, before it goes on without what is known of it here.
    pub fn patience(&self) -> Duration {
        if self.state() == State::InStep { PATIENCE } else { PATIENCE_AWAY }
    }

    /// Tells whenever the state has changed.
    pub fn states(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    /// Tells whenever a pod has come, has changed or is gone.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// The pods that are there, by no order, and how they run, where that is known. None while the API has been away for
    /// long: those that it told of may be gone.
    pub fn running(&self, now: Instant) -> Vec<(Arc<Pod>, Arc<Runs>)> {
        let is_old = now.saturating_duration_since(*self.0.in_step.lock()) > FRESH;
        if is_old && self.state() == State::Away {
            return Vec::new();
        }
        let known = self.0.known.read();
        let there = known.entries.values().filter(|entry| !entry.pod.gone);
        there.filter_map(|entry| Some((entry.pod.clone(), entry.runs.clone()?))).collect()
    }

    /// Pods that are there now, as far as they are known.
    pub fn count(&self) -> usize {
        self.0.known.read().alive
    }

    pub(super) fn set(&self, state: State) {
        self.0.state.send_if_modified(|now| {
            if [*now, state].contains(&State::InStep) {
                *self.0.in_step.lock() = Instant::now();
            }
            std::mem::replace(now, state) != state
        });
    }

    /// Changes what is known, and tells of it.
    pub(super) fn update<T>(&self, update: impl FnOnce(&mut Known) -> T) -> T {
        let done = self.quietly(update);
        self.0.changes.send_modify(|count| *count = count.wrapping_add(1));
        done
    }

    /// The same where nobody who waits for a pod is interested.
    pub(super) fn quietly<T>(&self, update: impl FnOnce(&mut Known) -> T) -> T {
        update(&mut self.0.known.write())
    }
}

/// The pods themselves; knows no clock.
#[derive(Debug, Default)]
pub(super) struct Known {
    entries: HashMap<String, Entry>,
    /// Uids of pods that the kubelet made from files, by their log folders.
    by_hash: HashMap<String, String>,
    /// Those that are gone, the first that went first.
    gone: VecDeque<(Instant, String)>,
    alive: usize,
    bytes: usize,
    /// Counts lists.
    list: u64,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    /// Where its specification and status are asked for.
    runs: Option<Arc<Runs>>,
    /// The list that it was last seen in, or behind.
    list: u64,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.pod.bytes() + self.runs.as_ref().map_or(0, |runs| runs.bytes())
    }
}

impl Known {
    /// A list begins; what is known stays meanwhile.
    pub(super) fn begin(&mut self) {
        self.list += 1;
    }

    /// The list is whole: what it did not name is gone.
    pub(super) fn end(&mut self, now: Instant) {
        let missing = self.entries.iter().filter(|(_, entry)| !entry.pod.gone && entry.list != self.list);
        for uid in missing.map(|(uid, _)| uid.clone()).collect::<Vec<_>>() {
            self.remove(&uid, now);
        }
    }

    /// A pod is there, and as it is given here. False where there is no room for it.
    pub(super) fn put(&mut self, pod: Pod, runs: Option<Runs>, now: Instant) -> bool {
        if self.forget(&pod.uid) {
            self.gone.retain(|(_, uid)| *uid != pod.uid);
        }
        self.expire(now);
        let entry = Entry { pod: Arc::new(pod), runs: runs.map(Arc::new), list: self.list };
        let bytes = entry.bytes();
        while self.entries.len() >= MOST || self.bytes + bytes > MOST_BYTES {
            if !self.forget_oldest() {
                return false;
            }
        }
        let uid = entry.pod.uid.clone();
        if let Some(folder) = entry.pod.hashed() {
            self.by_hash.insert(folder, uid.clone());
        }
        self.bytes += bytes;
        self.alive += 1;
        self.entries.insert(uid, entry);
        true
    }

    /// A pod is gone; it is remembered for a while.
    pub(super) fn remove(&mut self, uid: &str, now: Instant) {
        if let Some(entry) = self.entries.get_mut(uid)
            && !entry.pod.gone
        {
            Arc::make_mut(&mut entry.pod).gone = true;
            self.alive -= 1;
            self.gone.push_back((now, uid.to_owned()));
        }
    }

    /// Forgets those that have been gone for long.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.gone.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) >= KEPT) {
            self.forget_oldest();
        }
    }

    /// False where none is gone.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, uid)) = self.gone.pop_front() else { return false };
        self.forget(&uid);
        true
    }

    /// Says whether it was gone.
    fn forget(&mut self, uid: &str) -> bool {
        let Some(entry) = self.entries.remove(uid) else { return false };
        self.bytes -= entry.bytes();
        let pod = entry.pod;
        self.alive -= usize::from(!pod.gone);
        if let Some(folder) = pod.hashed()
            && self.by_hash.get(&folder).is_some_and(|of| of == uid)
        {
            self.by_hash.remove(&folder);
        }
        pod.gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn pod(name: &str, uid: &str, annotations: &[(&str, &str)]) -> Pod {
        let (namespace, labels) = ("team-a".to_owned(), map(&[("app", uid)]));
        let (name, uid, annotations) = (name.to_owned(), uid.to_owned(), map(annotations));
        Pod { namespace, name, uid, node: None, labels, annotations, gone: false }
    }

    fn put(pods: &Pods, pod: Pod, now: Instant) {
        assert!(pods.update(|known| known.put(pod, None, now)));
    }

    #[test]
    fn what_is_gone_is_remembered_for_a_while_and_a_name_inherits_nothing() {
        let (pods, now) = (Pods::new(), Instant::now());
        let mut changes = pods.changes();
        put(&pods, pod("web-0", "u1", &[]), now);
        pods.update(|known| known.remove("u1", now));
        put(&pods, pod("web-0", "u2", &[]), now + KEPT / 2);
        let (old, new) = (pods.by_uid("u1").unwrap(), pods.by_uid("u2").unwrap());
        assert!(old.gone && old.value("app") == Some("u1") && !new.gone && new.value("app") == Some("u2"));
        assert_eq!(pods.of_folder("team-a", "web-0", "u1"), Some(old));
        assert_eq!((pods.count(), changes.has_changed().unwrap(), *changes.borrow_and_update()), (1, true, 3));
        pods.quietly(|known| known.expire(now + KEPT));
        assert!(pods.by_uid("u1").is_none() && pods.by_uid("u2").is_some());
    }

    #[test]
    fn what_runs_is_not_known_once_the_api_has_been_away_for_long() {
        let (pods, now) = (Pods::of_test(State::InStep), Instant::now());
        pods.run(pod("a", "u1", &[]), Runs::default());
        let runs = |after: Duration| pods.running(Instant::now() + after).len();
        assert_eq!(runs(FRESH * 9), 1, "it is in step");
        pods.set(State::Away);
        assert_eq!((runs(FRESH / 2), runs(FRESH * 2)), (1, 0));
        pods.set(State::InStep);
        assert!(runs(FRESH * 2) == 1 && now <= *pods.0.in_step.lock());
    }

    #[test]
    fn a_list_says_which_are_gone_and_one_that_is_not_whole_says_nothing() {
        let (pods, now) = (Pods::new(), Instant::now());
        pods.quietly(Known::begin);
        for uid in ["u1", "u2"] {
            put(&pods, pod(uid, uid, &[]), now);
        }
        pods.update(|known| known.end(now));
        // This one breaks off.
        pods.quietly(Known::begin);
        put(&pods, pod("u1", "u1", &[]), now);
        pods.quietly(Known::begin);
        put(&pods, pod("u2", "u2", &[]), now);
        assert!(!pods.by_uid("u1").unwrap().gone);
        pods.update(|known| known.end(now));
        assert!(pods.by_uid("u1").unwrap().gone && !pods.by_uid("u2").unwrap().gone);
        // It was not gone after all.
        put(&pods, pod("u1", "u1", &[]), now);
        pods.quietly(|known| known.expire(now + 2 * KEPT));
        assert_eq!(pods.count(), 2);
    }

    #[test]
    fn a_pod_from_a_file_is_found_by_its_hash_under_its_own_name_alone() {
        let (pods, now) = (Pods::new(), Instant::now());
        let by_hash = || pods.of_folder("team-a", "etcd-node-1", "cafe").map(|pod| pod.uid.clone());
        put(&pods, pod("etcd-node-1", "u1", &[(HASH, "cafe"), (MIRROR, "cafe")]), now);
        assert_eq!(by_hash().as_deref(), Some("u1"));
        assert!(pods.by_uid("cafe").is_none() && pods.of_folder("team-b", "etcd-node-1", "cafe").is_none());
        // The mirror was made anew; then the old one is forgotten.
        pods.update(|known| known.remove("u1", now));
        put(&pods, pod("etcd-node-1", "u2", &[(HASH, "cafe"), (MIRROR, "cafe")]), now);
        pods.quietly(|known| known.expire(now + KEPT));
        assert_eq!(by_hash().as_deref(), Some("u2"));
        // Another one claims to be it.
        put(&pods, pod("thief", "u3", &[(MIRROR, "cafe")]), now);
        assert_eq!(by_hash().as_deref(), Some("u2"));
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let (pods, now) = (Pods::new(), Instant::now());
        for at in 0..MOST {
            put(&pods, pod("a", &at.to_string(), &[]), now);
        }
        assert!(!pods.update(|known| known.put(pod("a", "one more", &[]), None, now)));
        pods.update(|known| known.remove("7", now));
        pods.update(|known| known.remove("8", now));
        put(&pods, pod("a", "one more", &[]), now);
        assert!(pods.by_uid("7").is_none() && pods.by_uid("8").is_some() && pods.count() == MOST - 1);
        let mut large = pod("a", "large", &[]);
        large.labels.insert("x".to_owned(), "y".repeat(MOST_BYTES));
        assert!(!pods.update(|known| known.put(large, None, now)));
    }

    #[test]
    fn a_pods_labels_are_bounded_and_the_tenants_is_kept_before_all_others() {
        let mut labels: BTreeMap<_, _> = (0..100).map(|at| (format!("a{at:03}"), "x".to_owned())).collect();
        labels.insert("z/tenant".to_owned(), "acme".to_owned());
        let annotations = map(&[("z/tenant", "other"), (HASH, "h"), ("note", "n")]);
        let [few, notes] = kept("z/tenant", labels.clone(), annotations);
        assert!(few.len() == 64 && few["z/tenant"] == "acme" && few.contains_key("a062"));
        assert_eq!(notes, map(&[("z/tenant", "other"), (HASH, "h")]));
        labels.insert("a000".to_owned(), "x".repeat(MOST_LABEL_BYTES));
        let [few, _] = kept("z/tenant", labels, BTreeMap::new());
        assert!(few["z/tenant"] == "acme" && !few.contains_key("a000") && few.contains_key("a063"));
    }
}
