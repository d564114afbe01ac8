//! What `nvidia-smi` said on real machines, which were well: no rule finds fault with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use weir_tests::{Api, Gpus, Weir, until};

use super::{config, rules};

/// Values by their path, in lower case: of `nvidia-smi -q`, and of its XML.
type Said = BTreeMap<String, String>;

/// The indented text of `nvidia-smi -q`, from its first GPU on.
fn of_text(text: &str) -> Said {
    let (mut said, mut path) = (Said::new(), Vec::<(usize, String)>::new());
    for line in text.lines().skip_while(|line| !line.starts_with("GPU 0")).skip(1) {
        let indent = line.len() - line.trim_start().len();
        if indent == 0 && !line.is_empty() {
            break;
        }
        path.retain(|(depth, _)| *depth < indent);
        let (key, value) = line.split_once(" : ").map_or((line.trim(), None), |(key, value)| (key.trim(), Some(value)));
        path.push((indent, key.to_lowercase().replace(' ', "_")));
        if let Some(value) = value {
            let keys: Vec<&str> = path.iter().map(|(_, key)| key.as_str()).collect();
            said.entry(keys.join("/")).or_insert_with(|| value.trim().to_owned());
        }
    }
    said
}

/// The XML of `nvidia-smi -x -q`: one element a line.
fn of_xml(text: &str) -> Said {
    let (mut said, mut path) = (Said::new(), Vec::<&str>::new());
    for line in text.lines().map(str::trim).skip_while(|line| !line.starts_with("<gpu ")).skip(1) {
        if let Some(name) = line.strip_prefix("</") {
            if name == "gpu>" {
                break;
            }
            path.pop();
        } else if let Some((name, rest)) = line.strip_prefix('<').and_then(|line| line.split_once('>')) {
            match rest.split_once("</") {
                Some((value, _)) => {
                    said.entry([&path[..], &[name]].concat().join("/")).or_insert_with(|| value.trim().to_owned());
                }
                None if !name.ends_with('/') => path.push(name),
                None => {}
            }
        }
    }
    said
}

/// A number, whatever its unit; of "Yes" and "Active", 1.
fn number(text: &str) -> Option<f64> {
    match text {
        "Yes" | "Active" => Some(1.0),
        "No" | "Not Active" => Some(0.0),
        _ => text.split(' ').next()?.trim_end_matches('x').parse().ok(),
    }
}

/// Keys of the library, with what a value is multiplied by, and where both forms have it.
const VALUES: [(&str, f64, [&str; 3]); 26] = [
    ("utilization.gpu", 1.0, ["utilization/gpu", "utilization/gpu_util", ""]),
    ("utilization.memory", 1.0, ["utilization/memory", "utilization/memory_util", ""]),
    ("memory.total_bytes", 1_048_576.0, ["fb_memory_usage/total", "", ""]),
    ("memory.used_bytes", 1_048_576.0, ["fb_memory_usage/used", "", ""]),
    ("memory.free_bytes", 1_048_576.0, ["fb_memory_usage/free", "", ""]),
    ("memory.reserved_bytes", 1_048_576.0, ["fb_memory_usage/reserved", "", ""]),
    ("thermal.temperature_gpu_c", 1.0, ["temperature/gpu_current_temp", "temperature/gpu_temp", ""]),
    ("thermal.slowdown_threshold_c", 1.0, ["temperature/gpu_slowdown_temp", "temperature/gpu_temp_slow_threshold", ""]),
    ("thermal.shutdown_threshold_c", 1.0, ["temperature/gpu_shutdown_temp", "temperature/gpu_temp_max_threshold", ""]),
    ("field.82", 1.0, ["temperature/memory_current_temp", "temperature/memory_temp", ""]),
    (
        "power.current_draw_mw",
        1000.0,
        ["gpu_power_readings/average_power_draw", "gpu_power_readings/power_draw", "power_readings/power_draw"],
    ),
    (
        "power.enforced_limit_mw",
        1000.0,
        [
            "gpu_power_readings/current_power_limit",
            "gpu_power_readings/current_power_limit",
            "power_readings/power_limit",
        ],
    ),
    ("clocks.graphics_current", 1.0, ["clocks/graphics", "clocks/graphics_clock", ""]),
    ("clocks.memory_current", 1.0, ["clocks/memory", "clocks/mem_clock", ""]),
    ("fan.speed_percent", 1.0, ["fan_speed", "", ""]),
    ("pcie.replay_counter", 1.0, ["pci/replays_since_reset", "pci/replay_counter", ""]),
    (
        "pcie.current_link_width",
        1.0,
        ["pci/gpu_link_info/link_width/current", "pci/pci_gpu_link_info/link_widths/current_link_width", ""],
    ),
    (
        "pcie.max_link_width",
        1.0,
        ["pci/gpu_link_info/link_width/max", "pci/pci_gpu_link_info/link_widths/max_link_width", ""],
    ),
    (
        "ecc.errors.volatile.single_bit.total",
        1.0,
        ["ecc_errors/volatile/dram_correctable", "ecc_errors/volatile/dram_correctable", ""],
    ),
    (
        "ecc.errors.volatile.double_bit.total",
        1.0,
        ["ecc_errors/volatile/dram_uncorrectable", "ecc_errors/volatile/dram_uncorrectable", ""],
    ),
    ("retired_pages.single_bit_retirement.count", 1.0, ["retired_pages/single_bit_ecc", "", ""]),
    ("retired_pages.double_bit_retirement.count", 1.0, ["retired_pages/double_bit_ecc", "", ""]),
    ("field.142", 1.0, ["remapped_rows/correctable_error", "remapped_rows/remapped_row_corr", ""]),
    ("field.143", 1.0, ["remapped_rows/uncorrectable_error", "remapped_rows/remapped_row_unc", ""]),
    ("field.144", 1.0, ["remapped_rows/pending", "remapped_rows/remapped_row_pending", ""]),
    ("field.145", 1.0, ["remapped_rows/remapping_failure_occurred", "remapped_rows/remapped_row_failure", ""]),
];

