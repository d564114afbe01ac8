//! Audit records on the bus: a log record of the tenant `weir` for each request that read or changed data.

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Record};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::{attribute, topic};
use weir_service::audit::Entry;
use weir_service::auth::AUDIT_TENANT;
use weir_service::telemetry::whole;

/// Entries of one record on the bus.
const AT_ONCE: usize = 256;

/// Severity number of INFO.
const INFO: i32 = 9;

/// Writes entries until stopped, and then those that wait. While the bus is away they wait in their queue.
pub(crate) async fn write(mut entries: Receiver<Entry>, bus: Bus, service: &'static str, stop: CancellationToken) {
    let producer = match bus.producer() {
        Ok(producer) => producer,
        Err(error) => return tracing::error!(error = %whole(&error), "audit records cannot be written"),
    };
    let mut batch = Vec::with_capacity(AT_ONCE);
    loop {
        let count = tokio::select! {
            biased;
            count = entries.recv_many(&mut batch, AT_ONCE) => count,
            () = stop.cancelled() => {
                entries.close();
                entries.recv_many(&mut batch, AT_ONCE).await
            }
        };
        if count == 0 {
            return;
        }
        let value = Bytes::from(request(&batch, service).encode_to_vec());
        batch.clear();
        let key = Some(Bytes::from_static(b"weir-audit"));
        let sent = producer.send(Record { topic: topic::LOGS.into(), key, value, ..Record::default() }).await;
        let done = match sent {
            Ok(delivery) => delivery.await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::error!(error = %whole(&error), records = count, "audit records are lost: the bus did not take them");
        }
    }
}

fn request(entries: &[Entry], service: &str) -> ExportLogsServiceRequest {
    let attributes = vec![text("service.name", service), text(attribute::TENANT, AUDIT_TENANT)];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope = Some(InstrumentationScope { name: "weir.audit".to_owned(), ..InstrumentationScope::default() });
    let log_records = entries.iter().map(record).collect();
    let scope_logs = vec![ScopeLogs { scope, log_records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }] }
}

fn record(entry: &Entry) -> LogRecord {
    let Entry { name, role, tenants, method, route, path, query, status, duration_nano, unix_nano } = entry;
    let list = tenants.iter().map(|tenant| AnyValue { value: Some(Value::StringValue(tenant.clone())) }).collect();
    let time = u64::try_from(*unix_nano).unwrap_or(0);
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: INFO,
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(format!("{name} ({role}) {method} {path} {status}"))) }),
        attributes: vec![
            text("user.name", name),
            text("weir.role", role.name()),
            pair("weir.tenants", Value::ArrayValue(ArrayValue { values: list })),
            text("http.request.method", method),
            text("http.route", route),
            text("url.path", path),
            text("url.query", query),
            pair("http.response.status_code", Value::IntValue(i64::from(*status))),
            pair("weir.duration_ms", Value::DoubleValue(*duration_nano as f64 / 1e6)),
        ],
        ..LogRecord::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
