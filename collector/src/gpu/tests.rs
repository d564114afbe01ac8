use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prost::Message;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::collector::metrics::v1::ExportMetricsServiceRequest;
use weir_service::config::Span;

use super::*;
use crate::kubernetes::{Pod, Pods, State};
use crate::options::TenantOptions;
use crate::points::look::{of_resource, value};

const MOST: Duration = Duration::from_mins(1);

/// A machine whose driver says what a test wants.
struct Machine {
    folder: tempfile::TempDir,
    lines: BTreeMap<String, String>,
}

impl Machine {
    fn new(old: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/nvml/nvml.c");
        let mut compiler = std::process::Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("nvml.so")).arg(source).arg("-ldl");
        if old {
            compiler.arg("-DOLD");
        }
        assert!(compiler.status().expect("a C compiler is needed").success());
        Self { folder, lines: BTreeMap::new() }
    }

    #[allow(clippy::needless_pass_by_value, reason = "tests write numbers and text as they are")]
    fn set(&mut self, key: &str, value: impl ToString) -> &mut Self {
        self.lines.insert(key.to_owned(), value.to_string());
        self
    }

    /// Makes the driver say what was set.
    fn say(&self) {
        let mut text = String::new();
        for (key, value) in &self.lines {
            writeln!(text, "{key} {value}").unwrap();
        }
        let (new, path) = (self.folder.path().join("new"), self.folder.path().join("nvml.so.state"));
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn nvml(&self) -> Nvml {
        Nvml::builder().lib_path(self.folder.path().join("nvml.so").as_os_str()).init().unwrap()
    }

    /// A process in a container of a pod, since long ago.
    fn process(&self, pid: u32, id: &str) {
        let proc = self.folder.path().join(format!("proc/{pid}"));
        fs::create_dir_all(&proc).unwrap();
        fs::write(self.folder.path().join("proc/stat"), "btime 1000\n").unwrap();
        fs::write(proc.join("stat"), format!("{pid} (a) S {} 1 0", "0 ".repeat(18).trim_end())).unwrap();
        fs::write(proc.join("cgroup"), format!("0::/kubepods/pod11111111-2222-3333-4444-{pid:012}/{id}\n")).unwrap();
    }

    fn measure(&self, samples: &Samples) -> Measure {
        self.measure_with(samples, naming())
    }

    fn measure_with(&self, samples: &Samples, naming: Naming) -> Measure {
        let counts = events::Counts::new(1);
        let root = self.folder.path().to_owned();
        let resources = Resources::new(root.clone(), naming);
        Measure::new(resources, samples.clone(), root, counts)
    }

    /// Measured once, as if GPU-a had been visited ten seconds ago; and when that was, in microseconds since the epoch.
    fn measured_ten_seconds_ago(&self, nvml: &Nvml, samples: &Samples, naming: Naming) -> (Measure, u64) {
        let mut measure = self.measure_with(samples, naming);
        measure.pass(nvml);
        points(samples);
        let state = measure.devices.get_mut("GPU-a").unwrap();
        state.visited = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        (state.seen, state.sampled) = (state.seen - 10_000_000, state.sampled - 10_000_000);
        let seen = state.seen;
        (measure, seen)
    }
}

fn naming() -> Naming {
    Naming::of("node", &TenantOptions::default())
}

fn samples() -> Samples {
    Samples::new(&opentelemetry::global::meter("test"))
}

fn points(samples: &Samples) -> Vec<(String, ExportMetricsServiceRequest)> {
    let taken = samples.taken().into_iter();
    taken.map(|(key, bytes)| (key, ExportMetricsServiceRequest::decode(bytes).unwrap())).collect()
}

