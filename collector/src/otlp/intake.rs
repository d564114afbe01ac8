//! From a body to the bus, the same for both protocols.

use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use weir_bus::{Producer, Record};

use super::Gate;
use super::body::{Budget, Encoding, Share};
use super::refusal::Refusal;
use super::signal::Signal;
use super::split::{Split, split};
use super::tenant::Tenants;
use super::wire::Malformed;
use crate::decode::otlp_json::{self, Lacking};

/// The bus must have it within this time: exporters give up after ten seconds, and then send it again.
const BUS_TIMEOUT: Duration = Duration::from_secs(9);

/// Larger bodies are unpacked and split beside the tasks that serve connections.
const INLINE_BYTES: usize = 64 << 10;

/// Where requests of all connections meet; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Intake {
    producer: Producer,
    tenants: Tenants,
    budget: Budget,
    gate: Gate,
    requests: Counter<u64>,
    records: Counter<u64>,
}

/// What was not taken of a request that was.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub(super) refused: u64,
    pub(super) reason: Option<String>,
}

/// A body, and how to read it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) signal: Signal,
    pub(super) encoding: Encoding,
    pub(super) json: bool,
    pub(super) body: Bytes,
    /// What the body has of the budget.
    pub(super) share: Share,
}

impl Intake {
    pub(super) fn new(producer: Producer, tenants: Tenants, budget: Budget, meter: &Meter) -> Self {
        let requests = meter
            .u64_counter("weir_collector_otlp_requests")
            .with_unit("{request}")
            .with_description("OTLP requests by signal, protocol and gRPC code of the answer")
            .build();
        let records = meter
            .u64_counter("weir_collector_otlp_records")
            .with_unit("{record}")
            .with_description("Log records, spans and metric points over OTLP, by signal and outcome")
            .build();
        Self { producer, tenants, budget, gate: Gate::opened(), requests, records }
    }

    pub(super) fn share(&self) -> Share {
        self.budget.share()
    }

    pub(super) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Counts an answered request, and says why one was refused.
    pub(super) fn answered(&self, signal: Signal, protocol: &'static str, quiet: bool, outcome: Result<(), &Refusal>) {
        let code = outcome.map_or_else(Refusal::code, |()| tonic::Code::Ok);
        self.requests.add(
            1,
            &[
                KeyValue::new("signal", signal.name()),
                KeyValue::new("protocol", protocol),
                KeyValue::new("code", format!("{code:?}")),
            ],
        );
        if let (Err(refusal), false) = (outcome, quiet) {
            tracing::debug!(signal = signal.name(), protocol, error = %refusal, "OTLP request refused");
        }
    }

    /// Unpacks, splits, and returns when the bus says that all of it is durable. A sender that tries again after an
    /// error may send what is already there: at least once.
    pub(super) async fn take(&self, sent: Sent) -> Result<Partial, Refusal> {
        if !self.gate.is_open() {
            return Err(Refusal::Away);
        }
        let signal = sent.signal;
        let tenants = self.tenants.clone();
        let (split, share) = if sent.body.len() <= INLINE_BYTES && sent.encoding == Encoding::Identity {
            open(sent, &tenants)?
        } else {
            let opening = tokio::task::spawn_blocking(move || open(sent, &tenants));
            opening.await.map_err(|_| Refusal::Internal)??
        };
        let delivered = tokio::time::timeout(BUS_TIMEOUT, self.deliver(signal, split.records)).await;
        delivered.map_err(|_| Refusal::Late)??;
        drop(share);
        for (outcome, count) in [("accepted", split.accepted), ("refused", split.refused)] {
            if count > 0 {
                self.records.add(count, &[KeyValue::new("signal", signal.name()), KeyValue::new("outcome", outcome)]);
            }
        }
        Ok(Partial { refused: split.refused, reason: split.reason })
    }

    async fn deliver(&self, signal: Signal, parts: Vec<super::split::Part>) -> Result<(), Refusal> {
        let mut deliveries = Vec::with_capacity(parts.len());
        for part in parts {
            let record =
                Record { topic: signal.topic().into(), key: Some(part.key), value: part.value, ..Record::default() };
            deliveries.push(self.producer.send(record).await?);
        }
        try_join_all(deliveries).await?;
        Ok(())
    }
}

fn open(sent: Sent, tenants: &Tenants) -> Result<(Split, Share), Refusal> {
    let Sent { signal, encoding, json, body, mut share } = sent;
    let body = encoding.unpack(body, &mut share)?;
    // The records are a second copy, which lives until the bus has it. Numbers are shorter in JSON.
    share.grow(body.len() * if json { 4 } else { 1 })?;
    let (request, lacking) = if json {
        let read = otlp_json::read(signal, &body)?;
        (read.protobuf.into(), read.lacking)
    } else {
        (body, None)
    };
    let split = split(signal, &request, tenants, weir_proto::MAX_RECORD_BYTES)?;
    if let Some(Lacking { message, list }) = lacking.filter(|_| split.accepted + split.refused == 0) {
        return Err(Malformed::Lacking { message, list }.into());
    }
    let size = split.records.iter().map(|part| part.value.len()).sum::<usize>();
    share.grow(size.saturating_sub(request.len()))?;
    Ok((split, share))
}
