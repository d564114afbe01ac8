//! The machine as `system.*` points. Names, units and attributes are OpenTelemetry's system metrics; load and inodes are
//! named as its host receiver names them, and pressure, for which there is no name yet, likewise.

use std::path::Path;

use super::mounts::Usage;
use super::proc::{self, Stat};
use super::read;
use crate::points::Points;

const READ_WRITE: [&str; 2] = ["read", "write"];
const RECEIVE_TRANSMIT: [&str; 2] = ["receive", "transmit"];
/// Of disks and of interfaces, each.
const MOST: usize = 512;

/// What the machine counts since its start.
pub(super) fn stat(root: &Path) -> Stat {
    proc::stat(&read(root, "proc/stat"))
}

/// When the machine was started, in nanoseconds since the epoch; 0 where that is not known.
pub(crate) fn boot(root: &Path) -> u64 {
    stat(root).boot_nano()
}

/// Everything but the file systems.
pub(super) fn measure(points: &mut Points, root: &Path, stat: &Stat) {
    let boot = stat.boot_nano();
    cpu(points, root, stat);
    memory(points, root, boot);
    for resource in ["cpu", "memory", "io"] {
        let text = read(root, &format!("proc/pressure/{resource}"));
        pressure(points, "system.pressure.time", &text, resource, boot);
    }
    disks(points, root, boot);
    network(points, root, boot);
}

/// Time in which some tasks, or all, waited for a resource.
pub(super) fn pressure(points: &mut Points, name: &'static str, text: &str, resource: &str, start: u64) {
    for (kind, micros) in proc::pressure(text) {
        let attributes = [("pressure.resource", resource), ("pressure.kind", kind)];
        points.counter(name, "s", start, micros as f64 / 1e6, &attributes);
    }
}

/// Page faults that were served from memory, and from disk.
pub(super) fn faults(points: &mut Points, name: &'static str, text: &str, start: u64) {
    if let (Some(all), Some(major)) = (proc::keyed(text, "pgfault"), proc::keyed(text, "pgmajfault")) {
        for (kind, value) in [("minor", all.saturating_sub(major)), ("major", major)] {
            points.counter(name, "{fault}", start, value, &[("system.paging.fault.type", kind)]);
        }
    }
}

fn cpu(points: &mut Points, root: &Path, stat: &Stat) {
    let boot = stat.boot_nano();
    if stat.cpus == 0 {
        return;
    }
    for (mode, ticks) in proc::CPU_MODES.into_iter().zip(stat.cpu) {
        points.counter("system.cpu.time", "s", boot, ticks as f64 / proc::TICKS, &[("cpu.mode", mode)]);
    }
    points.up_down("system.cpu.logical.count", "{cpu}", stat.cpus, &[]);
    points.counter("system.process.created", "{process}", boot, stat.created, &[]);
    points.up_down("system.process.count", "{process}", stat.running, &[("process.state", "running")]);
    points.up_down("system.process.count", "{process}", stat.blocked, &[("process.state", "blocked")]);
    let names = ["system.cpu.load_average.1m", "system.cpu.load_average.5m", "system.cpu.load_average.15m"];
    for (name, load) in names.into_iter().zip(proc::load(&read(root, "proc/loadavg")).into_iter().flatten()) {
        points.gauge(name, "{thread}", load, &[]);
    }
    let uptime = read(root, "proc/uptime");
    if let Some(seconds) = uptime.split_ascii_whitespace().next().and_then(|word| word.parse::<f64>().ok()) {
        points.gauge("system.uptime", "s", seconds, &[]);
    }
}

fn memory(points: &mut Points, root: &Path, boot: u64) {
    let text = read(root, "proc/meminfo");
    let bytes = |key: &str| proc::keyed(&text, key).map(|kib| kib.saturating_mul(1024));
    if let (Some(total), Some(free)) = (bytes("MemTotal"), bytes("MemFree")) {
        let buffers = bytes("Buffers").unwrap_or(0);
        // What of the kernel's own caches can be had back is a cache too.
        let cached = bytes("Cached").unwrap_or(0).saturating_add(bytes("SReclaimable").unwrap_or(0));
        let used = total.saturating_sub(free.saturating_add(buffers).saturating_add(cached));
        for (state, value) in [("used", used), ("free", free), ("buffers", buffers), ("cached", cached)] {
            let attributes = [("system.memory.state", state)];
            points.up_down("system.memory.usage", "By", value, &attributes);
            points.gauge("system.memory.utilization", "1", value as f64 / total.max(1) as f64, &attributes);
        }
        points.up_down("system.memory.limit", "By", total, &[]);
    }
    for (name, key) in [("system.memory.linux.available", "MemAvailable"), ("system.memory.linux.shared", "Shmem")] {
        if let Some(value) = bytes(key) {
            points.up_down(name, "By", value, &[]);
        }
    }
    for (state, key) in [("reclaimable", "SReclaimable"), ("unreclaimable", "SUnreclaim")] {
        if let Some(value) = bytes(key) {
            let attributes = [("system.memory.linux.slab.state", state)];
            points.up_down("system.memory.linux.slab.usage", "By", value, &attributes);
        }
    }
    if let (Some(total), Some(free)) = (bytes("SwapTotal"), bytes("SwapFree")) {
        for (state, value) in [("used", total.saturating_sub(free)), ("free", free)] {
            points.up_down("system.paging.usage", "By", value, &[("system.paging.state", state)]);
        }
    }
    let text = read(root, "proc/vmstat");
    faults(points, "system.paging.faults", &text, boot);
    for (direction, key) in [("in", "pswpin"), ("out", "pswpout")] {
        if let Some(value) = proc::keyed(&text, key) {
            let attributes = [("system.paging.direction", direction), ("system.paging.fault.type", "major")];
            points.counter("system.paging.operations", "{operation}", boot, value, &attributes);
        }
    }
}