/// The device of a profile, flattened to the keys that the library reads.
fn flatten(prefix: &str, value: &serde_json::Value, machine: &mut Machine) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                flatten(&format!("{prefix}.{key}"), value, machine);
            }
        }
        serde_json::Value::Number(number) => {
            machine.set(prefix, number);
        }
        serde_json::Value::Bool(on) => {
            machine.set(prefix, u8::from(*on));
        }
        serde_json::Value::String(text) if text != "N/A" => {
            machine.set(prefix, text);
        }
        _ => {}
    }
}

fn profiles(test: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("WEIR_TEST_DATA").map(|data| Path::new(&data).join("gpu/mocknvml-configs"));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        assert!(std::env::var_os("WEIR_TEST_REQUIRE").is_none_or(|value| value != "all"), "{test} cannot be skipped");
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: {test}: WEIR_TEST_DATA names no folder with profiles of GPUs\n"),
        );
    }
    folder
}

#[test]
fn every_profiles_values_are_measured() {
    let Some(folder) = profiles("every_profiles_values_are_measured") else { return };
    for name in ["h100", "a100", "l40s", "t4"] {
        let text = fs::read_to_string(folder.join(format!("mock-nvml-config-{name}.yaml"))).unwrap();
        let profile: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let defaults = &profile["device_defaults"];
        let mut machine = Machine::new(false);
        let devices = profile["devices"].as_array().unwrap();
        let driver = profile["system"]["driver_version"].as_str().unwrap().to_owned();
        machine.set("driver", driver).set("count", devices.len());
        for (index, device) in devices.iter().enumerate() {
            let gpu = format!("gpu.{index}");
            flatten(&gpu, defaults, &mut machine);
            flatten(&gpu, device, &mut machine);
            machine.set(&format!("{gpu}.throttle"), 0x1).set(&format!("{gpu}.utilization.gpu"), 10 + index);
            let links = profile["nvlink"]["links_per_gpu"].as_u64().unwrap_or(0);
            machine.set(&format!("{gpu}.nvlink.links"), links).set(&format!("{gpu}.nvlink.0.2"), 5);
            for (field, number) in [(82, 41), (142, 3), (143, 2), (144, 1), (145, 0), (230, 1)] {
                machine.set(&format!("{gpu}.field.{field}"), number);
            }
        }
        machine.say();
        let (nvml, samples) = (machine.nvml(), samples());
        machine.measure(&samples).pass(&nvml);
        let measured = points(&samples);
        assert_eq!(measured.len(), devices.len(), "{name}");
        for (index, device) in devices.iter().enumerate() {
            let uuid = device["uuid"].as_str().unwrap();
            let (_, request) = measured.iter().find(|(key, _)| *key == format!("gpu/{uuid}")).unwrap();
            let is = |metric: &str, more: &[(&str, &str)]| {
                let mut attributes = vec![("hw.id", uuid), ("hw.model", defaults["name"].as_str().unwrap())];
                attributes.extend(more);
                value(request, metric, &attributes)
            };
            let said = |pointer: &str| defaults.pointer(pointer).and_then(serde_json::Value::as_f64);
            let general = (10 + index) as f64 / 100.0;
            assert_eq!(is("hw.gpu.utilization", &[("hw.gpu.task", "general")]), Some(general), "{name}");
            assert_eq!(is("hw.gpu.memory.limit", &[]), said("/memory/total_bytes"));
            assert_eq!(is("hw.gpu.memory.usage", &[]), said("/memory/used_bytes"));
            assert_eq!(is("hw.power", &[]), said("/power/current_draw_mw").map(|mw| mw / 1e3));
            assert_eq!(is("hw.energy", &[]), said("/power/total_energy_consumption_mj").map(|mj| mj / 1e3), "{name}");
            let sensor = [("hw.sensor_location", "gpu")];
            assert_eq!(is("hw.temperature", &sensor), said("/thermal/temperature_gpu_c"));
            assert_eq!(is("hw.temperature", &[("hw.sensor_location", "memory")]), Some(41.0));
            let clock = [("weir.gpu.clock", "memory")];
            assert_eq!(is("weir.gpu.clock.frequency", &clock), said("/clocks/memory_current").map(|mhz| mhz * 1e6));
            assert_eq!(is("weir.gpu.clock.throttled", &[("weir.gpu.throttle.reason", "idle")]), Some(1.0));
            assert_eq!(is("weir.gpu.clock.throttled", &[("weir.gpu.throttle.reason", "hardware_thermal")]), Some(0.0));
            let uncorrected = [("error.type", "uncorrected")];
            assert_eq!(is("hw.errors", &uncorrected), said("/ecc/errors/aggregate/double_bit/total"));
            let pages = said("/retired_pages/double_bit_retirement/count");
            assert_eq!(is("weir.gpu.retired_pages", &uncorrected), pages);
            assert_eq!(is("weir.gpu.remapped_rows", &uncorrected), Some(2.0));
            assert_eq!(is("weir.gpu.remapped_rows.pending", &[]), Some(1.0));
            assert_eq!(is("weir.gpu.recovery_needed", &[("weir.gpu.recovery_action", "gpu_reset")]), Some(1.0));
            assert_eq!(is("weir.gpu.pcie.link.width", &[]), said("/pcie/current_link_width"));
            assert_eq!(is("weir.gpu.pcie.replays", &[]), said("/pcie/replay_counter"));
            let crc = [("weir.gpu.nvlink", "0"), ("error.type", "crc_flit")];
            let linked = profile["nvlink"]["links_per_gpu"].as_u64().is_some_and(|links| links > 0);
            assert_eq!(is("weir.gpu.nvlink.errors", &crc), linked.then_some(5.0), "{name}");
            let fan = value(request, "hw.fan.speed_ratio", &[("hw.parent", uuid)]);
            assert_eq!(fan.is_some(), said("/fan/count") > Some(0.0) && said("/fan/speed_percent").is_some(), "{name}");
        }
    }
}

