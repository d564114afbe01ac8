//! Pods of this node as points: their phases, and what their containers request and may use, as OpenTelemetry's
//! conventions for Kubernetes name it (of what may be changed while a container runs, what its specification says);
//! `weir.k8s.*` for resources that have no name there, such as GPUs.

use std::time::Instant;

use weir_proto::attribute;

use super::resources::{Container, Phase};
use crate::naming::{Naming, labels};
use crate::points::{Points, Value};
use crate::samples::Samples;

/// A resource's name, those of its metrics (requests and limits), and their unit.
const KNOWN: [(&str, [&str; 2], &str); 3] = [
    ("cpu", ["k8s.container.cpu.request.desired", "k8s.container.cpu.limit.desired"], "{cpu}"),
    ("memory", ["k8s.container.memory.request.desired", "k8s.container.memory.limit.desired"], "By"),
    ("ephemeral-storage", ["k8s.container.ephemeral_storage.request", "k8s.container.ephemeral_storage.limit"], "By"),
];
/// The metrics of all others, which have the resource's name as an attribute.
const OTHERS: [&str; 2] = ["weir.k8s.container.resource.request", "weir.k8s.container.resource.limit"];

/// Puts a point of everything that is known of this node's pods into the queue. Each has the resource that its logs have,
/// as far as that is known here. Of pods that have ended only the phase is told.
pub(crate) fn measure(naming: &Naming, samples: &Samples, now: u64) {
    let Some(pods) = naming.pods() else { return };
    for (pod, runs) in pods.running(Instant::now()) {
        let mut resource = vec![(attribute::TENANT.to_owned(), naming.tenant(Some(&pod.namespace), Some(&pod)))];
        resource.extend(naming.machine());
        let names = [("k8s.namespace.name", &pod.namespace), ("k8s.pod.name", &pod.name), ("k8s.pod.uid", &pod.uid)];
        resource.extend(names.map(|(key, value)| (key.to_owned(), value.clone())));
        resource.extend(labels(&pod));
        let mut points = Points::new(&resource, now);
        for phase in Phase::ALL {
            let attributes = [("k8s.pod.status.phase", phase.name())];
            points.up_down("k8s.pod.status.phase", "{pod}", u64::from(phase == runs.phase), &attributes);
        }
        // What waits in the queue and is on its way is of one pod in order.
        let key = format!("pod/{}", pod.uid);
        samples.points("kubernetes", &key, points);
        for container in runs.containers.iter().filter(|_| !runs.phase.is_over()) {
            let mut resource = resource.clone();
            resource.push(("k8s.container.name".to_owned(), container.name.clone()));
            let mut points = Points::new(&resource, now);
            of_container(&mut points, container);
            samples.points("kubernetes", &key, points);
        }
    }
}

fn of_container(points: &mut Points, container: &Container) {
    for (at, resources) in [&container.requests, &container.limits].into_iter().enumerate() {
        for (name, value) in resources {
            let known = KNOWN.iter().find(|(known, ..)| known == name).copied();
            match known {
                Some((_, metrics, "By")) => points.up_down(metrics[at], "By", value.ceil() as u64, &[]),
                Some((_, metrics, unit)) => points.up_down(metrics[at], unit, Value::Double(*value), &[]),
                None => {
                    let attributes = [("weir.k8s.resource.name", name.as_str())];
                    points.up_down(OTHERS[at], "{resource}", Value::Double(*value), &attributes);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::global::meter;
    use prost::Message as _;
    use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;

    use super::super::pods::{Pod, Pods, State};
    use super::super::resources::Runs;
    use super::*;
    use crate::options::TenantOptions;
    use crate::points::look::{of_resource, value};

    fn measured(naming: &Naming) -> Vec<ExportMetricsServiceRequest> {
        let samples = Samples::new(&meter("test"));
        measure(naming, &samples, 7);
        samples.taken().into_iter().map(|(_, value)| ExportMetricsServiceRequest::decode(value).unwrap()).collect()
    }

    #[test]
    fn a_running_pod_has_its_phase_and_its_containers_what_they_request_and_may_use() {
        let pods = Pods::of_test(State::InStep);
        let naming = Naming::of("node-1", &TenantOptions::default()).with(&pods);
        assert!(measured(&naming).is_empty());
        let of = |name: &str, value| (name.to_owned(), value);
        let main = Container {
            name: "main".to_owned(),
            requests: vec![of("cpu", 0.25), of("memory", 1024.0)],
            limits: vec![of("memory", 2048.0), of("nvidia.com/gpu", 2.0), of("ephemeral-storage", 9.0)],
        };
        let bare = Container { name: "bare".to_owned(), ..Container::default() };
        let mut runs = Runs { phase: Phase::Running, containers: vec![main, bare] };
        pods.run(Pod::of_test("u1", "acme"), runs.clone());
        let [pod, main] = &measured(&naming)[..] else { panic!("a container without resources has no point") };
        for phase in Phase::ALL {
            let is = value(pod, "k8s.pod.status.phase", &[("k8s.pod.status.phase", phase.name())]);
            assert_eq!(is, Some(f64::from(u8::from(phase == Phase::Running))), "{phase:?}");
        }
        for (key, text) in [
            ("weir.tenant", "acme"),
            ("k8s.namespace.name", "team-a"),
            ("k8s.pod.name", "ocr-1"),
            ("k8s.pod.uid", "u1"),
            ("k8s.pod.label.app", "ocr"),
            ("host.name", "node-1"),
        ] {
            assert_eq!([of_resource(pod, key), of_resource(main, key)], [Some(text.to_owned()), Some(text.to_owned())]);
        }
        let name = "k8s.container.name";
        assert_eq!([of_resource(pod, name), of_resource(main, name)], [None, Some("main".to_owned())]);
        let gpu = [("weir.k8s.resource.name", "nvidia.com/gpu")];
        assert_eq!(value(main, "k8s.container.cpu.request.desired", &[]), Some(0.25));
        assert_eq!(value(main, "k8s.container.cpu.limit.desired", &[]), None);
        assert_eq!(value(main, "k8s.container.memory.request.desired", &[]), Some(1024.0));
        assert_eq!(value(main, "k8s.container.memory.limit.desired", &[]), Some(2048.0));
        assert_eq!(value(main, "k8s.container.ephemeral_storage.limit", &[]), Some(9.0));
        assert_eq!(value(main, "weir.k8s.container.resource.limit", &gpu), Some(2.0));
        assert_eq!(value(main, "weir.k8s.container.resource.request", &gpu), None);

        runs.phase = Phase::Succeeded;
        pods.run(Pod::of_test("u1", "acme"), runs);
        assert_eq!(measured(&naming).len(), 1, "what has ended holds nothing");
        pods.go("u1");
        assert!(measured(&naming).is_empty());
    }

    #[test]
    fn nothing_is_told_of_pods_of_which_metadata_alone_is_known() {
        let pods = Pods::of_test(State::InStep);
        pods.come(Pod::of_test("u1", "acme"));
        assert!(measured(&Naming::of("node-1", &TenantOptions::default()).with(&pods)).is_empty());
    }
}
