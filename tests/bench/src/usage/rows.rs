//! From `weir_calls` records to hourly cells in the database: decoding, adding up, and the transactions.
//!
//! A record here is one cell: what one interface did in one second. Several of them are of one hour, as they are where
//! calls come all the time.

use prost::Message as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, json};
use weir_bus::{Message, Partition};
use weir_calls::Hdr;
use weir_proto::{topic, v1};
use weir_tests::postgres::Postgres;
use weir_usage::store::{Batch, Store};

use crate::{Ready, Skipped, Work};

const START: u64 = 1_700_000_000;
const TENANTS: usize = 200;
const INTERFACES: usize = 10;
/// Interfaces in one record of `weir_calls`.
const SERIES: usize = 400;
/// Records that are written at once, as a feed that is behind does.
const AT_ONCE: usize = 250;

/// Into SQLite.
pub(crate) fn rows(smoke: bool) -> anyhow::Result<Ready> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = runtime.block_on(Store::open("sqlite", folder.path()))?;
    let messages = messages(smoke);
    Ok(Box::new(move || {
        let work = runtime.block_on(write(&store, &messages));
        drop(folder);
        work
    }))
}

/// Into PostgreSQL; its own CPU is not this process's.
pub(crate) fn rows_postgres(smoke: bool) -> anyhow::Result<Ready> {
    let folder = tempfile::tempdir()?;
    let postgres = Postgres::start().map_err(|error| Skipped(format!("{error:#}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let store = runtime.block_on(Store::open(&postgres.address(), folder.path()))?;
    let messages = messages(smoke);
    Ok(Box::new(move || {
        let work = runtime.block_on(write(&store, &messages));
        drop(postgres);
        work
    }))
}

async fn write(store: &Store, messages: &[Message]) -> anyhow::Result<Work> {
    let mut state = store.state().await?;
    let mut transactions = 0;
    for chunk in messages.chunks(AT_ONCE) {
        let mut batch = Batch::default();
        for message in chunk {
            batch.add(&state, message, START as i64);
        }
        store.commit(&mut state, &mut batch).await?;
        transactions += 1;
    }
    let bytes = messages.iter().map(|message| message.value.len() as u64).sum();
    let mut more = Map::new();
    more.insert("transactions".to_owned(), json!(transactions));
    Ok(Work { records: (messages.len() * SERIES) as u64, bytes, more })
}

/// A record for each second, of two hours.
fn messages(smoke: bool) -> Vec<Message> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let count = if smoke { 100 } else { 5000 };
    let message = |n: usize| {
        let first = rng.random_range(0..TENANTS * INTERFACES);
        let mut calls = 0;
        let series = (0..SERIES).map(|at| {
            let name = (first + at) % (TENANTS * INTERFACES);
            let mut durations = Hdr::default();
            let of_slot = rng.random_range(1..8_u64);
            (0..of_slot).for_each(|_| durations.record(rng.random_range(10_000..2_000_000)));
            calls += of_slot;
            let slot = v1::CallSlot {
                unix_seconds: START + n as u64 * 7200 / count as u64,
                calls: of_slot,
                input_tokens: rng.random_range(0..5000),
                output_tokens: rng.random_range(0..5000),
                durations: Some(durations.to_message()),
                ..v1::CallSlot::default()
            };
            v1::CallSeries {
                tenant: format!("tenant-{:03}", name / INTERFACES),
                service: "chat".to_owned(),
                interface: format!("POST /v1/chat/{}", name % INTERFACES),
                slots: vec![slot],
            }
        });
        let series = series.collect();
        let range = v1::CallDeltas {
            source_topic: topic::SPANS.to_owned(),
            first_offset: n as i64,
            end_offset: n as i64 + 1,
            spans: calls,
            counted: calls,
            watermark_unix_nano: START * 1_000_000_000,
            series,
            ..v1::CallDeltas::default()
        };
        Message {
            partition: Partition::new(topic::CALLS, 0),
            offset: n as i64,
            key: None,
            value: range.encode_to_vec().into(),
            headers: Vec::new(),
            timestamp_ms: 0,
        }
    };
    (0..count).map(message).collect()
}