#[test]
fn mig_instances_have_memory_of_their_own() {
    let mut machine = Machine::new(false);
    machine.set("count", 1).set("gpu.0.uuid", "GPU-a").set("gpu.0.mig.mode", 1).set("gpu.0.mig.count", 7);
    for instance in [0, 2] {
        let key = |name: &str| format!("gpu.0.mig.{instance}.{name}");
        machine.set(&key("uuid"), format!("MIG-{instance}")).set(&key("memory.total_bytes"), 1000);
        machine.set(&key("memory.used_bytes"), 100 + instance);
    }
    machine.say();
    let (nvml, samples) = (machine.nvml(), samples());
    machine.measure(&samples).pass(&nvml);
    let (_, request) = &points(&samples)[0];
    for (uuid, used) in [("MIG-0", 100.0), ("MIG-2", 102.0)] {
        let attributes = [("hw.id", uuid), ("hw.parent", "GPU-a")];
        assert_eq!(value(request, "hw.gpu.memory.usage", &attributes), Some(used));
    }
}

#[test]
fn the_shares_of_three_pods_and_of_nobody_add_up_to_the_gpu() {
    let mut machine = Machine::new(false);
    let ids = ["ab".repeat(32), "cd".repeat(32), "ef".repeat(32)];
    for (at, id) in ids.iter().enumerate() {
        machine.process(10 + at as u32, id);
        machine.set(&format!("gpu.0.process.{at}"), format!("{} {}", 10 + at, 1000 * (at + 1)));
    }
    machine.set("count", 1).set("gpu.0.uuid", "GPU-a").set("gpu.0.utilization.gpu", 80);
    machine.set("gpu.0.utilization.memory", 0).set("gpu.0.power.total_energy_consumption_mj", 1_000_000);
    machine.say();
    let (nvml, samples) = (machine.nvml(), samples());
    let (mut measure, seen) = machine.measured_ten_seconds_ago(&nvml, &samples, naming());
    // The three, twice each, and a process that /proc does not show.
    for (at, (pid, second, percent)) in
        [(10, 5, 20), (10, 9, 20), (11, 5, 10), (11, 9, 30), (12, 9, 5), (99, 9, 5)].into_iter().enumerate()
    {
        let time = seen + second * 1_000_000;
        machine.set(&format!("gpu.0.sample.{at}"), format!("{pid} {time} {percent}"));
    }
    machine.set("gpu.0.power.total_energy_consumption_mj", 4_000_000).say();
    measure.pass(&nvml);
    let measured = points(&samples);
    let gpu = [("hw.id", "GPU-a")];
    let of = |name: &str| -> Vec<f64> {
        let one = |id: &String| {
            let request = measured.iter().find(|(_, r)| of_resource(r, "container.id").as_ref() == Some(id));
            value(&request.unwrap().1, name, &gpu).unwrap()
        };
        ids.iter().map(one).collect()
    };
    let device = &measured.iter().find(|(key, _)| key == "gpu/GPU-a").unwrap().1;
    let (seconds, joules) = (of("weir.gpu.time"), of("weir.gpu.energy"));
    for (used, expected) in seconds.iter().zip([1.8, 1.7, 0.45]) {
        assert!((used - expected).abs() < 1e-6, "{seconds:?}");
    }
    let busy = value(device, "weir.gpu.busy.time", &gpu).unwrap();
    assert!(busy >= 8.0, "80% of at least ten seconds: {busy}");
    let nobody = value(device, "weir.gpu.unowned.time", &gpu).unwrap();
    assert!((seconds.iter().sum::<f64>() + nobody - busy).abs() < 1e-9);
    let nobody = value(device, "weir.gpu.unowned.energy", &gpu).unwrap();
    assert!((joules.iter().sum::<f64>() + nobody - 3000.0).abs() < 1e-6);
    assert_eq!(of("weir.gpu.memory.usage"), [1000.0, 2000.0, 3000.0]);
    let pod = of_resource(&measured.iter().find(|(key, _)| key.starts_with("container/ab")).unwrap().1, "k8s.pod.uid");
    assert_eq!(pod.as_deref(), Some("11111111-2222-3333-4444-000000000010"));
    // What was seen is not counted again.
    measure.pass(&nvml);
    let again = points(&samples);
    let (_, request) = again.iter().find(|(key, _)| key.starts_with("container/ab")).unwrap();
    assert_eq!(value(request, "weir.gpu.time", &gpu), Some(seconds[0]));
}

