//! Where records of exports go: to the bus, or to the spool while the bus is away.

use std::time::Duration;

use futures::future::try_join_all;
use opentelemetry::metrics::Meter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bus::spool::{Spool, Spooled};
use weir_bus::{Producer, Record};

use super::Gate;
use super::refusal::Refusal;
use crate::progress::Arrivals;

/// Without a spool the bus must have it within this time: exporters give up after ten seconds, and then send it again.
const BUS_TIMEOUT: Duration = Duration::from_secs(9);

/// With one, the bus is waited for so long before the spool takes over; the disk needs some of the rest.
const BUS_PATIENCE: Duration = Duration::from_secs(2);

/// A record's key, which is a hash in hexadecimal.
const KEY_BYTES: usize = 16;

/// The bus, and the spool before it, if there is one; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    producer: Producer,
    spool: Option<Spool>,
    gate: Gate,
    arrivals: Arrivals,
}

impl Store {
    pub(super) fn new(producer: Producer, spool: Option<Spool>, meter: &Meter) -> Self {
        if let Some(spool) = &spool {
            show(spool, meter);
        }
        Self { producer, spool, gate: Gate::opened(), arrivals: Arrivals::default() }
    }

    /// When the oldest came that the bus does not have, in nanoseconds since the epoch.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let arrived = self.arrivals.oldest();
        let spooled = self.spool.as_ref().filter(|spool| !spool.is_empty()).map(|spool| {
            weir_service::time::now_unix_nano_unsigned().saturating_sub(spool.status().oldest.as_nanos() as u64)
        });
        arrived.into_iter().chain(spooled).min()
    }

    /// What waits on disk, where there is such a place.
    pub(crate) fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// When exports were refused last because there was nowhere to put them.
    pub(crate) fn refused(&self) -> Option<Instant> {
        self.arrivals.refused()
    }

    /// Greatest value of a topic, as far as it is known.
    pub(super) fn limit(&self, topic: &str) -> Option<usize> {
        self.producer.limit(topic).map(without_key)
    }

    /// Whether a topic takes less than `limit`, as Kafka tells now.
    pub(super) async fn takes_less(&self, topic: &str, limit: usize) -> bool {
        self.producer.read_limit(topic).await.map(without_key).is_some_and(|now| now < limit)
    }

    pub(super) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Whether there is no use in reading a body: nobody would take it.
    pub(super) fn is_away(&self) -> bool {
        self.spool.is_none() && !self.gate.is_open()
    }

    /// Done when all of it is durable, on the bus or in the spool. What is in the spool goes first, so whoever comes
    /// while there is anything in it is put behind.
    pub(super) async fn put(&self, records: Vec<Record>) -> Result<(), Refusal> {
        let _arrival = self.arrivals.begin();
        let put = self.try_put(records).await;
        if put.as_ref().is_err_and(Refusal::is_for_now) {
            self.arrivals.refuse();
        }
        put
    }

    async fn try_put(&self, records: Vec<Record>) -> Result<(), Refusal> {
        let Some(spool) = &self.spool else {
            if !self.gate.is_open() {
                return Err(Refusal::Away);
            }
            let sent = tokio::time::timeout(BUS_TIMEOUT, self.send(records)).await;
            return sent.map_err(|_| Refusal::Late)?;
        };
        let (left, refused) = if self.gate.is_open() && spool.is_empty() {
            self.offer(records).await
        } else {
            (records.into_iter().map(|record| Spooled { record, delivery: None }).collect(), None)
        };
        spool.append(left).await?;
        refused.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn send(&self, records: Vec<Record>) -> Result<(), Refusal> {
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records {
            deliveries.push(self.producer.send(record).await?);
        }
        try_join_all(deliveries).await?;
        Ok(())
    }

    /// Gives records to the bus, and gives back those that it does not have in time, and why it will never have another.
    async fn offer(&self, records: Vec<Record>) -> (Vec<Spooled>, Option<weir_bus::Error>) {
        let deadline = Instant::now() + BUS_PATIENCE;
        let (mut sent, mut left, mut refused) = (Vec::with_capacity(records.len()), Vec::new(), None);
        let mut records = records.into_iter();
        for record in records.by_ref() {
            match tokio::time::timeout_at(deadline, self.producer.send(record.clone())).await {
                Ok(Ok(delivery)) => sent.push((record, delivery)),
                Ok(Err(error @ weir_bus::Error::TooLarge { .. })) => refused = Some(error),
                Ok(Err(_)) | Err(_) => {
                    left.push(record);
                    break;
                }
            }
        }
        left.extend(records);
        let mut spooled = Vec::new();
        for (record, mut delivery) in sent {
            match tokio::time::timeout_at(deadline, &mut delivery).await {
                Ok(Ok(_)) => {}
                Ok(Err(error @ weir_bus::Error::TooLarge { .. })) => refused = Some(error),
                Ok(Err(_)) => spooled.push(Spooled { record, delivery: None }),
                // It is in the producer's queue: to send it again now would make it come twice.
                Err(_) => spooled.push(Spooled { record, delivery: Some(delivery) }),
            }
        }
        spooled.extend(left.into_iter().map(|record| Spooled { record, delivery: None }));
        (spooled, refused)
    }

    /// Drains the spool from the moment that the bus is there, until stopped.
    pub(super) async fn drain(&self, stop: &CancellationToken) {
        let Some(spool) = &self.spool else { return };
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.gate.opens() => {}
        }
        spool.drain(&self.producer, stop).await;
    }
}

/// Greatest value beside a key of ours.
fn without_key(record: usize) -> usize {
    record.saturating_sub(KEY_BYTES)
}

/// Shows how the spool is doing for as long as the process runs.
fn show(spool: &Spool, meter: &Meter) {
    let gauge = |name: &'static str, unit: &'static str, text: &'static str, of: fn(&Spool) -> u64| {
        let spool = spool.clone();
        let gauge = meter.u64_observable_gauge(name).with_unit(unit).with_description(text);
        gauge.with_callback(move |out| out.observe(of(&spool), &[])).build();
    };
    let counter = |name: &'static str, unit: &'static str, text: &'static str, of: fn(&Spool) -> u64| {
        let spool = spool.clone();
        let counter = meter.u64_observable_counter(name).with_unit(unit).with_description(text);
        counter.with_callback(move |out| out.observe(of(&spool), &[])).build();
    };
    gauge("weir_collector_otlp_spool", "By", "Bytes of the spool on disk", |spool| spool.status().bytes);
    gauge("weir_collector_otlp_spool_limit", "By", "Greatest size of the spool", |spool| spool.status().limit);
    gauge("weir_collector_otlp_spool_records", "{record}", "Bus records that wait in the spool", |spool| {
        spool.status().records
    });
    gauge("weir_collector_otlp_spool_oldest", "s", "Age of the oldest record in the spool", |spool| {
        spool.status().oldest.as_secs()
    });
    gauge("weir_collector_otlp_spool_full", "1", "1 while the spool, or its disk, has no room", |spool| {
        u64::from(spool.status().is_full)
    });
    counter("weir_collector_otlp_spool_damaged", "{place}", "Places of the spool that could not be read", |spool| {
        spool.status().damaged
    });
    counter("weir_collector_otlp_spool_lost", "{record}", "Bus records lost where the spool was damaged", |spool| {
        spool.status().lost
    });
}
