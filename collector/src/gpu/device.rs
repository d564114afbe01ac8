//! One GPU as points: `hw.*` as OpenTelemetry's hardware conventions name it, `weir.gpu.*` where they have no name. A
//! state that holds or does not is 1 or 0, without a unit.

use std::collections::HashSet;

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, RetirementCause, Sampling, TemperatureSensor, TemperatureThreshold,
};
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;

use super::xid::recovery_action;
use crate::points::Points;

/// NVLinks of a GPU at most.
const LINKS: u32 = 18;
/// MIG instances of a GPU at most.
const INSTANCES: u32 = 16;
const FANS: u32 = 8;

/// Field ids of `nvml.h`: what the wrapper has no function for.
pub(super) mod field {
    pub(in super::super) const MEMORY_TEMPERATURE: u32 = 82;
    pub(in super::super) const REMAPPED_CORRECTABLE: u32 = 142;
    pub(in super::super) const REMAPPED_UNCORRECTABLE: u32 = 143;
    pub(in super::super) const REMAP_PENDING: u32 = 144;
    pub(in super::super) const REMAP_FAILED: u32 = 145;
    pub(in super::super) const RECOVERY_ACTION: u32 = 230;
}

/// Takes answers of the driver, and says once what it cannot answer.
#[derive(Debug, Default)]
pub(super) struct Asked {
    said: HashSet<&'static str>,
}

impl Asked {
    /// As [`take`](Self::take), where having found nothing is an answer too: an idle GPU has no samples.
    pub(super) fn list<T>(&mut self, what: &'static str, answer: Result<Vec<T>, NvmlError>) -> Option<Vec<T>> {
        self.take(what, if matches!(answer, Err(NvmlError::NotFound)) { Ok(Vec::new()) } else { answer })
    }

    pub(super) fn take<T>(&mut self, what: &'static str, answer: Result<T, NvmlError>) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            // Most GPUs lack something: that is no news.
            Err(NvmlError::NotSupported | NvmlError::NotFound) => None,
            Err(NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound) => {
                if self.said.insert(what) {
                    tracing::info!(what, "the NVML library is too old to know this of a GPU; it is left out");
                }
                None
            }
            Err(error) => {
                if self.said.insert(what) {
                    tracing::warn!(what, %error, "the driver does not tell this of a GPU");
                }
                None
            }
        }
    }
}

/// What sharing it out needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) uuid: String,
    /// Part of the last second or less in which it was busy, from 0 to 1.
    pub(super) busy: Option<f64>,
    /// Joules since the driver was loaded.
    pub(super) energy: Option<f64>,
    /// Watts.
    pub(super) power: Option<f64>,
}

/// Number of a field, where the driver has it.
pub(super) fn fields<const N: usize>(device: &Device<'_>, asked: &mut Asked, ids: [u32; N]) -> [Option<u64>; N] {
    let Some(values) = asked.take("fields", device.field_values_for(&ids.map(FieldId))) else { return [None; N] };
    let mut values = values.into_iter().map(|value| number(&value.ok()?.value.ok()?));
    std::array::from_fn(|_| values.next().flatten())
}

fn number(value: &SampleValue) -> Option<u64> {
    match *value {
        SampleValue::U32(value) => Some(u64::from(value)),
        SampleValue::U64(value) => Some(value),
        SampleValue::I64(value) => u64::try_from(value).ok(),
        SampleValue::F64(value) => Some(value as u64),
        #[allow(unreachable_patterns, reason = "the wrapper may learn more kinds")]
        _ => None,
    }
}

/// Part of the time since `seen` (microseconds since the epoch) in which a GPU was busy, from 0 to 1, and the time of the
/// last sample. The driver takes samples at even distances; where it has none since then, nothing is known.
pub(super) fn busy_since(device: &Device<'_>, seen: u64, asked: &mut Asked) -> Option<(f64, u64)> {
    let samples = asked.take("utilization samples", device.samples(Sampling::GpuUtilization, seen))?;
    let new = samples.iter().filter(|sample| sample.timestamp > seen);
    let new: Vec<_> = new.filter_map(|sample| Some((number(&sample.value)?.min(100), sample.timestamp))).collect();
    let last = new.iter().map(|(_, time)| *time).max()?;
    let percent = new.iter().map(|(percent, _)| *percent).sum::<u64>() as f64 / new.len() as f64;
    Some((percent / 100.0, last))
}

