//! Which pods answered the calls of a range, so that what happens to a pod can be told by its services.

use ahash::AHashMap;
use weir_proto::v1;

use super::{clip, wire};

/// Pods of all services in one range; more are left out.
const MOST: usize = 2000;
/// What a pod adds to the message beside its names.
const POD_BYTES: usize = 24;

/// Tenant, service, namespace and name, in one text.
type Key = String;

/// Pods with the second in which the latest of their calls ended.
#[derive(Debug, Default)]
pub(super) struct Pods {
    seen: AHashMap<Key, u64>,
    /// Kept for its room.
    key: Key,
}

/// Between the parts of a key: no name has it.
const BETWEEN: char = '\u{0}';

impl Pods {
    /// Sees the pod of a resource whose latest call ended in `second`; returns how many bytes the message grew by.
    pub(super) fn add(&mut self, resource: &wire::Resource<'_>, second: u64) -> usize {
        if resource.pod.is_empty() {
            return 0;
        }
        self.key.clear();
        for (at, part) in [resource.tenant, resource.service, resource.namespace, resource.pod].into_iter().enumerate()
        {
            if at > 0 {
                self.key.push(BETWEEN);
            }
            self.key.push_str(clip(part));
        }
        if let Some(latest) = self.seen.get_mut(&self.key) {
            *latest = second.max(*latest);
            return 0;
        }
        if self.seen.len() >= MOST {
            return 0;
        }
        self.seen.insert(self.key.clone(), second);
        self.key.len() + POD_BYTES
    }

    /// Gives what was seen, in the order of its names, and begins anew.
    pub(super) fn take(&mut self) -> Vec<v1::ServicePod> {
        let pod = |(key, unix_seconds): (Key, u64)| {
            let mut parts = key.split(BETWEEN).map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            v1::ServicePod { tenant: part(), service: part(), namespace: part(), pod: part(), unix_seconds }
        };
        let mut pods: Vec<v1::ServicePod> = self.seen.drain().map(pod).collect();
        let name =
            |pod: &v1::ServicePod| (pod.tenant.clone(), pod.service.clone(), pod.namespace.clone(), pod.pod.clone());
        pods.sort_by_cached_key(name);
        pods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_calls_of_two_pods_then_each_is_there_once_with_its_latest_second() {
        let of = |service, pod| wire::Resource {
            tenant: "acme",
            service,
            namespace: "team-a",
            pod,
            calls: Vec::new(),
            others: 0,
            latest: 0,
        };
        let mut pods = Pods::default();
        assert!(pods.add(&of("ocr", "ocr-2"), 7) > 0);
        pods.add(&of("ocr", "ocr-1"), 5);
        assert_eq!((pods.add(&of("ocr", "ocr-2"), 9), pods.add(&of("ocr", "ocr-2"), 8)), (0, 0));
        assert_eq!(pods.add(&of("ocr", ""), 9), 0, "no pod");
        let found: Vec<_> = pods.take().into_iter().map(|pod| (pod.pod, pod.unix_seconds)).collect();
        assert_eq!(found, [("ocr-1".to_owned(), 5), ("ocr-2".to_owned(), 9)]);
        let names: Vec<String> = (0..=MOST).map(|n| n.to_string()).collect();
        for name in &names {
            pods.add(&of("ocr", name), 5);
        }
        assert_eq!(pods.take().len(), MOST);
    }
}