/// Bits of NVML's reasons, by the words that stand for them.
const REASONS: [(u64, &str); 6] = [
    (0x1, "idle"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x20, "sw_thermal_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake_slowdown"),
];

/// Makes the library say what was said of one GPU; returns how many values it has.
fn say(gpus: &mut Gpus, at: usize, name: &str, said: &Said) -> usize {
    let mut values = 0;
    gpus.set(&format!("gpu.{at}.uuid"), format!("GPU-{at}")).set(&format!("gpu.{at}.name"), name);
    for (key, factor, paths) in VALUES {
        let value = paths.iter().filter(|path| !path.is_empty()).find_map(|path| number(said.get(*path)?));
        if let Some(value) = value {
            gpus.set(&format!("gpu.{at}.{key}"), (value * factor).round() as i64);
            values += 1;
            if key == "fan.speed_percent" {
                gpus.set(&format!("gpu.{at}.fan.count"), 1);
            }
        }
    }
    let reasons = REASONS.iter().filter(|(_, word)| {
        said.iter().any(|(path, value)| path.contains("reason") && path.ends_with(word) && value == "Active")
    });
    gpus.set(&format!("gpu.{at}.throttle"), reasons.map(|(bit, _)| bit).sum::<u64>());
    values
}

/// All captures with a name each; of those of `nvidia-smi -q`, both at rest and at work.
fn captures(data: &Path) -> Vec<(String, Said)> {
    let mut found = Vec::new();
    let files = |folder: &str| {
        let mut files: Vec<_> =
            std::fs::read_dir(data.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    for path in files("gpu/nvidia-smi-captures") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for part in text.split("# $ nvidia-smi -q\n").skip(1) {
            found.push((format!("{name} {}", found.len()), of_text(part)));
        }
    }
    for path in
        files("gpu/telegraf-nvidia-smi-xml").into_iter().filter(|path| path.extension().is_some_and(|e| e == "xml"))
    {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        found.push((name, of_xml(&std::fs::read_to_string(&path).unwrap())));
    }
    found
}

/// A test of the rules over series that stay as they are for two hours: no alert.
fn test_file(folder: &Path, series: &[Value], value: impl Fn(&Value) -> String) -> Output {
    let input: Vec<Value> = series
        .iter()
        .map(|series| {
            let labels = series["metric"].as_object().unwrap();
            let pairs =
                labels.iter().filter(|(name, _)| *name != "__name__").map(|(name, value)| format!("{name}={value}"));
            let name = labels["__name__"].as_str().unwrap();
            let series_text = format!("{name}{{{}}}", pairs.collect::<Vec<_>>().join(","));
            json!({"series": series_text, "values": format!("{}x120", value(series))})
        })
        .collect();
    let text = std::fs::read_to_string(rules("gpu.yaml")).unwrap();
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let at = ["20m", "70m", "119m"];
    let expected = names.flat_map(|name| at.map(|at| json!({"eval_time": at, "alertname": name, "exp_alerts": []})));
    let test = json!({
        "rule_files": [rules("gpu.yaml")],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": input, "alert_rule_test": expected.collect::<Vec<_>>()}],
    });
    let path = folder.join("captures.yaml");
    std::fs::write(&path, serde_json::to_vec(&test).unwrap()).unwrap();
    Command::new(weir_tests::weir::binary().unwrap()).args(["rules", "test"]).arg(path).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn given_what_real_gpus_said_then_no_rule_finds_fault() {
    let Some(data) = weir_tests::data("given_what_real_gpus_said_then_no_rule_finds_fault") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut gpus = Gpus::new(&folder.path().join("machine")).unwrap();
    let captures = captures(&data);
    assert!(captures.len() >= 20, "{}", captures.len());
    gpus.set("count", captures.len());
    for (at, (name, said)) in captures.iter().enumerate() {
        let values = say(&mut gpus, at, name, said);
        assert!(values >= 10, "{name}: {values} values of {said:?}");
    }
    gpus.say().unwrap();
    let mut weir = Weir::new("standalone", &folder.path().join("weir"), &config(&gpus, "http://127.0.0.1:9/")).unwrap();
    let ready = weir.start().await.unwrap();
    let api = Api::new(&ready.http).unwrap();
    let series = until(Duration::from_mins(1), || async {
        let query = r#"{__name__=~"hw_.*|weir_gpu.*|system_uptime.*"}"#;
        let (_, answer) = api.get("/prometheus/api/v1/query", &[("query", query)]).await.ok()?;
        let series = answer["data"]["result"].as_array()?.clone();
        let heats = series.iter().filter(|series| series["metric"]["__name__"] == "hw_temperature_celsius").count();
        (heats >= captures.len()).then_some(series)
    });
    let series = series.await.unwrap_or_else(|| panic!("not all GPUs are there"));
    drop(weir);
    let as_it_is = |series: &Value| series["value"][1].as_str().unwrap().to_owned();
    let output = test_file(folder.path(), &series, as_it_is);
    assert!(output.status.success(), "{}", said(&output));
    // And the same GPUs, hot.
    let output = test_file(folder.path(), &series, |series| {
        if series["metric"]["__name__"] == "hw_temperature_celsius" { "96".to_owned() } else { as_it_is(series) }
    });
    let said = said(&output);
    assert!(!output.status.success() && said.contains("GpuOverheated"), "{said}");
}
