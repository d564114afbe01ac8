//! The host source: the machine as `system.*` and its containers as `container.*`, from `/proc`, `/sys` and cgroup v2, and
//! its pods as `k8s.*`, from what is known of them.
//!
//! Has a thread of its own, which reads all of it once every interval and hands points to [`Samples`]; it never waits for
//! the bus, and a file system that does not answer is left out until it does. Counters are what the kernel counts, since
//! the start of the machine or of the container's first process.

pub(crate) mod cgroup;
mod clock;
mod mounts;
pub(crate) mod names;
pub(crate) mod proc;
mod system;
#[cfg(test)]
mod tests;

pub(crate) use system::boot;

use std::collections::HashSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use crate::naming::Naming;
use crate::options::HostOptions;
use crate::points::Points;
use crate::samples::Samples;

/// No file that is read here is longer.
const LONGEST: u64 = 1 << 20;

/// Measures for as long as it is there.
#[derive(Debug)]
pub struct Host {
    /// The thread ends when this is gone; nobody waits for it, since it may hang in the kernel.
    _running: mpsc::Sender<()>,
}

/// What a pass needs.
#[derive(Debug)]
struct Measure {
    root: PathBuf,
    /// `/proc/self`, whose `mountinfo` says what this process itself sees.
    own: PathBuf,
    name: String,
    naming: Naming,
    resources: names::Resources,
    samples: Samples,
    mounts: mounts::Mounts,
    containers: cgroup::Containers,
    /// Whether it was said that a network cannot be read.
    said: bool,
}

impl Host {
    /// Starts to measure.
    pub fn start(options: &HostOptions, naming: Naming, samples: Samples) -> std::io::Result<Self> {
        let mut measure = Measure::new(options, naming, samples);
        let interval = options.interval.0;
        let (running, stopped) = mpsc::channel();
        let run = move || {
            if !cgroup::Containers::are_there(&measure.root) {
                tracing::info!("this machine has no cgroup v2: its containers are not measured");
            }
            loop {
                measure.pass();
                if stopped.recv_timeout(interval) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("weir-host".to_owned()).spawn(run)?;
        Ok(Self { _running: running })
    }
}

impl Measure {
    fn new(options: &HostOptions, naming: Naming, samples: Samples) -> Self {
        Self {
            root: options.root.clone(),
            own: PathBuf::from("/proc/self"),
            name: naming.host().to_owned(),
            naming: naming.clone(),
            resources: names::Resources::new(options.root.clone(), naming),
            samples,
            mounts: mounts::Mounts::default(),
            containers: cgroup::Containers::default(),
            said: false,
        }
    }

    fn pass(&mut self) {
        let now = weir_service::time::now_unix_nano() as u64;
        crate::kubernetes::measure(&self.naming, &self.samples, now);
        let stat = system::stat(&self.root);
        let mut points = Points::new(&self.resources.machine(), now);
        system::measure(&mut points, &self.root, &stat);
        clock::measure(&mut points);
        let own = read(&self.own, "mountinfo");
        for usage in self.mounts.measure(&self.root, &of_init(&self.root, "mountinfo"), &own) {
            system::filesystem(&mut points, &usage);
        }
        self.samples.points("host", &format!("host/{}", self.name), points);
        if !cgroup::Containers::are_there(&self.root) {
            return;
        }
        self.resources.begin_pass();
        let mut containers = std::mem::take(&mut self.containers);
        let mut found: Vec<_> = containers.find(&self.root, stat.boot_nano()).collect();
        found.sort_by_key(|container| container.age());
        let mut networks = HashSet::new();
        for container in found {
            let Some(resource) = self.resources.of(&container.identity) else { continue };
            let mut points = Points::new(&resource, now);
            container.measure(&mut points, now);
            let network = container.network(&self.root).unwrap_or_else(|error| {
                // Of one that has ended meanwhile there is nothing to say.
                if error.kind() != std::io::ErrorKind::NotFound && !std::mem::replace(&mut self.said, true) {
                    tracing::warn!(%error, "networks of containers cannot be read: what they carried is not told");
                }
                None
            });
            if let Some((network, measure)) = network
                && networks.insert(network)
            {
                match &container.identity.pod {
                    Some(uid) => {
                        let pod = cgroup::Identity { id: String::new(), pod: Some(uid.clone()) };
                        if let Some(resource) = self.resources.of(&pod) {
                            let mut points = Points::new(&resource, now);
                            measure(&mut points);
                            self.samples.points("host", &format!("pod/{uid}"), points);
                        }
                    }
                    None => measure(&mut points),
                }
            }
            self.samples.points("host", &format!("container/{}", container.identity.id), points);
        }
        self.containers = containers;
    }
}

/// A file's text, empty where it cannot be read; no more of it than [`LONGEST`].
pub(crate) fn read(folder: &Path, file: &str) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(folder.join(file)) {
        // What was read before an error is as good as a file that is gone: a line less.
        let _ = file.take(LONGEST).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the machine's first process sees, which is the machine itself though the collector runs in a container; else
/// what this process sees.
fn of_init(root: &Path, file: &str) -> String {
    let init = read(root, &format!("proc/1/{file}"));
    if init.is_empty() { read(root, &format!("proc/self/{file}")) } else { init }
}
