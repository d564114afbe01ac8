use std::fs;
use std::time::Duration;

use prost::Message;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;

use super::*;
use crate::kubernetes::{Pod, Pods, State};
use crate::options::TenantOptions;
use crate::points::look::{of_resource, value};

const UID: &str = "11111111-2222-3333-4444-555555555555";

/// A machine of files.
fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn measure(root: &Path, naming: Naming) -> Measure {
    let samples = Samples::new(&opentelemetry::global::meter("test"));
    let options = HostOptions { root: root.to_owned(), ..HostOptions::default() };
    let mut measure = Measure::new(&options, naming, samples);
    measure.own = root.to_owned();
    measure
}

fn measured_by(measure: &mut Measure) -> Vec<ExportMetricsServiceRequest> {
    measure.pass();
    let taken = measure.samples.taken().into_iter();
    taken.map(|(_, bytes)| ExportMetricsServiceRequest::decode(bytes).unwrap()).collect()
}

fn measured(root: &Path) -> Vec<ExportMetricsServiceRequest> {
    measured_by(&mut measure(root, Naming::of("node-1", &TenantOptions::default())))
}

#[test]
fn a_machine_is_measured() {
    let folder = machine(&[
        ("proc/stat", "cpu 100 0 200 300 0 0 0 0 0 0\ncpu0 100 0 200 300 0 0 0 0 0 0\nbtime 1000\nprocesses 9\n"),
        ("proc/loadavg", "0.50 0.25 0.10 1/2 3\n"),
        ("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 200 kB\nBuffers: 50 kB\nCached: 100 kB\nSReclaimable: 50 kB\n"),
        ("proc/vmstat", "pgfault 10\npgmajfault 4\n"),
        ("proc/pressure/io", "some avg10=0 total=2500000\nfull avg10=0 total=1000000\n"),
        ("proc/diskstats", "8 0 sda 1 0 8 1500 2 0 16 4 0 7 8\n8 1 sda1 1 0 8 3 2 0 16 4 0 7 8\n"),
        ("sys/block/sda/size", "1"),
        ("proc/1/net/dev", "eth0: 5 1 0 0 0 0 0 0 7 2 0 3 0 0 0 0\nlo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n"),
        ("proc/1/mountinfo", "1 0 8:1 / /data rw - ext4 /dev/sda1 rw\n"),
        ("data/file", ""),
    ]);
    let own = format!("1 0 8:1 / {}/data rw - ext4 /dev/sda1 rw\n", folder.path().display());
    fs::write(folder.path().join("mountinfo"), own).unwrap();
    let requests = measured(folder.path());
    assert_eq!(requests.len(), 1);
    let host = &requests[0];
    for (name, attributes, expected) in [
        ("system.cpu.time", &[("cpu.mode", "system")][..], 2.0),
        ("system.cpu.logical.count", &[], 1.0),
        ("system.cpu.load_average.1m", &[], 0.5),
        ("system.memory.usage", &[("system.memory.state", "used")], 600.0 * 1024.0),
        ("system.memory.usage", &[("system.memory.state", "cached")], 150.0 * 1024.0),
        ("system.memory.utilization", &[("system.memory.state", "free")], 0.2),
        ("system.paging.faults", &[("system.paging.fault.type", "minor")], 6.0),
        ("system.pressure.time", &[("pressure.resource", "io"), ("pressure.kind", "some")], 2.5),
        ("system.disk.io", &[("disk.io.direction", "write")], 16.0 * 512.0),
        ("system.disk.operation_time", &[("disk.io.direction", "read")], 1.5),
        ("system.network.io", &[("network.io.direction", "transmit")], 7.0),
        ("system.network.packet.dropped", &[("network.io.direction", "transmit")], 3.0),
    ] {
        assert_eq!(value(host, name, attributes), Some(expected), "{name} {attributes:?}");
    }
    let sum = ["used", "free", "reserved"]
        .map(|state| value(host, "system.filesystem.usage", &[("system.filesystem.state", state)]).unwrap());
    assert_eq!(Some(sum.iter().sum::<f64>()), value(host, "system.filesystem.limit", &[]));
    assert_eq!(of_resource(host, "host.name").as_deref(), Some("node-1"));
    assert_eq!(of_resource(host, "weir.tenant").as_deref(), Some("default"));
}