/// Measures a GPU and its MIG instances.
pub(super) fn measure(points: &mut Points, device: &Device<'_>, index: u32, asked: &mut Asked) -> Option<Reading> {
    let uuid = asked.take("uuid", device.uuid())?;
    let model = asked.take("name", device.name()).unwrap_or_default();
    let name = format!("gpu{index}");
    let gpu = [
        ("hw.id", uuid.as_str()),
        ("hw.name", name.as_str()),
        ("hw.model", model.as_str()),
        ("hw.vendor", "NVIDIA"),
        ("hw.type", "gpu"),
    ];
    let busy = utilization(points, device, &gpu, asked);
    memory(points, device, &gpu, asked);
    let power = asked.take("power", device.power_usage()).map(|milliwatts| f64::from(milliwatts) / 1e3);
    if let Some(watts) = power {
        points.gauge("hw.power", "W", watts, &gpu);
    }
    if let Some(limit) = asked.take("power limit", device.enforced_power_limit()) {
        points.gauge("weir.gpu.power.limit", "W", f64::from(limit) / 1e3, &gpu);
    }
    let energy = asked.take("energy", device.total_energy_consumption()).map(|millijoules| millijoules as f64 / 1e3);
    if let Some(joules) = energy {
        points.counter("hw.energy", "J", 0, joules, &gpu);
    }
    temperature(points, device, &gpu, asked);
    clocks(points, device, &gpu, asked);
    errors(points, device, &gpu, asked);
    links(points, device, &gpu, asked);
    fans(points, device, &uuid, asked);
    instances(points, device, &uuid, asked);
    Some(Reading { uuid, busy, energy, power })
}

type Attributes<'a> = [(&'a str, &'a str)];

/// `base` and more.
fn with<'a>(base: &Attributes<'a>, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    base.iter().chain(more).copied().collect()
}

fn utilization(points: &mut Points, device: &Device<'_>, gpu: &Attributes<'_>, asked: &mut Asked) -> Option<f64> {
    let rates = asked.take("utilization", device.utilization_rates());
    let encoder = asked.take("encoder", device.encoder_utilization()).map(|info| info.utilization);
    let decoder = asked.take("decoder", device.decoder_utilization()).map(|info| info.utilization);
    let general = rates.as_ref().map(|rates| rates.gpu);
    for (task, percent) in [("general", general), ("encoder", encoder), ("decoder", decoder)] {
        if let Some(percent) = percent {
            let attributes = with(gpu, &[("hw.gpu.task", task)]);
            points.gauge("hw.gpu.utilization", "1", f64::from(percent) / 100.0, &attributes);
        }
    }
    let rates = rates?;
    points.gauge("weir.gpu.memory.activity", "1", f64::from(rates.memory) / 100.0, gpu);
    Some(f64::from(rates.gpu.min(100)) / 100.0)
}

fn memory(points: &mut Points, device: &Device<'_>, gpu: &Attributes<'_>, asked: &mut Asked) {
    if let Some(memory) = asked.take("memory", device.memory_info()) {
        points.up_down("hw.gpu.memory.usage", "By", memory.used, gpu);
        points.up_down("hw.gpu.memory.limit", "By", memory.total, gpu);
        points.gauge("hw.gpu.memory.utilization", "1", memory.used as f64 / memory.total.max(1) as f64, gpu);
    }
}

