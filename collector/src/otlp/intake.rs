//! From a body to the bus, the same for both protocols.

use bytes::Bytes;
use http::request::Parts;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use weir_bus::Record;
use weir_service::http::Peer;

use super::body::{Budget, Encoding, RECORDS_OF_JSON, Share};
use super::counts::Counts;
use super::refusal::Refusal;
use super::repair;
use super::signal::Signal;
use super::split::{Part, Sizes, Split, SplitError, split};
use super::store::Store;
use super::tenant::Tenants;
use super::wire::Malformed;
use crate::decode;
use crate::decode::otlp_json::{self, Lacking};
use crate::limits::Limits;

/// Larger bodies are split beside the tasks that serve connections, as all are that are packed. Below, the walk takes
/// less than half a millisecond, and the way to another thread costs more than it gives.
const INLINE_BYTES: usize = 512 << 10;
const INLINE_JSON_BYTES: usize = 64 << 10;

/// Where requests of all connections meet; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Intake {
    store: Store,
    tenants: Tenants,
    budget: Budget,
    requests: Counter<u64>,
    records: Counter<u64>,
    counts: Counts,
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
    /// Who decides whose it is.
    pub(super) tenants: Tenants,
    /// What the body has of the budget.
    pub(super) share: Share,
}

impl Intake {
    pub(super) fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Who decides the tenants of a request with these headers and extensions, if it may send.
    pub(super) async fn tenants_of(&self, parts: &Parts) -> Result<Tenants, Refusal> {
        let peer = parts.extensions.get::<Peer>();
        self.tenants
            .of(&parts.headers, peer.map(|peer| peer.address.ip()), peer.and_then(|peer| peer.client.as_ref()))
            .await
    }

    pub(super) fn new(store: Store, tenants: Tenants, budget: Budget, meter: &Meter) -> Self {
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
        Self { store, tenants, budget, requests, records, counts: Counts::default() }
    }

    /// Takes requests as these limits allow.
    pub(super) fn within(&mut self, limits: &Limits) {
        self.budget = Budget::within(limits);
    }

    /// Before anything of a body is read.
    pub(super) async fn enter(&self) -> Result<Share, Refusal> {
        self.budget.enter().await
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Counts an answered request, and says why one was refused.
    pub(super) fn answered(&self, signal: Signal, protocol: &'static str, quiet: bool, outcome: Result<(), &Refusal>) {
        let code = outcome.map_or_else(Refusal::code, |()| tonic::Code::Ok);
        if code != tonic::Code::Ok {
            self.counts.refuse(signal, code);
        }
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

    /// Unpacks, splits, and returns when all of it is durable, on the bus or in the spool. A sender that tries again
    /// after an error may send what is already there: at least once.
    pub(super) async fn take(&self, sent: Sent) -> Result<Partial, Refusal> {
        let signal = sent.signal;
        let limit = self.most(signal)?;
        let sizes = Sizes::of(signal, limit.unwrap_or(weir_proto::MAX_SINGLE_BYTES));
        let inline = if sent.json { INLINE_JSON_BYTES } else { INLINE_BYTES };
        let (split, share) = if sent.body.len() <= inline && sent.encoding == Encoding::Identity {
            open(sent, sizes)?
        } else {
            let opening = tokio::task::spawn_blocking(move || open(sent, sizes));
            opening.await.map_err(|_| Refusal::Internal)??
        };
        let partial = self.deliver(signal, split, limit).await?;
        drop(share);
        Ok(partial)
    }

    /// Greatest value of a signal's topic, as far as it is known; an error where there is no use in reading a body.
    pub(super) fn most(&self, signal: Signal) -> Result<Option<usize>, Refusal> {
        if self.store.is_away() { Err(Refusal::Away) } else { Ok(self.store.limit(signal.topic())) }
    }

    /// Returns when all that a request was split into is durable, on the bus or in the spool. `limit` is what
    /// [`Intake::most`] gave.
    pub(super) async fn deliver(&self, signal: Signal, split: Split, limit: Option<usize>) -> Result<Partial, Refusal> {
        let topic = signal.topic();
        let most = limit.unwrap_or(weir_proto::MAX_SINGLE_BYTES);
        // Who sends it again loses nothing; what the topic never takes would be lost.
        if limit.is_none() && split.records.iter().any(|part| part.value.len() > weir_proto::MAX_RECORD_BYTES) {
            return Err(Refusal::LimitUnknown(topic));
        }
        let record =
            |part: Part| Record { topic: topic.into(), key: Some(part.key), value: part.value, ..Record::default() };
        if let Err(refusal) = self.store.put(split.records.into_iter().map(record).collect()).await {
            let has_changed = matches!(refusal, Refusal::Record(_)) && self.store.takes_less(topic, most).await;
            return Err(if has_changed { Refusal::LimitUnknown(topic) } else { refusal });
        }
        self.counts.taken(signal, split.accepted, split.refused);
        for (outcome, count) in [("accepted", split.accepted), ("refused", split.refused)] {
            if count > 0 {
                self.records.add(count, &[KeyValue::new("signal", signal.name()), KeyValue::new("outcome", outcome)]);
            }
        }
        Ok(Partial { refused: split.refused, reason: split.reason })
    }
}

fn open(sent: Sent, sizes: Sizes) -> Result<(Split, Share), Refusal> {
    let Sent { signal, encoding, json, body, tenants, mut share } = sent;
    let body = encoding.unpack(body, &mut share)?;
    // The records are a second copy, which lives until the bus has it.
    share.grow(body.len() * if json { RECORDS_OF_JSON } else { 1 })?;
    let (request, lacking) = if json {
        let read = read_json(signal, &body, &mut share)?;
        (read.protobuf.into(), read.lacking)
    } else {
        (body, None)
    };
    let (split, request) = match split(signal, &request, &tenants, sizes) {
        Err(SplitError::Malformed(Malformed::Utf8 { .. })) => {
            let repaired = repair::strings(signal.request(), &request, 0)?.map_or(request, Bytes::from);
            share.grow(repaired.len())?;
            (split(signal, &repaired, &tenants, sizes)?, repaired)
        }
        split => (split?, request),
    };
    if let Some(Lacking { message, list }) = lacking.filter(|_| split.accepted + split.refused == 0) {
        return Err(Malformed::Lacking { message, list }.into());
    }
    let size = split.records.iter().map(|part| part.value.len()).sum::<usize>();
    share.grow(size.saturating_sub(request.len()))?;
    Ok((split, share))
}

/// Reads JSON; once more with its strings repaired, where they are damaged: that is rare, so it is not looked for before.
fn read_json(signal: Signal, body: &[u8], share: &mut Share) -> Result<otlp_json::Request, Refusal> {
    let damaged = match otlp_json::read(signal, body) {
        Ok(request) => return Ok(request),
        Err(error) => error,
    };
    let repaired = decode::repair::strings(body).ok_or(damaged)?;
    share.grow(repaired.len())?;
    Ok(otlp_json::read(signal, &repaired)?)
}
