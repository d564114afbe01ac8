//! The GPU source: NVIDIA's GPUs through NVML, which is loaded when the collector runs, and need not be there.
//!
//! Every call of the driver may hang, and none of it may hold up the collector: one thread asks the GPUs once every
//! interval, another waits for events, and [`Watch`] says when a call of theirs does not come back; they go on when it
//! does. Points and events go to [`Samples`], which never makes anybody wait.
//!
//! What a GPU did is dealt out to containers by the driver's samples of processes (`share`); their parts and nobody's add
//! up to the device. Each of these counters begins at the visit before it first counted something: what happened until the
//! next one is an increase too.

mod device;
mod events;
mod owners;
mod share;
#[cfg(test)]
mod tests;
mod watch;
mod xid;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::{Device, Nvml};

pub use watch::Watch;

use crate::host::cgroup::Identity;
use crate::host::names::Resources;
use crate::naming::Naming;
use crate::options::GpuOptions;
use crate::points::Points;
use crate::samples::Samples;
use share::{Sample, Used};

/// Where drivers lie: beside the system's libraries, and where Kubernetes' device plugins and operators put them.
const LIBRARIES: [&str; 6] = [
    "libnvidia-ml.so.1",
    "libnvidia-ml.so",
    "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
    "/home/kubernetes/bin/nvidia/lib64/libnvidia-ml.so.1",
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/run/nvidia/driver/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
];
/// How long after NVML could not be had it is tried again: a driver may be installed meanwhile.
const RETRY: Duration = Duration::from_mins(1);
/// GPUs of a machine at most.
const DEVICES: u32 = 64;
/// Containers whose counters are kept at most, and for how long after they used a GPU.
const CONTAINERS: usize = 2000;
const FORGET: Duration = Duration::from_mins(10);

/// Measures for as long as it is there.
#[derive(Debug)]
pub struct Gpu {
    /// The threads end when this is gone; nobody waits for them, since they may hang in the driver.
    _running: mpsc::Sender<()>,
    watch: Watch,
}

/// What a pass over the GPUs needs.
#[derive(Debug)]
struct Measure {
    resources: Resources,
    samples: Samples,
    asked: device::Asked,
    owners: owners::Owners,
    counts: events::Counts,
    devices: BTreeMap<String, State>,
}

/// What is known of a GPU from visit to visit.
#[derive(Debug)]
struct State {
    visited: Instant,
    /// The same in nanoseconds since the epoch, and when the GPU was visited first.
    visited_nano: u64,
    start: u64,
    energy: Option<f64>,
    /// The last sample of a process, in microseconds since the epoch.
    seen: u64,
    /// The last sample of the device itself, likewise.
    sampled: u64,
    busy: f64,
    nobody: Used,
    containers: BTreeMap<Identity, Part>,
}

#[derive(Debug)]
struct Part {
    start: u64,
    used: Used,
    memory: u64,
    last: Instant,
}

