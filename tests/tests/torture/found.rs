//! What is on the bus, as a reader that keeps to the contract sees it.

use std::collections::BTreeMap;
use std::ops::Range;

use prost::Message as _;
use weir_bus::Bus;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::logs::v1::LogRecord;
use weir_proto::{Origin, header, topic};

/// One identity: its lines by offset, and where its ranges end.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(crate) lines: BTreeMap<u64, (String, bool)>,
    pub(crate) end: u64,
    /// Ranges that are told to be lost, and why.
    pub(crate) lost: Vec<(Range<u64>, String)>,
}

/// Everything of the topic of logs, by identity.
pub(crate) async fn on_bus(bus: &Bus) -> BTreeMap<String, Identity> {
    let mut found: BTreeMap<String, Identity> = BTreeMap::new();
    for message in weir_tests::messages(bus, topic::LOGS).await.unwrap() {
        let origin = std::str::from_utf8(message.header(header::ORIGIN).unwrap()).unwrap();
        let request = ExportLogsServiceRequest::decode(&*message.value).unwrap();
        let scopes = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
        take(&mut found, &origin.parse().unwrap(), scopes.flat_map(|scope| scope.log_records));
    }
    found
}

fn take(found: &mut BTreeMap<String, Identity>, origin: &Origin, records: impl Iterator<Item = LogRecord>) {
    let mut records = records.peekable();
    if records.peek().is_some_and(|record| record.event_name == "weir.loss") {
        for record in records {
            let (start, end) = (int(&record, "weir.loss.start"), int(&record, "weir.loss.end"));
            let lost = (start..end, text(&record, "weir.loss.reason"));
            let identity = found.entry(text(&record, "weir.loss.identity")).or_default();
            // Sent again after a crash it is the same again.
            if !identity.lost.contains(&lost) {
                identity.lost.push(lost);
            }
        }
        return;
    }
    let identity = found.entry(origin.identity.clone()).or_default();
    assert!(origin.start <= identity.end, "a gap before {origin}: {}", identity.end);
    for record in records {
        let offset = int(&record, "log.file.offset");
        if offset >= identity.end {
            let Some(Value::StringValue(body)) = record.body.as_ref().and_then(|body| body.value.clone()) else {
                panic!("{record:?}")
            };
            let cut = record.attributes.iter().any(|attribute| attribute.key == "weir.truncated");
            assert_eq!(identity.lines.insert(offset, (body, cut)), None, "twice within one pass: {origin} {offset}");
        }
    }
    identity.end = identity.end.max(origin.end);
}

fn value(record: &LogRecord, key: &str) -> Value {
    let found = record.attributes.iter().find(|attribute| attribute.key == key);
    found.and_then(|attribute| attribute.value.as_ref()?.value.clone()).unwrap_or_else(|| panic!("{key}: {record:?}"))
}

fn int(record: &LogRecord, key: &str) -> u64 {
    if let Value::IntValue(value) = value(record, key) { value as u64 } else { panic!("{key}: {record:?}") }
}

fn text(record: &LogRecord, key: &str) -> String {
    if let Value::StringValue(value) = value(record, key) { value } else { panic!("{key}: {record:?}") }
}
