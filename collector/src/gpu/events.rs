//! XID and ECC events as they happen: each a count and a log record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::event::EventSet;
use nvml_wrapper::struct_wrappers::event::EventData;
use parking_lot::Mutex;
use prost::Message;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::{AnyValue, any_value};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::topic;

use super::device::{Asked, field, fields};
use super::xid::{Policy, policy, recovery_action};
use super::{DEVICES, RETRY};
use crate::points::{Points, attribute};
use crate::samples::Samples;

/// How long one wait takes at most: the thread looks whether it is still wanted.
const WAIT_MS: u32 = 500;
/// Kinds of events, over all GPUs, that are counted apart.
const MOST: usize = 4096;

/// What happened to a GPU.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Xid(u64),
    Corrected,
    Uncorrected,
}

/// Events by GPU and kind, since the collector watches.
#[derive(Debug, Clone)]
pub(super) struct Counts(Arc<Mutex<Counted>>);

#[derive(Debug)]
struct Counted {
    /// How many, and since when: the visit before the first of its kind.
    events: BTreeMap<(String, Kind), (u64, u64)>,
    /// The last visit of any GPU, in nanoseconds since the epoch.
    visited: u64,
}

impl Counts {
    /// None yet, at `now`.
    pub(super) fn new(now: u64) -> Self {
        Self(Arc::new(Mutex::new(Counted { events: BTreeMap::new(), visited: now })))
    }

    pub(super) fn add(&self, uuid: &str, kind: &Kind) {
        let mut counted = self.0.lock();
        let (key, start) = ((uuid.to_owned(), kind.clone()), counted.visited);
        if counted.events.len() < MOST || counted.events.contains_key(&key) {
            counted.events.entry(key).or_insert((0, start)).0 += 1;
        }
    }

    /// The points of one GPU, which is visited at `now`.
    pub(super) fn measure(&self, points: &mut Points, uuid: &str, now: u64) {
        let mut counted = self.0.lock();
        counted.visited = now;
        for ((of, kind), (count, start)) in &counted.events {
            if of != uuid {
                continue;
            }
            let gpu = [("hw.id", uuid), ("hw.type", "gpu")];
            match kind {
                Kind::Xid(xid) => {
                    let xid_text = xid.to_string();
                    let attributes =
                        [gpu[0], gpu[1], ("weir.gpu.xid", xid_text.as_str()), ("weir.gpu.policy", policy(*xid).name())];
                    points.counter("weir.gpu.xid.errors", "{error}", *start, *count, &attributes);
                }
                Kind::Corrected | Kind::Uncorrected => {
                    let error = if *kind == Kind::Corrected { "corrected" } else { "uncorrected" };
                    let attributes = [gpu[0], gpu[1], ("error.type", error)];
                    points.counter("weir.gpu.ecc.events", "{event}", *start, *count, &attributes);
                }
            }
        }
    }
}

/// Waits for events until `wanted` says no more; `busy` is told before and after each call of the driver.
pub(super) fn watch(
    nvml: &Nvml,
    counts: &Counts,
    resource: &[(String, String)],
    samples: &Samples,
    wanted: impl Fn() -> bool,
    busy: impl Fn(bool),
) -> Result<(), NvmlError> {
    busy(true);
    let mut watched = register(nvml)?;
    busy(false);
    let mut asked = Asked::default();
    while wanted() {
        busy(true);
        match watched.set.wait(WAIT_MS) {
            Ok(event) => happened(&event, counts, resource, samples, &mut asked),
            // One that was away may be back. The others are watched by the old set until they are by the new one.
            Err(NvmlError::Timeout) if watched.is_missing && watched.since.elapsed() >= RETRY => {
                watched = register(nvml)?;
            }
            Err(NvmlError::Timeout) => {}
            Err(NvmlError::GpuLost) => {
                tracing::warn!("a GPU is lost: its events cannot be had until it is back; the others' are");
                watched = register(nvml)?;
                busy(false);
                // The driver may say so of the new set too.
                std::thread::sleep(Duration::from_secs(1));
            }
            Err(error) => return Err(error),
        }
        busy(false);
    }
    Ok(())
}

/// GPUs whose events come.
struct Watched<'nvml> {
    set: EventSet<'nvml>,
    since: Instant,
    /// There are GPUs that could not be registered now.
    is_missing: bool,
}