fn temperature(points: &mut Points, device: &Device<'_>, gpu: &Attributes<'_>, asked: &mut Asked) {
    let core = asked.take("temperature", device.temperature(TemperatureSensor::Gpu)).map(u64::from);
    let [memory] = fields(device, asked, [field::MEMORY_TEMPERATURE]);
    for (location, value) in [("gpu", core), ("memory", memory)] {
        if let Some(value) = value {
            points.gauge("hw.temperature", "Cel", value as f64, &with(gpu, &[("hw.sensor_location", location)]));
        }
    }
    for (kind, threshold) in
        [("high.critical", TemperatureThreshold::Shutdown), ("high.degraded", TemperatureThreshold::Slowdown)]
    {
        if let Some(value) = asked.take("temperature limit", device.temperature_threshold(threshold)) {
            let attributes = with(gpu, &[("hw.sensor_location", "gpu"), ("hw.limit_type", kind)]);
            points.gauge("hw.temperature.limit", "Cel", f64::from(value), &attributes);
        }
    }
}

fn clocks(points: &mut Points, device: &Device<'_>, gpu: &Attributes<'_>, asked: &mut Asked) {
    for (name, clock) in
        [("graphics", Clock::Graphics), ("sm", Clock::SM), ("memory", Clock::Memory), ("video", Clock::Video)]
    {
        if let Some(megahertz) = asked.take("clocks", device.clock_info(clock)) {
            let attributes = with(gpu, &[("weir.gpu.clock", name)]);
            points.gauge("weir.gpu.clock.frequency", "Hz", f64::from(megahertz) * 1e6, &attributes);
        }
    }
    let Some(reasons) = asked.take("throttle reasons", device.current_throttle_reasons()) else { return };
    for (name, reason) in [
        ("idle", ThrottleReasons::GPU_IDLE),
        ("application_clocks", ThrottleReasons::APPLICATIONS_CLOCKS_SETTING),
        ("software_power_cap", ThrottleReasons::SW_POWER_CAP),
        ("hardware_slowdown", ThrottleReasons::HW_SLOWDOWN),
        ("sync_boost", ThrottleReasons::SYNC_BOOST),
        ("software_thermal", ThrottleReasons::SW_THERMAL_SLOWDOWN),
        ("hardware_thermal", ThrottleReasons::HW_THERMAL_SLOWDOWN),
        ("hardware_power_brake", ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN),
        ("display_clocks", ThrottleReasons::DISPLAY_CLOCK_SETTING),
    ] {
        let attributes = with(gpu, &[("weir.gpu.throttle.reason", name)]);
        points.gauge("weir.gpu.clock.throttled", "", u64::from(reasons.contains(reason)), &attributes);
    }
}

fn errors(points: &mut Points, device: &Device<'_>, gpu: &Attributes<'_>, asked: &mut Asked) {
    for (kind, error) in [("corrected", MemoryError::Corrected), ("uncorrected", MemoryError::Uncorrected)] {
        let mut count = |counter| asked.take("ECC errors", device.total_ecc_errors(error, counter));
        let (volatile, aggregate) = (count(EccCounter::Volatile), count(EccCounter::Aggregate));
        if let Some(count) = aggregate {
            points.counter("hw.errors", "{error}", 0, count, &with(gpu, &[("error.type", kind)]));
        }
        // Since the driver was loaded; what `hw.errors` counts is kept over reboots.
        if let Some(count) = volatile {
            points.counter("weir.gpu.ecc.volatile.errors", "{error}", 0, count, &with(gpu, &[("error.type", kind)]));
        }
    }
    for (kind, cause) in [
        ("corrected", RetirementCause::MultipleSingleBitEccErrors),
        ("uncorrected", RetirementCause::DoubleBitEccError),
    ] {
        if let Some(pages) = asked.take("retired pages", device.retired_pages(cause)) {
            let attributes = with(gpu, &[("error.type", kind)]);
            points.counter("weir.gpu.retired_pages", "{page}", 0, pages.len() as u64, &attributes);
        }
    }
    if let Some(pending) = asked.take("retired pages", device.are_pages_pending_retired()) {
        points.gauge("weir.gpu.retired_pages.pending", "", u64::from(pending), gpu);
    }
    let ids = [
        field::REMAPPED_CORRECTABLE,
        field::REMAPPED_UNCORRECTABLE,
        field::REMAP_PENDING,
        field::REMAP_FAILED,
        field::RECOVERY_ACTION,
    ];
    let [corrected, uncorrected, pending, failed, action] = fields(device, asked, ids);
    for (kind, rows) in [("corrected", corrected), ("uncorrected", uncorrected)] {
        if let Some(rows) = rows {
            points.counter("weir.gpu.remapped_rows", "{row}", 0, rows, &with(gpu, &[("error.type", kind)]));
        }
    }
    for (name, value) in [("weir.gpu.remapped_rows.pending", pending), ("weir.gpu.remapped_rows.failed", failed)] {
        if let Some(value) = value {
            points.gauge(name, "", value, gpu);
        }
    }
    if let Some(action) = action {
        let attributes = with(gpu, &[("weir.gpu.recovery_action", recovery_action(action))]);
        points.gauge("weir.gpu.recovery_needed", "", u64::from(action > 0), &attributes);
    }
}