#[test]
fn a_container_that_pauses_at_every_visit_is_billed_for_the_time_between() {
    let mut machine = Machine::new(false);
    machine.process(10, &"ab".repeat(32));
    machine.set("count", 1).set("gpu.0.uuid", "GPU-a").set("gpu.0.utilization.gpu", 0);
    machine.set("gpu.0.utilization.memory", 0).set("gpu.0.power.total_energy_consumption_mj", 1_000_000).say();
    let (nvml, samples) = (machine.nvml(), samples());
    let (mut measure, seen) = machine.measured_ten_seconds_ago(&nvml, &samples, naming());
    // It runs for half of every second; the device was busy for another tenth of the time.
    for second in 1..=10 {
        let time = seen + second * 1_000_000;
        machine.set(&format!("gpu.0.sample.{}", second - 1), format!("10 {time} 50"));
        let busy = if second % 2 == 0 { 100 } else { 20 };
        machine.set(&format!("gpu.0.utilization.sample.{}", second - 1), format!("{time} {busy}"));
    }
    machine.set("gpu.0.power.total_energy_consumption_mj", 2_000_000).say();
    measure.pass(&nvml);
    let measured = points(&samples);
    let is = |key: &str, name: &str| {
        value(&measured.iter().find(|(k, _)| k.starts_with(key)).unwrap().1, name, &[("hw.id", "GPU-a")]).unwrap()
    };
    for (key, name, expected) in [
        ("container/", "weir.gpu.time", 5.0),
        ("container/", "weir.gpu.energy", 500.0),
        ("gpu/", "weir.gpu.busy.time", 6.0),
        ("gpu/", "weir.gpu.unowned.time", 1.0),
        ("gpu/", "weir.gpu.unowned.energy", 500.0),
    ] {
        // The pass itself takes a moment.
        assert!((is(key, name) / expected - 1.0).abs() < 0.05, "{name}: {}", is(key, name));
    }
}

