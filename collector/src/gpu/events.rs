//! XID and ECC events as they happen: each a count and a log record.

use std::collections::BTreeMap;
use std::sync::Arc;

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
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
#[derive(Debug, Clone, Default)]
pub(super) struct Counts(Arc<Mutex<BTreeMap<(String, Kind), u64>>>);

impl Counts {
    fn add(&self, uuid: &str, kind: &Kind) {
        let mut counts = self.0.lock();
        if counts.len() < MOST || counts.contains_key(&(uuid.to_owned(), kind.clone())) {
            *counts.entry((uuid.to_owned(), kind.clone())).or_default() += 1;
        }
    }

    /// The points of one GPU.
    pub(super) fn measure(&self, points: &mut Points, uuid: &str, start: u64) {
        for ((of, kind), count) in self.0.lock().iter() {
            if of != uuid {
                continue;
            }
            let gpu = [("hw.id", uuid), ("hw.type", "gpu")];
            match kind {
                Kind::Xid(xid) => {
                    let xid_text = xid.to_string();
                    let attributes =
                        [gpu[0], gpu[1], ("weir.gpu.xid", xid_text.as_str()), ("weir.gpu.policy", policy(*xid).name())];
                    points.counter("weir.gpu.xid.errors", "{error}", start, *count, &attributes);
                }
                Kind::Corrected | Kind::Uncorrected => {
                    let error = if *kind == Kind::Corrected { "corrected" } else { "uncorrected" };
                    let attributes = [gpu[0], gpu[1], ("error.type", error)];
                    points.counter("weir.gpu.ecc.events", "{event}", start, *count, &attributes);
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
    let mut set = nvml.create_event_set()?;
    let mut watched = 0;
    for index in 0..nvml.device_count()? {
        let device = nvml.device_by_index(index)?;
        let all = EventTypes::CRITICAL_XID_ERROR | EventTypes::DOUBLE_BIT_ECC_ERROR | EventTypes::SINGLE_BIT_ECC_ERROR;
        let types = device.supported_event_types()? & all;
        if !types.is_empty() {
            set = device.register_events(types, set).map_err(|error| error.error)?;
            watched += 1;
        }
    }
    busy(false);
    if watched == 0 {
        return Err(NvmlError::NotSupported);
    }
    let mut asked = Asked::default();
    while wanted() {
        busy(true);
        let event = set.wait(WAIT_MS);
        match event {
            Ok(event) => happened(&event, counts, resource, samples, &mut asked),
            Err(NvmlError::Timeout) => {}
            Err(error) => {
                busy(false);
                return Err(error);
            }
        }
        busy(false);
    }
    Ok(())
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