fn links(points: &mut Points, device: &Device<'_>, gpu: &Attributes<'_>, asked: &mut Asked) {
    if let Some(replays) = asked.take("PCIe replays", device.pcie_replay_counter()) {
        points.counter("weir.gpu.pcie.replays", "{replay}", 0, u64::from(replays), gpu);
    }
    for (name, unit, value) in [
        ("weir.gpu.pcie.link.width", "{lane}", device.current_pcie_link_width()),
        ("weir.gpu.pcie.link.width.limit", "{lane}", device.max_pcie_link_width()),
        ("weir.gpu.pcie.link.generation", "", device.current_pcie_link_gen()),
        ("weir.gpu.pcie.link.generation.limit", "", device.max_pcie_link_gen()),
    ] {
        if let Some(value) = asked.take("PCIe link", value) {
            points.gauge(name, unit, u64::from(value), gpu);
        }
    }
    for number in 0..LINKS {
        let link = device.link_wrapper_for(number);
        let Ok(active) = link.is_active() else { break };
        let number = number.to_string();
        points.gauge("weir.gpu.nvlink.active", "", u64::from(active), &with(gpu, &[("weir.gpu.nvlink", &number)]));
        if !active {
            continue;
        }
        for (kind, counter) in [
            ("replay", ErrorCounter::DlReplay),
            ("recovery", ErrorCounter::DlRecovery),
            ("crc_flit", ErrorCounter::DlCrcFlit),
            ("crc_data", ErrorCounter::DlCrcData),
        ] {
            if let Some(count) = asked.take("NVLink errors", link.error_counter(counter)) {
                let attributes = with(gpu, &[("weir.gpu.nvlink", &number), ("error.type", kind)]);
                points.counter("weir.gpu.nvlink.errors", "{error}", 0, count, &attributes);
            }
        }
    }
}

fn fans(points: &mut Points, device: &Device<'_>, uuid: &str, asked: &mut Asked) {
    let count = asked.take("fans", device.num_fans()).unwrap_or(0);
    for fan in 0..count.min(FANS) {
        if let Some(percent) = asked.take("fans", device.fan_speed(fan)) {
            let id = format!("{uuid}/fan{fan}");
            let attributes = [("hw.id", id.as_str()), ("hw.parent", uuid)];
            points.gauge("hw.fan.speed_ratio", "1", f64::from(percent) / 100.0, &attributes);
        }
    }
}

/// A MIG instance has memory of its own; how busy it is the driver does not say.
fn instances(points: &mut Points, device: &Device<'_>, parent: &str, asked: &mut Asked) {
    if asked.take("MIG", device.mig_mode()).is_none_or(|mode| mode.current != 1) {
        return;
    }
    let most = asked.take("MIG", device.mig_device_count()).unwrap_or(0);
    for at in 0..most.min(INSTANCES) {
        let Some(instance) = asked.take("MIG", device.mig_device_by_index(at)) else { continue };
        let Some(uuid) = asked.take("MIG", instance.uuid()) else { continue };
        let model = asked.take("MIG", instance.name()).unwrap_or_default();
        let attributes = [
            ("hw.id", uuid.as_str()),
            ("hw.parent", parent),
            ("hw.model", model.as_str()),
            ("hw.vendor", "NVIDIA"),
            ("hw.type", "gpu"),
        ];
        memory(points, &instance, &attributes, asked);
    }
}