#[test]
fn what_a_gpu_does_not_tell_is_unknown_and_an_idle_one_did_nothing() {
    for (idle, told) in [(false, None), (true, Some(0.0))] {
        let mut machine = Machine::new(false);
        machine.process(10, &"ab".repeat(32));
        machine.set("count", 1).set("gpu.0.uuid", "GPU-a").set("gpu.0.process.0", "10 1000");
        if idle {
            machine.set("gpu.0.sample.0", "10 1 50");
        }
        machine.say();
        let (nvml, samples) = (machine.nvml(), samples());
        let mut measure = machine.measure(&samples);
        measure.pass(&nvml);
        points(&samples);
        measure.pass(&nvml);
        let all =
            ["busy.time", "unowned.time", "unowned.energy", "time", "energy"].map(|name| format!("weir.gpu.{name}"));
        let measured = points(&samples);
        let is = |name: &str| measured.iter().find_map(|(_, request)| value(request, name, &[("hw.id", "GPU-a")]));
        assert_eq!(all.map(|name| is(&name)), [told; 5], "idle: {idle}");
        assert_eq!(is("weir.gpu.memory.usage"), Some(1000.0));
    }
}

/// Since when a counter of a request counts, and when its value was taken.
fn span(request: &ExportMetricsServiceRequest, name: &str) -> (u64, u64) {
    use weir_proto::otlp::metrics::v1::metric::Data;
    let metric = request.resource_metrics[0].scope_metrics[0].metrics.iter().find(|metric| metric.name == name);
    let Some(Data::Sum(sum)) = &metric.unwrap().data else { panic!("{name} is no counter") };
    (sum.data_points[0].start_time_unix_nano, sum.data_points[0].time_unix_nano)
}

#[test]
fn a_counter_begins_at_the_visit_before_it_first_counted() {
    let mut machine = Machine::new(false);
    machine.process(10, &"ab".repeat(32));
    machine.set("count", 1).set("gpu.0.uuid", "GPU-a").set("gpu.0.power.current_draw_mw", 1000).say();
    let (nvml, samples) = (machine.nvml(), samples());
    let mut measure = machine.measure(&samples);
    let mut of = |measure: &mut Measure, pid: u32, name: &str| {
        machine.set("gpu.0.process.0", format!("{pid} 1000"));
        machine.set("gpu.0.sample.0", format!("{pid} {} 50", weir_service::time::now_unix_nano() / 1000)).say();
        measure.pass(&nvml);
        let measured = points(&samples);
        let key = if name == "weir.gpu.time" { "container/" } else { "gpu/" };
        measured.iter().find(|(k, _)| k.starts_with(key)).map(|(_, request)| span(request, name))
    };
    assert_eq!(of(&mut measure, 99, "weir.gpu.time"), None);
    let (first, second) = of(&mut measure, 99, "weir.gpu.busy.time").unwrap();
    measure.counts.add("GPU-a", &events::Kind::Xid(79));
    let (start, third) = of(&mut measure, 10, "weir.gpu.time").unwrap();
    assert!(first < second && start == second && second < third);
    assert_eq!(of(&mut measure, 99, "weir.gpu.xid.errors").unwrap().0, second);
    let (start, fifth) = of(&mut measure, 10, "weir.gpu.time").unwrap();
    assert_eq!(start, second, "it is one counter as long as it is known");
    // It was forgotten, and comes back.
    measure.devices.get_mut("GPU-a").unwrap().containers.clear();
    assert_eq!(of(&mut measure, 10, "weir.gpu.time").unwrap().0, fifth);
}