/// Registers all GPUs but those that fail; an error where none is left.
fn register(nvml: &Nvml) -> Result<Watched<'_>, NvmlError> {
    let all = EventTypes::CRITICAL_XID_ERROR | EventTypes::DOUBLE_BIT_ECC_ERROR | EventTypes::SINGLE_BIT_ECC_ERROR;
    let count = nvml.device_count()?.min(DEVICES);
    let mut missing = BTreeSet::new();
    let mut why = NvmlError::NotSupported;
    // Where a GPU cannot be registered the set is gone, and is begun anew without it.
    'anew: loop {
        let (mut set, mut watched) = (nvml.create_event_set()?, 0);
        for index in 0..count {
            if missing.contains(&index) {
                continue;
            }
            let asked = nvml.device_by_index(index).and_then(|device| {
                let types = device.supported_event_types()? & all;
                // A GPU that was lost may still know its events.
                if matches!(device.memory_info(), Err(NvmlError::GpuLost)) {
                    Err(NvmlError::GpuLost)
                } else {
                    Ok((device, types))
                }
            });
            match asked {
                Ok((_, types)) if types.is_empty() => {}
                Err(NvmlError::NotSupported) => {}
                Ok((device, types)) => match device.register_events(types, set) {
                    Ok(registered) => (set, watched) = (registered, watched + 1),
                    Err(error) => {
                        why = error.error;
                        missing.insert(index);
                        continue 'anew;
                    }
                },
                Err(error) => {
                    why = error;
                    missing.insert(index);
                }
            }
        }
        if watched == 0 {
            return Err(why);
        }
        return Ok(Watched { set, since: Instant::now(), is_missing: !missing.is_empty() });
    }
}

fn happened(
    event: &EventData<'_>,
    counts: &Counts,
    resource: &[(String, String)],
    samples: &Samples,
    asked: &mut Asked,
) {
    let kind = match &event.event_data {
        Some(XidError::Value(xid)) => Kind::Xid(*xid),
        Some(XidError::Unknown) => Kind::Xid(999),
        None if event.event_type.contains(EventTypes::DOUBLE_BIT_ECC_ERROR) => Kind::Uncorrected,
        None if event.event_type.contains(EventTypes::SINGLE_BIT_ECC_ERROR) => Kind::Corrected,
        None => return,
    };
    let uuid = asked.take("uuid", event.device.uuid()).unwrap_or_default();
    counts.add(&uuid, &kind);
    let [action] = fields(&event.device, asked, [field::RECOVERY_ACTION]);
    let request = record(&uuid, &kind, action.map(recovery_action), resource);
    samples.push("gpu", topic::LOGS, &format!("gpu/{uuid}"), 1, request.encode_to_vec().into());
}

/// The log record of an event.
fn record(uuid: &str, kind: &Kind, action: Option<&str>, resource: &[(String, String)]) -> ExportLogsServiceRequest {
    let now = weir_service::time::now_unix_nano() as u64;
    let mut attributes = vec![attribute("hw.id", uuid), attribute("hw.type", "gpu")];
    let (event_name, (severity_number, severity_text), text) = match kind {
        Kind::Xid(xid) => {
            let policy = policy(*xid);
            attributes.push(attribute("weir.gpu.xid", &xid.to_string()));
            attributes.push(attribute("weir.gpu.policy", policy.name()));
            ("weir.gpu.xid", policy.severity(), format!("XID {xid} on {uuid}: {}", policy.name()))
        }
        Kind::Uncorrected => {
            ("weir.gpu.ecc", Policy::ResetAndCheckSram.severity(), format!("uncorrectable ECC error on {uuid}"))
        }
        Kind::Corrected => ("weir.gpu.ecc", Policy::Note.severity(), format!("corrected ECC error on {uuid}")),
    };
    attributes.extend(action.map(|action| attribute("weir.gpu.recovery_action", action)));
    let record = LogRecord {
        time_unix_nano: now,
        observed_time_unix_nano: now,
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }),
        attributes,
        event_name: event_name.to_owned(),
        ..LogRecord::default()
    };
    let attributes = resource.iter().map(|(key, value)| attribute(key, value)).collect();
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }] }
}