#[test]
fn containers_are_measured_each_under_its_own_resource() {
    let (one, two) = ("ab".repeat(32), "cd".repeat(32));
    let pod = format!("sys/fs/cgroup/kubepods.slice/kubepods-pod{}.slice", UID.replace('-', "_"));
    let path = |file: &str| format!("{pod}/cri-containerd-{one}.scope/{file}");
    let stat = format!("7 (python) S {} 500 0", "0 ".repeat(18).trim_end());
    let folder = machine(&[
        ("proc/stat", "cpu 1 1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1 1\nbtime 1000\n"),
        ("proc/7/stat", &stat),
        // What its network carried cannot be read.
        ("proc/7/net", ""),
        ("sys/fs/cgroup/cgroup.controllers", "cpu io memory\n"),
        (&path("cgroup.procs"), "7\n"),
        (&path("cpu.stat"), "usage_usec 30\nuser_usec 2000000\nsystem_usec 500000\nthrottled_usec 250000\n"),
        (&path("memory.current"), "1000\n"),
        (&path("memory.max"), "5000\n"),
        (&path("memory.stat"), "anon 300\ninactive_file 400\npgfault 5\npgmajfault 1\n"),
        (&path("memory.events"), "low 0\noom 1\noom_kill 2\n"),
        (&path("io.stat"), "8:0 rbytes=10 wbytes=20 rios=1\n"),
        (&path("memory.pressure"), "some avg10=0 total=1000000\n"),
        (&format!("sys/fs/cgroup/system.slice/docker-{two}.scope/memory.current"), "77\n"),
        (&format!("sys/fs/cgroup/system.slice/docker-{two}.scope/memory.max"), "max\n"),
    ]);
    let requests = measured(folder.path());
    let of = |id: &str| requests.iter().find(|r| of_resource(r, "container.id").as_deref() == Some(id)).unwrap();
    let container = of(&one);
    assert_eq!(of_resource(container, "k8s.pod.uid").as_deref(), Some(UID));
    for (name, attributes, expected) in [
        ("container.cpu.time", &[("cpu.mode", "user")][..], 2.0),
        ("weir.container.cpu.throttled.time", &[], 0.25),
        ("container.memory.usage", &[], 1000.0),
        ("container.memory.working_set", &[], 600.0),
        ("container.memory.available", &[], 4400.0),
        ("container.memory.rss", &[], 300.0),
        ("weir.container.oom_kills", &[], 2.0),
        ("container.disk.io", &[("disk.io.direction", "write")], 20.0),
        ("container.pressure.time", &[("pressure.resource", "memory")], 1.0),
    ] {
        assert_eq!(value(container, name, attributes), Some(expected), "{name} {attributes:?}");
    }
    // 1000 s and 500 ticks of 10 ms.
    let (Some(uptime), now) = (value(container, "container.uptime", &[]), weir_service::time::now_unix_nano()) else {
        panic!("{container:?}")
    };
    assert!((now as f64 / 1e9 - 1005.0 - uptime).abs() < 60.0);
    assert_eq!(value(of(&two), "container.memory.usage", &[]), Some(77.0));
    assert_eq!(value(of(&two), "container.memory.available", &[]), None);
    assert_eq!(of_resource(of(&two), "k8s.pod.uid"), None);
}