#[test]
fn what_was_counted_while_a_pod_was_waited_for_is_told_once_and_as_its_tenants() {
    let (id, uid) = ("ab".repeat(32), "11111111-2222-3333-4444-000000000010");
    let mut machine = Machine::new(false);
    machine.process(10, &id);
    fs::create_dir_all(machine.folder.path().join(format!("var/log/pods/team-a_ocr-1_{uid}"))).unwrap();
    machine.set("count", 1).set("gpu.0.uuid", "GPU-a").set("gpu.0.power.total_energy_consumption_mj", 1_000_000).say();
    let (nvml, samples, pods) = (machine.nvml(), samples(), Pods::of_test(State::InStep));
    let (mut measure, seen) = machine.measured_ten_seconds_ago(&nvml, &samples, naming().with(&pods));
    let begun = measure.devices["GPU-a"].visited_nano;
    let time = seen + 4_000_000;
    machine.set("gpu.0.sample.0", format!("10 {time} 50")).set("gpu.0.power.total_energy_consumption_mj", 2_000_000);
    machine.say();
    measure.pass(&nvml);
    assert!(points(&samples).iter().all(|(key, _)| key == "gpu/GPU-a"), "its pod is not known");
    // Its process has ended, and it is forgotten at this visit.
    for state in measure.devices.values_mut().flat_map(|device| device.containers.values_mut()) {
        state.last = state.last.checked_sub(FORGET).unwrap();
    }
    pods.come(Pod::of_test(uid, "acme"));
    measure.pass(&nvml);
    let measured = points(&samples);
    let (_, told) = measured.iter().find(|(key, _)| *key == format!("container/{id}")).unwrap();
    assert_eq!(of_resource(told, "weir.tenant").as_deref(), Some("acme"));
    assert_eq!(value(told, "weir.gpu.time", &[]), Some(2.0));
    // Two of ten seconds.
    let joules = value(told, "weir.gpu.energy", &[]).unwrap();
    assert!((joules / 200.0 - 1.0).abs() < 0.05, "{joules}");
    assert_eq!(span(told, "weir.gpu.time").0, begun);
    measure.pass(&nvml);
    assert!(points(&samples).iter().all(|(key, _)| key == "gpu/GPU-a"));
}

/// Waits until `done` says so.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + MOST;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_event_of_a_burst_is_seen_and_a_driver_that_hangs_is_told_and_waited_for() {
    let mut machine = Machine::new(false);
    machine.set("count", 1).set("gpu.0.uuid", "GPU-a").set("gpu.0.field.230", 2);
    for at in 0..20 {
        machine.set(&format!("event.{at}"), if at == 13 { "0 2 0" } else { "0 8 79" });
    }
    machine.say();
    let samples = samples();
    let watch = Watch::new(&opentelemetry::global::meter("test")).with_patience(Duration::from_secs(3));
    let library = Some(machine.folder.path().join("nvml.so"));
    let options = GpuOptions { library, interval: Span(Duration::from_millis(5)) };
    let root = machine.folder.path().to_owned();
    let gpu = Gpu::start(&options, Naming::of("node", &TenantOptions::default()), root, samples.clone(), watch.clone())
        .unwrap();
    let (mut logs, mut counted) = (Vec::new(), None);
    let xid = [("hw.id", "GPU-a"), ("weir.gpu.xid", "79"), ("weir.gpu.policy", "restart_machine")];
    let take = |logs: &mut Vec<_>, counted: &mut Option<f64>| {
        for record in samples.records() {
            if &*record.topic == weir_proto::topic::LOGS {
                let request = ExportLogsServiceRequest::decode(record.value).unwrap();
                logs.extend(request.resource_logs[0].scope_logs[0].log_records.clone());
            } else {
                let request = ExportMetricsServiceRequest::decode(record.value).unwrap();
                *counted = value(&request, "weir.gpu.xid.errors", &xid).or(*counted);
            }
        }
    };
    until("all events", || {
        take(&mut logs, &mut counted);
        logs.len() == 20 && counted == Some(19.0)
    });
    assert_eq!(logs.iter().filter(|record| record.event_name == "weir.gpu.xid").count(), 19);
    let action = crate::points::attribute("weir.gpu.recovery_action", "node_reboot");
    assert!(logs.iter().all(|record| record.attributes.contains(&action)), "{:?}", logs[0]);
    assert!(!watch.is_hung());
    machine.set("hang", 1).say();
    until("it hangs", || watch.is_hung());
    machine.set("hang", 0).set("event.20", "0 8 79").say();
    until("it goes on", || {
        take(&mut logs, &mut counted);
        !watch.is_hung() && counted == Some(20.0)
    });
    drop(gpu);
    // Both threads hold the queue; they end.
    until("the threads end", || samples.holders() == 1);
}