/// Whole disks only: a partition's bytes are its disk's bytes.
fn disks(points: &mut Points, root: &Path, boot: u64) {
    let whole = |device: &str| root.join("sys/block").join(device.replace('/', "!")).exists();
    let used = |disk: &proc::Disk<'_>| !disk.device.starts_with("ram") && !disk.device.starts_with("loop");
    let text = read(root, "proc/diskstats");
    for disk in proc::disks(&text).filter(|disk| used(disk) && whole(disk.device)).take(MOST) {
        for (at, direction) in READ_WRITE.into_iter().enumerate() {
            let attributes = [("system.device", disk.device), ("disk.io.direction", direction)];
            points.counter("system.disk.io", "By", boot, disk.bytes[at], &attributes);
            points.counter("system.disk.operations", "{operation}", boot, disk.operations[at], &attributes);
            points.counter("system.disk.merged", "{operation}", boot, disk.merged[at], &attributes);
            points.counter("system.disk.operation_time", "s", boot, disk.time[at] as f64 / 1e3, &attributes);
        }
        let attributes = [("system.device", disk.device)];
        points.counter("system.disk.io_time", "s", boot, disk.busy as f64 / 1e3, &attributes);
    }
}

/// The machine's own interfaces: neither loopback nor the ends of those that lie in containers, of which a node has one
/// for every pod.
fn network(points: &mut Points, root: &Path, boot: u64) {
    let own = |name: &str| name != "lo" && !["veth", "cali", "lxc"].iter().any(|start| name.starts_with(start));
    let text = super::of_init(root, "net/dev");
    for interface in proc::interfaces(&text).filter(|interface| own(interface.name)).take(MOST) {
        for (at, direction) in RECEIVE_TRANSMIT.into_iter().enumerate() {
            let attributes = [("network.interface.name", interface.name), ("network.io.direction", direction)];
            points.counter("system.network.io", "By", boot, interface.bytes[at], &attributes);
            points.counter("system.network.errors", "{error}", boot, interface.errors[at], &attributes);
            points.counter("system.network.packet.dropped", "{packet}", boot, interface.dropped[at], &attributes);
            // Of all of them this one alone names the interface so.
            let attributes = [("system.device", interface.name), ("network.io.direction", direction)];
            points.counter("system.network.packet.count", "{packet}", boot, interface.packets[at], &attributes);
        }
    }
}

/// A file system's bytes and inodes.
pub(super) fn filesystem(points: &mut Points, usage: &Usage) {
    let mount = &usage.mount;
    let base = [
        ("system.device", mount.device.as_str()),
        ("system.filesystem.mountpoint", mount.point.as_str()),
        ("system.filesystem.type", mount.kind.as_str()),
        ("system.filesystem.mode", if mount.read_only { "ro" } else { "rw" }),
    ];
    for (state, bytes) in [("used", usage.used), ("free", usage.free), ("reserved", usage.reserved)] {
        let mut attributes = base.to_vec();
        attributes.push(("system.filesystem.state", state));
        points.up_down("system.filesystem.usage", "By", bytes, &attributes);
    }
    let total = usage.used.saturating_add(usage.free).saturating_add(usage.reserved);
    points.up_down("system.filesystem.limit", "By", total, &base);
    // What root alone may use is neither used nor free to the others, as `df` has it.
    let shared = usage.used.saturating_add(usage.free).max(1);
    points.gauge("system.filesystem.utilization", "1", usage.used as f64 / shared as f64, &base);
    if usage.inodes > 0 {
        for (state, inodes) in [("used", usage.inodes.saturating_sub(usage.inodes_free)), ("free", usage.inodes_free)] {
            let mut attributes = base.to_vec();
            attributes.push(("system.filesystem.state", state));
            points.up_down("system.filesystem.inodes.usage", "{inode}", inodes, &attributes);
        }
    }
}