#[test]
fn a_pods_network_is_measured_once_and_a_hosts_not_again_without_a_right_to_look_into_processes() {
    let ids = ["ab", "cd", "ef"].map(|id| id.repeat(32));
    let folder = machine(&[
        ("proc/stat", "cpu 1 1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1 1\nbtime 1000\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu io memory\n"),
    ]);
    // Two containers of a pod, and one without a network of its own.
    for (pid, id, network) in [(7, &ids[0], 2), (8, &ids[1], 2), (9, &ids[2], 1), (1, &String::new(), 1)] {
        let proc = folder.path().join(format!("proc/{pid}"));
        fs::create_dir_all(proc.join("net")).unwrap();
        fs::write(proc.join("stat"), format!("{pid} (a) S {} {} 0", "0 ".repeat(18).trim_end(), pid * 100)).unwrap();
        let device = folder.path().join(format!("net-{network}"));
        fs::write(&device, "eth0: 5 1 0 0 0 0 0 0 7 2 0 3 0 0 0 0\nlo: 9 1 0 0 0 0 0 0 9 1 0 0\n").unwrap();
        fs::hard_link(&device, proc.join("net/dev")).unwrap();
        if !id.is_empty() {
            let uid = if network == 2 { UID } else { "99999999-2222-3333-4444-555555555555" };
            let cgroup = folder.path().join(format!("sys/fs/cgroup/kubepods/pod{uid}/{id}"));
            fs::create_dir_all(&cgroup).unwrap();
            fs::write(cgroup.join("cgroup.procs"), format!("{pid}\n")).unwrap();
        }
    }
    let requests = measured(folder.path());
    let sent = [("network.io.direction", "transmit"), ("network.interface.name", "eth0")];
    let of: Vec<_> = requests.iter().filter(|r| value(r, "k8s.pod.network.io", &sent) == Some(7.0)).collect();
    assert_eq!(of.len(), 1);
    assert_eq!(of_resource(of[0], "k8s.pod.uid").as_deref(), Some(UID));
    assert_eq!(of_resource(of[0], "container.id"), None);
}

#[test]
fn the_first_sample_of_a_new_pods_container_is_of_the_tenant_that_its_label_names() {
    let group = format!("sys/fs/cgroup/kubepods/pod{UID}/{}", "ab".repeat(32));
    let folder = machine(&[
        ("sys/fs/cgroup/cgroup.controllers", "cpu io memory\n"),
        (&format!("{group}/cpu.stat"), "user_usec 2000000\n"),
        (&format!("var/log/pods/team-a_ocr-1_{UID}/main/0.log"), ""),
    ]);
    let pods = Pods::of_test(State::InStep);
    let mut measure = measure(folder.path(), Naming::of("node-1", &TenantOptions::default()).with(&pods));
    let mut of_pod = || {
        let told = measured_by(&mut measure).into_iter();
        let of_pod = told.filter(|request| of_resource(request, "k8s.pod.uid").is_some());
        of_pod
            .map(|request| (of_resource(&request, "weir.tenant"), value(&request, "container.cpu.time", &[])))
            .collect()
    };
    let nothing: Vec<(Option<String>, Option<f64>)> = of_pod();
    assert_eq!(nothing, []);
    pods.come(Pod::of_test(UID, "acme"));
    assert_eq!(of_pod(), [(Some("acme".to_owned()), Some(2.0))]);
}

#[test]
fn this_machine_is_measured_until_nobody_asks_any_more() {
    let samples = Samples::new(&opentelemetry::global::meter("test"));
    let options =
        HostOptions { interval: weir_service::config::Span(Duration::from_millis(1)), ..HostOptions::default() };
    let naming = Naming::of("here", &TenantOptions::default());
    let host = Host::start(&options, naming, samples.clone()).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    let mut passes = 0;
    while passes < 2 {
        assert!(std::time::Instant::now() < deadline, "nothing is measured");
        for (key, bytes) in samples.taken() {
            if key == "host/here" {
                passes += 1;
                let request = ExportMetricsServiceRequest::decode(bytes).unwrap();
                assert!(value(&request, "system.memory.limit", &[]).unwrap() > 0.0);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(host);
    // The thread holds the queue; it ends.
    while samples.holders() > 1 {
        assert!(std::time::Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}
