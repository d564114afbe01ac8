//! Names of OTLP metrics as Prometheus' users know them: those of series in rules, and beside the OTLP name in searches.

/// Unit as in UCUM, and as in a Prometheus name.
const UNITS: [(&str, &str); 27] = [
    // Before a slash; alone it is what [`prometheus`] makes of it.
    ("1", ""),
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("kBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("%", "percent"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
];

/// What stands behind a slash.
const PER: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// What a metric is, as far as its name shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A value that stands for itself.
    Gauge,
    /// A sum that rises and falls.
    UpDown,
    /// A sum that only rises.
    Counter,
    /// A histogram with buckets of any kind.
    Histogram,
    /// A count, a sum and quantiles.
    Summary,
}

/// A metric's name: every other character is `_`, then the unit, then `_total` for a counter or `_ratio` for a gauge
/// of unit 1; what is there already is not said twice.
pub fn prometheus(name: &str, unit: &str, shape: Shape) -> String {
    let mut full = String::with_capacity(name.len() + 16);
    for part in sanitized(name, true).split('_').filter(|part| !part.is_empty()) {
        if !full.is_empty() {
            full.push('_');
        }
        full.push_str(part);
    }
    if full.is_empty() || full.starts_with(|c: char| c.is_ascii_digit()) {
        full.insert(0, '_');
    }
    let mut push = |suffix: &str| {
        if !suffix.is_empty() && !full.split('_').any(|part| part == suffix) {
            full.push('_');
            full.push_str(suffix);
        }
    };
    if unit == "1" {
        push(if shape == Shape::Gauge { "ratio" } else { "" });
    } else {
        let (of, per) = unit.split_once('/').unwrap_or((unit, ""));
        push(&long(of));
        // Annotations in braces are no unit.
        let per = per.split('{').next().unwrap_or_default().trim();
        if !per.is_empty() {
            let known = PER.iter().find(|(short, _)| *short == per);
            push("per");
            push(&known.map_or_else(|| sanitized(per, false), |(_, long)| (*long).to_owned()));
        }
    }
    if shape == Shape::Counter {
        if let Some(bare) = full.strip_suffix("_total") {
            full.truncate(bare.len());
        }
        full.push_str("_total");
    }
    full
}

/// Whether a metric of this name is one of weir's own to Prometheus' users: `weir.gpu.time`, `weir_calls_total`.
pub fn is_own(name: &str) -> bool {
    let mut parts = name.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').filter(|part| !part.is_empty());
    parts.next() == Some("weir")
}

fn long(unit: &str) -> String {
    // Annotations in braces are no unit.
    let unit = unit.split('{').next().unwrap_or_default().trim();
    UNITS
        .iter()
        .find(|(short, _)| *short == unit)
        .map_or_else(|| sanitized(unit, false), |(_, long)| (*long).to_owned())
}

/// A name of the characters that Prometheus has in names.
pub fn sanitized(name: &str, colon: bool) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    let name = &name[..name.floor_char_boundary(256)];
    let mut clean: String = name.chars().map(|c| if keep(c) { c } else { '_' }).collect();
    if clean.starts_with(|c: char| c.is_ascii_digit()) {
        clean.insert(0, '_');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::{Shape, is_own, prometheus};

    #[test]
    fn a_name_is_weirs_own_where_prometheus_would_have_it_begin_so() {
        for name in
            ["weir.gpu.time", "weir_calls_total", "weir", "weir-x", "_weir.x", ".weir_x", "weir/x", "weir\u{e9}x"]
        {
            assert!(is_own(name), "{name}");
            let full = prometheus(name, "", Shape::UpDown);
            assert!(full == "weir" || full.starts_with("weir_"), "{full}");
        }
        for name in ["", "weird.x", "Weir.x", "my.weir.x", "weir2.x", "hw.gpu.utilization", "weir:x"] {
            assert!(!is_own(name), "{name}");
            let full = prometheus(name, "", Shape::UpDown);
            assert!(full != "weir" && !full.starts_with("weir_"), "{full}");
        }
    }

    #[test]
    fn names_are_those_that_prometheus_users_know() {
        for (name, unit, shape, want) in [
            ("hw.gpu.utilization", "1", Shape::Gauge, "hw_gpu_utilization_ratio"),
            ("hw.temperature", "Cel", Shape::Gauge, "hw_temperature_celsius"),
            ("hw.power", "W", Shape::Gauge, "hw_power_watts"),
            ("hw.errors", "{error}", Shape::Counter, "hw_errors_total"),
            ("hw.gpu.memory.usage", "By", Shape::UpDown, "hw_gpu_memory_usage_bytes"),
            ("system.network.io", "By", Shape::Counter, "system_network_io_bytes_total"),
            ("system.cpu.time", "s", Shape::Counter, "system_cpu_time_seconds_total"),
            ("http.server.request.duration", "s", Shape::Histogram, "http_server_request_duration_seconds"),
            ("queue.size", "1", Shape::UpDown, "queue_size"),
            ("disk.speed", "By/s", Shape::Gauge, "disk_speed_bytes_per_second"),
            ("calls", "{call}/m", Shape::Gauge, "calls_per_minute"),
            ("ops", "1/s", Shape::Gauge, "ops_per_second"),
            ("fill", "%", Shape::Gauge, "fill_percent"),
            ("requests_total", "", Shape::Counter, "requests_total"),
            ("wait.seconds", "s", Shape::Gauge, "wait_seconds"),
            ("a..b__c.", "", Shape::Gauge, "a_b_c"),
            ("1st", "", Shape::Gauge, "_1st"),
            ("模型", "", Shape::Gauge, "_"),
        ] {
            assert_eq!(prometheus(name, unit, shape), want);
        }
    }
}
