use std::fmt::Write as _;
use std::fs::read_to_string;

/// Linux shows times in hundredths of a second to every program, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Appends the standard `process_*` metrics, as far as `/proc` tells them.
pub(super) fn write(text: &mut String) {
    let stat = read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold anything; the fields behind it start with the third of proc(5).
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<f64>().ok());
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| kilobytes(line.strip_prefix("VmRSS:")?));
    let booted = read_to_string("/proc/stat").unwrap_or_default();
    let booted = booted.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    let limits = read_to_string("/proc/self/limits").unwrap_or_default();
    let files =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|folder| folder.count().saturating_sub(1) as f64);
    let cpu = field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND);
    let started = field(22).zip(booted).map(|(ticks, booted)| booted + ticks / TICKS_PER_SECOND);

    let mut metric = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    };
    metric("process_cpu_seconds_total", "counter", "User and system CPU time spent in seconds.", cpu);
    metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident);
    metric("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", field(23));
    metric("process_threads", "gauge", "Number of threads.", field(20));
    metric("process_open_fds", "gauge", "Number of open file descriptors.", open);
    metric("process_max_fds", "gauge", "Maximum number of open file descriptors.", files);
    metric("process_start_time_seconds", "gauge", "Start time of the process since the epoch in seconds.", started);
}

fn kilobytes(text: &str) -> Option<f64> {
    Some(text.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}