impl Gpu {
    /// Starts to measure; `root` is where the machine's `/proc` lies.
    pub fn start(
        options: &GpuOptions,
        naming: Naming,
        root: PathBuf,
        samples: Samples,
        watch: Watch,
    ) -> std::io::Result<Self> {
        let resources = Resources::new(root.clone(), naming);
        let (running, stopped) = mpsc::channel();
        let (library, interval) = (options.library.clone(), options.interval.0);
        let watching = watch.clone();
        let run = move || {
            let Some(nvml) = open(library.as_deref(), &root, &stopped, &watching) else { return };
            let counts = events::Counts::new(weir_service::time::now_unix_nano() as u64);
            let wanted = Arc::new(AtomicBool::new(true));
            watch_events(Arc::clone(&nvml), counts.clone(), resources.machine(), samples.clone(), &wanted, &watching);
            let mut measure = Measure::new(resources, samples, root, counts);
            loop {
                watching.busy(watch::Thread::Measure, true);
                measure.pass(&nvml);
                watching.busy(watch::Thread::Measure, false);
                if stopped.recv_timeout(interval) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
            wanted.store(false, Ordering::Relaxed);
        };
        std::thread::Builder::new().name("weir-gpu".to_owned()).spawn(run)?;
        Ok(Self { _running: running, watch })
    }

    /// Tells when the driver hangs, for ever.
    pub async fn watched(&self) {
        self.watch.run().await;
    }
}

/// Whether the machine has the driver, though its library may not be where the collector runs.
fn has_driver(root: &Path) -> bool {
    root.join("proc/driver/nvidia").exists()
}

/// Loads NVML; tries until it is there, or nobody asks any more.
fn open(library: Option<&Path>, root: &Path, stopped: &mpsc::Receiver<()>, watch: &Watch) -> Option<Arc<Nvml>> {
    let mut said = false;
    loop {
        watch.busy(watch::Thread::Measure, true);
        let mut errors = Vec::new();
        let names: Vec<&std::ffi::OsStr> = match library {
            Some(path) => vec![path.as_os_str()],
            None => LIBRARIES.iter().map(|name| (*name).as_ref()).collect(),
        };
        let found = names.into_iter().find_map(|name| {
            Nvml::builder().lib_path(name).init().map_err(|error| errors.push((name.to_owned(), error))).ok()
        });
        watch.busy(watch::Thread::Measure, false);
        if let Some(nvml) = found {
            let driver = nvml.sys_driver_version().unwrap_or_default();
            tracing::info!(driver, "GPUs are measured");
            return Some(Arc::new(nvml));
        }
        if !std::mem::replace(&mut said, true) {
            if library.is_some() {
                for (name, error) in &errors {
                    tracing::error!(library = %name.display(), %error, "NVML cannot be used: no GPU is measured");
                }
            } else if has_driver(root) {
                tracing::warn!(
                    "this machine has NVIDIA's driver, but its library is not here, so no GPU is measured: \
                     in Kubernetes the collector's pod needs runtimeClassName: nvidia"
                );
            } else {
                tracing::info!("there is no NVML on this machine: no GPU is measured until there is");
            }
        }
        if stopped.recv_timeout(RETRY) != Err(mpsc::RecvTimeoutError::Timeout) {
            return None;
        }
    }
}

/// Waits for events in a thread of their own.
fn watch_events(
    nvml: Arc<Nvml>,
    counts: events::Counts,
    resource: Vec<(String, String)>,
    samples: Samples,
    wanted: &Arc<AtomicBool>,
    watch: &Watch,
) {
    let (wanted, watch) = (Arc::clone(wanted), watch.clone());
    let run = move || {
        let mut said = false;
        let is_wanted = || wanted.load(Ordering::Relaxed);
        while is_wanted() {
            let busy = |busy| watch.busy(watch::Thread::Events, busy);
            let ended = events::watch(&nvml, &counts, &resource, &samples, is_wanted, busy);
            watch.busy(watch::Thread::Events, false);
            if let Err(error) = ended
                && !std::mem::replace(&mut said, true)
            {
                tracing::warn!(%error, "events of GPUs cannot be had; it is tried again");
            }
            for _ in 0..RETRY.as_secs() {
                if is_wanted() {
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("weir-gpu-events".to_owned()).spawn(run) {
        tracing::error!(%error, "there is no thread to wait for events of GPUs");
    }
}

impl Measure {
    fn new(resources: Resources, samples: Samples, root: PathBuf, counts: events::Counts) -> Self {
        Self {
            resources,
            samples,
            asked: device::Asked::default(),
            owners: owners::Owners::new(root),
            counts,
            devices: BTreeMap::new(),
        }
    }

    fn pass(&mut self, nvml: &Nvml) {
        self.resources.begin_pass();
        self.owners.begin_pass();
        let count = self.asked.take("count", nvml.device_count()).unwrap_or(0);
        for index in 0..count.min(DEVICES) {
            let Some(gpu) = self.asked.take("device", nvml.device_by_index(index)) else { continue };
            let now = weir_service::time::now_unix_nano() as u64;
            let mut points = Points::new(&self.resources.machine(), now);
            let Some(reading) = device::measure(&mut points, &gpu, index, &mut self.asked) else { continue };
            self.counts.measure(&mut points, &reading.uuid, now);
            self.share(&mut points, &gpu, &reading, now);
            self.samples.points("gpu", &format!("gpu/{}", reading.uuid), points);
        }
    }

    /// Deals out what the GPU did since the last visit.
    fn share(&mut self, points: &mut Points, gpu: &Device<'_>, reading: &device::Reading, now: u64) {
        let mut memory: BTreeMap<Identity, u64> = BTreeMap::new();
        let processes = [
            self.asked.take("processes", gpu.running_compute_processes()),
            self.asked.take("MPS processes", gpu.mps_running_compute_processes()),
        ];
        for process in processes.into_iter().flatten().flatten() {
            if let (Some(container), UsedGpuMemory::Used(bytes)) =
                (self.owners.of(process.pid, now / 1000), process.used_gpu_memory)
            {
                *memory.entry(container).or_default() += bytes;
            }
        }
        let visited = Instant::now();
        let Some(state) = self.devices.get_mut(&reading.uuid) else {
            let state = State {
                visited,
                visited_nano: now,
                start: now,
                energy: reading.energy,
                seen: now / 1000,
                sampled: now / 1000,
                busy: 0.0,
                nobody: Used::default(),
                containers: BTreeMap::new(),
            };
            self.devices.insert(reading.uuid.clone(), state);
            return;
        };
        let elapsed = (visited - state.visited).as_secs_f64();
        // Between two visits a driver may be loaded anew, and count from zero.
        let joules = match (state.energy, reading.energy) {
            (Some(before), Some(after)) if after >= before => after - before,
            _ => reading.power.unwrap_or(0.0) * elapsed,
        };
        let taken = self.asked.list("process samples", gpu.process_utilization_stats(state.seen));
        let has_samples = taken.is_some();
        let taken: Vec<Sample> = taken
            .into_iter()
            .flatten()
            .filter(|sample| sample.timestamp > state.seen)
            .map(|sample| Sample { pid: sample.pid, time: sample.timestamp, percent: sample.sm_util })
            .collect();
        let averaged = device::busy_since(gpu, state.sampled, &mut self.asked);
        let busy = averaged.map(|(busy, _)| busy).or(reading.busy).map(|busy| busy * elapsed);
        // A GPU that is cut into MIG instances tells neither: what it did is unknown, which is not the same as nothing.
        let is_known = has_samples || busy.is_some();
        let joules = if is_known { joules } else { 0.0 };
        state.sampled = averaged.map_or(state.sampled, |(_, time)| time);
        let owners = &mut self.owners;
        let owner = |sample: &Sample| owners.of(sample.pid, sample.time);
        let (parts, nobody) = share::deal(&taken, state.seen, elapsed, busy, joules, owner);
        state.seen = taken.iter().map(|sample| sample.time).max().unwrap_or(state.seen).max(state.seen);
        let before = std::mem::replace(&mut state.visited_nano, now);
        (state.visited, state.energy) = (visited, reading.energy);
        state.busy += parts.values().map(|part| part.seconds).sum::<f64>() + nobody.seconds;
        state.nobody.seconds += nobody.seconds;
        state.nobody.joules += nobody.joules;
        for part in state.containers.values_mut() {
            part.memory = 0;
        }
        let used = parts.into_iter().map(|(container, used)| (container, used, 0));
        let held = memory.into_iter().map(|(container, bytes)| (container, Used::default(), bytes));
        for (container, used, bytes) in used.chain(held) {
            if state.containers.len() >= CONTAINERS && !state.containers.contains_key(&container) {
                state.nobody.seconds += used.seconds;
                state.nobody.joules += used.joules;
                continue;
            }
            let new = Part { start: before, used: Used::default(), memory: 0, last: visited };
            let part = state.containers.entry(container).or_insert(new);
            part.used.seconds += used.seconds;
            part.used.joules += used.joules;
            part.memory += bytes;
            part.last = visited;
        }
        let gpu = [("hw.id", reading.uuid.as_str()), ("hw.type", "gpu")];
        if is_known {
            points.counter("weir.gpu.busy.time", "s", state.start, state.busy, &gpu);
            points.counter("weir.gpu.unowned.time", "s", state.start, state.nobody.seconds, &gpu);
            points.counter("weir.gpu.unowned.energy", "J", state.start, state.nobody.joules, &gpu);
        }
        for (container, part) in &state.containers {
            let Some(resource) = self.resources.of(container) else { continue };
            let mut own = Points::new(&resource, now);
            if has_samples {
                own.counter("weir.gpu.time", "s", part.start, part.used.seconds, &gpu);
                own.counter("weir.gpu.energy", "J", part.start, part.used.joules, &gpu);
            }
            own.up_down("weir.gpu.memory.usage", "By", part.memory, &gpu);
            self.samples.points("gpu", &format!("container/{}", container.id), own);
        }
        // Last, as what waited for its pod since the visit before may be told now only.
        state.containers.retain(|_, part| visited - part.last < FORGET);
    }
}
