//! A log record for each loss, so that the search answers whether something is missing.

use std::path::Path;

use bytes::Bytes;
use prost::Message;
use tokio_util::sync::CancellationToken;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::common::v1::{AnyValue, KeyValue};
use weir_proto::otlp::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use weir_proto::otlp::resource::v1::Resource;
use weir_proto::{Origin, attribute};
use weir_service::telemetry::whole;

use super::delivery::{Done, record};
use super::ledger::Loss;
use super::source::Source;

impl Source {
    /// Sends the oldest loss, where none is on its way. It is on disk before, and stays until it is durable.
    pub(super) async fn tell_loss(&mut self, stop: &CancellationToken) {
        let Some(loss) = self.ledger.tell(self.settings.retry) else { return };
        let facts = self.facts(Path::new(&loss.path), Path::new(&loss.target));
        // Sent again after a crash it is the same record again, which readers drop.
        let identity = format!("{}.lost-{}", loss.identity, loss.start);
        let origin = Origin { identity, start: loss.start, end: loss.end };
        let record = record(&self.topic, &origin, value(&loss, &facts.resource));
        let delivery = tokio::select! {
            biased;
            delivery = self.producer.send(record) => delivery,
            () = stop.cancelled() => return,
        };
        match delivery {
            Ok(delivery) => self.flight.push(Box::pin(async move { Done::Loss(delivery.await.map(|_| ())) })),
            Err(error) => self.told_loss(&Err(error)),
        }
    }

    /// What came of it.
    pub(super) fn told_loss(&mut self, result: &Result<(), weir_bus::Error>) {
        if let Err(error) = result {
            tracing::warn!(error = %whole(error), "the bus did not take the record of a loss");
        }
        self.ledger.told(result.is_ok());
        self.must_write |= result.is_ok();
    }
}

/// What a record of it says.
pub(super) fn value(loss: &Loss, resource: &[u8]) -> Bytes {
    let int = |value: u64| Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX));
    let text = |text: &str| Value::StringValue(text.to_owned());
    let (bytes, reason) = (loss.end - loss.start, loss.reason.name());
    let attributes = [
        (attribute::FILE_OFFSET, int(loss.start)),
        (attribute::LOSS_REASON, text(reason)),
        (attribute::LOSS_START, int(loss.start)),
        (attribute::LOSS_END, int(loss.end)),
        (attribute::LOSS_IDENTITY, text(&loss.identity)),
    ];
    let attributes = attributes.into_iter().map(|(key, value)| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    });
    let record = LogRecord {
        time_unix_nano: loss.at,
        observed_time_unix_nano: loss.at,
        severity_number: SeverityNumber::Warn.into(),
        severity_text: "WARN".to_owned(),
        body: Some(AnyValue { value: Some(text(&format!("{bytes} bytes of this file are lost: {reason}"))) }),
        attributes: attributes.collect(),
        event_name: "weir.loss".to_owned(),
        ..LogRecord::default()
    };
    // It was encoded here.
    let resource = Resource::decode(resource).unwrap_or_default();
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let logs = ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![logs] }.encode_to_vec().into()
}