#[test]
fn a_lost_gpu_ends_no_events_of_the_others() {
    let mut machine = Machine::new(false);
    machine.set("count", 3).set("gpu.0.lost", 1);
    for gpu in 0..3 {
        machine.set(&format!("gpu.{gpu}.uuid"), format!("GPU-{gpu}"));
    }
    machine.set("event.0", "1 8 31").say();
    let samples = samples();
    let watch = Watch::new(&opentelemetry::global::meter("test"));
    let library = Some(machine.folder.path().join("nvml.so"));
    let options = GpuOptions { library, interval: Span(Duration::from_millis(5)) };
    let root = machine.folder.path().to_owned();
    let naming = Naming::of("node", &TenantOptions::default());
    let gpu = Gpu::start(&options, naming, root, samples.clone(), watch).unwrap();
    let since = Instant::now();
    let told = |key: &str| {
        samples
            .records()
            .iter()
            .any(|r| *r.topic == *weir_proto::topic::LOGS && r.key.as_deref() == Some(key.as_bytes()))
    };
    until("an event beside a GPU that was lost before", || told("gpu/GPU-1"));
    machine.set("gpu.1.lost", 1).set("event.1", "2 8 31").say();
    until("an event beside one that is lost now", || told("gpu/GPU-2"));
    assert!(since.elapsed() < Duration::from_secs(30), "it was waited for the next try");
    drop(gpu);
    until("the threads end", || samples.holders() == 1);
}

#[test]
fn what_an_old_library_lacks_is_left_out() {
    let mut machine = Machine::new(true);
    machine.set("count", 1).set("gpu.0.uuid", "GPU-a").set("gpu.0.field.142", 1).set("gpu.0.mig.mode", 1);
    machine.set("gpu.0.power.current_draw_mw", 5000).say();
    let (nvml, samples) = (machine.nvml(), samples());
    let mut measure = machine.measure(&samples);
    measure.pass(&nvml);
    measure.pass(&nvml);
    for (_, request) in points(&samples) {
        assert_eq!(value(&request, "hw.power", &[]), Some(5.0));
        assert_eq!(value(&request, "weir.gpu.remapped_rows", &[]), None);
    }
}

#[test]
fn without_nvml_nothing_is_measured_and_nothing_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let options = GpuOptions { library: Some(folder.path().join("none.so")), ..GpuOptions::default() };
    let (samples, watch) = (samples(), Watch::new(&opentelemetry::global::meter("test")));
    let root = folder.path().to_owned();
    let gpu = Gpu::start(&options, Naming::default(), root, samples.clone(), watch).unwrap();
    drop(gpu);
    until("the thread ends", || samples.holders() == 1);
    assert!(samples.taken().is_empty());
    assert!(!has_driver(folder.path()));
    fs::create_dir_all(folder.path().join("proc/driver/nvidia")).unwrap();
    assert!(has_driver(folder.path()), "it is told louder where there are GPUs");
}
